"""The file that ``--waivers`` names.

The file is a list; all five fields of an entry are mandatory::

    - cause: strings-missing
      hosts: [db1, "web*", databases]       # names, globs, or groups of the Ansible inventory
      justification: dumps of these hosts are analysed elsewhere
      owner: storage team
      expires: 2027-01-31                   # the last day on which it counts, UTC; a year ahead at most
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import yaml

from .report.model import Waiver
from .transcript import sanitise
from .waivers import BadWaivers, Entry, meant

FIELDS = ("cause", "hosts", "justification", "owner", "expires")
_MOST_BYTES = 1 << 20


def load(path: Path, today: date) -> list[Entry]:
    """The entries of a file. Raises :class:`BadWaivers`."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise BadWaivers(f"{path}: larger than {_MOST_BYTES} bytes: this is no waiver file")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise BadWaivers(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadWaivers(f"{path}: is not UTF-8 text: save it as UTF-8") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "nested too deeply"
        raise BadWaivers(f"{path}{where}: is not YAML: {problem}") from error
    if root is None:
        raise BadWaivers(f"{path}: holds no waiver: leave --waivers out, or write a list of entries")
    if not isinstance(root, yaml.SequenceNode):
        raise BadWaivers(f"{path}:1: must be a list of entries, each with {', '.join(FIELDS)}")
    return [_entry(node, path, today) for node in root.value]


def _entry(node: yaml.Node, path: Path, today: date) -> Entry:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        raise BadWaivers(f"{path}:{line}: an entry must have the fields {', '.join(FIELDS)}")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise BadWaivers(f"{where}: the name of a field must be one word")
        if key.value not in FIELDS:
            raise BadWaivers(f"{where}: unknown field {key.value!r}{meant(str(key.value), FIELDS)}")
        if key.value in found:
            raise BadWaivers(f"{where}: the field {key.value!r} stands twice in one entry")
        found[key.value] = value
    missing = [name for name in FIELDS if name not in found]
    if missing:
        raise BadWaivers(f"{path}:{line}: the entry has no {' and no '.join(missing)}")
    expires = _date(found["expires"], path, today)
    waiver = Waiver(_text(found["justification"], "justification", path), _text(found["owner"], "owner", path), expires)
    return Entry(_text(found["cause"], "cause", path), _patterns(found["hosts"], path), waiver, line)


def _text(node: yaml.Node, name: str, path: Path) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null" or not node.value.strip():
        raise BadWaivers(f"{path}:{node.start_mark.line + 1}: {name} must be a text that is not empty")
    return sanitise(" ".join(node.value.split()))  # it goes where what hosts say goes: terminal, pages, files in UTF-8


def _patterns(node: yaml.Node, path: Path) -> tuple[str, ...]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not nodes:
        raise BadWaivers(f"{path}:{node.start_mark.line + 1}: hosts is empty: name hosts, globs or groups")
    return tuple(_text(one, "hosts", path) for one in nodes)


def _date(node: yaml.Node, path: Path, today: date) -> date:
    where = f"{path}:{node.start_mark.line + 1}"
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", node.value, re.ASCII):
            raise ValueError
        expires = date.fromisoformat(node.value)
    except (TypeError, ValueError):
        raise BadWaivers(f"{where}: expires must be a day that exists, as YYYY-MM-DD") from None
    latest = _a_year_after(today)
    if expires > latest:
        raise BadWaivers(f"{where}: expires {expires}, more than a year ahead: choose {latest} or earlier")
    return expires


def _a_year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:  # of 29 February
        return date(day.year + 1, 3, 1)
