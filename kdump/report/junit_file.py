"""pytest's JUnit file, written as the other reports are: in one step, and a disk that is full costs that file alone.

pytest empties its file and then writes it, and what goes wrong there keeps every plugin behind it from its own report.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.junitxml import LogXML, xml_key

from .files import checked_path, in_place_of
from .junit_cases import Cases
from .model import ExitStatus
from .terminal import complain


class JunitFile(LogXML):
    """Takes the place of ``made``, pytest's own. ``cases``: what is put into the file when pytest has written it."""

    def __init__(self, config: pytest.Config, made: LogXML) -> None:
        super().__init__(
            made.logfile,
            made.prefix,
            made.suite_name,
            made.logging,
            made.report_duration,
            made.family,
            made.log_passing_tests,
        )
        self.cases: Cases | None = None
        self._config = config
        self._written = False

    def pytest_sessionfinish(self, session: pytest.Session) -> None:  # type: ignore[override]
        path = self.logfile
        try:
            with in_place_of(Path(path)) as file:
                self.logfile = str(file)
                super().pytest_sessionfinish()
                if self.cases is not None:
                    self.cases.put_into(file)
            self._written = True
        except OSError as error:
            session.exitstatus = ExitStatus.INTERNAL
            complain(self._config, f"the JUnit file could not be written to {path}: {error.strerror}")
        finally:
            self.logfile = path

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        if self._written:
            super().pytest_terminal_summary(terminalreporter, config)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """pytest's own plugin is there by now. Raises :class:`pytest.UsageError` when the file cannot be written."""
    made = config.stash.get(xml_key, None)
    if made is not None:
        checked_path(config, "--junitxml", made.logfile)
        config.pluginmanager.unregister(made)
        config.stash[xml_key] = JunitFile(config, made)
        config.pluginmanager.register(config.stash[xml_key])
