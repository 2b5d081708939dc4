"""Faults: causes staged on purpose on a lab machine, and what the suite must say of each, one file per stage of a dump's life.

``make bench-faults`` stages them all, `make test` those that are marked ``ci``.
"""

from lab.faults import analyse, boot, load, reserve, save, squash
from lab.faults.model import Fault, NotStaged

_STAGES = (reserve, load, squash, boot, save, analyse)
FAULTS: tuple[Fault, ...] = tuple(fault for stage in _STAGES for fault in stage.FAULTS)
NOT_STAGED: tuple[NotStaged, ...] = tuple(one for stage in _STAGES for one in stage.NOT_STAGED)
