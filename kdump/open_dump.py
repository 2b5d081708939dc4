"""Really open a dump, with crash or drgn and a matching vmlinux: the last proof that it is readable.

    python -m kdump.open_dump DUMP VMLINUX

The tool runs in a child process with a deadline and a limit on memory, in an empty folder that is also its HOME, so that
no .crashrc has a say. What must come out: the panicking task, a backtrace, and the kernel log. Exit status: 0 all of it
came out, 1 the tool says otherwise, 2 it could not be tried.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .parsers.opened_dump import DRGN_PROGRAM, Opened, of_crash, of_drgn

DEADLINE = 300.0
"""Seconds; reading the debugging data of a distribution's kernel takes crash 10 to 60."""
MEMORY = 8 << 30
"""Bytes of address space that the tool may have."""
MOST_OUTPUT = 4 << 20
CRASH_COMMANDS = "set scroll off\nsys\nbt\nmod\nlog\nquit\n"


class CannotOpen(Exception):
    """There is no tool, or it could not be run to its end; one sentence says why."""


def tools_here() -> list[str]:
    """Which of ``crash`` and ``drgn`` this machine has; crash first, which most people will use."""
    found = {"crash": shutil.which("crash") is not None, "drgn": importlib.util.find_spec("drgn") is not None}
    return [tool for tool, there in found.items() if there]


def open_dump(dump: Path, vmlinux: Path, *, tool: str, deadline: float = DEADLINE, memory: int = MEMORY) -> Opened:
    """Open it with ``crash`` or ``drgn``. Raises `CannotOpen`."""
    if tool == "crash":
        return of_crash(output_of_crash(dump, vmlinux, deadline=deadline, memory=memory))
    command = [sys.executable, "-c", DRGN_PROGRAM, str(dump.resolve()), str(vmlinux.resolve())]
    return of_drgn(_run("drgn", command, "", deadline, memory))


def open_with_any(dump: Path, vmlinux: Path) -> tuple[str, Opened]:
    """The first tool here that reads the dump, or the last that does not, and what it says: a crash that was built without
    a compression, or is older than the kernel, says nothing about the dump. Raises `CannotOpen`."""
    tools = tools_here()
    if not tools:
        raise CannotOpen("neither crash nor drgn is installed on this machine")
    for tool in tools:
        opened = open_dump(dump, vmlinux, tool=tool)
        if opened.readable or opened.damaged:
            break
    return tool, opened


def output_of_crash(dump: Path, vmlinux: Path, *, deadline: float = DEADLINE, memory: int = MEMORY) -> str:
    """What crash prints for `sys`, `bt`, `mod` and `log`. Raises `CannotOpen`."""
    crash = shutil.which("crash")
    if crash is None:
        raise CannotOpen("crash is not installed here")
    return _run("crash", [crash, str(vmlinux.resolve()), str(dump.resolve())], CRASH_COMMANDS, deadline, memory)


def _run(tool: str, command: Sequence[str], stdin: str, deadline: float, memory: int) -> str:
    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with tempfile.TemporaryDirectory(prefix="kdump-open-") as empty, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=empty,
            env={**os.environ, "HOME": empty, "TERM": "dumb", "LC_ALL": "C"},
            start_new_session=True,
            preexec_fn=limits,
        )
        try:
            process.communicate(stdin.encode(), timeout=deadline)
        except subprocess.TimeoutExpired as error:
            raise CannotOpen(f"{tool} needed more than {deadline:.0f} s") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        text = output.read(MOST_OUTPUT).decode("utf-8", "replace")
    if process.returncode < 0:
        raise CannotOpen(f"{tool} ended by signal {signal.Signals(-process.returncode).name}")
    return text


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kdump.open_dump", description="Open a dump with crash or drgn.")
    parser.add_argument("dump", type=Path)
    parser.add_argument("vmlinux", type=Path)
    parser.add_argument("--tool", choices=("crash", "drgn"), help="the one to use (crash first, where it is installed)")
    options = parser.parse_args()
    try:
        if options.tool:
            opened = open_dump(options.dump, options.vmlinux, tool=options.tool)
        else:
            _, opened = open_with_any(options.dump, options.vmlinux)
    except CannotOpen as error:
        print(f"cannot tell: {error}")
        return 2
    print(f"{'readable' if opened.readable else 'not readable'}: {opened}")
    return 0 if opened.readable else 1


if __name__ == "__main__":
    sys.exit(main())
