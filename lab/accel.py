"""Does KVM really work here? Found out by booting a kernel under it, once per boot of this machine.

``/dev/kvm`` alone proves nothing: in nested or filtered environments it can be opened, and a stock kernel then aborts
or spins for ever. So a kernel without a root disk is booted with ``panic=-1``; if it reaches its panic and asks for a
reboot within the deadline, KVM works.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from lab.paths import cache_root
from lab.qemu import BINARIES

DEADLINE = 8.0
_REACHED = b"Unable to mount root fs"


def choose(kernel: Path, arch: str, say: Callable[[str], None]) -> str:
    """``kvm`` or ``tcg``; says in one line which it is when it had to find out."""
    if arch != "amd64" or os.uname().machine != "x86_64":  # no processor runs another's programs
        return "tcg"
    forced = os.environ.get("KDUMP_LAB_ACCEL", "")
    if forced in ("kvm", "tcg"):
        return forced
    memory = cache_root() / "accel.json"
    key = f"{_boot_id()} {os.geteuid()} {arch}"
    try:
        known = json.loads(memory.read_text())
        if known["key"] == key and known["accel"] in ("kvm", "tcg"):
            return str(known["accel"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    accel, reason = _find_out(kernel, arch)
    if accel == "kvm":
        say("KVM works here: machines run at full speed.")
    else:
        say(f"KVM does not work here ({reason}): machines are emulated in software, several times slower.")
    temporary = memory.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"key": key, "accel": accel, "reason": reason}))
    temporary.replace(memory)
    return accel


def _find_out(kernel: Path, arch: str) -> tuple[str, str]:
    if not os.path.exists("/dev/kvm"):
        return "tcg", "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg", "this user may not open /dev/kvm"
    command = [BINARIES[arch], "-nodefaults", "-no-user-config", "-display", "none", "-vga", "none", "-machine", "pc"]
    command += ["-accel", "kvm", "-cpu", "host", "-m", "256", "-no-reboot", "-serial", "stdio", "-kernel", str(kernel)]
    command += ["-append", "console=ttyS0 panic=-1"]
    started = time.monotonic()
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "tcg", f"a kernel did not boot under it in {DEADLINE:.0f} s"
    except OSError as error:
        return "tcg", f"{command[0]}: {error.strerror}"
    if result.returncode == 0 and _REACHED in result.stdout:
        return "kvm", f"a kernel booted in {time.monotonic() - started:.1f} s"
    return "tcg", "a kernel could not boot under it"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"
