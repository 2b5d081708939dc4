"""Really open a dump, where crash is installed and a matching vmlinux is at hand: the last proof that it is readable.

    python -m kdump.open_dump DUMP VMLINUX

crash runs in a child process with a deadline and a limit on memory, in an empty folder that is also its HOME, so that
no .crashrc has a say. What must come out: the panic message, the panicking task
and a backtrace, and the kernel log. Exit status: 0 all of it came out, 1 crash says otherwise, 2 it could not be tried.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

DEADLINE = 300.0
"""Seconds; reading the debugging data of a distribution's kernel takes crash 10 to 60."""
MEMORY = 8 << 30
"""Bytes of address space that crash may have."""
MOST_OUTPUT = 4 << 20
_COMMANDS = "sys\nbt\nlog\nquit\n"
_REFUSALS = re.compile(r"do not match|not a supported file format|read error|seek error|cannot|no debugging data|invalid", re.I)


class CannotOpen(Exception):
    """crash is missing, or could not be run to its end; one sentence says why."""


@dataclass(frozen=True)
class Opened:
    """What crash said of a dump. None and 0 are what did not come out."""

    panic: str | None
    task: str | None
    """PID and command of the panicking task."""
    frames: int
    log_lines: int
    complaint: str | None
    """crash's own words where it refused."""

    @property
    def readable(self) -> bool:
        return bool(self.task and self.frames and self.log_lines)


def open_with_crash(dump: Path, vmlinux: Path, *, deadline: float = DEADLINE, memory: int = MEMORY) -> Opened:
    """Raises `CannotOpen`."""
    crash = shutil.which("crash")
    if crash is None:
        raise CannotOpen("crash is not installed here")

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with tempfile.TemporaryDirectory(prefix="kdump-open-") as empty, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [crash, str(vmlinux.resolve()), str(dump.resolve())],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=empty,
            env={**os.environ, "HOME": empty, "TERM": "dumb", "LC_ALL": "C"},
            start_new_session=True,
            preexec_fn=limits,
        )
        try:
            process.communicate(f"set scroll off\n{_COMMANDS}".encode(), timeout=deadline)
        except subprocess.TimeoutExpired as error:
            raise CannotOpen(f"crash needed more than {deadline:.0f} s") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        text = output.read(MOST_OUTPUT).decode("utf-8", "replace")
    if process.returncode < 0:
        raise CannotOpen(f"crash ended by signal {signal.Signals(-process.returncode).name}")
    return read_output(text)


def read_output(text: str) -> Opened:
    """What crash printed for `sys`, `bt` and `log`, for example:

    PANIC: "Kernel panic - not syncing: sysrq triggered crash"
    PID: 512      TASK: ff47cea58a434200  CPU: 0    COMMAND: "bash"
     #0 [ff6235eb00727b28] machine_kexec at ffffffffa1c7754f
    [   84.123456] sysrq: Trigger a crash
    """
    panic = re.search(r'^\s*PANIC: "(.*)"', text, re.MULTILINE)
    task = re.search(r'^\s*PID: (\d+)\s+TASK: \S+\s+CPU: \d+\s+COMMAND: "([^"]*)"', text, re.MULTILINE)
    complaints = [line.strip() for line in text.splitlines() if line.startswith("crash: ") and _REFUSALS.search(line)]
    return Opened(
        panic=panic[1] if panic else None,
        task=f"{task[1]} {task[2]}" if task else None,
        frames=len(re.findall(r"^\s*#\d+ \[[0-9a-f]+\] \S+ at [0-9a-f]+", text, re.MULTILINE)),
        log_lines=len(re.findall(r"^\[\s*\d+\.\d+\]", text, re.MULTILINE)),
        complaint=complaints[-1] if complaints else None,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kdump.open_dump", description="Open a dump with crash.")
    parser.add_argument("dump", type=Path)
    parser.add_argument("vmlinux", type=Path)
    options = parser.parse_args()
    try:
        opened = open_with_crash(options.dump, options.vmlinux)
    except CannotOpen as error:
        print(f"cannot tell: {error}")
        return 2
    if opened.readable:
        print(f"readable: {opened.panic or 'no panic message'}; task {opened.task}, {opened.frames} frames,", end=" ")
        print(f"{opened.log_lines} lines of log")
        return 0
    print(f"not readable: {opened.complaint or 'no panic task, backtrace and log came out'}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
