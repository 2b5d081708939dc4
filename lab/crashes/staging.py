"""Stages a crash on a lab machine, runs the suite's own command on it, and compares what it says with what was to happen."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from kdump.qualification.steps import DeadEnd
from lab.bmc import Bmc
from lab.crashes.model import KILL, Case
from lab.crashes.servers import serving
from lab.faults.model import TRUE_OF
from lab.faults.staging import ROOT, STAGE_DEADLINE, crash, machine_on
from lab.machine import Machine

SUITE_DEADLINE = 1800.0
#: each start of a capture kernel is a crash; where none started, each panic that a case brings about is (a capture kernel that
#: dies of memory panics with other words, and a panic of an NMI is not printed before the capture kernel starts; a kernel that
#: stands still says its panic's words once more, as their end)
_CAPTURES = re.compile(r"\] Command line: .*\belfcorehdr=")
_PANIC = re.compile(
    r"(?<!end )Kernel panic - not syncing: (sysrq triggered crash|NMI: |hung_task: |Out of memory: .*panic_on_oom)"
)
#: an emulated machine beside another one takes its time to authenticate
_PATIENT = "--connect-timeout=30"
_AFTER = re.compile(r"^  after the trigger: (.*)$", re.MULTILINE)


class Run(NamedTuple):
    """One run of the suite. ``status`` is negative when it was killed."""

    status: int
    output: str
    record: Mapping[str, object]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """``state``: the named end in the suite's words. ``told``: the durations since the trigger. *problems* is empty when all
    was as it should be."""

    target: str
    case: str
    state: str
    told: str
    seconds: float
    problems: tuple[str, ...]


def run(target: str, case: Case, folder: Path, vmlinux: Path | None = None) -> Outcome:
    """Stage *case* on *target* and follow it. Everything that it left is in *folder*. Raises LabError."""
    started = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ground = case.ground
    machine = machine_on(target, ground, console=folder / "console.txt")
    with contextlib.ExitStack() as stack:
        stack.callback(machine.stop)
        if case.bmc:
            bmc = stack.enter_context(Bmc(machine.inject_nmi))
            machine.add_device("ipmi-bmc-extern,id=bmc0,chardev=bmc", *bmc.options)
            machine.add_device("isa-ipmi-kcs,bmc=bmc0")
        machine.boot()
        if ground.crash:
            crash(machine, ground.crash)
        dumps = stack.enter_context(serving(case.target, machine, folder)) if case.target else None
        for command in (*ground.prepare, *case.stage):
            machine.check(command, deadline=STAGE_DEADLINE)
        outcome = _follow(machine, target, case, folder, vmlinux, dumps)
    return dataclasses.replace(outcome, seconds=time.monotonic() - started)


def _follow(machine: Machine, target: str, case: Case, folder: Path, vmlinux: Path | None, dumps: Path | None) -> Outcome:
    mark = len(machine.console())
    machine.hang_up()
    options = _options(machine, case, vmlinux, dumps)
    if target in TRUE_OF or not case.strict:
        options.append("--crash-anyway")
    problems: list[str] = []
    first = _suite(machine, case, folder, options, mark)
    last = first
    if case.resumed:
        wanted = "killed" if case.before is None else case.before.name
        found = "killed" if first.status < 0 else _state(first)
        if found != wanted:
            (folder / "terminal.txt").write_text(first.output)
            return Outcome(target, case.name, found, "", 0.0, (f"FIRST RUN: {found} instead of {wanted}",))
        repeated = _suite(machine, case, folder, options, None)
        if repeated.status != 4 or "--crash-resume" not in repeated.output:
            problems.append("NOT REFUSED: a second run, without --crash-resume, of a crash that nobody followed")
        if any(at.act == "stop" for at in case.at):
            machine.qmp("cont")
            machine.hang_up()
        last = _suite(machine, case, folder, [*options, "--crash-resume"], None)
    (folder / "terminal.txt").write_text("\n".join([first.output, last.output] if case.resumed else [first.output]))
    console = machine.console()[mark:]
    state, told = _state(last), (_AFTER.findall(last.output) or [""])[-1]
    problems += misjudged(case, last, state, told, console)
    return Outcome(target, case.name, state, told, 0.0, tuple(problems))


def _options(machine: Machine, case: Case, vmlinux: Path | None, dumps: Path | None) -> list[str]:
    name = machine.image.recipe.name
    words = {"python": sys.executable, "qmp": str(machine.monitor)}
    given = [option.format(**words) for option in case.options if option != "{vmlinux}"]
    if vmlinux is not None and "{vmlinux}" in case.options:
        given.append(f"--crash-vmlinux={vmlinux}")
    if case.console == "file":
        given.append(f"--console={name}={machine.console_path}")
    elif case.console == "command":
        given.append(f"--console={name}=tail -n 200 -F {machine.console_path}")
    if dumps is not None:
        given.append(f"--crash-dumps={name}={dumps}")
    return given


def _suite(machine: Machine, case: Case, folder: Path, options: list[str], mark: int | None) -> Run:
    """The suite's own command; *mark*: what is to happen meanwhile happens, by the console from there on."""
    name = machine.image.recipe.name
    state = folder / "state"
    command = [sys.executable, "-m", "pytest", "tests/qualification", f"--hosts={name}", f"--ssh-config={machine.ssh_config}"]
    command += [f"--crash={name}", f"--html={folder / 'report.html'}", f"--junitxml={folder / 'junit.xml'}"]
    command += ["--no-history", _PATIENT, *options]
    with tempfile.TemporaryFile() as output:
        suite = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "XDG_STATE_HOME": str(state)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _meanwhile(machine, case, suite, mark)
            status = suite.wait(SUITE_DEADLINE)
        finally:
            if suite.poll() is None:
                os.killpg(suite.pid, signal.SIGKILL)
                suite.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
    record = state / "kdump-acceptance" / "crash" / f"{name}.json"
    return Run(status, text, json.loads(record.read_text()) if record.exists() else {})


