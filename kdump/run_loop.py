"""The order in which a run's hosts are judged: as they answer, so that nobody waits for a slow one.

Within what has answered the order of ``--hosts`` holds. All tests of a host are run one after the other.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Callable, Iterable, Iterator

import pytest

from .hosts import Target
from .looking import only_looks


class RunLoop:
    """pytest's loop over the tests, host by host. ``host_of`` tells whom a target waits for (None: for nobody),
    ``next_answer`` waits for a host and returns it, answered or given up; ``run`` runs a target's tests, given the test that
    will likely follow them; ``judged`` is told when they are done."""

    def __init__(
        self,
        target_of: Callable[[pytest.Item], Target | None],
        host_of: Callable[[Target], Target | None],
        next_answer: Callable[[bool], Target | None],
        judged: Callable[[Target], None],
        run: Callable[[list[pytest.Item], pytest.Item | None], None],
    ) -> None:
        self._target_of, self._host_of, self._next_answer, self._judged = target_of, host_of, next_answer, judged
        self._run = run

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        config = session.config
        elsewhere = hasattr(config, "workerinput") or config.pluginmanager.has_plugin("dsession")  # pytest-xdist
        if elsewhere or only_looks(config) or session.testsfailed:
            return None
        groups: dict[Target | None, list[pytest.Item]] = {}
        for item in session.items:
            groups.setdefault(self._target_of(item), []).append(item)
        queue = _Ready(groups, self._host_of)
        gc.freeze()  # the tests
        for current in queue.targets(self._next_answer):
            items = groups[current]
            left = session._setupstate  # a test of another file may have run last
            if left.stack:
                left.teardown_exact(items[0])
            self._run(items, queue.likely_next(groups))
            if current is not None:
                self._judged(current)
        gc.freeze()  # reports and findings, before pytest looks five times for cycles in them
        return True


class _Ready:
    """The targets that are still to be judged, and which of them can be."""

    def __init__(self, targets: Iterable[Target | None], host_of: Callable[[Target], Target | None]) -> None:
        self._targets = list(targets)
        self._left = dict.fromkeys(range(len(self._targets)))
        self._ready: list[int] = []
        self._waiting: dict[Target, list[int]] = {}
        for number, target in enumerate(self._targets):
            host = host_of(target) if target is not None else None
            if host is None:
                heapq.heappush(self._ready, number)
            else:
                self._waiting.setdefault(host, []).append(number)

    def targets(self, next_answer: Callable[[bool], Target | None]) -> Iterator[Target | None]:
        """All targets, each as soon as it can be judged; an answer is waited for only when there is none to judge."""
        while self._left:
            while self._waiting and (host := next_answer(not self._ready)) is not None:
                for number in self._waiting.pop(host, ()):
                    heapq.heappush(self._ready, number)
            number = heapq.heappop(self._ready)
            del self._left[number]
            yield self._targets[number]

    def likely_next(self, groups: dict[Target | None, list[pytest.Item]]) -> pytest.Item | None:
        """A test that is still to come, for what pytest may keep set up."""
        number = self._ready[0] if self._ready else next(iter(self._left), None)
        return groups[self._targets[number]][0] if number is not None else None
