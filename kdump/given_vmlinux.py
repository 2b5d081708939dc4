"""``--vmlinux=PATH``: debuginfo that lies where nobody would look, on this machine or on the hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from . import vmlinux_here
from .parsers.unreadable import Unreadable
from .transcript import Reading, Transcript

_COMMAND = "vmlinux_files"
HERE = "controller:"
"""Stands before the paths of files of this machine."""


def add_options(group: Any) -> None:
    """Offer ``--vmlinux``."""
    group.addoption(
        "--vmlinux",
        action="append",
        default=[],
        metavar="PATH",
        help="a vmlinux or .debug file (plain, .gz, .xz, .zst), here or on the hosts, that must open their dumps",
    )


class GivenVmlinux:
    """The files that the user named."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Raises :class:`pytest.UsageError` for what cannot be a file anywhere."""
        self.paths = tuple(dict.fromkeys(paths))
        for path in self.paths:
            if "\n" in path or not path:
                raise pytest.UsageError(f"--vmlinux={path!r} is not the name of a file")
            if Path(path).is_dir():
                raise pytest.UsageError(f"--vmlinux={path} is a folder: name the file in it")
            if not Path(path).exists() and not path.startswith("/"):
                raise pytest.UsageError(f"--vmlinux={path}: there is no such file here; on the hosts, name it from / on")
        self._evidence = {path: _evidence(path) for path in self.paths if Path(path).exists()}

    def add_to(self, transcript: Transcript) -> Transcript:
        """The transcript with what this machine's files say, as if the host had them, too."""
        reading = transcript.readings.get(_COMMAND)
        if not self._evidence or reading is None:
            return transcript
        text = "\n".join(filter(None, [*self._evidence.values(), without_missing(reading.text, self._evidence)]))
        readings: Mapping[str, Reading] = {**transcript.readings, _COMMAND: replace(reading, text=text)}
        return replace(transcript, readings=readings)


def without_missing(text: str, paths: Mapping[str, str]) -> str:
    """``vmlinux_files`` without the words that these files are not on the host."""
    for path in paths:
        text = f"{text}\n".replace(f"file {path}\ngiven\nnot here\n", "").removesuffix("\n")
    return text


def _evidence(path: str) -> str:
    try:
        _, _, rest = vmlinux_here.evidence(path).partition("\n")
    except Unreadable as unreadable:
        raise pytest.UsageError(f"--vmlinux={path}: {unreadable.reason}") from unreadable
    return f"file {HERE}{path}\ngiven\n{rest}"
