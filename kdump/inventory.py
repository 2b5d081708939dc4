"""Ansible inventories, read and searched by Ansible's own programs: INI, YAML and dynamic ones, patterns and limits as Ansible
means them. What Ansible passes over with a warning ends here in one sentence, before any host is asked.

``ansible-inventory --list`` and ``ansible --list-hosts`` are run as programs (ansible-core 2.12 and later have both, and the
settings that are used here).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from testinfra.utils.ansible_runner import AnsibleRunner, itergroup

from .connection.errors import printable
from .host_specs import BadHosts, bad_address, bad_name
from .inventory_words import assigned, explain, last_error, place, refuse_list, refuse_mixed_up, refuse_skipped, refuse_twice

DEADLINE = 120.0  # s, of a dynamic inventory
REDRAW = 0.5  # s
Tell = Callable[[float], None]
_SETTINGS = {
    # A source that cannot be read is a warning otherwise, and the run goes on without its hosts.
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
    "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "error",
    "ANSIBLE_NOCOLOR": "true",
    # with more, ansible-inventory writes other things before its JSON (ansible/ansible#59973)
    "ANSIBLE_VERBOSITY": "0",
}


def select(inventory: str | None, pattern: str, limit: str | None = None, tell: Tell = lambda seconds: None) -> list[str]:
    """The hosts that Ansible's ``pattern`` and ``limit`` select, in the inventory's order; None is Ansible's own default.
    ``tell`` is told again and again for how long Ansible has been waited for.

    Raises :class:`BadHosts`: an inventory that cannot be read or says something impossible, a name in the pattern that
    matches nothing, an empty selection.
    """
    runner = AnsibleRunner.get_runner(inventory)
    if inventory and "," not in inventory and not Path(inventory).exists():
        raise BadHosts(f"--ansible-inventory: {inventory}: there is no such file or folder")
    everyone = pattern in ("all", "*") and not limit
    arguments = ["--list-hosts", *(["--limit", limit] if limit else []), "--", pattern]
    # each of the two takes a second, or half a minute for an inventory of 10 MB: they are run side by side
    with ExitStack() as programs:
        searching = None if everyone else programs.enter_context(_Program("ansible", inventory, *arguments))
        if "inventory" not in vars(runner):  # testinfra would read it with other settings
            reading = programs.enter_context(_Program("ansible-inventory", inventory, "--list"))
            runner.inventory = _read(inventory, reading.end(tell))
        known = list(dict.fromkeys(itergroup(runner.inventory, "all")))
        names = known if searching is None else _matching(pattern, searching.end(tell), known)
    if not known:
        refuse_list(inventory)
    if not names:
        limited = f" with --limit={limit}" if limit else ""
        raise BadHosts(f"ansible://{pattern}: no host matches{limited} ({_hosts(known)} known)")
    strangers = [name for name in names if name not in set(known)]
    if strangers:  # Ansible's implicit localhost
        raise BadHosts(f"ansible://{pattern}: {strangers[0]!r} is not in the inventory: this machine is local://")
    _check(inventory, runner.inventory, names)
    return names


class Selections:
    """What a run selects from its inventories. ``tell``: see :func:`select`.

    A dynamic inventory may cost half a minute and answer differently each time it is asked. The workers of pytest-xdist must
    judge the same hosts as their controller, which asks alone: ``str()`` is what it heard, for ``heard`` of theirs.
    """

    def __init__(self, tell: Tell = lambda seconds: None, heard: str = "") -> None:
        self._tell = tell
        read, selected = json.loads(heard) if heard else ([], [])
        self._read: dict[str | None, dict[str, Any]] = dict(read)
        self._selected: dict[tuple[str | None, str, str | None], list[str]] = {
            (inventory, pattern, limit): names for inventory, pattern, limit, names in selected
        }

    def names(self, inventory: str | None, pattern: str, limit: str | None) -> list[str]:
        """As :func:`select`, which is asked once."""
        wanted = inventory, pattern, limit
        if wanted not in self._selected:
            self._selected[wanted] = select(*wanted, self._tell)
            self._read[inventory] = AnsibleRunner.get_runner(inventory).inventory
        # where testinfra's connections look their host up
        AnsibleRunner.get_runner(inventory).inventory = self._read[inventory]
        return self._selected[wanted]

    def known(self) -> set[str]:
        """The hosts and groups of the inventories that were asked."""
        return {name for read in self._read.values() for name in (*read, *itergroup(read, "all"))}

    def __str__(self) -> str:
        return json.dumps([list(self._read.items()), [[*wanted, names] for wanted, names in self._selected.items()]])


def _matching(pattern: str, found: subprocess.CompletedProcess[str], known: Sequence[str]) -> list[str]:
    """The names in what ``ansible --list-hosts`` wrote."""
    words = " ".join(found.stderr.split())
    if unmatched := re.search(r"Could not match supplied host pattern, ignoring: (\S+)", words):
        name = printable(unmatched[1])
        raise BadHosts(f"ansible://{pattern}: {name!r} is no host and no group of the inventory ({_hosts(known)} known)")
    if found.returncode and "no hosts to target" not in words and known:
        raise BadHosts(f"ansible://{pattern}: {last_error(found.stderr)}")
    return [line.strip() for line in found.stdout.splitlines() if line.startswith("    ")]


def _hosts(known: Sequence[str]) -> str:
    return f"{len(known):,} {'host is' if len(known) == 1 else 'hosts are'}"


class _Program:
    """One of Ansible's programs, under way. A context manager: it has ended, or is ended, with it."""

    def __init__(self, program: str, inventory: str | None, *arguments: str) -> None:
        # Beside this Python first: a virtual environment need not be activated.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        found = shutil.which(program, path=path)
        if found is None:
            raise BadHosts(f"{program} is not installed: pip install ansible-core, or give the hosts by --hosts=@FILE")
        self._program, self._began = program, time.monotonic()
        self._process = subprocess.Popen(
            [found, *(["-i", inventory] if inventory else []), *arguments],
            env={**os.environ, **_SETTINGS},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )

    def end(self, tell: Tell) -> subprocess.CompletedProcess[str]:
        """Wait for its end. Raises :class:`BadHosts` at its deadline."""
        while True:
            try:
                output, errors = self._process.communicate(timeout=min(REDRAW, DEADLINE))
                return subprocess.CompletedProcess(self._process.args, self._process.returncode, output, errors)
            except subprocess.TimeoutExpired as late:
                seconds = time.monotonic() - self._began
                if seconds >= DEADLINE:
                    words = f"{self._program} did not end in {DEADLINE:.0f} s: look what the inventory waits for"
                    raise BadHosts(words) from late
                tell(seconds)

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):  # which a program that it started may hold open
            if stream is not None:
                stream.close()


