"""No parser of dumps crashes, hangs, or takes more than a few megabytes on any input. The long run is `make fuzz`."""

from __future__ import annotations

import gzip
import lzma
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdump.bytesource import Memory
from kdump.parsers import compressed
from kdump.parsers.dump import State
from kdump.parsers.kdump_compressed import read_header
from kdump.vmcore import judge
from selftests.fuzz.mutate import SEEDS, SMALL, check, mutate
from selftests.hostility.strictness import REAL
from selftests.unit.test_vmcore_vmlinux import with_window, with_zstd_window
from selftests.vmcore.writer import Plan, kdump

EXAMPLES = 10_000 if REAL else 300
WHOLE = [seed for seed in SEEDS if judge(Memory(seed)).complete.state is State.COMPLETE]
TABLES = [kdump(plan) for plan in (Plan(), SMALL, Plan(zeros=range(901, 1000)), Plan(compression=0, level=0))]
"""So small that every descriptor is among the samples."""
MOST_MEMORY = 8 << 20
"""Bytes at the worst moment: two MiB of the end of a flattened file, cut in two."""
MOST_OF_PACKED = compressed.MOST_MEMORY + (2 << 20)
"""The same of a compressed file: the decompressor, and the first MiB of what is inside."""


@pytest.mark.hostility(30)
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 2**32))
def test_broken_dumps(seed, number):
    check(mutate(seed, random.Random(number)))


@pytest.mark.hostility(30)
@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(st.sampled_from([b"", b"KDUMP   ", b"makedumpfile\0\0\0\0", b"\x7fELF\2\1\1", b"\x1f\x8b\x08"]), st.binary(max_size=9000))
def test_any_bytes(magic, data):
    check(magic + data)


@pytest.mark.hostility(30)
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(range(len(WHOLE))), st.data())
def test_no_part_of_a_dump_is_complete(number, data):
    dump = WHOLE[number]
    cut = data.draw(st.integers(0, len(dump) - 1))
    assert judge(Memory(dump[:cut])).complete.state is not State.COMPLETE


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(range(len(TABLES))), st.data())
def test_no_dump_whose_table_lost_a_descriptor_is_complete(number, data):
    dump = TABLES[number]
    at = read_header(Memory(dump)).table + 24 * data.draw(st.integers(0, judge(Memory(dump)).pages - 1))
    assert judge(Memory(dump[:at] + bytes(24) + dump[at + 24 :])).complete.state is not State.COMPLETE


def test_memory_is_bounded():
    rnd = random.Random(3)
    tracemalloc.start()
    try:
        for seed in SEEDS:
            for _ in range(10):
                data = mutate(seed, rnd)
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                check(data)
                most = MOST_OF_PACKED if compressed.compression_of(data) else MOST_MEMORY
                assert tracemalloc.get_traced_memory()[1] - before < most
    finally:
        tracemalloc.stop()


def resident(field: str) -> int:
    """Bytes of this process, by /proc/self/status (proc(5)): VmRSS now, VmHWM at the worst moment."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) << 10


def test_memory_that_libraries_take_is_bounded_too():
    """What Python does not count: decompressors. A dump of some megabytes in a file of each kind, and of each window."""
    dump = kdump(Plan(pages=range(3, 900), zeros=(), compression=0))
    packed = lzma.compress(dump)
    files = [gzip.compress(dump), packed, lzma.compress(dump, preset=9), with_window(packed, 36), with_window(packed, 40)]
    files += [with_zstd_window(dump, window) for window in (21, 23, 27, 31)]
    for data in files:
        judge(Memory(data))  # what is loaded once is no part of it
    for data in files:
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        judge(Memory(data))
        assert resident("VmHWM") - before < MOST_OF_PACKED
