"""Hardware timers that reset the machine, and how long a dump takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..fact import Maybe, derived, fact
from ..flavour import Flavour
from ..parsers.initramfs import Initramfs
from ..parsers.systemd import seconds
from ..parsers.watchdog_settings import WatchdogSettings
from ..verdict import CouldNotDetermine, NotApplicable, OnlyACrashTells
from .dump_saver import BOOT, DumpTime
from .kernel import CommandLine

#: what an estimate may be wrong by, and the timer may already have run when the panic comes
MARGIN = 1.5
#: seconds from the panic within which a watchdog driver of the kdump initramfs, or of the capture kernel itself, has taken its
#: timer over: it does so while that kernel boots. The watchdog core then feeds it until a program opens it (watchdog_dev.c).
#: It may be nearly at once: a timer of less is open. Where the whole system is booted, its own udev loads the driver, and nobody
#: knows how late. On an emulated machine 4 and 8 s were seen, and more than 30 s where others kept its processor busy.
DRIVER_LOADS_WITHIN = round(BOOT * MARGIN)
#: dies with the kernel: it is a timer of that kernel
_SOFTWARE = ("softdog", "Software Watchdog")
#: the timer runs down twice before it resets: iTCO_wdt.c halves its time-out for that in version 1 only; sbsa_gwdt.c does
#: not where its parameter "action" is 1
_RUNS_TWICE = ("iTCO_wdt", "sbsa_gwdt")
#: drivers whose timeleft goes on while the timer stands still: it is when the timer was last refreshed, against a counter that
#: never stops, and below zero a number far above the time-out (sbsa_gwdt.c, sbsa_gwdt_get_timeleft()). A timer that ran would
#: have reset the machine by then.
_COUNTS_ON = ("sbsa_gwdt",)
#: drivers that stop a running timer when they load, or keep it from resetting (iTCO_wdt.c: NO_REBOOT), and drivers that tell
#: the watchdog core to feed it (WDOG_HW_RUNNING), as they stand in Linux 6.12. Others leave a timer that runs to itself.
_STOPS = ("iTCO_wdt", "sp5100_tco", "i6300esb")
_FEEDS = ("hpwdt", "sbsa_gwdt", "wdat_wdt")
#: "nowayout" locks its timer in the hardware: nothing stops it, and the core does not know of it (i6300esb.c)
_LOCKED_BY_NOWAYOUT = "i6300esb"
#: the driver whose timer is the BMC's: the BMC itself is asked. When it loads, it sets the timer's action to none and lets it
#: run down (ipmi_watchdog.c, ipmi_register_watchdog(), in Linux 3.10 and 6.12). No device names it: udev loads it for nobody.
_BMC_DRIVER = "ipmi_watchdog"
#: has the kernel call what registered for a panic before it starts the capture kernel (kernel/panic.c). ipmi_watchdog.c, in
#: Linux 6.12, then gives a timer that runs its parameter panic_wdt_timeout, 255 s where nobody set it.
_PANIC_NOTIFIERS = "crash_kexec_post_notifiers"


@dataclass(frozen=True)
class Watchdog:
    """A timer that a watchdog driver registered.

    ``drivers``: several where it is one of them. ``running`` is None where the kernel does not export it, ``timeout`` where it
    is not known. ``below``: the modules of the devices that the timer is a part of. ``legacy``: its driver is outside the
    watchdog core. ``nowayout``: it cannot be stopped. ``core``: parameters of the watchdog core, as far as the kernel has them.
    ``longest``: the most that the driver lets its time-out be set to (0: anything), None where the kernel does not tell (before
    Linux 5.18).
    """

    name: str
    identity: str
    drivers: tuple[str, ...]
    timeout: int | None
    running: bool | None
    below: tuple[str, ...] = ()
    legacy: bool = False
    nowayout: bool = False
    core: Mapping[str, str] = field(default_factory=dict)
    longest: int | None = None

    @property
    def driver(self) -> str:
        return " or ".join(self.drivers)

    @property
    def software(self) -> bool:
        return self.driver in _SOFTWARE or self.identity in _SOFTWARE

    @property
    def latest(self) -> int:
        """Seconds after the panic when the machine is reset at the latest."""
        return (self.timeout or 0) * (2 if self.driver in _RUNS_TWICE else 1)

    def __str__(self) -> str:
        driver = f", driver {self.driver}" if self.driver else ""
        return f"{self.identity} ({self.name}{driver})"


@dataclass(frozen=True)
class BmcWatchdog:
    """The BMC's timer, as ``ipmitool mc watchdog get`` shows it. ``countdown`` in seconds."""

    running: bool
    resets: bool
    countdown: float


