"""The kernel is built without debug information.

crash and drgn read a dump with the vmlinux of the very build that crashed, and need its DWARF. Without CONFIG_DEBUG_INFO
no such vmlinux exists, and building the kernel again with it makes another kernel, whose addresses differ. The dump is
taken, and is complete, and nobody can open it. It is noticed in the night of the analysis.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "kernel-without-debuginfo",
    stage=Stage.ANALYSE,
    severity=Severity.UNREADABLE_VMCORE,
    remediation=(
        "Build the kernel with CONFIG_DEBUG_INFO=y and without CONFIG_DEBUG_INFO_REDUCED, and keep the vmlinux of each build."
    ),
    references=[
        "https://docs.kernel.org/admin-guide/kdump/kdump.html#system-kernel-config-options",
        "https://github.com/crash-utility/crash/blob/master/README",
    ],
)


def test_kernel_is_built_with_debug_information(lacking_debuginfo):
    assert not lacking_debuginfo, lacking_debuginfo
