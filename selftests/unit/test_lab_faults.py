"""Staged faults as data, and the judgement of what the suite said of them."""

import re
from runpy import run_path
from types import SimpleNamespace

import pytest

from bench.faults_bench import _stage, columns, matrix
from lab import recipe
from lab.errors import LabError
from lab.faults import FAULTS, NOT_STAGED
from lab.faults.forecast import forecast
from lab.faults.model import SILENT, TRUE_OF, Fault, Judge, expect, misjudged
from lab.faults.staging import ROOT, Outcome, crash

CAUSES = set(columns())
BROKEN = expect("vmcore-damaged", allowed={"strings-missing"})


def test_names_are_unique_and_expectations_are_of_known_causes_and_targets():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    for fault in FAULTS:
        assert fault.on and set(fault.on) <= set(recipe.TARGETS), fault.name
        for wanted in fault.on.values():
            assert wanted.present | wanted.allowed | wanted.undetermined <= CAUSES, fault.name
            assert wanted.present.isdisjoint(wanted.allowed), fault.name


def test_every_cause_is_staged_or_it_is_said_why_not():
    """Those of tests/qualification are asked for one by one, and are no part of an ordinary run."""
    marks = [run_path(file)["pytestmark"] for file in sorted((ROOT / "tests").glob("test_*.py"))]
    assert {mark.args[0] for mark in marks} == CAUSES


@pytest.mark.parametrize(
    ("wanted", "status", "found", "says"),
    [
        (BROKEN, 1, {"present": {"vmcore-damaged"}}, []),
        (BROKEN, 1, {"present": {"vmcore-damaged", "strings-missing"}}, []),
        (BROKEN, 0, {}, ["MISS: vmcore-damaged was not called present"]),
        (SILENT, 1, {"present": {"vmcore-damaged"}}, ["FALSE ALARM: vmcore-damaged was called present"]),
        (SILENT, 6, {"could not determine": {"vmcore-damaged"}}, ["UNKNOWN: vmcore-damaged could not be determined"]),
        (
            expect(undetermined={"vmcore-damaged"}),
            0,
            {},
            ["TOO SURE: vmcore-damaged was determined, and it cannot be"],
        ),
        (SILENT, 4, {}, ["EXIT STATUS: 4, and it should be 0"]),
    ],
)
def test_misses_and_false_alarms_are_named(wanted, status, found, says):
    assert misjudged("debian12", wanted, status, found) == says


def test_what_is_true_of_every_machine_of_a_target_is_no_false_alarm():
    found = {"present": TRUE_OF["debian13"]}
    assert misjudged("debian13", SILENT, 1, found) == []
    assert misjudged("debian13", SILENT, 0, {})[0].startswith("MISS")


def test_what_is_true_of_a_target_may_be_hidden_by_a_fault():
    hidden = expect("vmcore-damaged", undetermined=TRUE_OF["debian13"])
    found = {"present": {"vmcore-damaged"}, "could not determine": TRUE_OF["debian13"]}
    assert misjudged("debian13", hidden, 1, found) == []
    assert misjudged("debian13", hidden, 1, {"present": {"vmcore-damaged"}})[0].startswith("TOO SURE")


def test_the_matrix_shows_each_kind_of_cell_and_what_was_not_staged():
    fault = Fault("cut", "it was cut", {"debian12": BROKEN})
    rows = [("debian12", fault)]
    found = {"present": {"strings-missing", "kaslr-hides-kernel-layout"}}
    outcome = Outcome("debian12", "cut", 7.0, found, ("MISS: vmcore-damaged was not called present",), "")
    text = matrix(rows, {("debian12", "cut"): outcome})
    row = next(line for line in text.splitlines() if line.startswith("debian12"))
    assert sorted(row.split()[3:]) == sorted(["M", "F", "c", *"." * (len(CAUSES) - 3)])
    assert "debian12 cut: MISS: vmcore-damaged" in text
    assert all(one.reason in text for one in NOT_STAGED)
    assert "not staged in this run" in matrix(rows, {})


