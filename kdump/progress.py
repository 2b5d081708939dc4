"""Progress of the gathering, said while the run waits for a host: done of all, for whom, on what, how long still.

On a terminal it stands to the right of what is being written and is wiped away again; anything else (a log file, a CI
server) gets a plain line now and then.
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
LEAST_WIDTH = 20  # columns


@dataclass(frozen=True)
class Waiting:
    """A host under way: ``seconds`` since it was begun, and what it is doing (``connect``, ``probe``)."""

    host: str
    seconds: float
    doing: str


@dataclass(frozen=True)
class Gathering:
    """How far the gathering is. ``seconds`` since its start; ``waiting`` the longest first."""

    done: int
    total: int
    seconds: float
    waiting: Sequence[Waiting]

    @property
    def eta(self) -> float | None:
        """Seconds that are still to be expected, by the pace so far; None before the first host is done."""
        return self.seconds / self.done * (self.total - self.done) if self.done else None

    def line(self, width: int) -> str:
        """
        >>> Gathering(3, 4, 6.0, [Waiting("web07", 5.2, "probe")]).line(80)
        'gathering 3/4, about 2 s left, waiting for web07 (probe, 5 s)'
        """
        words = f"gathering {self.done}/{self.total}"
        if self.eta is not None:
            words += f", about {self.eta:.0f} s left"
        named = ", ".join(
            f"{one.host} ({one.doing + ', ' if one.doing else ''}{one.seconds:.0f} s)" for one in self.waiting[:NAMED]
        )
        if named:
            words += f", waiting for {named}"
        if len(self.waiting) > NAMED:
            words += f" and {len(self.waiting) - NAMED} more"
        return words if len(words) <= width else words[: max(width - 1, 0)] + "…"


class Writer(Protocol):
    """What is used of pytest's terminal writer."""

    fullwidth: int
    _file: TextIO

    @property
    def width_of_current_line(self) -> int: ...
    def line(self, s: str = "") -> None: ...


# DECSC, DECRC and EL of ECMA-48 terminals: the cursor is put back to where it was, what follows it is erased.
_SAVE, _RESTORE, _ERASE = "\x1b7", "\x1b8", "\x1b[K"


class Progress:
    """Shows a :class:`Gathering` while the run waits. ``clock`` gives seconds."""

    def __init__(self, writer: Writer, *, overwrites: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer, self._overwrites, self._clock = writer, overwrites, clock
        self._began: float | None = None
        self._said = clock()
        self._drawn = False

    def show(self, gathering: Gathering) -> None:
        """Called again and again while the run waits."""
        now = self._clock()
        if self._began is None:
            self._began = now
        if self._overwrites:
            room = self._writer.fullwidth - self._writer.width_of_current_line - 2
            if now - self._began >= PATIENCE and room >= LEAST_WIDTH:
                # past the writer, which would count the columns
                self._put(f"{_SAVE} {gathering.line(room)}{_ERASE}{_RESTORE}")
                self._drawn = True
        elif now - self._said >= PLAIN_EVERY:
            self._said = now
            if self._writer.width_of_current_line:
                self._writer.line()
            self._writer.line(gathering.line(200))
            self._writer._file.flush()

    def done(self) -> None:
        """The run waits no longer: what stood there is wiped away."""
        if self._drawn:
            self._put(_ERASE)
        self._began, self._drawn = None, False

    def _put(self, text: str) -> None:
        self._writer._file.write(text)
        self._writer._file.flush()
