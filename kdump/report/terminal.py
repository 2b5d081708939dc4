"""The terminal: one letter per test, what is wrong with its fix, then one line per host."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

import pytest
from _pytest.terminal import TerminalReporter

from ..hosts import host_name
from ..looking import only_looks
from ..transcript import sanitise
from .collector import finding_of
from .comparison import Change, Comparison, comparisons
from .model import Answer, Finding, HostReport, Run, State, WaiverReview, WaiverStanding, causes_of

LETTERS = {
    State.PRESENT: ("P", {"red": True, "bold": True}),
    State.UNDETERMINED: ("?", {"yellow": True, "bold": True}),
    State.WAIVED: ("w", {"yellow": True}),
    State.ABSENT: (".", {"green": True}),
    State.NOT_APPLICABLE: ("n", {"light": True}),
}
LEGEND = ". absent  P present  ? could not determine  n not applicable"
# With more hosts than this, only those that are not healthy are named, and details are left to -v and the HTML report.
FEW = 40
SECTION = "findings"

Line = tuple[str, dict[str, bool]]


class Terminal:
    """Speaks of verdicts where pytest speaks of passed and failed. All host text in a run is sanitised already."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config, self._run = config, run
        self._names_width = 0
        self._named = ""
        self._a_fleet = False

    @property
    def _reporter(self) -> TerminalReporter | None:
        found: TerminalReporter | None = self._config.pluginmanager.get_plugin("terminalreporter")
        return found

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str | tuple[str, dict[str, bool]]] | None:
        finding = finding_of(report)
        if finding is None:
            return None
        letter, markup = LETTERS[finding.state]
        if self._a_fleet:
            return finding.state.value, "", ""
        return finding.state.value, letter, (finding.state.value.upper(), markup)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Lead the letters by the host's name instead of the file's, as long as that reads as a table."""
        reporter = self._reporter
        names = {host_name(item) for item in session.items}
        if reporter is None or reporter.verbosity > 0 or only_looks(self._config) or "" in names:
            return
        self._a_fleet = len(names) > FEW  # a line for each of its hosts stands at the end: letters would be thousands
        if self._a_fleet:
            reporter.showfspath = False
        elif names and reporter.verbosity == 0:
            self._names_width = max(map(len, names))
            reporter.showfspath = False
            reporter.write_line(LEGEND)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        finding = finding_of(report)
        if self._names_width and finding is not None and finding.host != self._named and self._reporter is not None:
            if self._reporter._tw.width_of_current_line:  # what was said while this host was waited for may have ended it
                self._reporter.write_line("")
            self._named = finding.host
            self._reporter.write(f"{finding.host:<{self._names_width}}  ")

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter, exitstatus: int) -> None:
        verbosity = terminalreporter.verbosity
        reports = self._run.reports()
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and not reports and not only_looks(self._config):
            terminalreporter.ensure_newline()
            terminalreporter.write_line("nothing was judged: no test is left of what -k, -m and the files select", yellow=True)
        if terminalreporter.no_summary or verbosity < -1 or not reports:
            return
        few = len(reports) <= FEW
        width = min(max(terminalreporter._tw.fullwidth, 60), 120)
        if verbosity > 0 or (verbosity == 0 and few):
            lines = [line for report in reports for line in details(report, width, reasons=verbosity > 0)]
            if lines:
                terminalreporter.section(SECTION)
                _write(terminalreporter, lines)
        if verbosity >= 0:
            terminalreporter.section("hosts")
        else:
            terminalreporter.ensure_newline()
        _write(terminalreporter, hosts(reports, everyone=few or verbosity > 0))
        if self._run.incomplete:
            terminalreporter.write_line(sanitise(self._run.incomplete), yellow=True, bold=True)
        for compared in comparisons(self._run) if verbosity >= 0 else ():
            terminalreporter.section("kernels")
            _write(terminalreporter, side_by_side(compared))
        _write(terminalreporter, waivers(self._run.waivers))
        if self._run.changes is not None:
            terminalreporter.section(f"since {self._run.changes.since:%Y-%m-%d %H:%M}")
            _write(terminalreporter, ((line, {}) for line in self._run.changes.lines() or ["nothing changed"]))


def hosts(reports: list[HostReport], *, everyone: bool) -> Iterator[Line]:
    """One line per host; the healthy ones in one line together unless ``everyone`` is to be named."""
    counted = () if everyone else (Answer.WAIVED, Answer.NOTHING_AGAINST, Answer.WOULD_DUMP, Answer.NOTHING_JUDGED)
    named = [report for report in reports if report.answer not in counted]
    width = max((len(report.host.name) for report in named), default=0)
    for report in named:
        yield f"{report.host.name:<{width}}  {report.summary}", _MARKUP[report.answer.state]
    for answer in counted:
        if number := sum(report.answer is answer for report in reports):
            noun = "host" if number == 1 else "hosts"
            yield f"{number} {'other ' if named else ''}{noun} {answer.of_hosts}", _MARKUP[answer.state]


def waivers(reviews: Iterable[WaiverReview]) -> Iterator[Line]:
    """The waivers that somebody must look at."""
    for review in reviews:
        if review.standing is not WaiverStanding.IN_FORCE:
            who = f"{review.cause} on {', '.join(review.hosts)} ({review.waiver.owner}, until {review.waiver.expires})"
            yield f"waiver: {who}: {review.standing.value}", LETTERS[State.UNDETERMINED][1]


def details(report: HostReport, width: int, *, reasons: bool) -> Iterator[Line]:
    """What was seen of a host's present causes with their fixes, and why others could not be determined.

    ``reasons``: also why causes are not applicable. A host that was not reached has nothing but its one line.
    """
    if not report.host.reached:
        return
    name = report.host.name
    for state in (State.PRESENT, State.WAIVED):
        found = [finding for finding in report.findings if finding.state is state]
        for cause in causes_of(found):
            yield f"{name}  {state.value.upper()}  {cause.id}  ({cause.stage.value}: {cause.severity.value})", LETTERS[state][1]
            for finding in found:
                if finding.cause == cause:
                    yield from _wrapped(finding.headline, width)
                    yield from _wrapped(finding.details, width)
                    if finding.waiver is not None:
                        waiver = finding.waiver
                        yield from _wrapped(f"waived until {waiver.expires} ({waiver.owner}): {waiver.justification}", width)
            yield from _wrapped(f"Fix: {' '.join(cause.remediation.split())}", width)
            yield from ((f"    {reference}", {}) for reference in cause.references[:1])
        for finding in found:
            if finding.cause is None:
                yield f"{name}  {state.value.upper()}  {finding.check}", LETTERS[state][1]
                yield from _wrapped(finding.seen, width)
    shown = (State.UNDETERMINED, State.NOT_APPLICABLE) if reasons else (State.UNDETERMINED,)
    for state in shown:
        for reason, subjects in _by_reason(report.findings, state).items():
            yield f"{name}  {state.value.upper()}  {', '.join(subjects)}", LETTERS[state][1]
            yield from _wrapped(reason, width)


def _by_reason(findings: Iterable[Finding], state: State) -> dict[str, list[str]]:
    grouped: dict[str, dict[str, None]] = {}
    for finding in findings:
        if finding.state is state:
            grouped.setdefault(finding.seen, {})[finding.cause.id if finding.cause else finding.check] = None
    return {reason: list(subjects) for reason, subjects in grouped.items()}


def _wrapped(text: str, width: int, most: int = 30) -> Iterator[Line]:
    lines = text.strip().split("\n") if text else []
    for line in lines[:most]:
        for row in textwrap.wrap(line, width - 4, break_on_hyphens=False, break_long_words=False) or [""]:
            yield f"    {row}", {}
    if len(lines) > most:
        yield f"    … {len(lines) - most} more lines: see the HTML report", {}


def side_by_side(compared: Comparison) -> Iterator[Line]:
    """A kernel and its baseline, cause by cause."""
    yield f"{compared.kernel} against {compared.baseline}: {compared.summary}", {"bold": True}
    width = max((len(row.cause) for row in compared.rows), default=0)
    column = max(len(state.value) for state in State)
    for row in compared.rows:
        cells = "  ".join(f"{state.value if state else '-':<{column}}" for state in (row.kernel, row.baseline))
        markup = (
            LETTERS[row.kernel][1] if row.kernel and row.change in (Change.NEW, Change.PERHAPS_NEW, Change.NEWLY_UNKNOWN) else {}
        )
        yield f"  {row.cause:<{width}}  {cells}  {row.change.value}".rstrip(), markup


_MARKUP = {state: {key: on for key, on in LETTERS[state][1].items() if key != "bold"} for state in State}


def complain(config: pytest.Config, sentence: str) -> None:
    """Say what went wrong with a report itself."""
    reporter: TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(sanitise(sentence), red=True)


def _write(reporter: TerminalReporter, lines: Iterable[Line]) -> None:
    for line, markup in lines:
        reporter.write_line(sanitise(line), **markup)
