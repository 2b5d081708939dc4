"""Real dumps of a real crash, made once and kept in the lab's cache: `python -m selftests.vmcore.dumps`.

A lab machine is crashed three times: with its distribution's own settings, with `makedumpfile -F -E -d 0`, which saves all
of memory, and with a plain copy of /proc/vmcore in makedumpfile's place. From the second core this machine's makedumpfile
makes every other format, level and compression it was built with (Debian 12's 1.7.2: zlib and lzo; Debian 13's 1.7.6: zstd,
too; neither: snappy). A running machine is also dumped by QEMU, whose writer is not makedumpfile.

    $XDG_CACHE_HOME/kdump-lab/dumps/RELEASE/NAME      complete dumps
    $XDG_CACHE_HOME/kdump-lab/dumps/RELEASE/broken/   dumps that makedumpfile could not finish
    $XDG_CACHE_HOME/kdump-lab/dumps/RELEASE/foreign/  complete dumps of other architectures, by QEMU
    $XDG_CACHE_HOME/kdump-lab/dumps/RELEASE/vmlinux   only where somebody put it there, for crash
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab import image, paths
from lab.machine import Machine

SAVE_DEADLINE = 900.0
MAKEDUMPFILE = os.environ.get("MAKEDUMPFILE", "makedumpfile")
#: has the capture kernel copy /proc/vmcore; the log is still makedumpfile's
COPIES = r"""
cd /usr/bin && mv makedumpfile makedumpfile.real && cat > makedumpfile <<'END'
#!/bin/sh
case "$*" in
*--dump-dmesg*) exec makedumpfile.real "$@" ;;
*) exec cat /proc/vmcore ;;
esac
END
chmod 755 makedumpfile && sync && kdump-config unload && kdump-config load
"""
FOREIGN = {  # aarch64 has 64 KiB blocks, arm the 32-bit layout; QEMU's i386 writes the 64-bit one; ppc is big-endian
    "aarch64": ("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"),
    "arm": ("qemu-system-arm", "-M", "virt", "-cpu", "cortex-a15"),
    "i386": ("qemu-system-i386",),
    "ppc": ("qemu-system-ppc",),
}


def folder() -> Path | None:
    """The newest set of real dumps that is complete; None where there is none."""
    sets = sorted((paths.cache_root() / "dumps").glob("*/done"), key=lambda one: one.stat().st_mtime)
    return sets[-1].parent if sets else None


def main() -> int:
    built = image.find("debian12")
    with Machine(built, crashkernel="192M", devices=("vmcoreinfo",)) as machine:
        machine.boot()
        release = machine.check("uname -r").strip()
        target = paths.cache_root() / "dumps" / release
        (target / "broken").mkdir(parents=True, exist_ok=True)
        machine.check("modprobe qemu_fw_cfg || true")
        for name, arguments in (("qemu-elf", {}), ("qemu-kdump-zlib", {"format": "kdump-zlib"})):
            protocol = f"file:{target / name}"
            machine.qmp("dump-guest-memory", {"paging": False, "protocol": protocol, **arguments})
        crash(machine)
        fetch(machine, "dump.*", target / "debian-default")
        machine.check("rm -rf /var/crash/2*")
        machine.check("echo 'MAKEDUMP_ARGS=\"-F -E -d 0\"' >> /etc/default/kdump-tools; sync")
        crash(machine)
        fetch(machine, "dump.*", target / "flattened-elf-d0")
        machine.check("rm -rf /var/crash/2*")
        machine.check(COPIES)
        crash(machine)
        fetch(machine, "dump.*", target / "proc-vmcore")
    derive(target)
    foreign(target / "foreign")
    (target / "done").touch()
    print(target)
    return 0


def foreign(folder: Path) -> None:
    """Machines that wait for their first instruction, dumped by QEMU in its formats, and what makedumpfile -R makes of that."""
    folder.mkdir(exist_ok=True)
    for name, command in FOREIGN.items():
        if shutil.which(command[0]) is None:
            continue
        asked = [json.dumps({"execute": "qmp_capabilities"})]
        for kind in ("elf", "kdump-zlib"):
            arguments = {"paging": False, "protocol": f"file:{folder}/{name}-{kind}", "format": kind}
            asked.append(json.dumps({"execute": "dump-guest-memory", "arguments": arguments}))
        asked.append(json.dumps({"execute": "quit"}))
        options = ["-m", "64", "-display", "none", "-nodefaults", "-S", "-qmp", "stdio"]
        words = "\n".join(asked)
        subprocess.run([*command, *options], input=words, check=True, timeout=120, stdout=subprocess.DEVNULL, text=True)
        with (folder / f"{name}-kdump-zlib").open("rb") as flat:
            makedumpfile("-R", str(folder / f"{name}-rearranged"), stdin=flat)


def crash(machine: Machine) -> None:
    """Crash the machine and wait until it has saved its dump and is back."""
    seen = len(machine.console())
    machine.check("sync; echo 1 > /proc/sys/kernel/sysrq")
    machine.check("setsid sh -c 'sleep 1; echo c > /proc/sysrq-trigger' </dev/null >/dev/null 2>&1 &")
    machine.wait_console("sysrq triggered crash", 60, after=seen)
    machine.wait_console(r"saved vmcore|failed to save vmcore", SAVE_DEADLINE, after=seen)
    seen = len(machine.console())
    machine.wait_console(r"Linux version", 300, after=seen)
    machine.wait_for_ssh(600)


def fetch(machine: Machine, pattern: str, to: Path) -> None:
    remote = machine.check(f"ls /var/crash/2*/{pattern}").split()[-1]
    command = ["scp", "-q", "-F", str(machine.ssh_config), f"{machine.image.recipe.name}:{remote}", str(to)]
    subprocess.run(command, check=True, timeout=900)


def derive(target: Path) -> None:
    raw = target / "elf-d0"
    with (target / "flattened-elf-d0").open("rb") as flat:
        makedumpfile("-R", str(raw), stdin=flat)
    built_with = subprocess.run([MAKEDUMPFILE, "-v"], capture_output=True, text=True, check=False).stdout
    kinds = {"zlib": "-c", "plain": ""}
    for name, option in (("lzo", "-l"), ("snappy", "-p"), ("zstd", "-z")):
        if re.search(rf"{name}\s+enabled", built_with):
            kinds[name] = option
    for name, option in kinds.items():
        for level in (0, 1, 31):
            makedumpfile(*option.split(), "-d", str(level), str(raw), str(target / f"kdump-{name}-d{level}"))
    makedumpfile("-E", "-d", "31", str(raw), str(target / "elf-d31"))
    makedumpfile("-c", "-d", "31", "--num-threads", "2", str(raw), str(target / "kdump-threads-d31"))
    parts = [str(target / f"kdump-split-{part}") for part in (1, 2, 3)]
    makedumpfile("-c", "-d", "31", "--split", str(raw), *parts)
    makedumpfile("--reassemble", *parts, str(target / "kdump-reassembled"))
    for name, options in (("flattened-zlib-d1", ["-c", "-d", "1"]), ("flattened-elf-d31", ["-E", "-d", "31"])):
        with (target / name).open("wb") as out:
            makedumpfile("-F", *options, str(raw), stdout=out)
    break_some(target, raw)


def break_some(target: Path, raw: Path) -> None:
    """Dumps that ended early for real: the disk was full, or makedumpfile was killed."""
    broken = target / "broken"
    for name, options in (("kdump-full", ["-c", "-d", "1"]), ("elf-full", ["-E", "-d", "1"])):
        with contextlib.suppress(subprocess.CalledProcessError):
            makedumpfile("-L", str(20 << 20), *options, str(raw), str(broken / name))
    for name, options in (("kdump-no-space", "-c -d 1 {} f"), ("elf-no-space", "-E -d 1 {} f"), ("flat-no-space", "-F -c {} >f")):
        # A file system of its own that is too small, for an ordinary user, too.
        write = f"{MAKEDUMPFILE} {options.format(raw)}; cp f {broken / name}"
        command = f"mount -t tmpfs -o size=20m none /mnt && cd /mnt && {{ {write}; }}"
        subprocess.run(["unshare", "-rm", "sh", "-c", command], check=True, timeout=300, capture_output=True)
    for name, options, flattened in (
        ("kdump-killed", ["-c", "-d", "0"], False),
        ("elf-killed", ["-E", "-d", "0"], False),
        ("flattened-killed", ["-F", "-c", "-d", "0"], True),
    ):
        file = broken / name
        with file.open("wb") as out:
            command = [MAKEDUMPFILE, *options, str(raw), *([] if flattened else [str(file)])]
            if not flattened:
                file.unlink()
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
            until = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < until:
                if file.exists() and file.stat().st_blocks * 512 > 8 << 20:
                    os.kill(process.pid, signal.SIGKILL)
                time.sleep(0.002)
            process.wait()


def makedumpfile(*arguments: str, stdin: object = subprocess.DEVNULL, stdout: object = subprocess.DEVNULL) -> None:
    subprocess.run(
        [MAKEDUMPFILE, *([] if "-R" in arguments else ["--message-level", "4"]), *arguments],
        check=True, timeout=900, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
