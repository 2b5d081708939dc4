"""The run for Prometheus: a file that node_exporter's textfile collector reads (``--prometheus=FILE.prom``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .files import checked_path, replace_file
from .model import Answer, ExitStatus, Run, State
from .terminal import complain

if TYPE_CHECKING:  # few runs write it, and it takes 7 ms to load
    from prometheus_client import Metric
    from prometheus_client.core import GaugeMetricFamily

PREFIX = "kdump_acceptance_"


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--prometheus", metavar="FILE", help="write the run's numbers for node_exporter's textfile collector (name it *.prom)"
    )


def prepare(config: pytest.Config) -> Path | None:
    """Where the file goes, if it is asked for. Raises :class:`pytest.UsageError` when it cannot be written."""
    return checked_path(config, "--prometheus", config.option.prometheus)


class Writer:
    """Writes the file when the session ends."""

    def __init__(self, run: Run, path: Path) -> None:
        self._run, self._path = run, path

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        try:
            replace_file(self._path, text(self._run, int(session.exitstatus)))
        except OSError as error:
            session.exitstatus = ExitStatus.INTERNAL
            complain(session.config, f"the metrics could not be written to {self._path}: {error.strerror}")


class _OfRun:
    def __init__(self, run: Run, exit_status: int) -> None:
        self._run, self._exit_status = run, exit_status

    def collect(self) -> Iterator[Metric]:
        run = self._run
        yield _gauge("run_start_time_seconds", "When the run started, Unix time.", value=run.info.started.timestamp())
        yield _gauge("run_duration_seconds", "How long it took.", value=run.info.duration)
        yield _gauge("run_exit_status", "Its exit status: 0 healthy, 1 present, 6 incomplete.", value=self._exit_status)
        reports = run.reports()
        answers = _gauge("hosts", "Number of hosts by answer.", labels=["answer"])
        counted = run.answers()
        for answer in Answer:
            answers.add_metric([answer.value], counted.get(answer, 0))
        yield answers
        causes = _gauge("cause_hosts", "Number of hosts by cause and state.", labels=["cause", "stage", "state"])
        matrix = run.matrix()
        for cause in run.causes():
            states = [matrix.get((report.host.name, cause.id)) for report in reports if report.host.reached]
            for state in State:
                causes.add_metric([cause.id, cause.stage.value, state.value], states.count(state))
        yield causes
        hosts = _gauge("host_answer", "1 for the answer that a host gave.", labels=["host", "answer"])
        present = _gauge(
            "cause_present", "1 for a cause that is present on a host.", labels=["host", "cause", "stage", "severity", "waived"]
        )
        for report in reports:
            hosts.add_metric([report.host.name, report.answer.value], 1)
            for cause in run.causes():
                found = matrix.get((report.host.name, cause.id))
                if found in (State.PRESENT, State.WAIVED):
                    waived = "true" if found is State.WAIVED else "false"
                    present.add_metric([report.host.name, cause.id, cause.stage.value, cause.severity.value, waived], 1)
        yield hosts
        yield present


def _gauge(name: str, documentation: str, labels: list[str] | None = None, value: float | None = None) -> GaugeMetricFamily:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(PREFIX + name, documentation, value=value, labels=labels)


def text(run: Run, exit_status: int) -> str:
    """The run in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_OfRun(run, exit_status))
    return generate_latest(registry).decode()
