"""What changed since the last complete run of the same selection. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from .model import Run, State

# A cause flaps on a host when it came or went at least this often in the runs that are looked at, this one included.
FLAPS = 3
RUNS_LOOKED_AT = 10

Verdicts = Mapping[tuple[str, str], State]
_SEEN_AS = {State.PRESENT: True, State.WAIVED: True, State.ABSENT: False, State.NOT_APPLICABLE: False}


@dataclass(frozen=True)
class PastRun:
    """A complete run of the past. ``verdicts``: the worst state per (host name, cause id); ``unreached``: hosts without."""

    started: datetime
    hosts: frozenset[str]
    verdicts: Verdicts
    unreached: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SeenDump:
    """A dump that was seen on a host. ``size`` in bytes; ``crash_time`` ISO 8601, ``panic``: empty when not known."""

    host: str
    path: str
    size: int
    crash_time: str = ""
    panic: str = ""

    @property
    def identity(self) -> tuple[str, str, int]:
        return self.host, self.path, self.size


@dataclass(frozen=True)
class Trend:
    """On how many hosts a cause was present (waived or not), run by run, the oldest first, this one last."""

    cause: str
    hosts: tuple[int, ...]


@dataclass(frozen=True)
class Changes:
    """Pairs are (host name, cause id). ``unseen``: was present, and could not be determined this time. ``gone``: hosts that
    are no longer asked; ``lost`` and ``back``: those that could be asked last time only, or this time only."""

    since: datetime
    newly_present: tuple[tuple[str, str], ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    unseen: tuple[tuple[str, str], ...] = ()
    flapping: tuple[tuple[str, str], ...] = ()
    first_seen: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    new_dumps: tuple[SeenDump, ...] = ()
    trends: tuple[Trend, ...] = ()

    def lines(self, most: int = 10) -> list[str]:
        """The changes as sentences; empty when nothing changed."""
        found = []
        pairs = {
            "newly present": self.newly_present,
            "fixed": self.fixed,
            "was present, could not be determined now": self.unseen,
            "flapping": self.flapping,
        }
        for words, changed in pairs.items():
            found += _some([f"{words}: {cause} on {host}" for host, cause in changed], most)
        found += _some([f"first seen: {host}" for host in self.first_seen], most)
        found += _some([f"gone: {host}" for host in self.gone], most)
        found += _some([f"no longer reached: {host}" for host in self.lost], most)
        found += _some([f"reached again: {host}" for host in self.back], most)
        for dump in self.new_dumps[:most]:
            when = f" of {dump.crash_time}" if dump.crash_time else ""
            found.append(f"new dump: {dump.path} on {dump.host}{when}: {dump.panic or 'no panic message was saved beside it'}")
        return found + _more(len(self.new_dumps), most)


def _some(lines: list[str], most: int) -> list[str]:
    return lines[:most] + _more(len(lines), most)


def _more(number: int, most: int) -> list[str]:
    return [f"… and {number - most} more"] if number > most else []


def compare(
    run: Run, past: Sequence[PastRun], dumps: Sequence[SeenDump] = (), known_dumps: frozenset[tuple[str, str, int]] = frozenset()
) -> Changes | None:
    """The changes of a run against the ``past``, the newest first; None without a past.

    A dump is new when its host was seen before without it: of hosts first seen, nothing is called new.
    """
    if not past:
        return None
    last, now = past[0], run.matrix()
    reached = {name for name, host in run.hosts.items() if host.reached}
    newly, fixed, unseen = [], [], []
    for pair, state in now.items():
        before = [was for one in past if (was := one.verdicts.get(pair))]
        # what could not be determined on some nights does not make a cause come or go
        was_present = next((known for one in before if (known := _SEEN_AS.get(one)) is not None), None)
        is_present = _SEEN_AS.get(state) if pair[0] in reached else None
        if is_present and before and not was_present:
            newly.append(pair)
        elif was_present and is_present is False:
            fixed.append(pair)
        elif was_present and is_present is None:
            unseen.append(pair)
    history = [{pair: state for pair, state in now.items() if pair[0] in reached}, *(one.verdicts for one in past)][
        :RUNS_LOOKED_AT
    ]
    names = set(run.hosts)
    known_hosts = frozenset().union(*(one.hosts for one in past))
    return Changes(
        since=last.started,
        newly_present=tuple(sorted(newly)),
        fixed=tuple(sorted(fixed)),
        unseen=tuple(sorted(unseen)),
        flapping=tuple(sorted(pair for pair in now if _flips(history, pair) >= FLAPS)),
        first_seen=tuple(sorted(names - known_hosts)),
        gone=tuple(sorted(last.hosts - names)),
        lost=tuple(sorted((names - reached) & (last.hosts - last.unreached))),
        back=tuple(sorted(reached & last.unreached)),
        new_dumps=tuple(one for one in dumps if one.identity not in known_dumps and one.host in known_hosts),
        trends=tuple(_trend(cause.id, history) for cause in run.causes()),
    )


def _flips(history: Sequence[Verdicts], pair: tuple[str, str]) -> int:
    seen = [known for verdicts in history if (state := verdicts.get(pair)) and (known := _SEEN_AS.get(state)) is not None]
    return sum(one != other for one, other in pairwise(seen))


def _trend(cause: str, history: Sequence[Verdicts]) -> Trend:
    counts = [sum(id == cause and bool(_SEEN_AS.get(state)) for (_, id), state in verdicts.items()) for verdicts in history]
    return Trend(cause, tuple(reversed(counts)))
