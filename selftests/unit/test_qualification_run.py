"""One crash, step by step, on a made-up host with a fake clock: the trigger is sent once, and every end is named."""

import os
import time
from dataclasses import replace

import pytest

from kdump.qualification import steps
from kdump.qualification.machine import Clock, CommandConsole, Look
from kdump.qualification.record import BadRecord, Store
from kdump.qualification.run import Crash, Setting, new_record
from kdump.qualification.steps import Step
from kdump.qualification.trigger import parse
from kdump.qualification.watch import Answer, Limits
from kdump.transcript import Reading, Transcript
from kdump.verdict import CouldNotDetermine, NotApplicable
from selftests.vmcore.writer import kdump

DUMP = "/var/crash/202601010101/dump.202601010101"
EVIDENCE_OF = {True: kdump(), False: kdump()[:9000]}


class Time:
    def __init__(self):
        self.now = 1000.0

    def sleep(self, seconds):
        self.now += seconds


def evidence(data):
    return f"file {DUMP}\nsize {len(data)}\nmtime 1795418176\n@0 {data.hex()}"


class FakeHost:
    """``after``: readings by the command's first word once the host was crashed."""

    def __init__(self, time, **after):
        self.time, self.after, self.fired, self.token = time, after, [], ""
        self.returns = True

    def ask(self, facts, deadline):
        return Transcript.of([Reading("id -u", "0", "", 0), *(self.reading(fact.command) for fact in facts)])

    def reading(self, command):
        word = command.split()[0]
        if word == "crash_mark":
            self.token = command.split()[1]
            return Reading(command, f"{self.time.now:.0f}\n[ 84.0] kdump-acceptance: {self.token}", "", 0)
        texts = {
            "cat": "old",
            "crash_listing": "",
            "crash_space": "1048576",
            "crash_bootstatus": "",
            "crash_ready": "",
            "crash_booting": "",
            "first_of": "1",
            "vmcore_evidence": evidence(EVIDENCE_OF[True]),
            "crash_log": f"dump [ 84.0] kdump-acceptance: {self.token}",
            "command": "none",
            "crash_said": Reading(command, "", "tail: cannot open: No such file or directory", 1),
        }
        texts |= self.after if self.fired else {key[7:]: text for key, text in self.after.items() if key.startswith("before_")}
        text = texts[word]
        return text if isinstance(text, Reading) else Reading(command, text.replace("TOKEN", self.token), "", 0)

    def look(self, deadline):
        if not self.fired or self.time.now < self.fired[0] + 3:
            return Look(True, Answer("old"))
        if self.returns and self.time.now > self.fired[0] + 60:
            return Look(True, Answer("new"))
        return Look(True, None)

    def fire(self, fact, deadline):
        self.fired.append(self.time.now)
        return ""


@pytest.fixture
def world(tmp_path):
    time = Time()

    def make(record=None, preflight=(), **after):
        after.setdefault("crash_listing", f"29200000 1100.5 1092.5 {DUMP}")
        host = FakeHost(time, **after)
        trigger = parse("sysrq-c")
        crash = Crash(
            record or new_record("db1", trigger, 1),
            Setting(trigger, Limits(back=300), own_boot_id="own", preflight=lambda: preflight),
            host=host,
            place=host,
            console=lambda offset: None,
            store=Store(tmp_path),
            clock=Clock(lambda: time.now, time.sleep),
        )
        return crash, host

    return make


def end_of(crash):
    """The first step that did not happen."""
    for step in Step:
        try:
            if not crash.reach(step).happened:
                return step
        except NotApplicable:
            continue
        except CouldNotDetermine:
            return step
    return None


@pytest.mark.hostility(36)
def test_a_healthy_crash_is_proven_and_fired_once(world):
    crash, host = world()
    assert end_of(crash) is None and end_of(crash) is None
    assert crash.proven and len(host.fired) == 1
    assert crash.record.concluded
    assert crash.rate() == "27.8 MiB in 8.0 s, 3.5 MiB/s (by the times of the file)"


