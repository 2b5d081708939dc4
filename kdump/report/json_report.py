"""The run as JSON, for machines. Its form is described by ``docs/report.schema.json``; ``version`` counts changes
that a reader must know of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from . import excerpt
from .model import ExitStatus, Finding, HostReport, Run
from .terminal import complain

FORMAT = "kdump-acceptance-report"
VERSION = 1
EVIDENCE = 16384  # characters per finding


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--verdicts-json", metavar="FILE", help="write all verdicts with their evidence as JSON (docs/report.schema.json)"
    )


def prepare(config: pytest.Config) -> bool:
    """Whether the report is asked for. Raises :class:`pytest.UsageError` when it cannot be written."""
    asked = getattr(config.option, "verdicts_json", None)
    if asked is None:
        return False
    path = _path(config)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise pytest.UsageError(f"--verdicts-json={asked}: cannot write there: {error.strerror}") from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise pytest.UsageError(f"--verdicts-json={asked}: cannot write there: name a file in a folder of yours")
    return True


def _path(config: pytest.Config) -> Path:
    return config.invocation_params.dir / Path(config.option.verdicts_json).expanduser()


class Writer:
    """Writes the file when the session ends, in one step: a reader never sees half of it."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._path = _path(config)
        self._run = run

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        text = json.dumps(as_data(self._run, int(session.exitstatus)), indent=1, ensure_ascii=False) + "\n"
        try:
            self._write(text)
        except OSError as error:
            session.exitstatus = ExitStatus.INTERNAL
            complain(session.config, f"the verdicts could not be written to {self._path}: {error.strerror}")

    def _write(self, text: str) -> None:
        if self._path.exists() and not self._path.is_file():  # a pipe or a terminal is not to be replaced
            self._path.write_text(text, encoding="utf-8")
            return
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self._path)


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
    }


def _host(report: HostReport) -> dict[str, Any]:
    first = report.first_failing
    return {
        "name": report.host.name,
        "answer": report.answer.value,
        "summary": report.summary,
        "reached": report.host.reached,
        "problem": report.host.problem or None,
        "taken_at": report.host.taken_at or None,
        "kernel_release": report.host.kernel_release or None,
        "flavour": report.host.flavour or None,
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
        "waiver": waiver
        and {"justification": waiver.justification, "owner": waiver.owner, "expires": waiver.expires.isoformat()},
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
