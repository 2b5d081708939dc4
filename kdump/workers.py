"""pytest-xdist: all tests of a host go to one worker, which asks that host once.

xdist's own ``--dist=loadgroup`` does not keep groups together under pytest 9 (pytest-dev/pytest-xdist#1386), hence a
scheduler of our own by the hook that xdist has for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from .cause import Cause
from .report.model import Finding
from .verdict import Verdict


class ByHost:
    """Registered where hosts are known. ``names``: gives their names; ``expect``: is told the number of tests of each."""

    def __init__(self, names: Callable[[], Iterable[str]], expect: Callable[[Counter[str]], None]) -> None:
        self._names, self._expect = names, expect

    def _longest_first(self) -> list[str]:
        """db10 is not a test of db1."""
        return sorted(self._names(), key=len, reverse=True)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        from xdist.scheduler.loadscope import LoadScopeScheduling

        names = self._longest_first()

        class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # untyped base
            def _split_scope(self, nodeid: str) -> str:
                return host_in(nodeid, names) or str(super()._split_scope(nodeid))

            def remove_node(self, node: Any) -> str | None:
                """A worker ended; when it died, the test that it died in is not tried again, and its other tests are.

                xdist 3.8 puts all that the worker ever had back into the queue. A worker that is then given what is done already
                has nothing to report, so that it is given nothing else, and the run never ends.
                """
                units = [unit for unit in self.assigned_work.pop(node).items() if not all(unit[1].values())]
                if not units:
                    return None
                crashed = next(nodeid for nodeid, done in units[0][1].items() if not done)
                units[0][1][crashed] = True
                self.workqueue.update({scope: unit for scope, unit in units if not all(unit.values())})
                for other in self.assigned_work:
                    self._reschedule(other)
                return str(crashed)

        return Scheduling(config, log)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """All workers collect the same; without them the controller would not know whom it waits for."""
        names = self._longest_first()
        expected = Counter(host_in(nodeid, names) for nodeid in ids)
        del expected[""]
        self._expect(expected)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """A worker died in a test: that is no verdict of its host, whose other tests go to another worker."""
        host = host_in(crashitem, self._longest_first())
        if host:
            check = crashitem.partition("[")[0].rpartition("::")[2].removeprefix("test_").replace("_", " ")
            words = "the worker died while it judged this: run again (was it killed for want of memory?)"
            report.finding = Finding(host, crashitem, None, check, Verdict.UNDETERMINED, words)


def with_causes(findings: Sequence[Finding]) -> list[Finding]:
    """The tests that workers died in, with the cause that they judge: of the same test on another host, or of its file. The
    controller has not collected them, and a cause whose test was lost must not look absent."""
    of_test = {finding.nodeid.partition("[")[0]: finding.cause for finding in findings if finding.cause}
    of_file = {test.partition("::")[0]: cause for test, cause in of_test.items()}

    def of(finding: Finding) -> Cause | None:
        test = finding.nodeid.partition("[")[0]
        return finding.cause or of_test.get(test) or of_file.get(test.partition("::")[0])

    return [finding if finding.cause else replace(finding, cause=of(finding)) for finding in findings]


def host_in(nodeid: str, names: Iterable[str]) -> str:
    """The host in a test's id: its first parameter. ``names``: the hosts', the longest first.

    >>> host_in("tests/test_x.py::test_y[db10-squashfs]", ["db10", "db1"])
    'db10'
    """
    parameters = nodeid.partition("[")[2].removesuffix("]")
    return next((name for name in names if parameters == name or parameters.startswith(f"{name}-")), "")
