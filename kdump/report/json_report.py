"""The run as JSON, for machines. Its form is described by ``docs/report.schema.json``; ``version`` counts changes
that a reader must know of."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from . import excerpt
from .changes import Changes
from .comparison import Change, comparisons
from .files import checked_path, replace_file
from .model import ExitStatus, Finding, HostReport, Run
from .terminal import complain
from .wire import waiver_to_data

FORMAT = "kdump-acceptance-report"
VERSION = 1
EVIDENCE = 16384  # characters per finding


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--verdicts-json", metavar="FILE", help="write all verdicts with their evidence as JSON (docs/report.schema.json)"
    )


def prepare(config: pytest.Config) -> Path | None:
    """Where the report goes, if it is asked for. Raises :class:`pytest.UsageError` when it cannot be written."""
    return checked_path(config, "--verdicts-json", config.option.verdicts_json)


class Writer:
    """Writes the file when the session ends, in one step: a reader never sees half of it."""

    def __init__(self, run: Run, path: Path) -> None:
        self._run, self._path = run, path

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        text = json.dumps(as_data(self._run, int(session.exitstatus)), indent=1, ensure_ascii=False) + "\n"
        try:
            replace_file(self._path, text)
        except OSError as error:
            session.exitstatus = ExitStatus.INTERNAL
            complain(session.config, f"the verdicts could not be written to {self._path}: {error.strerror}")


def as_data(run: Run, exit_status: int) -> dict[str, Any]:
    """The run as dicts, lists, strings and numbers, in the form of the schema."""
    info = run.info
    return {
        "format": FORMAT,
        "version": VERSION,
        "run": {
            "started": info.started.isoformat(timespec="seconds"),
            "duration_seconds": round(info.duration, 3),
            "who": info.who,
            "suite_version": info.suite_version,
            "command_line": info.command_line,
            "options": dict(info.options),
            "exit_status": exit_status,
            "unfinished_hosts": list(run.unfinished),
            "failures_without_host": run.failures,
            "errors_without_host": run.errors,
        },
        "counts": {state.value: count for state, count in run.counts().items()},
        "causes": {
            cause.id: {
                "title": cause.title,
                "explanation": cause.explanation,
                "stage": cause.stage.value,
                "severity": cause.severity.value,
                "remediation": cause.remediation,
                "references": list(cause.references),
            }
            for cause in run.causes()
        },
        "hosts": [_host(report) for report in run.reports()],
        "comparisons": [
            {
                "kernel": one.kernel,
                "baseline": one.baseline,
                **{change.name.lower(): one.causes(change) for change in Change if change is not Change.SAME},
            }
            for one in comparisons(run)
        ],
        "waivers": [
            {
                "cause": review.cause,
                "hosts": list(review.hosts),
                **waiver_to_data(review.waiver),
                "present_on": list(review.present_on),
                "standing": review.standing.name.lower().replace("_", "-"),
            }
            for review in run.waivers
        ],
        "changes": run.changes and _changes(run.changes),
    }


def _host(report: HostReport) -> dict[str, Any]:
    first = report.first_failing
    return {
        "name": report.host.name,
        "answer": report.answer.value,
        "summary": report.summary,
        "reached": report.host.reached and bool(report.findings),
        "problem": report.host.problem or None,
        "taken_at": report.host.taken_at or None,
        "kernel_release": report.host.kernel_release or None,
        "flavour": report.host.flavour or None,
        "groups": list(report.host.groups),
        "first_failing": first.cause.id if first and first.cause else None,
        "findings": [_finding(finding) for finding in report.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    waiver = finding.waiver
    return {
        "cause": finding.cause.id if finding.cause else None,
        "check": finding.check,
        "test": finding.nodeid,
        "verdict": finding.verdict.value,
        "seen": finding.seen,
        "duration_seconds": round(finding.duration, 6),
        "waiver": waiver and waiver_to_data(waiver),
        "evidence": [
            {
                "command": one.command,
                "output": one.output,
                "errors": one.errors,
                "status": one.status,
                "lines_left_out": one.left_out,
            }
            for one in excerpt.excerpts(finding.evidence, EVIDENCE)
        ],
    }


def _changes(changes: Changes) -> dict[str, Any]:
    def pairs(found: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
        return [{"host": host, "cause": cause} for host, cause in found]

    return {
        "since": changes.since.isoformat(timespec="seconds"),
        "newly_present": pairs(changes.newly_present),
        "first_judged": pairs(changes.first_judged),
        "fixed": pairs(changes.fixed),
        "inapplicable": pairs(changes.inapplicable),
        "unseen": pairs(changes.unseen),
        "flapping": pairs(changes.flapping),
        "first_seen": list(changes.first_seen),
        "gone": list(changes.gone),
        "lost": list(changes.lost),
        "back": list(changes.back),
        "new_dumps": [asdict(dump) for dump in changes.new_dumps],
        "trends": {trend.cause: list(trend.hosts) for trend in changes.trends},
    }
