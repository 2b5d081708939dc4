"""What will be reserved is too small for this kernel as capture kernel.

The capture kernel is, as a rule, the kernel that runs: a new, larger kernel, one with debugging options, or one whose initramfs
carries more drivers needs more memory than its predecessor, in a reservation that nobody changed. It is loaded, and
dies of "Out of memory" after the panic; only the serial console sees it.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "crashkernel-too-small",
    stage=Stage.BOOT,
    severity=Severity.NO_VMCORE,
    remediation="Raise crashkernel= in this kernel's boot entry to the size that is named, then crash the machine once.",
    references=["https://docs.kernel.org/admin-guide/kdump/kdump.html"],
)


def test_reservation_will_cover_what_this_kernel_needs(judged_capture_memory):
    assert judged_capture_memory.reserved >= judged_capture_memory.least, (
        f"{judged_capture_memory.reserved >> 20} MiB will be reserved, and as capture kernel this one dies with less than about "
        f"{judged_capture_memory.least >> 20} MiB: {judged_capture_memory.remedy}"
    )
