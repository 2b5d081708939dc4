"""Dumps and vmlinux files remembered by a transcript: what `vmcore_evidence` and `vmlinux_evidence` of the probe print.

    file /var/crash/202611230714/dump.202611230714
    size 191388355
    mtime 1795418176
    allocated 191389696
    @0 4b44554d5020202006000000…

One `file` line begins each file. `permission denied`, `no time left` and `not here` stand in place of the ranges where
the file could not be read; `being written` after them says that it was changed while, or just before, it was read.
`allocated`: bytes that it takes on the disk, fewer than its size where it has holes. `given`: somebody named it.
`banner`: words that were found in a vmlinux. After `inside xz` (gzip, zstd) the ranges are of what the file decompresses to;
`complaint` is what the program says that cannot undo it, `listed` what `zstd -l` complains of, nothing where it does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kdump.bytesource import Sparse
from kdump.parsers import vmlinux
from kdump.parsers.dump import Completeness, Dump, State
from kdump.parsers.unreadable import Unreadable
from kdump.parsers.vmlinux import Vmlinux
from kdump.vmcore import judge

LONGEST_STREAM = 256 << 20
"""Decompressed bytes that are passed over in search of something, at most, as in vmcore_evidence.sh."""


@dataclass(frozen=True)
class Evidence:
    path: str
    size: int
    mtime: int | None
    """Seconds since the epoch."""
    source: Sparse
    closed: str = ""
    """Why it was not read."""
    being_written: bool = False
    inside: str | None = None
    """The compression that was undone before the bytes of `source` were read."""
    packed: Sparse | None = None
    """The compressed file, where `source` is what is inside."""
    listed: str | None = None
    complaint: str = ""
    given: bool = False
    """Whether somebody named the file, rather than it was found."""
    banners: tuple[str, ...] = ()

    def vmlinux(self) -> Vmlinux:
        """What this says of a vmlinux. Raises `Unreadable`."""
        if self.closed:
            raise Unreadable(self.closed)
        if self.inside and self.packed:
            if self.complaint:
                raise Unreadable(f"{self.inside} does not undo it in 68 MiB of memory: {self.complaint.strip()}")
            image = vmlinux.read_front(self.source, self.inside, self.packed, self.listed)
            return replace(image, banners=self.banners)
        return replace(vmlinux.read(self.source), banners=self.banners)

    def dump(self) -> Dump:
        """What this says of a dump."""
        if self.closed:
            return Dump("unknown", self.size, Completeness.cannot_tell(self.closed))
        dump = judge(self.source)
        if self.being_written and dump.complete.state is State.INCOMPLETE:
            return replace(dump, complete=Completeness.cannot_tell("it is being written right now: judge it when that has ended"))
        return dump


def parse(text: str) -> list[Evidence]:
    """Every file of the text, in its order. Raises `Unreadable` for a line that is none of the above."""
    return list(_files(text))


_CLOSED = {
    "permission denied": "no permission to read it: connect as root or use --sudo",
    "no time left": "it was not read: too many dumps for the time there is",
    "not here": "there is no such file",
}


def _files(text: str) -> Iterator[Evidence]:
    file: list[str] = []
    for line in [*(text.removesuffix("\n").split("\n") if text else ()), "file "]:
        if line.startswith("file ") and file:
            yield _file(file)
            file = []
        elif not line.startswith("file ") and not file:
            raise Unreadable(f"the evidence does not begin with a file: {line[:60]!r}")
        file.append(line)


def _file(lines: list[str]) -> Evidence:
    size, mtime, allocated, closed, busy, inside, given = 0, None, None, "", False, None, False
    ranges: dict[int, bytes] = {}
    packed, listed, complaint = None, None, ""
    banners = []
    for line in lines[1:]:
        if match := re.fullmatch(r"@([0-9]{1,19}) ((?:[0-9a-f]{2})*)", line):
            start, data = int(match[1]), bytes.fromhex(match[2])
            if len(data) >= len(ranges.get(start, b"")):
                ranges[start] = data
        elif match := re.fullmatch(r"size ([0-9]{1,19})", line):
            size = int(match[1])
        elif match := re.fullmatch(r"mtime (-?[0-9]{1,19})?", line):
            mtime = int(match[1]) if match[1] else None
        elif match := re.fullmatch(r"allocated ([0-9]{1,19})", line):
            allocated = int(match[1])
        elif match := re.fullmatch(r"inside (gzip|xz|zstd)", line):
            inside, packed, ranges = match[1], Sparse(ranges, size), {}
        elif line == "listed" or line.startswith("listed "):
            listed = line[7:]
        elif line.startswith("complaint "):
            complaint = line[10:]
        elif line in _CLOSED:
            closed = _CLOSED[line]
        elif line == "being written":
            busy = True
        elif line == "given":
            given = True
        elif line.startswith("banner "):
            banners.append(line[7:])
        else:
            raise Unreadable(f"the evidence has a line that is none of its kinds: {line[:60]!r}")
    source = Sparse(ranges, LONGEST_STREAM if inside else size, allocated)
    return Evidence(lines[0][5:], size, mtime, source, closed, busy, inside, packed, listed, complaint, given, tuple(banners))
