"""The history's part in a run: it keeps each finished host, resumes what was cut off, and tells what changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..fact import Knowledge
from ..hosts import each_test, host_name
from ..looking import only_looks
from ..report.changes import RUNS_LOOKED_AT, SeenDump, compare
from ..report.model import ExitStatus, Finding, HostState, Run
from ..report.terminal import complain
from ..shard import OF_ALL
from ..waivers import Waivers
from .store import BadHistory, Store

NAME = "kdump-history"
DEFAULT = Path("reports") / "history.sqlite"
KEEP = 90  # runs of a selection
KEEP_TRANSCRIPTS = 7  # of these, the newest, with all that was read
_MOST_OF_DUMPS = 256 * 1024  # characters that are kept of a host's dumps; one takes two hundred


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption("--history", metavar="FILE", help=f"where finished hosts are kept ({DEFAULT})")
    group.addoption("--no-history", action="store_true", help="keep nothing of this run")
    group.addoption("--history-keep", type=int, default=KEEP, metavar="N", help=f"runs of the same selection to keep ({KEEP})")
    group.addoption("--resume", action="store_true", help="go on with the last unfinished run of this selection")


def register(config: pytest.Config, run: Run, waivers: Callable[[], Waivers]) -> None:
    """Register the history, if this run has one; ``waivers``: the run's, once it has begun. Raises :class:`pytest.UsageError`."""
    option = config.option
    if option.history_keep < 1:
        raise pytest.UsageError("--history-keep must be at least 1")
    if option.resume and option.no_history:
        raise pytest.UsageError("--resume needs the history: leave --no-history out")
    if not option.no_history and not only_looks(config):
        config.pluginmanager.register(History(config, run, waivers), NAME)


def selection_of(config: pytest.Config) -> str:
    """What is asked for, so that the runs of every night are known as the same: hosts, tests and where they come from."""
    option = config.option
    asked = {
        "hosts": option.hosts,
        "inventory": option.ansible_inventory,
        "limit": option.limit,
        "kernel": option.kernel or option.kernel_tree,
        "tests": sorted(str(one) for one in config.args) if config.args_source is not config.ArgsSource.TESTPATHS else [],
        "keyword": option.keyword,
        "markers": option.markexpr,
        "without": [*(option.deselect or ()), *(option.ignore or ()), *(option.ignore_glob or ())],
        "last failed": getattr(option, "lf", False),
    }
    return json.dumps({name: value for name, value in asked.items() if value}, sort_keys=True)


