"""The reservation is too small for the capture kernel.

The capture kernel runs in the reserved memory alone. If that is too little it cannot be loaded, or it starts after the
panic and dies of "Out of memory" while its initramfs unpacks, while drivers start or while makedumpfile works. Only the
serial console sees it: there is no vmcore, nothing on disk says why, and without panic= on the capture kernel's command
line the machine hangs there for ever. Until the crash everything looks ready: loading needs far less than running.
kdump-tools boots the whole system for the dump, whose vm.min_free_kbytes= was meant for all of the memory.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "crashkernel-too-small",
    stage=Stage.BOOT,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Raise crashkernel= to the size that is named (as SIZE,high where no area below 4 GiB is large enough) and "
        "reboot; or make the kdump initramfs smaller, and take hugepages= and debugging options off the capture kernel's "
        "command line. Then crash the machine once to be sure."
    ),
    references=[
        "https://docs.kernel.org/admin-guide/kdump/kdump.html",
        "https://docs.kernel.org/filesystems/ramfs-rootfs-initramfs.html",
    ],
)


def test_reservation_covers_what_the_capture_kernel_needs(capture_memory):
    assert capture_memory.reserved >= capture_memory.least, (
        f"{capture_memory.reserved >> 20} MiB are reserved, and the capture kernel dies with less than "
        f"{capture_memory.least >> 20} MiB: {capture_memory.remedy}"
    )


def test_next_boot_reserves_enough_for_it_too(next_capture_memory):
    assert next_capture_memory.reserved >= next_capture_memory.least, (
        f"the next boot will reserve {next_capture_memory.reserved >> 20} MiB, and the capture kernel dies with less than "
        f"{next_capture_memory.least >> 20} MiB: {next_capture_memory.remedy}"
    )


def test_unpacked_initramfs_fits_into_its_file_system(capture_root):
    unpacked, _, most = capture_root
    assert unpacked <= most, (
        f"the kdump initramfs unpacks to {unpacked >> 20} MiB, and its file system, a tmpfs, holds at most {most >> 20} MiB: "
        "the capture kernel will say 'Initramfs unpacking failed: write error'"
    )


def test_capture_command_line_leaves_memory_free(capture_hazards):
    assert not capture_hazards, f"the capture kernel's command line takes its memory away: {'; '.join(capture_hazards)}"