def core_watchdogs(text: str) -> tuple[Watchdog, ...]:
    """The devices of the watchdog core, and a driver outside it.

    ``state`` says whether a program opened the timer; one that the firmware started and the kernel feeds shows only as a
    timeleft that moves (drivers/watchdog/watchdog_dev.c, Linux 6.12: WDOG_HW_RUNNING is not exported).

    >>> core_watchdogs("watchdog0 identity i6300ESB timer\\nwatchdog0 state active\\nwatchdog0 timeout 12\\n"
    ...                "watchdog0 driver i6300esb")[0].running
    True

    Raises :class:`ValueError` where the text has no watchdog, and no word that there is none.
    """
    values: dict[str, dict[str, list[str]]] = {}
    lines = text.splitlines()
    for line in lines:
        if line == "none":
            continue
        name, attribute, value = (*line.split(" ", 2), "")[:3]
        values.setdefault(name, {}).setdefault(attribute, []).append(value.strip())
    core = {parameter: given[-1] for parameter, given in values.pop("core", {}).items()}
    if not values and "none" not in lines:
        raise ValueError("there is neither a watchdog in it nor the word that there is none")
    return tuple(_watchdog(name, found, core) for name, found in values.items())


def _watchdog(name: str, found: Mapping[str, list[str]], core: Mapping[str, str]) -> Watchdog:
    first = {attribute: values[0] for attribute, values in found.items()}
    running: bool | None = None
    counts = [*found.get("timeleft", ()), *found.get("later", ())]
    timeout = int(given) if (given := first.get("timeout", "")).isdigit() else 0
    drivers, below = (tuple(filter(None, found.get(what, ()))) for what in ("driver", "below"))
    if first.get("state") == "active" or any(int(users) > 0 for users in found.get("users", ())):
        running = True
    elif "state" in first and len(counts) > 1 and all(count.isdigit() for count in counts):
        counts_on = any(driver.replace("-", "_") in _COUNTS_ON for driver in drivers)
        ran_out = counts_on and 0 < timeout < min(map(int, counts))
        running = len(set(counts)) > 1 and not ran_out
    elif first.get("state") == "inactive" and drivers == (_LOCKED_BY_NOWAYOUT,) and first.get("nowayout") == "0":
        running = False  # it was stopped when its driver loaded (i6300esb.c, esb_initdevice()), and nobody has opened it since
    return Watchdog(
        name,
        first.get("identity", name),
        drivers,
        timeout or None,
        running,
        below,
        legacy=name == "legacy",
        nowayout=first.get("nowayout") == "1",
        core=core,
        longest=int(most) if (most := first.get("max_timeout", "")).isdigit() else None,
    )


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


def runtime_watchdog(text: str) -> float | None:
    """systemd's RuntimeWatchdogSec= in seconds; None where it leaves the timer alone, or keeps the driver's time-out.

    >>> runtime_watchdog("RuntimeWatchdogUSec=1min 30s")
    90.0
    """
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    value = found["RuntimeWatchdogUSec"]
    return seconds(value) or None


watchdogs = fact("watchdogs", "watchdogs", core_watchdogs, slow=5)
bmc_watchdog = fact("bmc_watchdog", "bmc_watchdog", bmc, root=True, slow=True)
systemd_watchdog = fact(
    "systemd_watchdog",
    "limit 5 systemctl show --no-pager --property=RuntimeWatchdogUSec",
    runtime_watchdog,
    tool_missing=None,
)


