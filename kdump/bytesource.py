"""Where bytes come from: a file read by offset, wherever it lies.

Every dump parser reads through a `ByteSource`, so that the same judgement is made of a local file, of a file
behind SFTP, and of a few ranges that a transcript remembers.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Protocol

from kdump.parsers.unreadable import Unreadable


class ByteSource(Protocol):
    """A file of `size` bytes that is read by offset.

    `read_at` returns `length` bytes, or fewer only where the file ends; at or past the end it returns b"".
    It raises `Unreadable` where the bytes cannot be had.
    """

    @property
    def size(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes: ...


def first_hole(source: ByteSource, start: int, end: int, least: int) -> int | None:
    """Where the first `least` bytes or more begin, between `start` and `end`, that were never written; None where there
    are none, and where the source cannot tell."""
    find = getattr(source, "first_hole", None)
    found: int | None = find(start, end, least) if find is not None else None
    return found


class NotRecorded(Unreadable):
    """The bytes exist in the file, but this transcript did not bring them."""


class LocalFile:
    """A regular file (or block device) of this machine. Raises `Unreadable` for anything else, such as a FIFO."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            # A FIFO would block for ever without O_NONBLOCK; regular files do not mind it.
            self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise Unreadable(f"cannot open {self.path}: {getattr(error, 'strerror', None) or error}") from error
        mode = os.fstat(self._fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            self.close()
            raise Unreadable(f"{self.path} is not a regular file")
        try:
            self.size = os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:  # most of /proc
            self.close()
            raise Unreadable(f"{self.path} has no size: {error.strerror}") from error
        if stat.S_ISBLK(mode) and not self.size:
            self.close()
            raise Unreadable(f"{self.path} is a device without a medium")

    def read_at(self, offset: int, length: int) -> bytes:
        parts = []
        while length > 0 and offset < self.size:
            try:
                part = os.pread(self._fd, length, offset)
            except OSError as error:
                raise Unreadable(f"cannot read {self.path} at {offset}: {error.strerror}") from error
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def first_hole(self, start: int, end: int, least: int) -> int | None:
        """By the file system's account, without reading (lseek(2), SEEK_HOLE): preallocated blocks are holes, too."""
        try:
            while start < (end := min(end, self.size)):
                hole = os.lseek(self._fd, start, os.SEEK_HOLE)
                if hole >= end:
                    return None
                try:
                    start = os.lseek(self._fd, hole, os.SEEK_DATA)
                except OSError:
                    start = end  # nothing but a hole up to the end
                if min(start, end) - hole >= least:
                    return hole
        except OSError:
            pass  # a device, or a file system that does not know
        return None

    @property
    def allocated(self) -> int:
        """Bytes that the file takes on the disk (stat(2), st_blocks)."""
        return os.fstat(self._fd).st_blocks * 512

    @property
    def size_now(self) -> int:
        """In bytes; `size` is what it was when the file was opened."""
        return self.size if self.is_device else os.fstat(self._fd).st_size

    @property
    def is_device(self) -> bool:
        return stat.S_ISBLK(os.fstat(self._fd).st_mode)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> LocalFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Memory:
    """Bytes that are already here."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + max(length, 0)]


class CountingSource:
    """Another source, with the requests made of it and the bytes they returned counted."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.requests = 0
        self.bytes = 0

    @property
    def size(self) -> int:
        return self.source.size

    def read_at(self, offset: int, length: int) -> bytes:
        data = self.source.read_at(offset, length)
        self.requests += 1
        self.bytes += len(data)
        return data


class Sparse:
    """A file of which only some ranges are known: {offset: bytes}, and the size of the whole.

    `allocated` is what it takes on the disk, in bytes; None where that is not known. Overlapping ranges are welcome (later
    ones win). Reading anything else inside the file raises `NotRecorded`.
    """

    def __init__(self, ranges: Mapping[int, bytes], size: int, allocated: int | None = None) -> None:
        self.size = size
        self.allocated = allocated
        merged: list[tuple[int, bytearray]] = []
        for start, data in sorted(ranges.items()):
            if merged and start <= merged[-1][0] + len(merged[-1][1]):
                base, buffer = merged[-1]
                buffer[start - base : start - base + len(data)] = data
            else:
                merged.append((start, bytearray(data)))
        self._ranges = [(start, bytes(data)) for start, data in merged]

    def read_at(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        for start, data in self._ranges:
            if start <= offset and offset + length <= start + len(data):
                return data[offset - start : offset - start + length]
        raise NotRecorded(f"bytes {offset} to {offset + length} of the file were not recorded")
