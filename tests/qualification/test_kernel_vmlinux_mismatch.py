"""The vmlinux at hand is not of this kernel's build.

crash and drgn need the vmlinux of exactly the build that crashed. Release engineers meet another one when a kernel was
rebuilt with the same release, when debuginfo was kept of an earlier build, or when the image alone was copied to a host. It
opens with a warning at best, and shows wrong data. Build number, build time and build-id tell builds apart where the
release does not.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "vmcore-vmlinux-mismatch",
    stage=Stage.ANALYSE,
    severity=Severity.UNREADABLE_VMCORE,
    remediation="Keep, or install, the vmlinux of exactly this build of the kernel.",
    references=["https://docs.kernel.org/admin-guide/kdump/kdump.html#analysis"],
)


def test_vmlinux_at_hand_is_of_this_build(debuginfo_of_kernel):
    assert not debuginfo_of_kernel, "\n".join(debuginfo_of_kernel)
