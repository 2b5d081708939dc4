"""SIGTERM and SIGHUP end a run as Ctrl-C does: with its reports, which say that they are incomplete.

pytest leaves both to the system, which ends the process on the spot (pytest-dev/pytest#5243): a night that a scheduler stops, or
whose terminal is closed, would leave no page at all. Of Ctrl-C it names the line of Python that ran then, and how to see a
traceback: that is of use with --full-trace, to whom works on a test; others are told what stopped the run.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

import pytest

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked the run to end."""


class Stopping:
    """Registered in the process that writes the reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._before: dict[signal.Signals, Any] = {}

    def pytest_sessionstart(self) -> None:
        if threading.current_thread() is threading.main_thread():
            # nohup(1) ignores SIGHUP, and means it
            wanted = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler and not self._config.getoption("fulltrace"):
                wanted.append(signal.SIGINT)
            self._before = {one: signal.signal(one, self._stop) for one in wanted}

    def _stop(self, number: int, frame: FrameType | None) -> None:
        for one in self._before:  # the reports are being written: a second signal must not cost them
            signal.signal(one, signal.SIG_IGN)
        if number == signal.SIGINT:  # whoever presses Ctrl-C once more does not wait for the reports
            signal.signal(signal.SIGINT, signal.default_int_handler)
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if number == signal.SIGHUP and reporter is not None and reporter.isatty:
            # the terminal is gone: whatever is written there fails from now on
            reporter._tw._file = open(os.devnull, "w")  # noqa: SIM115  # until the process ends
        raise Stopped(f"stopped by {signal.Signals(number).name}")

    def pytest_unconfigure(self) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)
