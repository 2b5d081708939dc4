"""The pytest side of ``--crash=HOST``: consent, cycles, one fixture per step, and the durations at the end.

Without ``--crash`` nothing of this does anything: its tests are not even collected unless they are asked for by name,
and are then deselected.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ..connection.local import LocalBackend
from ..fact import Knowledge
from ..facts.storage import NETWORK_FILE_SYSTEMS
from ..hosts import BadHosts, Spec, Target, target_of, targets
from ..judge import EVIDENCE, SEEN
from ..looking import only_looks
from ..plugin import Audit
from ..report.model import Finding, State
from ..transcript import Reading, sanitise
from ..verdict import CouldNotDetermine, NotApplicable
from . import asks
from .machine import BOOT_ID, Clock, CommandConsole, Console, FileConsole, Remote
from .record import BadRecord, Record, Store
from .run import Crash, Result, Setting, new_record
from .steps import NEVER_WENT_DOWN, Step
from .trigger import EVERY_CPU, HELP, Trigger, parse

FOLDER, PREFIX = "qualification", "test_crash_"
NAME = "kdump-qualification"
COMMAND_DEADLINE = 60.0


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kdump qualification", "kdump qualification: really crash a host")
    group.addoption(
        "--crash",
        action="append",
        default=[],
        metavar="HOST",
        help="crash this host, to prove that it dumps; give its name exactly as --hosts shows it, once per host",
    )
    group.addoption(
        "--crash-anyway", action="store_true", help="crash although a cause is present, or unknown for want of a look"
    )
    group.addoption("--crash-trigger", default="sysrq-c", metavar="TRIGGER", help=HELP)
    group.addoption("--crash-cycles", type=int, default=1, metavar="N", help="crash N times in a row (1)")
    group.addoption("--crash-resume", action="store_true", help="look for the dump of the last crash; crash nothing")
    group.addoption("--crash-timeout", type=float, default=1800.0, metavar="S", help="seconds until it must be back (1800)")
    group.addoption(
        "--crash-dumps",
        action="append",
        default=[],
        metavar="HOST=[SPEC:]FOLDER",
        help="where the dumps of HOST can be seen: a folder here, or of another host (for NFS and SSH targets)",
    )
    group.addoption("--crash-vmlinux", metavar="PATH", help="open the dump here with crash and this vmlinux (with debuginfo)")
    group.addoption(
        "--console",
        action="append",
        default=[],
        metavar="HOST=FILE|COMMAND",
        help="the serial console of HOST: a file that it is logged to, or a command that prints it",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Qualification(config), NAME)


@dataclass(frozen=True)
class Cycle:
    """One crash of several: its number from 1 on, and how it is done."""

    number: int
    of: int
    trigger: Trigger

    def __str__(self) -> str:
        return f"{self.trigger}, {self.number} of {self.of}"


class Qualification:
    """Who may be crashed, how, and what came of it."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        self._config, self._option = config, option
        self.hosts = _consent(config)
        try:
            self._trigger = parse(option.crash_trigger)
        except ValueError as problem:
            raise pytest.UsageError(str(problem)) from problem
        if option.crash_cycles < 1 or option.crash_timeout <= 0:
            raise pytest.UsageError("--crash-cycles must be at least 1, and --crash-timeout more than 0 seconds")
        if not self.hosts and (option.console or option.crash_dumps or option.crash_resume):
            raise pytest.UsageError("--console, --crash-dumps and --crash-resume say how a crash is followed: add --crash=HOST")
        self._consoles = _per_host("--console", option.console, self.hosts)
        self._places = _per_host("--crash-dumps", option.crash_dumps, self.hosts)
        vmlinux = option.crash_vmlinux
        self._vmlinux = (config.invocation_params.dir / vmlinux) if vmlinux else None
        if self._vmlinux is not None and not self._vmlinux.is_file():
            raise pytest.UsageError(f"--crash-vmlinux={vmlinux}: there is no such file")
        self.store, self.clock = Store(), Clock()
        self.crashes: dict[tuple[Target, int], Crash] = {}
        self._findings: dict[str, list[Finding]] = {}
        self._cycles: list[Cycle] | None = None
        self._to_judge: dict[str, dict[str, str]] = {}
        """Of each host, the tests of causes and the file that each is in."""
        self._left_out = False
        self._locks: list[int] = []
        if self.hosts and not option.crash_resume and not only_looks(config):
            self._judge_the_causes_first()

    # -- which tests -----------------------------------------------------------------------------------------------

    def _judge_the_causes_first(self) -> None:
        """Whatever was selected: the causes that need no crash are judged before it."""
        tests = self._config.rootpath / "tests"
        # an argument that names one test of a file leaves the others to be judged
        given = [(self._config.invocation_params.dir / arg).resolve() for arg in self._config.args if "::" not in arg]
        if any(tests.is_relative_to(path) for path in given):
            return
        self._config.args[:0] = [str(path) for path in self._cause_files() if path not in given]

    def _cause_files(self) -> list[Path]:
        return sorted((self._config.rootpath / "tests").glob("test_*.py"))

    def pytest_ignore_collect(self, collection_path: Path, config: pytest.Config) -> bool | None:
        ours = collection_path.parent.name == FOLDER and collection_path.name.startswith(PREFIX)
        asked_for = self.hosts or any(FOLDER in arg for arg in config.args)
        return True if ours and not asked_for else None

    @pytest.hookimpl(tryfirst=True)  # as long as the hosts are those of all shards
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Say what is wrong with the names before anything else happens."""
        if not self.hosts:
            return
        known = {target.name: target for target in self._audit.targets}
        for name in self.hosts:
            if name not in known:
                raise pytest.UsageError(f"--crash={name}: --hosts selects no host of exactly this name ({_some(known)})")
            if not self._option.shard.holds(name):
                raise pytest.UsageError(
                    f"--crash={name}: it is not in part {self._option.shard} of the hosts: name it where its part is judged"
                )
            self._refuse_what_cannot_be_crashed(known[name])
            if not only_looks(self._config):
                self._lock(name)
            self._check_record(name)

    def _lock(self, name: str) -> None:
        try:
            self._locks.append(self.store.lock(name))
        except BadRecord as problem:
            raise pytest.UsageError(str(problem)) from problem

    @property
    def _audit(self) -> Audit:
        audit = self._config.pluginmanager.get_plugin("kdump-audit")
        assert isinstance(audit, Audit)
        return audit

    @staticmethod
    def _refuse_what_cannot_be_crashed(target: Target) -> None:
        backend = target.backend
        if isinstance(backend, LocalBackend):
            raise pytest.UsageError(f"--crash={target.name}: this is the machine that would have to watch it: crash it over SSH")
        if not hasattr(backend, "forget") or getattr(backend, "force_ansible", False):
            raise pytest.UsageError(f"--crash={target.name}: a {backend.NAME} host cannot be crashed and watched: use ssh")

    def _check_record(self, name: str) -> None:
        try:
            record = self.store.load(name)
        except BadRecord as problem:
            raise pytest.UsageError(str(problem)) from problem
        pending = record is not None and record.pending
        path = self.store.path(name)
        if self._option.crash_resume and not pending:
            raise pytest.UsageError(f"--crash-resume: no crash of {name} waits to be followed ({path}): leave the option out")
        if pending and not self._option.crash_resume and not only_looks(self._config):
            raise pytest.UsageError(
                f"an earlier crash of {name} was never followed to its end: add --crash-resume to look for its dump "
                f"without crashing again, or remove {path}"
            )

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "crash_cycle" in metafunc.fixturenames and len(self._all_cycles()) > 1:
            cycles = self._all_cycles()
            metafunc.parametrize("crash_cycle", cycles, ids=[f"crash{cycle.number}" for cycle in cycles], scope="session")

    def _all_cycles(self) -> list[Cycle]:
        if self._cycles is None:
            triggers = [self._trigger]
            if self._option.crash_resume or not self.hosts:
                self._cycles = [Cycle(1, 1, self._trigger)]
                return self._cycles
            if self._trigger.argument == EVERY_CPU and self._trigger.kind == "cpu":
                triggers = [replace(self._trigger, argument=str(number)) for number in self._processors()]
            triggers *= self._option.crash_cycles
            self._cycles = [Cycle(number, len(triggers), trigger) for number, trigger in enumerate(triggers, 1)]
        return self._cycles

    def _processors(self) -> tuple[int, ...]:
        """The processors of the one host, which has to be asked while the tests are collected."""
        if only_looks(self._config):
            return (0,)
        if len(self.hosts) != 1:
            raise pytest.UsageError(
                "--crash-trigger=sysrq-c:cpu=every is for one --crash host at a time: their processors differ"
            )
        (target,) = [target for target in self._audit.targets if target.name in self.hosts]
        try:
            return asks.Online.of(Remote(target.name, target.backend).ask([asks.Online], COMMAND_DEADLINE))
        except CouldNotDetermine as problem:
            raise pytest.UsageError(f"--crash-trigger=sysrq-c:cpu=every: {problem}") from problem

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Only hosts that were named, and those last: after the causes, crash by crash, step by step."""
        ours = [item for item in items if "crash_cycle" in getattr(item, "fixturenames", ())]
        causes = {str(path) for path in self._cause_files()}
        for item in items if self.hosts else ():  # before -k, --deselect and the like take some of them away
            if (target := target_of(item)) is not None and target.name in self.hosts and str(item.path) in causes:
                self._to_judge.setdefault(target.name, {})[item.nodeid] = item.path.name
        left = [item for item in ours if (target := target_of(item)) is None or target.name not in self.hosts]
        if left:
            self._left_out = len(left) == len(ours)
            config.hook.pytest_deselected(items=left)
            items[:] = [item for item in items if item not in left]
        yield
        if not self.hosts:
            return
        place = {item: number for number, item in enumerate(items)}
        last = {target_of(item): place[item] for item in items}

        def order(item: pytest.Item) -> tuple[int, int, int, int]:
            if "crash_cycle" not in getattr(item, "fixturenames", ()):
                return last[target_of(item)], 0, 0, place[item]
            cycle = item.callspec.params.get("crash_cycle")  # type: ignore[attr-defined]
            return last[target_of(item)], 1, cycle.number if cycle else 1, place[item]

        items.sort(key=order)

    # -- the crashes -----------------------------------------------------------------------------------------------

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        finding = getattr(report, "finding", None)
        if isinstance(finding, Finding):
            self._findings.setdefault(finding.host, []).append(finding)

    def crash(self, target: Target, cycle: Cycle | None) -> Crash:
        """The crash of a host, made when it is first asked for. A test that asks for a step by a way that no collection shows
        (``getfixturevalue``) comes here too: consent is looked for once more."""
        if target.name not in self.hosts:
            raise NotApplicable("not crashed: --crash does not name it")
        cycle = cycle or self._all_cycles()[0]
        key = (target, cycle.number)
        if key not in self.crashes:
            self._audit.wait_until_gathered(target)
            before = self.crashes.get((target, cycle.number - 1))
            if before is not None and before.record.pending:
                raise NotApplicable(f"not crashed: the host has not come back from crash {cycle.number - 1}")
            if before is not None and before.ended is not None and before.ended.dead_end is NEVER_WENT_DOWN:
                raise NotApplicable(f"not crashed: it never went down of crash {cycle.number - 1}, which may still be under way")
            self.crashes[key] = self._new(target, cycle)
        return self.crashes[key]

    def _new(self, target: Target, cycle: Cycle) -> Crash:
        record: Record | None = self.store.load(target.name) if self._option.crash_resume else None
        if self._option.crash_resume and (record is None or not record.pending):
            raise CouldNotDetermine("not crashed: the record of the crash to look for is gone since this run began")
        record = record or new_record(target.name, cycle.trigger, cycle.number)
        record.dumps = self._places.get(target.name, record.dumps)
        console = self._consoles.get(target.name)
        if console is None and hasattr(target.backend, "console_path"):
            console = str(target.backend.console_path())
        place, folder = self._place(target, record.dumps)
        host = Remote(target.name, target.backend)
        setting = Setting(
            trigger=cycle.trigger,
            limits=cycle.trigger.limits(self._option.crash_timeout),
            folder=folder,
            vmlinux=self._vmlinux,
            watchdogs={} if self._option.crash_resume else _hardware_timers(self._audit.knowledge(target)),
            nmi=getattr(target.backend, "inject_nmi", None),
            command=_run_here,
            own_boot_id=_own_boot_id(),
            preflight=lambda: self._objections(target) or _out_of_sight(self._audit.knowledge(target), target, place),
            here=None if place is not None and isinstance(place.backend, LocalBackend) else _this_machine(),
        )
        return Crash(
            record,
            setting,
            host=host,
            place=Remote(place.name, place.backend) if place is not None else host,
            console=lambda offset: _open_console(console, offset),
            store=self.store,
            clock=self.clock,
        )

    def _place(self, target: Target, given: str) -> tuple[Target | None, str]:
        if not given:
            return None, ""
        spec, _, rest = given.rpartition(":/")
        if given.startswith("/"):
            spec, rest = "local://", given[1:]
        try:
            (place,) = targets(
                [Spec(spec, "--crash-dumps")],
                connection=self._option.connection,
                ssh_config=self._option.ssh_config,
                ssh_identity_file=self._option.ssh_identity_file,
                sudo=self._option.sudo,
                sudo_user=self._option.sudo_user,
            )
        except (BadHosts, ValueError) as problem:
            raise CouldNotDetermine(f"--crash-dumps={target.name}={given}: give /FOLDER or SPEC:/FOLDER ({problem})") from problem
        return place, f"/{rest}"

    def _objections(self, target: Target) -> tuple[str, ...]:
        """Why a host is not crashed: causes that are present, not judged, or unknown for want of a look."""
        if self._option.crash_anyway:
            return ()
        findings = [finding for finding in self._findings.get(target.name, ()) if FOLDER not in finding.nodeid]
        fine = (State.ABSENT, State.NOT_APPLICABLE)
        bad = [finding for finding in findings if finding.state not in fine and not finding.crash_tells]
        found = [f"{finding.cause.id if finding.cause else finding.check} is {finding.state.value}" for finding in bad]
        tests, judged = self._to_judge.get(target.name, {}), {finding.nodeid for finding in findings}
        left = {file for nodeid, file in tests.items() if nodeid not in judged}
        left |= {path.name for path in self._cause_files()}.difference(tests.values())
        found += [f"{file} was not run on it, or not all of it" for file in sorted(left)]
        if not tests and not left:
            found.append(f"no cause was judged on it, for {self._config.rootpath / 'tests'} has none (--rootdir?)")
        return (*dict.fromkeys(found), "--crash-anyway crashes it all the same") if found else ()

    def _only_a_crash_tells(self, host: str) -> tuple[str, ...]:
        findings = [finding for finding in self._findings.get(host, ()) if finding.crash_tells]
        return tuple(dict.fromkeys(finding.cause.id if finding.cause else finding.check for finding in findings))

    # -- what is said at the end -----------------------------------------------------------------------------------

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._left_out:
            terminalreporter.write_line("no host was crashed: naming one by --crash=HOST, as --hosts shows it, is the consent")
        done = [crash for crash in self.crashes.values() if crash.record.fired is not None]
        if not done:
            return
        terminalreporter.section("crashes")
        for crash in done:
            for line in told(crash, self.store.path(crash.record.host)):
                terminalreporter.write_line(sanitise(line))
            if crash.proven and (told_now := ", ".join(self._only_a_crash_tells(crash.record.host))):
                terminalreporter.write_line(f"  what only a crash tells, this one told: {told_now} did not keep it from dumping")
        asked_for = len(self._all_cycles()) * len(self.hosts)
        if asked_for > 1:
            proven = sum(crash.proven for crash in done)
            left = f"; {asked_for - len(done)} more were asked for and not done" if len(done) < asked_for else ""
            terminalreporter.write_line(
                f"{proven} of {len(done)} crashes left a proven dump ({100 * proven / len(done):.0f} %){left}"
            )

    def pytest_unconfigure(self) -> None:
        for crash in self.crashes.values():
            crash.close()
        for lock in self._locks:
            os.close(lock)


