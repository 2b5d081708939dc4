"""Opening a dump for real: what crash and drgn say is understood, and a tool that hangs, dies or is too old is no verdict."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from kdump import opening
from kdump.about_dumps import AboutDumps
from kdump.connection.execution import Executed
from kdump.open_dump import CannotOpen, main, open_dump, open_with_any
from kdump.parsers.opened_dump import of_crash, of_drgn
from kdump.verdict import Verdict
from selftests.judging import ask, host, says
from selftests.unit.test_vmcore_vmlinux import image
from selftests.vmcore.writer import Plan, kdump, split_plans

# crash 8.0.2 on a dump of Linux 6.1, shortened
GOOD = """\
       PANIC: "Kernel panic - not syncing: sysrq triggered crash"
PID: 461      TASK: ff3c9dc84051a000  CPU: 1    COMMAND: "sh"
 #0 [ff3c9dc84051bb28] machine_kexec at ffffffffa0c7754f
 #1 [ff3c9dc84051bb80] __crash_kexec at ffffffffa0d74117
[   69.926557] sysrq: Trigger a crash
[   69.926557] Kernel panic - not syncing: sysrq triggered crash
"""
# drgn 0.3.0 on such a dump
GOOD_DRGN = "log 538\npanic Kernel panic - not syncing: sysrq triggered crash\ntask 458 sh\nframes 14\n"
REFUSED = "crash: /x: not a supported file format\n"
TOO_OLD = "crash: vmlinux and dump do not match!\n"


@pytest.fixture
def crash(tmp_path, monkeypatch):
    """A crash in PATH that runs this shell script."""

    def install(script: str) -> None:
        (tmp_path / "crash").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "crash").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def printing(text: str) -> str:
    return f"cat >/dev/null; cat <<'END'\n{text}END"


def test_good_output():
    opened = of_crash(GOOD)
    assert opened.readable
    assert (opened.panic, opened.task) == ("Kernel panic - not syncing: sysrq triggered crash", "461 sh")
    assert (opened.frames, opened.log_lines) == (2, 2)
    assert of_drgn(GOOD_DRGN).readable


@pytest.mark.parametrize(
    ("opened", "damaged"),
    [
        (of_crash(""), False),
        (of_crash(REFUSED), True),
        (of_crash(TOO_OLD), False),
        (of_crash(GOOD.split("[   69")[0]), False),
        (of_drgn("log 5\nTraceback (most recent call last):\n_drgn.FaultError: cannot read page\n"), True),
        (of_drgn("ModuleNotFoundError: No module named 'drgn.helpers'\n"), False),
    ],
)
def test_bad_output(opened, damaged):
    assert not opened.readable
    assert opened.damaged is damaged


def test_a_crash_that_hangs_or_dies_is_no_verdict(crash, tmp_path):
    crash("sleep 60")
    with pytest.raises(CannotOpen, match="needed more than"):
        open_dump(tmp_path / "dump", tmp_path / "vmlinux", tool="crash", deadline=0.5)
    crash("kill -SEGV $$")
    with pytest.raises(CannotOpen, match="SIGSEGV"):
        open_dump(tmp_path / "dump", tmp_path / "vmlinux", tool="crash")


def test_a_tool_that_knows_better_is_asked_next(crash, tmp_path, monkeypatch):
    monkeypatch.setattr("kdump.open_dump.tools_here", lambda: ["crash", "drgn"])
    monkeypatch.setattr("kdump.open_dump.DRGN_PROGRAM", f"print({GOOD_DRGN!r})")
    crash(printing(TOO_OLD))
    assert open_with_any(tmp_path / "dump", tmp_path / "vmlinux")[0] == "drgn"
    crash(printing(REFUSED))
    assert open_with_any(tmp_path / "dump", tmp_path / "vmlinux")[1].damaged


def test_without_a_tool(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("kdump.open_dump.tools_here", list)
    monkeypatch.setattr("sys.argv", ["open_dump", "dump", "vmlinux"])
    assert main() == 2
    assert capsys.readouterr().out == "cannot tell: neither crash nor drgn is installed on this machine\n"


@dataclass(eq=False)
class Machine:
    """A target of this machine: its commands run here, and its files are read here unless it is far away."""

    environment: dict[str, str]
    NAME: str = "local"

    @property
    def backend(self) -> Machine:
        return self

    def execute(self, command: str, *, stdin: bytes, deadline: float, cap: int) -> Executed:
        done = subprocess.run(command.split(), input=stdin, capture_output=True, timeout=60, env=self.environment)
        return Executed(done.stdout[:cap], done.stderr, done.returncode)


@pytest.mark.parametrize(
    ("prints", "where", "verdict"),
    [
        (GOOD, "host", Verdict.ABSENT),
        (REFUSED, "host", Verdict.PRESENT),
        (TOO_OLD, "host", Verdict.UNDETERMINED),
        (None, "host", Verdict.UNDETERMINED),
        (GOOD, "controller", Verdict.ABSENT),
        (REFUSED, "controller", Verdict.PRESENT),
        (None, "controller", Verdict.UNDETERMINED),
    ],
)
def test_an_audit_opens_dumps(crash, tmp_path, monkeypatch, prints, where, verdict):
    dump, vmlinux = tmp_path / "a dump", tmp_path / "vmlinux"
    dump.write_bytes(kdump())
    vmlinux.write_bytes(image())
    (tmp_path / "python3").symlink_to("/bin/false")  # no drgn
    crash(printing(prints) if prints else "")
    if not prints:
        (tmp_path / "crash").unlink()
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in ("sh", "cat", "date", "id", "sed", "awk", "timeout"):
            (tools / name).symlink_to(f"/usr/bin/{name}")
        monkeypatch.setenv("PATH", str(tools))
        monkeypatch.setattr("kdump.open_dump.tools_here", list)
        monkeypatch.setattr(opening, "tools_here", list)
    place = vmlinux if where == "host" else f"controller:{vmlinux}"
    machine: Any = Machine({"PATH": f"{tmp_path}:/usr/bin:/bin"} if prints else {"PATH": str(tmp_path / "tools")})
    readings = [
        says("dump_listing", f"folder {tmp_path}\ndump {dump.stat().st_size} 1 {dump}"),
        says("stored_dumps", f"file {dump}\nsize {dump.stat().st_size}\nmtime 1\n@0 {dump.read_bytes().hex()}"),
        says("vmlinux_candidates", f"file {place}\ngiven\nsize {vmlinux.stat().st_size}\nmtime 1\n@0 {image().hex()}"),
        says("opened_dumps", "not asked"),
    ]
    asked = opening.opened(machine, host(*readings))
    got, words = ask(asked, "vmcore_damaged", "dumps_can_be_opened")
    assert got is verdict, (words, asked.readings["open_dumps"])
    assert ask(host(*readings), "vmcore_damaged", "dumps_can_be_opened")[0] is Verdict.NOT_APPLICABLE


def test_what_is_not_opened():
    folder = says("dump_listing", "folder /var/crash")
    nothing = [says("stored_dumps", ""), says("vmlinux_candidates", ""), says("opened_dumps", "not asked")]
    machine: Any = Machine({})
    asked = opening.opened(machine, host(folder, *nothing))
    assert ask(asked, "vmcore_damaged", "dumps_can_be_opened")[0] is Verdict.NOT_APPLICABLE
    damaged = says("dump_listing", "folder /var/crash\ndump 0 1 /var/crash/vmcore")
    asked = opening.opened(machine, host(damaged, *nothing))
    assert "no complete dump" in ask(asked, "vmcore_damaged", "dumps_can_be_opened")[1]


def test_a_file_of_a_split_dump_is_not_opened_alone():
    part = kdump(split_plans(Plan(), 2)[0])
    readings = [
        says("dump_listing", f"folder /c\ndump {len(part)} 1 /c/vmcore1"),
        says("stored_dumps", f"file /c/vmcore1\nsize {len(part)}\nmtime 1\n@0 {part.hex()}"),
        says("vmlinux_candidates", f"file /v\ngiven\nsize {len(image())}\nmtime 1\n@0 {image().hex()}"),
        says("opened_dumps", "not asked"),
    ]
    machine: Any = Machine({})
    asked = opening.opened(machine, host(*readings))
    assert ask(asked, "vmcore_damaged", "dumps_can_be_opened")[0] is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("open_dumps", "more"), [(False, ["dump_identities"]), (True, ["dump_identities", "vmlinux_candidates"])]
)
def test_what_a_run_of_few_tests_asks_besides(open_dumps, more):
    about = AboutDumps(SimpleNamespace(option=SimpleNamespace(vmlinux=[], open_dumps=open_dumps)))
    assert about.asked_besides(["damaged_dumps"]) == more
    assert about.asked_besides(["strings"]) == []
