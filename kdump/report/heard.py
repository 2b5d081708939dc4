"""A terminal that nobody hears any more (a log on a full disk, a closed pipe) costs the run neither its verdicts nor its reports.

pytest ends in its own fault then, with status 1: of this suite's that means that something is present. Here the run goes on,
and its status is that of a report that could not be written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import Any, TextIO

import pytest

from .model import ExitStatus


class Heard:
    """A text file that loses what cannot be written. ``problem``: why, empty as long as all was."""

    def __init__(self, file: TextIO) -> None:
        self._file, self.problem = file, ""

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.problem = error.strerror or str(error)
        # what is still buffered would fail again, at last when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not config.option.nagios:
        reporter._tw._file = Heard(reporter._tw._file)


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int | None, int | None]:
    status = yield
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    file = reporter._tw._file if reporter is not None else None
    if isinstance(file, Heard):
        file.flush()
        if file.problem:
            print(f"the terminal's output could not be written: {file.problem}", file=sys.stderr)
            return ExitStatus.INTERNAL
    return status
