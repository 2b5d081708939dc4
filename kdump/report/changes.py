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


_NO_PANIC = "no panic message was saved beside it (--open-dumps reads it from the dump)"


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

    def __str__(self) -> str:
        when = f" of {self.crash_time}" if self.crash_time else ""
        return f"{self.path} on {self.host}{when}: {self.panic or _NO_PANIC}"


@dataclass(frozen=True)
class KnownDumps:
    """What earlier runs knew: the hosts whose dumps they could list, and the dumps by their identity."""

    listed: frozenset[str] = frozenset()
    seen: frozenset[tuple[str, str, int]] = frozenset()


NONE_KNOWN = KnownDumps()


@dataclass(frozen=True)
class Trend:
    """On how many hosts a cause was present (waived or not), run by run, the oldest first, this one last."""

    cause: str
    hosts: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Changes of one kind: how many, and in words."""

    words: str
    number: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Changes:
    """Pairs are (host name, cause id). ``newly_present``: was seen not to be. ``first_judged``: present on a host of earlier
    runs, none of which could judge it (the cause is new to the suite, or the host was never reached): nobody knows since when.
    ``inapplicable``: was present, and cannot exist there now, which nobody need have mended. ``unseen``: was present, and could
    not be determined this time. ``gone``: hosts that are no longer asked; ``lost`` and ``back``: those that could be asked last
    time only, or this time only."""

    since: datetime
    newly_present: tuple[tuple[str, str], ...] = ()
    first_judged: tuple[tuple[str, str], ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    inapplicable: tuple[tuple[str, str], ...] = ()
    unseen: tuple[tuple[str, str], ...] = ()
    flapping: tuple[tuple[str, str], ...] = ()
    first_seen: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    new_dumps: tuple[SeenDump, ...] = ()
    trends: tuple[Trend, ...] = ()

    @property
    def _of_causes(self) -> dict[str, tuple[tuple[str, str], ...]]:
        return {
            "newly present": self.newly_present,
            "present, judged for the first time": self.first_judged,
            "fixed": self.fixed,
            "was present, not applicable now": self.inapplicable,
            "was present, could not be determined now": self.unseen,
            "flapping": self.flapping,
        }

    @property
    def _of_hosts(self) -> dict[str, tuple[str, ...]]:
        return {"first seen": self.first_seen, "gone": self.gone, "no longer reached": self.lost, "reached again": self.back}

    def lines(self, most: int = 10) -> list[str]:
        """The changes as sentences; empty when nothing changed."""
        found = []
        for words, changed in self._of_causes.items():
            found += _some([f"{words}: {cause} on {host}" for host, cause in changed], most)
        for words, hosts in self._of_hosts.items():
            found += _some([f"{words}: {host}" for host in hosts], most)
        return found + _some([f"new dump: {one}" for one in self.new_dumps], most)

    def groups(self, most: int = 50) -> list[Group]:
        """The changes kind by kind, those of a cause in one line; empty when nothing changed."""
        found = []
        for words, changed in self._of_causes.items():
            hosts_of: dict[str, list[str]] = {}
            for host, cause in changed:
                hosts_of.setdefault(cause, []).append(host)
            lines = [f"{cause}: {_named(hosts, most)}" for cause, hosts in sorted(hosts_of.items(), key=lambda one: -len(one[1]))]
            found.append(Group(words, len(changed), tuple(lines)))
        for words, hosts in self._of_hosts.items():
            found.append(Group(words, len(hosts), (_named(hosts, most),)))
        found.append(Group("new dumps", len(self.new_dumps), tuple(_some([str(one) for one in self.new_dumps], most))))
        return [group for group in found if group.number]


def _named(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _some(lines: list[str], most: int) -> list[str]:
    return lines[:most] + _more(len(lines), most)


def _more(number: int, most: int) -> list[str]:
    return [f"… and {number - most} more"] if number > most else []


def compare(
    run: Run, past: Sequence[PastRun], dumps: Sequence[SeenDump] = (), known_dumps: KnownDumps = NONE_KNOWN
) -> Changes | None:
    """The changes of a run against the ``past``, the newest first; None without a past.

    A dump is new when its host's dumps were listed before, and it was not among them.
    """
    if not past:
        return None
    last, known_hosts = past[0], frozenset().union(*(one.hosts for one in past))
    judged = {finding.host for finding in run.findings}  # a run that was stopped knows nothing of the others
    reached = {name for name, host in run.hosts.items() if host.reached and name in judged}
    # the tests of a host that were not run any more might have found what the others did not
    partly = set(run.unfinished)
    now = {pair: state for pair, state in run.matrix().items() if pair[0] not in partly or _SEEN_AS.get(state)}
    newly: list[tuple[str, str]] = []
    first: list[tuple[str, str]] = []
    fixed: list[tuple[str, str]] = []
    inapplicable: list[tuple[str, str]] = []
    unseen: list[tuple[str, str]] = []
    for pair, state in now.items():
        # what could not be determined on some nights does not make a cause come or go
        before = (known for one in past if (was := one.verdicts.get(pair)) and (known := _SEEN_AS.get(was)) is not None)
        was_present = next(before, None)
        is_present = _SEEN_AS.get(state) if pair[0] in reached else None
        if is_present and was_present is False:
            newly.append(pair)
        elif is_present and was_present is None and pair[0] in known_hosts:
            first.append(pair)
        elif was_present and is_present is False:
            (fixed if state is State.ABSENT else inapplicable).append(pair)
        elif was_present and is_present is None:
            unseen.append(pair)
    history = [{pair: state for pair, state in now.items() if pair[0] in reached}, *(one.verdicts for one in past)][
        :RUNS_LOOKED_AT
    ]
    names = set(run.hosts)
    return Changes(
        since=last.started,
        newly_present=tuple(sorted(newly)),
        first_judged=tuple(sorted(first)),
        fixed=tuple(sorted(fixed)),
        inapplicable=tuple(sorted(inapplicable)),
        unseen=tuple(sorted(unseen)),
        flapping=tuple(sorted(pair for pair in now if _flips(history, pair) >= FLAPS)),
        first_seen=tuple(sorted(names - known_hosts)),
        gone=tuple(sorted(last.hosts - names)),
        lost=tuple(sorted((judged - reached) & (last.hosts - last.unreached))),
        back=tuple(sorted(reached & last.unreached)),
        new_dumps=tuple(one for one in dumps if one.identity not in known_dumps.seen and one.host in known_dumps.listed),
        trends=tuple(_trend(cause.id, history) for cause in run.causes()),
    )


def _flips(history: Sequence[Verdicts], pair: tuple[str, str]) -> int:
    seen = [known for verdicts in history if (state := verdicts.get(pair)) and (known := _SEEN_AS.get(state)) is not None]
    return sum(one != other for one, other in pairwise(seen))


def _trend(cause: str, history: Sequence[Verdicts]) -> Trend:
    counts = [sum(id == cause and bool(_SEEN_AS.get(state)) for (_, id), state in verdicts.items()) for verdicts in history]
    return Trend(cause, tuple(reversed(counts)))
