"""Kernel and makedumpfile may disagree on the size of a memory section (SECTION_SIZE_BITS).

makedumpfile walks the kernel's page structures section by section. With another section size than the kernel's it fails,
and after the panic there is no vmcore. On arm64 the size was changed, and differs by page size and by vendor. A kernel that
exports the number, together with a makedumpfile that reads it, cannot disagree; of any other pair only a trial on the
running kernel tells, before the crash does.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "section-size-bits-mismatch",
    stage=Stage.SAVE,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Use a kernel that exports NUMBER(SECTION_SIZE_BITS) in VMCOREINFO (Linux 5.13, or 5.10 with its stable updates) and "
        "makedumpfile 1.5.7 or later."
    ),
    references=[
        "https://docs.kernel.org/admin-guide/kdump/vmcoreinfo.html",
        "https://github.com/makedumpfile/makedumpfile/commit/5d1f20919cfddc5fa04e4afd5ff0b1e4823a517b",
    ],
)


def test_kernel_tells_makedumpfile_its_section_size(judged_section_size):
    assert judged_section_size
