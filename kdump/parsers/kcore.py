"""The head of /proc/kcore: program headers, and how kexec looks for the kernel in them.

Source: horms/kexec-tools@29898e1 kexec/arch/i386/crashdump-x86.c get_kernel_vaddr_and_size(), crashdump-x86.h.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PT_LOAD = 1
START_KERNEL_MAP = 0xFFFFFFFF80000000
#: how far above START_KERNEL_MAP kexec expects the kernel to end; with KASLR it may lie up to 1 GiB above
KERNEL_TEXT_SIZE = 512 << 20


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD program header: bytes [start, end) of virtual memory."""

    start: int
    end: int


def segments(text: str) -> tuple[Segment, ...]:
    """PT_LOADs from ``od -tx8 -w56`` of Elf64_Phdr records (type and flags, offset, vaddr, paddr, filesz, memsz, align).

    Raises :class:`ValueError` where a line is not seven words, or no PT_LOAD is there.

    >>> line = "0000000700000001 7fffa4c03000 ffffffffa4c00000 000024c00000 2c30000 2c30000 1000"
    >>> [hex(segment.start) for segment in segments(line)]
    ['0xffffffffa4c00000']
    """
    found = []
    for line in text.splitlines():
        words = [int(word, 16) for word in line.split()]
        if len(words) != 7:
            raise ValueError(f"not a program header: {line!r}")
        if words[0] & 0xFFFFFFFF == PT_LOAD:
            found.append(Segment(words[2], words[2] + words[5]))
    if not found:
        raise ValueError("no PT_LOAD")
    return tuple(found)


def found_by_symbol(found: Iterable[Segment], stext: int) -> bool:
    """kexec's first try: the segment that holds ``_stext`` of /proc/kallsyms, which is 0 where it is hidden."""
    return stext != 0 and any(segment.start <= stext < segment.end for segment in found)


def found_by_address(found: Iterable[Segment]) -> bool:
    """kexec's second try: a segment where the kernel would lie without KASLR."""
    limit = START_KERNEL_MAP + KERNEL_TEXT_SIZE
    return any(segment.start >= START_KERNEL_MAP and segment.end <= limit for segment in found)


def vmcoreinfo(text: str) -> Mapping[str, str]:
    """VMCOREINFO's ``KEY=VALUE`` lines.

    >>> vmcoreinfo("OSRELEASE=6.1.0-56-amd64\\nNUMBER(SECTION_SIZE_BITS)=27")["NUMBER(SECTION_SIZE_BITS)"]
    '27'
    """
    pairs: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        pairs.setdefault(key, value)
    if "OSRELEASE" not in pairs:
        raise ValueError("no OSRELEASE in VMCOREINFO")
    return pairs