class History:
    """Keeps a run. Under pytest-xdist the controller begins and ends it, and each worker keeps the hosts it judged."""

    def __init__(self, config: pytest.Config, run: Run, waivers: Callable[[], Waivers]) -> None:
        self._config, self._run, self._waivers = config, run, waivers
        asked = config.option.history
        self._path = config.invocation_params.dir / Path(asked).expanduser() if asked else config.rootpath / DEFAULT
        self._worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self._selection, self._shard = selection_of(config), str(config.option.shard)
        self._store: Store | None = None
        self._id = 0
        self._resumed: dict[str, HostState] = {}
        self._resumed_tests: Iterable[str] = ()
        self._tests_of_resumed: Iterable[str] = ()
        self._broken = ""

    @pytest.hookimpl(trylast=True)  # not before the hosts are known to be usable
    def pytest_sessionstart(self) -> None:
        try:
            self._store = Store(self._path)
            if self._worker is not None:
                self._id = int(self._worker["kdump_run"])
                # as the controller knew them: a worker that takes another's place must collect the same tests
                self._resumed = dict.fromkeys(self._worker["kdump_resumed"], HostState(""))
            elif self._config.option.resume:
                self._resume(self._store)
            else:
                self._id = self._store.begin(self._run.info, self._selection, self._shard)
        except BadHistory as problem:
            raise pytest.UsageError(str(problem)) from problem

    def _resume(self, store: Store) -> None:
        last = next((one for one in store.runs(self._selection) if one.shard == self._shard), None)
        if last is None or last.complete:
            raise BadHistory(f"--resume: {store.path} has no unfinished run of this selection: leave --resume out")
        if last.is_running:
            raise BadHistory(f"--resume: run {last.id} is still under way (process {last.process.split()[1]}): wait for its end")
        if last.info.suite_version != self._run.info.suite_version:
            raise BadHistory(f"--resume: run {last.id} was begun by suite {last.info.suite_version}: begin anew without --resume")
        if (then := last.info.options.get(OF_ALL)) != (now := self._run.info.options.get(OF_ALL)):
            # joined with the other shards, it would lack hosts that nobody misses
            raise BadHistory(f"--resume: run {last.id} is a part of {then}, and these are {now}: begin anew without --resume")
        store.take_up(last)
        self._id = last.id
        self._waive_anew(store, last.id)
        kept = store.load(last)
        self._resumed = {name: host for name, host in kept.hosts.items() if name not in kept.unfinished}
        self._resumed_tests = last.tests if self._resumed else ()
        self._run.findings += kept.findings
        self._run.hosts.update(self._resumed)

    def _waive_anew(self, store: Store, run: int) -> None:
        """What was waived when a host was judged need not be so any more: the file, or the day, is another."""
        for host, findings, transcript, dumps in list(store.hosts(run)):
            waived = self._waivers().applied(findings, host.groups)
            if waived != findings:
                store.add_host(run, host, waived, transcript, dumps)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["kdump_run"] = self._id
        node.workerinput["kdump_resumed"] = list(self._resumed)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # after -k and the like
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        yield
        done = [item for item in items if host_name(item) in self._resumed] if self._resumed else []
        self._tests_of_resumed = _tests(done)
        if done:
            self._config.hook.pytest_deselected(items=done)
            items[:] = [item for item in items if host_name(item) not in self._resumed]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        names = dict.fromkeys(host_name(item) for item in session.items)
        names.pop("", None)
        if self._store is None or not (names or self._resumed):
            return
        self._run.hosts.update({name: host for name, host in self._resumed.items() if host.name})
        left = _tests(session.items)
        tests = self._resumed_tests or left
        if new := [test for test in [*left, *self._tests_of_resumed] if test not in tests]:
            raise pytest.UsageError(
                f"--resume: the hosts that are judged already were not asked {new[0]}: begin anew without --resume"
            )
        self._keep(lambda store: store.expect(self._id, [*self._resumed, *names], list(tests)))

    def pytest_kdump_host_finished(self, host: HostState, findings: Sequence[Finding], knowledge: Knowledge | None) -> None:
        dumps = seen_dumps(host.name, knowledge) if knowledge else None
        transcript = knowledge.transcript if knowledge else None
        self._keep(lambda store: store.add_host(self._id, host, findings, transcript, dumps))

    def _keep(self, what: Callable[[Store], object]) -> None:
        """A history that breaks must not cost the run its verdicts."""
        if self._store is not None and not self._broken:
            try:
                what(self._store)
            except BadHistory as problem:
                self._broken = str(problem)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """What changed is told by the reports, which are made in between; the exit status is known after them."""
        if self._worker is None:
            self._keep(self._compare)
            if self._broken:
                session.exitstatus = ExitStatus.INTERNAL
        yield
        if self._worker is None:
            self._keep(lambda store: store.finish(self._id, self._run.info.duration, int(session.exitstatus), self._run.waivers))
            most = self._config.option.history_keep
            self._keep(lambda store: store.prune(self._selection, self._shard, most, KEEP_TRANSCRIPTS))
        self._keep(lambda store: store.close())
        if self._broken:
            complain(self._config, f"this run is not wholly in the history: {self._broken}")

    def _compare(self, store: Store) -> None:
        past = store.past(self._selection, self._shard, self._id, RUNS_LOOKED_AT - 1)
        if past:
            self._run.changes = compare(self._run, past, store.seen_dumps(self._id), store.dumps(self._selection, self._id))


def _tests(items: Iterable[pytest.Item]) -> Iterable[str]:
    """What is asked, of whichever host."""
    return dict.fromkeys(item.nodeid.partition("[")[0] for item in each_test(items))


def seen_dumps(host: str, knowledge: Knowledge) -> list[SeenDump] | None:
    """The dumps that a host's facts know of; None where they could not be listed."""
    found = knowledge.maybe("dump_identities")
    if not found.known:
        return None
    seen: list[SeenDump] = []
    room = _MOST_OF_DUMPS
    for one in found.value:  # the newest first
        seen.append(SeenDump(host, one.path, one.size, one.crash_time.isoformat() if one.crash_time else "", one.panic or ""))
        room -= len(one.path) + len(seen[-1].panic) + 100
        if room < 0:
            return seen[:-1]
    return seen
