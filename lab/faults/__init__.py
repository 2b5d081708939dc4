"""Faults: causes staged on purpose on a lab machine, and what the suite must say of each, one file per stage of a dump's life.

``make bench-faults`` stages them all, `make test` those that are marked ``ci``.
"""

from lab.faults import analyse, boot, load, reserve, save
from lab.faults.model import Fault, NotStaged

FAULTS: tuple[Fault, ...] = (*reserve.FAULTS, *load.FAULTS, *boot.FAULTS, *save.FAULTS, *analyse.FAULTS)
NOT_STAGED: tuple[NotStaged, ...] = (
    *reserve.NOT_STAGED, *load.NOT_STAGED, *boot.NOT_STAGED, *save.NOT_STAGED, *analyse.NOT_STAGED
)  # fmt: skip
