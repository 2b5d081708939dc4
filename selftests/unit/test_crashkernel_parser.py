"""The crashkernel= grammar, as the kernel reads it (kernel/crash_reserve.c)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kdump.parsers.crashkernel import DIALECTS, Refusal, Request, memparse, outcome, outcomes

G, M = 1 << 30, 1 << 20
SUFFIXES = st.sampled_from([",high", ",low", ",cma"])
sizes = st.integers(1, 1023).map(lambda n: (f"{n}M", n * M))


@pytest.mark.parametrize(
    ("arguments", "ram", "size"),
    [
        ("crashkernel=512M", 4 * G, 512 * M),
        ("crashkernel=512M@0", 4 * G, 512 * M),
        ("crashkernel=512M@16M", 4 * G, 512 * M),
        ("crashkernel=0x10000000", 4 * G, 256 * M),
        ("crashkernel=1024M,high", 4 * G, 1024 * M),
        ("crashkernel=256M,high crashkernel=72M,low", 4 * G, 256 * M),
        ("crashkernel=256M,high crashkernel=128M", 4 * G, 128 * M),  # the plain one wins wherever it stands
        ("crashkernel=384M-4G:128M,4G-64G:256M,64G-:512M", 2 * G, 128 * M),
        ("crashkernel=384M-4G:128M,4G-64G:256M,64G-:512M@16M", 100 * G, 512 * M),
        ("crashkernel=2G-:256M", 2 * G - 40 * M, 256 * M),  # firmware keeps some: rounded up to 128 MiB
        ("crashkernel=64M crashkernel=96M quiet", 4 * G, 96 * M),
        ("foo.crashkernel=96M", 4 * G, 96 * M),  # the kernel looks for the text, not for the word
        ("crashkernel=96M,cma crashkernel=256M", 4 * G, 256 * M),
    ],
)
def test_what_the_kernel_asks_for(arguments: str, ram: int, size: int) -> None:
    found = outcome(f"ro {arguments}\n", ram)
    assert isinstance(found, Request) and found.size == size


@pytest.mark.parametrize(
    ("arguments", "ram", "why"),
    [
        ("quiet", 4 * G, "no crashkernel="),
        ("crashkernel=", 4 * G, "no size follows"),
        ("crashkernel=auto", 4 * G, "no size follows"),
        ("crashkernel=256MB", 4 * G, "'B' follows the size"),
        ("crashkernel=3G", 2 * G, "3 GiB of 2 GiB"),
        ("crashkernel=2G-:3G", 2 * G, "3 GiB of 2 GiB"),
        ("crashkernel=2G-64G:256M", 1 * G, "none of its ranges"),
        ("crashkernel=4G-2G:256M", 1 * G, "ends before it begins"),
        ("crashkernel=0", 4 * G, "asks for nothing"),
        ("crashkernel=72M,low", 4 * G, "no argument asks for the reservation itself"),
        ("crashkernel=256M@", 4 * G, None),  # an empty address is 0: anywhere
        ('crashkernel="256M"', 4 * G, "no size follows"),  # quotes are not taken off here
    ],
)
def test_why_the_kernel_asks_for_nothing(arguments: str, ram: int, why: str | None) -> None:
    found = outcome(arguments, ram)
    assert isinstance(found, Request) if why is None else isinstance(found, Refusal) and why in found.reason


@given(sizes, SUFFIXES, sizes, st.booleans())
def test_a_plain_size_beats_any_suffixed_one(plain: tuple[str, int], suffix: str, other: tuple[str, int], first: bool) -> None:
    pair = [f"crashkernel={plain[0]}", f"crashkernel={other[0]}{suffix}"]
    found = outcome(" ".join(pair if first else pair[::-1]), 8 * G)
    assert isinstance(found, Request) and found.size == plain[1] and not found.high


@given(st.lists(sizes, min_size=1, max_size=5))
def test_the_last_plain_size_wins(given_sizes: list[tuple[str, int]]) -> None:
    found = outcome(" ".join(f"crashkernel={text}" for text, _ in given_sizes), 8 * G)
    assert isinstance(found, Request) and found.size == given_sizes[-1][1]


@given(st.lists(st.integers(1, 200), min_size=2, max_size=6, unique=True), st.integers(8, 1600))
def test_ranges_hold_their_start_and_not_their_end(edges: list[int], eighths: int) -> None:
    edges, ram = sorted(edges), eighths * 128 * M
    parts = [f"{a}G-{b}G:{i + 1}M" for i, (a, b) in enumerate(itertools.pairwise(edges))]
    wanted = [i + 1 for i, (a, b) in enumerate(itertools.pairwise(edges)) if a * G <= ram < b * G]
    found = outcome("crashkernel=" + ",".join(parts), ram)
    assert [found.size // M] == wanted if isinstance(found, Request) else not wanted


@given(st.integers(0, 1 << 40), st.sampled_from(["", *"KMGTPEkmgtpe"]), st.sampled_from([str, hex, lambda n: f"0{n:o}"]))
def test_memparse_reads_what_was_written(number: int, unit: str, base: object) -> None:
    if base is hex and unit in ("E", "e"):
        unit = ""  # a hexadecimal digit
    text = base(number) + unit  # type: ignore[operator]
    scale = 1 << 10 * ("KMGTPE".index(unit.upper()) + 1) if unit else 1
    assert memparse(text, 0) == (number * scale % (1 << 64), len(text))


@given(st.text("crashkernel=0123456789xMGk@-:,highlowma \t", max_size=60), st.integers(1, 1 << 44))
@example("crashkernel=64M crashkernel=8G-:1G,high", 4 * G)
def test_any_text_has_an_outcome_that_fits_into_memory(text: str, ram: int) -> None:
    for found in outcomes(f"crashkernel={text}", ram):
        assert 0 < found.size < ram if isinstance(found, Request) else found.reason


def test_kernels_that_differ_are_told_apart() -> None:
    assert len(outcomes("crashkernel=2G-:256M", 2 * G - M)) == 2
    assert len(outcomes("crashkernel=256M", 2 * G)) == 1
    assert len(DIALECTS) == 8
