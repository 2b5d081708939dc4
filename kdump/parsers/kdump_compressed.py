"""The kdump-compressed format of makedumpfile, also written by QEMU's dump-guest-memory and `makedumpfile --split`.

Layout (makedumpfile diskdump_mod.h and write_kdump_header(), write_kdump_pages_and_bitmap_cyclic() of makedumpfile.c,
commit b7587f1e8f45; read again by crash diskdump.c, commit abcb45e7d443). Offsets in bytes, "block" = block_size:

    0                        disk_dump_header: "KDUMP   ", version, utsname, time, status, block_size, …
    1 block                  kdump_sub_header: dump level, split, where VMCOREINFO, notes and erase info lie
    1+sub_hdr_size blocks    first bitmap, then the second: a bit per page frame, set where the page is in the dump
    T = 1+sub_hdr_size+bitmap_blocks blocks
                             page descriptors, 24 bytes each: i64 offset, u32 size, u32 flags, u64 page flags
    T+24·N                   page data, in the order of the descriptors; first the one shared page of zeros where
                             dump level bit 1 is set; after the data the erase info, if any

A split file has room for the descriptors of all files (N), but fills in only those of its own page frames.

How a loss shows: makedumpfile writes descriptors and pages front to back and the last descriptors after everything
else, so a killed or reset makedumpfile leaves unwritten (zero) descriptors at the end; a file cut short later has all
descriptors but ends before the last page does; and where space ran out, status bit 0x8 is set afterwards.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from dataclasses import dataclass

import zstandard

from kdump.bytesource import ByteSource, NotRecorded, first_hole
from kdump.parsers import vmcoreinfo
from kdump.parsers.dump import Completeness, Dump, Split, State
from kdump.parsers.elf_notes import walk
from kdump.parsers.reading import exactly, text
from kdump.parsers.unreadable import EndsEarly, Unreadable

SIGNATURES = (b"KDUMP   ", b"DISKDUMP")
DESCRIPTOR = 24
HEADER_READ = 512
"""Enough for the common header of every architecture (464 bytes on 64-bit ones)."""
SUB_HEADER_READ = 104
LAST_DESCRIPTORS = 128
"""The descriptors at the end of the table that are read, in one request."""
SAMPLES = 5
"""Equal parts of the dump, at whose ends a window of descriptors and a page's compression frame are looked at."""
MORE_SAMPLES = 60
"""The same, a multiple of it, where the bytes can be had: a transcript has only those above."""
LARGEST_BITMAP = 4 << 20
"""A bitmap larger than this (of 128 GiB of 4 KiB pages) is not counted."""
SMALL_BITMAP = 128 << 10
"""One that is no larger (4 GiB of 4 KiB pages) is counted even where the descriptors tell how many pages there are."""
WINDOW = 16
"""Descriptors read at one place, in search of the last page that is not the shared page of zeros, and as a sample."""
SLACK = 64 << 10
"""Bytes by which what a file takes on the disk may fall short of its size for no reason."""
LONGEST_SCAN = 256 << 10
"""Descriptors read backwards where that search does not find it, in bytes."""

ZLIB, LZO, SNAPPY, INCOMPLETE, ZSTD = 0x1, 0x2, 0x4, 0x8, 0x20
_COMPRESSIONS = {ZLIB: "zlib", LZO: "lzo", SNAPPY: "snappy", ZSTD: "zstd"}


@dataclass(frozen=True)
class Header:
    """Common header and sub header, of any word size and byte order."""

    order: str
    version: int
    sysname: str
    nodename: str
    release: str
    uname_version: str
    machine: str
    timestamp: int
    status: int
    block_size: int
    sub_hdr_size: int
    bitmap_blocks: int
    max_mapnr: int
    dump_level: int | None
    split: bool
    start_pfn: int
    end_pfn: int
    offset_vmcoreinfo: int
    size_vmcoreinfo: int
    offset_note: int
    size_note: int
    offset_eraseinfo: int
    size_eraseinfo: int

    @property
    def bitmap(self) -> int:
        return (1 + self.sub_hdr_size) * self.block_size

    @property
    def table(self) -> int:
        return (1 + self.sub_hdr_size + self.bitmap_blocks) * self.block_size

    @property
    def compression(self) -> str | None:
        return next((name for bit, name in _COMPRESSIONS.items() if self.status & bit), None)


