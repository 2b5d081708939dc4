"""``--shard=I/N``: the I-th of N parts of the hosts, by a hash of the name that is the same on every machine and day."""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest

from .report.model import RunInfo

OF_ALL = "part_of"  # among a run's options: how many hosts all parts have, and the digest of their names
_DIGITS = 16


@dataclass(frozen=True)
class Shard:
    """Part ``number`` (from 1) of ``of``."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """
        >>> Shard.parse("2/3")
        Shard(number=2, of=3)
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip(), re.ASCII)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise argparse.ArgumentTypeError(f"{text!r} is no shard: write I/N with I from 1 to N, such as 3/20")
        return cls(int(found[1]), int(found[2]))

    def holds(self, name: str) -> bool:
        """Whether a host is in this part: SHA-256 of its name, modulo N."""
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % self.of == self.number - 1

    def told(self, info: RunInfo, everyone: Iterable[str]) -> RunInfo:
        """What a run of this part must tell of the whole that it is a part of: parts of different lists of hosts, joined, would
        lack hosts that nobody misses."""
        if self.of == 1:
            return info
        names = sorted(everyone)
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:_DIGITS]
        return replace(info, options={**info.options, OF_ALL: f"{len(names)} hosts, sha256 {digest}"})

    def __str__(self) -> str:
        return f"{self.number}/{self.of}" if self.of > 1 else ""


WHOLE = Shard()


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--shard",
        type=Shard.parse,
        default=WHOLE,
        metavar="I/N",
        help="judge only the I-th of N parts of the hosts; python -m kdump.fleet merge joins them",
    )
