"""What is known of a crash, on disk: a controller that dies in the middle loses nothing, and no host is crashed twice."""

from __future__ import annotations

import fcntl
import json
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class BadRecord(ValueError):
    """The file cannot be used; one sentence."""


@dataclass
class Record:
    """One crash of one host. Times in seconds since the epoch, by the controller's clock unless said otherwise.

    ``fired`` is written before the trigger is sent: whoever reads it must take it that the host crashed.
    ``concluded``: the crash was followed to its end, good or bad.
    """

    host: str
    token: str
    trigger: str
    cycle: int = 1
    boot_id: str = ""
    host_clock: float = 0.0
    """The host's clock at the mark."""
    stamp: float | None = None
    """The kernel's own seconds at the mark, None where its log has no time stamps."""
    console_offset: int = 0
    """Bytes of the console's file before the trigger."""
    before: dict[str, list[float | None]] = field(default_factory=dict)
    """Path -> size, change time and birth time of the dumps that lay there."""
    free: int = 0
    """Bytes free where dumps go."""
    bootstatus: dict[str, int] = field(default_factory=dict)
    watchdogs: dict[str, float] = field(default_factory=dict)
    """The hardware timers that ran, and their time-outs in seconds."""
    dumps: str = ""
    """``--crash-dumps`` of this host."""
    fired: float | None = None
    reached: dict[str, float] = field(default_factory=dict)
    dump: str = ""
    end: str = ""
    concluded: bool = False

    @property
    def pending(self) -> bool:
        """The host may be on its way down, or back, with nobody looking."""
        return self.fired is not None and not self.concluded


class Store:
    """The newest record of each host, in a folder of its own per user."""

    def __init__(self, folder: Path | None = None, environment: Mapping[str, str] = os.environ) -> None:
        state = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        self.folder = folder or Path(state) / "kdump-acceptance" / "crash"

    def path(self, host: str) -> Path:
        return self.folder / f"{urllib.parse.quote(host, safe='')}.json"

    def load(self, host: str) -> Record | None:
        """Raises :class:`BadRecord`."""
        path = self.path(host)
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return Record(**values)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise BadRecord(
                f"{path}, the record of an earlier crash, cannot be read ({error}): look at it, then remove it"
            ) from error

    def lock(self, host: str) -> int:
        """An open file that keeps other runs of this user from crashing that host until it is closed. Raises BadRecord."""
        path = self.path(host).with_suffix(".lock")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadRecord(f"{path}: the lock of the crash cannot be made: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise BadRecord(f"another run is crashing {host} at this moment ({path} is locked): let it end") from error
        return descriptor

    def save(self, record: Record) -> None:
        """Whole or not at all, and on the disk when this returns. Raises :class:`BadRecord`."""
        path = self.path(record.host)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(asdict(record), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)  # else the name may still lead to the record before, after this machine lost its power
            finally:
                os.close(folder)
        except OSError as error:
            raise BadRecord(f"{path}: the record of the crash cannot be written: {error.strerror}") from error
