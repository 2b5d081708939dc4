"""pytest-xdist: all tests of a host go to one worker, which asks that host once.

xdist's own ``--dist=loadgroup`` does not keep groups together under pytest 9 (pytest-dev/pytest-xdist#1386), hence a
scheduler of our own by the hook that xdist has for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


class ByHost:
    """Registered where hosts are known. ``names``: gives their names."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        from xdist.scheduler.loadscope import LoadScopeScheduling

        # the longest first: db10 is not a test of db1
        names = sorted(self._names(), key=len, reverse=True)

        class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # untyped base
            def _split_scope(self, nodeid: str) -> str:
                return host_in(nodeid, names) or str(super()._split_scope(nodeid))

        return Scheduling(config, log)


def host_in(nodeid: str, names: Iterable[str]) -> str:
    """The host in a test's id: its first parameter. ``names``: the hosts', the longest first.

    >>> host_in("tests/test_x.py::test_y[db10-squashfs]", ["db10", "db1"])
    'db10'
    """
    parameters = nodeid.partition("[")[2].removesuffix("]")
    return next((name for name in names if parameters == name or parameters.startswith(f"{name}-")), "")
