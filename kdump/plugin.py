"""The pytest plugin: which hosts, one probe for all facts that the selected tests ask for, one finding per test."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from testinfra.host import Host

from . import catalogue, connection, report
from .cause import MARKER, SIGNATURE, Cause, cause_of
from .connection.settings import MIB, Settings
from .fact import Knowledge, facts_behind
from .gather import Gatherer
from .hosts import DEFAULT_HOSTS, BadHosts, Target, specs, targets
from .judge import attach_finding
from .probe import script
from .report.circumstances import describe
from .report.model import HostState, Run
from .transcript import sanitise
from .verdict import CouldNotDetermine

FORKS = 64  # more threads than this cost more in switching than they gain
PROBE_DEADLINE = 60.0  # s; what can hang inside the probe is bounded to 20 s, the rest is for slow machines
PROBE_CAP = 4 * MIB


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kdump", "kdump acceptance suite")
    group.addoption("--ssh-accept-new", action="store_true", help="accept and remember keys of hosts never seen before")
    group.addoption("--connect-timeout", type=float, default=10.0, metavar="S", help="seconds to connect (10)")
    group.addoption(
        "--probe-timeout",
        type=float,
        default=PROBE_DEADLINE,
        metavar="S",
        help="seconds per host (60)",
    )
    group.addoption("--forks", type=int, default=FORKS, metavar="N", help=f"hosts asked at the same time ({FORKS})")
    report.add_options(group)
    group.addoption("--record", metavar="DIR", help="save each host's transcript in DIR, for --hosts=recording://FILE")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{SIGNATURE}: what the tests of a file look for")
    option = config.option
    if option.forks < 1:
        raise pytest.UsageError("--forks must be at least 1")
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
    config.pluginmanager.register(Audit(config, run), "kdump-audit")
    report.register(config, run)


class Audit:
    """One run: its targets, its gathering, its findings."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config, self._run = config, run
        self._targets: list[Target] | None = None
        self._gatherer: Gatherer | None = None
        self._knowledge: dict[Target, Knowledge] = {}
        self._causes: dict[str, Cause | None] = {}
        self._notes: dict[str, str] = {}

    @property
    def targets(self) -> list[Target]:
        """The run's targets; raises :class:`pytest.UsageError` when ``--hosts`` is unusable."""
        if self._targets is None:
            option = self._config.option
            folder = self._config.invocation_params.dir
            try:
                self._targets = targets(
                    specs(DEFAULT_HOSTS if option.hosts is None else option.hosts, folder),
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

    def pytest_sessionstart(self) -> None:
        """Say what is wrong with ``--hosts`` before anything else happens."""
        for target in self.targets:
            ready = getattr(target.backend, "ready", None)
            if ready is not None and not self._config.option.collectonly:
                try:
                    ready()
                except RuntimeError as problem:
                    raise pytest.UsageError(f"{target.name}: {problem}") from problem

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "target" in metafunc.fixturenames:
            names = [target.name for target in self.targets]
            metafunc.parametrize("target", self.targets, ids=names, indirect=True, scope="session")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Host by host in the order of ``--hosts``; per host in the order of a dump's life."""
        order = {target: number for number, target in enumerate(self.targets)}

        def place(item: pytest.Item) -> tuple[int, int]:
            cause = self.cause(item)
            target = target_of(item)
            return order.get(target, len(order)) if target else -1, cause.stage.order if cause else -1

        items.sort(key=place)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self._config.option.collectonly or not session.items:
            return
        option = self._config.option
        wanted = dict.fromkeys(name for item in session.items for name in getattr(item, "fixturenames", ()))
        self._gatherer = Gatherer(
            script(facts_behind(list(wanted))),
            forks=option.forks,
            deadline=option.probe_timeout,
            cap=PROBE_CAP,
            record=Path(option.record) if option.record else None,
        )
        asked = dict.fromkeys(target for item in session.items if (target := target_of(item)))
        self._run.hosts = {target.name: HostState(target.name) for target in asked}
        self._gatherer.start(asked)

    def knowledge(self, target: Target) -> Knowledge:
        """What is known of a target. Raises :class:`CouldNotDetermine` when it could not be asked."""
        if target not in self._knowledge:
            if self._gatherer is None:
                raise CouldNotDetermine(f"{target.name}: nothing was gathered")
            try:
                knowledge = Knowledge(self._gatherer.transcript(target))
            except CouldNotDetermine as problem:
                self._run.hosts[target.name] = HostState(target.name, reached=False, problem=str(problem))
                raise
            self._run.hosts[target.name] = state_of(target, knowledge)
            self._knowledge[target] = knowledge
        return self._knowledge[target]

    def cause(self, item: pytest.Item) -> Cause | None:
        """The cause whose file an item stands in; raises :class:`pytest.UsageError` when it is badly declared."""
        module = item.getparent(pytest.Module)
        mark = item.get_closest_marker(MARKER)
        if module is None or mark is None:
            return None
        if module.nodeid not in self._causes:
            try:
                self._causes[module.nodeid] = cause_of(module.obj, mark)
            except ValueError as problem:
                raise pytest.UsageError(str(problem)) from problem
        return self._causes[module.nodeid]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        made = yield
        target = target_of(item)
        if target is not None and (call.when == "call" or (call.when == "setup" and not made.passed)):
            known = self._knowledge.get(target)
            found = attach_finding(made, call, item, self.cause(item), target, known.transcript if known else None)
            self._run.findings.append(found)
        return made

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self._config.option.collectonly:
            session.exitstatus = self._run.exit_status(int(session.exitstatus))

    def pytest_unconfigure(self) -> None:
        if self._gatherer is not None:
            self._gatherer.stop()
        connection.close_all()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What ssh_config asks for and was not honoured, each sentence once."""
        for target in self._targets or ():
            for note in getattr(target.backend, "notes", ()):
                self._notes.setdefault(sanitise(str(note)), target.name)
        for note, name in self._notes.items():
            terminalreporter.write_line(f"note: {name}: {note}")


def state_of(target: Target, knowledge: Knowledge) -> HostState:
    """How a target answered."""
    found = knowledge.maybe("flavour")
    return HostState(
        target.name,
        taken_at=knowledge.transcript.remarks.get("taken", ""),
        kernel_release=knowledge.maybe("kernel_release").otherwise(""),
        flavour=found.value.name if found.known else "",
    )


def target_of(item: pytest.Item) -> Target | None:
    """The target that an item is parametrized with, if any."""
    callspec = getattr(item, "callspec", None)
    found: Target | None = callspec.params.get("target") if callspec else None
    return found


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
