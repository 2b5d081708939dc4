"""Settings in files of several folders, of which one file of each name counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any


def name_of(file: str) -> str:
    return PurePosixPath(file).name


def by_version(file: str) -> list[Any]:
    """The order of ``sort -V``, for names of letters and numbers."""
    return [(word.isdigit(), int(word) if word.isdigit() else word) for word in re.split(r"(\d+)", name_of(file))]


def in_order(files: Iterable[str], key: Callable[[str], Any] = name_of) -> list[str]:
    """The files as they are read, given with those of the folder that wins first.

    >>> in_order(["/etc/x.d/50-a.conf", "/usr/lib/x.d/50-a.conf", "/usr/lib/x.d/10-b.conf"])
    ['/usr/lib/x.d/10-b.conf', '/etc/x.d/50-a.conf']
    """
    effective: dict[str, str] = {}
    for file in files:
        effective.setdefault(name_of(file), file)
    return sorted(effective.values(), key=key)


def lines_of(text: str, files: Iterable[str]) -> Iterator[tuple[str, str]]:
    """File and text of grep's ``FILE:LINE``, in the order of these files; lines of other files are left out."""
    rank = {file: number for number, file in enumerate(files)}
    found = [(file, line) for file, colon, line in (one.partition(":") for one in text.splitlines()) if colon and file in rank]
    yield from sorted(found, key=lambda one: rank[one[0]])
