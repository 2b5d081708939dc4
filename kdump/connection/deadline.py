"""Waiting that is charged to the host only for the time the host had.

On a busy controller a thread that asked to sleep a quarter of a second may come back after three. If the whole
three were charged to the host's deadline, a healthy host would be called dead because *we* were slow: thread pools
lost hundreds of healthy hosts that way. So time is waited in slices and no slice costs more than was asked for;
and when the time is up while the host's answer lies unread in our own socket, the reader gets a little longer,
within a bound (a host that never stops talking costs at most twice its deadline).
"""

import select
import socket
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
#: Seconds of one slice: small against any deadline, large against a wake-up's cost.
SLICE = 0.25
_READER_NEEDS, _MOMENT = 0.5, 0.05


@dataclass(frozen=True)
class Wait:
    """What is waited for, and for how many seconds at most."""

    event: threading.Event
    seconds: float


#: Something that waits now and then, as a generator: it yields a :class:`Wait`, and is told whether the event happened.
#: Who carries the steps out may do something else meanwhile, such as make the event happen.
Steps = Generator[Wait, bool, T]


def carried_out(steps: Steps[T]) -> T:
    """Carry steps out by waiting: for events that another thread makes happen."""
    try:
        wait = next(steps)
        while True:
            wait = steps.send(wait.event.wait(wait.seconds))
    except StopIteration as end:
        result: T = end.value
        return result


class Deadline:
    """Seconds that a host may take, counted down by :meth:`waiting`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.left = seconds
        self._grace = max(seconds, 5.0)
        self._looked = False

    def waiting(self, event: threading.Event, longest: float = SLICE) -> Steps[bool]:
        """Wait one slice for ``event``; True when it was set."""
        granted = max(0.0, min(self.left, longest))
        started = time.monotonic()
        happened = yield Wait(event, granted)
        self.charge(started, granted)
        return happened

    def charge(self, started: float, granted: float) -> None:
        """Charge the time since ``started`` (time.monotonic()), but never more than the ``granted`` seconds."""
        self.left -= min(time.monotonic() - started, granted)

    def expired(self, sock: socket.socket | None = None) -> bool:
        """Whether the time is up; unread data in ``sock`` buys its reader more, within a bound.

        A reader that keeps up has read it after a moment: then it is the host that was slow.
        """
        if self.left > 0:
            return False
        if sock is not None and self._grace > 0 and unread(sock):
            self.left = _READER_NEEDS if self._looked else _MOMENT
            self._looked = not self._looked
            self._grace -= self.left
            return False
        return True

    def waiting_until(self, event: threading.Event, sock: socket.socket | None = None) -> Steps[bool]:
        """Wait for ``event`` until the time is up; True when it was set in time."""
        while not (yield from self.waiting(event)):
            if self.expired(sock):
                return event.is_set()
        return True

    def wait_until(self, event: threading.Event, sock: socket.socket | None = None) -> bool:
        """:meth:`waiting_until`, carried out."""
        return carried_out(self.waiting_until(event, sock))


def unread(sock: socket.socket) -> bool:
    """Whether something came, or the end, that was not read yet."""
    try:
        poller = select.poll()
        poller.register(sock.fileno(), select.POLLIN)
        return bool(poller.poll(0))
    except (OSError, ValueError):  # closed meanwhile
        return False
