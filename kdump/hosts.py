"""From ``--hosts`` to the targets of a run: whom we ask, and by which testinfra backend."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import testinfra.backend
from testinfra.backend.base import BaseBackend
from testinfra.host import Host
from testinfra.utils.ansible_runner import itergroup

from . import inventory
from .host_specs import BadHosts, Spec, bad_name, check, specs, split_query
from .transcript import sanitise

__all__ = [
    "DEFAULT_HOSTS",
    "BadHosts",
    "RecordingBackend",
    "Spec",
    "Target",
    "each_test",
    "host_name",
    "specs",
    "target_of",
    "targets",
]

RECORDING = "recording"
DEFAULT_HOSTS = "lab://debian12"


class RecordingBackend(BaseBackend):  # type: ignore[misc]  # untyped base
    """A recorded host: it has a transcript and nothing else."""

    NAME = RECORDING

    def __init__(self, path: str, *args: Any, **kwargs: Any) -> None:
        self.path = Path(path)
        super().__init__(path, **kwargs)

    def run(self, command: str, *args: str, **kwargs: Any) -> Any:
        raise RuntimeError(f"{self.path} is a recording: no command can be run on it")


@dataclass(frozen=True, eq=False)
class Target:
    """One host of the run. ``name`` is unique in it, and is what reports and test ids show. ``groups``: the groups of
    the Ansible inventory that hold it, but ``all`` and ``ungrouped``, which Ansible makes."""

    name: str
    backend: BaseBackend
    host: Host = field(repr=False)
    groups: tuple[str, ...] = ()
    #: the release of the installed kernel that is judged, in place of the host as it runs
    kernel: str = ""


def target_of(item: pytest.Item) -> Target | None:
    """The target that a test is about, if any."""
    callspec = getattr(item, "callspec", None)
    found: Target | None = callspec.params.get("target") if callspec else None
    return found


def each_test(items: Iterable[pytest.Item]) -> Iterable[pytest.Item]:
    """One item of each test, which has one for every host and every set of other parameters."""
    return {(item.parent, getattr(item, "originalname", item.name)): item for item in items}.values()


def host_name(item: pytest.Item) -> str:
    """The name of the host that a test is about; empty for a test of no host."""
    found = target_of(item)
    return found.name if found else ""


def targets(
    host_specs: Iterable[Spec], limit: str | None = None, selections: inventory.Selections | None = None, **options: Any
) -> list[Target]:
    """The targets that host specs stand for, in order. ``limit``: a pattern that further narrows what comes from Ansible
    inventories; ``selections`` keeps what these answered; ``options`` are testinfra's (connection, ssh_config, …).

    Raises :class:`BadHosts`.
    """
    given = list(host_specs)
    selections = selections or inventory.Selections()
    _refuse_unused(given, limit, options)
    found: dict[str, Target] = {}
    origins: dict[tuple[str, str], tuple[Spec, str]] = {}
    memberships: dict[int, dict[str, list[str]]] = {}
    for spec in given:  # all of them, before the first backend costs anything
        check(spec, options.get("connection"))
    for spec in given:
        for backend in _backends(spec, limit, selections, options):
            name = _display_name(spec, backend)
            if isinstance(backend, RecordingBackend) and name in found:  # two folders with files of the same name
                name = str(backend.path)
            same = _machine(name, backend)
            if name in found or same in origins:
                before, other = origins.get(same, (spec, name))
                twice = f"{other!r} and {name!r} are one" if other != name else f"{name!r} is selected twice"
                both = f", by {before.text!r} and by {spec.text!r}" if before != spec else ""
                raise BadHosts(f"{spec.origin}: the host {twice}{both}")
            origins[same] = spec, name
            found[name] = Target(name, backend, Host(backend), _groups(backend, memberships))
    known = selections.known()
    for spec in given:
        if not spec.scheme and not _is_ansible(spec, options) and spec.text in known:
            raise spec.bad(
                "is a name of the inventory: write ansible:// before it, or a colon between patterns (ansible://web:db)"
            )
    return list(found.values())


def _machine(name: str, backend: BaseBackend) -> tuple[str, str]:
    """The same for names that the DNS does not tell apart, unless the inventory gives them addresses of their own."""
    if isinstance(backend, RecordingBackend):
        return name, ""
    runner = getattr(backend, "ansible_runner", None)
    variables = runner.inventory.get("_meta", {}).get("hostvars", {}).get(backend.host, {}) if runner else {}
    address = variables.get("ansible_host", variables.get("ansible_ssh_host", ""))
    port = variables.get("ansible_port", variables.get("ansible_ssh_port", ""))
    return name.lower(), f"{address}:{port}".lower() if address or port else ""


def _is_ansible(spec: Spec, options: dict[str, Any]) -> bool:
    return (spec.scheme or options.get("connection")) == "ansible"


def _refuse_unused(given: list[Spec], limit: str | None, options: dict[str, Any]) -> None:
    """An inventory or a limit that nothing uses: other hosts than those that are meant would be judged."""
    if any(_is_ansible(spec, options) for spec in given):
        return
    for option, value in (("--ansible-inventory", options.get("ansible_inventory")), ("--limit", limit)):
        if value:
            raise BadHosts(f"{option} is given, but nothing in --hosts is of an inventory: write --hosts=ansible://PATTERN")


def _backends(spec: Spec, limit: str | None, selections: inventory.Selections, options: dict[str, Any]) -> list[BaseBackend]:
    if spec.scheme == RECORDING:
        path = Path(spec.text.partition("://")[2])
        if not path.is_file():
            raise spec.bad("names a recording that is not there")
        return [RecordingBackend(str(path))]
    try:
        if _is_ansible(spec, options):
            return _of_inventory(spec, limit, selections, options)
        backends = _made_by_class(spec.scheme, spec.text, options) or testinfra.backend.get_backends([spec.text], **options)
    except (RuntimeError, ValueError, AssertionError) as error:
        if isinstance(error, BadHosts):
            raise
        raise spec.bad(f"cannot be used: {_first_line(error)}") from error
    if not backends:
        raise spec.bad("matches no host")
    return list(backends)


def _of_inventory(spec: Spec, limit: str | None, selections: inventory.Selections, options: dict[str, Any]) -> list[BaseBackend]:
    """testinfra takes a URL apart before it looks for a pattern, which may hold what no URL does."""
    pattern, _, query = split_query(spec.text.removeprefix("ansible://"))
    _, own = testinfra.backend.parse_hostspec(f"ansible://x?{query}")
    wanted = {**options, **own, "connection": "ansible"}
    names = selections.names(wanted.get("ansible_inventory"), pattern or "all", limit)
    return [testinfra.backend.get_backend_class("ansible")(name, **wanted) for name in names]


def _groups(backend: BaseBackend, memberships: dict[int, dict[str, list[str]]]) -> tuple[str, ...]:
    """The inventory's groups of a host; ``memberships`` keeps what was read of each inventory."""
    runner = getattr(backend, "ansible_runner", None)
    if runner is None:
        return ()
    if id(runner) not in memberships:
        members = memberships[id(runner)] = {}
        for group in sorted(set(runner.inventory) - {"all", "ungrouped", "_meta"}):
            for host in set(itergroup(runner.inventory, group)):
                members.setdefault(host, []).append(sanitise(group))  # Ansible takes any name
    return tuple(memberships[id(runner)].get(backend.host, ()))


def _made_by_class(scheme: str, spec: str, options: dict[str, Any]) -> list[BaseBackend]:
    """A backend that reads its host specs itself (testinfra drops the parts of a URL that it does not know)."""
    if not scheme or scheme not in testinfra.backend.BACKENDS:
        return []
    of = getattr(testinfra.backend.get_backend_class(scheme), "of", None)
    return [of(spec, sudo=options.get("sudo", False), sudo_user=options.get("sudo_user"))] if of else []


def _display_name(spec: Spec, backend: BaseBackend) -> str:
    scheme, _, rest = spec.text.rpartition("://")
    if isinstance(backend, RecordingBackend):
        name = backend.path.name.removesuffix(".transcript")
    elif getattr(backend, "NAME", "") == "ansible":
        name = str(backend.hostname)
    elif scheme in ("", "ssh", "paramiko", "safe-ssh"):
        name = urllib.parse.unquote(rest).partition("?")[0]
    else:
        name = spec.text.partition("?")[0] if scheme != "local" else "localhost"
    if why := bad_name(name):
        raise BadHosts(f"{spec.origin}: {name!r} {why}")
    return name


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
