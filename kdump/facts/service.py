"""The unit that loads the capture kernel, and whether one is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..flavour import FLAVOURS, KDUMP_TOOLS, Flavour
from ..parsers.log_signatures import sightings
from ..parsers.shell_settings import ShellSettings
from ..parsers.systemd import PROPERTIES, Unit, last_start, units
from ..verdict import CouldNotDetermine, NotApplicable
from .identity import XEN

UNITS = tuple(dict.fromkeys(unit for flavour in FLAVOURS for unit in flavour.units))

kdump_units = fact(
    "kdump_units",
    f"limit 5 systemctl show --no-pager --property={','.join(PROPERTIES)} {' '.join(UNITS)}",
    units,
    tool_missing=NotApplicable("this host does not run systemd: there is no unit to ask"),
)


@dataclass(frozen=True)
class UnitState:
    """The units of one flavour that exist on the host, and what their log says."""

    units: tuple[Unit, ...]
    log: str

    @property
    def failed(self) -> tuple[Unit, ...]:
        return tuple(unit for unit in self.units if unit.active == "failed")

    @property
    def active(self) -> tuple[Unit, ...]:
        return tuple(unit for unit in self.units if unit.active in ("active", "reloading"))

    @property
    def enabled(self) -> tuple[Unit, ...]:
        """Units that the next boot will start; ``enabled-runtime`` is forgotten by then, ``linked`` is only known by name.

        Raises :class:`CouldNotDetermine` where systemd does not tell.
        """
        found = tuple(unit for unit in self.units if unit.file in ("enabled", "static", "alias", "generated"))
        for unit in () if found else self.units:
            if unit.file in ("", "bad") and unit.load == "loaded":
                raise CouldNotDetermine(f"systemd does not tell whether {unit.name} is enabled")
        return found

    def __str__(self) -> str:
        return ", ".join(_words(unit) for unit in self.units)


def _words(unit: Unit) -> str:
    if unit.load == "masked":
        return f"{unit.name} is masked"
    if unit.skipped:
        return f"{unit.name} was skipped because its condition does not hold (no crashkernel= on the command line)"
    return f"{unit.name} is {unit.active} ({unit.sub}, result {unit.result})"


@derived
def unit_state(kdump_units: Mapping[str, Unit], flavour: Flavour, maybe_unit_log: Maybe[tuple[str, ...]]) -> UnitState:
    """The state of the flavour's units. While one is starting, nothing can be said of it."""
    there = tuple(kdump_units[name] for name in flavour.units if name in kdump_units and kdump_units[name].exists)
    if not there:
        raise CouldNotDetermine(f"{flavour.name} is installed, but none of its units ({', '.join(flavour.units)}) is")
    for unit in there:
        if unit.active in ("activating", "deactivating"):
            raise CouldNotDetermine(
                f"{unit.name} is {unit.active}: its initramfs is probably being built; ask again in a minute or two"
            )
    return UnitState(there, log_says(maybe_unit_log))


@derived
def switched_off(flavour: Flavour, maybe_kdump_tools_defaults: Maybe[ShellSettings]) -> str:
    """The setting by which the service does nothing; "" where it is on.

    Source: Debian kdump-tools 1.8.1, /etc/init.d/kdump-tools: ``[ "$USE_KDUMP" -ne 0 ] || exit 0``, before it loads, and in the
    capture kernel, which boots the same system, before it saves. What is no number ends it likewise.
    """
    if flavour is not KDUMP_TOOLS:
        raise NotApplicable(f"{flavour.name} has no switch besides its unit")
    given = maybe_kdump_tools_defaults.value.get("USE_KDUMP")
    on = re.fullmatch(r"\s*[-+]?\d+\s*", given) is not None and int(given) != 0
    return "" if on else f"USE_KDUMP={given}"


@dataclass(frozen=True)
class Loading:
    """Whether a capture kernel (or, on POWER, firmware-assisted dump) stands ready, and what the log says if not."""

    loaded: bool
    log: str


@derived
def loading(
    maybe_xen_dom0: Maybe[bool],
    maybe_crash_loaded: Maybe[bool],
    maybe_fadump_registered: Maybe[bool],
    flavours: tuple[Flavour, ...],
    maybe_kdump_units: Maybe[Mapping[str, Unit]],
    maybe_unit_log: Maybe[tuple[str, ...]],
) -> Loading:
    """What a panic would meet at this moment."""
    if maybe_fadump_registered.otherwise(False):
        return Loading(True, "")
    if isinstance(maybe_crash_loaded.reason, NotApplicable) and flavours:
        # A kernel that cannot, on a host that is meant to: that is a dump that will be missing.
        return Loading(False, f"{maybe_crash_loaded.reason}")
    if maybe_crash_loaded.value:
        return Loading(True, "")
    _ = maybe_fadump_registered.value
    if maybe_xen_dom0.value:
        raise CouldNotDetermine(XEN)
    for unit in maybe_kdump_units.otherwise({}).values():
        if unit.active == "activating":
            raise CouldNotDetermine(f"{unit.name} is still activating: ask again in a minute or two")
    return Loading(False, log_says(maybe_unit_log))


def log_says(log: Maybe[tuple[str, ...]]) -> str:
    """The causes whose signatures stand in the log of the last start, each with its line."""
    if log.reason is not None:
        return f"the log of the service cannot tell why: {log.reason}"
    if not log.value:
        return "the service has left nothing in the log of this boot"
    lines = last_start(log.value)
    if seen := sightings(lines):
        return "; ".join(f"its log names {sight.signature.cause}: {_message(sight.line)!r}" for sight in seen)
    return f"no known cause has its signature in the log; the last line: {_message(lines[-1])!r}"


def _message(line: str) -> str:
    """A journal line without time and host."""
    return line.split(" ", 2)[-1]


@dataclass(frozen=True)
class Implementations:
    names: tuple[str, ...]


@derived
def kdump_implementations(flavours: tuple[Flavour, ...], maybe_crash_loaded: Maybe[bool]) -> Implementations:
    """The implementations of kdump userspace on a kernel that could use one."""
    if not flavours:
        if isinstance(maybe_crash_loaded.reason, NotApplicable):
            raise maybe_crash_loaded.reason
        if maybe_crash_loaded.value:
            raise CouldNotDetermine("a capture kernel is loaded, by nothing that this suite knows")
    return Implementations(tuple(flavour.name for flavour in flavours))
