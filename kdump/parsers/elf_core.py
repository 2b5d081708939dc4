"""ELF vmcores: copies of /proc/vmcore, `makedumpfile -E`, and hypervisors' dumps of a guest.

Sources: the gABI for ELF; PN_XNUM from elf(5); DUMP_ELF_INCOMPLETE (bit 0 of e_flags, set where space ran out) and the
order of writing from makedumpfile.c (commit b7587f1e8f45: write_elf_header() leaves room for the program headers,
write_elf_pages_cyclic() fills it in at the end). A killed `makedumpfile -E` therefore leaves null program headers.
Segments lie in the file in the order of their headers, both in makedumpfile's files and in /proc/vmcore.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from kdump.bytesource import ByteSource, NotRecorded, first_hole
from kdump.parsers import vmcoreinfo
from kdump.parsers.dump import Completeness, Dump, State
from kdump.parsers.elf_notes import walk
from kdump.parsers.elf_structures import structures
from kdump.parsers.reading import exactly
from kdump.parsers.unreadable import EndsEarly, Unreadable

MAGIC = b"\x7fELF"
ET_CORE = "ET_CORE"
PT_NULL, PT_LOAD, PT_NOTE = "PT_NULL", "PT_LOAD", "PT_NOTE"
PN_XNUM = 0xFFFF
INCOMPLETE = 0x1
HEADERS_AT_EACH_END = 128
"""Program headers read at the front and at the back of a table that has more than twice as many."""
SAMPLES, WINDOW = 32, 4
"""Places in between, and program headers read there, where the bytes can be had: a transcript does not have them."""
UNWRITTEN = 1 << 20
"""Bytes of a hole that are worth a doubt: neither makedumpfile nor a plain copy of /proc/vmcore leaves one, but a copy that makes
holes of memory of zeros does (`cp --sparse=always`), and so does one that was given its size first and then stopped."""
LAST_BLOCKS, LAST_BLOCK, SAMPLE = 16, 64 << 10, 64
"""The last bytes of the last blocks of a file: of a machine that has booted some are not zero, for the kernel allocates from the
top of memory (Linux mm/memblock.c, top-down). In real dumps it is three quarters of them."""
MACHINES = {
    "EM_386": "i686",
    "EM_PPC": "ppc",
    "EM_PPC64": "ppc64",
    "EM_S390": "s390x",
    "EM_ARM": "arm",
    "EM_X86_64": "x86_64",
    "EM_AARCH64": "aarch64",
    "EM_RISCV": "riscv64",
    "EM_LOONGARCH": "loongarch64",
}


@dataclass(frozen=True)
class ElfHeader:
    order: str
    wide: bool
    type: str | int
    machine: str
    flags: int
    phoff: int
    phentsize: int
    phnum: int
    extended: bool
    """Whether `phnum` is in section header 0 because there are too many for e_phnum."""
    shoff: int
    shentsize: int
    shnum: int
    shstrndx: int


@dataclass(frozen=True)
class Segment:
    type: str | int
    offset: int
    filesz: int
    align: int


def read_header(source: ByteSource) -> ElfHeader:
    """The ELF header, with e_phnum resolved through section header 0 where there are 65535 segments or more."""
    head = source.read_at(0, 64)
    if not head.startswith(MAGIC):
        raise Unreadable("it does not begin with the ELF magic")
    if len(head) < 64:
        raise EndsEarly("the ELF header", 64 - len(head))
    if head[4] not in (1, 2) or head[5] not in (1, 2):
        raise Unreadable("its ELF header has an unknown class or byte order")
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    header = structures(wide, order).Elf_Ehdr.parse(head)
    phnum = header.e_phnum
    extended = phnum == PN_XNUM
    if extended:
        phnum = section_headers(source, wide, order, header.e_shoff, 1, "section header 0")[0].sh_info
    return ElfHeader(
        order,
        wide,
        header.e_type,
        MACHINES.get(header.e_machine, f"ELF machine {header.e_machine}"),
        header.e_flags,
        header.e_phoff,
        header.e_phentsize,
        phnum,
        extended,
        header.e_shoff,
        header.e_shentsize,
        header.e_shnum,
        header.e_shstrndx,
    )


def section_headers(source: ByteSource, wide: bool, order: str, offset: int, count: int, what: str) -> list[Any]:
    """`count` section headers at `offset`, as pyelftools has them."""
    one = structures(wide, order).Elf_Shdr
    size = one.sizeof()
    raw = exactly(source, offset, size * count, what)
    return [one.parse(raw[at : at + size]) for at in range(0, len(raw), size)]


def segments(source: ByteSource, header: ElfHeader, index: int, count: int) -> list[Segment]:
    """`count` program headers from `index` on."""
    one = structures(header.wide, header.order).Elf_Phdr
    size = one.sizeof()
    if header.phentsize != size:
        raise Unreadable(f"its program headers have {header.phentsize} bytes instead of {size}")
    raw = exactly(source, header.phoff + size * index, size * count, "the program headers")
    parsed = (one.parse(raw[at : at + size]) for at in range(0, len(raw), size))
    return [Segment(each.p_type, each.p_offset, each.p_filesz, each.p_align) for each in parsed]


def judge(source: ByteSource) -> Dump:
    """The dump and its completeness. Raises `Unreadable` where this is no core file."""
    try:
        header = read_header(source)
        if header.type != ET_CORE:
            raise Unreadable("it is an ELF file, but not a core")
        if header.phnum == 0:
            raise Unreadable("it is an ELF core without program headers")
        front, back = _ends(source, header)
    except EndsEarly as early:
        return Dump(
            "ELF",
            source.size,
            Completeness.incomplete(early.reason, missing_bytes=max(early.missing, 1), at_least=True),
        )
    info: dict[str, str] = {}
    for segment in front:
        if segment.type == PT_NOTE and not info:
            info = read_vmcoreinfo(source, segment.offset, segment.filesz, header.order)
    complete = _completeness(source, header, front, back)
    if header.flags & INCOMPLETE and complete.state is not State.INCOMPLETE:
        complete = Completeness.incomplete("its header says incomplete: makedumpfile ran out of space")
    return describe(header, info, "ELF", source.size, complete)


def describe(header: ElfHeader, info: dict[str, str], kind: str, size: int, complete: Completeness) -> Dump:
    return Dump(
        format=kind,
        size=size,
        complete=complete,
        release=info.get("OSRELEASE") or None,
        build_id=vmcoreinfo.build_id(info),
        machine=header.machine,
        crash_time=vmcoreinfo.crash_time(info),
        vmcoreinfo=info,
    )


def read_vmcoreinfo(source: ByteSource, offset: int, size: int, order: str) -> dict[str, str]:
    """The VMCOREINFO note of a PT_NOTE segment; empty where there is none or it was not recorded."""
    try:
        for note in walk(source, offset, size, order):
            if note.owner == b"VMCOREINFO":
                return vmcoreinfo.parse(source.read_at(note.offset, min(note.size, vmcoreinfo.LARGEST)))
    except Unreadable:
        pass  # completeness does not need it
    return {}


def _ends(source: ByteSource, header: ElfHeader) -> tuple[list[Segment], list[Segment]]:
    if header.phnum <= 2 * HEADERS_AT_EACH_END:
        return segments(source, header, 0, header.phnum), []
    back = segments(source, header, header.phnum - HEADERS_AT_EACH_END, HEADERS_AT_EACH_END)
    front = segments(source, header, 0, HEADERS_AT_EACH_END)
    room = header.phnum - 2 * HEADERS_AT_EACH_END - WINDOW
    for share in range(SAMPLES if room > SAMPLES * WINDOW else 0):
        with contextlib.suppress(NotRecorded):
            front += segments(source, header, HEADERS_AT_EACH_END + room * share // SAMPLES, WINDOW)
    return front, back


def _completeness(source: ByteSource, header: ElfHeader, front: list[Segment], back: list[Segment]) -> Completeness:
    seen = front + back
    if any(segment.type == PT_NULL for segment in seen):
        why = "ran out of space" if header.flags & INCOMPLETE else "was stopped before it finished"
        return Completeness.incomplete(f"its program headers were never filled in: makedumpfile {why}")
    loads = [segment for segment in seen if segment.type == PT_LOAD]
    if not loads:
        return Completeness.incomplete("it has no memory segment at all")
    filled = [segment.offset for segment in loads if segment.filesz]
    if not filled:
        return Completeness.incomplete("there is no memory in any of its segments")
    if min(filled) < (64 if header.wide else 52):
        return Completeness.incomplete("a segment lies where the ELF header is: its program headers are damaged")
    end = max(segment.offset + segment.filesz for segment in seen)
    if source.size < end:
        return Completeness.incomplete(
            f"the file ends {end - source.size} bytes before its last segment does", missing_bytes=end - source.size
        )
    if back and filled != sorted(filled):
        return Completeness.cannot_tell(f"its {header.phnum} segments are not in the order of the file, and only some were read")
    known = getattr(source, "allocated", None)
    at = first_hole(source, min(filled), end, UNWRITTEN)
    if at is not None or (known is not None and not hasattr(source, "first_hole") and source.size - known > UNWRITTEN):
        where = (
            f"a hole of {UNWRITTEN >> 20} MiB or more at {at}" if at is not None else "holes: bytes that take no room on the disk"
        )
        return Completeness.cannot_tell(
            f"it has {where}; memory of zeros that a copy left out, or memory that was never written: open it to be sure"
        )
    if _ends_in_zeros(source, min(filled)):
        return Completeness.cannot_tell(
            f"its last {LAST_BLOCKS * LAST_BLOCK >> 20} MiB seem to be zeros: a file that was given its size first, or memory "
            "that was never used; open it to be sure"
        )
    return Completeness.complete(f"all {header.phnum} segments lie inside the file")


def _ends_in_zeros(source: ByteSource, start: int) -> bool:
    seen = 0
    for block in range(LAST_BLOCKS):
        at = source.size - LAST_BLOCK * block - SAMPLE
        if at < start:
            break
        try:
            if any(source.read_at(at, SAMPLE)):
                return False
        except NotRecorded:
            return False  # a transcript of earlier times
        seen += 1
    return seen > 0