def _read(inventory: str | None, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The inventory in what ``ansible-inventory --list`` wrote."""
    refuse_skipped(done.stderr, inventory)
    if done.returncode:
        raise BadHosts(f"the Ansible inventory cannot be used: {explain(done.stderr, inventory)}")
    try:
        read: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise BadHosts(f"ansible-inventory answered something other than JSON: {error}") from error
    refuse_twice(inventory)
    refuse_mixed_up(done.stderr, inventory, read)
    return read


def _check(inventory: str | None, read: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse addresses and ports that cannot be. Templates are left to the connection, which says what it cannot do."""
    variables = read.get("_meta", {}).get("hostvars", {})
    for name in names:
        if unfit := bad_name(name):
            where = place(inventory, name, rf"(^|\s)[\"']?{re.escape(name)}[\"']?(\s|:|$)")
            raise BadHosts(f"{where}: {printable(name, 60)!r} {unfit}")
        for key, why in (("ansible_port", _bad_port), ("ansible_ssh_port", _bad_port), ("ansible_host", _bad_host)):
            value = variables.get(name, {}).get(key)
            problem = why(value) if value is not None and "{{" not in str(value) else ""
            if problem:
                raise BadHosts(f"{place(inventory, name, assigned(key, value))}: host {name!r}: {key} {problem}")


def _bad_port(value: object) -> str:
    text = str(value)
    right = text.isascii() and text.isdigit() and 0 < int(text) < 65536
    return "" if right else f"{printable(text, 60)!r} is not a number from 1 to 65535"


def _bad_host(value: object) -> str:
    why = bad_address(str(value))
    return f"{printable(str(value), 60)!r} {why}" if why else ""
