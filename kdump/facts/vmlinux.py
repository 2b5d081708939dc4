"""The vmlinux files at hand, and which kernels' dumps they open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .. import vmcore, vmcore_evidence
from ..bytesource import Memory
from ..fact import Maybe, derived, fact
from ..parsers import elf_notes
from ..parsers.bootloader import NextBoot
from ..parsers.dump import State
from ..parsers.kernel_image import Identity
from ..parsers.unreadable import Unreadable
from ..parsers.vmlinux import Vmlinux, is_of
from ..verdict import CouldNotDetermine, NotApplicable
from .dumps import StoredDump

_KEEP = "keep the matching one for the analysis, or name it with --vmlinux"
_DWARF_UNSEEN = "whether it has DWARF is not to be seen in a compressed file: decompress it"
_NO_DWARF = "has no DWARF: crash needs the kernel's debuginfo package"


@dataclass(frozen=True)
class Candidate:
    """One vmlinux or .debug file; ``image`` is None where it could not be read, ``problem`` then says why.

    ``given``: it was named with ``--vmlinux``.
    """

    path: str
    image: Vmlinux | None
    problem: str = ""
    given: bool = False

    @property
    def is_debuginfo(self) -> bool:
        """Whether it is meant for the analysis of dumps. SUSE's kernel package has a vmlinux without DWARF in /boot, or a
        compressed one beside its modules; crash itself unpacks one that is debuginfo (crash-utility/crash:filesys.c,
        is_compressed_kernel())."""
        if self.given or self.image is None or self.image.has_dwarf or self.path.startswith("/usr/lib/debug/"):
            return True
        return not self.path.startswith("/boot/") and self.image.compression is None

    @property
    def may_lack_dwarf(self) -> bool:
        """Whether it may be the kernel package's own file, compressed, so that its DWARF is not to be seen: SUSE's
        /usr/lib/modules/RELEASE/vmlinux.xz. What lies where debuginfo is installed is debuginfo."""
        return self.image is not None and self.image.has_dwarf is None and not self.path.startswith("/usr/lib/debug/")

    def claims(self, release: str) -> bool:
        """Whether it should be of the kernel of that release. A folder that cannot be read may hold what is."""
        return self.given or self.path.endswith("/") or is_of(self.path, release)


def candidates(text: str) -> tuple[Candidate, ...]:
    """The vmlinux files of ``vmlinux_files``."""
    found = []
    try:
        evidence = vmcore_evidence.parse(text)
    except Unreadable as unreadable:
        raise ValueError(unreadable.reason) from unreadable
    for one in evidence:
        try:
            found.append(Candidate(one.path, one.vmlinux(), given=one.given))
        except Unreadable as unreadable:
            found.append(Candidate(one.path, None, unreadable.reason, one.given))
    return tuple(found)


def gnu_build_id(text: str) -> str | None:
    """The build-id in ELF notes, given as hexadecimal bytes (/sys/kernel/notes); None where there is none.

    >>> gnu_build_id("04 00 00 00 02 00 00 00 03 00 00 00 47 4e 55 00 ab cd 00 00")
    'abcd'
    """
    data = bytes.fromhex("".join(text.split()))
    for note in elf_notes.walk(Memory(data), 0, len(data)):
        if note.owner == b"GNU" and note.type == elf_notes.NT_GNU_BUILD_ID:
            return data[note.offset : note.offset + note.size].hex()
    return None


def images(text: str) -> Mapping[str, Identity | None]:
    """``boot_images``: file → the build that it says it is of; None where it does not say.

    >>> images("/boot/vmlinuz-6.1.0:6.1.0 (a@b) #1 SMP Debian")["/boot/vmlinuz-6.1.0"].version
    '#1 SMP Debian'
    """
    rows = (line.partition(":") for line in text.split("\n") if line)
    return {path: Identity.parse(words) if words else None for path, _, words in rows}


vmlinux_candidates = fact("vmlinux_candidates", "vmlinux_files", candidates, slow=True)
# No such file: a kernel that exports no notes.
running_build_id = fact("running_build_id", "od -An -v -tx1 /sys/kernel/notes", gnu_build_id, absent=None)
running_identity = fact("running_identity", "cat /proc/version", Identity.parse)
boot_images = fact("boot_images", "boot_images", images, slow=True)


def _opens(
    found: Iterable[Candidate], name: str, build_id: str | None, maybe_identity: Maybe[Identity] | Identity
) -> tuple[Candidate | None, list[str], list[str]]:
    """Of the candidates for a kernel (called ``name``): the one that opens its dumps, what is wrong with the others, and
    what could not be known of them. By build-id; by the words in which a kernel names its build where it has none."""
    problems, unknown = [], []
    for one in found:
        if one.image is None:
            unknown.append(f"{one.path}: {one.problem}")
            continue
        if build_id and one.image.build_id:
            same, how = one.image.build_id == build_id, f"has build-id {one.image.build_id}, {name} {build_id}"
        else:
            identity = maybe_identity.value if isinstance(maybe_identity, Maybe) else maybe_identity
            said = [Identity.parse(banner) for banner in one.image.banners if " #" in banner]
            if not said:
                unknown.append(f"{one.path} does not say which build it is of, and {name} has no build-id to compare")
                continue
            same, how = identity in said, f"is of {said[-1]}, {name} is {identity}; there is no build-id to compare"
        if not same:
            problems.append(f"{one.path} {how}")
        elif one.image.has_dwarf is False:
            problems.append(f"{one.path} matches, but {_NO_DWARF}")
        elif one.may_lack_dwarf:
            unknown.append(f"{one.path} matches, but {_DWARF_UNSEEN}")
        else:
            return one, problems, unknown
    return None, problems, unknown


def _named_for_a_dump(one: Candidate, maybe_dumps: Maybe[tuple[StoredDump, ...]], release: str) -> bool:
    """Whether somebody named it for a dump that lies here and is of another kernel than this one."""
    image = one.image
    if not one.given or image is None or is_of(one.path, release):
        return False
    dumps = (stored.dump for stored in maybe_dumps.otherwise(()))
    return any(dump.release != release and vmcore.match(dump, image).matches for dump in dumps)


@derived
def debuginfo_for_running_kernel(
    kernel_release: str,
    maybe_running_build_id: Maybe[str | None],
    vmlinux_candidates: tuple[Candidate, ...],
    maybe_running_identity: Maybe[Identity],
    maybe_dumps: Maybe[tuple[StoredDump, ...]],
) -> list[str]:
    """Why no vmlinux here opens a dump of the running kernel; empty when one does.

    One that somebody named for a dump of another kernel, which lies here, is right for that.
    """
    mine = [one for one in vmlinux_candidates if one.is_debuginfo and one.claims(kernel_release)]
    mine = [one for one in mine if not _named_for_a_dump(one, maybe_dumps, kernel_release)]
    if not mine:
        raise NotApplicable(f"no debuginfo of the running kernel is installed here: {_KEEP}")
    opener, problems, unknown = _opens(mine, "the running kernel", maybe_running_build_id.value, maybe_running_identity)
    if opener:
        return []
    if unknown:
        raise CouldNotDetermine(unknown[0])
    return problems


def _next_images(boot: NextBoot) -> dict[str, str]:
    """Release → the image's path below the file system that the boot loader reads."""
    found = {}
    for entry in boot.entries:
        folder, _, name = entry.image.rpartition("/")
        release = folder.rpartition("/")[2] if name == "linux" else name.partition("-")[2]
        if not release[:1].isdigit():
            raise CouldNotDetermine(f"which kernel boots next: {entry.source} does not name its release ({entry.image})")
        found[release] = entry.image
    return found


