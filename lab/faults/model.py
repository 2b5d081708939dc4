"""What a staged fault is, and when the suite judged it rightly."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Collection, Mapping

from lab.qemu import Disk

DEBIAN11 = "debian11"
DEBIAN12 = "debian12"
DEBIAN13 = "debian13"
DEBIAN12_DRACUT = "debian12-dracut"
DEBIAN12_ARM64 = "debian12-arm64"

#: causes that are true of every machine of a target, whatever is staged on it
TRUE_OF = {
    # makedumpfile 1.7.6 takes every free page of Linux 6.12 for one in use
    DEBIAN13: frozenset({"free-pages-not-excluded"}),
    # its kernel does not list _text, and cannot do kexec_file_load
    DEBIAN12_ARM64: frozenset({"kaslr-hides-kernel-layout"}),
}
#: where a dump that kdump-tools saved is
DUMP = "$(ls -d /var/crash/2*/dump.*)"


@dataclasses.dataclass(frozen=True)
class Expect:
    """What the suite must say of a fault on one target, besides what is true of every machine of it.

    present       causes (ids) that it must call present
    allowed       consequences that it may call present besides: a failed reservation also leaves nothing loaded
    undetermined  causes of which at least one test must, or may for one in *allowed*, say that it cannot know
    cured         causes that are true of every other machine of the target, and not of this one
    """

    present: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    undetermined: frozenset[str] = frozenset()
    cured: frozenset[str] = frozenset()


def musts(target: str, wanted: Expect) -> frozenset[str]:
    """What must be called present: what is wanted of the fault, and what is true of the target, unless the fault changes that."""
    return wanted.present | (TRUE_OF.get(target, frozenset()) - wanted.undetermined - wanted.cured)


def expect(
    *present: str, allowed: Collection[str] = (), undetermined: Collection[str] = (), cured: Collection[str] = ()
) -> Expect:
    return Expect(frozenset(present), frozenset(allowed), frozenset(undetermined), frozenset(cured))


def everywhere(wanted: Expect) -> dict[str, Expect]:
    """The same on the plain machines of both releases."""
    return dict.fromkeys((DEBIAN12, DEBIAN13), wanted)


def and_arm64(wanted: Mapping[str, Expect]) -> dict[str, Expect]:
    """What is wanted on Debian 12, on its arm64 machine, too."""
    return {**wanted, DEBIAN12_ARM64: wanted[DEBIAN12]}


SILENT = expect()


@dataclasses.dataclass(frozen=True)
class Ground:
    """The machine that a fault is staged on: see lab.machine.Machine for all but these.

    kernel   a text in the kernel's image, and what stands in its place: see lab.image.edited_kernel
    prepare  root shell commands in the booted machine
    crash    it then really panics, and is back: the pattern that its console shows when the capture kernel is done
    """

    crashkernel: str | None = None
    cmdline: str = ""
    memory: int | None = None
    disks: tuple[Disk, ...] = ()
    devices: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    kernel: tuple[str, str] | None = None
    prepare: tuple[str, ...] = ()
    crash: str = ""


class Judge(enum.Enum):
    """Who judges a staged fault: see lab/faults/staging.py, lab/faults/forecast.py."""

    SUITE = "the suite, over SSH, as a user runs it"
    DRACUT = "the suite's forecast of the next squashed image, beside what the machine's dracut then builds"
    DRACUT_TEXT = "the same forecast alone: this dracut is not the one whose text was staged"
    IMAGE = "the suite's reading of the squashed image that the stage built"


@dataclasses.dataclass(frozen=True)
class Fault:
    """One staged fault.

    why    what is broken, in one sentence
    on     target -> what the suite must say there; a target that is not named does not fit
    stage  root shell commands on the ground
    undo   root shell commands that take the stage back, so that the next fault on the same ground needs no new machine;
           without them the machine's overlays are thrown away
    proof  the machine panics after it was judged, and its console must show this (multi-line regular expression)
    ci     part of `make test`: all others are staged by `make bench-faults` alone
    judge  who is asked about it
    says   causes that the tools' own words name in what it leaves: staging, journal, console; none where that is a
           matter of luck (kexec finds a hidden kernel at about half of the places that KASLR may choose)
    """

    name: str
    why: str
    on: Mapping[str, Expect]
    stage: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    ground: Ground = Ground()
    proof: str = ""
    ci: bool = False
    judge: Judge = Judge.SUITE
    says: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class NotStaged:
    """A fault that nobody can stage on these machines: it is never counted as found."""

    cause: str
    what: str
    reason: str


def misjudged(target: str, wanted: Expect, status: int, found: Mapping[str, Collection[str]]) -> list[str]:
    """A sentence for each miss and each false alarm in *found* (verdict -> causes); empty when all is as it should be.

    *status* is the suite's exit status.

    >>> misjudged("debian12", expect("vmcore-damaged"), 1, {"present": {"strings-missing"}})
    ['MISS: vmcore-damaged was not called present', 'FALSE ALARM: strings-missing was called present']
    """
    must = musts(target, wanted)
    present, unknown = set(found.get("present", ())), set(found.get("could not determine", ()))
    sentences = [f"MISS: {cause} was not called present" for cause in sorted(must - present)]
    sentences += [f"FALSE ALARM: {cause} was called present" for cause in sorted(present - must - wanted.allowed)]
    unsure = unknown - wanted.undetermined - wanted.allowed - must
    sentences += [f"UNKNOWN: {cause} could not be determined" for cause in sorted(unsure)]
    sure = wanted.undetermined - unknown - wanted.allowed
    sentences += [f"TOO SURE: {cause} was determined, and it cannot be" for cause in sorted(sure)]
    right = 1 if present else 6 if unknown else 0
    return sentences if status == right else [*sentences, f"EXIT STATUS: {status}, and it should be {right}"]
