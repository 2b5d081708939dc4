"""Which hardware timers the next boot will arm, and whether they would leave a dump the time that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..fact import Maybe, derived, fact
from ..parsers.bootloader import NextBoot
from ..parsers.watchdog_settings import AS_IT_IS, Arming, WatchdogSettings, runtime_seconds
from ..parsers.watchdog_settings import watchdog_settings as settings_of
from ..verdict import CouldNotDetermine, NotApplicable
from .kernel import CommandLine
from .watchdog import Answers, BmcWatchdog, Expiry, Watchdog

watchdog_settings = fact("watchdog_settings", "watchdogs_at_boot", settings_of, statuses=(0, 1))
#: what /dev/watchdog0 and /dev/watchdog are; the second is that of a driver outside the watchdog core, if there is one
_FIRST = ("watchdog0", "legacy")


@derived
def watchdogs_armed_at_boot(
    watchdogs: tuple[Watchdog, ...],
    watchdog_settings: WatchdogSettings,
    maybe_next_boot: Maybe[NextBoot],
    maybe_bmc_watchdog: Maybe[BmcWatchdog | None],
    maybe_expiry: Maybe[Expiry],
) -> list[str]:
    """A sentence for each timer that the next boot will arm too short for a dump.

    Not applicable where a timer runs now and nothing is known to arm it: then what runs is what can be judged.
    """
    armings = list(_armings(watchdog_settings, maybe_next_boot, bool(watchdogs) or bool(watchdog_settings.drivers)))
    answers = Answers()
    for arming in armings:
        dog = _armed(arming, watchdogs)
        if dog is None:
            if arming.who == "bmc-watchdog.service" and maybe_bmc_watchdog.value is not None:
                answers.unclear.append(f"{arming.who} is enabled, and how long it lets the BMC's timer run is not known here")
            elif drivers := sorted(watchdog_settings.drivers - {driver for one in watchdogs for driver in one.drivers}):
                answers.unclear.append(
                    f"{arming.who} may find the watchdog of {', '.join(drivers)} at the next boot, and arms it"
                )
        elif not dog.software:
            _judge(arming, dog, maybe_expiry.value, answers)
    if not armings and any(dog.running and not dog.software for dog in watchdogs):
        raise NotApplicable("a watchdog runs now, armed by nothing that is known here: it is judged as it runs")
    return answers.of_all()


def _judge(arming: Arming, dog: Watchdog, expiry: Expiry, answers: Answers) -> None:
    if arming.seconds is None:
        if dog.running is not True:
            answers.unclear.append(f"{arming.who} is enabled, and with which time-out it arms {dog} is not known here")
        return
    asked = dog.timeout if arming.seconds == AS_IT_IS else max(1, round(arming.seconds))
    does = f"{dog} is armed at the next boot by {arming.who} and resets"
    one = Answers()
    expiry.judge(replace(dog, running=True, timeout=asked), does, one)
    # a driver that cannot count so far keeps the time-out that it was loaded with (watchdog_dev.c, watchdog_set_timeout())
    doubtful = dog.legacy or dog.longest is None or 0 < dog.longest < (asked or 0)
    if one == Answers() and asked != dog.timeout and doubtful:
        kept = Answers()
        expiry.judge(replace(dog, running=True), does, kept)
        if kept != Answers():
            one.unclear.append(f"{arming.who} sets {dog} to {asked} s, and whether its driver can count so far is not known")
    if one.found and expiry.flavour.rebuilds_for_watchdogs:
        anew = Answers()
        replace(expiry, built_anew=True).judge(replace(dog, running=True, timeout=asked), does, anew)
        if not anew.found:
            unless = f"unless {expiry.flavour.name} has built its kdump initramfs anew with that driver"
            one.unclear += [f"{words}, {unless}" for words in one.found]
            one.found.clear()
    answers.found += one.found
    answers.unclear += one.unclear
    answers.close += one.close


def _armed(arming: Arming, watchdogs: tuple[Watchdog, ...]) -> Watchdog | None:
    """The watchdog that a device name stands for now."""
    name = arming.device.removeprefix("/dev/")
    names = _FIRST if name in ("", "watchdog", "watchdog0") else (name,)
    if "/" in name:
        raise CouldNotDetermine(f"which watchdog {arming.device} is, that {arming.who} names, is not known")
    return next((dog for dog in watchdogs if dog.name in names), None)


def _armings(settings: WatchdogSettings, boot: Maybe[NextBoot], there: bool) -> Iterator[Arming]:
    """Who will arm something; the kernel's command line speaks before systemd's files (systemd v250, src/core/main.c)."""
    yield from settings.daemons
    if not settings.systemd or not there:
        return
    try:
        entries = boot.value.entries
        lines = [(entry.source, CommandLine.parse(entry.arguments)) for entry in entries]
    except NotApplicable:  # no boot loader of this host's: nobody can say what stands on the command line
        lines = [("", CommandLine())]
    found = []
    for source, line in lines:
        given, device = (line.values(f"systemd.watchdog_{what}")[-1:] for what in ("sec", "device"))
        runtime = runtime_seconds(given[0]) if given else settings.runtime
        who = f"systemd.watchdog_sec={given[0]} ({source})" if given else f"systemd (RuntimeWatchdogSec= in {settings.source})"
        found.append(Arming(who, device[0] if device else settings.device, runtime))
    if len({(one.device, one.seconds) for one in found}) > 1:
        raise CouldNotDetermine(f"which entry boots next is unclear ({boot.value.doubt}), and they arm watchdogs differently")
    if found[0].seconds:
        yield found[0]
