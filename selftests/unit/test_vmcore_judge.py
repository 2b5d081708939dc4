"""Complete dumps are called complete, with their kernel; every way to lose a part of one is found."""

from __future__ import annotations

import gzip
import lzma
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from kdump.bytesource import CountingSource, LocalFile, Memory, Sparse
from kdump.parsers.dump import State
from kdump.parsers.kdump_compressed import read_header
from kdump.vmcore import judge, judge_split
from selftests.vmcore.writer import (
    BUILD_ID,
    CRASHTIME,
    RELEASE,
    VERSION,
    Plan,
    elf_writes,
    flat,
    kdump,
    kdump_writes,
    note,
    notes,
    plain,
    split_plans,
    with_incomplete_flag,
)

ERASED = Plan(eraseinfo=b"erase linux_banner size 8\n" * 3)
ZERO_TAIL = Plan(zeros=range(901, 60_000), max_mapnr=70_000)
LAST_PAGES_LAST = kdump_writes(Plan())[:-2] + kdump_writes(Plan())[:-3:-1]
"""QEMU's order of writing (dump.c, write_dump_pages)."""
LARGE_BITMAP = Plan(pages=range(3, 40_000, 17), max_mapnr=4_000_000)

COMPLETE = {
    **{f"version {v}, {m}": kdump(Plan(version=v, machine=m)) for v in range(1, 7) for m in ("x86_64", "i686", "armv7l")},
    **{f"compression {c:#x}, -d {d}": kdump(Plan(compression=c, level=d)) for c in (0, 1, 2, 4, 0x20) for d in (0, 1, 31)},
    "aarch64, 64 KiB pages": kdump(Plan(machine="aarch64", block=65536, max_mapnr=2000)),
    "QEMU, 32-bit, of Unknown": kdump(Plan(machine="Unknown", layout="packed")),
    "QEMU, 64-bit, of i686": kdump(Plan(machine="i686", layout="wide")),
    "QEMU, flattened": flat(LAST_PAGES_LAST),
    "ppc": kdump(Plan(machine="ppc", layout="aligned")),
    "erase info": kdump(ERASED),
    "nothing but zero pages at the end": kdump(ZERO_TAIL),
    "large bitmap": kdump(LARGE_BITMAP),
    "one page": kdump(Plan(pages=(5,), zeros=())),
    "flattened": flat(kdump_writes(Plan())),
    "flattened, uncompressed": flat(kdump_writes(Plan(compression=0, level=0, pages=range(3, 200, 2)))),
    "flattened, erase info": flat(kdump_writes(ERASED)),
    "flattened, large bitmap": flat(kdump_writes(LARGE_BITMAP)),
    "flattened, bitmap in one piece": flat(kdump_writes(replace(LARGE_BITMAP, bitmap_write=1 << 30))),
    "flattened, padded to sectors": flat(kdump_writes(Plan())) + bytes(333),
    "ELF": plain(elf_writes()),
    "ELF32": plain(elf_writes(wide=False, machine=3)),
    "ELF, aarch64": plain(elf_writes(machine=183)),
    "ELF, extended numbering": plain(elf_writes(extended=True)),
    "ELF, 70000 segments": plain(elf_writes([(i << 20, 16) for i in range(70_000)], extended=True)),
    "ELF, 1000 CPUs": plain(elf_writes(note_bytes=notes(cpus=1000))),
    "ELF, notes padded to pages as in /proc/vmcore": plain(elf_writes(note_bytes=notes().ljust(8192, b"\0"))),
    "ELF, a device's dump before VMCOREINFO": plain(elf_writes(note_bytes=note(b"LINUX", 0x700, bytes(5 << 20)) + notes())),
    "flattened ELF": flat(elf_writes()),
    "flattened ELF, extended numbering": flat(elf_writes(extended=True)),
    "gzip of a small dump": gzip.compress(flat(kdump_writes(Plan()))),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_complete_dump_is_called_complete(name):
    source = CountingSource(Memory(COMPLETE[name]))
    dump = judge(source)
    assert dump.complete.state is State.COMPLETE, dump.complete
    assert dump.release == RELEASE
    if "version 1" not in name and "version 2" not in name:
        assert dump.build_id == BUILD_ID
    assert dump.crash_time.timestamp() == CRASHTIME
    if "ELF" not in name:
        assert dump.version == VERSION
        assert dump.nodename == "testhost"
    assert source.requests < 350
    assert source.bytes < 200_000 or "gzip" in name


def damaged_at(data: bytes, cuts) -> list[int]:
    """The cuts that were not found."""
    return [cut for cut in cuts if judge(Memory(data[:cut])).complete.state is not State.INCOMPLETE]


CUT = [
    "version 6, x86_64",
    "version 3, i686",
    "compression 0x0, -d 0",
    "aarch64, 64 KiB pages",
    "erase info",
    "nothing but zero pages at the end",
    "flattened",
    "QEMU, 32-bit, of Unknown",
    "QEMU, flattened",
    "flattened, uncompressed",
    "flattened, erase info",
    "ELF",
    "ELF32",
    "ELF, extended numbering",
    "flattened ELF",
]


@pytest.mark.parametrize("name", CUT)
def test_every_cut_is_found(name):
    data = COMPLETE[name]
    evenly = {len(data) * i // 250 for i in range(250)}
    start = {*range(0, 600, 37), 4095, 4096, 4097, 4112, 4200, 8191, 8192, 8193, 12288, 16384}
    end = {len(data) - back for back in (1, 2, 3, 4, 8, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 48, 100, 103, 104, 105)}
    assert damaged_at(data, sorted(cut for cut in evenly | start | end if 0 <= cut < len(data))) == []


def test_cut_at_every_write_of_makedumpfile_is_found():
    writes = kdump_writes(Plan())
    for count in range(1, len(writes)):
        assert judge(Memory(plain(writes[:count]))).complete.state is State.INCOMPLETE, count
        assert judge(Memory(flat(writes[:count], end=False))).complete.state is State.INCOMPLETE, count
    writes = elf_writes()
    for count in range(1, len(writes)):
        assert judge(Memory(plain(writes[:count]))).complete.state is State.INCOMPLETE, count


def test_flattened_file_cut_in_memory_full_of_ones_is_not_complete():
    # The first bitmap and this page are all 0xff, as the end record is.
    data = flat(kdump_writes(Plan(compression=0, level=0, pages=range(5, 900, 5), zeros=())))
    for at in (data.index(b"\xff" * 100) + 60, data.rindex(b"\xff" * 4096) + 2000):
        assert data[at - 16 : at] == b"\xff" * 16
        assert judge(Memory(data[:at])).complete.state is not State.COMPLETE


def test_how_much_is_missing():
    data = kdump()
    complete = judge(Memory(data[:-1000])).complete
    assert (complete.missing_bytes, complete.at_least) == (1000, False)
    killed = judge(Memory(plain(kdump_writes(Plan())[:-1])))
    assert killed.complete.missing_pages == 76
    assert killed.pages == 548
    elf = judge(Memory(plain(elf_writes())[:-7])).complete
    assert (elf.missing_bytes, elf.at_least) == (7, False)


def test_flag_of_a_full_disk():
    full = judge(Memory(with_incomplete_flag(kdump())))
    assert full.complete.state is State.INCOMPLETE
    assert "space" in full.complete.reason
    partly = judge(Memory(with_incomplete_flag(plain(kdump_writes(Plan())[:-1])))).complete
    assert (partly.state, partly.missing_pages) == (State.INCOMPLETE, 76)


def test_program_headers_that_point_nowhere():
    with_space = bytearray(plain(elf_writes()))
    with_space[120:176] = bytes(56)  # one was never filled in
    assert "was stopped" in judge(Memory(bytes(with_space))).complete.reason
    with_space[48] |= 1
    assert "out of space" in judge(Memory(bytes(with_space))).complete.reason
    damaged = bytearray(plain(elf_writes()))
    struct.pack_into("<Q", damaged, 120 + 8, 0)
    assert judge(Memory(bytes(damaged))).complete.state is State.INCOMPLETE
    many = bytearray(COMPLETE["ELF, 70000 segments"])
    many[64 + 56 * 30_000 : 64 + 56 * 40_000] = bytes(56 * 10_000)
    assert judge(Memory(bytes(many))).complete.state is State.INCOMPLETE
    assert judge(Memory(plain(elf_writes([(4096, 0)])))).complete.state is State.INCOMPLETE


def test_lost_blocks_in_the_middle():
    data = bytearray(kdump())
    data[100_000:250_000] = bytes(150_000)
    assert "zlib" in judge(Memory(bytes(data))).complete.reason
    table = bytearray(kdump())
    table[18_000:28_000] = bytes(10_000)
    assert judge(Memory(bytes(table))).complete.state is State.INCOMPLETE


def with_hole(path: Path, data: bytes, start: int, end: int) -> LocalFile:
    """The file with blocks that were never written."""
    with path.open("wb") as file:
        file.write(data[:start])
        file.seek(end)
        file.write(data[end:])
    return LocalFile(path)


MANY = Plan(pages=range(3, 30_000), zeros=(), max_mapnr=40_000, compression=2)
"""Some megabytes: its samples are far apart."""


@pytest.fixture(scope="module")
def many():
    return kdump(MANY)


def test_hole_between_the_samples_is_found(tmp_path, many):
    data = many
    header = read_header(Memory(data))
    middle = (header.table + 24 * 15_100) // 4096 * 4096
    page = len(data) * 51 // 100 // 4096 * 4096
    for start in (middle, page):
        with with_hole(tmp_path / "dump", data, start, start + 8192) as file:
            complete = judge(file).complete
            assert complete.state is State.INCOMPLETE
            assert "hole" in complete.reason
    with with_hole(tmp_path / "flat", flat(kdump_writes(MANY)), 4 << 20, (4 << 20) + 16384) as file:
        assert "hole" in judge(file).complete.reason
    with with_hole(tmp_path / "bitmap", data, header.bitmap + 8192, header.bitmap + 8192) as file:
        assert judge(file).complete.state is State.COMPLETE


def test_hole_where_pages_of_zeros_may_be(tmp_path):
    plan = Plan(pages=range(3, 2000), zeros=(), max_mapnr=2048, compression=0, level=0)
    with with_hole(tmp_path / "dump", kdump(plan), 5 << 20, 6 << 20) as file:
        assert judge(file).complete.state is State.CANNOT_TELL
    with with_hole(tmp_path / "dump", kdump(replace(plan, level=1)), 5 << 20, 6 << 20) as file:
        assert judge(file).complete.state is State.INCOMPLETE


def test_hole_in_a_flattened_elf_file(tmp_path):
    data = flat(elf_writes([(0x1000, 60_000), (0x100000, 1 << 20)]))
    middle = len(data) // 2
    with with_hole(tmp_path / "whole", data, middle, middle + 8192) as file:
        assert judge(file).complete.state is State.COMPLETE  # memory of zeros, which cp leaves out
    with (tmp_path / "lost").open("wb") as file:
        file.write(data[:middle])
        file.seek(40 << 20, 1)
        file.write(data[middle:])
    with LocalFile(tmp_path / "lost") as file:
        assert "hole" in judge(file).complete.reason


def test_an_elf_file_with_holes(tmp_path):
    data = plain(elf_writes([(0x1000, 60_000), (0x100000, 6 << 20)]))
    middle, end = 2 << 20, len(data)
    with with_hole(tmp_path / "small", data, middle, middle + 65536) as file:
        assert judge(file).complete.state is State.COMPLETE
    for name, upto in (("middle", middle + (2 << 20)), ("given its size first", end)):
        with with_hole(tmp_path / name, data, middle, upto) as file:
            os.truncate(file.path, end)
        with LocalFile(tmp_path / name) as file:
            complete = judge(file).complete
            assert (complete.state, "hole" in complete.reason) == (State.CANNOT_TELL, True)
    for allocated, state in ((end, State.COMPLETE), (end - (2 << 20), State.CANNOT_TELL)):
        assert judge(Sparse({0: data}, end, allocated)).complete.state is state


def test_an_elf_file_that_ends_in_zeros():
    data = plain(elf_writes([(0x1000, 60_000), (0x100000, 6 << 20)]))
    for lost in (2 << 20, 5 << 20):
        complete = judge(Memory(data[:-lost] + bytes(lost))).complete
        assert (complete.state, "zeros" in complete.reason) == (State.CANNOT_TELL, True)


@pytest.mark.parametrize("compression", [1, 0x20])
def test_a_last_page_that_lost_its_end(compression):
    data = kdump(Plan(compression=compression))
    assert "do not decompress" in judge(Memory(data[:-8] + bytes(8))).complete.reason


class Device(Memory):
    is_device = True


@pytest.mark.parametrize(
    ("data", "state", "words"),
    [
        (bytes(9000), State.CANNOT_TELL, "no dump was written"),
        (flat(kdump_writes(Plan())) + b"older bytes" * 9000, State.CANNOT_TELL, "device"),
        (flat(elf_writes()) + b"older bytes" * 9000, State.CANNOT_TELL, "device"),
        (kdump() + b"older bytes" * 9000, State.COMPLETE, ""),
        (plain(elf_writes()) + b"older bytes" * 9000, State.COMPLETE, ""),
        (kdump()[:-1], State.INCOMPLETE, "ends"),
    ],
)
def test_a_dump_on_a_device_of_its_own(data, state, words):
    complete = judge(Device(data)).complete
    assert complete.state is state and words in complete.reason


def test_pages_that_are_not_compressed_and_became_zeros():
    plan = Plan(pages=range(3, 2000), zeros=(), max_mapnr=2048, compression=0)
    data = kdump(plan)
    half = data[: len(data) // 2].ljust(len(data), b"\0")  # as a download that reserves the room and stops leaves it
    assert "zeros" in judge(Memory(half)).complete.reason
    plain_level = kdump(replace(plan, level=0))
    half = plain_level[: len(plain_level) // 2].ljust(len(plain_level), b"\0")
    assert judge(Memory(half)).complete.state is State.CANNOT_TELL  # pages of zeros may be right there


def test_a_file_that_takes_less_room_than_it_has_bytes_may_have_holes(many):
    data = many
    assert judge(Sparse({0: data}, len(data), len(data))).complete.state is State.COMPLETE
    doubt = judge(Sparse({0: data}, len(data), len(data) - (1 << 20))).complete
    assert (doubt.state, "disk" in doubt.reason) == (State.CANNOT_TELL, True)


def test_a_bitmap_that_was_lost(many):
    data = bytearray(many)
    header = read_header(Memory(data))
    second = header.bitmap + header.bitmap_blocks // 2 * header.block_size
    data[second : second + 512] = bytes(512)
    assert "bitmap" in judge(Memory(bytes(data))).complete.reason
    data[second : second + 512] = b"\xff" * 512
    assert judge(Memory(bytes(data))).complete.state is State.CANNOT_TELL


def test_descriptors_that_overlap_or_are_lost_in_a_window(many):
    data = bytearray(many)
    at = read_header(Memory(data)).table + 24 * ((29_997 - 1) // 60 * 7 + 9)
    for change in (
        bytes(24),
        data[at - 24 : at],
        struct.pack("<qIIQ", 1 << 50, 90, 1, 0),
        struct.pack("<qIIQ", 1 << 19, 90, 3, 0),
    ):
        broken = data[:at] + change + data[at + 24 :]
        assert judge(Memory(bytes(broken))).complete.state is State.INCOMPLETE


def test_split_dump():
    files = [kdump(plan) for plan in split_plans(Plan(), 3)]
    dumps = [judge(Memory(one)) for one in files]
    assert [dump.complete.state for dump in dumps] == [State.COMPLETE] * 3
    assert judge_split(dumps[::-1]).state is State.COMPLETE
    assert judge_split(dumps[:2]).state is State.INCOMPLETE
    assert judge_split(dumps[1:]).state is State.INCOMPLETE
    killed = plain(kdump_writes(split_plans(Plan(), 3)[1])[:-1])
    assert judge(Memory(killed)).complete.state is State.INCOMPLETE
    for cut in range(5000, len(files[1]), 5000):
        assert judge(Memory(files[1][:cut])).complete.state is State.INCOMPLETE


def test_pieces_too_large_to_count_are_judged_together():
    plan = Plan(max_mapnr=150_000_000, pages=(7, 149_000_000), zeros=())
    dumps = [judge(Memory(kdump(one))) for one in split_plans(plan, 2)]
    assert [dump.complete.state for dump in dumps] == [State.CANNOT_TELL] * 2
    assert judge_split(dumps).state is State.COMPLETE


@pytest.mark.parametrize(
    ("data", "state", "reason"),
    [
        (b"", State.INCOMPLETE, "empty"),
        (bytes(9000), State.INCOMPLETE, "zero bytes"),
        (flat([], end=False), State.INCOMPLETE, "record"),
        (b"KDUMP   " + bytes(9000), State.CANNOT_TELL, "makes no sense"),
        (b"DISKDUMP" + bytes(9000), State.CANNOT_TELL, "diskdump"),
        (b"hello, world" * 500, State.CANNOT_TELL, "not in a dump format"),
        (b"sadump\0\0" + b"x" * 500, State.CANNOT_TELL, "sadump"),
        (b"\x7fELF\2\1\1" + bytes(9) + b"\2\0" + bytes(200), State.CANNOT_TELL, "not a core"),
        (gzip.compress(bytes(range(256)) * 20_000), State.CANNOT_TELL, "decompress"),
        (lzma.compress(flat(kdump_writes(Plan(compression=0))))[:-40], State.INCOMPLETE, "footer"),
    ],
)
def test_what_is_no_whole_dump(data, state, reason):
    complete = judge(Memory(data)).complete
    assert complete.state is state
    assert reason in complete.reason


def test_kernel_of_a_compressed_stream_is_known():
    dump = judge(Memory(gzip.compress(flat(kdump_writes(Plan(compression=0))))))
    assert dump.release == RELEASE
    assert dump.build_id == BUILD_ID
    assert dump.complete.state is State.CANNOT_TELL


def test_a_machine_that_qemu_does_not_know_is_none():
    dump = judge(Memory(COMPLETE["QEMU, 32-bit, of Unknown"]))
    assert dump.machine is None  # else no vmlinux would match it


def test_control_characters_of_a_dump_do_not_reach_the_terminal():
    data = kdump().replace(b"testhost", b"\x1b[2Jhost")
    assert "\x1b" not in judge(Memory(data)).nodename
