"""The fleet's page: one HTML file with the matrix host × cause of thousands of hosts, and each host's findings.

Nothing but the rows in view is ever drawn; findings and evidence are kept compressed (gzip, base64) in chunks of hosts
and read when a host is opened. The page allows itself nothing by its content security policy but its own script and
style, known by their hashes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from ..cause import Cause
from . import excerpt
from .files import replace_file
from .markup import TEMPLATES, environment
from .model import Answer, ExitStatus, Finding, HostReport, Run, State, WaiverStanding
from .terminal import complain

NAME = "kdump-fleet.html"
# Hosts whose findings are compressed together: enough to share what they have in common, few enough to open at once.
CHUNK = 100
EVIDENCE = 4096  # characters per finding that is not green
# base64 characters of findings and evidence on one page; with the rows it stays below 5 MB for 1,000 hosts and
# below 15 MB for 10,000.
DETAILS_SMALL, DETAILS_LARGE, LARGE = 3_500_000, 9_500_000, 2000
_SHOWN_UNREACHED = 100

# One character per cause in a host's row; the script knows them by their place in this list.
_LETTERS = dict(zip(State, "PUWAN", strict=True))
_NOT_JUDGED = "."


@dataclass(frozen=True)
class Page:
    """The page's markup, and of how many hosts it has no evidence because it would have grown too large."""

    html: str
    without_evidence: int


def render(run: Run, notice: str = "") -> Page:
    """The page of a run. ``notice``: what a reader must know first, such as that the run is incomplete."""
    reports, causes = run.reports(), run.causes()
    matrix = run.matrix()
    groups = sorted({group for report in reports for group in report.host.groups})
    # the worst first: they keep their evidence when not all can
    order = sorted(range(len(reports)), key=lambda number: (list(Answer).index(reports[number].answer), number))
    reports = [reports[number] for number in order]
    room = DETAILS_SMALL if len(reports) <= LARGE else DETAILS_LARGE
    details, without_evidence = _details(reports, causes, room)
    rows = {
        "causes": [{"id": cause.id, "title": cause.title, "stage": cause.stage.value} for cause in causes],
        "states": [[state.value, state.slug, state.symbol, _LETTERS[state]] for state in State],
        "answers": [[answer.value, answer.state.slug, answer.state.symbol] for answer in Answer],
        "groups": groups,
        "chunk": CHUNK,
        "hosts": [
            [
                report.host.name,
                list(Answer).index(report.answer),
                "".join(_letter(report, matrix.get((report.host.name, cause.id))) for cause in causes),
                report.host.why_not_reached if not report.host.reached else _row_words(report),
                report.host.kernel_release,
                report.host.flavour,
                report.host.taken_at,
                [groups.index(group) for group in report.host.groups],
            ]
            for report in reports
        ],
    }
    ranked = [_ranked(cause, reports, matrix) for cause in causes]
    style, script = _style(), _script()
    html = (
        environment()
        .get_template("fleet.html")
        .render(
            run=run,
            notice=notice,
            answers=run.answers(),
            causes=ranked,
            trends={one.cause: one.hosts for one in run.changes.trends} if run.changes else {},
            ranking=sorted(ranked, key=lambda one: [-number for number in one.hosts.values()][:2]),
            explained=_embedded(
                [
                    {
                        "remediation": cause.remediation,
                        "severity": cause.severity.value,
                        "explanation": [" ".join(paragraph.split()) for paragraph in cause.explanation.split("\n\n")],
                        "references": list(cause.references),
                    }
                    for cause in causes
                ]
            ),
            unreached=[report.host for report in reports if not report.host.reached],
            shown_unreached=_SHOWN_UNREACHED,
            waivers=[review for review in run.waivers if review.standing is not WaiverStanding.IN_FORCE],
            waivers_in_force=sum(review.standing is WaiverStanding.IN_FORCE for review in run.waivers),
            total=len(reports),
            without_evidence=without_evidence,
            style=Markup(style),  # noqa: S704 -- a file of ours
            script=Markup(script),  # noqa: S704 -- a file of ours
            style_hash=_hash(style),
            script_hash=_hash(script),
            rows=_embedded(rows),
            details=details,
            groups=groups,
        )
    )
    return Page(html, without_evidence)


