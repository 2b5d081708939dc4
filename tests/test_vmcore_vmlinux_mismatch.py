"""The vmlinux on this host is not the one of the kernel that dumps.

crash and drgn need the vmlinux of exactly the build that crashed. One of another build with the same release opens with
a warning at best, and shows wrong data. It is noticed in the night of the analysis, when the right one may be deleted.
The kernel's build-id tells builds apart where `uname -r` does not.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "vmcore-vmlinux-mismatch",
    stage=Stage.ANALYSE,
    severity=Severity.UNREADABLE_VMCORE,
    remediation="Install the debuginfo (vmlinux) of exactly the kernel that runs, or that crashed: the one with its build-id.",
    references=["https://docs.kernel.org/admin-guide/kdump/kdump.html#analysis"],
)


def test_vmlinux_opens_dumps_of_the_running_kernel(debuginfo_for_running_kernel):
    assert not debuginfo_for_running_kernel, "\n".join(debuginfo_for_running_kernel)


def test_vmlinux_opens_dumps_of_the_next_kernel(debuginfo_for_next_kernel):
    assert not debuginfo_for_next_kernel, "\n".join(debuginfo_for_next_kernel)


def test_vmlinux_opens_the_dumps_that_are_here(dumps_without_vmlinux):
    assert not dumps_without_vmlinux, "\n".join(dumps_without_vmlinux)
