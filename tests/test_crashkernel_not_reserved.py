"""No memory is reserved for the capture kernel.

The kernel keeps memory for a capture kernel only if crashkernel= on its command line asks for it, and only if an area
of that size is free early at boot. Without a reservation nothing can be loaded, and a panic leaves no vmcore: the
machine hangs or reboots. The kernel says nothing at all when the size exceeds the memory; on Debian and Ubuntu the
service is "active" all the same, elsewhere its unit may be merely inactive, so that nothing looks failed.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "crashkernel-not-reserved",
    stage=Stage.RESERVE,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Put crashkernel=SIZE on the kernel command line of the boot loader's default entry (kdumpctl "
        "reset-crashkernel, or GRUB_CMDLINE_LINUX and update-grub) and reboot. Where no area below 4 GiB is large "
        "enough, ask for crashkernel=SIZE,high; where the low part is what fails, add crashkernel=72M,low."
    ),
    references=[
        "https://docs.kernel.org/admin-guide/kdump/kdump.html#crashkernel-syntax",
        "https://docs.kernel.org/admin-guide/kernel-parameters.html",
    ],
)


def test_memory_is_reserved_for_the_capture_kernel(reservation):
    assert reservation.size > 0, f"no memory is reserved for the capture kernel: {reservation.why_none}"


def test_reservation_is_as_large_as_the_command_line_asks(reserved_range, requested_size):
    assert reserved_range.size >= requested_size, (
        f"{reserved_range.size >> 20} MiB are left of the {requested_size >> 20} MiB that crashkernel= asked for: the "
        "reservation was made smaller since (a write to /sys/kernel/kexec_crash_size)"
    )


def test_next_boot_reserves_memory_too(next_reservation):
    assert not next_reservation.problem, (
        f"the next boot will reserve no memory for the capture kernel: {next_reservation.problem} ({next_reservation.source})"
    )
