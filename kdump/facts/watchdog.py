"""Hardware timers that reset the machine, and how long a dump takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..flavour import Flavour
from ..parsers.initramfs import Initramfs
from ..verdict import CouldNotDetermine, NotApplicable

#: seconds from the panic until a watchdog driver of the kdump initramfs has taken its timer over (10 to 30)
DRIVER_LOADS_AFTER = 30
#: seconds from the panic until the dump starts, and from its end until the reset; without network
BOOT = 30
#: seconds per byte of memory that makedumpfile's scan of the page structures takes: a minute per TiB (its changelog)
SCAN = 60 / (1 << 40)
#: bytes per second that one core compresses with zlib: 43 MB/s measured; a slow disk is slower
COPY = 40_000_000
#: what an estimate may be wrong by
MARGIN = 1.5
#: dies with the kernel: it is a timer of that kernel
_SOFTWARE = ("softdog", "Software Watchdog")


@dataclass(frozen=True)
class Watchdog:
    """A timer that a watchdog driver registered. ``running`` is None where the kernel does not export it."""

    name: str
    identity: str
    driver: str
    timeout: int
    running: bool | None

    @property
    def software(self) -> bool:
        return self.driver in _SOFTWARE or self.identity in _SOFTWARE


@dataclass(frozen=True)
class BmcWatchdog:
    """The BMC's timer, as ``ipmitool mc watchdog get`` shows it. ``countdown`` in seconds."""

    running: bool
    resets: bool
    countdown: float


@dataclass(frozen=True)
class DumpTime:
    """Seconds from the panic to the end of the dump, with its parts in words."""

    seconds: float
    parts: str


def core_watchdogs(text: str) -> tuple[Watchdog, ...]:
    """Devices of the watchdog core.

    ``state`` says whether a program opened the timer; one that the firmware started shows only as a falling timeleft
    (drivers/watchdog/watchdog_dev.c, Linux 6.12: WDOG_HW_RUNNING is not exported).

    >>> core_watchdogs("watchdog0 identity i6300ESB timer\\nwatchdog0 state active\\nwatchdog0 timeout 12\\n"
    ...                "watchdog0 driver i6300esb")[0].running
    True
    """
    values: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        name, attribute, value = (*line.split(" ", 2), "")[:3]
        values.setdefault(name, {})[attribute] = value
    return tuple(_watchdog(name, found) for name, found in values.items())


def _watchdog(name: str, found: Mapping[str, str]) -> Watchdog:
    running: bool | None = None
    if "state" in found:
        if found["state"] == "active":
            running = True
        elif "timeleft-later" in found:
            running = int(found["timeleft-later"]) < int(found["timeleft"])
    return Watchdog(name, found.get("identity", name), found.get("driver", ""), int(found.get("timeout", 0)), running)


def bmc(text: str) -> BmcWatchdog | None:
    """``ipmitool mc watchdog get``; None on a machine without a BMC.

    >>> bmc("Watchdog Timer Is:      Started/Running\\nWatchdog Timer Action:  Hard Reset (0x01)\\n"
    ...     "Initial Countdown:      20.0 sec")
    BmcWatchdog(running=True, resets=True, countdown=20.0)
    """
    if text.startswith("no device"):
        if "firmware names" in text:
            raise ValueError("the machine has a BMC, but no /dev/ipmi0: load ipmi_si and ipmi_devintf")
        return None
    found = dict(re.findall(r"^(Watchdog Timer Is|Watchdog Timer Actions?|Initial Countdown):\s+(.*)$", text, re.MULTILINE))
    action = found.get("Watchdog Timer Action", found.get("Watchdog Timer Actions", ""))
    if "Watchdog Timer Is" not in found or not action:
        raise ValueError("ipmitool does not say whether the timer runs and what it does")
    countdown = float(found.get("Initial Countdown", "0").split()[0])
    return BmcWatchdog(found["Watchdog Timer Is"].startswith("Started"), "No action" not in action, countdown)


# No such directory: a kernel without the watchdog core.
watchdogs = fact("watchdogs", "watchdogs", core_watchdogs, absent=(), slow=True)
bmc_watchdog = fact("bmc_watchdog", "bmc_watchdog", bmc, root=True, slow=True)


@derived
def dump_time(meminfo: Mapping[str, int]) -> DumpTime:
    """A careful estimate for dump level 31: what the kernel itself holds is saved, caches and programs are not."""
    total = meminfo["MemTotal"]
    names = ("Slab", "KernelStack", "PageTables", "VmallocUsed", "Percpu")
    kernel = max(sum(meminfo.get(name, 0) for name in names), total // 50)
    scan, copy = total * SCAN, kernel / COPY
    return DumpTime(
        BOOT + scan + copy,
        f"{BOOT} s to boot, {scan:.0f} s to scan {total >> 20} MiB, {copy:.0f} s to save about {kernel >> 20} MiB",
    )


@derived
def watchdogs_that_expire(
    watchdogs: tuple[Watchdog, ...],
    flavour: Flavour,
    maybe_initramfs: Maybe[Initramfs],
    dump_time: DumpTime,
) -> list[str]:
    """A sentence for each running hardware timer that would reset the machine before the dump is done."""
    found: list[str] = []
    silent: list[Watchdog] = []
    for dog in watchdogs:
        if dog.software or dog.running is False:
            continue
        needed = dump_time.seconds * MARGIN
        if dog.timeout >= needed:
            continue
        if dog.running is None:
            silent.append(dog)
            continue
        # kdump-tools boots the whole system: its udev loads the driver too late to count on
        if not flavour.boots_real_root and maybe_initramfs.value.has_module(dog.driver):
            needed = DRIVER_LOADS_AFTER
        if dog.timeout < needed:
            found.append(
                f"{dog.identity} ({dog.name}, driver {dog.driver}) runs and resets the machine {dog.timeout} s after "
                f"the panic at the latest; the dump needs about {dump_time.seconds:.0f} s ({dump_time.parts})"
            )
    if silent and not found:
        names = ", ".join(f"{dog.name} ({dog.identity})" for dog in silent)
        raise CouldNotDetermine(f"{names}: nobody opened the timer, and the kernel does not tell whether the firmware started it")
    return found


@derived
def bmc_that_expires(bmc_watchdog: BmcWatchdog | None, dump_time: DumpTime) -> str:
    """Why the BMC would reset the machine before the dump is done; empty when it would not."""
    if bmc_watchdog is None:
        raise NotApplicable("this machine has no BMC")
    if not bmc_watchdog.running or not bmc_watchdog.resets or bmc_watchdog.countdown >= dump_time.seconds * MARGIN:
        return ""
    return (
        f"the BMC's timer runs and resets the machine {bmc_watchdog.countdown:g} s after the panic at the latest; "
        f"the dump needs about {dump_time.seconds:.0f} s ({dump_time.parts})"
    )