def _meanwhile(machine: Machine, case: Case, suite: subprocess.Popen[bytes], mark: int | None) -> None:
    todo = list(case.at) if mark is not None else []
    until = time.monotonic() + SUITE_DEADLINE
    while todo and suite.poll() is None and time.monotonic() < until:
        if re.search(todo[0].pattern, machine.console()[mark:]):
            at = todo.pop(0)
            if at.act == KILL:
                suite.send_signal(signal.SIGKILL)
            else:
                machine.qmp(at.act, dict(at.arguments) or None)
                machine.hang_up()
        time.sleep(0.3)


def _state(done: Run) -> str:
    """In the suite's own words."""
    if done.record.get("fired") is None:
        return "not crashed"
    end = str(done.record.get("end") or "")
    return end.partition(":")[0] if end else "a proven dump" if "left a proven dump" in done.output else "no end"


def _name(ends: DeadEnd | None) -> str:
    return ends.name if ends is not None else "a proven dump"


def misjudged(case: Case, last: Run, state: str, told: str, console: str) -> list[str]:
    wanted = "not crashed" if case.refused else _name(case.ends)
    problems = [f"STATE: {state} instead of {wanted}"] if state != wanted else []
    # 1, 6: a cause, or an unknown one, that --crash-anyway let pass
    if case.ends is None and not case.refused and last.status not in (0, 1, 6):
        problems.append(f"EXIT STATUS: {last.status}")
    if (case.ends is not None or case.refused) and last.status not in (1, 6):
        problems.append(f"EXIT STATUS: {last.status}")
    panics = len(_CAPTURES.findall(console)) or len(_PANIC.findall(console))
    if panics != case.crashes:
        problems.append(f"CRASHES: {panics} instead of {case.crashes}")
    took = re.search(r"(\d+) s$", told)
    if case.ends is not None and took and int(took[1]) > case.within:
        problems.append(f"LATE: {took[1]} s, and it should be {case.within:.0f} s at most")
    problems += [f"NOT SAID: {words}" for words in (case.refused, *case.shows) if not re.search(words, last.output, re.DOTALL)]
    return problems + [f"NOT PRINTED: {words}" for words in case.prints if not re.search(words, console)]
