"""The flattened format: what `makedumpfile -F` and QEMU write into a pipe, where they cannot seek.

makedumpfile.c and makedumpfile.h, commit b7587f1e8f45 (write_start_flat_header(), write_buffer(),
write_end_flat_header()); all numbers big-endian:

    0       "makedumpfile" and four NULs, i64 type = 1, i64 version = 1; zeros up to 4096
    4096    records: i64 offset, i64 size, then `size` bytes that belong at `offset` of the dump inside
            the end record: offset = size = -1, that is 16 bytes of 0xff

The end record is the last thing written, so it alone says that the writer finished. Sixteen bytes of 0xff may also be
memory, or a bitmap, at which a file happened to be cut: the end record counts only where a record that fits the dump
inside ends right before it.

The first records hold headers, notes and bitmaps. Bitmaps are thousands of records of one size, so the way to the first
page descriptor is found by jumping: where a record header lies at the predicted place with the predicted offset, all
between are of that size. No other part of the file is read but its end.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from kdump.bytesource import ByteSource, NotRecorded, first_hole
from kdump.parsers import elf_core, kdump_compressed
from kdump.parsers.dump import Completeness, Dump, State
from kdump.parsers.unreadable import EndsEarly, Unreadable

SIGNATURE = b"makedumpfile\0\0\0\0"
FIRST_RECORD = 4096
END = b"\xff" * 16
TAIL = 16 << 10
"""Bytes at the end that are read first; the last record is almost always shorter."""
LARGER_TAILS = (160 << 10, 2 << 20)
"""Read instead where no record ends before the end record: makedumpfile's cache is 16 pages, 1 MiB of 64 KiB pages."""
ON_A_DEVICE = "it lies on a device, whose end is not the dump's: copy it to a file with makedumpfile -R, and judge that"
MOST_STEPS = 512
"""Record headers read on the way to the first page descriptor."""


@dataclass(frozen=True)
class Record:
    offset: int
    """Where its bytes belong in the dump inside."""
    size: int
    position: int
    """Where its bytes lie in the file."""


