"""KASLR and kptr_restrict=2, or a short list of symbols, hide the kernel from kexec.

On x86_64 the older system call, kexec_load, makes kexec itself describe the running kernel's memory to the capture
kernel. It finds the kernel in /proc/kcore with the help of _stext in /proc/kallsyms; kernel.kptr_restrict=2 shows that
address to nobody, not even to root. kexec then looks where the kernel would lie without KASLR. About every second boot
the random offset is small enough and the load succeeds; on the others it fails with "Can't find kernel text map area from
kcore". A service that started well today says nothing about the next boot, nor about the next reload (a CPU or
memory hot-plug reloads).

On arm64 kexec (since 2.0.24) goes by the symbol _text, which a kernel without CONFIG_KALLSYMS_ALL does not list. kexec says
"Can't get the symbol of _text", takes the kernel to begin at a nonsensical address, and loads all the same: the capture kernel
boots, makedumpfile cannot read its /proc/vmcore ("Can't read pgd"), and the dump is an empty file.

kexec_file_load lets the kernel describe itself and is immune to both.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "kaslr-hides-kernel-layout",
    stage=Stage.LOAD,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Set kernel.kptr_restrict to 1 on x86_64 (root still sees addresses), to 2 on arm64 (where all symbols are hidden, kexec "
        "asks /proc/iomem), now and in /etc/sysctl.d, and restart the service. Or, on either, let the service use "
        'kexec_file_load, where the kernel has it: KEXEC_ARGS="-s" in /etc/sysconfig/kdump, KDUMP_KEXEC_ARGS="-s" in '
        "/etc/default/kdump-tools."
    ),
    references=[
        "https://docs.kernel.org/admin-guide/sysctl/kernel.html#kptr-restrict",
        "https://git.kernel.org/pub/scm/utils/kernel/kexec/kexec-tools.git/tree/kexec/arch/i386/crashdump-x86.c",
        "https://git.kernel.org/pub/scm/utils/kernel/kexec/kexec-tools.git/tree/kexec/arch/arm64/crashdump-arm64.c",
    ],
)


def test_kexec_can_find_the_kernel(layout_search):
    assert not layout_search.hidden, (
        f"kernel.kptr_restrict is {layout_search.kptr_restrict}, KASLR is in effect and the capture kernel is loaded by "
        f"kexec_load: kexec can only guess where the kernel lies, {layout_search.luck}"
    )
    assert layout_search.by_symbol is not False or layout_search.by_address is not False, (
        "kexec finds the kernel in /proc/kcore neither by _stext nor by address: the next load fails"
    )


def test_kexec_can_find_the_kernel_after_the_next_boot(kptr_restrict_at_boot):
    assert kptr_restrict_at_boot is None or int(kptr_restrict_at_boot.value) < 2, (
        f"{kptr_restrict_at_boot.file} sets kernel.kptr_restrict={kptr_restrict_at_boot.value} at the next boot; with "
        "KASLR and kexec_load about every second boot will then have no capture kernel"
    )


def test_kexec_can_tell_where_the_kernel_begins(kernel_start):
    assert kernel_start.taken == kernel_start.real, (
        f"the kernel begins at {kernel_start.real:#x}, and kexec_load will tell the capture kernel {kernel_start.taken:#x}, "
        "because /proc/kallsyms does not list _text (a kernel without CONFIG_KALLSYMS_ALL): /proc/vmcore cannot be read then, "
        "and nothing is saved"
    )
