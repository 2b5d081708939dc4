"""Stages faults on lab machines, asks the suite, and panics the machine where a proof is wanted.

A machine is kept for the next fault where that wants the same ground and the last one was undone; otherwise its overlays
are thrown away and the next one is thawed or booted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from lab import image
from lab.errors import LabError
from lab.faults.forecast import forecast
from lab.faults.logs import JOURNAL, KEXEC_DMESG
from lab.faults.model import Fault, Ground, Judge, misjudged
from lab.machine import Machine

ROOT = Path(__file__).parents[2]
AUDIT_DEADLINE = 300.0
CAPTURE_DEADLINE = 300.0
REBOOT_DEADLINE = 180.0
STAGE_DEADLINE = 300.0
_LOGIN = r"^Debian GNU/Linux .* login:|reboot: Restarting system"
_PANIC = "sync; systemd-run --quiet --on-active=1 sh -c 'echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger'"


class Audit(NamedTuple):
    """One run of the suite: its exit status, verdict -> causes, and its terminal output."""

    status: int
    found: Mapping[str, Collection[str]]
    output: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one fault on one target: *problems* is empty when the suite judged rightly and the proof was seen."""

    target: str
    fault: str
    seconds: float
    found: Mapping[str, Collection[str]]
    problems: tuple[str, ...]
    output: str


def audit(machine: Machine, folder: Path, *options: str) -> Audit:
    """Runs the suite's own command on a running machine; its reports go to *folder*."""
    junit = folder / "junit.xml"
    command = [sys.executable, "-m", "pytest", f"--hosts={machine.image.recipe.name}", f"--ssh-config={machine.ssh_config}"]
    done = subprocess.run(
        [*command, "--no-history", f"--junitxml={junit}", f"--html={folder / 'report.html'}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=AUDIT_DEADLINE,
        check=False,
    )
    found = defaultdict(set)
    for case in ET.parse(junit).iter("testcase"):  # noqa: S314  # the suite's own file
        properties = {one.get("name"): one.get("value") for one in case.iter("property")}
        found[str(properties.get("verdict"))].add(str(properties.get("cause")))
    return Audit(done.returncode, found, done.stdout + done.stderr)


def machine_on(target: str, ground: Ground, console: Path | None = None, *, one_connection: bool = False) -> Machine:
    """The machine that a fault or a crash is staged on, not booted yet. Raises LabError without its image."""
    built = image.find(target)
    options = ground.options
    if ground.kernel:
        options += ("-kernel", str(image.edited_kernel(built, *ground.kernel)))  # QEMU takes the last one
    return Machine(
        built,
        crashkernel=ground.crashkernel,
        cmdline=ground.cmdline,
        memory=ground.memory,
        disks=ground.disks,
        devices=ground.devices,
        options=options,
        console=console,
        one_connection=one_connection,
    )


class Staging:
    """Stages one fault after the other. A context manager: the last machine ends with it.

    *freeze*: grounds that the caller will ask for more than once, and that are worth a frozen machine.
    """

    def __init__(self, freeze: Collection[tuple[str, Ground]] = ()) -> None:
        self._freeze = freeze
        self._machine: Machine | None = None
        self._ground: tuple[str, Ground] | None = None
        self._crashed_at = 0  # where on its console the ground's own panic begins

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._throw_away()

    def run(self, target: str, fault: Fault, folder: Path) -> Outcome:
        """Stages *fault* on *target*, judges the machine and proves it. Logs go to *folder*. Raises LabError."""
        started = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        reused = self._machine is not None and self._ground == (target, fault.ground)
        machine = self._on(target, fault.ground)
        since = machine.check("date +%s").strip() if reused else "0"
        console = len(machine.console()) if reused or not fault.ground.crash else self._crashed_at
        kept = False
        try:
            said = "".join(f"$ {command}\n{_stage(machine, command)}" for command in fault.stage)
            (folder / "staging.txt").write_text(said)
            judged, problems = _judge(machine, fault, folder)
            problems += misjudged(target, fault.on[target], judged.status, judged.found)
            (folder / "terminal.txt").write_text(judged.output)
            if fault.judge is not Judge.SUITE:
                (folder / "staging.txt").write_text(said + judged.output)
            (folder / "journal.txt").write_text(machine.run(JOURNAL.format(since=since)).stdout)
            if fault.ground.crash and not reused:
                (folder / "kexec-dmesg.txt").write_text(machine.run(KEXEC_DMESG).stdout)
            if fault.proof:
                mark = len(machine.console())
                panic(machine)
                try:
                    machine.wait_console(fault.proof, CAPTURE_DEADLINE, after=mark)
                except LabError as error:
                    problems.append(f"NOT PROVEN: {error}")
            elif fault.undo:
                for command in fault.undo:
                    machine.check(command)
                kept = True
        finally:
            with contextlib.suppress(LabError):
                (folder / "console.txt").write_text(machine.console()[console:])
            if not kept:
                self._throw_away()
        return Outcome(target, fault.name, time.monotonic() - started, judged.found, tuple(problems), judged.output)

    def _on(self, target: str, ground: Ground) -> Machine:
        if self._machine is not None and self._ground == (target, ground):
            return self._machine
        self._throw_away()
        machine = machine_on(target, ground, one_connection=True)
        try:
            machine.boot(freeze=(target, ground) in self._freeze)
            for command in ground.prepare:
                machine.check(command, deadline=STAGE_DEADLINE)
            self._crashed_at = len(machine.console())
            if ground.crash:
                crash(machine, ground.crash)
        except BaseException:
            machine.stop()
            raise
        self._machine, self._ground = machine, (target, ground)
        return machine

    def _throw_away(self) -> None:
        if self._machine is not None:
            self._machine.stop()
        self._machine = self._ground = None


def _stage(machine: Machine, command: str) -> str:
    """What *command* printed. Raises LabError when it fails."""
    done = machine.run(command, deadline=STAGE_DEADLINE)
    if done.status != 0:
        raise LabError(f"Staging failed with status {done.status}: {command[:200]} ({done.stderr.strip()[-300:]})")
    return done.stdout + done.stderr


def _judge(machine: Machine, fault: Fault, folder: Path) -> tuple[Audit, list[str]]:
    """What was said of a staged fault, and problems besides a wrong verdict."""
    if fault.judge is Judge.SUITE:
        return audit(machine, folder, f"--record={folder}"), []
    found, problems, words = forecast(machine, fault.judge)
    return Audit(1 if "present" in found else 0, found, words), problems


def panic(machine: Machine) -> None:
    """Panics the machine, a second after this returned."""
    machine.check(_PANIC)
    machine.drop_connection()


def crash(machine: Machine, ended: str) -> None:
    """A real panic, until the machine is back from it. *ended*: what the console shows when the capture kernel is done."""
    before = machine.check("cat /proc/sys/kernel/random/boot_id")
    mark = len(machine.console())
    panic(machine)
    seen = machine.wait_console(ended, CAPTURE_DEADLINE, after=mark)
    machine.wait_console(_LOGIN, REBOOT_DEADLINE, after=seen.end())
    machine.wait_for_ssh()
    machine.settle()
    if machine.check("cat /proc/sys/kernel/random/boot_id") == before:
        raise LabError("The machine was to panic, and did not.")