def test_a_machine_that_nobody_could_ask_in_between_has_the_watchdog_budget_of_the_worst_case(world):
    crash, host = world()
    crash._setting.watchdogs = {"iTCO_wdt (watchdog0)": 30.0}
    host.look = lambda deadline: Look(True, Answer("new")) if host.time.now > host.fired[0] + 60 else Look(False)
    assert end_of(crash) is None
    assert crash.budget() == "iTCO_wdt (watchdog0): 30 s ÷ 61 s = 0.5"


class Console:
    """Says each text at its time, in seconds after the trigger, once that was fired."""

    offset, lost = 0, ""

    def __init__(self, host, story):
        self.host, self.story = host, list(story)

    def read(self):
        if self.story and self.host.fired and self.host.time.now >= self.host.fired[0] + self.story[0][0]:
            return self.story.pop(0)[1].encode()
        return b""

    def close(self):
        pass


PANIC = "[ 85.1] Kernel panic - not syncing: sysrq triggered crash\n"
CAPTURE = "[ 0.0] Command line: root=/dev/vda elfcorehdr=998772K\n"
BEGINS = "[ 25.3] kdump-tools[357]: running makedumpfile -c -d 31 /proc/vmcore | compress > /var/crash/x/dump-incomplete."


@pytest.mark.parametrize(
    ("last", "dead_end"), [(BEGINS, steps.DUMP_STALLED), ("[ 0.0] Command line: root=/dev/v", steps.NEVER_CAME_BACK)]
)
def test_a_machine_that_stops_in_the_middle_of_a_line(world, last, dead_end):
    crash, host = world()
    host.returns = False
    crash._open_console = lambda offset: Console(host, [(3, PANIC), (5, CAPTURE), (20, last)])
    crash._setting.limits = Limits(back=300, stall=75)
    end_of(crash)
    assert crash.ended.dead_end is dead_end
    assert crash.tail[-1] == last


def test_steps_that_need_a_console_say_so(world):
    crash, _ = world()
    for step in (Step.CAPTURE, Step.DUMPING):
        with pytest.raises(NotApplicable, match="--console=HOST=FILE"):
            crash.reach(step)


@pytest.mark.hostility(36)
@pytest.mark.parametrize(
    ("after", "step", "dead_end"),
    [
        ({"crash_listing": ""}, Step.FOUND, steps.NO_DUMP),
        ({"crash_listing": "5 1 1 /var/crash/x/dump-incomplete"}, Step.FOUND, steps.DUMP_UNFINISHED),
        (
            {"crash_listing": "", "crash_bootstatus": "/sys/class/watchdog/watchdog0/bootstatus 32"},
            Step.FOUND,
            steps.WATCHDOG_RESET,
        ),
        ({"vmcore_evidence": evidence(EVIDENCE_OF[False])}, Step.COMPLETE, steps.DUMP_UNFINISHED),
        ({"crash_log": "no-token the dump"}, Step.OURS, steps.OTHER_CRASH),
        ({"crash_log": "unreadable makedumpfile\nno-token /var/crash/x/dmesg.x"}, Step.OURS, steps.OTHER_CRASH),
    ],
)
def test_a_dead_end_stops_the_steps_after_it(world, after, step, dead_end):
    crash, _ = world(**after)
    assert end_of(crash) is step
    assert crash.ended.dead_end is dead_end
    assert not crash.proven and crash.record.concluded
    with pytest.raises(NotApplicable, match=dead_end.name):
        crash.reach(Step.OPENS)


def test_an_old_dump_that_lies_there_is_not_the_new_one(world):
    listing = f"29200000 1.5 1.0 {DUMP}"
    crash, _ = world(before_crash_listing=listing, crash_listing=listing)
    assert end_of(crash) is Step.FOUND


