"""Crashes that the suite follows on lab machines, each to the named end that it must come to.

``make bench-crash`` stages them all, `make test` the one that is marked ``ci``.
"""

from lab.crashes.cases import CASES
from lab.crashes.model import At, Case

__all__ = ["CASES", "At", "Case"]
