"""Waivers: present causes that somebody accepted until a day, from a YAML file (``--waivers=FILE``, kdump/waiver_file.py)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from .catalogue import declared_causes
from .report.model import Finding, HostState, Run, Waiver, WaiverReview, WaiverStanding
from .verdict import Verdict

EXPIRES_SOON = timedelta(days=14)
_ORDER = list(WaiverStanding)
_OF_ADDRESS = re.compile(r"\[(?=[^\]]*:)")  # the bracket of an IPv6 address, which to a glob begins a set of characters


class BadWaivers(ValueError):
    """The file cannot be used; ``str()`` is one sentence with the file's name and the line."""


@dataclass(frozen=True)
class Entry:
    """One entry of the file. ``line`` counts from 1."""

    cause: str
    hosts: tuple[str, ...]
    waiver: Waiver
    line: int

    def covers(self, host: str, groups: Collection[str]) -> bool:
        return any(_matches(pattern, host, groups) for pattern in self.hosts)


def _matches(pattern: str, host: str, groups: Collection[str]) -> bool:
    return pattern in groups or fnmatchcase(host, _OF_ADDRESS.sub("[[]", pattern))


def check(entries: Iterable[Entry], path: Path, causes: Collection[str], hosts: Mapping[str, Collection[str]]) -> None:
    """Refuse entries for unknown causes, and patterns that match none of ``hosts`` (name → groups): :class:`BadWaivers`."""
    groups = {group for of_host in hosts.values() for group in of_host}
    for entry in entries:
        if entry.cause not in causes:
            raise BadWaivers(f"{path}:{entry.line}: unknown cause {entry.cause!r}{meant(entry.cause, causes)}")
        for pattern in entry.hosts:
            if not any(_matches(pattern, host, of_host) for host, of_host in hosts.items()):
                raise BadWaivers(
                    f"{path}:{entry.line}: {pattern!r} matches no host and no group of this run "
                    f"({len(hosts)} host{'s' if len(hosts) != 1 else ''}){meant(pattern, [*hosts, *groups])}"
                )


def meant(word: str, known: Iterable[str]) -> str:
    """What a word that is not known was perhaps meant to be."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


@dataclass(frozen=True)
class Waivers:
    """The entries of a run, on its day."""

    entries: tuple[Entry, ...] = ()
    today: date = date.min

    def of(self, finding: Finding, groups: Collection[str]) -> Waiver | None:
        """The waiver of a present cause, the one that lasts longest; None where there is none, or it has expired."""
        if finding.verdict is not Verdict.PRESENT or finding.cause is None:
            return None
        valid = [entry.waiver for entry in self._covering(finding, groups) if entry.waiver.expires >= self.today]
        return max(valid, key=lambda waiver: waiver.expires, default=None)

    def applied(self, findings: Iterable[Finding], groups: Collection[str]) -> list[Finding]:
        """Findings of an earlier day, waived as they are by these entries and no others."""
        return [replace(finding, waiver=self.of(finding, groups)) for finding in findings]

    def _covering(self, finding: Finding, groups: Collection[str]) -> list[Entry]:
        cause = finding.cause.id if finding.cause else ""
        return [entry for entry in self.entries if entry.cause == cause and entry.covers(finding.host, groups)]

    def review(self, findings: Sequence[Finding], hosts: Mapping[str, HostState]) -> list[WaiverReview]:
        """How each entry stands after a run, those first that somebody must look at.

        An entry for hosts of other shards alone is left out: nothing of it can be said here.
        """
        entries = [entry for entry in self.entries if any(entry.covers(host.name, host.groups) for host in hosts.values())]
        present: dict[Entry, set[str]] = {entry: set() for entry in self.entries}
        unknown: set[Entry] = set()
        for finding in findings:
            if finding.verdict in (Verdict.PRESENT, Verdict.UNDETERMINED):
                groups = hosts[finding.host].groups if finding.host in hosts else ()
                for entry in self._covering(finding, groups):
                    if finding.verdict is Verdict.PRESENT:
                        present[entry].add(finding.host)
                    else:
                        unknown.add(entry)
        judged = {finding.cause.id for finding in findings if finding.cause}
        for entry in entries:
            if entry.cause not in judged or any(
                not host.reached and entry.covers(host.name, host.groups) for host in hosts.values()
            ):
                unknown.add(entry)
        reviews = [
            WaiverReview(
                entry.cause, entry.hosts, entry.waiver, tuple(sorted(present[entry])), self._standing(entry, present, unknown)
            )
            for entry in entries
        ]
        return _sorted(reviews)

    def _standing(self, entry: Entry, present: Mapping[Entry, set[str]], unknown: set[Entry]) -> WaiverStanding:
        if entry.waiver.expires < self.today:
            return WaiverStanding.EXPIRED
        if not present[entry] and entry not in unknown:
            return WaiverStanding.NOT_NEEDED
        if entry.waiver.expires - self.today <= EXPIRES_SOON:
            return WaiverStanding.EXPIRES_SOON
        return WaiverStanding.IN_FORCE


def joined(reviews: Iterable[Sequence[WaiverReview]]) -> list[WaiverReview]:
    """How the entries of one file stand after a run of which each shard reviewed them for its own hosts."""
    of_entry: dict[tuple[str, tuple[str, ...], Waiver], list[WaiverReview]] = {}
    for review in (one for of_shard in reviews for one in of_shard):
        of_entry.setdefault((review.cause, review.hosts, review.waiver), []).append(review)
    found = []
    for (cause, hosts, waiver), ones in of_entry.items():
        needed = [one.standing for one in ones if one.standing is not WaiverStanding.NOT_NEEDED]
        standing = min(needed, key=_ORDER.index, default=WaiverStanding.NOT_NEEDED)
        present_on = sorted({name for one in ones for name in one.present_on})
        found.append(WaiverReview(cause, hosts, waiver, tuple(present_on), standing))
    return _sorted(found)


def _sorted(reviews: Iterable[WaiverReview]) -> list[WaiverReview]:
    return sorted(reviews, key=lambda review: (_ORDER.index(review.standing), review.waiver.expires))


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--waivers",
        metavar="FILE",
        help="YAML file of accepted causes, shown but not counted (inventories/waivers.yml)",
    )


def of_run(config: pytest.Config, run: Run, hosts: Mapping[str, Collection[str]]) -> Waivers:
    """The waivers that the command line names, checked against the run's hosts (name → groups) and the suite's causes.

    Raises :class:`pytest.UsageError` with one sentence.
    """
    asked: str | None = config.option.waivers
    if asked is None:
        return Waivers()
    from .waiver_file import load  # YAML takes a while to load, and few runs need it

    path = config.invocation_params.dir / Path(asked).expanduser()
    today = run.info.started.date()
    try:
        entries = load(path, today)
        check(entries, path, declared_causes(config.rootpath, config.getini("testpaths")), hosts)
    except BadWaivers as problem:
        raise pytest.UsageError(f"--waivers: {problem}") from problem
    return Waivers(tuple(entries), today)
