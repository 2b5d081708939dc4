"""``--open-dumps``: the newest dumps of each host are really opened, there or here, where a matching vmlinux is at hand."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .connection import execute
from .connection.errors import ConnectionProblem
from .fact import Fact, Knowledge
from .facts.opened_dumps import OpenedDump, render
from .facts.vmlinux import Candidate
from .gather import COMMAND
from .given_vmlinux import HERE
from .hosts import Target
from .open_dump import DEADLINE, CannotOpen, open_with_any, tools_here
from .parsers.dump import State
from .parsers.opened_dump import DRGN_PROGRAM, Opened, of_crash, of_drgn
from .parsers.unreadable import Unreadable
from .probe import script
from .transcript import NotATranscript, Reading, Transcript
from .vmcore import match

MOST_DUMPS = 2
"""Per host, the newest: opening one takes crash most of a minute."""
MOST_COPIED = 8 << 30
"""Bytes of a dump that is copied to this machine."""
_CAP = 2 << 20
_COMMAND = "open_dumps"


def add_options(group: Any) -> None:
    """Offer ``--open-dumps``."""
    group.addoption(
        "--open-dumps",
        action="store_true",
        help="open the newest dumps with crash or drgn, on the host or here: panicking task, backtrace and log must come out",
    )


def opened(target: Target, transcript: Transcript) -> Transcript:
    """The transcript with what came out of the newest dumps, as the reading of ``open_dumps``."""
    known = Knowledge(transcript)
    dumps, candidates = known.maybe("dumps"), known.maybe("vmlinux_candidates")
    if not dumps.known:
        return transcript  # why there is none to open is judged from the readings
    rows: list[OpenedDump] = []
    if not candidates.known:
        rows.append(OpenedDump(dumps.value[0].path, "", "cannot", str(candidates.reason)))
    else:
        pairs = []
        for one in dumps.value:
            fitting = [file for file in candidates.value if file.image and match(one.dump, file.image).matches]
            # One file of a split dump opens only with all the others.
            if fitting and one.dump.complete.state is not State.INCOMPLETE and not one.dump.split:
                pairs.append((one.path, fitting))
        rows += _open(target, pairs[:MOST_DUMPS])
    reading = Reading(_COMMAND, render(rows), "", 0)
    return Transcript({**transcript.readings, _COMMAND: reading}, transcript.complete, transcript.remarks)


def _open(target: Target, pairs: list[tuple[str, list[Candidate]]]) -> Iterator[OpenedDump]:
    there = {path: own.path for path, fitting in pairs if (own := next(_of_host(fitting), None))}
    answers = _open_there(target, there) if there else {}
    for path, fitting in pairs:
        answer = answers.get(path)
        here = next((file.path.removeprefix(HERE) for file in fitting if file.path.startswith(HERE)), None)
        if isinstance(answer, OpenedDump):
            yield answer
        elif here is not None:
            yield _open_here(target, path, Path(here))
        else:
            why = (
                "neither crash nor drgn is installed on the host; to open it here, name a vmlinux of this machine with --vmlinux"
            )
            yield OpenedDump(path, there[path], "cannot", why)


def _of_host(files: Iterable[Candidate]) -> Iterator[Candidate]:
    return (file for file in files if not file.path.startswith(HERE))


def _open_there(target: Target, pairs: dict[str, str]) -> dict[str, OpenedDump | None]:
    """Dump → what came out of it on the host; None where the host has no tool."""
    commands = {
        path: f"open_dump {shlex.quote(path)} {shlex.quote(vmlinux)} {shlex.quote(_ONE_LINE)}" for path, vmlinux in pairs.items()
    }
    deadline = (DEADLINE + 20) * len(pairs)
    text = script((Fact(path, command, str) for path, command in commands.items()), seconds=deadline).encode()
    try:
        done = execute(target.backend, COMMAND, stdin=text, deadline=deadline, cap=_CAP)
        readings = Transcript.parse(done.stdout).readings
    except (ConnectionProblem, NotATranscript) as problem:
        return {path: OpenedDump(path, vmlinux, "cannot", str(problem)) for path, vmlinux in pairs.items()}
    answers: dict[str, OpenedDump | None] = {}
    for path, vmlinux in pairs.items():
        reading = readings.get(commands[path])
        first, _, rest = (reading.text if reading else "").partition("\n")
        tool = first.removeprefix("tool ")
        body, _, status = rest.rpartition("\nstatus ")
        by = f"{tool} on the host with {vmlinux}"
        if tool == "none":
            answers[path] = None
        elif not status.isdigit():
            answers[path] = OpenedDump(path, by, "cannot", "the answer was cut off")
        elif int(status) in (124, 137):
            answers[path] = OpenedDump(
                path, by, "cannot", f"{tool} needed more than {DEADLINE:.0f} s, or more memory than it may"
            )
        else:
            answers[path] = _judged(path, by, of_crash(body) if tool == "crash" else of_drgn(body))
    return answers


_ONE_LINE = "exec(" + repr(DRGN_PROGRAM) + ")"
"""A command of the probe is one line."""


def _open_here(target: Target, path: str, vmlinux: Path) -> OpenedDump:
    try:
        if getattr(target.backend, "NAME", "") == "local":
            tool, result = open_with_any(Path(path), vmlinux)
        else:
            with tempfile.TemporaryDirectory(prefix="kdump-dump-") as folder:
                copy = Path(folder) / "vmcore"
                _copy(target, path, copy)
                tool, result = open_with_any(copy, vmlinux)
    except (CannotOpen, Unreadable, ConnectionProblem, OSError) as problem:
        return OpenedDump(path, f"this machine with {vmlinux}", "cannot", str(problem))
    return _judged(path, f"{tool} on this machine with {vmlinux}", result)


def _copy(target: Target, path: str, to: Path) -> None:
    """Raises :class:`CannotOpen`, :class:`Unreadable`, :class:`ConnectionProblem`, :class:`OSError`."""
    if not tools_here():
        raise CannotOpen("neither crash nor drgn is installed on this machine")
    read = getattr(target.backend, "sftp_read", None)
    if read is None:
        raise CannotOpen("the dump cannot be copied here: only hosts that are reached by SSH or locally offer that")
    late = time.monotonic() + DEADLINE
    with read(path) as source, to.open("wb") as file:
        room = min(MOST_COPIED, shutil.disk_usage(to.parent).free - (1 << 30))
        if source.size > room:
            raise CannotOpen(f"its {source.size} bytes are more than can be copied here ({max(room, 0)})")
        while data := source.read_at(file.tell(), 1 << 20):
            file.write(data)
            if time.monotonic() > late:
                raise CannotOpen(f"copying it here takes more than {DEADLINE:.0f} s")


def _judged(path: str, by: str, result: Opened) -> OpenedDump:
    """Refused for another reason than missing bytes: the tool may be too old for the kernel, so that it is no verdict."""
    return OpenedDump(path, by, "opened" if result.readable else "damaged" if result.damaged else "cannot", str(result))
