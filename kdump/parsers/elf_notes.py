"""ELF notes (gABI, "Note Section"): {u32 name size, u32 descriptor size, u32 type, name, descriptor}.

Name and descriptor are padded to 4 bytes each.

Owner and type belong together: Xen's note of type 3 is not a build-id, only GNU's is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kdump.bytesource import ByteSource
from kdump.parsers.elf_structures import structures

NT_GNU_BUILD_ID = "NT_GNU_BUILD_ID"
MOST_NOTES = 256
"""Notes looked at, not counting runs of equal shape that are skipped (one NT_PRSTATUS per CPU)."""
_LONGEST_RUN = 8192


@dataclass(frozen=True)
class Note:
    owner: bytes
    type: str | int
    """Numbers have the names of GNU's notes, whoever the owner is."""
    offset: int
    """File offset of the descriptor, in bytes."""
    size: int


def walk(source: ByteSource, offset: int, length: int, order: str = "<") -> Iterator[Note]:
    """The notes in `length` bytes at `offset`, in file order, until they stop making sense or the file ends.

    A machine with a thousand CPUs has a thousand NT_PRSTATUS notes of one size: of such a run only the first and the
    last few are looked at, found by halving, so that the cost grows with the logarithm of the number of CPUs.
    """
    end = min(offset + length, source.size)
    for _ in range(MOST_NOTES):
        head = source.read_at(offset, 20) if offset + 12 <= end else b""
        if len(head) < 12:
            return
        header = structures(True, order).Elf_Nhdr.parse(head[:12])  # the same in 32-bit files
        namesz, descsz = header.n_namesz, header.n_descsz
        # A driver's dump of its device (Linux fs/proc/vmcore.c, vmcoredd) comes before VMCOREINFO and may have many megabytes.
        if namesz > 256 or descsz > end - offset or namesz + descsz == 0:
            return
        name = head[12:][:namesz] if namesz <= 8 else source.read_at(offset + 12, namesz)
        desc = offset + 12 + _padded(namesz)
        yield Note(name.rstrip(b"\0"), header.n_type, desc, descsz)
        stride = 12 + _padded(namesz) + _padded(descsz)
        if name[:4] == b"CORE":
            offset += _run(source, offset, stride, end, head) * stride
        offset += stride


def _run(source: ByteSource, offset: int, stride: int, end: int, head: bytes) -> int:
    """How many further notes of the same head follow at the same distance (a lower bound)."""
    jump, passed = _LONGEST_RUN, 0
    while jump:
        target = offset + (passed + jump) * stride
        if target + 20 <= end and source.read_at(target, 20) == head:
            passed += jump
        jump //= 2
    return passed


def _padded(size: int) -> int:
    return (size + 3) & ~3
