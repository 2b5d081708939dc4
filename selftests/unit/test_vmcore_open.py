"""Opening a dump for real: what crash says is understood, and a crash that hangs or dies is not a verdict."""

from __future__ import annotations

import pytest

from kdump.open_dump import CannotOpen, main, open_with_crash, read_output

# crash 8.0.2 on a dump of Linux 6.1, shortened
GOOD = """\
       PANIC: "Kernel panic - not syncing: sysrq triggered crash"
PID: 461      TASK: ff3c9dc84051a000  CPU: 1    COMMAND: "sh"
 #0 [ff3c9dc84051bb28] machine_kexec at ffffffffa0c7754f
 #1 [ff3c9dc84051bb80] __crash_kexec at ffffffffa0d74117
[   69.926557] sysrq: Trigger a crash
[   69.926557] Kernel panic - not syncing: sysrq triggered crash
"""


@pytest.fixture
def crash(tmp_path, monkeypatch):
    """A crash in PATH that runs this shell script."""

    def install(script: str) -> None:
        (tmp_path / "crash").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "crash").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def test_good_output():
    opened = read_output(GOOD)
    assert opened.readable
    assert (opened.panic, opened.task) == ("Kernel panic - not syncing: sysrq triggered crash", "461 sh")
    assert (opened.frames, opened.log_lines) == (2, 2)


@pytest.mark.parametrize(
    "text",
    ["", "crash: /x: not a supported file format\n", "crash: vmlinux and dump do not match!\n", GOOD.split("[   69")[0]],
)
def test_bad_output(text):
    assert not read_output(text).readable


def test_crash_is_asked_and_believed(crash, tmp_path, capsys):
    crash(f"cat >/dev/null; cat <<'END'\n{GOOD}END")
    assert open_with_crash(tmp_path / "dump", tmp_path / "vmlinux").readable
    crash("echo 'crash: dump: not a supported file format'; exit 1")
    opened = open_with_crash(tmp_path / "dump", tmp_path / "vmlinux")
    assert opened.complaint == "crash: dump: not a supported file format"


def test_a_crash_that_hangs_or_dies_is_no_verdict(crash, tmp_path):
    crash("sleep 60")
    with pytest.raises(CannotOpen, match="needed more than"):
        open_with_crash(tmp_path / "dump", tmp_path / "vmlinux", deadline=0.5)
    crash("kill -SEGV $$")
    with pytest.raises(CannotOpen, match="SIGSEGV"):
        open_with_crash(tmp_path / "dump", tmp_path / "vmlinux")


def test_without_crash(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("sys.argv", ["open_dump", "dump", "vmlinux"])
    assert main() == 2
    assert capsys.readouterr().out == "cannot tell: crash is not installed here\n"