@derived
def debuginfo_for_next_kernel(
    kernel_release: str,
    vmlinux_candidates: tuple[Candidate, ...],
    maybe_next_boot: Maybe[NextBoot],
    maybe_boot_images: Maybe[Mapping[str, Identity | None]],
    maybe_running_identity: Maybe[Identity],
    maybe_debuginfo_for_running_kernel: Maybe[list[str]],
    maybe_dumps: Maybe[tuple[StoredDump, ...]],
) -> list[str]:
    """Why no vmlinux here opens a dump of the kernel that boots next; empty when one does.

    Which build an image is of shows its header (x86); its build-id does not show before it runs.
    """
    if not any(one.is_debuginfo for one in vmlinux_candidates):
        raise NotApplicable(f"no debuginfo is installed here: {_KEEP}")
    problems, unknown = [], []
    following = judged = 0
    for release, path in _next_images(maybe_next_boot.value).items():
        image = maybe_boot_images.value.get(f"/boot/{path.rpartition('/')[2]}")
        if release == kernel_release and (image is None or image == maybe_running_identity.value):
            continue
        following += 1
        mine = [one for one in vmlinux_candidates if one.is_debuginfo and one.claims(release)]
        mine = [one for one in mine if not _named_for_a_dump(one, maybe_dumps, release)]
        if not mine:
            if maybe_debuginfo_for_running_kernel.reason is None and not maybe_debuginfo_for_running_kernel.value:
                judged += 1
                problems.append(f"{release} boots next: there is a vmlinux of the running {kernel_release} here, and none of it")
            continue
        judged += 1
        if image is None:
            unknown.append(f"{release} boots next: which build it is does not show before it runs")
            continue
        opener, wrong, unclear = _opens(mine, f"the image of {release}, which boots next,", None, image)
        if not opener:
            problems += [] if unclear else wrong
            unknown += unclear
    if not following:
        raise NotApplicable("the running kernel boots next")
    if unknown and not problems:
        raise CouldNotDetermine(unknown[0])
    if not judged:
        raise NotApplicable(f"no debuginfo of the kernel that boots next is installed here: {_KEEP}")
    return problems