@dataclass(frozen=True)
class Descriptor:
    offset: int
    size: int
    flags: int

    @property
    def unwritten(self) -> bool:
        return self.offset == 0 and self.size == 0


def read_header(source: ByteSource) -> Header:
    """Both headers. Raises `Unreadable` where they make no sense, `EndsEarly` where the file is shorter than they."""
    head = source.read_at(0, HEADER_READ)
    if not head.startswith(SIGNATURES):
        raise Unreadable("it does not begin with the signature of the kdump-compressed format")
    if head.startswith(b"DISKDUMP"):
        raise Unreadable("it is in the diskdump format of Linux 2.6 times, which is not judged here")
    if len(head) < 464:
        raise EndsEarly("the dump header", 464 - len(head))
    order = "<" if 0 <= struct.unpack_from("<i", head, 8)[0] <= 0xFFFF else ">"
    version = struct.unpack_from(order + "i", head, 8)[0]
    names = [text(head[12 + 65 * i : 12 + 65 * (i + 1)]) for i in range(6)]
    at = _after_timestamp(head, order)
    wide = at == _AFTER_TIMESTAMP[0]
    seconds = struct.unpack_from(order + ("q" if wide else "i"), head, at - 16 if wide else at - 8)[0]
    status, block, sub_hdr, bitmap, max_mapnr = struct.unpack_from(order + "IiiII", head, at)
    sub = exactly(source, block, SUB_HEADER_READ, "the sub header")
    fields = _sub_header(sub, order, wide, names[4])
    if version >= 6:
        max_mapnr = fields["max_mapnr_64"]
        fields["start_pfn"], fields["end_pfn"] = fields["start_pfn_64"], fields["end_pfn_64"]
    if version < 3:
        fields["offset_vmcoreinfo"] = fields["size_vmcoreinfo"] = 0
    if version < 4:
        fields["offset_note"] = fields["size_note"] = 0
    if version < 5:
        fields["offset_eraseinfo"] = fields["size_eraseinfo"] = 0
    return Header(
        order=order,
        version=version,
        sysname=names[0],
        nodename=names[1],
        release=names[2],
        uname_version=names[3],
        machine=names[4] if names[4] != "Unknown" else "",  # QEMU's word for Arm
        timestamp=seconds,
        status=status,
        block_size=block,
        sub_hdr_size=sub_hdr,
        bitmap_blocks=bitmap,
        max_mapnr=max_mapnr,
        dump_level=fields["dump_level"] if version >= 1 else None,
        split=version >= 2 and fields["split"] != 0,
        start_pfn=fields["start_pfn"],
        end_pfn=fields["end_pfn"],
        offset_vmcoreinfo=fields["offset_vmcoreinfo"],
        size_vmcoreinfo=fields["size_vmcoreinfo"],
        offset_note=fields["offset_note"],
        size_note=fields["size_note"],
        offset_eraseinfo=fields["offset_eraseinfo"],
        size_eraseinfo=fields["size_eraseinfo"],
    )


def judge(source: ByteSource) -> Dump:
    """The dump and its completeness. Raises `Unreadable` only where the headers do not describe a dump at all."""
    try:
        header = read_header(source)
    except EndsEarly as early:
        return Dump("kdump-compressed", source.size, _cut(early))
    info = read_vmcoreinfo(source, header)
    pages: int | None = None
    split: Split | None = None
    try:
        complete, pages, split = _completeness(source, header)
    except EndsEarly as early:
        complete = _cut(early)
    except Unreadable as unreadable:
        complete = Completeness.cannot_tell(unreadable.reason)
    if header.status & INCOMPLETE and complete.state is not State.INCOMPLETE:
        complete = Completeness.incomplete("its header says incomplete: makedumpfile ran out of space")
    return describe(header, info, "kdump-compressed", source.size, complete, pages, split)


