"""Red, green and cannot-know; the program headers are those of real boots of one kernel."""

import pytest

import kdump.facts.flavour
import kdump.facts.identity
import kdump.facts.initramfs
import kdump.facts.kaslr
import kdump.facts.kdump_settings
import kdump.facts.kernel
import kdump.facts.kernel_start
import kdump.facts.kexec
import kdump.facts.makedumpfile
import kdump.facts.memory
import kdump.facts.sysctl  # noqa: F401
from kdump.fact import UID
from kdump.facts.kexec import KexecCall, default_call
from kdump.transcript import Reading
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, missing, says

FILE = "kaslr_hides_kernel_layout"
RED, GREEN, NOT_APPLICABLE, UNKNOWN = Verdict.PRESENT, Verdict.ABSENT, Verdict.NOT_APPLICABLE, Verdict.UNDETERMINED
ROOT, NOBODY = Reading(UID, "0", "", 0), Reading(UID, "65534", "", 0)
NOW, LATER = "kexec_can_find_the_kernel", "kexec_can_find_the_kernel_after_the_next_boot"

# kexec-tools 2.0.25 and 2.0.27 (kexec/kexec.c usage()), shortened
HELP = """ -p, --load-panic     Load the new kernel for use on panic.
 -s, --kexec-file-syscall Use file based syscall for kexec operation
 -c, --kexec-syscall  Use the kexec_load syscall for for compatibility
                      with systems that don't support -s{c}
 -a, --kexec-syscall-auto  Use file based syscall for kexec and fall
                      understand the image{a}"""
OLD, NEW = HELP.format(c=" (default)", a=""), HELP.format(c="", a=" (default)")

NOTE = "0000000000000004 {0:016x} 0 0 {0:016x} 0 0"
TEXT = "0000000700000001 00007fffaba02000 {start:016x} 0000000005000000 0000000002c30000 0000000002c30000 0000000000001000"
MODULES = "0000000700000001 00007fffc0002000 ffffffffc0000000 ffffffffffffffff 3f000000 3f000000 1000"
UNLUCKY, LUCKY, UNMOVED = 0xFFFFFFFFABA00000, 0xFFFFFFFF95A00000, 0xFFFFFFFF81000000
WITHOUT = says("kernel_configurations", "/boot/config-6.1.0-56-amd64:CONFIG_KEXEC_FILE=y")


def boot(start=UNLUCKY, kptr=0):
    """One boot of a Debian 12 whose kernel KASLR has put to ``start``."""
    stext = 0 if kptr == 2 else start
    return [
        ROOT,
        says("kdump_userspace", "/usr/sbin/kdump-config"),
        says("kernel_machine", "x86_64"),
        says("kernel_release", "6.1.0-56-amd64"),
        says("cmdline", "root=/dev/vda crashkernel=256M"),
        missing("kdump_tools_defaults"),
        missing("secure_boot"),
        says("kexec_default", OLD),
        says(
            "kernel_configurations",
            "/boot/config-6.1.0-56-amd64:CONFIG_RANDOMIZE_BASE=y\n/boot/config-6.1.0-56-amd64:CONFIG_KEXEC_FILE=y",
        ),
        says("kptr_restrict", str(kptr)),
        says("stext", f"{stext:016x} T _stext"),
        says("kcore_segments", "\n".join([NOTE.format(0), TEXT.format(start=start), MODULES])),
        says("vmcoreinfo", f"OSRELEASE=6.1.0-56-amd64\nKERNELOFFSET={start - 0xFFFFFFFF81000000:x}"),
        says("sysctl_at_boot", "", "", 1),
    ]


def sysctl(folder_and_value):
    lines = [f"{file}:kernel.kptr_restrict = {value}" for file, value in folder_and_value]
    return says("sysctl_at_boot", "\n".join([file for file, _ in folder_and_value] + lines))


