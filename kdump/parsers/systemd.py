"""What systemctl and journalctl print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """A systemd unit; the words are systemd's own (systemctl(1), org.freedesktop.systemd1(5))."""

    name: str
    load: str
    file: str
    active: str
    sub: str
    result: str
    condition: bool

    @property
    def exists(self) -> bool:
        return self.load not in ("not-found", "")

    @property
    def skipped(self) -> bool:
        """A condition kept it from starting; systemd does not call that a failure."""
        return self.active == "inactive" and (not self.condition or self.result == "exec-condition")


#: org.freedesktop.systemd1(5)
_STATES = ("active", "reloading", "refreshing", "inactive", "failed", "activating", "deactivating", "maintenance")
PROPERTIES = ("Id", "LoadState", "UnitFileState", "ActiveState", "SubState", "Result", "ConditionResult")


def units(text: str) -> Mapping[str, Unit]:
    r"""``systemctl show --property=… UNIT…``: blocks of NAME=VALUE lines with blank lines between.

    Raises :class:`ValueError` where a block has no Id or no ActiveState.

    >>> units("Id=kdump.service\nLoadState=loaded\nActiveState=active\nSubState=exited\nConditionResult=yes")[
    ...     "kdump.service"].sub
    'exited'
    """
    found = {}
    for block in text.strip().split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if not pairs.get("Id") or pairs.get("ActiveState") not in _STATES:
            raise ValueError(f"no Id and ActiveState in {block!r}")
        found[pairs["Id"]] = Unit(
            name=pairs["Id"],
            load=pairs.get("LoadState", ""),
            file=pairs.get("UnitFileState", ""),
            active=pairs["ActiveState"],
            sub=pairs.get("SubState", ""),
            result=pairs.get("Result", ""),
            condition=pairs.get("ConditionResult") != "no",
        )
    return found


def log_lines(text: str) -> tuple[str, ...]:
    """``journalctl --output=short-iso``: the lines, without journalctl's own remarks (``-- No entries --``)."""
    return tuple(line for line in text.splitlines() if line and not line.startswith(("-- ", "Hint: ")))


def last_start(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines since systemd last started a unit: what an older attempt complained of may have been mended since."""
    starts = [number for number, line in enumerate(lines) if "systemd[1]: Starting " in line]
    return lines[starts[-1] :] if starts else lines


_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800, "month": 2629800, "y": 31557600}


def seconds(span: str) -> float:
    """A time span as systemctl shows it (systemd.time(7)); 0 for none, and for "infinity".

    >>> seconds("2min 30s")
    150.0

    Raises :class:`ValueError` for anything else.
    """
    if span in ("0", "infinity"):
        return 0
    parts = [re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s|min|h|d|w|month|y)", word) for word in span.split()]
    if not parts or None in parts:
        raise ValueError(f"{span!r} is no time span")
    return float(sum(float(part[1]) * _SECONDS[part[2]] for part in parts if part))


_UNITS = {
    1e-6: ("usec", "us"),
    1e-3: ("msec", "ms"),
    1: ("seconds", "second", "sec", "s", ""),
    60: ("minutes", "minute", "min", "m"),
    3600: ("hours", "hour", "hr", "h"),
    86400: ("days", "day", "d"),
    604800: ("weeks", "week", "w"),
}
_LENGTHS = {unit: length for length, units in _UNITS.items() for unit in units}


def configured_seconds(span: str) -> float:
    """A time span as it stands in systemd's configuration (systemd.time(7)); a bare number is seconds.

    >>> configured_seconds("1min 30"), configured_seconds("2.5 m")
    (90.0, 150.0)

    Raises :class:`ValueError` for anything else, and for months and years.
    """
    if not re.fullmatch(r"(\s*\d+(\.\d+)?\s*[a-z]*)+\s*", span):
        raise ValueError(f"{span!r} is no time span")
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", span)
    if strange := [unit for _, unit in parts if unit not in _LENGTHS]:
        raise ValueError(f"{strange[0]!r} in {span!r} is no unit of time that is read here")
    return float(sum(float(number) * _LENGTHS[unit] for number, unit in parts))