def told(crash: Crash, path: Path) -> list[str]:
    """How a crash went, in lines."""
    record = crash.record
    outcome = "left a proven dump" if crash.proven else f"ended: {record.end}" if record.end else "is still followed"
    lines = [f"{record.host}: crash {record.cycle} by {record.trigger} {outcome}"]
    theirs, ours = (" · ".join(f"{name} {seconds:.0f} s" for name, seconds in one) for one in crash.durations())
    for label, words in (
        ("after the trigger", theirs),
        ("steps of this suite", ours),
        ("dump rate", crash.rate()),
        ("watchdog budget", crash.budget()),
    ):
        if words:
            lines.append(f"  {label}: {words}")
    lines.append(f"  record: {path}")
    return lines


def _consent(config: pytest.Config) -> tuple[str, ...]:
    """The hosts that the command line itself names. Raises :class:`pytest.UsageError` for any other way of naming one."""
    typed = [str(arg) for arg in config.invocation_params.args]
    named = {arg.partition("=")[2] for arg in typed if arg.startswith("--crash=")}
    named |= {after for arg, after in itertools.pairwise(typed) if arg == "--crash"}
    hosts = tuple(dict.fromkeys(config.option.crash))
    for host in hosts:
        if host not in named:
            raise pytest.UsageError(
                f"--crash={host} comes from the environment, a file or the configuration: type it on the command line"
            )
    workers = any(getattr(config.option, name, None) for name in ("numprocesses", "tx")) or hasattr(config, "workerinput")
    if hosts and workers:
        raise pytest.UsageError("--crash follows one host at a time from one process: leave out -n and --tx")
    return hosts


