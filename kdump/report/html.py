"""The HTML report: pytest-html's page, in the words of this suite. One file that can be mailed.

pytest-html 4.2 writes test ids, cells, extras and environment values as raw markup, keeps its rows as data from which
its script draws the table, and knows a row's outcome by a regular expression over the row's first cell. So:

- whatever we hand over comes from templates that escape by themselves, or is a constant;
- each cell is led by a comment that holds the cell's sort key (and pytest-html's own outcome word), which the regular
  expression finds and no reader sees;
- what pytest-html has no hook for (labels, order, the file's name) is set on its report data before it is drawn.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Generator
from enum import Enum
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any, Protocol

import markupsafe
import pytest
from pytest_html.basereport import BaseReport  # type: ignore[import-untyped]
from pytest_metadata.plugin import metadata_key  # type: ignore[import-untyped]

from .. import __version__
from ..cause import Cause
from ..transcript import sanitise
from ..verdict import Verdict
from . import comparison, excerpt, fleet_page
from .collector import finding_of
from .files import checked_path, replace_file
from .markup import environment
from .model import Answer, ExitStatus, Finding, HostState, Run, State
from .terminal import complain

DEFAULT = Path("reports") / "kdump-acceptance.html"
TITLE = "kdump acceptance report"
COLUMNS = ("verdict", "host", "stage", "cause", "seen")

# pytest-html's page takes 4 s to load with 5,000 rows and 20 s with 20,000: of larger runs it shows so much of what is not green.
MOST_ROWS = 3000
# Characters of evidence per row: enough for the configuration files and the journal's last words.
EVIDENCE = 8192
EVIDENCE_OF_GREEN = 3072
# Of more hosts than these, the page lists those that are not healthy, and leaves the matrix to the fleet's page.
MOST_HOSTS = 200
# With so few hosts, the matrix has room for the causes' titles beside their ids.
FEW_HOSTS = 6

# pytest-html's outcome, how the filter calls it, and how it is known to us
_LABELS = {
    "failed": "present",
    "error": "could not determine",
    "xfailed": "present, waived",
    "xpassed": "absent although waived",
    "passed": "absent",
    "skipped": "not applicable",
    "rerun": "repeated",
    "retried": "tried again",
}
_OUTCOMES = {
    State.PRESENT: "Failed",
    State.UNDETERMINED: "Error",
    State.WAIVED: "XFailed",
    State.ABSENT: "Passed",
    State.NOT_APPLICABLE: "Skipped",
}


class ReportData(Protocol):
    """What we use of pytest-html's own data."""

    title: str
    outcomes: dict[str, dict[str, Any]]

    def set_data(self, key: str, value: Any) -> None: ...


def prepare(config: pytest.Config) -> bool:
    """Give pytest-html its options before it reads them: a default file, and all in that one file.

    Returns whether there will be a report (pytest-html may be switched off). Raises :class:`pytest.UsageError` when
    the file cannot be written.
    """
    if not hasattr(config.option, "htmlpath"):
        return False
    asked = config.option.htmlpath
    path = Path(os.path.expandvars(asked)).expanduser() if asked else config.rootpath / DEFAULT
    config.option.htmlpath = str(path)
    config.option.self_contained_html = True
    checked_path(config, "--html", str(path))
    return True


def summary(run: Run, rows_left_out: int = 0) -> str:
    """The report's top as markup: the verdict first, then the hosts, then the matrix."""
    reports = run.reports()
    listed = reports
    if len(reports) > MOST_HOSTS:  # the worst first: not all need have room
        listed = [one for answer in Answer if answer is not Answer.WOULD_DUMP for one in reports if one.answer is answer]
    return (
        environment()
        .get_template("summary.html")
        .render(
            run=run,
            reports=reports,
            listed=listed[:MOST_HOSTS],
            fleet_page=fleet_page.NAME,
            answers=run.answers(),
            counts=run.counts(),
            causes=run.causes(),
            matrix=run.matrix(),
            comparisons=comparison.comparisons(run),
            few=len(reports) <= FEW_HOSTS,
            rows_left_out=rows_left_out,
            most_rows=MOST_ROWS,
        )
    )


def filters(run: Run) -> str:
    """The controls above the rows, and the page's script."""
    return environment().get_template("filters.html").render(run=run)


def details(finding: Finding) -> str:
    """An unfolded row as markup."""
    budget = EVIDENCE_OF_GREEN if finding.state in (State.ABSENT, State.NOT_APPLICABLE) else EVIDENCE
    cause = _of_cause(finding.cause, finding.verdict is Verdict.PRESENT) if finding.cause else None
    shown = [_of_reading(one) for one in excerpt.excerpts(finding.evidence, budget)]
    return (
        environment()
        .get_template("details.html")
        .render(finding=finding, cause=cause, evidence=markupsafe.Markup("").join(shown))
    )


