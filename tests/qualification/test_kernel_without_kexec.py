"""The kernel is built without what kexec and kdump need.

A kernel needs a system call that loads a capture kernel, and the option that reserves memory for one. The capture
kernel, as a rule the same kernel, needs /proc/vmcore, an initramfs, and to run where it is loaded. A self-built or a slimmed
kernel may lack one of them. It boots and works; kdump does not start, or the capture kernel dies after the panic, before
it can say anything.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "kernel-without-kexec",
    stage=Stage.LOAD,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Build the kernel with CONFIG_KEXEC=y, CONFIG_KEXEC_FILE=y, CONFIG_CRASH_DUMP=y, CONFIG_PROC_VMCORE=y, "
        "CONFIG_RELOCATABLE=y, CONFIG_PROC_KCORE=y and CONFIG_KALLSYMS=y, or keep a kernel that is."
    ),
    references=[
        "https://docs.kernel.org/admin-guide/kdump/kdump.html#build-the-system-and-dump-capture-kernels",
        "https://github.com/torvalds/linux/blob/v6.12/kernel/Kconfig.kexec",
    ],
)


def test_kernel_can_load_a_capture_kernel(lacking_call):
    assert not lacking_call, lacking_call


def test_kernel_can_be_a_capture_kernel(lacking_for_capture):
    assert not lacking_for_capture, "\n".join(lacking_for_capture)


def test_kexec_can_describe_the_kernel(layout_options):
    assert not layout_options, "\n".join(layout_options)
