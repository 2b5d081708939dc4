"""How hard the table of hostility is taken.

As tests: with deadlines of some seconds, small fleets, and time to spare for a machine that may be busy. With
``KDUMP_HOSTILITY_REAL=1``, on a machine that is quiet: with the deadlines and fleets of a night, and the table's figures as
they stand.
"""

import os

REAL = bool(os.environ.get("KDUMP_HOSTILITY_REAL"))
HOSTS = 1000 if REAL else 100


def deadlines(connect: float, probe: float) -> tuple[float, float]:
    """Seconds to connect and for the probe: these, or those of a night."""
    return (10.0, 30.0) if REAL else (connect, probe)


def slack(seconds: float) -> float:
    """What a busy machine may add to a figure."""
    return 0.0 if REAL else seconds
