"""From the trigger until the machine is back, by a fake clock: each dead end is named, once, within its deadline."""

from pathlib import Path

import pytest

from kdump.qualification import steps
from kdump.qualification.console import Lines, classify
from kdump.qualification.steps import Step
from kdump.qualification.trigger import parse
from kdump.qualification.watch import Answer, Limits, Observation, Watch

LIMITS = Limits(down=60, settle=60, stall=120, back=600)
PANIC = "[   85.194235] Kernel panic - not syncing: sysrq triggered crash"
CAPTURE = "[    0.000000] Command line: root=/dev/vda nr_cpus=1 irqpoll elfcorehdr=998772K"
BEGINS = (
    "[   25.396603] kdump-tools[357]: running makedumpfile -F -c -d 31 /proc/vmcore | compress > /var/crash/x/dump-incomplete."
)
SAVED = "[   32.231193] kdump-tools[357]: kdump-tools: saved vmcore in /var/crash/202611230715."
REBOOT = "[   32.533072] reboot: Restarting system"
BOOT = "[    0.000000] Command line: root=/dev/vda console=ttyS0 crashkernel=256M"
OOM = "[    1.077091] Kernel panic - not syncing: System is deadlocked on memory"
ALERT = "ALERT!  /dev/vda does not exist.  Dropping to a shell!"
SHELL = "(initramfs) \x1b[6n"
FULL = "[   56.136526] kdump-tools[380]: cat: write error: No space left on device"
FAILED = "[   56.150108] kdump-tools[378]: makedumpfile Failed."
OTHER_PANIC = "[    3.1] Kernel panic - not syncing: Fatal exception in interrupt"
OLD, NEW = Answer("old"), Answer("new")


def watched(story, *, console=True, place=False, until=1000, step=5):
    """``story``: at -> lines, or an Answer that is given from then on, or the bytes of the new dump."""
    watch, answer, size = Watch("old", 0.0, LIMITS, console, place), OLD, None
    for at in range(0, until, step):
        lines = []
        for when, what in story:
            if at <= when < at + step:
                if isinstance(what, str):
                    lines.append(what)
                elif isinstance(what, int):
                    size = what
                else:
                    answer = what
        events = [event for line in lines if (event := classify(line, at)) is not None]
        watch.see(Observation(at, answer, True, tuple(events), bool(lines), size))
        if watch.done:
            break
    return watch


# Debian 12 of arm64
ARM_CAPTURE = "[    0.000000] OF: fdt: Reserving 1 KiB of memory at 0x7abff000 for elfcorehdr"
ARM_COMMAND_LINE = "[    0.000000] Kernel command line: root=/dev/vda reset_devices nr_cpus=1"
DOWN = [(3, PANIC), (3, None)]
HEALTHY = [*DOWN, (5, CAPTURE), (30, BEGINS), (40, SAVED), (41, REBOOT), (50, BOOT), (90, NEW)]


@pytest.mark.parametrize(
    "story", [HEALTHY, [*DOWN, (5, ARM_CAPTURE), (5, ARM_COMMAND_LINE), *HEALTHY[3:]]], ids=["x86_64", "arm64"]
)
def test_a_healthy_crash_reaches_every_step(story):
    watch = watched(story)
    assert watch.ended is None
    assert list(watch.reached) == [Step.DOWN, Step.CAPTURE, Step.DUMPING, Step.BACK]
    assert watch.reset is None


def test_without_a_console_silence_and_a_new_boot_tell():
    watch = watched([(3, None), (90, NEW)], console=False)
    assert set(watch.reached) == {Step.DOWN, Step.BACK}


def test_a_dump_that_was_begun_before_somebody_took_over_has_time_to_grow():
    watch = Watch("old", 1000.0, LIMITS, place=True)
    watch.reached.update({Step.DOWN: 10.0, Step.DUMPING: 20.0})
    watch.see(Observation(1001.0, asked=False))
    assert watch.ended is None
    watch.see(Observation(1121.0, asked=False))
    assert watch.ended.dead_end is steps.DUMP_STALLED


