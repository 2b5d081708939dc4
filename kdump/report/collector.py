"""Completes what the suite's plugin gathers into a run."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from . import wire
from .model import Finding, HostState, Run

_FINDING, _HOST = "kdump_finding", "kdump_host"


def finding_of(report: object) -> Finding | None:
    """The finding on a test's report, if it has one."""
    found = getattr(report, "finding", None)
    return found if isinstance(found, Finding) else None


class Collector:
    """Completes the session's :class:`Run`: failures that are not about a host, the duration, and the findings that
    other processes made (pytest's report serialisation carries them to the controller)."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config, self._run = config, run
        self._clock = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        finding = finding_of(report)
        if finding is not None:
            if hasattr(report, "node"):  # made by a worker of pytest-xdist
                self._run.findings.append(finding)
                host = getattr(report, "host_state", None) or self._run.hosts.get(finding.host)
                self._run.hosts[finding.host] = host or HostState(finding.host)
        elif report.failed and report.when == "call":
            self._run.failures += 1
        elif report.failed:
            self._run.errors += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._run.errors += report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._run.info = replace(self._run.info, duration=time.monotonic() - self._clock)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self, report: Any) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
        finding = finding_of(report)
        if finding is None:
            return (yield)
        host = getattr(report, "host_state", None)
        report.finding = report.host_state = None
        try:
            data = yield
        finally:
            report.finding, report.host_state = finding, host
        if data is not None:
            data[_FINDING] = wire.to_data(finding)
            if host is not None:
                data[_HOST] = wire.host_to_data(host)
        return data

    @pytest.hookimpl(wrapper=True)
    def pytest_report_from_serializable(self, data: dict[str, Any]) -> Generator[None, Any, Any]:
        carried, host = data.pop(_FINDING, None), data.pop(_HOST, None)
        report = yield
        if carried is not None and report is not None:
            report.finding = wire.from_data(carried)
            report.host_state = wire.host_from_data(host) if host else None
        return report
