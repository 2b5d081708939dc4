"""Frozen machines: memory and disks of a booted machine, thawed in seconds on throw-away overlays.

A state belongs to one image and to exactly one Hardware under one QEMU build; its KEY is a hash of these. Folder
``images/NAME-HASH/states/KEY/``: ``memory.zst`` (QEMU's migration stream), ``disk0.qcow2`` … (read-only from then on;
disk0 is an overlay over the image's base.qcow2). Machines thawed from one state share their boot_id and their KASLR
offset, and their clock stands still at the moment of freezing until lab.machine sets it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab import qemu
from lab.errors import LabError

# Raised when a machine is settled differently before it is frozen, so that old states are not used any more.
STATE_VERSION = 1


@dataclasses.dataclass(frozen=True)
class State:
    folder: Path

    @property
    def memory(self) -> Path:
        return self.folder / "memory.zst"

    def disks(self) -> list[Path]:
        return [self.folder / f"disk{number}.qcow2" for number in range(len(list(self.folder.glob("disk*.qcow2"))))]

    def exists(self) -> bool:
        return self.memory.exists()


def find(image: Path, hardware: qemu.Hardware) -> State:
    """Where the state of *hardware* is, or would be, in the image's folder."""
    return State(image / "states" / key(hardware))


def key(hardware: qemu.Hardware) -> str:
    data = json.dumps([STATE_VERSION, qemu_version(hardware.arch), dataclasses.asdict(hardware)], sort_keys=True)
    return hashlib.sha256(data.encode()).hexdigest()[:12]


@functools.cache
def qemu_version(arch: str) -> str:
    """The first line of ``--version``. Raises LabError when QEMU is not installed."""
    binary = qemu.BINARIES[arch]
    try:
        text = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except FileNotFoundError:
        raise LabError(f"The lab needs {binary}, which is not installed: run `make lab`.") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError(f"The lab needs {binary}, which does not run here ({error}): run `make lab`.") from error
    return text.splitlines()[0] if text else "unknown"


def create_disk(path: Path, *, backing: Path | None = None, size: int | None = None) -> None:
    """A qcow2 file over *backing* (which stays untouched), or an empty one of *size* MiB."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2"]
    if backing is not None:
        command += ["-b", str(backing.resolve()), "-F", "qcow2"]
    command.append(str(path))
    if size is not None:
        command.append(f"{size}M")
    _qemu_img(command)


def _qemu_img(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        raise LabError(f"The lab cannot run qemu-img ({error}): run `make lab`.") from error
    if done.returncode != 0:
        raise LabError(f"qemu-img failed: {done.stderr.strip()[-300:]}")