@pytest.mark.hostility(36)
@pytest.mark.parametrize(
    ("story", "dead_end", "within"),
    [
        ([], steps.NEVER_WENT_DOWN, 65),
        ([(10, None), (40, OLD)], steps.NEVER_WENT_DOWN, 65),  # it was merely slow to answer
        ([(3, None)], steps.NEVER_CAME_BACK, 605),
        (DOWN, steps.CAPTURE_SILENT, 605),
        ([*DOWN, (5, CAPTURE), (6, OOM)], steps.OUT_OF_MEMORY, 75),
        ([*DOWN, (5, CAPTURE), (40, ALERT), (41, SHELL)], steps.DISK_MISSING, 110),
        ([*DOWN, (5, CAPTURE), (40, SHELL)], steps.EMERGENCY_SHELL, 110),
        ([*DOWN, (5, CAPTURE), (8, OTHER_PANIC)], steps.CAPTURE_PANIC, 75),
        ([*DOWN, (5, CAPTURE), (30, BEGINS)], steps.DUMP_STALLED, 160),
        ([*DOWN, (5, CAPTURE), (30, BEGINS), (40, SAVED)], steps.NEVER_CAME_BACK, 605),
        ([*DOWN, (5, CAPTURE), (5, Answer("capture", capturing=True))], steps.NEVER_CAME_BACK, 605),
    ],
)
def test_a_dead_end_is_named_within_its_deadline(measured, story, dead_end, within):
    watch = watched(story)
    assert watch.ended is not None and watch.ended.dead_end is dead_end, watch.ended
    assert watch.ended.at <= within
    assert dead_end.remediation in watch.ended.sentence
    measured(watch.ended.sentence.splitlines()[0], "each end within its deadline (docs/crashes.md)")


def test_a_question_that_nobody_answered_yet_is_not_a_machine_that_still_answers():
    watch = Watch("old", 0.0, LIMITS)
    watch.see(Observation(2, OLD))
    for at in (30, 60, 90):
        watch.see(Observation(at, asked=False))
    assert not watch.done
    for at in (120, 240):
        watch.see(Observation(at))
    assert watch.ended is None and Step.DOWN in watch.reached
    watch = Watch("old", 0.0, LIMITS)
    watch.see(Observation(LIMITS.back, asked=False))
    assert watch.ended.dead_end is steps.NEVER_CAME_BACK


def test_a_machine_that_stays_off_is_told_with_its_last_word_and_what_it_saved():
    watch = watched([*DOWN, (5, CAPTURE), (30, BEGINS), (40, SAVED), (40, REBOOT)])
    assert "a dump was saved" in watch.ended.seen
    assert watch.ended.seen.endswith("reboot: Restarting system")  # of one reading's lines the last


@pytest.mark.hostility(36)
def test_a_dump_that_stops_growing_is_told_with_its_size():
    watch = watched([(3, None), (30, 10 << 20), (60, 48 << 20)], console=False, place=True)
    assert watch.ended.dead_end is steps.DUMP_STALLED
    assert "48 MB" in watch.ended.seen


def test_a_dump_that_grows_is_not_stalled():
    story = [(3, None), *((at, at << 20) for at in range(30, 500, 50)), (520, NEW)]
    assert watched(story, console=False, place=True).ended is None


@pytest.mark.parametrize(
    ("story", "told", "dead_end"),
    [
        (HEALTHY, {}, steps.NO_DUMP),
        ([*DOWN, (90, NEW)], {}, steps.CAPTURE_SILENT),
        ([*DOWN, (5, CAPTURE), (20, BOOT), (90, NEW)], {}, steps.NO_DUMP),
        ([*DOWN, (5, CAPTURE), (20, BOOT), (90, NEW)], {"expiring": {"i6300ESB timer": 12.0}}, steps.WATCHDOG_RESET),
        ([(3, None), (90, NEW)], {"watchdog": "bootstatus is 32"}, steps.WATCHDOG_RESET),
        ([*DOWN, (5, CAPTURE), (6, OOM), (30, REBOOT), (50, BOOT), (90, NEW)], {}, steps.OUT_OF_MEMORY),
        ([*HEALTHY[:4], (35, FULL), (36, FAILED), *HEALTHY[5:]], {}, steps.DISK_FULL),
        ([*HEALTHY[:4], (36, FAILED), *HEALTHY[5:]], {}, steps.DUMP_FAILED),
    ],
)
def test_why_it_came_back_without_a_dump(story, told, dead_end):
    watch = watched(story)
    assert watch.ended is None
    assert watch.without_dump(100, **told).dead_end is dead_end


