"""The same fuzz by libFuzzer, which is faster: `python -m selftests.fuzz.with_atheris [CORPUS] [-max_total_time=SECONDS …]`.

Needs requirements-fuzz.txt; the options are libFuzzer's. An input that fails is written to a file `crash-…`, `timeout-…` or
`oom-…` in this folder, and the exit status is not 0.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kdump"]):
    import kdump.parsers
    import kdump.vmcore  # noqa: F401  # instrumented before it is imported by what follows

from selftests.fuzz.mutate import SEEDS, check, mutate

LIMITS = ("-rss_limit_mb=600", "-timeout=10", "-max_len=200000")
"""Python, the library and its corpus take most of the memory; an input takes some megabytes."""


def one_input(data: bytes) -> None:
    check(data)


def mutated(data: bytes, largest: int, seed: int) -> bytes:
    """Half of them by libFuzzer, half with an eye for headers, which it would find by accident."""
    if seed % 2:
        return mutate(data, random.Random(seed))[:largest]
    changed: bytes = atheris.Mutate(data, largest)
    return changed


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, folder, *LIMITS], one_input, custom_mutator=mutated)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
