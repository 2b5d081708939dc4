"""What is wrong with an Ansible inventory, in one sentence with file and line. Ansible's own words name a line now and then, fill
a paragraph for each of its plugins, and pass over things that cost hosts with a warning.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from testinfra.utils.ansible_runner import itergroup

from .connection.errors import printable
from .host_specs import BadHosts
from .transcript import mask

_OF_YAML = (".yml", ".yaml", ".json")
_MOST_CHARACTERS = 1 << 20  # of a file in YAML that is read once more, for the line
_A_MAPPING = "an inventory is a mapping of groups, as {web: {hosts: {db1: , db2: }}}"


def explain(errors: str, inventory: str | None) -> str:
    """Of what ansible-inventory wrote, the sentence of the plugin that was meant, with file and line where they are known.

    Ansible tries its plugins one after the other, and each that fails has a paragraph.
    """
    path = Path(inventory) if inventory else None
    text = _text(path)
    origins = re.findall(r"^Origin: (\S+?:\d+)(?::\d+)?$", errors, re.MULTILINE)
    found = {name: " ".join(words.split()) for name, words in _SAID.findall(errors)}
    if path is not None and text is None and path.is_file():
        return f"{path}: is not text"
    if "script" in found:
        said = re.search(r"Standard error from inventory script:\n(.+)", errors)
        return f"{inventory}: {printable(found['script'])}{f' ({printable(mask(said[1]))})' if said else ''}"
    looks_ini = bool(text) and (path is not None and path.suffix not in _OF_YAML)
    words = found.get("ini", "") if looks_ini else found.get("yaml") or found.get("auto") or next(iter(found.values()), "")
    if not words:
        return f"{inventory or 'ansible.cfg'}: {last_error(errors)}"
    words = printable(words.removeprefix("Failed to parse inventory: ").removeprefix("YAML parsing failed: ").rstrip("."))
    if not looks_ini and origins:
        return f"{origins[0]}: {words}"
    line, better = _line_of(text or "", words) if looks_ini else _line_in_yaml(text or "", words)
    if line and _OF_SECRETS.search((text or "").splitlines()[line - 1]):
        words = re.sub(r"got: .*", "got: ***", words)
    return f"{path}{f':{line}' if line else ''}: {better or words}"


_OF_SECRETS = re.compile("pass|secret|token", re.IGNORECASE)  # a space after ansible_password= leaves it a word of its own
_SAID = re.compile(r"Failed to parse inventory with '(\w+)' plugin: (.+?)(?:\n\n|\Z)", re.DOTALL)


def _line_of(text: str, words: str) -> tuple[int, str]:
    """Where an INI inventory has what Ansible complains of, which names no line of it; and better words, where there are."""
    if text.startswith("\ufeff"):
        return 1, "begins with a byte order mark: save it as UTF-8 without one"
    lines = list(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if line.startswith("[") and not re.fullmatch(r"\[[^\[\]]+\]\s*([#;].*)?", line):
            return number, f"is not the head of a section: {printable(line, 60)!r}"
    quoted = re.findall(r"'([^']+)'|got: (\S+)", words)
    for token in [one or other for one, other in quoted]:
        # of a group that contains itself, the line that closes the circle
        for number, line in reversed(lines) if "recursive" in words else lines:
            if not line.startswith("[") and token in line.split(":")[0].split():
                return number, ""
    return 0, ""


def _line_in_yaml(text: str, words: str) -> tuple[int, str]:
    """The same of an inventory in YAML or JSON."""
    import yaml  # it takes a while to load

    if len(text) > _MOST_CHARACTERS:
        return 0, ""
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        # where the end of the file is what is wrong, it is the line after the last
        return (min(error.problem_mark.line + 1, len(text.splitlines())) if error.problem_mark else 0), ""
    except (yaml.YAMLError, RecursionError):
        return 0, ""
    if isinstance(root, yaml.SequenceNode):
        return root.start_mark.line + 1, f"is a list: {_A_MAPPING}"
    if found := re.match(r'Invalid "(hosts|children|vars)" entry for "(.+?)" group', words):
        wanted, name = found.groups()
        for group, of_group in _entries(root):
            for section, held in _entries(of_group) if group.value == name else ():
                if section.value == wanted and not isinstance(held, yaml.MappingNode):
                    return section.start_mark.line + 1, f"{wanted} of the group {name!r} are no mapping: {_A_MAPPING}"
    return 0, ""


def _entries(node: Any) -> Iterator[tuple[Any, Any]]:
    """The keys and values of a mapping, and of those in it."""
    for key, value in node.value if getattr(node, "id", "") == "mapping" else ():
        yield key, value
        yield from _entries(value)


def refuse_skipped(errors: str, inventory: str | None) -> None:
    """Refuse a part of an inventory in YAML or TOML that Ansible passes over, with the hosts in it: a warning is all it says.

    ansible-core 2.19: plugins/inventory/yaml.py and toml.py, InventoryModule._parse_group(). Raises :class:`BadHosts`.
    """
    words = " ".join(errors.split())  # older ones wrap their lines
    for key, group in re.findall(r"""Skipping (?:unexpected )?key [("](.+?)[)"] in group [("](.+?)[)"]""", words):
        where = place(inventory, key, rf"^\W*{re.escape(key)}\W*[:=]")
        raise BadHosts(
            f"{where}: the group {printable(group)!r} has the key {printable(key)!r}: hosts, children and vars are known"
        )
    for group in re.findall(r"Skipping '(.+?)' as this is not a valid group definition", words):
        where = place(inventory, group, rf"^\W*{re.escape(group)}\W*:")
        raise BadHosts(f"{where}: the group {printable(group)!r} is no mapping: {_A_MAPPING}")


def refuse_mixed_up(errors: str, inventory: str | None, read: Mapping[str, Any]) -> None:
    """Refuse a host that is called like a group of others: Ansible gives these its variables, or lists it no more.

    ansible-core 2.19: inventory/data.py, InventoryData.reconcile_inventory() warns, set_variable() takes the name for the
    group's. Raises :class:`BadHosts`.
    """
    for name in re.findall(r"Found both group and host with same name: (\S+)", " ".join(errors.split())):
        if set(itergroup(read, name)) != {name}:
            where = place(inventory, name, rf"^\W*{re.escape(name)}(\W|$)")
            raise BadHosts(f"{where}: a host and a group of others are called {printable(name)!r}: rename one of them")


def refuse_list(inventory: str | None) -> None:
    """A list in JSON is the head of a section without hosts to Ansible's INI. Raises :class:`BadHosts`."""
    path = Path(inventory) if inventory else None
    text = _text(path) or ""
    if path is not None and path.suffix in _OF_YAML and text.lstrip().startswith("["):
        raise BadHosts(f"{path}:{text.partition('[')[0].count(chr(10)) + 1}: is a list: {_A_MAPPING}")


def _text(path: Path | None) -> str | None:
    try:
        data = path.read_bytes() if path is not None and path.is_file() else b""
        return None if b"\0" in data else data.decode()
    except (OSError, UnicodeDecodeError):
        return None


def last_error(errors: str) -> str:
    lines = [line.removeprefix("[ERROR]: ") for line in errors.splitlines() if line.startswith("[ERROR]: ")]
    return printable(mask(lines[-1] if lines else (errors.strip().splitlines() or ["Ansible gave no reason"])[-1]))


def refuse_twice(inventory: str | None) -> None:
    """A host that stands twice in a section of an INI file, or a name in a mapping of a JSON file: Ansible joins the two, or
    takes the last, and one address is lost unsaid. Of YAML it is told to refuse that itself. Raises :class:`BadHosts`."""
    path = Path(inventory) if inventory else None
    text = _text(path)
    if path is None or not text or os.access(path, os.X_OK) or path.suffix in (".yml", ".yaml"):
        return
    if path.suffix == ".json":
        with suppress(json.JSONDecodeError):  # then Ansible read it as YAML
            json.loads(text, object_pairs_hook=lambda pairs: _once(path, text, pairs))
        return
    seen: dict[str, int] = {}
    holds_hosts = True
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\[([^\[\]]+)\]", line):
            holds_hosts, seen = ":" not in head[1], {}
        elif holds_hosts and (found := re.match(r"\s*([^\s#;]+)", line)):
            if found[1] in seen:
                raise BadHosts(f"{path}:{number}: the host {printable(found[1])!r} stands here and in line {seen[found[1]]}")
            seen[found[1]] = number


def _once(path: Path, text: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        name = next(key for key in keys if keys.count(key) > 1)
        lines = [number for number, line in enumerate(text.splitlines(), 1) if json.dumps(name) in line]
        raise BadHosts(f"{path}:{lines[-1]}: {printable(name)!r} stands twice in one mapping")
    return found


def assigned(key: str, value: object) -> str:
    return rf"\b{re.escape(key)}[\"']?\s*[=:]\s*[\"']?{re.escape(str(value))}(?![\w.:])"


def place(inventory: str | None, name: str, pattern: str) -> str:
    """The file, and the line where something of a host stands, if it is found there: group_vars or a program may say it."""
    path = Path(inventory) if inventory else None
    wanted = re.compile(pattern)
    lines = [(number, line) for number, line in enumerate((_text(path) or "").splitlines(), 1) if wanted.search(line)]
    line = next((number for number, line in lines if name in line.split()), lines[0][0] if lines else 0)
    return f"{inventory or 'the Ansible inventory'}{f':{line}' if line else ''}"
