"""Which kdump userspace is installed."""

from __future__ import annotations

from ..fact import derived, fact
from ..flavour import FLAVOURS, Flavour
from ..verdict import CouldNotDetermine

_PATHS = " ".join(path for flavour in FLAVOURS for path in flavour.installed_as)


def paths(text: str) -> frozenset[str]:
    """Which of the listed paths exist, one per line.

    >>> sorted(paths("/usr/sbin/kdump-config"))
    ['/usr/sbin/kdump-config']
    """
    return frozenset(text.split())


kdump_userspace = fact("kdump_userspace", f"for f in {_PATHS}; do ! there $f || echo $f; done", paths)


@derived
def flavours(kdump_userspace: frozenset[str]) -> tuple[Flavour, ...]:
    """All flavours found on the host."""
    return tuple(flavour for flavour in FLAVOURS if kdump_userspace.intersection(flavour.installed_as))


@derived
def flavour(flavours: tuple[Flavour, ...]) -> Flavour:
    """The flavour in use."""
    if len(flavours) > 1:
        names = " and ".join(flavour.name for flavour in flavours)
        raise CouldNotDetermine(f"{names} are installed side by side: which one loads the capture kernel is unclear")
    if not flavours:
        raise CouldNotDetermine("no kdump userspace is installed (kdump-utils, kdump-tools or SUSE kdump)")
    return flavours[0]