def test_a_disk_that_is_mounted_late_is_waited_for(world):
    crash, host = world()

    def reading(command, known=host.reading):
        late = host.fired and host.time.now < host.fired[0] + 150
        if command.startswith("crash_listing") and late:
            return Reading(command, "", "", 0)
        return Reading(command, "starting" if late else "", "", 0) if command == "crash_booting" else known(command)

    host.reading = reading
    assert end_of(crash) is None and crash.proven


def test_a_log_that_nobody_can_read_is_no_proof_and_no_accusation(world):
    crash, _ = world(crash_log="unreadable makedumpfile --dump-dmesg: Can't get valid ehdr.")
    crash.reach(Step.COMPLETE)
    with pytest.raises(CouldNotDetermine, match="valid ehdr"):
        crash.reach(Step.OURS)
    assert not crash.proven and crash.record.concluded


UNREADABLE = "unreadable makedumpfile is not installed there"


@pytest.mark.parametrize(
    ("there", "here", "proof", "words"),
    [
        (UNREADABLE, "dump [ 84.0] kdump-acceptance: TOKEN", True, "by the makedumpfile of this machine"),
        (UNREADABLE, "no-token the dump", False, "is not in the log of"),
        (UNREADABLE, "unreadable makedumpfile -R: no", None, "not installed there"),
        (f"{UNREADABLE}\nno-token {DUMP}.dmesg", "cut the dump", False, "saved with"),
        ("cut the dump", "no-token the dump", None, "begins after the mark"),
    ],
)
def test_a_log_is_read_here_where_it_cannot_be_read_there(world, there, here, proof, words):
    crash, host = world(crash_log=there)
    reader = FakeHost(Time(), crash_log=here, command="/usr/bin/makedumpfile")
    reader.fired = [0.0]
    crash._setting.here = reader
    host.copy = lambda path, to, most, deadline: setattr(reader, "token", host.token)
    if proof is None:
        with pytest.raises(CouldNotDetermine, match=words):
            crash.reach(Step.OURS)
    else:
        result = crash.reach(Step.OURS)
        assert (result.happened, words in result.seen) == (proof, True), result.seen


@pytest.mark.hostility(37)
@pytest.mark.parametrize(
    ("why", "words"),
    [
        ({"preflight": ("it is present",)}, "it is present"),
        ({"before_crash_ready": "a panic needs root"}, "needs root"),
        ({"before_cat": "own"}, "which would have to watch it"),
    ],
)
def test_a_refused_host_is_not_crashed_and_not_accused(world, why, words):
    crash, host = world(**why)
    with pytest.raises(CouldNotDetermine, match=words):
        crash.reach(Step.PREFLIGHT)
    with pytest.raises(NotApplicable, match="was not crashed"):
        crash.reach(Step.TRIGGER)
    assert host.fired == []


def test_a_machine_that_never_went_down_is_not_accused(world):
    crash, host = world()
    host.fire = lambda fact, deadline: host.fired.append(host.time.now) or "how the trigger was taken is unknown"
    host.look = lambda deadline: Look(True, Answer("old"))
    with pytest.raises(
        CouldNotDetermine, match="never went down: it still answers 90 s after the trigger; how the trigger was taken is unknown"
    ):
        crash.reach(Step.DOWN)
    with pytest.raises(NotApplicable, match="never went down"):
        crash.reach(Step.FOUND)
    assert crash.record.concluded and len(host.fired) == 1


def test_what_a_trigger_said_that_the_machine_survived_is_told(world):
    crash, host = world(crash_said="Set Chassis Power Control to Diag failed:\nInvalid command\n")
    host.look = lambda deadline: Look(True, Answer("old"))
    with pytest.raises(CouldNotDetermine, match="the trigger said: Set Chassis Power Control to Diag failed: Invalid command"):
        crash.reach(Step.DOWN)


