"""``--kernel=RELEASE``, ``--kernel-tree=DIR``, ``--baseline=RELEASE``: kernels judged before they run.

An installed kernel on a host is a target of its own, called RELEASE@HOST: the same tests, one row per kernel. What is
asked about it goes into the host's one probe. A kernel in a folder of this machine (an unpacked package, a build tree) is
read by the same script, run here with another root, and its readings are laid over those of the host, if one is named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from testinfra.backend.base import BaseBackend
from testinfra.host import Host

from .connection import execute
from .connection.errors import ConnectionProblem
from .connection.local import LocalBackend
from .connection.settings import MIB
from .fact import CATALOGUE, MAYBE, UID, Derived, Fact, facts_behind, kernel_release, of_kernels
from .gather import COMMAND
from .hosts import Target
from .probe import script
from .transcript import NotATranscript, Transcript
from .verdict import CouldNotDetermine

DEADLINE = 60.0  # s, to read a folder of this machine
CAP = 4 * MIB

_RELEASES = Fact("kernel_releases", "kernel_releases", str.split)


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption("--kernel", metavar="RELEASE", help="judge this installed kernel of each host, running or not")
    group.addoption(
        "--kernel-tree",
        metavar="DIR",
        help="judge the kernel in this folder here (an unpacked package, a build tree); with --hosts, as it would do there",
    )
    group.addoption("--baseline", metavar="RELEASE", help="judge this installed kernel too, and tell which causes are new")


class TreeBackend(BaseBackend):  # type: ignore[misc]  # untyped base
    """A kernel that is on no host."""

    NAME = "kernel-tree"

    def run(self, command: str, *args: str, **kwargs: Any) -> Any:
        raise RuntimeError("a kernel tree is no host: no command can be run on it")


@dataclass(frozen=True)
class _Asked:
    """What a kernel's target stands for: the host, if there is one, and whether the kernel is the one in the tree."""

    host: Target | None
    in_tree: bool


