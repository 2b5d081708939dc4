"""Dumps that the probe's bytes were too few for, read by offset over SFTP: a second channel of the same connection.

The probe prints at most 30 KB of a dump. That judges every dump but the part of a split one whose sisters lie elsewhere:
its bitmap says how many pages it should have, and has one bit for each page frame. Such a dump is read again by
the parsers themselves, a few hundred kilobytes of it, and what they read is added to the transcript.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .connection.errors import ConnectionProblem
from .hosts import Target
from .parsers.dump import State
from .parsers.unreadable import Unreadable
from .transcript import Transcript
from .vmcore import judge
from .vmcore_evidence import parse

_COMMAND = "dump_evidence"
MOST_READ = 1 << 20
"""Bytes of all dumps of one host."""


class _Remembering:
    """A source, and the text of what was read of it, as `vmcore_evidence` has it. Stops after `most` bytes."""

    def __init__(self, source: Any, most: int) -> None:
        self._source, self._left = source, most
        self.size: int = source.size
        self.lines: list[str] = []

    def read_at(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        if length > self._left:
            raise Unreadable(f"more than {MOST_READ} bytes would have to be read")
        data: bytes = self._source.read_at(offset, length)
        self._left -= len(data)
        if data:
            self.lines.append(f"@{offset} {data.hex()}")
        return data


def unjudged(text: str) -> list[str]:
    """The dumps of ``dump_evidence`` that more bytes would judge."""
    try:
        found = parse(text)
    except Unreadable:
        return []
    return [
        one.path
        for one in found
        if not one.closed
        and not one.being_written
        and (dump := one.dump()).complete.state is State.CANNOT_TELL
        and ("not recorded" in dump.complete.reason or dump.split)
    ]


def completed(target: Target, transcript: Transcript) -> Transcript:
    """The transcript with what SFTP adds to it; itself where there is nothing to add, or no SFTP."""
    read: Callable[[str], Any] | None = getattr(target.backend, "sftp_read", None)
    reading = transcript.readings.get(_COMMAND)
    if read is None or reading is None:
        return transcript
    text, left = reading.text, MOST_READ
    for path in unjudged(text):
        try:
            with read(path) as source:
                remembering = _Remembering(source, left)
                judge(remembering)
        except (ConnectionProblem, Unreadable):
            continue  # the reason that is known already stays
        left -= sum(len(line) // 2 for line in remembering.lines)
        text = _with(text, path, remembering)
    if text == reading.text:
        return transcript
    return replace(transcript, readings={**transcript.readings, _COMMAND: replace(reading, text=text)})


def _with(text: str, path: str, more: _Remembering) -> str:
    """The evidence with the ranges of one file added; unchanged where the file has another size by now."""
    head = f"file {path}\nsize {more.size}\n"
    start = f"\n{text}".find(f"\n{head}")
    if start < 0:
        return text
    end = text.find("\nfile ", start)
    end = len(text) if end < 0 else end
    return "\n".join([text[:end], *more.lines]) + text[end:]
