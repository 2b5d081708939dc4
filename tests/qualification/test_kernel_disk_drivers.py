"""The kernel has no driver for the disk that dumps go to.

A self-built or a slimmed kernel ("cloud" flavours are) may lack the driver of the disk or of the file system that dumps are
saved to, while the machine's own root needs neither. The kdump initramfs is built without complaint; after the panic
the capture kernel waits for the disk, gives up, and drops into a shell or reboots. The same happens where a kdump initramfs
lies ready for the kernel that was built before the disk came, or for another kernel, or that the kernel cannot unpack because it
was built without the decompressor (CONFIG_RD_*).
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "dump-disk-not-visible",
    stage=Stage.SAVE,
    severity=Severity.NO_VMCORE,
    remediation="Build the kernel with the drivers that are named, or install the package that has them (kernel-modules-extra).",
    references=["https://docs.kernel.org/admin-guide/kdump/kdump.html"],
)


def test_kernel_has_the_drivers_of_the_disk(judged_release, drivers_missing_in_kernel):
    assert not drivers_missing_in_kernel, (
        f"neither a module of kernel {judged_release} nor built into it: {', '.join(drivers_missing_in_kernel)}"
    )


def test_kdump_initramfs_that_lies_ready_has_them(judged_release, missing_in_kdump_image):
    assert not missing_in_kdump_image, f"the kdump initramfs of kernel {judged_release} lacks {', '.join(missing_in_kdump_image)}"


def test_kernel_can_unpack_the_kdump_initramfs_that_lies_ready(judged_release, kdump_image_decompressors_lacking):
    assert not kdump_image_decompressors_lacking, (
        f"kernel {judged_release} was built without {', '.join(kdump_image_decompressors_lacking)}: it cannot unpack the kdump "
        "initramfs that lies ready for it"
    )
