"""Gather: one connection, one exec, one close per host, all hosts at once. The only remote I/O of an audit."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from . import recording
from .connection import execute
from .connection.errors import ConnectionProblem, Kind, said
from .connection.settings import current
from .crew import Crew
from .fact import NO_SUDO
from .hosts import RecordingBackend, Target
from .progress import REDRAW, Gathering, Waiting
from .recording import BadRecording
from .transcript import SHOWN, NotATranscript, Transcript
from .verdict import CouldNotDetermine

COMMAND = "/bin/sh -s"
MOST_KEPT = 64 << 20  # characters that hosts have said and that are still to be judged, before further hosts wait for that
# s after which the interpreter's lock is demanded of a thread that works on. Each host's thread works for less than a millisecond
# before it waits, and so does the judging now and then; on a busy machine a demand leaves the lock with nobody until the
# other thread gets a processor.
SWITCH = 0.05
MOST_OFF = 300.0  # s between two clocks; a probe takes up to a minute, and tells when it began


def clock_off(transcript: Transcript, now: datetime) -> float:
    """Seconds that the clock of a host is ahead of ``now``; 0 where it says nothing.

    >>> clock_off(Transcript.of([], taken="2026-01-31T12:00:00Z"), datetime(2026, 1, 31, 11, tzinfo=UTC))
    3600.0
    """
    try:
        return (datetime.fromisoformat(transcript.remarks.get("taken", "")) - now).total_seconds()
    except (ValueError, TypeError):
        return 0.0


class Gatherer:
    """Asks all targets with the same script, ``forks`` at a time, and hands out their transcripts.

    ``deadline`` (seconds) and ``cap`` (bytes of output) bound what one host can cost. ``complete`` adds to a transcript
    what only its answers show to be missing, as long as the host is connected.
    """

    def __init__(
        self,
        script: str,
        *,
        forks: int,
        deadline: float,
        cap: int,
        record: Path | None = None,
        complete: Callable[[Target, Transcript], Transcript] = lambda target, transcript: transcript,
    ) -> None:
        self._script = script.encode()
        self._deadline, self._cap, self._record = deadline, cap, record
        self._complete = complete
        self._crew = Crew(forks)
        self._asked: dict[Target, Future[Transcript]] = {}
        self._answered: SimpleQueue[Target] = SimpleQueue()
        self._under_way: dict[Target, float] = {}
        self._doing: dict[Target, tuple[str, float]] = {}  # what it was seen to do, and since when
        self._kept: dict[Target, int] = {}  # characters
        self._all_kept = 0
        self._garbage = 0
        self._lock = threading.Lock()
        self._room = threading.Event()
        self._room.set()
        self._started = time.monotonic()
        self._switches_before = 0.0
        #: hosts whose clock differs from this machine's, and by how many seconds
        self.clocks: dict[str, float] = {}
        #: hosts that were asked as an ordinary user because sudo refused, and its words
        self.without_sudo: dict[str, str] = {}
        #: hosts whose recordings could not be written, and why
        self.not_recorded: dict[str, str] = {}

    def start(self, targets: Iterable[Target]) -> None:
        """Ask targets that were not asked yet."""
        if not self._switches_before:
            self._switches_before = sys.getswitchinterval()
            sys.setswitchinterval(SWITCH)
        for target in targets:
            if target not in self._asked:
                self._asked[target] = Future()
                self._crew.submit(partial(self._ask, target, self._asked[target]))

    def progress(self) -> Gathering:
        """How far it is."""
        now = time.monotonic()
        waiting = []
        for target, since in dict(self._under_way).items():
            doing = getattr(target.backend, "doing", "")
            if target not in self._doing or self._doing[target][0] != doing:  # a local one does not say what it does
                self._doing[target] = (doing, now if target in self._doing else since)
            most = current().seconds_to_connect() if doing == "connect" else self._deadline
            waiting.append(Waiting(target.name, now - since, doing, max(0.0, self._doing[target][1] + most - now)))
        waiting.sort(key=lambda one: -one.seconds)
        done = sum(one.done() for one in self._asked.values())
        return Gathering(done, len(self._asked), now - self._started, waiting)

    def next_done(self, waiting: Callable[[Gathering], None] | None = None) -> Target | None:
        """A target that is done and was not told before. Without ``waiting`` it is not waited for: None when there is none."""
        while True:
            try:
                if waiting and self._answered.empty():
                    self._room.set()  # whatever is kept, nothing of it can be judged yet
                return self._answered.get(timeout=REDRAW) if waiting else self._answered.get_nowait()
            except Empty:
                if waiting is None:
                    return None
                waiting(self.progress())

    def has_answered(self, target: Target) -> bool:
        return self._asked[target].done()

    def transcript(self, target: Target, waiting: Callable[[Gathering], None] = lambda gathering: None) -> Transcript:
        """Wait for a target's transcript, telling ``waiting`` now and then how far all is.

        Raises :class:`CouldNotDetermine` with the one sentence that says why there is none.
        """
        asked = self._asked[target]
        if not asked.done():
            self._room.set()
        while not wait([asked], REDRAW).done:
            waiting(self.progress())
        try:
            return asked.result()
        except (ConnectionProblem, BadRecording) as problem:
            raise CouldNotDetermine(str(problem)) from problem
        except NotATranscript as problem:
            raise CouldNotDetermine(f"{target.name}: the probe answered nothing that can be read ({problem})") from problem

    def forget(self, target: Target) -> None:
        """Keep what a target said no longer: it may be megabytes."""
        forgotten: Future[Transcript] = Future()
        forgotten.set_exception(CouldNotDetermine(f"{target.name}: it was judged, and what it said was forgotten"))
        self._asked[target] = forgotten
        size = self._kept.get(target, 0)
        self._count(target, 0)
        if size > SHOWN:
            # exceptions and the frames that raised them hold each other, and what the host said; nobody looks for such cycles
            # before there are very many (kdump/run_loop.py)
            self._garbage += size
            if self._garbage > MOST_KEPT:
                gc.collect()
                self._garbage = 0

    def _count(self, target: Target, characters: int) -> None:
        with self._lock:
            self._all_kept += characters - self._kept.pop(target, 0)
            if characters:
                self._kept[target] = characters
            if self._all_kept > MOST_KEPT:
                self._room.clear()
            else:
                self._room.set()

    def stop(self) -> None:
        """Ask nobody else; what is under way ends by its own deadline."""
        if self._switches_before:
            sys.setswitchinterval(self._switches_before)
        self._crew.stop()
        self._room.set()
        for asked in self._asked.values():
            asked.cancel()

    def _ask(self, target: Target, asked: Future[Transcript]) -> None:
        self._room.wait()
        if not asked.set_running_or_notify_cancel():
            return
        self._under_way[target] = time.monotonic()
        try:
            transcript = self._read(target)
            if self._record is not None:
                try:
                    recording.save(transcript, self._record, target.name)
                except OSError as error:  # which costs nobody its verdicts
                    self.not_recorded[target.name] = error.strerror or str(error)
            self._count(target, transcript.size)
            asked.set_result(transcript)
        except BaseException as problem:  # whoever wants the transcript is told
            asked.set_exception(problem)
        finally:
            del self._under_way[target]
            self._answered.put(target)

    def _ask_once(self, target: Target) -> Transcript:
        done = execute(target.backend, COMMAND, stdin=self._script, deadline=self._deadline, cap=self._cap)
        try:
            transcript = Transcript.parse(done.stdout)
        except NotATranscript as problem:
            words = f"exit status {done.status}{': ' if done.stderr.strip() else ''}{said(done.stderr)}"
            raise NotATranscript(words) from problem
        seconds = clock_off(transcript, datetime.now(UTC))
        if abs(seconds) > MOST_OFF:
            self.clocks[target.name] = seconds
        return transcript

    def _read(self, target: Target) -> Transcript:
        if isinstance(target.backend, RecordingBackend):
            return self._complete(target, recording.load(target.backend.path))
        try:
            try:
                return self._complete(target, self._ask_once(target))
            except ConnectionProblem as problem:
                as_the_user = getattr(target.backend, "without_sudo", None)
                if problem.kind is not Kind.NO_SUDO or as_the_user is None:
                    raise
                # nothing has run: what needs no root can be judged, and the rest says why it cannot
                with as_the_user():
                    answered = self._ask_once(target)
                self.without_sudo[target.name] = f"{problem.what}; {problem.remedy}"
                remarks = {**answered.remarks, NO_SUDO: self.without_sudo[target.name]}
                return self._complete(target, replace(answered, remarks=remarks))
        finally:
            close = getattr(target.backend, "close", None)
            if close is not None:
                close()
