"""Whether makedumpfile understands the memory map of this kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..parsers.kcore import vmcoreinfo
from ..parsers.makedumpfile import MemoryUsage, memory_usage
from ..verdict import CouldNotDetermine, NotApplicable

SECTION_SIZE = "NUMBER(SECTION_SIZE_BITS)"

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
core_collector_lines = fact(
    "core_collector_lines",
    "grep -hE '^[[:space:]]*core_collector[[:space:]]' /etc/kdump.conf",
    str,
    statuses=(0, 1),
    absent="",
)


@derived
def saved_by_makedumpfile(core_collector_lines: str) -> bool:
    """Not where kdump.conf names another program; without a word of it, every flavour uses makedumpfile."""
    lines = core_collector_lines.split("\n")
    if lines[-1].strip() and "makedumpfile" not in lines[-1]:
        raise NotApplicable(f"the dump is not saved by makedumpfile but by {lines[-1].split()[1]!r}")
    return True


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
    maybe_makedumpfile_trial: Maybe[MemoryUsage],
) -> SectionSize:
    """What the kernel exports against what makedumpfile will use: by the number where both speak of it, else by trial."""
    reads = maybe_makedumpfile_reads_section_size.value
    if maybe_vmcoreinfo.reason is not None and kernel_machine == "x86_64":
        raise NotApplicable("on x86_64 a memory section has had the same size in every kernel and every makedumpfile")
    bits = maybe_vmcoreinfo.value.get(SECTION_SIZE)
    if bits is not None and reads:
        return SectionSize(True, f"the kernel exports {SECTION_SIZE}={bits} and makedumpfile reads it")
    silent = (
        f"makedumpfile does not read the kernel's {SECTION_SIZE}={bits}"
        if bits is not None
        else f"the kernel does not export {SECTION_SIZE}, so makedumpfile uses the number that it was built with"
    )
    trial = maybe_makedumpfile_trial.value
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


@derived
def page_exclusion(saved_by_makedumpfile: bool, maybe_makedumpfile_trial: Maybe[MemoryUsage]) -> PageExclusion:
    """How much of the free memory makedumpfile would leave out of a dump."""
    trial = maybe_makedumpfile_trial.value
    if trial.complaint is not None:
        raise CouldNotDetermine(f"makedumpfile cannot walk the memory map at all: {trial.complaint}")
    if trial.pages is None:
        raise NotApplicable("pages of this kernel have no types (Linux before 6.10): nothing to be taken for another")
    return PageExclusion(trial.pages["FREE"] * trial.page_size, trial.mem_free)
