"""Reports: what a run found, for people (terminal, HTML) and for machines (JUnit, JSON).

The suite's plugin fills one :class:`.model.Run` and attaches a :class:`.model.Finding` as ``report.finding`` to the
report of each test; each report is a small pytest plugin that reads them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ..looking import only_looks
from . import fleet_page, heard, json_report, junit, junit_file, nagios, prometheus, terminal, tolerance
from . import html as html_page
from .circumstances import describe
from .collector import Collector
from .files import is_stream
from .model import Run

__all__ = ["add_options", "register"]


def add_options(group: pytest.OptionGroup, plugins: pytest.PytestPluginManager) -> None:
    """The command line options of the reports."""
    plugins.register(nagios)
    plugins.register(heard)
    plugins.register(junit_file)
    json_report.add_options(group)
    prometheus.add_options(group)
    tolerance.add_options(group)


def register(config: pytest.Config, run: Run) -> None:
    """Register all reports that the command line asks for; call it first thing in ``pytest_configure``.

    ``run`` is filled while the session runs. Raises :class:`pytest.UsageError` when a report cannot be written where
    it should.
    """
    run.info = describe(config, run.info.started)
    run.tolerance = config.option.allow_undetermined
    plugins = config.pluginmanager
    if config.option.nagios:
        if only_looks(config):  # testinfra calls that OK
            raise pytest.UsageError("--nagios tells what was judged: leave --collect-only and --fixtures out")
        nagios.take_over(config, run)
    plugins.register(Collector(config, run), "kdump-collector")
    plugins.register(terminal.Terminal(config, run), "kdump-terminal")
    plugins.register(junit.Properties(config), "kdump-junit")
    if only_looks(config):
        config.option.htmlpath = None  # or the last run's page would be replaced by an empty one
    elif not hasattr(config, "workerinput"):
        if html_page.prepare(config):
            plugins.register(html_page.Page(config, run), "kdump-html")
            if not is_stream(page := Path(config.option.htmlpath)):
                plugins.register(fleet_page.Writer(run, fleet_page.beside(page)), "kdump-fleet-page")
        if (path := json_report.prepare(config)) is not None:
            plugins.register(json_report.Writer(run, path), "kdump-json")
        if (path := prometheus.prepare(config)) is not None:
            plugins.register(prometheus.Writer(run, path), "kdump-prometheus")
