"""The dumps that lie on the host, and what opens them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .. import vmcore, vmcore_evidence
from ..bytesource import Memory
from ..fact import derived, fact
from ..parsers import elf_notes
from ..parsers.dump import Dump, State
from ..parsers.unreadable import Unreadable
from ..parsers.vmlinux import Vmlinux
from ..verdict import CouldNotDetermine, NotApplicable

#: dracut's kdump.sh and kdump-config rename a dump when it is finished; until then its name says so
_UNFINISHED = re.compile(r"-incomplete")


@dataclass(frozen=True)
class StoredDump:
    """One dump file: bytes on disk, and what its bytes say."""

    path: str
    dump: Dump


@dataclass(frozen=True)
class Candidate:
    """One vmlinux or .debug file; ``image`` is None where it could not be read, ``problem`` then says why."""

    path: str
    image: Vmlinux | None
    problem: str = ""


def sizes(text: str) -> dict[str, int]:
    """``SIZE PATH`` lines.

    >>> sizes("123 /var/crash/202601010101/dump.202601010101")
    {'/var/crash/202601010101/dump.202601010101': 123}
    """
    return {path: int(size) for size, path in (line.split(" ", 1) for line in text.splitlines())}


def stored(text: str) -> tuple[StoredDump, ...]:
    """The judged dumps of ``dump_evidence``, the newest first."""
    return tuple(StoredDump(one.path, one.dump()) for one in _evidence(text))


def candidates(text: str) -> tuple[Candidate, ...]:
    """The vmlinux files of ``vmlinux_files``."""
    found = []
    for one in _evidence(text):
        try:
            found.append(Candidate(one.path, one.vmlinux()))
        except Unreadable as unreadable:
            found.append(Candidate(one.path, None, unreadable.reason))
    return tuple(found)


def _evidence(text: str) -> list[vmcore_evidence.Evidence]:
    try:
        return vmcore_evidence.parse(text)
    except Unreadable as unreadable:
        raise ValueError(unreadable.reason) from unreadable


def gnu_build_id(text: str) -> str:
    """The build-id in ELF notes, given as hexadecimal bytes (/sys/kernel/notes).

    >>> gnu_build_id("04 00 00 00 02 00 00 00 03 00 00 00 47 4e 55 00 ab cd 00 00")
    'abcd'
    """
    data = bytes.fromhex("".join(text.split()))
    for note in elf_notes.walk(Memory(data), 0, len(data)):
        if note.owner == b"GNU" and note.type == elf_notes.NT_GNU_BUILD_ID:
            return data[note.offset : note.offset + note.size].hex()
    raise ValueError("there is no GNU build-id note")


def note_lines(text: str) -> tuple[tuple[str, str], ...]:
    """(file, line) of ``dump_notes``."""
    return tuple((path, words) for path, _, words in (line.partition(":") for line in text.splitlines()))


_NO_FOLDER = NotApplicable("there is no dump on this host: its dump folder does not exist yet")

dump_sizes = fact("dump_sizes", "dump_listing", sizes, absent=_NO_FOLDER)
stored_dumps = fact("stored_dumps", "dump_evidence", stored, absent=_NO_FOLDER, root=True, slow=True)
dump_notes = fact("dump_notes", "dump_notes", note_lines, absent=(), statuses=(0, 1))
vmlinux_candidates = fact("vmlinux_candidates", "vmlinux_files", candidates, slow=True)
running_build_id = fact("running_build_id", "od -An -v -tx1 /sys/kernel/notes", gnu_build_id)


@derived
def dumps(dump_sizes: dict[str, int], stored_dumps: tuple[StoredDump, ...]) -> tuple[StoredDump, ...]:
    """The newest dumps (sixteen at most). Not applicable without any."""
    if not dump_sizes:
        raise NotApplicable("there is no dump on this host yet")
    if not stored_dumps:
        raise CouldNotDetermine("dumps: the bytes of the dumps in the dump folder were not read")
    return stored_dumps


def _gap(dump: Dump) -> str:
    complete = dump.complete
    least = "at least " if complete.at_least else ""
    if complete.missing_bytes is not None:
        return f" ({least}{complete.missing_bytes} bytes missing)"
    return f" ({least}{complete.missing_pages} pages missing)" if complete.missing_pages is not None else ""


@derived
def damaged_dumps(dumps: tuple[StoredDump, ...], dump_sizes: dict[str, int]) -> list[str]:
    """A sentence for each dump that is not whole."""
    damaged = []
    for one in dumps:
        if one.dump.complete.state is State.INCOMPLETE:
            damaged.append(f"{one.path}: {one.dump.complete.reason}{_gap(one.dump)}, {one.dump.size} bytes on disk")
        elif _UNFINISHED.search(one.path.rpartition("/")[2]):
            damaged.append(f"{one.path}: its name says that saving it never ended, {one.dump.size} bytes on disk")
    unknown = [one for one in dumps if one.dump.complete.state is State.CANNOT_TELL]
    if unknown and not damaged:
        raise CouldNotDetermine(f"{unknown[0].path}: {unknown[0].dump.complete.reason}")
    if len(dump_sizes) > len(dumps) and not damaged:
        raise CouldNotDetermine(
            f"the newest {len(dumps)} dumps are complete, the other {len(dump_sizes) - len(dumps)} were not read"
        )
    return damaged


@derived
def failed_saves(dump_notes: tuple[tuple[str, str], ...]) -> list[str]:
    """What the saving tools wrote of dumps that they could not finish.

    SUSE's README.txt: openSUSE/kdump@34da4b8, dracut/kdump-save; vmcore-creation.status: rhkdump/kdump-utils@63f248c.
    EulerOS's kdump_status.log has no published format: it is evidence, and judges nothing.
    """
    if not dump_notes:
        raise NotApplicable("no tool left a note about a saved dump on this host")
    finished = {path for path, words in dump_notes if "saved successfully" in words}
    return [
        f"{path}: {words}"
        for path, words in dump_notes
        if ("crash dump is likely incomplete" in words and path not in finished)
        or (path.endswith("vmcore-creation.status") and words.startswith("fail"))
    ]


@derived
def debuginfo_for_running_kernel(
    kernel_release: str, running_build_id: str, vmlinux_candidates: tuple[Candidate, ...]
) -> list[str]:
    """Why no vmlinux here opens a dump of the running kernel; empty when one does."""
    mine = [one for one in vmlinux_candidates if kernel_release in one.path]
    if not mine:
        raise NotApplicable("no vmlinux of the running kernel is installed here: keep the matching one for the analysis")
    problems = []
    for one in mine:
        if one.image is None:
            continue
        if one.image.build_id != running_build_id:
            problems.append(f"{one.path} has build-id {one.image.build_id}, the running kernel {running_build_id}")
        elif one.image.has_dwarf is False:
            problems.append(f"{one.path} matches, but has no DWARF: crash needs the kernel's debuginfo package")
        else:
            return []
    if unread := next((one for one in mine if one.image is None), None):
        raise CouldNotDetermine(f"{unread.path}: {unread.problem}")
    return problems


@derived
def dumps_without_vmlinux(dumps: tuple[StoredDump, ...], vmlinux_candidates: tuple[Candidate, ...]) -> list[str]:
    """Why a vmlinux for a dump's release does not open that dump."""
    problems: list[str] = []
    unknown: list[str] = []
    judged = 0
    for one in dumps:
        images = _of_release(one.dump, vmlinux_candidates)
        matches = [vmcore.match(one.dump, image) for image in images]
        judged += len(matches)
        if any(match.matches for match in matches):
            continue
        problems += [f"{one.path}: {match.reason}" for match in matches if match.matches is False]
        unknown += [f"{one.path}: {match.reason}" for match in matches if match.matches is None]
    if not judged:
        raise NotApplicable("no vmlinux of the dumps' kernels is installed here: keep the matching ones for the analysis")
    if unknown and not problems:
        raise CouldNotDetermine(unknown[0])
    return problems


def _of_release(dump: Dump, found: Sequence[Candidate]) -> list[Vmlinux]:
    return [one.image for one in found if one.image is not None and dump.release and dump.release in one.path]
