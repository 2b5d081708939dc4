"""How many hosts may stay undetermined in a run that is still called complete (``--allow-undetermined=N|P%``)."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Tolerance:
    """``limit`` hosts, or as many per cent of the run's hosts."""

    limit: int
    per_cent: bool = False

    @classmethod
    def parse(cls, text: str) -> Tolerance:
        """``3`` or ``5%``. Raises :class:`argparse.ArgumentTypeError`.

        >>> Tolerance.parse("5%").allows(5, 100), Tolerance.parse("5%").allows(1, 19), Tolerance.parse("0").allows(1, 9)
        (True, False, False)
        """
        found = re.fullmatch(r"(\d{1,9})(%?)", text.strip(), re.ASCII)
        if not found or (found[2] and int(found[1]) > 100):
            raise argparse.ArgumentTypeError(f"{text!r} is neither a number of hosts nor a percentage of them, such as 3 or 5%")
        return cls(int(found[1]), bool(found[2]))

    def allows(self, unknown: int, hosts: int) -> bool:
        return unknown * 100 <= self.limit * hosts if self.per_cent else unknown <= self.limit


NONE_TOLERATED = Tolerance(0)


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--allow-undetermined",
        type=Tolerance.parse,
        default=NONE_TOLERATED,
        metavar="N|P%%",
        help="hosts, or per cent of them, that may be unreachable or undetermined without exit status 6 (0)",
    )
