"""The dumps that lie on the host, and what was written beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .. import vmcore, vmcore_evidence
from ..fact import Maybe, derived, fact
from ..parsers.dump import Completeness, Dump, State
from ..parsers.dump_folder import UNFINISHED, DumpListing, Note, Notes
from ..parsers.unreadable import Unreadable
from ..verdict import CouldNotDetermine, NotApplicable


@dataclass(frozen=True)
class StoredDump:
    """One dump file: bytes on disk, and what its bytes say."""

    path: str
    dump: Dump
    being_written: bool = False


def stored(text: str) -> tuple[StoredDump, ...]:
    """The judged dumps of ``dump_evidence``, the newest first."""
    try:
        return tuple(StoredDump(one.path, one.dump(), one.being_written) for one in vmcore_evidence.parse(text))
    except Unreadable as unreadable:
        raise ValueError(unreadable.reason) from unreadable


dump_listing = fact("dump_listing", "dump_listing", DumpListing.parse)
stored_dumps = fact("stored_dumps", "dump_evidence", stored, slow=True)
dump_notes = fact("dump_notes", "dump_notes", Notes.parse, slow=True)


@derived
def dumps(dump_listing: DumpListing, maybe_stored_dumps: Maybe[tuple[StoredDump, ...]]) -> tuple[StoredDump, ...]:
    """Every dump, the newest first. Not applicable without any."""
    if not dump_listing.dumps:
        if dump_listing.unknown:
            raise CouldNotDetermine(f"whether there are dumps on this host: {dump_listing.unknown[0]}")
        if dump_listing.elsewhere:
            raise NotApplicable(f"dumps go to {dump_listing.elsewhere[0]}; there is none on this host")
        if not dump_listing.folders:
            raise NotApplicable(f"there is no dump on this host: {dump_listing.missing[0]} does not exist yet")
        raise NotApplicable(f"there is no dump on this host yet (looked in {' and '.join(dump_listing.folders)})")
    judged = {one.path: one for one in maybe_stored_dumps.otherwise(())}
    not_read = str(maybe_stored_dumps.reason or "its bytes were not read: it is none of the newest, or it vanished")
    return tuple(
        judged.get(file.path)
        or StoredDump(
            file.path,
            Dump(
                "empty" if file.size == 0 else "unknown",
                file.size,
                vmcore.EMPTY if file.size == 0 else Completeness.cannot_tell(not_read),
            ),
        )
        for file in dump_listing.dumps
    )


def _split_apart(dumps: tuple[StoredDump, ...]) -> Iterator[tuple[StoredDump, ...]]:
    """The dumps, the files of one `makedumpfile --split` together."""
    together: dict[object, dict[object, StoredDump]] = defaultdict(dict)
    for one in dumps:
        split = one.dump.split
        if split:
            whole = (one.dump.build_id, one.dump.release, one.dump.crash_time, split.max_mapnr)
            together[whole].setdefault((split.start_pfn, split.end_pfn), one)
        else:
            together[one.path][None] = one
    return (tuple(files.values()) for files in together.values())


@derived
def damaged_dumps(dump_listing: DumpListing, dumps: tuple[StoredDump, ...]) -> list[str]:
    """A sentence for each dump that is not whole."""
    damaged, unknown = [], list(dump_listing.unknown)
    for files in _split_apart(dumps):
        one = files[0]
        complete = one.dump.complete
        if one.dump.split:
            complete = vmcore.judge_split([file.dump for file in files], elsewhere=True)
        if complete.state is State.INCOMPLETE:
            damaged.append(f"{one.path}: {complete.reason}{vmcore.missing(complete)}, {one.dump.size} bytes on disk")
        elif complete.state is State.CANNOT_TELL and not one.being_written and UNFINISHED.search(one.path.rpartition("/")[2]):
            damaged.append(f"{one.path}: its name says that saving it never ended, {one.dump.size} bytes on disk")
        elif complete.state is State.CANNOT_TELL:
            unknown.append(f"{one.path}: {complete.reason}")
    if unknown and not damaged:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise CouldNotDetermine(unknown[0] + more)
    return damaged


def _last_test(notes: Sequence[Note]) -> Note | None:
    """What tells of kdumpctl's last test, of its vmcore-creation.status, the newest first.

    "pending ID" is kdumpctl's own before it crashes the machine, and stays where VMCORE_CREATION_NOTIFICATION is off; the capture
    kernel writes "fail ID", then "success ID", beside the dump. "manual ID": kdumpctl could not get at that.
    """
    if not notes:
        return None
    told = (note for note in notes if note.lines and note.lines[0].startswith(("success", "fail")))
    of_it = (note for note in told if note.lines[0].split()[1:] == "".join(notes[0].lines[:1]).split()[1:])
    return next(of_it, notes[0])


@derived
def failed_saves(dump_notes: Notes, dump_listing: DumpListing, maybe_stored_dumps: Maybe[tuple[StoredDump, ...]]) -> list[str]:
    """What the saving tools wrote of dumps that they could not finish, unless the dump's bytes say that all of it is there.

    SUSE's README.txt: openSUSE/kdump@34da4b8, dracut/kdump-save; vmcore-creation.status (see :func:`_last_test`) and
    kexec-dmesg.log: rhkdump/kdump-utils@63f248c, kdumpctl and dracut/99kdumpbase/kdump.sh. EulerOS's kdump_status.log has
    no published format: it is evidence, and judges nothing.
    """
    whole = {one.path.rpartition("/")[0] for one in maybe_stored_dumps.otherwise(()) if one.dump.complete.state is State.COMPLETE}
    last_test = _last_test([note for note in dump_notes.notes if note.name == "vmcore-creation.status"])
    failed, judged = [], 0
    for note in dump_notes.notes:
        lines: tuple[str, ...] = ()
        if note.name == "README.txt":
            lines = tuple(line for line in note.lines if line.startswith("vmcore status: ") or "crash dump is likely" in line)
            bad = [line for line in lines if not line.endswith((" saved successfully", " skipped"))]
        elif note.name == "kexec-dmesg.log":
            lines = tuple(line for line in note.lines if "saving vmcore " in line)[-1:]
            bad = [line for line in lines if "saving vmcore failed" in line]
        elif note is last_test:
            lines = note.lines[:1]
            bad = [line for line in lines if line.startswith("fail")]
        judged += bool(lines)
        if lines and bad and note.folder not in whole:
            failed.append(f"{note.path}: {bad[-1].strip()}")
    if failed:
        return failed
    if closed := next((note.path for note in dump_notes.notes if note.closed), None):
        raise CouldNotDetermine(f"no permission to read {closed}: connect as root or use --sudo")
    if not dump_notes.complete:
        raise CouldNotDetermine("what was written beside the dumps could not be read to its end")
    if last_test and last_test.lines and not last_test.lines[0].startswith(("success", "fail")):
        raise CouldNotDetermine(f"{last_test.path}: {last_test.lines[0].strip()}: how kdumpctl's last test went is not known")
    if not judged:
        if dump_listing.unknown:
            raise CouldNotDetermine(f"what was written beside the dumps: {dump_listing.unknown[0]}")
        raise NotApplicable("no tool left a note about a saved dump on this host")
    return failed
