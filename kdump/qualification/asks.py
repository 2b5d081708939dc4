"""The questions that a qualification asks: commands of crash.sh, and what their answers mean."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

from .. import vmcore_evidence
from ..fact import Fact
from ..facts.vmlinux import candidates
from ..parsers.dump import Dump
from ..parsers.unreadable import Unreadable
from .machine import BOOT_ID
from .trigger import Trigger, processors

BootId: Fact[str] = Fact("boot_id", f"cat {BOOT_ID}", str.strip)
Online: Fact[tuple[int, ...]] = Fact("online_processors", "cat /sys/devices/system/cpu/online", processors)
Loaded: Fact[bool] = Fact(
    "capture_kernel_loaded",
    "first_of /sys/kernel/kexec/crash_loaded /sys/kernel/kexec_crash_loaded",
    lambda text: text.strip() == "1",
)
Booting: Fact[bool] = Fact("still_booting", "crash_booting", lambda text: bool(text.strip()))
Vmlinux = Fact("vmlinux_files", "vmlinux_files", candidates, slow=True)
#: characters of what crash says that are sent here, and that :mod:`kdump.open_dump` reads at least
MOST_OPENED = 4_000_000
Crash: Fact[str] = Fact("crash_program", "command -v crash || echo none", str.strip)
Makedumpfile: Fact[str] = Fact("makedumpfile_program", "command -v makedumpfile || echo none", str.strip)


@dataclass(frozen=True)
class File:
    """A file where dumps go: bytes, and when it was last changed and born, by the clock of who wrote it."""

    size: int
    changed: float | None
    born: float | None


@dataclass(frozen=True)
class Marked:
    """The host's clock at the mark, whether the kernel log holds it, and the kernel's own seconds there, None for a log
    without time stamps."""

    clock: float
    kept: bool
    stamp: float | None = None


def listing(folder: str) -> Fact[dict[str, File]]:
    return Fact("dump_listing", _command("crash_listing", folder), files)


def space(folder: str) -> Fact[int]:
    """Bytes."""
    return Fact("free_space", _command("crash_space", folder), lambda text: int(text) * 1024)


def bootstatus() -> Fact[dict[str, int]]:
    return Fact("watchdog_bootstatus", "crash_bootstatus", lambda text: {k: int(v) for k, v in map(str.split, text.splitlines())})


def ready(trigger: Trigger) -> Fact[tuple[str, ...]]:
    """Why the trigger cannot work."""
    command = _command("crash_ready", trigger.kind, trigger.argument)
    return Fact("trigger_ready", command, lambda text: tuple(text.splitlines()))


def mark(token: str) -> Fact[Marked]:
    def parse(text: str) -> Marked:
        clock, _, rest = text.partition("\n")
        stamp = re.match(r"\[\s*(\d+\.\d+)\]", rest)
        return Marked(float(clock), token in rest, float(stamp[1]) if stamp else None)

    return Fact("mark", _command("crash_mark", token), parse, statuses=(0, 1))


def fire(token: str, boot_id: str, trigger: Trigger) -> Fact[Any]:
    return Fact("trigger", _command("crash_fire", token, boot_id, trigger.kind, trigger.argument), str)


def said(token: str) -> Fact[str]:
    """The last words of the trigger, on one line."""
    return Fact("trigger_said", _command("crash_said", token), lambda text: " ".join(text.split()))


def evidence(path: str) -> Fact[Dump]:
    def parse(text: str) -> Dump:
        try:
            return vmcore_evidence.parse(text)[0].dump()
        except Unreadable as unreadable:
            raise ValueError(unreadable.reason) from unreadable

    return Fact("dump_bytes", _command("vmcore_evidence", path), parse, slow=True)


def log(path: str, token: str, stamp: float | None = None) -> Fact[tuple[tuple[str, str], ...]]:
    """(where, words) of ``crash_log``. ``stamp``: the kernel's seconds at the mark."""

    def parse(text: str) -> tuple[tuple[str, str], ...]:
        return tuple((where, words) for where, _, words in (line.partition(" ") for line in text.splitlines()))

    return Fact("dump_log", _command("crash_log", path, token, "" if stamp is None else str(stamp)), parse, slow=True)


def opened(path: str, vmlinux: str) -> Fact[str]:
    return Fact("opened", _command("crash_open", path, vmlinux), str, slow=True)


def files(text: str) -> dict[str, File]:
    """``SIZE CHANGED BORN PATH`` lines; a time that the file system does not keep is 0, - or ?.

    >>> files("39013770 1795418176.250 1795418170.000 /var/crash/202601010101/dump.202601010101")
    {'/var/crash/202601010101/dump.202601010101': File(size=39013770, changed=1795418176.25, born=1795418170.0)}
    """
    found = {}
    for line in text.splitlines():
        size, changed, born, path = line.split(" ", 3)
        found[path] = File(int(size), _time(changed), _time(born))
    return found


def _time(text: str) -> float | None:
    try:
        return float(text) or None
    except ValueError:  # busybox
        return None


def _command(name: str, *arguments: str) -> str:
    return " ".join([name, *(shlex.quote(argument) for argument in arguments if argument)])