def test_of_several_new_dumps_the_one_with_the_mark_counts(world):
    other = "/var/crash/202601020101/dump.202601020101"
    crash, host = world(crash_listing=f"29200000 1100.5 1092.5 {DUMP}\n29200000 1900.5 1892.5 {other}")
    host.reading = lambda command, known=host.reading: (
        Reading(command, "no-token the dump", "", 0) if command.startswith("crash_log") and other in command else known(command)
    )
    assert end_of(crash) is None and crash.record.dump == DUMP


def test_a_disk_without_room_is_named_without_a_console(world):
    crash, _ = world(crash_listing=f"0 1100.5 1092.5 {DUMP}", vmcore_evidence=evidence(b""), crash_space="0")
    assert end_of(crash) is Step.COMPLETE
    assert crash.ended.dead_end is steps.DISK_FULL and "1024 MiB were before" in crash.ended.seen


def test_a_mark_that_is_not_kept_stops_everything(world):
    crash, host = world()
    host.reading = lambda command, known=host.reading: (
        replace(known(command), text="1000") if "crash_mark" in command else known(command)
    )
    with pytest.raises(CouldNotDetermine, match="does not keep"):
        crash.reach(Step.MARK)
    with pytest.raises(NotApplicable, match="was not crashed"):
        crash.reach(Step.TRIGGER)
    assert host.fired == []


@pytest.mark.hostility(36)
def test_a_controller_that_dies_after_the_trigger_is_resumed_without_another_crash(world, tmp_path):
    crash, host = world()
    crash.reach(Step.TRIGGER)
    record = Store(tmp_path).load("db1")
    assert record.pending and record.token == host.token
    resumed, other = world(record=record)
    other.fired, other.token = host.fired, host.token
    assert end_of(resumed) is None and resumed.proven
    assert resumed.budget() == ""  # when it was back, nobody saw
    assert len(other.fired) == 1
    assert not Store(tmp_path).load("db1").pending


def test_a_controller_that_died_before_the_trigger_left_it_fires_nothing_later(world, tmp_path):
    record = new_record("db1", parse("sysrq-c"), 1)
    record.boot_id, record.fired = "old", 1000.0
    Store(tmp_path).save(record)
    resumed, host = world(record=Store(tmp_path).load("db1"))
    assert end_of(resumed) is Step.DOWN
    assert resumed.ended.dead_end is steps.NEVER_WENT_DOWN and host.fired == []
    assert not Store(tmp_path).load("db1").pending


def test_a_machine_that_never_came_back_can_be_looked_for_later(world, tmp_path):
    crash, host = world()
    host.returns = False
    assert end_of(crash) is Step.BACK
    assert crash.ended.dead_end is steps.NEVER_CAME_BACK
    record = Store(tmp_path).load("db1")
    assert record.pending and record.end.startswith("never came back")
    resumed, other = world(record=record)
    other.fired, other.token = host.fired, host.token
    assert end_of(resumed) is None and resumed.proven
    assert Store(tmp_path).load("db1").end == ""


def test_a_record_that_is_no_record_is_a_sentence(tmp_path):
    tmp_path.joinpath("db1.json").write_text("{}")
    with pytest.raises(BadRecord, match="look at it, then remove it"):
        Store(tmp_path).load("db1")


def test_two_runs_do_not_crash_one_host_at_a_time(tmp_path):
    lock = Store(tmp_path).lock("db1")
    with pytest.raises(BadRecord, match="another run is crashing db1"):
        Store(tmp_path).lock("db1")
    os.close(Store(tmp_path).lock("db2"))
    os.close(lock)
    os.close(Store(tmp_path).lock("db1"))


def test_a_console_that_ends_at_once_is_none():
    with pytest.raises(CouldNotDetermine, match="ended at once, with status 3: no such payload"):
        CommandConsole("echo no such payload; exit 3")


def test_a_console_that_ends_later_is_told():
    console = CommandConsole("echo old; sleep 2.3; echo new")
    seen = b""
    while not console.lost:
        seen += console.read()
        time.sleep(0.05)
    console.close()
    assert seen == b"old\nnew\n" and "status 0" in console.lost
