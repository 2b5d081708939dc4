"""What a staged crash is, and when the suite followed it rightly."""

from __future__ import annotations

import dataclasses

from kdump.qualification.steps import DeadEnd
from lab.faults.model import DEBIAN12, DEBIAN13, Ground

KILL = "kill"


@dataclasses.dataclass(frozen=True)
class At:
    """What happens when the console first shows *pattern* (a regular expression) after the mark.

    act   KILL ends the suite with SIGKILL; anything else is a command of QEMU's monitor protocol, with its *arguments*
    """

    pattern: str
    act: str
    arguments: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Case:
    """One crash.

    why       what is proven, in one sentence
    ends      the dead end that must be named; None: a proven dump
    refused   instead: not crashed, and this (a regular expression) is said
    within    seconds from the trigger to the end, on a machine that is emulated beside another one
    ground, stage  as those of a fault
    bmc       the machine has the BMC of lab/bmc.py
    options   of the suite; may hold {qmp} and {python}
    console   "file", "command", or "" for none
    strict    without --crash-anyway: a cause that is present, or was not seen, keeps the machine from being crashed
    crashes   how often the machine must have panicked, not once more
    at        what happens meanwhile; a machine that was stopped goes on before the suite resumes
    resumed   afterwards the suite is run without --crash-resume, and must refuse, and then with it; *ends* is of the last run,
              *before* of the first (None: it was killed)
    target    "ssh", "nfs": dumps go to a server of the controller, where the suite is told to look for them
    shows     regular expressions that the suite's output must match
    prints    the same of the machine's console
    """

    name: str
    why: str
    ends: DeadEnd | None = None
    refused: str = ""
    within: float = 600.0
    on: tuple[str, ...] = (DEBIAN12, DEBIAN13)
    ground: Ground = dataclasses.field(default_factory=Ground)
    bmc: bool = False
    stage: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    console: str = "file"
    strict: bool = False
    crashes: int = 1
    at: tuple[At, ...] = ()
    resumed: bool = False
    before: DeadEnd | None = None
    target: str = ""
    shows: tuple[str, ...] = ()
    prints: tuple[str, ...] = ()
    ci: bool = False
