"""What an audit does about dumps besides the probe: debuginfo that the user names, dumps that the probe's bytes were too
few for, and dumps that are really opened."""

from __future__ import annotations

from typing import Any

import pytest

from . import given_vmlinux, opening
from .dump_bytes import completed
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

    def complete(self, target: Target, transcript: Transcript) -> Transcript:
        """The transcript, and what is to be known besides; for ``Gatherer``."""
        transcript = self.vmlinux.add_to(transcript)
        if isinstance(target.backend, RecordingBackend):
            return transcript
        transcript = completed(target, transcript)
        return opening.opened(target, transcript) if self._open else transcript
