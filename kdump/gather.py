"""Gather: one connection, one exec, one close per host, all hosts at once. The only remote I/O of an audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from . import recording
from .connection import execute
from .connection.errors import ConnectionProblem
from .hosts import RecordingBackend, Target
from .recording import BadRecording
from .transcript import NotATranscript, Transcript
from .verdict import CouldNotDetermine

COMMAND = "/bin/sh -s"


class Gatherer:
    """Asks all targets with the same script, ``forks`` at a time, and hands out their transcripts.

    ``deadline`` (seconds) and ``cap`` (bytes of output) bound what one host can cost.
    """

    def __init__(
        self,
        script: str,
        *,
        forks: int,
        deadline: float,
        cap: int,
        record: Path | None = None,
        on_done: Callable[[Target], None] = lambda target: None,
    ) -> None:
        self._script = script.encode()
        self._deadline, self._cap, self._record, self._on_done = deadline, cap, record, on_done
        self._pool = ThreadPoolExecutor(max_workers=forks, thread_name_prefix="gather")
        self._asked: dict[Target, Future[Transcript]] = {}

    def start(self, targets: Iterable[Target]) -> None:
        for target in targets:
            self._asked[target] = self._pool.submit(self._ask, target)

    def transcript(self, target: Target) -> Transcript:
        """Wait for a target's transcript. Raises :class:`CouldNotDetermine` with the one sentence that says why not."""
        try:
            return self._asked[target].result()
        except (ConnectionProblem, BadRecording) as problem:
            raise CouldNotDetermine(str(problem)) from problem
        except NotATranscript as problem:
            raise CouldNotDetermine(f"{target.name}: the probe ran but answered nothing that can be read") from problem

    def stop(self) -> None:
        """Ask nobody else; what is under way ends by its own deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, target: Target) -> Transcript:
        try:
            transcript = self._read(target)
            if self._record is not None:
                recording.save(transcript, self._record, target.name)
            return transcript
        finally:
            self._on_done(target)

    def _read(self, target: Target) -> Transcript:
        if isinstance(target.backend, RecordingBackend):
            return recording.load(target.backend.path)
        try:
            done = execute(target.backend, COMMAND, stdin=self._script, deadline=self._deadline, cap=self._cap)
            return Transcript.parse(done.stdout)
        finally:
            close = getattr(target.backend, "close", None)
            if close is not None:
                close()
