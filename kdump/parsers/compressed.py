"""Compressed files: which they are, and the first bytes of what is inside: `dump | gzip`, vmcore.xz, vmcore.zst.

A vmlinux has its notes too far inside for that: the system's own programs undo it (kdump/vmcore_evidence.sh), in a process
of their own and in bounded memory.
"""

from __future__ import annotations

import gzip
import io
from typing import Any

import zstandard

from kdump.bytesource import ByteSource
from kdump.parsers.unreadable import Unreadable

MOST_MEMORY = 10 << 20
"""What undoing it may take, in bytes: `xz -6`, its default, and `zstd -19` have a window of 8 MiB. A file may claim one
of 4 GiB."""
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\x89LZO\0\r\n\x1a\n": "lzop",
    b"\x04\x22\x4d\x18": "lz4",
}


def compression_of(head: bytes) -> str | None:
    """By magic number; None for what is not compressed."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def cut_short(source: ByteSource, compression: str) -> bool:
    """Whether an .xz file has no footer, whose last two bytes are these (The .xz File Format, 2.1.2.4); the others have none."""
    return compression == "xz" and source.read_at(max(0, source.size - 16), 16).rstrip(b"\0")[-2:] != b"YZ"


def front(source: ByteSource, compression: str, length: int) -> bytes:
    """The first bytes of what is inside; fewer only where there are no more. Raises `Unreadable`."""
    stream = _decompressed(source, compression)
    data = bytearray()
    while len(data) < length:
        try:
            more = stream.read(min(length - len(data), 64 << 10))
        except Unreadable:
            raise
        except Exception as error:  # every library has its own error for damaged data
            if isinstance(error, MemoryError) or "memory" in str(error).lower():
                raise Unreadable(
                    f"it is compressed with {compression} and takes more than {MOST_MEMORY >> 20} MiB of memory to undo: "
                    "decompress it first"
                ) from error
            raise Unreadable(f"its {compression} data are damaged: {error}") from error
        if not more:
            break
        data += more
    return bytes(data)


class _Raw(io.RawIOBase):
    """A `ByteSource` as the file object that decompressors take."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read_at(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Xz:
    """The .xz format. lzma.LZMAFile would have no limit on memory."""

    def __init__(self, raw: io.BufferedIOBase) -> None:
        self._raw = raw
        self._stream = self._new()

    def _new(self) -> Any:
        import lzma

        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_MEMORY)

    def read(self, length: int) -> bytes:
        while True:
            data = b""
            if self._stream.eof:  # another stream may follow, after padding
                data = (self._stream.unused_data or self._raw.read(64 << 10)).lstrip(b"\0")
                if not data:
                    return b""
                self._stream = self._new()
            elif self._stream.needs_input and not (data := self._raw.read(64 << 10)):
                raise EOFError("the stream ends in the middle")
            out: bytes = self._stream.decompress(data, length)
            if out:
                return out


def _decompressed(source: ByteSource, compression: str) -> Any:
    """A file object whose read(n) returns at most n decompressed bytes."""
    raw: Any = io.BufferedReader(_Raw(source), 64 << 10)
    if compression == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if compression == "xz":
        try:
            return _Xz(raw)
        except ImportError as error:  # some Pythons are built without it
            raise Unreadable("it is compressed with xz, and this Python is built without it: decompress it first") from error
    if compression != "zstd":
        raise Unreadable(f"it is compressed with {compression}: decompress it first")
    return zstandard.ZstdDecompressor(max_window_size=8 << 20).stream_reader(raw, read_size=64 << 10)
