"""From ``--hosts`` to the targets of a run: whom we ask, and by which testinfra backend."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import testinfra.backend
from testinfra.backend.base import BaseBackend
from testinfra.host import Host
from testinfra.utils.ansible_runner import itergroup

RECORDING = "recording"
DEFAULT_HOSTS = "lab://debian12"

# A host name ends up in test ids, which pytest-html prints as markup: only what a name, an address, a user, a
# port or a path needs.
_NAME = re.compile(r"[A-Za-z0-9._:%\[\]@+~/-]{1,255}")


class BadHosts(ValueError):
    """The hosts cannot be used as given; ``str()`` is one sentence."""


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


def host_name(item: pytest.Item) -> str:
    """The name of the host that a test is about; empty for a test of no host."""
    found = target_of(item)
    return found.name if found else ""


def specs(option: str, folder: Path) -> list[str]:
    """The host specs in the value of ``--hosts``: names and URLs with commas between; ``@FILE`` holds one a line.

    Raises :class:`BadHosts`.
    """
    found: list[str] = []
    for word in (word.strip() for word in option.split(",")):
        found += _from_file(folder / word[1:]) if word.startswith("@") else [word]
    if not any(found):
        raise BadHosts("--hosts names no host: give names or URLs with commas between, or @FILE")
    if not all(found):
        raise BadHosts(f"--hosts={option!r} has an empty name between commas")
    for number, spec in enumerate(found):
        if spec in found[:number]:
            raise BadHosts(f"the host {spec!r} is named twice")
        _refuse_password(spec)
    return found


def _from_file(path: Path) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadHosts(f"--hosts=@{path}: cannot read the file: {error}") from error
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    names = [line for line in lines if line]
    if not names:
        raise BadHosts(f"--hosts=@{path}: the file names no host")
    return iter(names)


def _refuse_password(spec: str) -> None:
    user, at, _ = spec.rpartition("://")[2].rpartition("@")
    if at and ":" in user:
        raise BadHosts(
            "a host spec holds a password, which would end up in reports and process lists: "
            "leave it out and use a key, the agent, or KDUMP_SSH_PASSWORD"
        )


def targets(host_specs: Iterable[str], **options: Any) -> list[Target]:
    """The targets that host specs stand for, in order. ``options`` are testinfra's (connection, ssh_config, …).

    Raises :class:`BadHosts`.
    """
    found: dict[str, Target] = {}
    memberships: dict[int, dict[str, list[str]]] = {}
    for spec in host_specs:
        for backend in _backends(spec, options):
            name = _display_name(spec, backend)
            if name in found and isinstance(backend, RecordingBackend):  # two folders with files of the same name
                name = str(backend.path)
            if name in found:
                raise BadHosts(f"the host {name!r} is selected twice (by {spec!r} and by another part of --hosts)")
            found[name] = Target(name, backend, Host(backend), _groups(backend, memberships))
    return list(found.values())


def _backends(spec: str, options: dict[str, Any]) -> list[BaseBackend]:
    scheme, separator, rest = spec.partition("://")
    if not separator:
        scheme = ""
    if scheme == RECORDING:
        if not Path(rest).is_file():
            raise BadHosts(f"{spec}: there is no such recording")
        return [RecordingBackend(rest)]
    try:
        backends = _made_by_class(scheme, spec, options) or testinfra.backend.get_backends([spec], **options)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise BadHosts(f"--hosts: {spec!r} cannot be used: {_first_line(error)}") from error
    if not backends:
        raise BadHosts(f"--hosts: no host matches {spec!r}")
    return list(backends)


def _groups(backend: BaseBackend, memberships: dict[int, dict[str, list[str]]]) -> tuple[str, ...]:
    """The inventory's groups of a host; ``memberships`` keeps what was read of each inventory."""
    runner = getattr(backend, "ansible_runner", None)
    if runner is None:
        return ()
    if id(runner) not in memberships:
        members = memberships[id(runner)] = {}
        for group in sorted(set(runner.inventory) - {"all", "ungrouped", "_meta"}):
            for host in set(itergroup(runner.inventory, group)):
                members.setdefault(host, []).append(group)
    return tuple(memberships[id(runner)].get(backend.host, ()))


def _made_by_class(scheme: str, spec: str, options: dict[str, Any]) -> list[BaseBackend]:
    """A backend that reads its host specs itself (testinfra drops the parts of a URL that it does not know)."""
    if not scheme or scheme not in testinfra.backend.BACKENDS:
        return []
    of = getattr(testinfra.backend.get_backend_class(scheme), "of", None)
    return [of(spec, sudo=options.get("sudo", False), sudo_user=options.get("sudo_user"))] if of else []


def _display_name(spec: str, backend: BaseBackend) -> str:
    scheme, separator, rest = spec.partition("://")
    if isinstance(backend, RecordingBackend):
        name = backend.path.name.removesuffix(".transcript")
    elif scheme == "ansible":
        name = str(backend.hostname)
    elif not separator or scheme in ("ssh", "paramiko", "safe-ssh"):
        name = urllib.parse.unquote(rest or spec).partition("?")[0]
    else:
        name = spec.partition("?")[0] if scheme != "local" else "localhost"
    if not _NAME.fullmatch(name):
        raise BadHosts(f"{name!r} is not a host name: letters, digits and . _ : % [ ] @ + - are")
    return name


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