# A page of 50 hosts has 1,750 rows, and what most of them unfold to was said of another host, too: made anew for each, it
# took 5 ms per host.


@lru_cache(256)
def _of_cause(cause: Cause, present: bool) -> markupsafe.Markup:
    return markupsafe.Markup(environment().get_template("cause.html").render(cause=cause, present=present))  # noqa: S704


@lru_cache(2048)
def _of_reading(one: excerpt.Excerpt) -> markupsafe.Markup:
    return markupsafe.escape(f"{excerpt.render(one)}\n")


def row(finding: Finding) -> list[str]:
    """The cells of a finding's row, in the order of :func:`header`."""
    cause = finding.cause
    stage = cause.stage if cause else None
    keys = {
        "verdict": str(finding.state.order),
        "host": finding.host,
        "stage": str(stage.order) if stage else "9",
        "cause": cause.id if cause else finding.check,
        "seen": finding.headline,
    }
    shown = environment().get_template("row.html").module
    cells = [_hidden("result", _OUTCOMES[finding.state]), _hidden("testId", finding.nodeid)]
    return cells + [_hidden(name, key) + str(getattr(shown, name)(finding)) for name, key in keys.items()]


def row_of_dead(host: HostState) -> list[str]:
    """The cells of the one row of a host that was not reached."""
    shown = environment().get_template("row.html").module
    cells = {
        "verdict": (str(State.UNDETERMINED.order), str(shown.dead(host))),  # type: ignore[attr-defined]
        "host": (host.name, f'<td class="col-host">{escape(host.name)}</td>'),
        "stage": ("", '<td class="col-stage">–</td>'),
        "cause": ("", '<td class="col-cause">all causes</td>'),
        "seen": (host.why_not_reached, str(shown.dead_seen(host))),  # type: ignore[attr-defined]
    }
    hidden = [_hidden("result", _OUTCOMES[State.UNDETERMINED]), _hidden("testId", host.name)]
    return hidden + [_hidden(name, key) + cell for name, (key, cell) in cells.items()]


def header() -> list[str]:
    """The table's header cells."""
    titles = {"verdict": "Verdict", "host": "Host", "stage": "Stage", "cause": "Cause", "seen": "What was seen"}
    shown = [f'<th class="sortable" scope="col" data-column-type="{name}">{titles[name]}</th>' for name in COLUMNS]
    return ["<!-- sortable -->", "<!-- sortable -->", *shown]


def _hidden(name: str, key: str) -> str:
    """What pytest-html's regular expressions look for, where no reader sees it."""
    return f'<!--<td class="col-{name}">{escape(" ".join(key.split()))}</td>-->'


class Row(Enum):
    """What a finding has in the table."""

    NONE = "none"
    OF_FINDING = "its own"
    OF_HOST = "one for the whole host"


