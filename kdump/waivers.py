"""Waivers: present causes that somebody accepted until a day, from a YAML file (``--waivers=FILE``).

The file is a list; all five fields of an entry are mandatory::

    - cause: strings-missing
      hosts: [db1, "web*", databases]       # names, globs, or groups of the Ansible inventory
      justification: dumps of these hosts are analysed elsewhere
      owner: storage team
      expires: 2027-01-31                   # the last day on which it counts, UTC; a year ahead at most
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from .catalogue import declared_causes
from .report.model import Finding, HostState, Run, Waiver, WaiverReview, WaiverStanding
from .verdict import Verdict

FIELDS = ("cause", "hosts", "justification", "owner", "expires")
EXPIRES_SOON = timedelta(days=14)
_MOST_BYTES = 1 << 20
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


def load(path: Path, today: date) -> list[Entry]:
    """The entries of a file. Raises :class:`BadWaivers`."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise BadWaivers(f"{path}: larger than {_MOST_BYTES} bytes: this is no waiver file")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise BadWaivers(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadWaivers(f"{path}: is not UTF-8 text: save it as UTF-8") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "nested too deeply"
        raise BadWaivers(f"{path}{where}: is not YAML: {problem}") from error
    if root is None:
        raise BadWaivers(f"{path}: holds no waiver: leave --waivers out, or write a list of entries")
    if not isinstance(root, yaml.SequenceNode):
        raise BadWaivers(f"{path}:1: must be a list of entries, each with {', '.join(FIELDS)}")
    return [_entry(node, path, today) for node in root.value]


def _entry(node: yaml.Node, path: Path, today: date) -> Entry:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        raise BadWaivers(f"{path}:{line}: an entry must have the fields {', '.join(FIELDS)}")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise BadWaivers(f"{where}: the name of a field must be one word")
        if key.value not in FIELDS:
            raise BadWaivers(f"{where}: unknown field {key.value!r}{_meant(str(key.value), FIELDS)}")
        if key.value in found:
            raise BadWaivers(f"{where}: the field {key.value!r} stands twice in one entry")
        found[key.value] = value
    missing = [name for name in FIELDS if name not in found]
    if missing:
        raise BadWaivers(f"{path}:{line}: the entry has no {' and no '.join(missing)}")
    expires = _date(found["expires"], path, today)
    waiver = Waiver(_text(found["justification"], "justification", path), _text(found["owner"], "owner", path), expires)
    return Entry(_text(found["cause"], "cause", path), _patterns(found["hosts"], path), waiver, line)


def _text(node: yaml.Node, name: str, path: Path) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null" or not node.value.strip():
        raise BadWaivers(f"{path}:{node.start_mark.line + 1}: {name} must be a text that is not empty")
    return " ".join(node.value.split())


def _patterns(node: yaml.Node, path: Path) -> tuple[str, ...]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not nodes:
        raise BadWaivers(f"{path}:{node.start_mark.line + 1}: hosts is empty: name hosts, globs or groups")
    return tuple(_text(one, "hosts", path) for one in nodes)


def _date(node: yaml.Node, path: Path, today: date) -> date:
    where = f"{path}:{node.start_mark.line + 1}"
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", node.value, re.ASCII):
            raise ValueError
        expires = date.fromisoformat(node.value)
    except (TypeError, ValueError):
        raise BadWaivers(f"{where}: expires must be a day that exists, as YYYY-MM-DD") from None
    latest = _a_year_after(today)
    if expires > latest:
        raise BadWaivers(f"{where}: expires {expires}, more than a year ahead: choose {latest} or earlier")
    return expires


def _a_year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:  # of 29 February
        return date(day.year + 1, 3, 1)


def check(entries: Iterable[Entry], path: Path, causes: Collection[str], hosts: Mapping[str, Collection[str]]) -> None:
    """Refuse entries for unknown causes, and patterns that match none of ``hosts`` (name → groups): :class:`BadWaivers`."""
    groups = {group for of_host in hosts.values() for group in of_host}
    for entry in entries:
        if entry.cause not in causes:
            raise BadWaivers(f"{path}:{entry.line}: unknown cause {entry.cause!r}{_meant(entry.cause, causes)}")
        for pattern in entry.hosts:
            if not any(_matches(pattern, host, of_host) for host, of_host in hosts.items()):
                raise BadWaivers(
                    f"{path}:{entry.line}: {pattern!r} matches no host and no group of this run "
                    f"({len(hosts)} hosts){_meant(pattern, [*hosts, *groups])}"
                )


def _meant(word: str, known: Iterable[str]) -> str:
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
        """How each entry stands after a run, those first that somebody must look at."""
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
        for entry in self.entries:
            if entry.cause not in judged or any(
                not host.reached and entry.covers(host.name, host.groups) for host in hosts.values()
            ):
                unknown.add(entry)
        reviews = [
            WaiverReview(
                entry.cause, entry.hosts, entry.waiver, tuple(sorted(present[entry])), self._standing(entry, present, unknown)
            )
            for entry in self.entries
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
    path = config.invocation_params.dir / Path(asked).expanduser()
    today = run.info.started.date()
    try:
        entries = load(path, today)
        check(entries, path, declared_causes(config.rootpath, config.getini("testpaths")), hosts)
    except BadWaivers as problem:
        raise pytest.UsageError(f"--waivers: {problem}") from problem
    return Waivers(tuple(entries), today)