def _per_host(option: str, values: list[str], hosts: tuple[str, ...]) -> dict[str, str]:
    """``HOST=VALUE``; a host's name may hold an equals sign."""
    found = {}
    for value in values:
        host = next((host for host in hosts if value.startswith(f"{host}=")), None)
        rest = value[len(host) + 1 :] if host else ""
        if host is None or not rest:
            raise pytest.UsageError(f"{option}={value}: give HOST=VALUE with a HOST that --crash names")
        found[host] = rest
    return found


def _some(known: dict[str, Target]) -> str:
    names = list(known)
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _open_console(given: str | None, offset: int | None) -> Console | None:
    if given is None:
        return None
    path = Path(given).expanduser()
    if path.exists():
        return FileConsole(path, offset)
    if "/" in given and " " not in given:
        raise CouldNotDetermine(f"the console {given} is neither a file nor a command: not crashed")
    return CommandConsole(given)


def _this_machine() -> Remote:
    return Remote("this machine", LocalBackend("localhost"))


def _own_boot_id() -> str:
    try:
        return Path(BOOT_ID).read_text(encoding="ascii").strip()
    except OSError:  # no Linux
        return ""


def _run_here(command: str) -> str:
    """The operator's own trigger, run once on this machine."""
    with tempfile.TemporaryFile() as output:  # a pipe would last as long as whatever the command leaves running
        process = subprocess.Popen(
            ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            status = process.wait(COMMAND_DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"the command did not end in {COMMAND_DEADLINE:.0f} s"
        output.seek(0)
        words = sanitise(output.read().decode("utf-8", "replace").strip())[-200:]
    return f"the command ended with status {status}: {words}" if status else ""


def _out_of_sight(knowledge: Knowledge, target: Target, place: Target | None) -> tuple[str, ...]:
    """Why nobody would see the dump: it goes over the network, and the running host has not mounted the place."""
    goes, lies = knowledge.maybe("dump_target"), knowledge.maybe("dump_storage")
    if place is not None or not goes.known or goes.value.is_local:
        return ()
    if lies.known and lies.value.file_system in NETWORK_FILE_SYSTEMS:
        return ()
    where = f"{goes.value.kind} {goes.value.where}"
    return (f"its dumps go to {where}: say where they can be seen, --crash-dumps={target.name}=[SPEC:]/FOLDER",)


def _hardware_timers(knowledge: Knowledge) -> dict[str, float]:
    found: dict[str, float] = {}
    for dog in knowledge.maybe("watchdogs").otherwise(()):
        if dog.running and not dog.software:
            found[f"{dog.identity} ({dog.name})"] = float(dog.timeout)
    bmc = knowledge.maybe("bmc_watchdog").otherwise(None)
    if bmc is not None and bmc.running and bmc.resets:
        found["the BMC's timer"] = bmc.countdown
    return found


@pytest.fixture(scope="session")
def crash_cycle() -> Cycle | None:
    """Which of several crashes; None where there is one."""
    return None


def _step(step: Step) -> Any:
    def fixture(target: Target, crash_cycle: Cycle | None, request: pytest.FixtureRequest) -> Result:
        qualification = request.config.pluginmanager.get_plugin(NAME)
        assert isinstance(qualification, Qualification)
        try:
            crash = qualification.crash(target, crash_cycle)
            try:
                result = crash.reach(step)
            finally:
                story = Reading("the crash so far", "\n".join(told(crash, qualification.store.path(target.name))), "", 0)
                request.node.stash[EVIDENCE] = (story, *crash.evidence())
        except NotApplicable as reason:
            pytest.skip(str(reason))
        except BadRecord as problem:
            raise CouldNotDetermine(str(problem)) from problem
        request.node.stash[SEEN] = result.seen
        return result

    fixture.__doc__ = f"The step '{step}' of the crash of a host that --crash names; it is done now if it was not."
    named: Callable[..., Any] = pytest.fixture(name=f"crash_{step.name.lower()}")(fixture)
    return named


for _one in Step:
    globals()[f"crash_{_one.name.lower()}"] = _step(_one)
