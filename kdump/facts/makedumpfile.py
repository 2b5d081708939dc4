"""Whether makedumpfile understands the memory map of this kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..parsers.dump_saver import DumpSaver
from ..parsers.kcore import vmcoreinfo
from ..parsers.makedumpfile import MemoryUsage, memory_usage
from ..verdict import CouldNotDetermine, NotApplicable

#: bytes of free memory (their half) that may come and go while makedumpfile counts
TOO_LITTLE = 32 << 20
SECTION_SIZE = "NUMBER(SECTION_SIZE_BITS)"
#: exported since pages have types (Linux 6.10; makedumpfile@bad2a7c)
PAGE_TYPE = "_SLAB_MAPCOUNT_VALUE"

# A note of /proc/kcore since Linux 4.19 (23c85094fe18).
kernel_vmcoreinfo = fact("vmcoreinfo", "kcore_vmcoreinfo", vmcoreinfo, root=True)


def occurrences(text: str) -> bool:
    """``grep -c``: whether there is any."""
    return int(text) > 0


# makedumpfile reads the number since 1.5.7 (5d1f209), and only then its text is in the binary (READ_NUMBER, makedumpfile.h)
makedumpfile_reads_section_size = fact(
    "makedumpfile_reads_section_size",
    "makedumpfile_reads SECTION_SIZE_BITS",
    occurrences,
    statuses=(0, 1),
    absent=NotApplicable("makedumpfile is not installed"),
)
makedumpfile_trial = fact("makedumpfile_trial", "makedumpfile_trial", memory_usage, statuses=(0, 1), root=True, slow=True)


@dataclass(frozen=True)
class Copy:
    """How the makedumpfile of the kdump initramfs compares to the host's. ``same``: None where that is not known."""

    same: bool | None
    reads_section_size: bool | None

    @classmethod
    def parse(cls, text: str) -> Copy:
        """Read ``capture_makedumpfile``.

        >>> Copy.parse("host id aa\\nhost reads\\nimage id bb\\nimage reads")
        Copy(same=False, reads_section_size=True)
        """
        lines = text.splitlines()
        if lines and lines[0].startswith("same "):
            return cls(True, None)
        ids = {whose: line.split(" ")[2] for line in lines for whose in ("host", "image") if line.startswith(f"{whose} id ")}
        if len(ids) < 2:
            return cls(None, None)
        return cls(ids["host"] == ids["image"], "image reads" in lines)


makedumpfile_copy = fact("makedumpfile_copy", "capture_makedumpfile", Copy.parse, slow=True)


@derived
def saved_by_makedumpfile(maybe_dump_saver: Maybe[DumpSaver]) -> bool:
    """Not where another program is configured; where that could not be read, every flavour's default is makedumpfile."""
    if maybe_dump_saver.known and not maybe_dump_saver.value.is_makedumpfile:
        raise NotApplicable(f"the dump is not saved by makedumpfile but by {maybe_dump_saver.value.program!r}")
    return True


_OTHER_COPY = "the kdump initramfs is older than the host's makedumpfile and holds another one, which was not tried: rebuild it"


@dataclass(frozen=True)
class SectionSize:
    """Whether kernel and makedumpfile agree on the size of a memory section, and how that is known."""

    agree: bool
    evidence: str


@derived
def section_size(
    saved_by_makedumpfile: bool,
    kernel_machine: str,
    maybe_vmcoreinfo: Maybe[Mapping[str, str]],
    maybe_makedumpfile_reads_section_size: Maybe[bool],
    maybe_makedumpfile_copy: Maybe[Copy],
    maybe_makedumpfile_trial: Maybe[MemoryUsage],
) -> SectionSize:
    """What the kernel exports against what makedumpfile will use: by the number where both speak of it, else by trial."""
    reads = maybe_makedumpfile_reads_section_size.value
    try:
        return _compared(reads, maybe_vmcoreinfo.value.get(SECTION_SIZE), maybe_makedumpfile_copy.value, maybe_makedumpfile_trial)
    except CouldNotDetermine:
        if kernel_machine == "x86_64":
            raise NotApplicable("on x86_64 a memory section has had the same size in every kernel and makedumpfile") from None
        raise


def _compared(reads: bool, bits: str | None, copy: Copy, maybe_trial: Maybe[MemoryUsage]) -> SectionSize:
    if copy.same is None:
        raise CouldNotDetermine(_OTHER_COPY)
    if copy.same is False:
        reads = bool(copy.reads_section_size)
    failed = maybe_trial.value.complaint if maybe_trial.known and copy.same else None
    if bits is not None and reads:
        if failed is not None:
            return SectionSize(
                False, f"makedumpfile reads {SECTION_SIZE}={bits}, and says {failed!r} on the running kernel all the same"
            )
        return SectionSize(True, f"the kernel exports {SECTION_SIZE}={bits} and makedumpfile reads it")
    silent = (
        f"makedumpfile does not read the kernel's {SECTION_SIZE}={bits}"
        if bits is not None
        else f"the kernel does not export {SECTION_SIZE}, so makedumpfile uses the number that it was built with"
    )
    if copy.same is False:
        raise CouldNotDetermine(f"{silent}; {_OTHER_COPY}")
    trial = maybe_trial.value
    if trial.complaint is not None:
        return SectionSize(False, f"{silent}; tried on the running kernel, makedumpfile says {trial.complaint!r}")
    if trial.pages is None:
        raise CouldNotDetermine(f"{silent}, and it was not tried on the running kernel")
    return SectionSize(True, f"{silent}; tried on the running kernel, it finds all memory sections")


@dataclass(frozen=True)
class PageExclusion:
    """Free memory in bytes: what makedumpfile recognises as such, and what the kernel says."""

    recognised: int
    free: int


_TYPELESS = NotApplicable("pages of this kernel have no types (Linux before 6.10): nothing to be taken for another")


@derived
def page_exclusion(
    saved_by_makedumpfile: bool,
    maybe_vmcoreinfo: Maybe[Mapping[str, str]],
    maybe_makedumpfile_trial: Maybe[MemoryUsage],
    maybe_makedumpfile_copy: Maybe[Copy],
) -> PageExclusion:
    """How much of the free memory makedumpfile would leave out of a dump."""
    counted = maybe_makedumpfile_trial.known and maybe_makedumpfile_trial.value.pages is not None
    # such a kernel's memory is walked for the size of its sections only
    if not counted and maybe_vmcoreinfo.known and not any(PAGE_TYPE in key for key in maybe_vmcoreinfo.value):
        raise _TYPELESS
    trial = maybe_makedumpfile_trial.value
    if trial.complaint is not None:
        raise CouldNotDetermine(f"makedumpfile cannot walk the memory map at all: {trial.complaint}")
    if trial.pages is None:
        raise _TYPELESS
    if not maybe_makedumpfile_copy.value.same:
        raise CouldNotDetermine(_OTHER_COPY)
    recognised = trial.pages["FREE"] * trial.page_size
    if 0 < recognised < trial.mem_free // 2 < TOO_LITTLE:
        raise CouldNotDetermine(f"only {trial.mem_free >> 20} MiB of memory are free now, which comes and goes: ask again later")
    return PageExclusion(recognised, trial.mem_free)
