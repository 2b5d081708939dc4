"""A local program run to its end, under the same rules as a remote command: bounded, drained, killed as a group."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import IO

from kdump.connection.deadline import SLICE, Deadline
from kdump.connection.sudo import Escort

#: As with a remote command: seconds of silence after the end of the program before its output counts as complete.
QUIET = 1.0


class OutOfTime(Exception):
    """The deadline passed; ``stdout`` and ``stderr`` are what there was."""

    def __init__(self, stdout: bytes, stderr: bytes) -> None:
        self.stdout, self.stderr = stdout, stderr


class TooMuch(OutOfTime):
    """A stream exceeded the cap."""


def run(
    argv: Sequence[str], escort: Escort, deadline: Deadline, cap: int, watch: Callable[[], None] = lambda: None
) -> tuple[bytes, bytes, int]:
    """Run ``argv``, feeding it what ``escort`` says; returns stdout, stderr and the status (negative: a signal).

    ``watch`` is called about four times a second and may raise to give up. Raises OSError when the program cannot be
    started, OutOfTime, TooMuch, and what the escort raises. Afterwards nothing of the program's group is left.
    """
    process = subprocess.Popen(
        list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    streams = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    out, err = streams.values()
    pending = escort.start
    silent_since: float | None = None
    finished = False
    with selectors.DefaultSelector() as selector, process.stdout, process.stderr:
        for pipe in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(pipe.fileno(), False)
        for descriptor in streams:
            selector.register(descriptor, selectors.EVENT_READ)
        writing = False
        try:
            while True:
                ended = process.poll() is not None
                grown = _drain(selector, streams, cap)
                if len(out) > cap or len(err) > cap:
                    raise TooMuch(bytes(out[:cap]), bytes(err[:cap]))
                pending += escort.advance(out, err)
                if not process.stdin.closed:
                    rest = _feed(process.stdin.fileno(), pending)
                    pending = rest or b""
                    if bool(pending) is not writing:
                        writing = not writing
                        if writing:
                            selector.register(process.stdin.fileno(), selectors.EVENT_WRITE)
                        else:
                            selector.unregister(process.stdin.fileno())
                    if rest is None or (not rest and escort.ended):
                        _close(process.stdin)
                open_streams = len(selector.get_map()) - int(writing)
                if ended and not open_streams:
                    finished = True
                    return bytes(out), bytes(err), process.returncode
                if ended:
                    now = time.monotonic()
                    silent_since = now if grown or silent_since is None else silent_since
                    if now - silent_since >= QUIET:
                        finished = True
                        return bytes(out), bytes(err), process.returncode
                watch()
                granted = max(0.0, min(SLICE if open_streams else 0.02, deadline.left))
                started = time.monotonic()
                selector.select(granted)
                deadline.charge(started, granted)
                if deadline.expired():
                    raise OutOfTime(bytes(out), bytes(err))
        finally:
            if not finished:
                _kill(process)
            if not process.stdin.closed:
                _close(process.stdin)


def _drain(selector: selectors.BaseSelector, streams: dict[int, bytearray], cap: int) -> bool:
    grown = False
    for descriptor, into in streams.items():
        while descriptor in selector.get_map() and len(into) <= cap:
            try:
                chunk = os.read(descriptor, 65536)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            if not chunk:
                selector.unregister(descriptor)
                break
            into += chunk
            grown = True
    return grown


def _feed(descriptor: int, pending: bytes) -> bytes | None:
    """Write what fits; the rest, or None when nobody reads any more."""
    try:
        while pending:
            pending = pending[os.write(descriptor, pending) :]
    except BlockingIOError:
        return pending
    except OSError:
        return None
    return pending


def _close(pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # a broken pipe
        pipe.close()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    for number, patience in ((signal.SIGTERM, 0.5), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