@derived
def hardware_watchdogs(
    watchdogs: tuple[Watchdog, ...], maybe_systemd_watchdog: Maybe[float | None], maybe_bmc_watchdog: Maybe[BmcWatchdog | None]
) -> tuple[Watchdog, ...]:
    """The timers that outlive the kernel and may be running, those that only systemd tells of included."""
    found = []
    armed = maybe_systemd_watchdog.otherwise(None)
    for dog in watchdogs:
        if dog.software or dog.running is False:
            continue
        if dog.legacy and dog.driver == _BMC_DRIVER and maybe_bmc_watchdog.otherwise(None) is not None:
            continue
        if armed and dog.running is None and dog.name in ("watchdog0", "legacy"):
            dog = replace(dog, running=True, timeout=dog.timeout or int(armed))
        found.append(dog)
    return tuple(found)


@derived
def expiry(
    flavour: Flavour,
    maybe_initramfs: Maybe[Initramfs],
    maybe_built_in_modules: Maybe[frozenset[str]],
    maybe_capture_cmdline: Maybe[CommandLine],
    maybe_dump_time: Maybe[DumpTime],
    maybe_watchdog_settings: Maybe[WatchdogSettings],
) -> Expiry:
    """What decides whether a timer expires before the dump is done."""
    return Expiry(
        flavour, maybe_initramfs, maybe_built_in_modules, maybe_capture_cmdline, maybe_dump_time, maybe_watchdog_settings
    )


@derived
def watchdogs_that_expire(
    hardware_watchdogs: tuple[Watchdog, ...],
    maybe_expiry: Maybe[Expiry],
    maybe_bmc_watchdog: Maybe[BmcWatchdog | None],
) -> list[str]:
    """A sentence for each running hardware timer that would reset the machine before the dump is done.

    Raises :class:`CouldNotDetermine` where there is none, and of one it is not known; :class:`OnlyACrashTells` where it is
    too close to call.
    """
    answers = Answers()
    for dog in hardware_watchdogs:
        if dog.legacy and dog.driver == _BMC_DRIVER and not maybe_bmc_watchdog.known:
            # it may run with an action of none (ipmi_watchdog.c, parameter action)
            answers.unclear.append(f"{dog}: its timer is the BMC's, which was not asked: {maybe_bmc_watchdog.reason}")
            continue
        maybe_expiry.value.judge(dog, f"{dog} runs and resets", answers)
    return answers.of_all()


@dataclass
class Answers:
    """Sentences about several timers: those that expire, those of which it is not known, those that only a crash decides."""

    found: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    close: list[str] = field(default_factory=list)

    def of_all(self) -> list[str]:
        if self.unclear and not self.found:
            raise CouldNotDetermine("; ".join(self.unclear + self.close))
        if self.close and not self.found:
            raise OnlyACrashTells("; ".join(self.close))
        return self.found


@dataclass(frozen=True)
class Expiry:
    """Judges timers of one host. ``built_anew``: as if the kdump initramfs had their drivers."""

    flavour: Flavour
    image: Maybe[Initramfs]
    built_in: Maybe[frozenset[str]]
    cmdline: Maybe[CommandLine]
    dump_time: Maybe[DumpTime]
    settings: Maybe[WatchdogSettings]
    built_anew: bool = False

    def judge(self, dog: Watchdog, does: str, answers: Answers) -> None:
        """``does``: a clause, that it runs and resets."""
        if dog.timeout is None:
            state = "its time-out is" if dog.running else "neither its time-out nor whether it runs is"
            answers.unclear.append(f"{dog}: {state} not known")
            return
        least, safe = self.dump_time.value.seconds, self.dump_time.value.seconds * MARGIN
        if dog.timeout >= safe:
            return
        needs = f"the dump needs about {least:.0f} s ({self.dump_time.value.parts})"
        resets = f"{does} the machine some {dog.timeout} s after the panic"
        taken_over = self._taken_over(dog)
        if isinstance(taken_over, str):
            answers.unclear.append(f"{dog} {taken_over}")
        elif taken_over and dog.timeout >= DRIVER_LOADS_WITHIN:
            return
        elif dog.running is None:
            unknown = "nobody opened the timer, and the kernel does not tell whether the firmware started it"
            answers.unclear.append(f"{dog}: {unknown}")
        elif taken_over:
            answers.close.append(f"{resets}; its driver takes up to {DRIVER_LOADS_WITHIN} s to feed it again: too close to call")
        elif self.flavour.boots_real_root and (late := self._loaded_late(dog)):
            answers.close.append(f"{resets}, and {needs}, {late}")
        elif dog.latest < least:
            answers.found.append(f"{does} the machine {dog.latest} s after the panic at the latest; {needs}")
        else:
            answers.close.append(f"{resets}; {needs}: too close to call")

    def _taken_over(self, dog: Watchdog) -> bool | str:
        """Whether the timer's driver stops or feeds it soon after the capture kernel starts; a clause where that is not known."""
        if not dog.drivers:
            return "runs, and which driver it has is not to be seen in /sys"
        try:
            answers = {self.built_anew or _has_all((driver, *dog.below), self.image, self.built_in) for driver in dog.drivers}
            if answers == {True}:
                answers = {_stops_or_feeds(dog, driver.replace("-", "_"), self.cmdline) for driver in dog.drivers}
        except CouldNotDetermine as reason:
            return f"has a time-out of {dog.timeout} s, and whether the capture kernel takes it over is unknown: {reason}"
        return answers.pop() if len(answers) == 1 else "runs, and the capture kernel has only one of these drivers"

    def _loaded_late(self, dog: Watchdog) -> str:
        """A clause, if the system that is booted may load a driver that stops or feeds the timer; "" if that cannot help."""
        try:
            if dog.drivers == (_BMC_DRIVER,) and _BMC_DRIVER not in self.settings.value.drivers:
                return ""
            if not any(_stops_or_feeds(dog, driver.replace("-", "_"), self.cmdline) for driver in dog.drivers):
                return ""
        except CouldNotDetermine as reason:
            return f"unless the system that is booted for the dump loads its driver before: {reason}"
        return "unless the system that is booted for the dump loads its driver before, which stops or feeds it"


