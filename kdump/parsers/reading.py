"""Small readers that every dump parser uses."""

from __future__ import annotations

from kdump.bytesource import ByteSource
from kdump.parsers.unreadable import EndsEarly, Unreadable

LARGEST_READ = 4 << 20
"""No parser asks for more than this at once, in bytes, whatever a header claims."""


def exactly(source: ByteSource, offset: int, length: int, what: str) -> bytes:
    """`length` bytes at `offset`; raises `EndsEarly` where the file ends before them."""
    if offset < 0 or length < 0 or length > LARGEST_READ:
        raise Unreadable(f"{what} cannot be at offset {offset} with {length} bytes")
    data = source.read_at(offset, length)
    if len(data) < length:
        raise EndsEarly(what, offset + length - source.size)
    return data


def text(raw: bytes) -> str:
    """A C string of a header: up to the first NUL, what cannot be decoded or printed replaced."""
    decoded = raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip()
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in decoded)