class Page:
    """Hooks of pytest and pytest-html that make its page ours."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config, self._run = config, run
        self._dead: dict[str, str] = {}  # host: the test whose row stands for all of them
        self._rows: set[str] = set()  # of a very large run: the tests that have one
        self._selected = 0
        self._left_out = 0
        self._not_written = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Replace the environment, which lists what a CI server's variables hold, by what a reader needs."""
        asked = {sanitise(str(key)): sanitise(str(value)) for key, value in self._config.option.metadata}
        shown = self._config.stash[metadata_key]
        plugins = shown.get("Plugins", {})
        shown.clear()
        ours = {
            "kdump acceptance suite": __version__,
            "Controller": f"Python {platform.python_version()} on {platform.platform()}",
            "pytest": pytest.__version__,
            "Plugins": ", ".join(f"{name} {version}" for name, version in sorted(plugins.items())),
        }
        shown.update({escape(key): escape(value) for key, value in {**ours, **asked}.items()})

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """pytest-html empties its file and then writes it: neither a kill nor a full disk may cost the last page."""
        for plugin in self._pytest_html():
            plugin._write_report = self._write

    def _pytest_html(self) -> list[BaseReport]:
        return [plugin for plugin in self._config.pluginmanager.get_plugins() if isinstance(plugin, BaseReport)]

    def _write(self, text: str) -> None:
        try:
            replace_file(Path(self._config.option.htmlpath), text)
        except OSError as error:
            self._not_written = error.strerror or str(error)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """pytest-html writes its page in this hook."""
        yield
        if self._not_written:
            session.exitstatus = ExitStatus.INTERNAL
            path = self._config.option.htmlpath
            complain(self._config, f"the HTML report could not be written to {path}: {self._not_written}")
            for plugin in self._pytest_html():  # it would say that it was generated
                self._config.pluginmanager.unregister(plugin)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._selected = len(session.items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        finding = finding_of(report)
        if finding is not None and self._row(finding) is not Row.NONE:
            content = details(finding)
            report.extras = [  # type: ignore[attr-defined]
                {"name": "", "format_type": "html", "content": content, "mime_type": None, "extension": "html"}
            ]

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: ReportData) -> None:
        report.title = TITLE
        report.set_data("initialSort", "verdict")
        report.set_data("renderCollapsed", ["all"])
        theirs = dict(report.outcomes)
        report.outcomes.clear()  # to put them into our order, the worst first
        for outcome in sorted(theirs, key=lambda one: list(_LABELS).index(one) if one in _LABELS else len(_LABELS)):
            label = _LABELS.get(outcome, theirs[outcome]["label"])
            report.outcomes[outcome] = {**theirs[outcome], "label": label}

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        cells[:] = header()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: pytest.TestReport | pytest.CollectReport, cells: list[str]) -> None:
        if report.when in ("setup", "teardown") and report.passed and not report.sections:
            cells.clear()  # pytest-html would make a row of it, and leave that out at the end
            return
        finding = finding_of(report)
        if finding is None:
            cells[:] = _row_of_another(report, cells[0])
            return
        match self._row(finding):
            case Row.NONE:
                self._left_out += finding.host not in self._dead
                cells.clear()
            case Row.OF_HOST:
                cells[:] = row_of_dead(self._run.hosts[finding.host])
            case Row.OF_FINDING:
                cells[:] = row(finding)

    def shows(self, finding: Finding) -> bool:
        """Whether a finding has a row; if not, pytest-html need not hear of it. To be asked once per finding."""
        if self._row(finding) is not Row.NONE:
            return True
        self._left_out += finding.host not in self._dead
        return False

    def _row(self, finding: Finding) -> Row:
        """A dead host has one row, whatever the number of tests; of very large runs what is green is left out, and what comes
        after the first :data:`MOST_ROWS`."""
        wanted = self._wanted(finding)
        if wanted is Row.NONE or self._selected <= MOST_ROWS or finding.nodeid in self._rows:
            return wanted
        if len(self._rows) == MOST_ROWS:
            return Row.NONE
        self._rows.add(finding.nodeid)
        return wanted

    def _wanted(self, finding: Finding) -> Row:
        host = self._run.hosts.get(finding.host)
        if host is not None and not host.reached:
            first = self._dead.setdefault(finding.host, finding.nodeid)
            return Row.OF_HOST if first == finding.nodeid else Row.NONE
        if self._selected > MOST_ROWS and finding.state in (State.ABSENT, State.NOT_APPLICABLE):
            return Row.NONE
        return Row.OF_FINDING

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_html(self, report: pytest.TestReport | pytest.CollectReport, data: list[str]) -> None:
        """The details say what was seen; the log is for what a test printed, and for trouble of the suite itself."""
        finding = finding_of(report)
        longrepr = getattr(report, "longrepr", None)
        if finding is not None and (longrepr is None or isinstance(longrepr, str | tuple)):
            del data[: 1 if longrepr is not None and report.longreprtext else 0]
            if not report.sections:
                data.clear()

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str], summary: list[str]) -> None:
        prefix.append(globals()["summary"](self._run, self._left_out))
        summary.append(filters(self._run))


def _row_of_another(report: pytest.TestReport | pytest.CollectReport, result: str) -> list[str]:
    """The row of what is no finding: a file that cannot be collected, a test that is not about a host."""
    outcome = result.removeprefix('<td class="col-result">').removesuffix("</td>")
    words = f"{_LABELS.get(outcome.lower(), outcome)} ({outcome.lower()})"
    cells = {"verdict": words, "host": "–", "stage": "–", "cause": report.nodeid, "seen": "a test of no host"}
    state = {"failed": State.PRESENT, "error": State.UNDETERMINED, "passed": State.ABSENT}.get(
        outcome.lower(), State.NOT_APPLICABLE
    )
    keys = {name: str(state.order) if name == "verdict" else text for name, text in cells.items()}
    shown = [
        f'{_hidden(name, keys[name])}<td class="col-{name} state-{state.slug}">{escape(text)}</td>'
        for name, text in cells.items()
    ]
    return [_hidden("result", outcome), _hidden("testId", report.nodeid), *shown]