class Kernels:
    """The kernels that the command line names, as targets."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        self._release = _release(option.kernel, "--kernel")
        self._baseline = _release(option.baseline, "--baseline")
        self._tree = _folder(option.kernel_tree, config.invocation_params.dir)
        self._hosts_named = option.hosts is not None
        self._targets: dict[Target, _Asked] | None = None
        self._tree_transcript: Transcript | None = None
        self._nothing_named = False
        if self._baseline and not (self._release or self._tree):
            raise pytest.UsageError("--baseline needs a kernel to compare with it: add --kernel=RELEASE or --kernel-tree=DIR")
        if self._baseline and self._tree and not self._hosts_named:
            raise pytest.UsageError("--baseline names a kernel that is installed on a host: name the host with --hosts")
        if self._baseline and self._baseline == self._release and not self._tree:
            raise pytest.UsageError("--kernel and --baseline name the same kernel: there is nothing to compare")
        if self._tree:
            self._release = self._release_in_tree(self._tree)

    @property
    def need_no_host(self) -> bool:
        """A folder is judged and no host is named: then no host is asked, not even the default one."""
        return bool(self._tree) and not self._hosts_named

    def targets(self, hosts: Iterable[Target]) -> list[Target]:
        """The kernels' targets: the kernel on each host, each followed by its baseline."""
        if self._targets is None:
            self._targets = dict(self._made(list(hosts)))
        return list(self._targets)

    def _made(self, hosts: list[Target]) -> Iterator[tuple[Target, _Asked]]:
        if not self._release:
            return
        if self.need_no_host:
            backend = TreeBackend(self._tree)
            yield Target(_named(self._release, True), backend, Host(backend), kernel=self._release), _Asked(None, True)
        for host in hosts:
            for kernel, in_tree in ((self._release, bool(self._tree)), (self._baseline, False)):
                if kernel:
                    name = f"{_named(kernel, in_tree)}@{host.name}"
                    yield Target(name, host.backend, host.host, host.groups, kernel), _Asked(host, in_tree)

    def compared(self, names: Collection[str]) -> list[tuple[str, str]]:
        """Of the names of a run's targets those of each kernel and its baseline (targets may be in other processes)."""
        own = f"{_named(self._release, self._tree)}@"
        pairs = [(name, f"{self._baseline}@{name.removeprefix(own)}") for name in names if name.startswith(own)]
        return [(name, other) for name, other in pairs if self._baseline and other in names]

    def targets_of(self, fixtures: Collection[str], hosts: list[Target]) -> list[Target]:
        """The targets of a test with these fixtures: kernels for a test about one, else hosts."""
        return self.targets(hosts) if about_a_kernel(fixtures) else hosts

    def hosts(self, targets: Iterable[Target]) -> list[Target]:
        """Whom to ask for these targets, each once."""
        made = self._targets or {}
        found = (made[target].host if target in made else target for target in targets)
        return list(dict.fromkeys(host for host in found if host is not None))

    def facts_of_hosts(self, names: Iterable[str]) -> list[Fact[Any]]:
        """What hosts are asked for: the facts behind these names, those about a kernel for each kernel installed there."""
        releases = [kernel for kernel in ("" if self._tree else self._release, self._baseline) if kernel]
        return list(of_kernels(facts_behind(list(names)), releases))

    def transcript(self, target: Target, gathered: Callable[[Target], Transcript]) -> Transcript:
        """What is known of a target. Raises :class:`CouldNotDetermine`."""
        asked = (self._targets or {}).get(target)
        if asked is None:
            return gathered(target)
        below = gathered(asked.host) if asked.host else Transcript({})
        return overlaid(below, self._read_tree()) if asked.in_tree else below

    def _read_tree(self) -> Transcript:
        if self._tree_transcript is None:
            of_tree = (fact for fact in facts_behind(list(CATALOGUE)) if fact.of_a_kernel)
            self._tree_transcript = read_here(of_kernels(of_tree, [self._release]), self._tree)
        return self._tree_transcript

    def _release_in_tree(self, folder: str) -> str:
        try:
            found = _RELEASES.of(read_here([_RELEASES], folder))
        except CouldNotDetermine as problem:
            raise pytest.UsageError(f"--kernel-tree={folder}: {problem}") from problem
        if self._release:
            if self._release not in found:
                has = f"it has {', '.join(found)}" if found else "it has no kernel at all"
                raise pytest.UsageError(f"--kernel-tree={folder}: there is no kernel {self._release} in it: {has}")
            return self._release
        if not found:
            raise pytest.UsageError(
                f"--kernel-tree={folder}: there is no kernel in it: name an unpacked package (with boot/) or a build tree"
            )
        if len(found) > 1:
            raise pytest.UsageError(
                f"--kernel-tree={folder}: there are several kernels in it: add --kernel= and {' or '.join(found)}"
            )
        return _release(found[0], "--kernel-tree")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect tests about kernels where none is named, and tests about hosts where only a folder is."""
        kept: list[pytest.Item] = []
        left: list[pytest.Item] = []
        answers: dict[object, bool] = {}  # one per test function: there is an item of it for each host
        for item in items:
            function = getattr(item, "function", item)
            if function not in answers:
                answers[function] = self._has_its_subject(item)
            (kept if answers[function] else left).append(item)
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = kept
        self._nothing_named = bool(left) and not kept and not self._release

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._nothing_named:
            terminalreporter.write_line("Tests about a kernel need one: name it with --kernel=RELEASE or --kernel-tree=DIR.")

    def _has_its_subject(self, item: pytest.Item) -> bool:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        if about_a_kernel(fixtures):
            return bool(self._release) and not (self.need_no_host and needs_a_host(fixtures))
        return not (self.need_no_host and "target" in fixtures)


def _named(release: str, in_tree: object) -> str:
    return f"tree:{release}" if in_tree else release


def about_a_kernel(fixtures: Collection[str]) -> bool:
    """Whether a test with these fixtures is about one installed kernel."""
    return any(fact.of_a_kernel for fact in facts_behind(list(fixtures)))


def needs_a_host(fixtures: Collection[str]) -> bool:
    """Whether a test about a kernel also rests on what only a host tells."""

    def rests(name: str) -> bool:
        entry = CATALOGUE.get(name)
        if isinstance(entry, Derived):
            return any(rests(argument) for argument in entry.arguments if not argument.startswith(MAYBE))
        return entry is not None and not entry.of_a_kernel

    return any(rests(name) for name in fixtures)


def read_here(facts: Iterable[Fact[Any]], kernel_root: str) -> Transcript:
    """The readings of a kernel in a folder of this machine. Raises :class:`CouldNotDetermine`."""
    text = script(facts, kernel_root=kernel_root, seconds=DEADLINE)
    try:
        done = execute(LocalBackend("localhost"), COMMAND, stdin=text.encode(), deadline=DEADLINE, cap=CAP)
        return Transcript.parse(done.stdout)
    except (ConnectionProblem, NotATranscript) as problem:
        raise CouldNotDetermine(f"{kernel_root} could not be read: {problem}") from problem


def overlaid(below: Transcript, above: Transcript) -> Transcript:
    """A host with the kernel of a folder: its readings, and over them those of the folder."""
    readings = {command: reading for command, reading in above.readings.items() if command != UID or not below.readings}
    return Transcript({**below.readings, **readings}, below.complete and above.complete, below.remarks or above.remarks)


def _release(text: str | None, option: str) -> str:
    try:
        return kernel_release(text) if text is not None else ""
    except ValueError as problem:
        raise pytest.UsageError(f"{option}: {problem}") from problem


def _folder(text: str | None, start: Path) -> str:
    if text is None:
        return ""
    folder = (start / Path(text).expanduser()).resolve()
    if not text or not folder.is_dir() or folder == Path("/"):
        raise pytest.UsageError(f"--kernel-tree={text}: name a folder that holds an unpacked kernel package or a build tree")
    return str(folder)