@pytest.mark.parametrize(
    ("readings", "verdict", "words"),
    [
        (boot(kptr=0), GREEN, ""),
        (boot(kptr=1), GREEN, ""),
        (boot(kptr=2), RED, "the next load fails"),
        (boot(LUCKY, kptr=2), RED, "by luck"),
        ([*boot(kptr=2), NOBODY], RED, "without root"),
        ([*boot(kptr=2), says("cmdline", "root=/dev/vda nokaslr")], NOT_APPLICABLE, "nokaslr"),
        # where it was linked: by chance, or because there is no KASLR
        (boot(UNMOVED, kptr=2), UNKNOWN, "by chance"),
        (boot(UNMOVED), GREEN, ""),
        ([*boot(UNMOVED, kptr=2), WITHOUT], NOT_APPLICABLE, "without KASLR"),
        ([*boot(UNMOVED, kptr=2), denied("kernel_configurations")], UNKNOWN, "denied"),
        ([*boot(kptr=2), says("kernel_machine", "aarch64")], NOT_APPLICABLE, "x86_64"),
        ([*boot(kptr=2), says("kexec_default", NEW)], NOT_APPLICABLE, "kexec_file_load"),
        ([*boot(kptr=2), says("kdump_tools_defaults", 'KDUMP_KEXEC_ARGS="-s"')], NOT_APPLICABLE, "kexec_file_load"),
        ([*boot(kptr=2), says("secure_boot", "6 0 0 0 1 6 0 0 0 0")], NOT_APPLICABLE, "kexec_file_load"),
        ([*boot(kptr=2), says("kexec_default", "", "sh: kexec: not found", 127)], UNKNOWN, "not installed"),
        # a kernel without CONFIG_KALLSYMS shows nobody any symbol
        ([*boot(), missing("stext")], RED, "neither by"),
        ([*boot(), says("stext", "", "", 1)], RED, "neither by"),
        ([*boot(LUCKY), missing("stext")], GREEN, ""),
        ([*boot(), denied("kptr_restrict")], UNKNOWN, "denied"),
        ([*boot(), NOBODY, denied("kernel_configurations")], UNKNOWN, "denied"),
    ],
)
def test_now(readings, verdict, words):
    found, said = ask(host(*readings), FILE, NOW)
    assert (found, words in said) == (verdict, True), said


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        (boot(), GREEN),
        ([*boot(), sysctl([("/etc/sysctl.d/60-hard.conf", 2)])], RED),
        ([*boot(UNMOVED), sysctl([("/etc/sysctl.d/60-hard.conf", 2)])], UNKNOWN),
        ([*boot(UNMOVED), sysctl([("/etc/sysctl.d/60-hard.conf", 1)])], GREEN),
        # the last file name wins, whatever its folder; a file of one name in /etc replaces the one in /usr/lib
        ([*boot(), sysctl([("/etc/sysctl.d/10-a.conf", 2), ("/usr/lib/sysctl.d/50-b.conf", 1)])], GREEN),
        ([*boot(), sysctl([("/etc/sysctl.d/50-b.conf", 1), ("/usr/lib/sysctl.d/50-b.conf", 2)])], GREEN),
        ([*boot(), says("cmdline", "root=/dev/vda sysctl.kernel.kptr_restrict=2")], RED),
        ([*boot(), sysctl([("/etc/sysctl.d/60-hard.conf", 2)]), says("kexec_default", NEW)], NOT_APPLICABLE),
        ([*boot(), says("sysctl_at_boot", "", "grep: /etc/sysctl.d/1.conf: Permission denied", 2)], UNKNOWN),
    ],
)
def test_after_the_next_boot(readings, verdict):
    found, said = ask(host(*readings), FILE, LATER)
    assert found == verdict, said


@pytest.mark.parametrize(
    ("text", "call"), [(OLD, KexecCall.LEGACY), (NEW, KexecCall.FILE_FIRST), (" -p, --load-panic X", KexecCall.LEGACY)]
)
def test_the_default_of_kexec_is_read_from_its_help(text, call):
    assert default_call(text) is call


OPENEULER = [says("kdump_userspace", "/usr/bin/kdumpctl"), says("file_load_switch", '\tif [ "$KDUMP_FILE_LOAD" == "on" ]; then')]


