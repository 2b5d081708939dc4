"""Evidence cut to a size that a report can hold: head and tail of what was read, and how much was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..transcript import Reading, mask, sanitise

LINES = 40
COLUMNS = 400
_HEAD = 0.6  # the share of a long output that is shown from its beginning


@dataclass(frozen=True)
class Excerpt:
    """One reading, bounded, safe to show. ``left_out``: how many lines of output are missing in the middle."""

    command: str
    output: str
    errors: str
    status: int
    left_out: int


def excerpts(readings: Sequence[Reading], budget: int, lines: int = LINES) -> Iterator[Excerpt]:
    """The readings, at most ``lines`` lines each and about ``budget`` characters all together.

    Each reading gets an equal share of what is left, so that one long output does not hide the others.
    """
    for number, reading in enumerate(readings):
        share = max(budget, 0) // (len(readings) - number)
        made = _excerpt(reading, share, lines)
        budget -= len(made.command) + len(made.output) + len(made.errors)
        yield made


@lru_cache(2048)  # several tests of a host rest on the same readings, and many hosts say the same
def _excerpt(reading: Reading, share: int, lines: int) -> Excerpt:
    command = _clip(reading.command, COLUMNS)
    errors, _ = _shorten(reading.errors, share // 4 + 120, 8)
    output, left_out = _shorten(
        reading.text, max(share - len(command) - len(errors), 120), lines, comments=reading.command.startswith("cat /etc/")
    )
    return Excerpt(command, output, errors, reading.status, left_out)


def _shorten(text: str, share: int, lines: int, *, comments: bool = False) -> tuple[str, int]:
    """Comments go first: the settings of a file that distributions explain at length stand anywhere in it."""
    whole = text.split("\n") if text else []
    if (rows := _whole(whole, share, lines)) is not None:
        return "\n".join(rows), 0
    said = [line for line in whole if line and not line.lstrip().startswith("#")] if comments else whole
    left_out = len(whole) - len(said)
    if left_out and (rows := _whole(said, share, lines - 1)) is not None:
        return "\n".join([f"… {left_out} lines without a setting left out …", *rows]), left_out
    head = _fit(said[: max(int(lines * _HEAD), 1)], share * _HEAD)
    rest = said[len(head) :][-max(lines - len(head), 1) :]
    tail = _fit(rest[::-1], share * (1 - _HEAD))[::-1]
    left_out = len(whole) - len(head) - len(tail)
    middle = [f"… {left_out} line{'s' if left_out != 1 else ''} left out …"] if left_out else []
    return "\n".join([*head, *middle, *tail]), left_out


def _whole(text: list[str], share: int, lines: int) -> list[str] | None:
    if len(text) > lines:
        return None
    rows = [_clip(line, COLUMNS) for line in text]
    return rows if sum(map(len, rows)) + len(rows) <= share else None


def _fit(lines: Sequence[str], size: float) -> list[str]:
    kept: list[str] = []
    for line in lines:
        line = _clip(line, COLUMNS)
        size -= len(line) + 1
        if size < 0 and kept:
            break
        kept.append(line if size >= 0 else _clip(line, max(int(size + len(line)), 40)))
    return kept


def _clip(line: str, columns: int) -> str:
    # cut before cleaning: a line of a megabyte must not cost a megabyte of work
    line = _clean(line[: columns * 2])
    return line if len(line) <= columns else f"{line[:columns]}…"


@lru_cache(8192)  # most lines are said by many hosts, and shown for several tests
def _clean(line: str) -> str:
    return mask(sanitise(line))


def render(excerpt: Excerpt) -> str:
    """An excerpt as the transcript shows it."""
    return Reading(excerpt.command, excerpt.output, excerpt.errors, excerpt.status).render()