def describe(
    header: Header,
    info: dict[str, str],
    kind: str,
    size: int,
    complete: Completeness,
    pages: int | None,
    split: Split | None = None,
) -> Dump:
    return Dump(
        format=kind,
        size=size,
        complete=complete,
        release=info.get("OSRELEASE") or header.release or None,
        version=header.uname_version or None,
        build_id=vmcoreinfo.build_id(info),
        machine=header.machine or None,
        nodename=header.nodename or None,
        crash_time=vmcoreinfo.crash_time(info) or vmcoreinfo.moment(header.timestamp),
        dump_level=header.dump_level,
        compression=header.compression,
        pages=pages,
        header_version=header.version,
        split=split,
        vmcoreinfo=info,
    )


def read_vmcoreinfo(source: ByteSource, header: Header) -> dict[str, str]:
    """VMCOREINFO by its own offset (version 3), else from the notes (version 4); empty where there is none."""
    try:
        if header.offset_vmcoreinfo > 0 and header.size_vmcoreinfo > 0:
            size = min(header.size_vmcoreinfo, vmcoreinfo.LARGEST)
            return vmcoreinfo.parse(source.read_at(header.offset_vmcoreinfo, size))
        if header.offset_note > 0 and header.size_note > 0:
            for note in walk(source, header.offset_note, header.size_note, header.order):
                if note.owner == b"VMCOREINFO":
                    return vmcoreinfo.parse(source.read_at(note.offset, min(note.size, vmcoreinfo.LARGEST)))
    except Unreadable:
        pass  # its release and time are in the header too, and completeness does not need it
    return {}


def descriptors(source: ByteSource, header: Header, index: int, count: int) -> list[Descriptor]:
    raw = exactly(source, header.table + DESCRIPTOR * index, DESCRIPTOR * count, "the page descriptors")
    return [Descriptor(*values[:3]) for values in struct.iter_unpack(header.order + "qIIQ", raw)]


def page_count(header: Header, first: Descriptor) -> int | None:
    """N from the first descriptor: the page data begin right after the table.

    Where zero pages are excluded, the first datum is the page of zeros and the first descriptor points to it or
    past it. Block sizes are not multiples of 24, so at most one of the two readings is a whole number.
    """
    for zero_page in (0, header.block_size):
        table, rest = divmod(first.offset - zero_page - header.table, DESCRIPTOR)
        if rest == 0 and 0 < table <= header.max_mapnr:
            return table
    return None


def bad(header: Header, page: Descriptor, data: int) -> str | None:
    """What is wrong with a written descriptor; None where nothing is. `data` is where page data begin."""
    if page.offset < data:
        return f"points to {page.offset}, before the page data"
    if not 0 < page.size <= header.block_size:
        return f"gives its page {page.size} bytes"
    if page.flags not in (0, ZLIB, LZO, SNAPPY, ZSTD):
        return f"has flags {page.flags:#x}"
    if not page.flags and page.size != header.block_size:
        return f"gives its page, which is not compressed, {page.size} bytes"
    return None