@pytest.mark.parametrize(
    ("sysconfig", "verdict"),
    [
        ('KEXEC_ARGS=""\nKDUMP_FILE_LOAD="off"', RED),
        ('KEXEC_ARGS=""\nKDUMP_FILE_LOAD="on"', NOT_APPLICABLE),
        ('KEXEC_ARGS="-s"', NOT_APPLICABLE),
        ('KEXEC_ARGS="-s -c"', RED),
        ('KEXEC_ARGS="-a"', NOT_APPLICABLE),
        ('KEXEC_ARGS="$MORE"', UNKNOWN),
    ],
)
def test_kdumpctl(sysconfig, verdict):
    found, said = ask(host(*boot(kptr=2), *OPENEULER, says("kdump_sysconfig", sysconfig)), FILE, NOW)
    assert found == verdict, said


def test_auto_falls_back_on_a_kernel_without_the_file_call():
    kernel = says("kernel_configurations", "/boot/config-6.1.0-56-amd64:CONFIG_RANDOMIZE_BASE=y")
    assert ask(host(*boot(kptr=2), says("kexec_default", NEW), kernel), FILE, NOW)[0] is RED


BEGINS = "kexec_can_tell_where_the_kernel_begins"
STEXT, REST = "ffffb3a234a10000 T _stext", "ffffb3a236060000 T __init_begin"
HIDDEN = says("kernel_symbols", f"kexec 2\n{0:016x} T _stext\n{0:016x} T __init_begin")


def arm(*readings):
    """A Debian 12 of arm64, whose kernel was built without CONFIG_KALLSYMS_ALL."""
    kernel = [
        says("kernel_machine", "aarch64"),
        says(
            "address_map", "40000000-7fffffff : System RAM\n  40210000-4185ffff : Kernel code\n  41eb0000-4220ffff : Kernel data"
        ),
        says("kernel_symbols", f"kexec 2\n{STEXT}\n{REST}"),
    ]
    return [*boot(), *kernel, *readings]


@pytest.mark.parametrize(
    ("readings", "verdict", "words"),
    [
        (arm(), RED, "will tell the capture kernel 0x4c5e0b800000"),
        # _text is listed: it and _stext are 64 KiB apart
        (arm(says("kernel_symbols", f"kexec 2\nffffb3a234a00000 T _text\n{STEXT}\n{REST}")), GREEN, ""),
        # a kernel whose code begins at _text in /proc/iomem, too; a kexec that does not ask; no symbols, or hidden ones
        (arm(says("address_map", "40000000-7fffffff : System RAM\n  40200000-4185ffff : Kernel code")), GREEN, ""),
        (arm(says("kernel_symbols", f"kexec 0\n{STEXT}\n{REST}")), GREEN, ""),
        (arm(HIDDEN, sysctl([("/etc/sysctl.d/60-hard.conf", 2)])), GREEN, ""),
        (arm(HIDDEN), UNKNOWN, "when the capture kernel was loaded"),
        (arm(says("address_map", "40000000-7fffffff : System RAM")), UNKNOWN, "does not list"),
        (arm(says("kernel_symbols", "kexec 2", "grep: /proc/kallsyms: No such file or directory", 2)), GREEN, ""),
        (arm(says("kexec_default", NEW)), NOT_APPLICABLE, "kexec_file_load"),
        (arm(says("kdump_tools_defaults", 'KDUMP_KEXEC_ARGS="-s"')), NOT_APPLICABLE, "kexec_file_load"),
        (arm(says("kernel_symbols", "", "kexec: not found", 127)), NOT_APPLICABLE, "not installed"),
        (boot(), NOT_APPLICABLE, "x86_64"),
        (arm(NOBODY), UNKNOWN, "root"),
        (arm(denied("kernel_symbols")), UNKNOWN, "denied"),
        (arm(says("kernel_symbols", "")), UNKNOWN, "does not say whether kexec looks"),
        (arm(denied("kexec_default")), UNKNOWN, "denied"),
    ],
)
def test_where_an_arm64_kernel_begins(readings, verdict, words):
    found, said = ask(host(*readings), FILE, BEGINS)
    assert (found, words in said) == (verdict, True), said
