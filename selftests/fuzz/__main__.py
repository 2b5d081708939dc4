"""The long fuzz: `python -m selftests.fuzz [--seconds N] [--seed N]`, coverage-guided, without a dependency.

A mutant that reaches a line of the dump parsers that no input reached before joins the inputs to be mutated further.
An input that fails is written to a file, named in the last line; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import kdump.parsers.dump
from selftests.fuzz.mutate import SEEDS, check, mutate

PARSERS = str(Path(kdump.parsers.dump.__file__).parent)
SLOWEST = 5.0
"""Seconds that one input may take, traced, on a busy machine."""


class Coverage:
    """The lines of the parsers that were reached."""

    def __init__(self) -> None:
        self.lines: set[tuple[str, int]] = set()

    def __call__(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        file = frame.f_code.co_filename
        if not file.startswith(PARSERS):
            return None
        lines = self.lines

        def trace(inner: FrameType, event: str, _: Any) -> Callable[..., Any]:
            if event == "line":
                lines.add((file, inner.f_lineno))
            return trace

        return trace


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m selftests.fuzz", description="Fuzz the parsers of dumps.")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=None, help="repeat the run that printed this seed")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    print(f"seed {seed}")
    rnd = random.Random(seed)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    corpus, coverage = list(SEEDS), Coverage()
    until, tried, slowest, told = time.monotonic() + options.seconds, 0, 0.0, 0.0
    states: dict[str, int] = {}
    while time.monotonic() < until:
        data = corpus[tried] if tried < len(SEEDS) else mutate(rnd.choice(corpus), rnd)
        tried += 1
        before, start = len(coverage.lines), time.monotonic()
        sys.settrace(coverage)
        try:
            state = str(check(data).complete.state)
        except BaseException as error:
            sys.settrace(None)
            return failed(data, f"{type(error).__name__}: {error}")
        finally:
            sys.settrace(None)
        taken = time.monotonic() - start
        slowest = max(slowest, taken)
        if taken > SLOWEST:
            return failed(data, f"it took {taken:.1f} s")
        states[state] = states.get(state, 0) + 1
        if len(coverage.lines) > before and len(data) < 1 << 20:
            corpus.append(data)
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(
                f"{tried} inputs, {len(coverage.lines)} lines, {len(corpus)} in the corpus, slowest {slowest:.2f} s", flush=True
            )
    print(f"{tried} inputs, {len(coverage.lines)} lines reached, slowest {slowest:.2f} s, no failure; verdicts: {states}")
    return 0


def failed(data: bytes, why: str) -> int:
    with tempfile.NamedTemporaryFile(prefix="kdump-fuzz-", delete=False) as file:
        file.write(data)
    print(f"FAILED: {why}; the input is in {file.name}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