def _completeness(source: ByteSource, header: Header) -> tuple[Completeness, int | None, Split | None]:
    first = descriptors(source, header, 0, 1)[0]
    part = Split(header.start_pfn, header.end_pfn, header.max_mapnr) if header.split else None
    if first.unwritten:
        if header.split:
            here = _count_bits(source, header, header.start_pfn, header.end_pfn)
            if not here:
                return _empty_part(source, header, here)
        return Completeness.incomplete("makedumpfile stopped before it had written the first page"), None, part
    if first.offset < header.table + DESCRIPTOR:
        reason = f"its first page descriptor points to {first.offset}, before the page data"
        return Completeness.incomplete(reason), None, part
    total = page_count(header, first)
    if total is None:
        # Not makedumpfile's layout: the bitmap counts the pages.
        total = _count_bits(source, header, 0, header.max_mapnr)
        if not total:
            return (
                Completeness.cannot_tell(
                    "its page descriptors do not follow makedumpfile's layout, and its bitmap is too large to count"
                ),
                None,
                part,
            )
    here = total
    if header.split:
        here = _count_bits(source, header, header.start_pfn, header.end_pfn)
    table_end = header.table + DESCRIPTOR * total
    if source.size < table_end:
        missing = table_end - source.size
        return (
            Completeness.incomplete("the file ends inside the page descriptors", missing_bytes=missing, at_least=True),
            total,
            part,
        )
    written = total
    if header.split or descriptors(source, header, total - 1, 1)[0].unwritten:
        written = _written(source, header, total)
    if part:
        part = Split(part.start_pfn, part.end_pfn, part.max_mapnr, written, total)
    if here is not None and written < here:
        reason = f"only {written} of {here} pages were written: makedumpfile was stopped before it finished"
        if header.status & INCOMPLETE:
            reason = f"only {written} of {here} pages were written: makedumpfile ran out of space"
        return Completeness.incomplete(reason, missing_pages=here - written), total, part
    complete = _bounds(source, header, total, written, here)
    if complete.state is State.COMPLETE and header.max_mapnr <= 8 * SMALL_BITMAP:
        counted = _count_bits(source, header, 0, header.max_mapnr)
        if counted is not None and counted < total:
            reason = f"its bitmap has {counted} pages, and it has descriptors of {total}: a part of the bitmap was lost"
            complete = Completeness.incomplete(reason)
        elif counted is not None and counted > total:
            reason = f"its bitmap has {counted} pages, and it has descriptors of {total} only"
            complete = Completeness.cannot_tell(reason)
    return complete, total, part


def _empty_part(source: ByteSource, header: Header, here: int | None) -> tuple[Completeness, int | None, Split]:
    """A file of a split dump without a page; its descriptors have the room of all files nevertheless."""
    total = _count_bits(source, header, 0, header.max_mapnr)
    part = Split(header.start_pfn, header.end_pfn, header.max_mapnr, 0, total)
    if here is None or total is None:
        reason = "it is one file of a split dump without a page, and its bitmap is too large to see whether that is right"
        return Completeness.cannot_tell(reason), total, part
    end = header.table + DESCRIPTOR * total
    if header.dump_level and header.dump_level & 1:
        end += header.block_size
    if source.size < end:
        missing = end - source.size
        reason = "the file ends inside the room for page descriptors"
        return Completeness.incomplete(reason, missing_bytes=missing), total, part
    return Completeness.complete("its part of memory has no page to dump"), total, part


def _bounds(source: ByteSource, header: Header, total: int, written: int, here: int | None) -> Completeness:
    """Every descriptor looked at is sane, and the file reaches the end of the last page."""
    data = header.table + DESCRIPTOR * total
    start = max(0, written - LAST_DESCRIPTORS)
    tail = descriptors(source, header, start, written - start)
    end = 0
    for index, page in enumerate(tail, start):
        if page.unwritten:
            return Completeness.incomplete(
                f"page descriptor {index} of {written} was never written", at_least=True, missing_pages=1
            )
        if trouble := bad(header, page, data):
            return Completeness.incomplete(f"page descriptor {index} of {written} {trouble}")
        end = max(end, page.offset + page.size)
    end, exhaustive = _data_end(source, header, data, start, end)
    if header.size_eraseinfo:
        end = max(end, header.offset_eraseinfo + header.size_eraseinfo)
    if source.size < end:
        return Completeness.incomplete(
            f"the file ends {end - source.size} bytes before its last page does",
            missing_bytes=end - source.size,
            at_least=not exhaustive,
        )
    if trouble := _samples(source, header, data, written):
        return Completeness.incomplete(trouble)
    if hole := _holes(source, header, data, written, end):
        return hole
    if _may_be_padded(source, header, tail[-1]):
        return Completeness.cannot_tell(
            "its last page is zeros and is not compressed: that is what was in memory, or a file that was given its size "
            "before all of it was written"
        )
    if not exhaustive and source.size != end:
        return Completeness.cannot_tell("its last pages are all zero, and where the last other page lies was not found in time")
    if here is None:
        return Completeness.cannot_tell(
            f"it is one file of a split dump, with {written} pages, and its bitmap is too large to count how many "
            "belong here: give all files of the dump together"
        )
    if header.split:
        return Completeness.complete(f"all {written} pages of this part of a split dump are there")
    return Completeness.complete(f"all {total} pages are there")


