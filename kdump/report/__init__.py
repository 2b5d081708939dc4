"""Reports: what a run found, for people (terminal, HTML) and for machines (JUnit, JSON).

The suite's plugin fills one :class:`.model.Run` and attaches a :class:`.model.Finding` as ``report.finding`` to the
report of each test; each report is a small pytest plugin that reads them.
"""

from __future__ import annotations

import pytest

from . import html as html_page
from . import json_report, junit, terminal
from .circumstances import describe
from .collector import Collector
from .model import Run

__all__ = ["add_options", "register"]


def add_options(group: pytest.OptionGroup) -> None:
    """The command line options of the reports."""
    json_report.add_options(group)


def register(config: pytest.Config, run: Run) -> None:
    """Register all reports that the command line asks for; call it first thing in ``pytest_configure``.

    ``run`` is filled while the session runs. Raises :class:`pytest.UsageError` when a report cannot be written where
    it should.
    """
    run.info = describe(config, run.info.started)
    plugins = config.pluginmanager
    plugins.register(Collector(config, run), "kdump-collector")
    plugins.register(terminal.Terminal(config, run), "kdump-terminal")
    plugins.register(junit.Properties(config), "kdump-junit")
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        if html_page.prepare(config):
            plugins.register(html_page.Page(config, run), "kdump-html")
        if json_report.prepare(config):
            plugins.register(json_report.Writer(config, run), "kdump-json")
