"""What lies in the folders that dumps are saved in, and what the texts beside the dumps say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: a name that dracut's kdump.sh and kdump-config give to a dump until it is finished
UNFINISHED = re.compile(r"-incomplete")
_STAMP = re.compile(r"^(<\d+>)?\[\s*\d+\.\d+\]\s*(\[\s*[TC]\d+\])?\s*")
_PANIC = "Kernel panic - not syncing"


@dataclass(frozen=True)
class StoredFile:
    """``size`` in bytes, ``mtime`` in seconds since the epoch, by the clock of whoever wrote it."""

    path: str
    size: int
    mtime: int

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class DumpListing:
    """``folders`` were searched, ``missing`` do not exist, dumps are sent ``elsewhere`` (an address); ``unknown`` says
    why not every dump was seen. ``texts`` are what tools write beside ``dumps``."""

    folders: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    dumps: tuple[StoredFile, ...] = ()
    texts: tuple[StoredFile, ...] = ()

    @classmethod
    def parse(cls, text: str) -> DumpListing:
        """Read ``dump_listing``.

        >>> DumpListing.parse("folder /var/crash\\ndump 123 1767229261 /var/crash/202601010101/dump.202601010101").dumps[0].size
        123
        """
        words: dict[str, list[str]] = {"folder": [], "missing": [], "elsewhere": [], "unknown": []}
        files: dict[str, dict[str, StoredFile]] = {"dump": {}, "text": {}}
        for line in text.split("\n") if text else ():
            kind, _, rest = line.partition(" ")
            if kind in files:
                size, mtime, path = rest.split(" ", 2)
                files[kind][path] = StoredFile(path, int(size), int(mtime))
            elif kind in words:
                words[kind].append(rest)
            else:
                raise ValueError(f"unknown line {line[:60]!r}")
        if not words["folder"] and not words["missing"] and not words["unknown"] and not words["elsewhere"]:
            raise ValueError("no folder is named")
        dumps, texts = (tuple(sorted(files[kind].values(), key=lambda one: -one.mtime)) for kind in ("dump", "text"))
        folders, missing, elsewhere, unknown = (tuple(words[kind]) for kind in ("folder", "missing", "elsewhere", "unknown"))
        return cls(folders, missing, elsewhere, unknown, dumps, texts)


@dataclass(frozen=True)
class Note:
    """What one text says: ``lines`` of a tool, or ``panics`` of a kernel's log. ``closed``: it may not be read."""

    path: str
    lines: tuple[str, ...] = ()
    panics: tuple[str, ...] = ()
    closed: bool = False

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Notes:
    """The newest texts. ``complete`` is false where some were not read to their end."""

    notes: tuple[Note, ...]
    complete: bool

    @classmethod
    def parse(cls, text: str) -> Notes:
        """Read ``dump_notes``.

        >>> Notes.parse("file /var/crash/a/README.txt\\nsays vmcore status: saved successfully\\nend").notes[0].lines
        ('vmcore status: saved successfully',)
        """
        found: dict[str, dict[str, list[str]]] = {}
        here: dict[str, list[str]] | None = None
        complete = False
        lines = text.split("\n")
        for number, line in enumerate(lines):
            kind, _, rest = line.partition(" ")
            if kind == "file":
                here = found.setdefault(rest, {"says": [], "panic": [], "closed": []})
            elif kind == "end":
                complete = True
            elif here is not None and kind in here:
                here[kind].append(rest)
            elif number < len(lines) - 1:  # the last one may be cut off, or empty
                raise ValueError(f"unknown line {line[:60]!r}")
        notes = (Note(path, tuple(one["says"]), tuple(one["panic"]), bool(one["closed"])) for path, one in found.items())
        return cls(tuple(notes), complete)


def panic_message(panics: Sequence[str]) -> str | None:
    """The words of the last panic among lines of a kernel's log; of the last oops where no panic line was written.

    >>> panic_message(("[   84.1] BUG: kernel NULL pointer", "[   84.2] Kernel panic - not syncing: Fatal exception"))
    'Kernel panic - not syncing: Fatal exception'

    As `makedumpfile --dump-dmesg` writes it, which names the task:

    >>> panic_message(("[   69.926557] [    T447] Kernel panic - not syncing: sysrq triggered crash",))
    'Kernel panic - not syncing: sysrq triggered crash'
    """
    lines = [_STAMP.sub("", line).strip() for line in panics]
    return next((line for line in reversed(lines) if _PANIC in line), lines[-1] if lines else None)