def _data_end(source: ByteSource, header: Header, data: int, start: int, end: int) -> tuple[int, bool]:
    """Where the data of the last page end, and whether that is certain.

    Descriptors of zero pages all point to the one page at `data`. Where the last ones (from `start` on, ending at
    `end`) are nothing else, the last page with data of its own is looked for: in windows further and further from the
    end, then by halving between the last two. If the data it finds end exactly where the file does, it is the last
    one; otherwise what lies between is read, as far as that is affordable.
    """
    shared_end = data + header.block_size
    if end > shared_end or start == 0:
        return end, True
    low, high, distance, best = 0, start, WINDOW, 0
    while distance < start:
        best = _window_end(source, header, start - distance)
        if best > shared_end:
            low = start - distance
            break
        high = start - distance
        distance *= 2
    else:
        best = _window_end(source, header, 0)
    while high - low > WINDOW:
        middle = (low + high) // 2
        if (window := _window_end(source, header, middle)) > shared_end:
            low, best = middle, window
        else:
            high = middle
    best = max(best, shared_end)
    if best >= source.size - header.size_eraseinfo:
        return best, best == source.size - header.size_eraseinfo
    scanned = 0
    while start > 0 and scanned < LONGEST_SCAN:
        count = min(2730, start)  # 64 KiB
        start -= count
        scanned += count * DESCRIPTOR
        end = max(page.offset + page.size for page in descriptors(source, header, start, count))
        if end > shared_end:
            return end, True
    return best, start == 0


def _window_end(source: ByteSource, header: Header, index: int) -> int:
    return max(page.offset + page.size for page in descriptors(source, header, index, WINDOW))


def _written(source: ByteSource, header: Header, count: int) -> int:
    """How many of the first `count` descriptors were written, found by halving (they are written front to back)."""
    low, high = 1, count
    while low < high:
        middle = (low + high + 1) // 2
        if descriptors(source, header, middle - 1, 1)[0].unwritten:
            high = middle - 1
        else:
            low = middle
    return low


