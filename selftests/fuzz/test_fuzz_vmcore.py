"""No parser of dumps crashes, hangs, or takes more than a few megabytes on any input. The long run is `make fuzz`."""

from __future__ import annotations

import os
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdump.bytesource import Memory
from kdump.parsers.dump import State
from kdump.parsers.kdump_compressed import read_header
from kdump.vmcore import judge
from selftests.fuzz.mutate import SEEDS, SMALL, check, mutate
from selftests.vmcore.writer import Plan, kdump

EXAMPLES = int(os.environ.get("KDUMP_FUZZ_EXAMPLES", "300"))
WHOLE = [seed for seed in SEEDS if judge(Memory(seed)).complete.state is State.COMPLETE]
TABLES = [kdump(plan) for plan in (Plan(), SMALL, Plan(zeros=range(901, 1000)), Plan(compression=0, level=0))]
"""So small that every descriptor is among the samples."""
MOST_MEMORY = 8 << 20
"""Bytes at the worst moment: two MiB of the end of a flattened file, cut in two. What a decompressor takes is not in it, see
kdump/parsers/compressed.py."""


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
                assert tracemalloc.get_traced_memory()[1] - before < MOST_MEMORY
    finally:
        tracemalloc.stop()
