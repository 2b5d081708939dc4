"""The pytest plugin: ``lab://NAME`` is a host, and no machine is left behind when pytest ends."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import pytest
import testinfra.backend


def pytest_configure(config: pytest.Config) -> None:
    testinfra.backend.BACKENDS["lab"] = "lab.backend.LabBackend"
    # SIGTERM ends pytest without its hooks; machines would still end with this process, but their overlays would stay
    # until the next start.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, frame: FrameType | None) -> None:
    _stop_machines()
    sys.exit(128 + number)


def pytest_unconfigure() -> None:
    _stop_machines()


def _stop_machines() -> None:
    backend = sys.modules.get("lab.backend")  # which nothing loads but a lab machine in --hosts
    if backend is not None:
        backend.MACHINES.stop()
