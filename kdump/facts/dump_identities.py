"""What tells every dump of a host from others, so that a new one is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ..fact import Maybe, derived
from ..parsers.dump_folder import DumpListing, Notes, panic_message
from .dumps import StoredDump
from .opened_dumps import OpenedDump


@dataclass(frozen=True)
class DumpIdentity:
    """What tells one dump from another. ``size`` in bytes, ``mtime`` in seconds since the epoch; ``crash_time``,
    ``release`` and ``build_id`` are the dump's own, ``panic`` the last words of the kernel's log that was saved beside
    it, or that came out of it when it was opened; None where they are not known."""

    path: str
    size: int
    mtime: int
    crash_time: datetime | None
    release: str | None
    build_id: str | None
    panic: str | None


@derived
def dump_identities(
    dump_listing: DumpListing,
    dumps: tuple[StoredDump, ...],
    maybe_dump_notes: Maybe[Notes],
    maybe_opened_dumps: Maybe[tuple[OpenedDump, ...] | None],
) -> tuple[DumpIdentity, ...]:
    """What tells every dump of this host from others, the newest first. Not applicable without any dump."""
    beside = _beside(maybe_dump_notes.otherwise(Notes((), False)))
    inside = {one.path: one.panic for one in maybe_opened_dumps.otherwise(None) or ()}
    return tuple(
        DumpIdentity(
            path=file.path,
            size=file.size,
            mtime=file.mtime,
            crash_time=one.dump.crash_time,
            release=one.dump.release,
            build_id=one.dump.build_id,
            panic=inside.get(file.path) or beside.get(file.folder),
        )
        for file, one in zip(dump_listing.dumps, dumps, strict=True)
    )


def _beside(notes: Notes) -> Mapping[str, str]:
    """Folder → the kernel's last words."""
    said = {note.folder: panic_message(note.panics) for note in notes.notes if note.panics}
    return {folder: words for folder, words in said.items() if words}
