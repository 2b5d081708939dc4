"""Kernel and makedumpfile disagree on the size of a memory section (SECTION_SIZE_BITS).

The kernel keeps its page structures in sections of memory, whose size is a constant of its source. makedumpfile walks
them to save the dump. With another size than the kernel's it finds nonsense ("Can't get the address of mem_section"),
fails, and after the panic there is no vmcore, although the service was active. It bit on arm64, where kernels were built
with 27 and with 30 while makedumpfile had one of the two compiled in. Kernels since 5.13 (and their stable branches)
export the number and makedumpfile since 1.5.7 listens; a self-built kernel or a patched makedumpfile may still differ.
Nothing else notices: makedumpfile first meets the kernel's sections when it is too late.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "section-size-bits-mismatch",
    stage=Stage.SAVE,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Use a makedumpfile that was built for this kernel, or one of 1.5.7 or later together with a kernel that exports "
        "NUMBER(SECTION_SIZE_BITS) in VMCOREINFO (Linux 5.13, or 5.10 with its stable updates); for a self-built arm64 "
        "kernel, set SECTION_SIZE_BITS in arch/arm64/include/asm/sparsemem.h to makedumpfile's number."
    ),
    references=[
        "https://docs.kernel.org/admin-guide/kdump/vmcoreinfo.html",
        "https://github.com/makedumpfile/makedumpfile/commit/5d1f20919cfddc5fa04e4afd5ff0b1e4823a517b",
    ],
)


def test_makedumpfile_walks_memory_in_the_kernels_sections(section_size):
    assert section_size.agree, section_size.evidence
