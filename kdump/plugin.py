"""The pytest plugin: which hosts, one probe for all facts that the selected tests ask for, one finding per test."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from _pytest.scope import Scope
from testinfra.host import Host

from . import about_dumps, catalogue, connection, hookspec, kernels, report, shard, waivers, workers
from .cause import MARKER, SIGNATURE, Cause, cause_of
from .connection.settings import MIB, Settings
from .crew import room_for
from .fact import Knowledge
from .gather import Gatherer
from .history import plugin as history
from .hosts import DEFAULT_HOSTS, BadHosts, Spec, Target, each_test, specs, target_of, targets
from .inventory import Selections
from .judge import attach_finding, refuse_blind_runs
from .looking import only_looks
from .probe import script
from .progress import Progress, ReadingInventory, Told
from .report.circumstances import describe
from .report.files import checked_folder
from .report.model import ExitStatus, Finding, HostState, Run
from .run_loop import RunLoop
from .short_protocol import ShortProtocol
from .stopping import Stopping
from .transcript import Transcript, sanitise
from .verdict import CouldNotDetermine

FORKS = 512  # at most; how many it really are depends on how busy the controller is
PROBE_DEADLINE = 60.0  # s; what hangs is ended after 20 s by the probe itself (kdump/probe.py), the rest is for slow machines
_TO_SAY_SO = 5.0  # s before that, a probe that is not through says what it has
PROBE_CAP = 4 * MIB
NAMED = 3  # hosts in a note of the terminal's
LONGEST_DEADLINE = 86400  # s


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    group = parser.getgroup("kdump", "kdump acceptance suite")
    group.addoption(
        "--limit", metavar="PATTERN", help="of the hosts that --hosts takes from an Ansible inventory, only those that match"
    )
    group.addoption("--ssh-accept-new", action="store_true", help="accept and remember keys of hosts never seen before")
    group.addoption(
        "--connect-timeout", type=_seconds, metavar="S", help="seconds to connect (ssh_config's ConnectTimeout, else 10)"
    )
    group.addoption(
        "--probe-timeout",
        type=_seconds,
        default=PROBE_DEADLINE,
        metavar="S",
        help="seconds per host (60)",
    )
    group.addoption("--forks", type=int, default=FORKS, metavar="N", help=f"hosts asked at the same time, at most ({FORKS})")
    report.add_options(group, pluginmanager)
    waivers.add_options(group)
    history.add_options(group)
    shard.add_options(group)
    kernels.add_options(group)
    about_dumps.add_options(group)
    group.addoption("--record", metavar="DIR", help="save each host's transcript in DIR, for --hosts=recording://FILE")


def _seconds(text: str) -> float:
    """A deadline: seconds, up to a day."""
    with suppress(ValueError):
        if 0 < float(text) <= LONGEST_DEADLINE:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no deadline: give seconds, more than 0 and up to {LONGEST_DEADLINE}")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspec)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{SIGNATURE}: what the tests of a file look for")
    option = config.option
    if option.forks < 1:
        raise pytest.UsageError("--forks must be at least 1")
    refuse_blind_runs(config)
    for module in catalogue.modules():
        config.pluginmanager.register(module, module.__name__)
    connection.register()
    connection.settings.configure(
        Settings(
            connect_timeout=option.connect_timeout,
            accept_new=option.ssh_accept_new,
            ssh_config=option.ssh_config,
            identity_file=option.ssh_identity_file,
        )
    )
    run = Run(describe(config, datetime.now(UTC)))
    judged = kernels.Kernels(config)
    config.pluginmanager.register(judged, "kdump-kernels")
    audit = Audit(config, run, judged)
    config.pluginmanager.register(audit, "kdump-audit")
    config.pluginmanager.register(workers.ByHost(audit.names, audit.expect), "kdump-workers")
    if not hasattr(config, "workerinput") and not only_looks(config):
        config.pluginmanager.register(Stopping(config), "kdump-stopping")
    short = ShortProtocol(config, audit.knowledge)
    config.pluginmanager.register(short, "kdump-short-protocol")
    loop = RunLoop(target_of, audit.host_of, audit.next_answer, audit.forget, short.run)
    config.pluginmanager.register(loop, "kdump-run-loop")
    report.register(config, run)
    history.register(config, run, audit.waivers)


class Audit:
    """One run: its targets, its gathering, its findings."""

    def __init__(self, config: pytest.Config, run: Run, judged: kernels.Kernels) -> None:
        self._config, self._run, self._kernels = config, run, judged
        self._targets: list[Target] | None = None
        self._specs: list[Spec] = []
        self._selections = Selections()
        self._gatherer: Gatherer | None = None
        self._knowledge: dict[Target, Knowledge] = {}
        self._causes: dict[object, Cause | None] = {}  # by the file's node, or the class's in it
        self._notes: dict[str, str] = {}
        self._waivers = waivers.Waivers()
        self._progress: Progress | None = None
        self._left: Counter[Target] = Counter()  # tests that are still to be judged
        self._judged_of: Counter[Target] = Counter()  # targets of a host that are still to be judged
        self._found: dict[Target, list[Finding]] = {}
        self._expected: Counter[str] = Counter()  # tests per host of the run
        self._in_part: set[Target] = set()  # those for which tests of the suite were left out

    @property
    def targets(self) -> list[Target]:
        """The run's targets; raises :class:`pytest.UsageError` when ``--hosts`` is unusable."""
        if self._targets is None:
            option = self._config.option
            told: dict[str, Any] = getattr(self._config, "workerinput", {})  # by the controller of pytest-xdist
            try:
                self._specs = [Spec(*one) for one in told["kdump_hosts"]] if told else self._asked_for()
                self._progress = self._new_progress()
                with self._showing_progress() as show:
                    self._selections = Selections(
                        lambda seconds: show(ReadingInventory(seconds)), told.get("kdump_inventories", "")
                    )
                    self._targets = targets(
                        self._specs,
                        limit=option.limit,
                        selections=self._selections,
                        connection=option.connection,
                        ssh_config=option.ssh_config,
                        ssh_identity_file=option.ssh_identity_file,
                        sudo=option.sudo,
                        sudo_user=option.sudo_user,
                        ansible_inventory=option.ansible_inventory,
                        force_ansible=option.force_ansible,
                    )
            except BadHosts as problem:
                raise pytest.UsageError(str(problem)) from problem
        return self._targets

    def _asked_for(self) -> list[Spec]:
        hosts = self._config.option.hosts
        if hosts is None and self._kernels.need_no_host:
            return []
        return specs(DEFAULT_HOSTS if hosts is None else hosts, self._config.invocation_params.dir)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """No worker reads them again: a list of hosts may be a pipe, and a dynamic inventory answer otherwise."""
        node.workerinput["kdump_hosts"] = [tuple(spec) for spec in self._specs]
        node.workerinput["kdump_inventories"] = str(self._selections)

    def pytest_sessionstart(self) -> None:
        """Say what is wrong with ``--hosts`` and ``--waivers`` before anything else happens."""
        everyone = self.targets
        self._waivers = waivers.of_run(self._config, self._run, {target.name: target.groups for target in everyone})
        checked_folder(self._config, "--record", self._config.option.record)
        part = self._config.option.shard
        self._targets = [target for target in everyone if part.holds(target.name)]
        self._run.info = part.told(self._run.info, [target.name for target in everyone])
        if everyone and not self._targets:
            raise pytest.UsageError(f"--shard={part} holds none of the {len(everyone)} hosts: use fewer shards")
        for target in self.targets:
            ready = getattr(target.backend, "ready", None)
            if ready is not None and not only_looks(self._config):
                try:
                    ready()
                except RuntimeError as problem:
                    raise pytest.UsageError(f"{target.name}: {problem}") from problem

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """pytest puts together the tests that share a parameter of long life, which takes nearly as long as making them. Where
        no parameter but the host is such, by which they are sorted here, that is left out."""
        hook = session.config.hook.pytest_collection_modifyitems
        theirs = next(one for one in hook.get_hookimpls() if one.plugin is session._fixturemanager)
        sort = theirs.function
        theirs.function = lambda items: sort(items) if any(map(_shares_more, each_test(items))) else None  # type: ignore[misc]

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "target" in metafunc.fixturenames:
            chosen = self._kernels.targets_of(metafunc.fixturenames, self.targets)
            if chosen:
                names = [target.name for target in chosen]
                metafunc.parametrize("target", chosen, ids=names, indirect=True, scope="session")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Host by host in the order of ``--hosts``; per host in the order of a dump's life."""
        order = {target: number for number, target in enumerate([*self.targets, *self._kernels.targets(self.targets)])}

        def place(item: pytest.Item) -> tuple[int, int]:
            cause = self.cause(item)
            target = target_of(item)
            return order.get(target, len(order)) if target else -1, cause.stage.order if cause else -1

        items.sort(key=place)

    def _of_the_suite(self) -> set[Path]:
        """The files that judge a host as it runs: those right in the folders that pytest.ini names."""
        folders = [self._config.rootpath / name for name in self._config.getini("testpaths")]
        return {path for folder in folders for path in folder.glob("test_*.py")}

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        files = self._of_the_suite()
        self._in_part |= {target for item in items if item.path in files and (target := target_of(item))}

    def _selected_in_part(self, tests: Mapping[Target, Sequence[pytest.Item]]) -> None:
        """Whatever left tests out: -k, -m, --deselect, --lf, or files that were not named."""
        files = self._of_the_suite()
        modules = {target: {item.parent for item in items} for target, items in tests.items()}
        self._in_part |= {target for target, met in modules.items() if not files <= {one.path for one in met if one}}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if only_looks(self._config) or not session.items:
            return
        tests: dict[Target, list[pytest.Item]] = {}
        for item in session.items:
            if target := target_of(item):
                tests.setdefault(target, []).append(item)
        self._selected_in_part(tests)
        option = self._config.option
        dumps = about_dumps.AboutDumps(self._config)
        closures = {id(names): names for item in session.items if (names := getattr(item, "fixturenames", None))}
        wanted = dict.fromkeys(name for names in closures.values() for name in names)  # a test's are one list for all hosts
        facts = self._kernels.facts_of_hosts([*wanted, *dumps.asked_besides(wanted)])
        self._gatherer = Gatherer(
            script(facts, vmlinux=dumps.vmlinux.paths, most=option.probe_timeout - _TO_SAY_SO),
            forks=self._forks(),
            deadline=option.probe_timeout,
            cap=PROBE_CAP,
            record=Path(option.record) if option.record else None,
            complete=dumps.complete,
        )
        self._progress = self._new_progress()
        self._run.hosts = {target.name: HostState(target.name, groups=target.groups) for target in tests}
        self._left = Counter({target: len(items) for target, items in tests.items()})
        self._judged_of = Counter(host for target in tests if (host := self.host_of(target)))
        self._expected = Counter({target.name: number for target, number in self._left.items()})
        if not hasattr(self._config, "workerinput"):  # a worker of pytest-xdist asks only the hosts that it is given
            self._gatherer.start(self._kernels.hosts(tests))

    def _new_progress(self) -> Progress | None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        return Progress(reporter._tw, overwrites=reporter.isatty) if reporter is not None and reporter.verbosity >= 0 else None

    def names(self) -> list[str]:
        """The names of all targets, kernels that are judged on a host included."""
        return [target.name for target in dict.fromkeys([*self.targets, *self._kernels.targets(self.targets)])]

    def expect(self, expected: Counter[str]) -> None:
        """Under pytest-xdist: how many tests its workers will judge per host."""
        self._expected = expected
        groups = {target.name: target.groups for target in self.targets}
        for name in expected:
            self._run.hosts.setdefault(name, HostState(name, groups=groups.get(name, ())))

    def knowledge(self, target: Target) -> Knowledge:
        """What is known of a target. Raises :class:`CouldNotDetermine` when it could not be asked."""
        if target not in self._knowledge:
            if self._gatherer is None:
                raise CouldNotDetermine(f"{target.name}: nothing was gathered")
            try:
                knowledge = Knowledge(self._kernels.transcript(target, self._wait_for), target.kernel)
            except CouldNotDetermine as problem:
                self._run.hosts[target.name] = HostState(target.name, reached=False, problem=str(problem), groups=target.groups)
                raise
            self._run.hosts[target.name] = state_of(target, knowledge, in_part=target in self._in_part)
            self._knowledge[target] = knowledge
        return self._knowledge[target]

    def waivers(self) -> waivers.Waivers:
        """Those that the run was begun with."""
        return self._waivers

    def _forks(self) -> int:
        wanted: int = self._config.option.forks
        wanted = min(wanted, len(self.targets)) or 1
        room = room_for(wanted)
        if room < wanted:
            note = f"limited to {room} hosts at a time by RLIMIT_NOFILE: raise the limit of open files (ulimit -n)"
            self._notes[note] = "--forks"
        return room

    def forget(self, target: Target) -> None:
        """A target's tests are done: its facts are not needed any more, nor what its host said once that is true of all of it."""
        self._knowledge.pop(target, None)
        host = self.host_of(target)
        if host is not None and self._gatherer is not None:
            self._judged_of[host] -= 1
            if not self._judged_of[host]:
                self._gatherer.forget(host)

    def host_of(self, target: Target) -> Target | None:
        """The host that must have answered before a target can be judged; None where none is asked."""
        return next(iter(self._kernels.hosts([target])), None)

    def next_answer(self, wait: bool) -> Target | None:
        """A host that has answered or was given up since the last call; None when there is none and none is waited for."""
        assert self._gatherer is not None
        found = self._gatherer.next_done()
        if found is not None or not wait:
            return found
        with self._showing_progress() as show:
            return self._gatherer.next_done(show)

    def _wait_for(self, target: Target) -> Transcript:
        assert self._gatherer is not None
        self._gatherer.start([target])
        if self._gatherer.has_answered(target):
            return self._gatherer.transcript(target)
        with self._showing_progress() as show:
            return self._gatherer.transcript(target, show)

    @contextmanager
    def _showing_progress(self) -> Iterator[Callable[[Told], None]]:
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            try:
                yield self._progress.show if self._progress else lambda gathering: None
            finally:
                if self._progress:
                    self._progress.done()

    def wait_until_gathered(self, target: Target) -> None:
        """Until the probe of a target has ended, whatever came of it: nobody else uses its backend then."""
        if self._gatherer is not None:
            with suppress(CouldNotDetermine):
                self._gatherer.transcript(target)

    def cause(self, item: pytest.Item) -> Cause | None:
        """The cause whose file an item stands in; raises :class:`pytest.UsageError` when it is badly declared."""
        if item.parent not in self._causes:
            module = item.getparent(pytest.Module)
            mark = item.get_closest_marker(MARKER)
            try:
                self._causes[item.parent] = cause_of(module.obj, mark) if module is not None and mark is not None else None
            except ValueError as problem:
                raise pytest.UsageError(str(problem)) from problem
        return self._causes[item.parent]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        made = yield
        target = target_of(item)
        if target is not None and (call.when == "call" or (call.when == "setup" and not made.passed)):
            known = self._knowledge.get(target)
            readings = known.shown if known else {}
            found = attach_finding(made, call, item, self.cause(item), target, readings, self._waivers)
            self._run.findings.append(found)
            self._found.setdefault(target, []).append(found)
            self._left[target] -= 1
            if not self._left[target]:
                state = self._run.hosts[target.name]
                made.host_state = state  # type: ignore[attr-defined]  # goes to the controller of pytest-xdist
                self._config.hook.pytest_kdump_host_finished(host=state, findings=self._found.pop(target), knowledge=known)
                if hasattr(self._config, "workerinput"):  # whose tests pytest-xdist hands out, not the run's loop
                    self.forget(target)
        return made

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """What the run amounts to, before the history compares it and the reports tell it."""
        order = {target.name: number for number, target in enumerate(self.targets)}
        self._run.hosts = dict(sorted(self._run.hosts.items(), key=lambda one: order.get(one[0], len(order))))
        if self._config.pluginmanager.has_plugin("dsession"):  # of pytest-xdist
            self._run.findings[:] = workers.with_causes(self._run.findings)
        self._run.unfinished = self._unfinished()
        self._run.waivers = self._waivers.review(self._run.findings, self._run.hosts)
        self._run.compared = self._kernels.compared(self._run.hosts)
        if not only_looks(self._config):
            session.exitstatus = self._run.exit_status(int(session.exitstatus))
            if self._gatherer is not None and self._gatherer.not_recorded:
                session.exitstatus = ExitStatus.INTERNAL
        elif session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = ExitStatus.USAGE
        yield

    def _unfinished(self) -> list[str]:
        """Hosts of which not every test was judged: the run was stopped, or a worker died."""
        judged = Counter(finding.host for finding in self._run.findings)
        return [name for name in self._run.hosts if judged[name] < self._expected[name]]

    def pytest_unconfigure(self) -> None:
        if self._gatherer is not None:
            self._gatherer.stop()
        connection.close_all()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What ssh_config asks for and was not honoured, where sudo refused, whose clock is off: each sentence once."""
        for target in self._targets or ():
            for note in getattr(target.backend, "notes", ()):
                self._notes.setdefault(sanitise(str(note)), target.name)
        for note, name in self._notes.items():
            terminalreporter.write_line(f"note: {name}: {note}")
        if self._gatherer is None:
            return
        for name, words in self._gatherer.not_recorded.items():
            terminalreporter.write_line(f"its recording could not be written: {name}: {sanitise(words)}", red=True)
        refused: dict[str, list[str]] = {}
        for name, words in self._gatherer.without_sudo.items():
            refused.setdefault(words, []).append(name)
        for words, names in refused.items():
            line = f"note: judged as an ordinary user, because sudo refused: {_some(names)}: {sanitise(words)}"
            terminalreporter.write_line(line)
        clocks = [f"{name} ({seconds:+.0f} s)" for name, seconds in self._gatherer.clocks.items()]
        if clocks:
            terminalreporter.write_line(f"note: clocks that differ from this machine's: {_some(clocks)}")


def _shares_more(item: pytest.Item) -> bool:
    """Whether a test has a parameter, besides the host, that outlives it."""
    callspec = getattr(item, "callspec", None)
    scopes = callspec._arg2scope.items() if callspec else ()
    return any(scope is not Scope.Function for name, scope in scopes if name != "target")


def _some(names: list[str]) -> str:
    """The first few of them, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def state_of(target: Target, knowledge: Knowledge, *, in_part: bool) -> HostState:
    """How a target answered."""
    found = knowledge.maybe("flavour")
    return HostState(
        target.name,
        taken_at=knowledge.transcript.remarks.get("taken", ""),
        kernel_release=target.kernel or knowledge.maybe("kernel_release").otherwise(""),
        flavour=found.value.name if found.known else "",
        groups=target.groups,
        kernel_at_rest=bool(target.kernel),
        in_part=in_part and not target.kernel,
    )


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The host under test, as the suite knows it."""
    found: Target = request.param
    return found


@pytest.fixture(scope="session")
def host(target: Target) -> Host:
    """The host under test as testinfra's Host: for drafts, and for what must be interactive."""
    return target.host


@pytest.fixture(scope="session")
def knowledge(target: Target, request: pytest.FixtureRequest) -> Knowledge:
    """All facts of the host under test."""
    audit = request.config.pluginmanager.get_plugin("kdump-audit")
    assert isinstance(audit, Audit)
    return audit.knowledge(target)
