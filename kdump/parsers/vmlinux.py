"""vmlinux: which kernel an image with symbols belongs to, and whether it has what crash needs.

The build-id is the GNU note of type 3, found through PT_NOTE, or through the SHT_NOTE sections where the file is a
separate `.debug` file whose program headers point nowhere (gABI; `objcopy --only-keep-debug`). crash needs DWARF:
section .debug_info (or .zdebug_info). A modern kernel's .rodata holds two banners, a weak early one without build
number first, so all are listed.

A compressed vmlinux is known by the front of what is inside: its notes are there, its section headers (at the very end) are
not, so whether it has DWARF stays unknown. Whether its end is there at all tells the compressed file's own end: an .xz
footer (The .xz File Format, 2.1.2), the size in a gzip trailer (RFC 1952, ISIZE), `zstd -l`, which goes from block to block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kdump.bytesource import ByteSource, NotRecorded
from kdump.parsers import elf_core
from kdump.parsers.compressed import compression_of, cut_short
from kdump.parsers.elf_notes import NT_GNU_BUILD_ID, walk
from kdump.parsers.reading import LARGEST_READ
from kdump.parsers.unreadable import EndsEarly, Unreadable

SHT_NOTE, SHT_NOBITS = "SHT_NOTE", "SHT_NOBITS"
MOST_SECTIONS = 1024
"""Section headers read (64 KiB); a vmlinux has about 80."""
LONGEST_BANNER_SCAN = 64 << 20
LONGEST_SUPPLEMENT = 64 << 10
"""Bytes that may follow the section headers, such as a signature (Linux scripts/sign-file.c)."""


@dataclass(frozen=True)
class Vmlinux:
    machine: str
    build_id: str | None
    has_dwarf: bool | None
    """None where it cannot be known without reading the whole file."""
    compression: str | None = None
    banners: tuple[str, ...] = ()
    """Every `Linux version …` line found; empty also where they were not looked for."""
    end_seen: bool = True
    """Whether its end is known to be there; never False for a file that is not compressed."""


def read(source: ByteSource, *, banners: bool = False) -> Vmlinux:
    """Raises `Unreadable` where this is no vmlinux, saying what it is instead."""
    head = source.read_at(0, 640)
    compression = compression_of(head)
    if compression is not None:
        raise Unreadable(f"it is compressed with {compression}, which could not be undone there: decompress it first")
    if not head.startswith(elf_core.MAGIC):
        raise Unreadable(not_a_vmlinux(head))
    header = _elf(source)
    sections = _sections(source, header)
    build_id = _build_id(source, header) or _build_id_of_sections(source, header, sections)
    dwarf = any(name in (".debug_info", ".zdebug_info") and kind != SHT_NOBITS for name, kind, _, _ in sections)
    found: tuple[str, ...] = ()
    if banners:
        found = tuple(_banners(source, sections))
    return Vmlinux(header.machine, build_id, dwarf, None, found)


def not_a_vmlinux(head: bytes) -> str:
    """What a file is that is not ELF (Linux Documentation/arch/x86/boot.rst and arch/arm64/booting.rst)."""
    if head[0x202:0x206] == b"HdrS":
        return "it is a vmlinuz (x86 boot image), not a vmlinux: install the kernel's debuginfo package"
    if head[56:60] == b"ARM\x64" or head[4:8] == b"zimg":
        return "it is a vmlinuz (arm64 boot image), not a vmlinux: install the kernel's debuginfo package"
    if head.startswith(b"MZ"):
        return "it is an EFI program, not a vmlinux: install the kernel's debuginfo package"
    if not head:
        return "it is empty, not a vmlinux"
    return "it is not an ELF file, so not a vmlinux"


def _elf(source: ByteSource) -> elf_core.ElfHeader:
    header = elf_core.read_header(source)
    if header.type == elf_core.ET_CORE:
        raise Unreadable("it is a core, not a vmlinux")
    if header.type not in ("ET_EXEC", "ET_DYN"):  # the latter is arm64's, relocatable
        raise Unreadable("it is an ELF object, not a vmlinux")
    return header


def _build_id(source: ByteSource, header: elf_core.ElfHeader) -> str | None:
    if not 0 < header.phnum <= 64:
        return None
    for segment in elf_core.segments(source, header, 0, header.phnum):
        if segment.type == elf_core.PT_NOTE and (found := _note(source, segment.offset, segment.filesz, header.order)):
            return found
    return None


def _build_id_of_sections(
    source: ByteSource, header: elf_core.ElfHeader, sections: list[tuple[str, str | int, int, int]]
) -> str | None:
    for _, kind, offset, size in sections:
        if kind == SHT_NOTE and (found := _note(source, offset, size, header.order)):
            return found
    return None


def _note(source: ByteSource, offset: int, size: int, order: str) -> str | None:
    for note in walk(source, offset, min(size, LARGEST_READ), order):
        if note.owner == b"GNU" and note.type == NT_GNU_BUILD_ID and 4 <= note.size <= 64:
            return source.read_at(note.offset, note.size).hex()
    return None


def _sections(source: ByteSource, header: elf_core.ElfHeader) -> list[tuple[str, str | int, int, int]]:
    """(name, type, offset, size) of every section; empty where the file has none."""
    size = 64 if header.wide else 40
    if header.shoff == 0 or header.shnum == 0:
        return []
    if header.shentsize != size or header.shnum > MOST_SECTIONS:
        raise Unreadable(f"its {header.shnum} section headers of {header.shentsize} bytes make no sense")
    try:
        parsed = elf_core.section_headers(source, header.wide, header.order, header.shoff, header.shnum, "the section headers")
    except EndsEarly as early:
        raise Unreadable("it is cut short: its section headers lie past the end of the file") from early
    rows = [(one.sh_name, one.sh_type, one.sh_offset, one.sh_size) for one in parsed]
    if header.shstrndx >= len(rows):
        return []
    names = source.read_at(rows[header.shstrndx][2], min(rows[header.shstrndx][3], 1 << 16))
    return [
        (names[at : at + 64].split(b"\0", 1)[0].decode("ascii", "replace"), kind, offset, length)
        for at, kind, offset, length in rows
    ]


def _banners(source: ByteSource, sections: list[tuple[str, str | int, int, int]]) -> Iterator[str]:
    seen: set[str] = set()
    for name, kind, offset, size in sections:
        if name not in (".rodata", ".init.data", ".init.rodata", ".data") or kind == SHT_NOBITS:
            continue
        end = min(offset + min(size, LONGEST_BANNER_SCAN), source.size)
        keep = b""
        while offset < end:
            chunk = source.read_at(offset, min(1 << 20, end - offset))
            if not chunk:
                break
            offset += len(chunk)
            for match in re.finditer(rb"Linux version ([0-9][ -~]{8,1000})\n?\0", keep + chunk):
                banner = "Linux version " + match[1].decode("ascii")
                if banner not in seen and len(seen) < 16:
                    seen.add(banner)
                    yield banner
            keep = chunk[-1100:]


def read_front(front: ByteSource, compression: str, packed: ByteSource, listed: str | None) -> Vmlinux:
    """A compressed vmlinux from the front of what is inside. Raises `Unreadable`.

    ``packed``: the compressed file; ``listed``: what `zstd -l` complains of, empty where it does not, None where it was not
    asked.
    """
    head = front.read_at(0, 640)
    if not head.startswith(elf_core.MAGIC):
        raise Unreadable(not_a_vmlinux(head))
    header = _elf(front)
    if not 0 < header.phnum <= 64:
        raise Unreadable(f"it is compressed with {compression} and has no program headers: decompress it first")
    end_seen = _end_seen(packed, compression, listed, header)
    build_id: str | None = None
    for segment in sorted(elf_core.segments(front, header, 0, header.phnum), key=lambda one: one.offset):
        if segment.type == elf_core.PT_NOTE and not build_id:
            build_id = _note(front, segment.offset, segment.filesz, header.order)
    return Vmlinux(header.machine, build_id, None, compression, end_seen=end_seen)


def _end_seen(packed: ByteSource, compression: str, listed: str | None, header: elf_core.ElfHeader) -> bool:
    """Whether the end of a compressed file is known to be there. Raises `Unreadable` where it is not there."""
    if compression == "zstd":
        if listed:
            raise Unreadable(f"zstd does not find its end: {listed}")
        return listed is not None
    try:
        if compression == "xz":
            if cut_short(packed, compression):
                raise Unreadable("it is cut short: its xz stream has no footer")
            return True
        inside = int.from_bytes(packed.read_at(max(0, packed.size - 4), 4), "little")
    except NotRecorded:
        return False
    promised = header.shoff + header.shentsize * header.shnum
    if not header.shoff or compression != "gzip":
        return False
    if (inside - promised) % (1 << 32) > LONGEST_SUPPLEMENT:
        raise Unreadable("it is cut short, or more than one gzip stream: its last bytes are not the size of what is inside")
    return True


def is_of(path: str, release: str) -> bool:
    """Whether a path names the kernel that a vmlinux is of, as debuginfo packages and `make` install it.

    >>> is_of("/usr/lib/debug/boot/vmlinux-6.1.0-9.debug", "6.1.0-9"), is_of("/boot/vmlinux-6.1.0-90", "6.1.0-9")
    (True, False)
    """
    *folders, name = path.split("/")
    stem = re.sub(r"(\.debug|\.gz|\.bz2|\.xz|\.zst)+$", "", name)
    return stem == f"vmlinux-{release}" or (stem == "vmlinux" and release in folders)