def _letter(report: HostReport, state: State | None) -> str:
    return _LETTERS[state] if state and report.host.reached else _NOT_JUDGED


def _row_words(report: HostReport) -> str:
    if first := report.first_failing or report.first_undetermined:
        return first.headline[:200]
    waived = (f"waived until {one.waiver.expires}: {one.headline}" for one in report.findings if one.waiver)
    return next(waived, "")[:200]


@dataclass(frozen=True)
class Ranked:
    """A cause, and the number of hosts in each state of it."""

    cause: Cause
    hosts: dict[State, int]


def _ranked(cause: Cause, reports: Sequence[HostReport], matrix: dict[tuple[str, str], State]) -> Ranked:
    hosts = dict.fromkeys(State, 0)
    for report in reports:
        state = matrix.get((report.host.name, cause.id))
        if state is not None and report.host.reached:
            hosts[state] += 1
    return Ranked(cause, hosts)


def _details(reports: Sequence[HostReport], causes: Sequence[Cause], room: int) -> tuple[list[str], int]:
    """Chunks of compressed findings, and the number of hosts whose evidence found no room.

    An eighth of the room is kept for findings of hosts without evidence, which are small.
    """
    chunks, without_evidence, used = [], 0, 0
    for start in range(0, len(reports), CHUNK):
        hosts = reports[start : start + CHUNK]
        packed = _packed(hosts, causes, evidence=used < room * 7 // 8)
        if used + len(packed) > room:
            packed = _packed(hosts, causes, evidence=False)
        if used >= room * 7 // 8 or used + len(packed) > room:
            without_evidence += sum(any(finding.evidence for finding in report.findings) for report in hosts)
        used += len(packed)
        chunks.append(packed)
    return chunks, without_evidence


def _packed(reports: Sequence[HostReport], causes: Sequence[Cause], *, evidence: bool) -> str:
    texts: dict[str, int] = {}

    def text(words: str) -> int:
        return texts.setdefault(words, len(texts))

    place = {cause.id: number for number, cause in enumerate(causes)}
    hosts = [
        [
            [
                place[finding.cause.id] if finding.cause else -1,
                finding.state.order,
                text(finding.check),
                text(finding.seen.strip()),
                text(_waived(finding)),
                [text(one) for one in _evidence(finding)] if evidence else [],
            ]
            for finding in sorted(report.findings, key=lambda finding: finding.state.order)
        ]
        if report.host.reached
        else []
        for report in reports
    ]
    data = json.dumps({"hosts": hosts, "texts": list(texts)}, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(data.encode("utf-8", "replace"), 9, mtime=0)).decode()


def _waived(finding: Finding) -> str:
    waiver = finding.waiver
    return f"{waiver.justification} ({waiver.owner}, until {waiver.expires})" if waiver else ""


def _evidence(finding: Finding) -> Iterator[str]:
    if finding.state in (State.ABSENT, State.NOT_APPLICABLE):
        return iter(())
    return (excerpt.render(one) for one in excerpt.excerpts(finding.evidence, EVIDENCE))


def _embedded(data: Any) -> Markup:
    """JSON inside a script element: no ``<`` that could end it, nor ``&``."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704


@cache
def _style() -> str:
    return (TEMPLATES / "colours.css").read_text(encoding="utf-8") + (TEMPLATES / "fleet.css").read_text(encoding="utf-8")


@cache
def _script() -> str:
    return (TEMPLATES / "fleet.js").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def beside(report: Path) -> Path:
    """Where the page goes: into the folder of the HTML report."""
    return report.with_name(NAME)


class Writer:
    """Writes the page when the session ends."""

    def __init__(self, run: Run, path: Path) -> None:
        self._run, self._path = run, path

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        try:
            replace_file(self._path, render(self._run, self._run.incomplete).html)
        except OSError as error:
            session.exitstatus = ExitStatus.INTERNAL
            complain(session.config, f"the fleet page could not be written to {self._path}: {error.strerror}")

    @pytest.hookimpl(wrapper=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Generator[None]:
        yield
        if self._path.is_file() and terminalreporter.verbosity >= 0:
            terminalreporter.write_sep("-", f"Generated fleet page: {self._path.resolve().as_uri()}")
