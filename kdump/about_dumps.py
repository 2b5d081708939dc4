"""What an audit does about dumps besides the probe: debuginfo that the user names, dumps that the probe's bytes were too
few for, and dumps that are really opened."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from . import given_vmlinux, opening
from .dump_bytes import completed
from .fact import facts_behind
from .given_vmlinux import GivenVmlinux
from .hosts import RecordingBackend, Target
from .transcript import Transcript


def add_options(group: Any) -> None:
    """Offer ``--vmlinux`` and ``--open-dumps``."""
    given_vmlinux.add_options(group)
    opening.add_options(group)


class AboutDumps:
    """Adds to a host's transcript what the probe alone cannot say of its dumps."""

    def __init__(self, config: pytest.Config) -> None:
        self.vmlinux = GivenVmlinux(config.option.vmlinux)
        self._open = config.option.open_dumps

    def asked_besides(self, names: Collection[str]) -> list[str]:
        """What is to be read besides the facts of these names, where they speak of dumps: what tells a new dump and its panic
        message, and with ``--open-dumps`` what opens it. A run of a few tests has not asked for it."""
        if not any(one.name == "dump_listing" for one in facts_behind(names)):
            return []
        return ["dump_identities", "vmlinux_candidates"] if self._open else ["dump_identities"]

    def complete(self, target: Target, transcript: Transcript) -> Transcript:
        """The transcript, and what is to be known besides; for ``Gatherer``."""
        transcript = self.vmlinux.add_to(transcript)
        if isinstance(target.backend, RecordingBackend):
            return transcript
        transcript = completed(target, transcript)
        return opening.opened(target, transcript) if self._open else transcript