def _stops_or_feeds(dog: Watchdog, driver: str, cmdline: Maybe[CommandLine]) -> bool:
    """What a driver that loads does to a timer that runs (drivers/watchdog/watchdog_dev.c: ``handle_boot_enabled`` lets the core
    feed it, ``open_timeout`` bounds for how many seconds)."""
    if driver == _BMC_DRIVER:
        raise CouldNotDetermine(f"{driver} takes the timer's action away where something loads it, and no device does")
    if driver == _LOCKED_BY_NOWAYOUT and dog.nowayout:
        return False
    if driver in _STOPS:
        return True
    if driver not in _FEEDS:
        raise CouldNotDetermine(f"what {driver} does to a timer that already runs when it loads is not known here")

    def parameter(name: str, default: str) -> str:
        return [dog.core.get(name, default), *cmdline.value.values(f"watchdog.{name}")][-1]

    return parameter("handle_boot_enabled", "Y")[:1] in "1yY" and parameter("open_timeout", "0") == "0"


def _has_all(modules: tuple[str, ...], image: Maybe[Initramfs], built_in: Maybe[frozenset[str]]) -> bool:
    """Whether the capture kernel has these within seconds: built in, or in its initramfs, whose udev loads them. Where the whole
    system is booted, nobody knows when its own udev does."""
    names = [name.replace("-", "_") for name in modules]
    lacking = [name for name in names if not built_in.known or name not in built_in.value]
    if not lacking or all(image.value.has_module(name) for name in lacking):
        return True
    _ = built_in.value  # what is not in the image may be built in
    return False


@derived
def bmc_that_expires(bmc_watchdog: BmcWatchdog | None, maybe_expiry: Maybe[Expiry], maybe_cmdline: Maybe[CommandLine]) -> str:
    """Why the BMC would reset the machine before the dump is done; empty when it would not."""
    if bmc_watchdog is None:
        raise NotApplicable("this machine has no BMC")
    if not bmc_watchdog.running or not bmc_watchdog.resets:
        return ""
    answers = Answers()
    timer = Watchdog("BMC", "the BMC's timer", (_BMC_DRIVER,), round(bmc_watchdog.countdown), running=True)
    maybe_expiry.value.judge(timer, "the BMC's timer runs and resets", answers)
    words = "; ".join(answers.of_all())
    if words and any(word.split("=")[0] == _PANIC_NOTIFIERS for word in maybe_cmdline.value):
        raise OnlyACrashTells(f"{words}, unless {_BMC_DRIVER} gives it more time in the panic, as {_PANIC_NOTIFIERS} lets it")
    return words
