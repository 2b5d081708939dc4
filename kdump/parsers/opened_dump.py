"""What crash and drgn print when they open a dump, and what that says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REFUSALS = re.compile(r"do not match|not a supported file format|read error|seek error|cannot|no debugging data|invalid", re.I)
#: of a file whose bytes are not all there, rather than of a crash or drgn too old for the kernel, which crash also calls
#: "do not match"
_DAMAGE = re.compile(
    r"read error|seek error|truncated|incomplete|not a supported file format|FaultError|Input/output error", re.I
)


NO_PANIC = "no panic message"


@dataclass(frozen=True)
class Opened:
    """What came out of a dump. None and 0 are what did not."""

    panic: str | None
    task: str | None
    """PID and command of the panicking task."""
    frames: int
    log_lines: int
    complaint: str | None
    """The tool's own words where it refused."""
    modules: int = 0
    """Kernel modules that crash listed; drgn is not asked for them."""

    @property
    def readable(self) -> bool:
        """Whether the panicking task, a backtrace and the log came out."""
        return bool(self.task and self.frames and self.log_lines)

    @property
    def damaged(self) -> bool:
        """Whether it was refused because bytes of the dump are missing."""
        return not self.readable and bool(self.complaint and _DAMAGE.search(self.complaint))

    def __str__(self) -> str:
        if self.readable:
            said = self.panic or NO_PANIC
            return f"{said}; task {self.task}, {self.frames} frames, {self.log_lines} lines of log"
        parts = {"panicking task": self.task, "backtrace": self.frames, "log": self.log_lines}
        lacking = " and ".join(name for name, came in parts.items() if not came)
        return f"no {lacking} came out" + (f": {self.complaint}" if self.complaint else "")


def of_crash(text: str) -> Opened:
    """What crash printed for `sys`, `bt`, `mod` and `log`, for example:

    PANIC: "Kernel panic - not syncing: sysrq triggered crash"
    PID: 512      TASK: ff47cea58a434200  CPU: 0    COMMAND: "bash"
     #0 [ff6235eb00727b28] machine_kexec at ffffffffa1c7754f
    ffffffffc0299000  floppy                 ffffffffc0299000    86016  (not loaded)  [CONFIG_KALLSYMS]
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
        modules=len(re.findall(r"^[0-9a-f]{8,16}\s+\S+\s+(?:[0-9a-f]{8,16}\s+)?\d+\s+\S", text, re.MULTILINE)),
    )


def of_drgn(text: str) -> Opened:
    """What DRGN_PROGRAM printed; a traceback ends in the complaint.

    >>> print(of_drgn("task 458 sh\\nframes 14\\nlog 538\\npanic Kernel panic - not syncing: sysrq triggered crash"))
    Kernel panic - not syncing: sysrq triggered crash; task 458 sh, 14 frames, 538 lines of log
    """
    lines = [line for line in text.splitlines() if line.strip()]
    said = dict(line.split(" ", 1) for line in lines if line.startswith(("task ", "frames ", "log ", "panic ")))
    failed = [line for line in lines if re.match(r"[\w.]+(Error|Exception|NotFound)\b", line)]
    return Opened(
        panic=said.get("panic"),
        task=said.get("task"),
        frames=int(said.get("frames", 0)),
        log_lines=int(said.get("log", 0)),
        complaint=failed[-1] if failed else None,
    )


DRGN_PROGRAM = """\
import sys, drgn
from drgn.helpers.linux.printk import get_dmesg
program = drgn.Program()
program.set_core_dump(sys.argv[1])
program.load_debug_info([sys.argv[2]])
log = get_dmesg(program).decode("utf-8", "replace").splitlines()
print("log", len(log))
panic = [line.split("] ", 1)[-1] for line in log if "Kernel panic - not syncing" in line]
if panic: print("panic", panic[-1])
thread = program.crashed_thread()
print("task", thread.tid, thread.object.comm.string_().decode("utf-8", "replace"))
print("frames", len(thread.stack_trace()))
"""
"""For drgn 0.0.23 (Program.crashed_thread) and later; the dump and the vmlinux are its arguments."""