@derived
def dumps_without_vmlinux(dumps: tuple[StoredDump, ...], vmlinux_candidates: tuple[Candidate, ...]) -> list[str]:
    """Why a vmlinux for a dump's release does not open that dump."""
    problems: list[str] = []
    unknown: list[str] = []
    judged = 0
    for one in dumps:
        found = [candidate for candidate in vmlinux_candidates if candidate.is_debuginfo]
        matching = [candidate for candidate in found if candidate.image and vmcore.match(one.dump, candidate.image).matches]
        if matching:
            judged += 1
            if all(candidate.may_lack_dwarf for candidate in matching):
                unknown.append(f"{matching[0].path} matches {one.path}, but {_DWARF_UNSEEN}")
            continue
        release = one.dump.release
        if found and not release and one.dump.complete.state is State.CANNOT_TELL:
            unknown.append(f"{one.path}: which kernel it is of was not seen: {one.dump.complete.reason}")
            judged += 1
        # One that was named may be for another dump: it is wrong for this one only where it is of the same release.
        mine = [candidate for candidate in found if release and candidate.claims(release) and _may_be_of(candidate, release)]
        judged += len(mine)
        for candidate in mine:
            if candidate.image is None:
                unknown.append(f"{candidate.path}: {candidate.problem}")
        matches = [(candidate.path, vmcore.match(one.dump, candidate.image)) for candidate in mine if candidate.image]
        unknown += [f"{one.path} and {path}: {match.reason}" for path, match in matches if match.matches is None]
        if all(candidate.image for candidate in mine):
            problems += [f"{one.path} and {path}: {match.reason}" for path, match in matches if match.matches is False]
    if not judged:
        raise NotApplicable(f"no debuginfo of the dumps' kernels is installed here: {_KEEP}")
    if unknown and not problems:
        raise CouldNotDetermine(unknown[0])
    return problems


def _may_be_of(candidate: Candidate, release: str) -> bool:
    if not candidate.given or candidate.image is None or is_of(candidate.path, release):
        return True
    return any(banner.startswith(f"Linux version {release} ") for banner in candidate.image.banners)
