"""The staged crashes, as data: each can be told from the others, and says how it must end."""

from kdump.qualification import steps
from lab.crashes import CASES
from lab.crashes.model import Case
from lab.crashes.staging import Run, misjudged


def test_names_are_unique_and_every_named_failure_is_staged():
    assert len({case.name for case in CASES}) == len(CASES)
    staged = {case.ends for case in CASES} | {case.before for case in CASES}
    assert staged >= {
        steps.NEVER_WENT_DOWN,
        steps.CAPTURE_SILENT,
        steps.OUT_OF_MEMORY,
        steps.DISK_MISSING,
        steps.WATCHDOG_RESET,
        steps.DISK_FULL,
        steps.NEVER_CAME_BACK,
        steps.NO_DUMP,
        steps.OTHER_CRASH,
        steps.DUMP_STALLED,
    }


def test_a_second_crash_a_late_end_and_another_state_are_problems():
    case = Case("x", "y", steps.DISK_FULL, within=60)
    panic = "Kernel panic - not syncing: sysrq triggered crash\n"
    fired = {"fired": 1.0, "end": "dump disk full: x"}
    assert misjudged(case, Run(1, "", fired), "dump disk full", "went down 3 s · dump disk full 60 s", panic) == []
    assert len(misjudged(case, Run(0, "", fired), "dump stalled", "dump stalled 61 s", panic * 2)) == 4
