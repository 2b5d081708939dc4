"""Dumps as makedumpfile writes them, small, for tests: the same layout, the same order of writes.

Everything follows makedumpfile.c, commit b7587f1e8f45: write_kdump_header(), write_kdump_pages_and_bitmap_cyclic(),
write_kdump_page() (the joint flush of descriptors and pages), write_kdump_eraseinfo(), check_and_modify_kdump_headers()
(the incomplete flag), write_elf_header() and write_elf_pages_cyclic(), write_buffer() (flattened records). The
structures are diskdump_mod.h's. A dump is a list of writes; a killed makedumpfile is the first few of them.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import zstandard

BUILD_ID = "5e1f" * 10
RELEASE = "6.1.0-50-amd64"
VERSION = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.170-1 (2026-05-01)"
CRASHTIME = 1795418176
VMCOREINFO = (
    f"OSRELEASE={RELEASE}\nBUILD-ID={BUILD_ID}\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff8281b9a0\n"
    f"KERNELOFFSET=20000000\nCRASHTIME={CRASHTIME}\n"
).encode()

Write = tuple[int, bytes]


def note(owner: bytes, kind: int, desc: bytes) -> bytes:
    name = owner + b"\0"
    return struct.pack("<III", len(name), len(desc), kind) + _pad(name) + _pad(desc)


def notes(vmcoreinfo: bytes = VMCOREINFO, cpus: int = 2) -> bytes:
    return b"".join(note(b"CORE", 1, bytes([cpu % 256]) * 336) for cpu in range(cpus)) + note(b"VMCOREINFO", 0, vmcoreinfo)


@dataclass(frozen=True)
class Plan:
    """What to dump and how. `pages` are page frames with data, `zeros` those that hold nothing but zeros."""

    pages: Sequence[int] = tuple(range(3, 900, 2))
    zeros: Sequence[int] = tuple(range(4, 400, 4))
    max_mapnr: int = 1024
    block: int = 4096
    level: int = 31
    compression: int = 1
    version: int = 6
    machine: str = "x86_64"
    layout: str = ""
    """`wide`, `packed` or `aligned` structures where the machine's name does not say it, as in QEMU's dumps."""
    notes: bytes = field(default_factory=notes)
    eraseinfo: bytes = b""
    split: tuple[int, int] | None = None
    cache_order: int = 4
    bitmap_write: int = 4096
    seed: int = 1


def page_data(plan: Plan, pfn: int) -> tuple[bytes, int]:
    """(bytes as they are in the dump, flags)."""
    rnd = random.Random(plan.seed * 1_000_003 + pfn)
    if pfn % 7 == 0:
        return rnd.randbytes(plan.block), 0  # does not compress
    raw = (rnd.randbytes(48) * (plan.block // 48 + 1))[: plan.block]
    if plan.compression == 1:
        return zlib.compress(raw, 1), 1
    if plan.compression == 2:
        return rnd.randbytes(90) + b"\x11\0\0", 2
    if plan.compression == 4:
        length, preamble = plan.block, b""
        while length >= 0x80:
            preamble += bytes([length & 0x7F | 0x80])
            length >>= 7
        return preamble + bytes([length]) + rnd.randbytes(90), 4
    if plan.compression == 0x20:
        return zstandard.ZstdCompressor().compress(raw), 0x20
    return (b"\xff" * plan.block if pfn % 5 == 0 else raw), 0


def kdump_writes(plan: Plan) -> list[Write]:
    """Every write of makedumpfile, in its order."""
    layout = plan.layout or {"i686": "packed", "armv7l": "aligned"}.get(plan.machine, "wide")
    narrow, arm = layout != "wide", layout == "aligned"
    sub_size = (96 if arm else 80) if narrow else 104
    block = plan.block
    sub_blocks = -(-(sub_size + len(plan.notes)) // block)
    half = -(-plan.max_mapnr // (8 * block))
    writes: list[Write] = []

    names = ("Linux", "testhost", RELEASE, VERSION, plan.machine, "(none)")
    header = b"KDUMP   " + struct.pack("<i", plan.version) + b"".join(one.encode().ljust(65, b"\0") for one in names)
    header += (b"\0" * 2 + struct.pack("<ii", CRASHTIME, 0)) if narrow else (b"\0" * 6 + struct.pack("<qq", CRASHTIME, 0))
    mapnr32 = min(plan.max_mapnr, 0xFFFFFFFF)
    header += struct.pack("<IiiIIIIIIi", plan.compression, block, sub_blocks, 2 * half, mapnr32, 0, 0, 0, 0, 2)
    header += b"" if narrow else b"\0" * 4  # padding of the structure, as sizeof counts it before tasks[0]
    writes.append((0, header[: 452 if narrow else 464]))

    offset_note = block + sub_size
    text_at = plan.notes.find(b"OSRELEASE")
    writes.append((offset_note, plan.notes))
    sub = _sub_header(plan, narrow, arm, offset_note, text_at)
    writes.append((block, sub))

    present = sorted({*plan.pages, *plan.zeros})
    bitmap1 = (b"\xff" * (plan.max_mapnr // 8)).ljust(half * block, b"\0")  # memory without holes
    bitmap2 = _bits(present, half * block)
    at = (1 + sub_blocks) * block
    for bitmap in (bitmap1, bitmap2):
        for start in range(0, len(bitmap), plan.bitmap_write):
            writes.append((at + start, bitmap[start : start + plan.bitmap_write]))
        at += len(bitmap)

    table = at
    data = table + 24 * len(present)
    cache = block << plan.cache_order
    header_at, header_buf, page_at, page_buf = table, b"", data, b""
    where = data
    zero_page = struct.pack("<qIIQ", data, block, 0, 0)
    if plan.level & 1:
        page_buf = bytes(block)
        where += block
    start_pfn, end_pfn = plan.split or (0, plan.max_mapnr)
    zeros = set(plan.zeros)
    for pfn in present:
        if not start_pfn <= pfn < end_pfn:
            continue
        if pfn in zeros and plan.level & 1:
            header_buf += zero_page
            if len(header_buf) >= cache:
                writes.append((header_at, header_buf[:cache]))
                header_at, header_buf = header_at + cache, header_buf[cache:]
            continue
        raw, flags = (bytes(block), 0) if pfn in zeros else page_data(plan, pfn)
        if len(header_buf) + 24 >= cache or len(page_buf) + len(raw) >= cache:
            writes += [(header_at, header_buf), (page_at, page_buf)]
            header_at, header_buf = header_at + len(header_buf), b""
            page_at, page_buf = page_at + len(page_buf), b""
        header_buf += struct.pack("<qIIQ", where, len(raw), flags, 0)
        page_buf += raw
        where += len(raw)
    writes += [(page_at, page_buf), (header_at, header_buf)]
    if plan.eraseinfo:
        writes.append((where, plan.eraseinfo))
        writes.append((block, _sub_header(plan, narrow, arm, offset_note, text_at, where)))
    return [one for one in writes if one[1]]


def elf_writes(
    segments: Sequence[tuple[int, int]] = ((0x1000, 60_000), (0x100000, 0), (0x200000, 200_000)),
    *,
    note_bytes: bytes | None = None,
    machine: int = 62,
    wide: bool = True,
    extended: bool = False,
) -> list[Write]:
    """`makedumpfile -E`: (physical address, bytes in the file) per segment. `extended` forces PN_XNUM numbering."""
    note_bytes = notes() if note_bytes is None else note_bytes
    count = len(segments) + 1
    ehdr_size, phdr_size, shdr_size = (64, 56, 64) if wide else (52, 32, 40)
    phdrs_end = ehdr_size + phdr_size * count
    notes_at = phdrs_end + (shdr_size if extended else 0)
    phnum = 0xFFFF if extended else count
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    ehdr = ident + struct.pack(
        "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH",
        *(4, machine, 1, 0, ehdr_size, phdrs_end if extended else 0, 0, ehdr_size, phdr_size, phnum),
        *((shdr_size, 1, 0) if extended else (0, 0, 0)),
    )
    writes: list[Write] = [(ehdr_size, bytes(phdr_size * count))]
    if extended:
        shdr = struct.pack("<IIQQQQIIQQ" if wide else "<IIIIIIIIII", 0, 0, 0, 0, 0, 1, 0, count, 0, 0)
        writes.append((phdrs_end, shdr))
    writes += [(0, ehdr), (notes_at, note_bytes)]
    phdrs = _phdr(wide, 4, notes_at, 0, len(note_bytes), 0)
    at = notes_at + len(note_bytes)
    rnd = random.Random(7)
    pages: list[Write] = []
    for paddr, size in segments:
        phdrs += _phdr(wide, 1, at if size else 0, paddr, size, max(size, 4096))
        for start in range(0, size, 65536):
            pages.append((at + start, rnd.randbytes(min(65536, size - start))))
        at += size
    last = pages[-1:]
    return writes + pages[:-1] + [(ehdr_size, phdrs)] + last


def plain(writes: Iterable[Write], size: int = 0) -> bytes:
    """The file that the writes leave behind; what was never written is a hole."""
    out = bytearray(size)
    for offset, data in writes:
        if len(out) < offset + len(data):
            out.extend(bytes(offset + len(data) - len(out)))
        out[offset : offset + len(data)] = data
    return bytes(out)


def flat(writes: Iterable[Write], *, end: bool = True) -> bytes:
    """The same writes into a pipe. Where makedumpfile reserves room (ELF headers), it writes nothing here."""
    out = bytearray((b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1)).ljust(4096, b"\0"))
    for offset, data in writes:
        if data.strip(b"\0") or offset != 64:
            out += struct.pack(">qq", offset, len(data)) + data
    return bytes(out) + (b"\xff" * 16 if end else b"")


def kdump(plan: Plan | None = None) -> bytes:
    return plain(kdump_writes(plan or Plan()))


def with_incomplete_flag(dump: bytes) -> bytes:
    """check_and_modify_kdump_headers(): the flag is set after the fact."""
    status = struct.unpack_from("<I", dump, 424)[0] | 0x8
    return dump[:424] + struct.pack("<I", status) + dump[428:]


def split_plans(plan: Plan, parts: int) -> list[Plan]:
    edges = [plan.max_mapnr * i // parts // 64 * 64 for i in range(parts)] + [plan.max_mapnr]
    return [replace(plan, split=(edges[i], edges[i + 1])) for i in range(parts)]


def _sub_header(plan: Plan, narrow: bool, arm: bool, offset_note: int, text_at: int, erase_at: int = 0) -> bytes:
    start, end = plan.split or (0, 0)
    version = plan.version
    info = (offset_note + text_at, len(plan.notes) - text_at) if version >= 3 and text_at >= 0 else (0, 0)
    elf = (offset_note, len(plan.notes)) if version >= 4 else (0, 0)
    erase = (erase_at, len(plan.eraseinfo)) if erase_at and version >= 5 else (0, 0)
    wide_pfns = (start, end, plan.max_mapnr) if version >= 6 else (0, 0, 0)
    split = int(plan.split is not None)
    if not narrow:
        return struct.pack("<QiiQQqQqQqQQQQ", 0, plan.level, split, start, end, *info, *elf, *erase, *wide_pfns)
    if arm:
        return struct.pack("<IiiII4xqI4xqI4xqI4xQQQ", 0, plan.level, split, start, end, *info, *elf, *erase, *wide_pfns)
    return struct.pack("<IiiIIqIqIqIQQQ", 0, plan.level, split, start, end, *info, *elf, *erase, *wide_pfns)


def _phdr(wide: bool, kind: int, offset: int, paddr: int, filesz: int, memsz: int) -> bytes:
    if wide:
        return struct.pack("<IIQQQQQQ", kind, 0, offset, 0, paddr, filesz, memsz, 0)
    return struct.pack("<IIIIIIII", kind, offset, 0, paddr, filesz, memsz, 0, 0)


def _bits(pfns: Iterable[int], size: int) -> bytes:
    out = bytearray(size)
    for pfn in pfns:
        out[pfn // 8] |= 1 << pfn % 8
    return bytes(out)


def _pad(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 4)
