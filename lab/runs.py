"""The folder of a running machine: made with a lock that lives as long as the machine, swept when nothing holds it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lab.errors import AlreadyUpError, LabError
from lab.paths import runs_dir

DETACHED_PREFIX = "up-"


@dataclasses.dataclass
class RunFolder:
    """*lock* is an open descriptor of ``path/lock``, held exclusively; give it to the supervisor, then close it."""

    path: Path
    lock: int


@contextlib.contextmanager
def locked(path: Path, *, deadline: float, waiting: Callable[[], None] | None = None) -> Iterator[int]:
    """Holds an exclusive lock on the file *path*, waiting up to *deadline* seconds; calls *waiting* once if it must wait.

    Yields its descriptor: a program that inherits it holds the lock as long as it runs.

    Raises LabError when the other process does not let go in time.
    """
    until = time.monotonic() + deadline
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(descriptor):
            if time.monotonic() > until:
                raise LabError(f"Another process has held {path} for {deadline:.0f} s; end it, then try again.")
            if waiting is not None:
                waiting()
                waiting = None
            time.sleep(0.2)
        yield descriptor
    finally:
        os.close(descriptor)


def create(name: str, *, detached: bool = False) -> RunFolder:
    """A new, locked folder for a machine called *name*; sweeps first what killed owners left behind.

    A detached machine has one folder per name. Raises AlreadyUpError when that one is running.
    """
    root = runs_dir()
    with locked(root / ".lock", deadline=30):
        _sweep(root)
        if detached:
            path = root / (DETACHED_PREFIX + name)
            if path.exists():
                raise AlreadyUpError(
                    f"{name} is already up: see `python -m lab status`, or end it with `python -m lab down {name}`."
                )
            path.mkdir(mode=0o700)
        else:
            path = Path(tempfile.mkdtemp(prefix=f"{name}-{os.getpid()}-", dir=root))
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return RunFolder(path, descriptor)


def is_running(path: Path) -> bool:
    """Is there still a supervisor that holds the folder's lock?"""
    try:
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def sweep() -> None:
    """Removes the folders (throw-away disks included) of machines whose supervisor is gone."""
    root = runs_dir()
    with locked(root / ".lock", deadline=30):
        _sweep(root)


def _sweep(root: Path) -> None:
    for path in root.iterdir():
        if path.is_dir() and not is_running(path):
            shutil.rmtree(path, ignore_errors=True)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
