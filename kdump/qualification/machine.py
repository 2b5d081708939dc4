"""What the run of a crash needs of the outside world: the host, the place of its dumps, its console, a clock."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from testinfra.backend.base import BaseBackend

from ..connection import ConnectionProblem, execute
from ..fact import Fact
from ..probe import script
from ..transcript import NotATranscript, Transcript, sanitise
from ..verdict import CouldNotDetermine
from .watch import Answer

T = TypeVar("T")
CAP = 8 << 20
_ENDS_AT_ONCE = 2.0  # s
_ON_THE_WAY = 10.0  # s, of a deadline, to connect and to send what was read
BOOT_ID = "/proc/sys/kernel/random/boot_id"
_SHELL = Path(__file__).with_name("crash.sh")
_LOOK = f"cat {BOOT_ID} && if [ -e /proc/vmcore ]; then echo capturing; fi"


@dataclass(frozen=True)
class Clock:
    """Seconds since the epoch: they mean the same to a controller that takes over."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Host(Protocol):
    """A host that can be asked. See :class:`Remote` for what each does."""

    def ask(self, facts: list[Fact[Any]], deadline: float) -> Transcript: ...

    def look(self, deadline: float) -> Look: ...

    def fire(self, fact: Fact[Any], deadline: float) -> str: ...

    def copy(self, path: str, to: Path, most: int, deadline: float) -> None: ...


@dataclass(frozen=True)
class Look:
    """``asked``: the host was asked to the end; ``answer`` is None where it did not answer."""

    asked: bool
    answer: Answer | None = None


class Remote:
    """A host behind a testinfra backend of ours. Every question is a connection of its own: the host goes away between
    them, and a failure to connect is an answer here."""

    def __init__(self, name: str, backend: BaseBackend) -> None:
        self.name, self._backend = name, backend
        self._one_at_a_time = threading.Lock()
        self._looking: list[Answer | None] | None = None

    def ask(self, facts: list[Fact[Any]], deadline: float) -> Transcript:
        """The readings of facts. Raises :class:`CouldNotDetermine`."""
        try:
            # a dump is read for minutes, where an audit's readings have seconds
            text = script(facts, more=_SHELL.read_text(encoding="utf-8"), seconds=max(deadline - _ON_THE_WAY, 1))
            done = self._execute(text, deadline)
            return Transcript.parse(done)
        except ConnectionProblem as problem:
            raise CouldNotDetermine(str(problem)) from problem
        except NotATranscript as problem:
            raise CouldNotDetermine(f"{self.name}: it was asked, and answered nothing that can be read") from problem

    def look(self, deadline: float) -> Look:
        """Which boot answers. A host that is down takes its time to say nothing, and the console must not wait for it: the
        question is asked beside, and answered by a later call."""
        if self._looking is None:
            self._looking = answers = []
            threading.Thread(target=lambda: answers.append(self._look(deadline)), name=f"look {self.name}", daemon=True).start()
        if not self._looking:
            return Look(asked=False)
        answer, self._looking = self._looking[0], None
        return Look(True, answer)

    def _look(self, deadline: float) -> Answer | None:
        try:
            words = self._execute(_LOOK, deadline).decode("utf-8", "replace").split()
        except Exception:  # whatever is wrong with the connection, it is no answer
            return None
        return Answer(words[0], "capturing" in words) if words else None

    def fire(self, fact: Fact[Any], deadline: float) -> str:
        """Send the trigger, once, and hang up. What became of it, in words, where that is known; never raises for a
        connection that died: the machine may be on its way down."""
        try:
            reading = self.ask([fact], deadline).readings.get(fact.command)
        except CouldNotDetermine as problem:
            return f"how the trigger was taken is unknown: {problem}"
        if reading is None:
            return "how the trigger was taken is unknown: the answer was cut off"
        return "" if reading.status == 0 else f"the host refused the trigger: {reading.errors or reading.text}"

    def copy(self, path: str, to: Path, most: int, deadline: float) -> None:
        """A file of the host, in pieces, within ``deadline``. Raises :class:`CouldNotDetermine`."""
        piece = 4 << 20
        until = time.monotonic() + deadline
        with to.open("wb") as file:
            while file.tell() < most:
                left = until - time.monotonic()
                if left <= 0:
                    raise CouldNotDetermine(f"{path} was not copied within {deadline:.0f} s: open it where it lies")
                command = f"dd if={shlex.quote(path)} bs={piece} skip={file.tell() // piece} count=8 2>/dev/null"
                try:
                    data = self._execute(command, left, cap=9 * piece)
                except ConnectionProblem as problem:
                    raise CouldNotDetermine(str(problem)) from problem
                file.write(data)
                if len(data) < 8 * piece:
                    return
        raise CouldNotDetermine(f"{path} is larger than {most >> 20} MiB: open it where it lies")

    def _execute(self, text: str, deadline: float, cap: int = CAP) -> bytes:
        with self._one_at_a_time:
            forget = getattr(self._backend, "forget", None)
            if forget is not None:
                forget()
            try:
                return execute(self._backend, "/bin/sh -s", stdin=text.encode(), deadline=deadline, cap=cap).stdout
            finally:
                close = getattr(self._backend, "close", None)
                if close is not None:
                    close()


class Console(Protocol):
    """A serial console that is followed. ``lost``: why nothing more will come, "" while it may."""

    offset: int
    lost: str

    def read(self) -> bytes: ...

    def close(self) -> None: ...


class FileConsole:
    """A file that something else writes the console's output into. Follows from its end on, or from ``offset``."""

    lost = ""

    def __init__(self, path: Path, offset: int | None = None) -> None:
        self._path = path
        try:
            size = path.stat().st_size
        except OSError as error:
            raise CouldNotDetermine(f"the console's file {path} cannot be read: {error.strerror}") from error
        self.offset = size if offset is None else min(offset, size)

    def read(self) -> bytes:
        """What was added since the last call. A file that became shorter begins anew."""
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self.offset:
                    self.offset = 0
                file.seek(self.offset)
                data = file.read(1 << 20)
        except OSError:
            return b""
        self.offset += len(data)
        return data

    def close(self) -> None:
        """Nothing is kept open."""


class CommandConsole:
    """A command whose standard output is the console: ``ipmitool sol activate``, ``virsh console``, ``conserver``.
    One that ends at once is none: raises CouldNotDetermine."""

    def __init__(self, command: str) -> None:
        self.offset = 0
        self.lost = ""
        # It may want a terminal's input to stay open; it is never written to.
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(_ENDS_AT_ONCE)
            words = sanitise(self.read().decode("utf-8", "replace").strip())[-200:]
            raise CouldNotDetermine(f"the console's command ended at once, with status {status}: {words or 'no words'}")

    def read(self) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(1 << 20) or b""
        self.offset += len(data)
        if not data and self._process.poll() is not None:
            self.lost = f"the console's command ended, with status {self._process.returncode}"
        return data

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 15)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()
