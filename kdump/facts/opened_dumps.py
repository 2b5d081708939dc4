"""What came out of dumps that were really opened (``--open-dumps``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..parsers.opened_dump import NO_PANIC
from ..verdict import CouldNotDetermine, NotApplicable
from .dumps import StoredDump

_NOT_ASKED = "not asked"


@dataclass(frozen=True)
class OpenedDump:
    """``by``: the tool, where, and with which vmlinux. ``outcome``: ``opened``, ``damaged``, or ``cannot`` be told;
    ``words`` say what came out, or why not."""

    path: str
    by: str
    outcome: str
    words: str

    @property
    def panic(self) -> str | None:
        """The panic message; None where none came out. ``Opened`` says it first, up to a semicolon."""
        said = self.words.partition("; task ")[0]
        return said if self.outcome == "opened" and said != NO_PANIC else None


def render(rows: Iterable[OpenedDump]) -> str:
    """The text that :func:`opened` reads."""
    lines = ((f"dump {row.path}", f"by {row.by}", f"{row.outcome} {row.words}".replace("\n", " ")) for row in rows)
    return "\n".join(line for row in lines for line in row)


def opened(text: str) -> tuple[OpenedDump, ...] | None:
    """The dumps that were opened; None where nobody asked for it.

    >>> opened("dump /var/crash/a/vmcore\\nby crash on the host with /v\\nopened task 1 sh")[0].outcome
    'opened'
    """
    if text == _NOT_ASKED:
        return None
    lines = text.split("\n") if text else []
    rows = []
    for path, by, said in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        outcome, _, words = said.partition(" ")
        if not path.startswith("dump ") or not by.startswith("by ") or outcome not in ("opened", "damaged", "cannot"):
            raise ValueError(f"no dump that was opened: {path[:60]!r}")
        rows.append(OpenedDump(path[5:], by[3:], outcome, words))
    return tuple(rows)


opened_dumps = fact("opened_dumps", "open_dumps", opened)


@derived
def dumps_that_do_not_open(opened_dumps: tuple[OpenedDump, ...] | None, maybe_dumps: Maybe[tuple[StoredDump, ...]]) -> list[str]:
    """A sentence for each dump that crash or drgn cannot read."""
    if opened_dumps is None:
        if maybe_dumps.known:
            raise NotApplicable("dumps are opened only where somebody asks for it with --open-dumps")
        _ = maybe_dumps.value
    if not opened_dumps:
        raise NotApplicable("no complete dump in one file has a matching vmlinux at hand: name one with --vmlinux")
    damaged = [f"{one.path}: {one.words} ({one.by})" for one in opened_dumps if one.outcome == "damaged"]
    if not damaged and (doubt := next((one for one in opened_dumps if one.outcome == "cannot"), None)):
        raise CouldNotDetermine(f"{doubt.path}: {doubt.words}" + (f" ({doubt.by})" if doubt.by else ""))
    return damaged
