"""What arms a watchdog at boot: systemd's configuration, the daemons that feed one, the modules that are loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .drop_ins import in_order, lines_of, name_of
from .systemd import configured_seconds

#: systemd's word for the time-out that the driver was loaded with (systemd-system.conf(5))
AS_IT_IS = float("inf")
#: watchdog 5.16, watchdog.conf(5): 60 s where watchdog-timeout is not set, and no timer at all without watchdog-device
_DAEMON_TIMEOUT = 60.0
#: units of that daemon; its configuration is theirs
_WATCHDOG_DAEMON = ("watchdog.service", "wd_keepalive.service")
_ASSIGNMENT = re.compile(r"\s*(?P<name>[\w-]+)\s*=\s*(?P<value>.*?)\s*$")
_MODULE = re.compile(r"\s*(?P<name>[\w-]+)(\s+[A-Za-z].*)?$")
#: in the name of nearly every driver of linux/drivers/watchdog, and of ipmi_watchdog
_LIKE_A_WATCHDOG = re.compile(r"wd|dog|tco|i6300esb|ibmasr|sbc8360", re.IGNORECASE)


@dataclass(frozen=True)
class Arming:
    """Who arms a watchdog: a setting or a unit. ``device``: "" for the default; ``seconds``: None where not read here."""

    who: str
    device: str
    seconds: float | None


@dataclass(frozen=True)
class WatchdogSettings:
    """``runtime``, ``device``: systemd's, with the file that sets the former; ``drivers``: modules that the boot loads and that
    may be a watchdog's."""

    systemd: bool
    runtime: float
    source: str
    device: str
    daemons: tuple[Arming, ...]
    drivers: frozenset[str]


def watchdog_settings(text: str) -> WatchdogSettings:
    r"""Read what the probe's ``watchdogs_at_boot`` prints.

    systemd reads its first system.conf, then the drop-ins by name; the last setting wins (systemd v252, src/core/main.c,
    parse_config_file()). RebootWatchdogSec= and KExecWatchdogSec= are for a reboot that systemd itself does, not for a panic.

    >>> found = watchdog_settings("file /etc/systemd/system.conf\nfile /etc/systemd/system.conf.d/a.conf\n"
    ...                           "/etc/systemd/system.conf.d/a.conf:RuntimeWatchdogSec=1min 30s")
    >>> found.runtime, found.source
    (90.0, '/etc/systemd/system.conf.d/a.conf')

    Raises :class:`ValueError` for a time that is none.
    """
    files = [line.removeprefix("file ") for line in text.splitlines() if line.startswith("file ")]
    units = [line.removeprefix("unit ") for line in text.splitlines() if line.startswith("unit ")]
    if not files and "no systemd" not in text:
        raise ValueError("no file of systemd's configuration, and no word that it is not the init system")
    runtime, source, device = 0.0, "", ""
    for file, line in lines_of(text, _systemd_files(files)):
        match = _ASSIGNMENT.match(line)
        if match and match["name"] == "RuntimeWatchdogSec":
            runtime, source = runtime_seconds(match["value"]), file
        elif match and match["name"] == "WatchdogDevice":
            device = match["value"]
    daemon = {}
    drivers = set()
    for file, line in lines_of(text, [file for file in files if "/system.conf" not in file]):
        if match := _ASSIGNMENT.match(line):
            daemon[match["name"]] = match["value"].partition("#")[0].strip(" \t\"'")
        elif "modules" in file and (match := _MODULE.match(line)):
            drivers.add(match["name"])
    drivers.update(filter(None, [daemon.get("watchdog_module", "").replace("none", "")]))
    armings = [found for unit in dict.fromkeys(units) if (found := _daemon(unit, daemon)) is not None]
    likely = frozenset(name.replace("-", "_") for name in drivers if _LIKE_A_WATCHDOG.search(name))
    return WatchdogSettings("no systemd" not in text.splitlines(), runtime, source, device, tuple(armings), likely)


def runtime_seconds(value: str) -> float:
    """RuntimeWatchdogSec=, or systemd.watchdog_sec= of the kernel's command line; 0 for none, :data:`AS_IT_IS`.

    >>> runtime_seconds("off"), runtime_seconds("20"), runtime_seconds("default")
    (0.0, 20.0, inf)
    """
    return _WORDS[value] if value in _WORDS else configured_seconds(value)


_WORDS = {"off": 0.0, "default": AS_IT_IS, "infinity": AS_IT_IS}


def _systemd_files(files: Iterable[str]) -> list[str]:
    whole = [file for file in files if name_of(file) == "system.conf"]
    return [*whole[:1], *in_order(file for file in files if "/system.conf.d/" in file)]


def _daemon(unit: str, settings: dict[str, str]) -> Arming | None:
    """What a unit arms; None where its configuration keeps it from doing so."""
    if unit not in _WATCHDOG_DAEMON:
        return Arming(unit, "", None)
    if not settings.get("watchdog-device") or (unit == "watchdog.service" and settings.get("run_watchdog", "1") != "1"):
        return None
    return Arming(unit, settings["watchdog-device"], float(settings.get("watchdog-timeout", _DAEMON_TIMEOUT)))