def test_faults_of_a_machine_that_cannot_be_built_are_not_counted(monkeypatch, tmp_path, capsys):
    def ensure(wanted):
        raise LabError("the mirror is gone")

    monkeypatch.setattr("lab.build.ensure", ensure)
    rows = [("debian12", Fault("cut", "it was cut", {"debian12": BROKEN}))]
    outcomes = _stage(rows, {}, tmp_path)
    assert outcomes["debian12", "cut"].problems == ("NOT STAGED: the mirror is gone",)
    assert "0 faults staged" in matrix(rows, outcomes)


def test_the_way_back_from_a_crash_is_looked_for_right_behind_it():
    """However much the console had said before: what is found is a place in all of it."""
    before, dump, back = (
        "booted and chatty\n" * 50,
        "[   16.1] kdump-tools: saved vmcore in /var/crash/1.\n",
        "reboot: Restarting system\n",
    )
    boots = iter(("one", "two"))

    class Console:
        text = before

        def check(self, command):
            self.text = before + "sysrq: Trigger a crash\n" + dump + back if "sysrq" in command else self.text
            return next(boots) if "boot_id" in command else ""

        def console(self):
            return self.text

        def wait_console(self, pattern, deadline, *, after=0):
            found = re.compile(pattern, re.MULTILINE).search(self.text, after)
            assert found, pattern
            return found

        def wait_for_ssh(self):
            pass

        settle = drop_connection = wait_for_ssh

    crash(Console(), "saved vmcore in")


SETUP = "/usr/lib/dracut/modules.d/99squash/module-setup.sh"
RULES = f"{SETUP}:    require_kernel_modules squashfs loop overlay || return 1\n{SETUP}"
THERE = "ok insmod /lib/modules/6.1.0/kernel/x.ko"
GONE = "gone insmod /lib/modules/6.1.0/kernel/x.ko"
MISSING = "ok modprobe: FATAL: Module loop not found in directory /lib/modules/6.1.0"
LISTED = "status 0\nsquash-root.img\nusr/lib/modules/6.1.0/squashfs.ko\nusr/lib/modules/6.1.0/overlay.ko\n"
LOOP = "usr/lib/modules/6.1.0/loop.ko\n"


def machine_with(loop, said):
    """A machine where *loop* is modprobe's answer about that module, and *said* dracut's end and what is in its image."""
    answers = "".join(f"6.1.0 {name} {THERE}\n" for name in ("squashfs", "erofs", "overlay")) + f"6.1.0 loop {loop}\n"
    listing = "".join(f"file 1 {line}\n" for line in said.splitlines()[1:])
    told = {"squash_rules": RULES, "capture_image_listing": f"image 9 9 /root/squashed.img\n{listing}total 9 9 9"}

    def check(command):
        last = command.splitlines()[-1]
        return told.get(last, answers if "modprobe_answers" in last else said.split("\n", 1)[1])

    return SimpleNamespace(check=check, run=lambda command, deadline: SimpleNamespace(stdout=said))


@pytest.mark.parametrize(
    ("loop", "said", "present", "agrees"),
    [
        (THERE, LISTED + LOOP, False, True),
        (THERE, LISTED, False, False),
        (GONE, LISTED, True, True),
        (GONE, LISTED + LOOP, True, False),
        (MISSING, "dracut: dracut module 'squash' cannot be found or installed.\nstatus 1\n", True, True),
        (MISSING, LISTED, True, False),
    ],
)
def test_a_forecast_is_held_against_what_dracut_built(loop, said, present, agrees):
    found, problems, _ = forecast(machine_with(loop, said), Judge.DRACUT)
    assert ("present" in found) is present
    assert (not problems) is agrees


@pytest.mark.parametrize(("said", "present"), [(LISTED, True), (LISTED + LOOP, False)])
def test_an_image_that_was_built_before_is_read_as_it_is(said, present):
    found, problems, _ = forecast(machine_with(THERE, said), Judge.IMAGE)
    assert ("present" in found) is present
    assert not problems


def test_an_image_that_was_not_squashed_proves_nothing():
    with pytest.raises(LabError, match="not squashed"):
        forecast(machine_with(THERE, f"status 0\n{LOOP}"), Judge.DRACUT)
