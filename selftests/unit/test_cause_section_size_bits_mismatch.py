"""Red, green and cannot-know of section sizes and of page exclusion; the tables are makedumpfile's own."""

import pytest

import kdump.facts.identity
import kdump.facts.makedumpfile  # noqa: F401
from kdump.fact import UID
from kdump.transcript import Reading
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, missing, says

RED, GREEN, NOT_APPLICABLE, UNKNOWN = Verdict.PRESENT, Verdict.ABSENT, Verdict.NOT_APPLICABLE, Verdict.UNDETERMINED
ROOT = Reading(UID, "0", "", 0)
ARM, X86 = says("kernel_machine", "aarch64"), says("kernel_machine", "x86_64")
EXPORTS = says("vmcoreinfo", "OSRELEASE=5.10.0\nNUMBER(SECTION_SIZE_BITS)=27")
SILENT = says("vmcoreinfo", "OSRELEASE=4.19.90\nPAGESIZE=4096")
READS, DEAF = says("makedumpfile_reads_section_size", "1"), says("makedumpfile_reads_section_size", "0", "", 1)
NEEDLESS = says("makedumpfile_trial", "not needed")
TABLE = """\
MemTotal:         719320 kB
MemFree:          573724 kB
The kernel version is not supported.
The makedumpfile operation may be incomplete.

TYPE		PAGES			EXCLUDABLE	DESCRIPTION
----------------------------------------------------------------------
ZERO		7194            	yes		Pages filled with zero
FREE		{free}          	yes		Free pages
KERN_DATA	38408           	no		Dumpable kernel data

page size:		4096
Total pages on system:	209835          """
WALKS = says("makedumpfile_trial", TABLE.format(free=143431))
FAILS = says("makedumpfile_trial", "get_mm_sparsemem: Can't get the address of mem_section.\n\nmakedumpfile Failed.", "", 1)
OTHER = says("makedumpfile_trial", "Can't read mem_section array.\nCan't get the address of mem_section.", "", 1)
UNRESERVED = says("makedumpfile_trial", "show_mem_usage: No memory is reserved for crashkernel!\n\nmakedumpfile Failed.", "", 1)
SLOW = says("makedumpfile_trial", "MemFree: 1 kB", "", 124)
DEFAULT = says("makedumpfile_copy", "same the kdump initramfs was built after it was installed")
OTHER_READS = says("makedumpfile_copy", "host id aa\nhost reads\nimage id bb\nimage reads")
OTHER_DEAF = says("makedumpfile_copy", "host id aa\nhost reads\nimage id bb")
SAME_BUILD = says("makedumpfile_copy", "host id aa\nhost reads\nimage id aa\nimage reads")
HIDDEN = says("makedumpfile_copy", "host id aa\nhost reads")
SCP = (says("kdump_userspace", "/usr/bin/kdumpctl"), says("core_collector_lines", "core_collector scp"))


@pytest.mark.parametrize(
    ("readings", "verdict", "words"),
    [
        ([ARM, EXPORTS, READS, NEEDLESS], GREEN, ""),
        ([X86, EXPORTS, READS, NEEDLESS], GREEN, ""),
        ([ARM, SILENT, READS, WALKS], GREEN, ""),
        ([ARM, SILENT, READS, FAILS], RED, "does not export"),
        ([ARM, EXPORTS, DEAF, FAILS], RED, "does not read"),
        ([ARM, SILENT, READS, OTHER], UNKNOWN, "mem_section"),
        ([ARM, SILENT, READS, SLOW], UNKNOWN, "did not finish"),
        ([ARM, SILENT, READS, UNRESERVED], UNKNOWN, "only where memory is reserved"),
        ([ARM, denied("vmcoreinfo"), READS], UNKNOWN, "--sudo"),
        ([X86, denied("vmcoreinfo"), READS], NOT_APPLICABLE, "x86_64"),
        ([ARM, EXPORTS, missing("makedumpfile_reads_section_size")], NOT_APPLICABLE, "not installed"),
        ([ARM, SILENT, READS, *SCP], NOT_APPLICABLE, "scp"),
        # the number is read, and does not help
        ([ARM, EXPORTS, READS, FAILS], RED, "all the same"),
        ([X86, EXPORTS, READS, FAILS], RED, "all the same"),
        ([ARM, EXPORTS, READS, SLOW], GREEN, ""),
        # the capture kernel will run the one in its initramfs
        ([ARM, EXPORTS, READS, OTHER_READS], GREEN, ""),
        ([ARM, EXPORTS, READS, OTHER_DEAF, WALKS], UNKNOWN, "another one"),
        ([ARM, SILENT, READS, OTHER_READS, WALKS], UNKNOWN, "another one"),
        ([ARM, SILENT, READS, SAME_BUILD, WALKS], GREEN, ""),
        ([ARM, EXPORTS, READS, HIDDEN], UNKNOWN, "another one"),
        ([X86, EXPORTS, READS, HIDDEN], NOT_APPLICABLE, "x86_64"),
        ([X86, SILENT, READS, SLOW], NOT_APPLICABLE, "x86_64"),
        ([X86, SILENT, READS, FAILS], RED, "does not export"),
    ],
)
def test_section_sizes(readings, verdict, words):
    found, said = ask(
        host(ROOT, DEFAULT, *readings),
        "section_size_bits_mismatch",
        "makedumpfile_walks_memory_in_the_kernels_sections",
    )
    assert (found, words in said) == (verdict, True), said
