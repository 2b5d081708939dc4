"""Who ran what, when: the circumstances that a report states, without secrets."""

from __future__ import annotations

import getpass
import platform
import re
import shlex
from collections.abc import Sequence
from datetime import datetime

import pytest

from .. import __version__
from ..transcript import mask, sanitise
from .model import RunInfo

_SECRET = re.compile(r"(?i)pass(word|phrase|wd)?|secret|token|credential|api-?key")
_OPTIONS = ("hosts", "connection", "ssh_config", "sudo", "sudo_user", "ansible_inventory", "forks")
_MASK = "***"


def describe(config: pytest.Config, started: datetime) -> RunInfo:
    """The circumstances of this run, as far as they are known when it starts."""
    options = {
        name: mask(sanitise(str(value)))
        for name in _OPTIONS
        if (value := getattr(config.option, name, None)) not in (None, False, "")
    }
    return RunInfo(
        started=started,
        who=sanitise(f"{_user()}@{platform.node() or 'unknown'}"),
        suite_version=__version__,
        command_line=command_line(config.invocation_params.args),
        options=options,
    )


def command_line(arguments: Sequence[object]) -> str:
    """The command line as one would type it, the values of options that name a secret masked.

    >>> command_line(["--hosts=ssh://root:hunter2@db1", "--token", "abc", "-v"])
    'pytest --hosts=ssh://root:***@db1 --token *** -v'
    """
    shown, masks_next = ["pytest"], False
    for argument in map(str, arguments):
        if masks_next:
            shown.append(_MASK)
            masks_next = False
            continue
        name, equals, value = argument.partition("=")
        if name.startswith("-") and _SECRET.search(name):
            shown.append(f"{name}={_MASK}" if equals else name)
            masks_next = not equals
        else:
            shown.append(_quote(name + equals + _mask_bare(value) if equals else _mask_bare(argument)))
    return sanitise(" ".join(shown))


def _mask_bare(value: str) -> str:
    """Passwords in host specs with and without a scheme: ``user:password@host``."""
    return re.sub(r"(^|,)([^\s/:@,]+:)(?!//)[^\s@,]+(?=@)", rf"\1\2{_MASK}", mask(value))


def _quote(argument: str) -> str:
    argument = mask(argument)
    plain = re.fullmatch(r"[\w@%+=:,./*?\[\]-]+", argument)
    return argument if plain else shlex.quote(argument)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run under a uid that has no name
        return "unknown"
