"""How a machine is made to panic."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .watch import Limits

EVERY_CPU = "every"
#: seconds that a trigger itself may take before the panic: two watchdog_thresh periods at most of a minute, and khungtaskd's
#: time-out, which the trigger sets to ten seconds (Linux 6.12: kernel/watchdog.c, kernel/hung_task.c); for so long, too,
#: crash.sh leaves the sysctls as the trigger needs them
_SLOW = {"softlockup": 120.0, "hung-task": 120.0, "oom": 120.0, "command": 60.0, "nmi": 30.0}
HELP = (
    "sysrq-c (the default), sysrq-c:cpu=N, sysrq-c:cpu=every (one crash per processor), nmi (the host's own BMC, "
    "by ipmitool), lkdtm:POINT, softlockup, hung-task, oom, or command:COMMAND, run here"
)


@dataclass(frozen=True)
class Trigger:
    """``kind``: sysrq-c, cpu, nmi, lkdtm, softlockup, hung-task, oom, command. ``argument``: the processor's number, the
    LKDTM point, the command."""

    kind: str
    argument: str = ""

    @property
    def remote(self) -> bool:
        """Fired on the host itself."""
        return self.kind != "command"

    def limits(self, back: float) -> Limits:
        usual = Limits()
        slow = _SLOW.get(self.kind, 0.0)
        # somebody who gives it little time wants to know a stalled dump from a machine that never came back all the same
        return Limits(down=usual.down + slow, settle=usual.settle, stall=min(usual.stall, back / 4), back=back + slow)

    def __str__(self) -> str:
        if self.kind == "cpu":
            return f"sysrq-c on processor {self.argument}"
        return f"{self.kind}:{self.argument}" if self.argument else self.kind


def parse(text: str) -> Trigger:
    """The value of ``--crash-trigger``. Raises :class:`ValueError` with one sentence.

    >>> parse("sysrq-c"), str(parse("sysrq-c:cpu=3"))
    (Trigger(kind='sysrq-c', argument=''), 'sysrq-c on processor 3')
    """
    kind, colon, argument = text.partition(":")
    if kind == "sysrq-c" and colon:
        match = re.fullmatch(rf"cpu=(\d{{1,5}}|{EVERY_CPU})", argument)
        if match:
            return Trigger("cpu", match[1])
    elif kind in ("sysrq-c", "nmi", "softlockup", "hung-task", "oom") and not colon:
        return Trigger(kind)
    elif (kind == "lkdtm" and re.fullmatch(r"[A-Z0-9_]+", argument)) or (kind == "command" and argument.strip()):
        return Trigger(kind, argument)
    raise ValueError(f"--crash-trigger={text} is not known: give {HELP}")


def processors(text: str) -> tuple[int, ...]:
    """The list format of /sys/devices/system/cpu/online.

    >>> processors("0-2,5")
    (0, 1, 2, 5)
    """
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)
