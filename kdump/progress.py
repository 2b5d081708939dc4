"""Progress of the gathering, said while the run waits for a host: done of all, for whom, on what, how long still.

On a terminal it has a line of its own, which is wiped away again; anything else (a log file, a CI server) gets a plain line
now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

PATIENCE = 1.0  # s of waiting before anything is said
REDRAW = 0.5  # s
PLAIN_EVERY = 30.0  # s
NAMED = 3


@dataclass(frozen=True)
class Waiting:
    """A host under way: ``seconds`` since it was begun, what it is doing (``connect``, ``probe``), and for how many seconds that
    may still go on."""

    host: str
    seconds: float
    doing: str
    left: float


@dataclass(frozen=True)
class Gathering:
    """How far the gathering is. ``seconds`` since its start; ``waiting`` the longest first."""

    done: int
    total: int
    seconds: float
    waiting: Sequence[Waiting]

    @property
    def eta(self) -> float | None:
        """Seconds that are still to be expected, by the pace so far; None before the first host is done.

        When all that are left are under way, the pace says nothing of the slow ones among them: their deadlines do.
        """
        if self.done + len(self.waiting) >= self.total:
            return max((one.left for one in self.waiting), default=None)
        return self.seconds / self.done * (self.total - self.done) if self.done else None

    def line(self, width: int) -> str:
        """
        >>> Gathering(3, 4, 6.0, [Waiting("web07", 5.2, "probe", 24.9)]).line(80)
        'gathering 3/4, at most 25 s left, waiting for web07 (probe, 5 s)'
        """
        words = f"gathering {self.done}/{self.total}"
        if self.eta is not None:
            ends_soon = self.done + len(self.waiting) >= self.total and all(one.doing == "probe" for one in self.waiting)
            words += f", {'at most' if ends_soon else 'about'} {self.eta:.0f} s left"
        found = words
        for number in range(min(NAMED, len(self.waiting)), 0, -1):
            named = ", ".join(
                f"{one.host} ({one.doing + ', ' if one.doing else ''}{one.seconds:.0f} s)" for one in self.waiting[:number]
            )
            more = len(self.waiting) - number
            found = f"{words}, waiting for {named}{f' and {more} more' if more else ''}"
            if len(found) <= width:
                return found
        return found if len(found) <= width else found[: max(width - 1, 0)] + "…"


@dataclass(frozen=True)
class ReadingInventory:
    """Ansible is waited for. ``seconds`` since its start."""

    seconds: float

    def line(self, width: int) -> str:
        """
        >>> ReadingInventory(12.3).line(80)
        'Ansible has been reading the inventory for 12 s'
        """
        return f"Ansible has been reading the inventory for {self.seconds:.0f} s"[:width]


class Told(Protocol):
    """What progress is made of."""

    def line(self, width: int) -> str: ...


class Writer(Protocol):
    """What is used of pytest's terminal writer."""

    fullwidth: int
    _file: TextIO

    @property
    def width_of_current_line(self) -> int: ...
    def line(self, s: str = "") -> None: ...


_ERASE = "\r\x1b[K"  # to the line's start, and EL of ECMA-48: what follows is erased


class Progress:
    """Shows how far it is while the run waits. ``clock`` gives seconds."""

    def __init__(self, writer: Writer, *, overwrites: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer, self._overwrites, self._clock = writer, overwrites, clock
        self._began: float | None = None
        self._said = clock()
        self._drawn = False

    def show(self, now_done: Told) -> None:
        """Called again and again while the run waits."""
        now = self._clock()
        if self._began is None:
            self._began = now
        if self._overwrites:
            if now - self._began >= PATIENCE:
                if self._writer.width_of_current_line:
                    self._writer.line()
                # past the writer, which would count the columns
                self._put(f"{_ERASE}{now_done.line(self._writer.fullwidth - 1)}")
                self._drawn = True
        elif now - self._said >= PLAIN_EVERY:
            self._said = now
            if self._writer.width_of_current_line:
                self._writer.line()
            self._writer.line(now_done.line(200))
            self._writer._file.flush()

    def done(self) -> None:
        """The run waits no longer: what stood there is wiped away."""
        if self._drawn:
            self._put(_ERASE)
        self._began, self._drawn = None, False

    def _put(self, text: str) -> None:
        try:
            self._writer._file.write(text)
        except UnicodeEncodeError:  # a terminal that has no "…"
            self._writer._file.write(text.encode("ascii", "replace").decode())
        self._writer._file.flush()
