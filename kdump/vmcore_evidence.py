"""Dumps and vmlinux files remembered by a transcript: what `vmcore_evidence` and `vmlinux_evidence` of the probe print.

    file /var/crash/202611230714/dump.202611230714
    size 191388355
    mtime 1795418176
    @0 4b44554d5020202006000000…

One `file` line begins each file. `permission denied` stands in place of the ranges where the file could not be read.
After `inside xz` (gzip, zstd) the ranges are of what the file decompresses to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kdump.bytesource import Sparse
from kdump.parsers import vmlinux
from kdump.parsers.compressed import LONGEST_STREAM
from kdump.parsers.dump import Completeness, Dump
from kdump.parsers.unreadable import Unreadable
from kdump.parsers.vmlinux import Vmlinux
from kdump.vmcore import judge


@dataclass(frozen=True)
class Evidence:
    path: str
    size: int
    mtime: int | None
    """Seconds since the epoch."""
    readable: bool
    source: Sparse
    inside: str | None = None
    """The compression that was undone before the bytes of `source` were read."""

    def vmlinux(self) -> Vmlinux:
        """What this says of a vmlinux. Raises `Unreadable`."""
        if not self.readable:
            raise Unreadable(f"no permission to read {self.path}")
        if self.inside:
            return vmlinux.read_front(self.source, self.inside)
        return vmlinux.read(self.source)

    def dump(self) -> Dump:
        """What this says of a dump."""
        if not self.readable:
            return Dump("unknown", self.size, Completeness.cannot_tell(f"no permission to read {self.path}"))
        return judge(self.source)


def parse(text: str) -> list[Evidence]:
    """Every file of the text, in its order. Raises `Unreadable` for a line that is none of the above."""
    return list(_files(text))


def _files(text: str) -> Iterator[Evidence]:
    path: str | None = None
    size, mtime, readable, inside = 0, None, True, None
    ranges: dict[int, bytes] = {}
    for line in [*text.splitlines(), "file "]:
        if line.startswith("file "):
            if path is not None:
                source = Sparse(ranges, LONGEST_STREAM if inside else size)
                yield Evidence(path, size, mtime, readable, source, inside)
            path, size, mtime, readable, inside, ranges = line[5:], 0, None, True, None, {}
        elif path is None:
            raise Unreadable(f"the evidence does not begin with a file: {line[:60]!r}")
        elif match := re.fullmatch(r"size ([0-9]{1,19})", line):
            size = int(match[1])
        elif match := re.fullmatch(r"mtime ([0-9]{0,19})", line):
            mtime = int(match[1]) if match[1] else None
        elif match := re.fullmatch(r"inside (gzip|xz|zstd)", line):
            inside, ranges = match[1], {}
        elif line == "permission denied":
            readable = False
        elif match := re.fullmatch(r"@([0-9]{1,19}) ((?:[0-9a-f]{2})*)", line):
            start, data = int(match[1]), bytes.fromhex(match[2])
            if len(data) >= len(ranges.get(start, b"")):
                ranges[start] = data
        else:
            raise Unreadable(f"the evidence has a line that is none of its kinds: {line[:60]!r}")