def test_the_story_is_over_when_the_machine_restarts():
    assert watched(HEALTHY).over and watched([*DOWN, (5, CAPTURE), (20, BOOT)]).over
    assert not watched(HEALTHY[:4], until=40).over


def test_what_the_next_boot_prints_is_not_the_capture_kernels():
    watch = watched([*DOWN, (5, CAPTURE), (20, BOOT), (40, FULL), (90, NEW)])
    assert watch.without_dump(100).dead_end is steps.NO_DUMP


def test_what_the_first_kernel_printed_is_not_the_capture_kernels():
    watch = watched([(1, "[ 80.0] Out of memory: Killed process 12 (tail)"), *HEALTHY])
    assert watch.without_dump(100).dead_end is steps.NO_DUMP


def test_a_quiet_capture_kernel_is_known_by_what_only_it_does():
    watch = watched([*DOWN, (30, BEGINS), (36, FULL), (37, FAILED), (41, REBOOT), (50, BOOT), (90, NEW)])
    assert Step.CAPTURE in watch.reached
    assert watch.without_dump(100).dead_end is steps.DISK_FULL


@pytest.mark.parametrize(
    "line",
    [
        "[   80.1] kdump-tools[380]: kdump-tools: Unable to reach remote server root@10.0.2.2; can't continue failed!",
        "[   80.1] kdump-tools[380]: kdump-tools: Unable to mount remote NFS directory nas:/d. Cannot save core failed!",
    ],
)
def test_a_server_that_is_not_reached_is_named(line):
    watch = watched([*DOWN, (5, CAPTURE), (70, line), (75, REBOOT), (80, BOOT), (90, NEW)])
    assert watch.without_dump(100).dead_end is steps.TARGET_UNREACHABLE


def test_little_time_still_tells_a_stalled_dump_from_a_machine_that_never_came_back():
    limits = parse("sysrq-c").limits(240)
    assert limits.stall == 60 and limits.back == 240
    assert parse("hung-task").limits(240).back > 240


def test_lines_arrive_in_pieces():
    lines = Lines()
    assert lines.feed(b"one\r\ntw") == ["one"]
    assert lines.feed(b"o\rthree\n") == ["two", "three"]
    assert lines.feed(b"(initramfs) ") == ["(initramfs) "]


@pytest.mark.parametrize("text", ["", "sysrq-c:cpu=x", "sysrq-b", "lkdtm:", "nmi:1", "command: ", "lkdtm:PANIC; reboot"])
def test_unknown_triggers_are_refused(text):
    with pytest.raises(ValueError, match="is not known"):
        parse(text)


def test_every_end_is_in_the_documentation():
    ends = [one for one in vars(steps).values() if isinstance(one, steps.DeadEnd)]
    lines = (Path(__file__).parents[2] / "docs/crashes.md").read_text().splitlines()
    rows = {cells[1]: cells[-2] for line in lines if len(cells := [cell.strip() for cell in line.split("|")]) == 6}
    assert {end.name: end.cause for end in ends}.items() <= rows.items()


def test_a_reset_of_an_arm64_capture_kernel_is_the_second_command_line():
    watch = watched([*DOWN, (5, ARM_CAPTURE), (5, ARM_COMMAND_LINE), (30, ARM_COMMAND_LINE), (90, NEW)])
    assert watch.reset is not None and watch.reset.at == 30