def _samples(source: ByteSource, header: Header, data: int, written: int) -> str | None:
    """Look at pages over the whole length: descriptors sane, one page after the other, the data what the flags say."""
    needed = {(written - 1) * share // SAMPLES for share in range(SAMPLES + 1)}
    last, seen = data, 0
    for index in sorted({(written - 1) * share // MORE_SAMPLES for share in range(MORE_SAMPLES + 1)}):
        try:
            window = descriptors(source, header, index, min(WINDOW, written - index))
        except NotRecorded:
            if index not in needed:
                continue
            window = descriptors(source, header, index, 1)
        for number, page in enumerate(window, index):
            if number < seen:
                continue
            if page.unwritten:
                return f"page descriptor {number} of {written} was never written"
            if trouble := bad(header, page, data):
                return f"page descriptor {number} of {written} {trouble}"
            if page.offset + page.size > source.size:
                return f"page {number} of {written} lies past the end of the file"
            if page.offset == data:  # the shared page of zeros, or the first page
                continue
            if page.offset < last:
                return f"page descriptor {number} of {written} points back into the data of an earlier page"
            last = page.offset + page.size
        seen = max(seen, index + len(window))
        try:
            trouble = _bad_data(source, header, window[0], data, whole=index == written - 1)
        except NotRecorded:
            if index in needed:
                raise
            continue
        if trouble:
            return f"the data of page {index} of {written} {trouble}"
    return None


def _bad_data(source: ByteSource, header: Header, page: Descriptor, data: int, whole: bool) -> str | None:
    """What is wrong with the data of a page; None where nothing is. ``whole``: all of it is read, where that tells more."""
    if not page.flags:
        return _zeros(source, header, page) if page.offset != data else None
    if page.flags in (ZLIB, ZSTD) and whole:
        with contextlib.suppress(NotRecorded):  # a transcript has it only where it is small
            return _undone(source, header, page)
    head = source.read_at(page.offset, min(16, page.size))
    tail = source.read_at(page.offset + max(0, page.size - 4), min(4, page.size))
    if _framed(page.flags, head, tail, header.block_size):
        return None
    return f"are not {_COMPRESSIONS.get(page.flags, 'compressed')} data"


def _undone(source: ByteSource, header: Header, page: Descriptor) -> str | None:
    """Of a page of zlib everything can be told, for it has a checksum; of one of zstd most."""
    data = source.read_at(page.offset, page.size)
    try:
        if page.flags == ZLIB:
            undo = zlib.decompressobj()
            undone = undo.decompress(data, header.block_size + 1)
            undone = undone if undo.eof else b""
        else:
            undone = zstandard.ZstdDecompressor(max_window_size=1 << 20).stream_reader(data).read(header.block_size + 1)
    except (zlib.error, zstandard.ZstdError) as error:
        return f"do not decompress: {error}"
    return None if len(undone) == header.block_size else "do not decompress to a page"


def _may_be_padded(source: ByteSource, header: Header, last: Descriptor) -> bool:
    """Whether the last page could be room that was reserved for it: nothing but zeros, where pages of zeros may be."""
    if last.flags or (header.dump_level or 0) & 1:
        return False
    try:
        return not any(source.read_at(last.offset, min(last.size, 4096)))
    except NotRecorded:
        return False


def _zeros(source: ByteSource, header: Header, page: Descriptor) -> str | None:
    """Of a page that is not compressed all that can be told: it is not of zeros, where such pages are left out."""
    if not (header.dump_level or 0) & 1:
        return None
    try:
        empty = not any(source.read_at(page.offset, 64)) and not any(source.read_at(page.offset, page.size))
    except NotRecorded:
        return None
    return "are zeros, and pages of zeros are not in this dump" if empty else None


def _holes(source: ByteSource, header: Header, data: int, written: int, end: int) -> Completeness | None:
    """What the file's size covers and nobody ever wrote, as far as the file system tells: a machine that is reset, and a
    copy that is stopped, may leave such holes anywhere."""
    if (at := first_hole(source, header.table, header.table + DESCRIPTOR * written, 2 * DESCRIPTOR)) is not None:
        number = (at - header.table) // DESCRIPTOR
        return Completeness.incomplete(f"page descriptors from {number} of {written} on were never written: there is a hole")
    sparse, least = tells_holes(header)
    if (at := first_hole(source, data + header.block_size, end, least)) is not None:
        return hole_at(at, sparse)
    known = getattr(source, "allocated", None)
    spare = header.bitmap_blocks * header.block_size + SLACK
    if known is not None and not hasattr(source, "first_hole") and (lost := source.size - known) > spare:
        return Completeness.cannot_tell(
            f"{lost} of its bytes take no room on the disk: they may be holes that were never written"
        )
    return None


def tells_holes(header: Header) -> tuple[bool, int]:
    """Whether zero bytes among the page data may be right, and how many there must be to say so.

    Compressed pages have none. Pages of zeros are in the dump only where dump level bit 1 is not set.
    """
    if header.compression:
        return False, 512
    return not (header.dump_level or 0) & 1, 2 * header.block_size


def hole_at(offset: int, sparse: bool) -> Completeness:
    if sparse:
        return Completeness.cannot_tell(
            f"there is a hole in the page data at {offset}: pages of zeros that a copy left out, or pages that were never written"
        )
    return Completeness.incomplete(f"page data from {offset} on were never written: there is a hole")


def _framed(flags: int, head: bytes, tail: bytes, block_size: int) -> bool:
    """Whether first and last bytes are those of the compression: RFC 1950, LZO1X's end, snappy's length, RFC 8878."""
    if flags == ZLIB:
        return len(head) >= 2 and head[0] & 0x0F == 8 and (head[0] << 8 | head[1]) % 31 == 0
    if flags == LZO:
        return tail[-3:] == b"\x11\0\0"
    if flags == SNAPPY:
        length = shift = 0
        for byte in head[:4]:
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        return length == block_size
    if flags == ZSTD:
        return head[:4] == b"\x28\xb5\x2f\xfd"
    return False


def _count_bits(source: ByteSource, header: Header, start: int, end: int) -> int | None:
    """Pages of the dump among page frames start..end, from the second bitmap; None where that is too much to read."""
    end = min(end, header.max_mapnr)
    bitmap2 = header.bitmap + header.bitmap_blocks // 2 * header.block_size
    if start < 0 or start >= end:
        return 0
    length = (end + 7) // 8 - start // 8
    if length > LARGEST_BITMAP or length > header.bitmap_blocks * header.block_size // 2:
        return None
    count = 0
    position = start // 8
    while length:
        step = min(length, 1 << 16)
        try:
            raw = bytearray(exactly(source, bitmap2 + position, step, "the bitmap"))
        except NotRecorded:
            return None
        if position == start // 8:
            raw[0] &= 0xFF << (start % 8) & 0xFF
        if length == step and end % 8:
            raw[-1] &= (1 << end % 8) - 1
        count += int.from_bytes(raw, "little").bit_count()
        position += step
        length -= step
    return count


def _cut(early: EndsEarly) -> Completeness:
    return Completeness.incomplete(early.reason, missing_bytes=max(early.missing, 1), at_least=True)


_AFTER_TIMESTAMP = (424, 412)
"""Where the fields after the time begin: struct timeval is two longs, whose size and alignment are the word size's."""


def _after_timestamp(head: bytes, order: str) -> int:
    """Which of the two layouts it is, by which makes sense: `uname -m` is no help, QEMU (dump.c) writes "Unknown" for Arm
    and i686 before the 64-bit layout. Raises `Unreadable` where neither does."""
    for at in _AFTER_TIMESTAMP:
        block, sub_hdr, bitmap = struct.unpack_from(order + "iiI", head, at + 4)
        if block in (4096, 8192, 16384, 32768, 65536) and 1 <= sub_hdr <= 1 << 20 and bitmap <= 1 << 31:
            return at
    raise Unreadable(f"its header makes no sense (block size {block}, sub header {sub_hdr} blocks, bitmaps {bitmap} blocks)")


# (name, type, offset on 64-bit, offset on i386 and where QEMU packs it, offset on Arm, MIPS and other 32-bit architectures
# that align off_t to 8). crash diskdump.c (abcb45e7d443) draws the two 32-bit layouts, QEMU's include/sysemu/dump.h its own.
_SUB_HEADER = (
    ("dump_level", "i", 8, 4, 4),
    ("split", "i", 12, 8, 8),
    ("start_pfn", "L", 16, 12, 12),
    ("end_pfn", "L", 24, 16, 16),
    ("offset_vmcoreinfo", "q", 32, 20, 24),
    ("size_vmcoreinfo", "L", 40, 28, 32),
    ("offset_note", "q", 48, 32, 40),
    ("size_note", "L", 56, 40, 48),
    ("offset_eraseinfo", "q", 64, 44, 56),
    ("size_eraseinfo", "L", 72, 52, 64),
    ("start_pfn_64", "Q", 80, 56, 72),
    ("end_pfn_64", "Q", 88, 64, 80),
    ("max_mapnr_64", "Q", 96, 72, 88),
)


_ALIGNED = ("arm", "mips", "ppc", "s390", "parisc", "riscv")


def _sub_header(raw: bytes, order: str, wide: bool, machine: str) -> dict[str, int]:
    aligned = machine.startswith(_ALIGNED)
    fields: dict[str, int] = {}
    for name, kind, at64, at32, at32_aligned in _SUB_HEADER:
        at = at64 if wide else at32_aligned if aligned else at32
        kind = kind if kind != "L" else "Q" if wide else "I"
        fields[name] = struct.unpack_from(order + kind, raw, at)[0]
    return fields
