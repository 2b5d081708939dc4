"""No parser of dumps crashes, hangs, or takes more than a few megabytes on any input. The long run is `make fuzz`."""

from __future__ import annotations

import os
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selftests.fuzz.mutate import SEEDS, check, mutate

EXAMPLES = int(os.environ.get("KDUMP_FUZZ_EXAMPLES", "300"))
MOST_MEMORY = 24 << 20
"""Bytes at the worst moment, of a parser that may be given 4 MiB of notes or descriptors at once."""


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
