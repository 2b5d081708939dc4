"""No memory will be reserved when this kernel boots.

Each kernel has a boot entry of its own, with a command line of its own. One that was added by hand, made from a template
without crashkernel=, or kept from before kdump was set up reserves nothing, and with this kernel kdump does not start. The
running kernel says nothing about it.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "crashkernel-not-reserved",
    stage=Stage.RESERVE,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Put crashkernel=SIZE on the command line of this kernel's boot entry (kdumpctl reset-crashkernel --kernel=ALL, "
        "grubby --update-kernel=ALL, or GRUB_CMDLINE_LINUX and update-grub)."
    ),
    references=["https://docs.kernel.org/admin-guide/kdump/kdump.html#crashkernel-syntax"],
)


def test_boot_entry_of_this_kernel_reserves_memory(judged_reservation):
    assert not judged_reservation.problem, (
        f"this kernel will reserve no memory for the capture kernel: {judged_reservation.problem} ({judged_reservation.source})"
    )