class Flattened:
    """The dump inside, read by its own offsets as far as its records have been found; a `ByteSource`.

    What no record covers is a hole and reads as zeros. Raises `EndsEarly` where the file ends on the way.
    """

    def __init__(self, source: ByteSource) -> None:
        head = source.read_at(0, 32)
        if not head.startswith(SIGNATURE):
            raise Unreadable("it does not begin with the signature of the flattened format")
        if len(head) < 32 or source.size < FIRST_RECORD:
            raise EndsEarly("the header of the flattened format", FIRST_RECORD - source.size)
        kind, version = struct.unpack_from(">qq", head, 16)
        if (kind, version) != (1, 1):
            raise Unreadable(f"it is of type {kind}, version {version} of the flattened format, and only 1, 1 is known")
        self.source = source
        self.size = source.size
        self._records: list[Record] = []
        self._next = FIRST_RECORD
        self._steps = 0

    def read_at(self, offset: int, length: int) -> bytes:
        record = self._find(offset)
        start = offset - record.offset
        data = self.source.read_at(record.position + start, min(length, record.size - start))
        return data.ljust(length, b"\0")

    def record_at(self, offset: int) -> Record:
        """The record that holds this offset of the dump inside."""
        return self._find(offset)

    def _find(self, offset: int) -> Record:
        while True:
            for record in reversed(self._records):
                if record.offset <= offset < record.offset + record.size:
                    return record
            self._walk(offset)

    def _walk(self, target: int) -> None:
        """Take in one more record: the next one, or one much nearer to `target` where the records between are alike."""
        if len(self._records) > 1:
            before, last = self._records[-2:]
            if before.size == last.size and before.offset + before.size == last.offset < target:
                self._jump(last, target)
        record = self._header(self._next)
        if record is None:
            raise EndsEarly(f"the records before offset {target} of the dump inside", 1)
        if record.position + record.size > self.size:
            raise EndsEarly("a record of the flattened format", record.position + record.size + 16 - self.size)
        self._records.append(record)
        self._next = record.position + record.size

    def _jump(self, last: Record, target: int) -> None:
        jump = (target - last.offset) // last.size
        while jump > 1:
            position = last.position - 16 + jump * (16 + last.size)
            if position + 16 <= self.size:
                record = self._header(position)
                if record and record.offset == last.offset + jump * last.size:
                    self._next = position
                    return
            jump //= 2

    def _header(self, position: int) -> Record | None:
        """The record at `position`; None for the end record and for what is none."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise Unreadable("its records are too many to find the first page descriptor among them")
        raw = self.source.read_at(position, 16)
        if len(raw) < 16:
            raise EndsEarly("a record header of the flattened format", position + 16 - self.size)
        offset, size = struct.unpack(">qq", raw)
        if offset < 0 or size <= 0 or size > 1 << 40:
            return None
        return Record(offset, size, position + 16)


def judge(source: ByteSource) -> Dump:
    """The dump inside, and its completeness. Raises `Unreadable` where this is not the flattened format."""
    try:
        view = Flattened(source)
        start = view.read_at(0, 8)
    except EndsEarly as early:
        return Dump("flattened", source.size, _cut(early))
    if start.startswith(kdump_compressed.SIGNATURES):
        return _judge_kdump(source, view)
    if start.startswith(elf_core.MAGIC):
        return _judge_elf(source, view)
    raise Unreadable("the flattened file does not hold a dump that is known here")


def _judge_kdump(source: ByteSource, view: Flattened) -> Dump:
    kind = "flattened kdump-compressed"
    try:
        header = kdump_compressed.read_header(view)
    except EndsEarly as early:
        return Dump(kind, source.size, _cut(early))
    info = kdump_compressed.read_vmcoreinfo(view, header)
    pages: int | None = None
    try:
        first = kdump_compressed.descriptors(view, header, 0, 1)[0]
        pages = kdump_compressed.page_count(header, first)
        complete = _completeness_kdump(source, view, header, pages)
    except EndsEarly as early:
        complete = _cut(early)
    except Unreadable as unreadable:
        complete = Completeness.cannot_tell(unreadable.reason)
    if header.status & kdump_compressed.INCOMPLETE and complete.state is not State.INCOMPLETE:
        complete = Completeness.incomplete("its header says incomplete: makedumpfile ran out of space")
    return kdump_compressed.describe(header, info, kind, source.size, complete, pages)


def _completeness_kdump(source: ByteSource, view: Flattened, header: kdump_compressed.Header, pages: int | None) -> Completeness:
    if pages is None:
        return Completeness.cannot_tell("its first page descriptor does not follow makedumpfile's layout")
    table, data = header.table, header.table + kdump_compressed.DESCRIPTOR * pages
    longest = data + (pages + 1) * header.block_size + header.size_eraseinfo
    end = find_end(source)
    if end is None and getattr(source, "is_device", False):
        return Completeness.cannot_tell(ON_A_DEVICE)
    if end is None:
        written = _pages_written(source, table, data)
        return Completeness.incomplete(
            "it has no end record: makedumpfile was stopped before it finished, or the file was cut short"
            + (f"; about {written} of {pages} pages are there" if written is not None else ""),
            missing_pages=pages - written if written is not None else None,
        )

    def fits(offset: int, size: int) -> bool:
        if offset == header.block_size:  # the sub header is written again where erase info was added
            return size <= kdump_compressed.SUB_HEADER_READ
        if table <= offset < data:  # the last descriptors, which end the table
            return offset + size == data
        # Not the size of this file: QEMU leaves gaps in the dump inside, which take no room here.
        return offset >= data and offset + size <= longest

    last = last_records(source, end, fits)
    if not last:
        return _false_end(source, end)
    for record in last:
        if table <= record.offset < data:
            count = min(record.size // kdump_compressed.DESCRIPTOR, kdump_compressed.LAST_DESCRIPTORS)
            raw = source.read_at(record.position + record.size - 24 * count, 24 * count)
            for values in struct.iter_unpack(header.order + "qIIQ", raw):
                page = kdump_compressed.Descriptor(*values[:3])
                if trouble := kdump_compressed.bad(header, page, data):
                    return Completeness.incomplete(f"it has an end record, but one of its last page descriptors {trouble}")
    sparse, least = kdump_compressed.tells_holes(header)
    start = view.record_at(table).position
    # One page of zeros is there on purpose, and so may be a part of the second bitmap between the pages.
    least = max(least, 2 * header.block_size) + header.bitmap_blocks // 2 * header.block_size
    if (at := first_hole(source, start, end, least)) is not None:
        return kdump_compressed.hole_at(at, sparse)
    return Completeness.complete(f"all {pages} pages were written: the end record is there")


LONGER_THAN_A_RECORD = 32 << 20
"""A hole of so many bytes swallows the header of a record, even where memory of zeros is left out on purpose."""


def _judge_elf(source: ByteSource, view: Flattened) -> Dump:
    kind = "flattened ELF"
    try:
        header = elf_core.read_header(view)
    except EndsEarly as early:
        return Dump(kind, source.size, _cut(early))
    if header.type != elf_core.ET_CORE:
        raise Unreadable("the flattened file holds an ELF file that is not a core")
    # write_elf_header(): the notes follow the room for the program headers (and section header 0 where that is used).
    notes = (64 + 56 * header.phnum) if header.wide else (52 + 32 * header.phnum)
    if header.extended:
        notes += 64 if header.wide else 40
    info: dict[str, str] = {}
    try:
        record = view.record_at(notes)
        info = elf_core.read_vmcoreinfo(view, notes, record.size, header.order)
        end = find_end(source)

        def fits(offset: int, size: int) -> bool:
            # Gaps in the dump inside (room for program headers, QEMU's) take no room here.
            return offset >= (64 if header.wide else 52) and offset + size <= 2 * source.size

        if end is None and getattr(source, "is_device", False):
            complete = Completeness.cannot_tell(ON_A_DEVICE)
        elif end is None:
            complete = Completeness.incomplete(
                "it has no end record: makedumpfile was stopped before it finished, or the file was cut short"
            )
        elif (at := first_hole(source, FIRST_RECORD, end, LONGER_THAN_A_RECORD)) is not None:
            complete = kdump_compressed.hole_at(at, sparse=False)
        elif _whole_pages(source, end, fits) or last_records(source, end, fits):
            complete = Completeness.complete("everything was written: the end record is there")
        else:
            complete = _false_end(source, end)
    except EndsEarly as early:
        complete = _cut(early)
    except Unreadable as unreadable:
        complete = Completeness.cannot_tell(unreadable.reason)
    return elf_core.describe(header, info, kind, source.size, complete)


def find_end(source: ByteSource) -> int | None:
    """Where the end record begins: at the end of the file, or before nothing but zeros (padding to whole sectors)."""
    start = max(FIRST_RECORD, source.size - TAIL)
    tail = source.read_at(start, source.size - start)
    at = len(tail.rstrip(b"\0")) - 16
    return start + at if at >= 0 and tail[at : at + 16] == END else None


def last_records(source: ByteSource, end: int, fits: Callable[[int, int], bool]) -> list[Record]:
    """Up to four records that end one before the other and the last at `end`, last first; none where none is found.

    A record header is recognised by a size that reaches exactly to where it must end and by an offset that fits.
    Raises `NotRecorded` where a transcript does not reach back far enough.
    """
    found: list[Record] = []
    for window in (TAIL, *LARGER_TAILS):
        start = max(FIRST_RECORD, source.size - window)
        tail = source.read_at(start, end - start)
        upto = end
        while len(found) < 4:
            record = _ending_at(tail, start, upto, fits)
            if record is None:
                break
            found.append(record)
            upto = record.position - 16
        if found or start == FIRST_RECORD:
            break
    return found


def _whole_pages(source: ByteSource, end: int, fits: Callable[[int, int], bool]) -> Record | None:
    """The record that ends at `end`, if it is of 1 to 16 whole pages of 64 or 4 KiB: memory, as an ELF dump ends in."""
    for page in (65536, 4096):
        for pages in range(16, 0, -1):
            position = end - pages * page
            raw = source.read_at(position - 16, 16) if position >= FIRST_RECORD + 16 else b""
            if len(raw) == 16:
                offset, size = struct.unpack(">qq", raw)
                if size == pages * page and offset >= 0 and fits(offset, size):
                    return Record(offset, size, position)
    return None


def _false_end(source: ByteSource, end: int) -> Completeness:
    """16 bytes of 0xff at `end`, before which no record ends: certain where there are more, or all of the file was seen."""
    if source.size - LARGER_TAILS[-1] <= FIRST_RECORD or source.read_at(end - 16, 16) == END:
        return Completeness.incomplete("it ends in bytes of 0xff that are no end record: the file was cut short")
    return Completeness.cannot_tell("it ends in 16 bytes like an end record, but no record that ends there was found")


_SIZE = re.compile(rb"(?s)(?=\0{5}(?!\0{3})...)")
"""Where the size field of a record header may be: tails are below 16 MiB, so its first five bytes are zero, and not all."""


def _ending_at(tail: bytes, start: int, end: int, fits: Callable[[int, int], bool]) -> Record | None:
    """The shortest record that ends at `end`, in the bytes from `start` on."""
    found = None
    for match in _SIZE.finditer(tail, 8, end - start):
        header = match.start() - 8
        offset, size = struct.unpack_from(">qq", tail, header)
        if start + header + 16 + size == end and offset >= 0 and fits(offset, size):
            found = Record(offset, size, start + header + 16)
    return found


def _pages_written(source: ByteSource, table: int, data: int) -> int | None:
    """Of a dump without an end: how many descriptors the last record of them near the end reaches; None if unseen."""
    for window in (128 << 10, TAIL):
        start = max(FIRST_RECORD, source.size - window)
        try:
            tail = source.read_at(start, source.size - start)
        except NotRecorded:
            continue
        low, high = table.to_bytes(8, "big"), (data - 1).to_bytes(8, "big")
        same = next(i for i in range(9) if i == 8 or low[i] != high[i])
        # An offset within the table, then a size: neither is zero, and the size has three zero bytes at least.
        header = re.compile(rb"(?s)(?=%s(?!\0{%d}).{%d}\0{3}(?!\0{5}).{5})" % (re.escape(low[:same]), 8 - same, 8 - same))
        written: int | None = None
        for match in header.finditer(tail):
            at = match.start()
            offset, size = struct.unpack_from(">qq", tail, at)
            if table <= offset < data and 0 < size <= data - offset and size % 24 == 0:
                written = (offset - table + min(size, len(tail) - at - 16)) // 24
        return written
    return None


def _cut(early: EndsEarly) -> Completeness:
    return Completeness.incomplete(early.reason, missing_bytes=max(early.missing, 1), at_least=True)
