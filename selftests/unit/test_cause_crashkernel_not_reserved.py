"""1.1: red, green and cannot-know, and where each sentence comes from."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kdump.catalogue import suite_facts
from kdump.fact import Knowledge
from kdump.transcript import Reading, Transcript
from kdump.verdict import CouldNotDetermine, NotApplicable, Verdict
from selftests.judging import ask

suite_facts()

SIZE, IOMEM, BOOT = (
    "crash_size",
    "grep -E ' : (System RAM|Crash kernel|Kernel (code|rodata|data|bss))$' /proc/iomem",
    "boot_configuration",
)
MACHINE = "uname -m"
XEN = "cat /proc/xen/capabilities"
SYSCONFIG = "cat /etc/sysconfig/kdump"
FADUMP = "first_of /sys/kernel/fadump/enabled /sys/kernel/fadump_enabled"
NO_FILE = "cat: x: No such file or directory"
RAM_2G = "00001000-0009fbff : System RAM\n00100000-7fffffff : System RAM"
RESERVED = RAM_2G + "\n  6f000000-7effffff : Crash kernel"  # 256 MiB

# grub-mkconfig 2.06 of Debian 12, cut down as the probe does
GRUB = """\
== /boot/grub/grub.cfg
   set default="${next_entry}"
   set next_entry=
   set boot_once=true
   set default="0"
  menuentry_id_option="--id"
function savedefault {
}
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-1' {
	linux	/boot/vmlinuz-6.1.0-56-amd64 root=UUID=1 ro  quiet%s
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-1' {
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-56-amd64' $menuentry_id_option 'gnulinux-6.1.0-56-amd64-advanced-1' {
		linux	/boot/vmlinuz-6.1.0-56-amd64 root=UUID=1 ro  quiet%s
	}
	menuentry 'Debian GNU/Linux, with Linux 6.1.0-55-amd64' $menuentry_id_option 'gnulinux-6.1.0-55-amd64-advanced-1' {
		linux	/boot/vmlinuz-6.1.0-55-amd64 root=UUID=1 ro  quiet%s
	}
}
"""
CK = " crashkernel=256M"
SAVED = GRUB.replace('set default="0"', 'set default="${saved_entry}"')
# Fedora's GRUB with BLS (grub2 2.06, 08_fallback_counting.in and 10_linux_bls)
BLS = """\
== /boot/grub2/grub.cfg
   set default="${next_entry}"
   set default="${saved_entry}"
    set kernelopts="root=/dev/vda2 ro "
blscfg
== /boot/grub2/grubenv
saved_entry=%s
%s
== /boot/loader/entries/abc-0-rescue.conf
title Rescue
options root=/dev/vda2 ro
== /boot/loader/entries/abc-5.10.0-60.oe2203.x86_64.conf
title openEuler (5.10.0-60.oe2203.x86_64) 22.03 LTS
options $kernelopts %s
== /boot/loader/entries/abc-5.10.0-153.oe2203.x86_64.conf
title openEuler (5.10.0-153.oe2203.x86_64) 22.03 LTS
options $kernelopts %s
"""


def host(
    cmdline: str = "BOOT_IMAGE=/vmlinuz ro crashkernel=256M",
    size: str | None = "268435456",
    iomem: str = RESERVED,
    log: str | None = "",
    uid: str = "0",
    extra: Mapping[str, Reading] | None = None,
) -> Knowledge:
    readings = {
        "id -u": Reading("id -u", uid, "", 0),
        "cat /proc/cmdline": Reading("cat /proc/cmdline", cmdline, "", 0),
        SIZE: Reading(SIZE, size or "", "" if size else NO_FILE, 0 if size else 1),
        IOMEM: Reading(IOMEM, iomem, "", 0),
        FADUMP: Reading(FADUMP, "", NO_FILE, 1),
        XEN: Reading(XEN, "", NO_FILE, 1),
        SYSCONFIG: Reading(SYSCONFIG, "", NO_FILE, 1),
        MACHINE: Reading(MACHINE, "x86_64", "", 0),
        "crashkernel_log": Reading("crashkernel_log", log or "", "" if log is not None else DENIED, int(log is None)),
    }
    return Knowledge(Transcript.of((readings | dict(extra or {})).values()))


DENIED = "dmesg: read kernel buffer failed: Operation not permitted"


@pytest.mark.parametrize(
    ("cmdline", "log", "says"),
    [
        ("ro quiet", "", "has no crashkernel="),
        ("ro crashkernel=3G", "", "asks for 3 GiB of 2 GiB memory (the kernel does not log this)"),
        ("ro crashkernel=auto", "[    0.0] crashkernel: memory value expected", "cannot read it"),
        (
            "ro crashkernel=1500M",
            "[    0.0] Command line: crashkernel=1500M\n[    0.026311] crashkernel reservation failed - No suitable area found.",
            "no area of that size is free; the kernel says: crashkernel reservation failed - No suitable area found.",
        ),
        ("ro crashkernel=1500M@16M", "", "the memory at that address is in use"),
        ("ro crashkernel=1500M", None, "log was not readable"),
        ("ro crashkernel=512M,high", "", "no area of that size is free, or this kernel passes over ,high"),
        (
            "ro crashkernel=512M,high",
            "[    0.0] Cannot reserve 256MB crashkernel low memory, please try smaller size.",
            "low part could not be had",
        ),
        (
            "ro crashkernel=512M",
            "[    0.0] crashkernel reserved: 0x0000000050000000 - 0x0000000070000000 (512 MB)",
            "was given back since",
        ),
    ],
)
def test_nothing_reserved_and_why(cmdline: str, log: str | None, says: str) -> None:
    found = host(cmdline, "0", RAM_2G, log).get("reservation")
    assert found.size == 0 and says in found.why_none


def test_nothing_reserved_is_seen_without_root() -> None:
    ram = "00000000-00000000 : System RAM"
    found = host("ro crashkernel=2G-64G:256M", "0", ram, None, uid="1000").get("reservation")
    assert found.size == 0 and found.why_none
    assert host("ro crashkernel=256M", "268435456", ram, None, uid="1000").get("reservation").size == 256 << 20


def test_reserved_as_asked() -> None:
    known = host()
    assert known.get("reserved_range").size == known.get("requested_size") == 256 << 20
    high_and_low = (
        RAM_2G + "\n  10000000-147fffff : Crash kernel\n100000000-16fffffff : System RAM\n  160000000-16fffffff : Crash kernel"
    )
    known = host("ro crashkernel=256M,high crashkernel=72M,low", "343932928", high_and_low)
    assert known.get("reserved_range").size == known.get("requested_size") == 256 << 20


def test_a_reservation_that_was_made_smaller() -> None:
    known = host(iomem=RAM_2G + "\n  6f000000-72ffffff : Crash kernel", size="67108864")
    assert known.get("reserved_range").size < known.get("requested_size")


def test_what_cannot_be_known_is_said() -> None:
    with pytest.raises(CouldNotDetermine, match="root"):
        host(uid="1000").get("reserved_range")
    with pytest.raises(NotApplicable, match="CONFIG_KEXEC_CORE"):
        host(size=None).get("reservation")
    with pytest.raises(CouldNotDetermine, match="hypervisor"):
        host(size="0", extra={XEN: Reading(XEN, "control_d", "", 0)}).get("reservation")
    for needs_none in (FADUMP, XEN):
        with pytest.raises(CouldNotDetermine, match="in time"):
            host(size="0", extra={needs_none: Reading(needs_none, "", "", 124)}).get("reservation")
    with pytest.raises(NotApplicable, match="of its own accord"):
        host("ro crashkernel=auto").get("requested_size")
    with pytest.raises(NotApplicable, match="firmware-assisted"):
        host(size="0", extra={FADUMP: Reading(FADUMP, "1", "", 0)}).get("reservation")


def test_a_next_boot_like_this_one_reserves_as_much() -> None:
    args = "BOOT_IMAGE=/vmlinuz ro crashkernel=900M"
    found = host(args, "0", RAM_2G, extra={BOOT: Reading(BOOT, GRUB % ((" crashkernel=900M",) * 3), "", 0)})
    assert "which reserved nothing" in found.get("next_reservation").problem


def next_boot(text: str, cmdline: str = "BOOT_IMAGE=/vmlinuz ro crashkernel=256M", **how: str) -> Knowledge:
    return host(cmdline, extra={BOOT: Reading(BOOT, text, how.get("errors", ""), 1 if how else 0)})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GRUB % (CK, CK, CK), ""),
        (GRUB % (CK, "", ""), ""),
        (GRUB % ("", CK, CK), "no crashkernel="),
        (GRUB % (" crashkernel=4G", CK, CK), "4 GiB of"),
        (SAVED % (CK, "", CK) + "== /boot/grub/grubenv\nsaved_entry=gnulinux-advanced-1>gnulinux-6.1.0-55-amd64-advanced-1", ""),
        (SAVED % (CK, "", CK) + "== /boot/grub/grubenv\nsaved_entry=1>0", "no crashkernel="),
        (SAVED % (CK, "", CK) + "== /boot/grub/grubenv\nsaved_entry=0\nnext_entry=1>0", "no crashkernel="),
        (SAVED % (CK, "", CK) + "== /boot/grub/grubenv", ""),
        (BLS % ("abc-5.10.0-153.oe2203.x86_64", "", "", CK), ""),
        (BLS % ("abc-5.10.0-60.oe2203.x86_64", "", "", CK), "no crashkernel="),
        (BLS % ("abc-5.10.0-60.oe2203.x86_64", "kernelopts=root=/dev/vda2 ro crashkernel=512M", "", ""), ""),
        (BLS % ("0", "", "", ""), "no crashkernel="),
        ("== /boot/loader/loader.conf\ndefault x-*\n== /boot/loader/entries/x-1.conf\noptions ro crashkernel=256M", ""),
    ],
)
def test_next_boot(text: str, problem: str) -> None:
    found = next_boot(text).get("next_reservation")
    assert problem in found.problem if problem else not found.problem, found


@pytest.mark.parametrize(
    ("knowledge", "error", "says"),
    [
        (next_boot(BLS % ("0", "", "", CK)), CouldNotDetermine, "which entry boots next is unclear"),
        (next_boot(GRUB % ("", "", ""), "ro crashkernel=256M"), CouldNotDetermine, "not started by GRUB"),
        (next_boot("", errors="/boot/grub2: Permission denied"), CouldNotDetermine, "permission denied"),
        (next_boot("== /boot/efi/EFI/Linux/x.efi"), CouldNotDetermine, "not read here"),
        (next_boot("", "ro crashkernel=256M"), NotApplicable, "comes from outside"),
    ],
)
def test_next_boot_unknown(knowledge: Knowledge, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        knowledge.get("next_reservation")


def other_boot(asks: str, running: str = "ro crashkernel=256M", *more: Reading, **how: str) -> tuple[Verdict, str]:
    """Whether a boot that asks for something else than the present one reserves memory."""
    readings = {BOOT: Reading(BOOT, GRUB % ((f" {asks}",) * 3), "", 0)} | {one.command: one for one in more}
    running_now = host(f"BOOT_IMAGE=/vmlinuz {running}", extra=readings, **how)
    return ask(running_now.transcript, "crashkernel_not_reserved", NEXT)


@pytest.mark.parametrize(
    ("machine", "running", "asks", "verdict"),
    [
        ("x86_64", "crashkernel=256M", "crashkernel=512M,high", Verdict.ABSENT),
        # Linux 5.10 passes over it on aarch64, openEuler's 5.10 reads it
        ("aarch64", "crashkernel=256M", "crashkernel=512M,high", Verdict.UNDETERMINED),
        ("aarch64", "crashkernel=256M,high", "crashkernel=512M,high", Verdict.ABSENT),
        ("aarch64", "crashkernel=256M,high", "crashkernel=512M", Verdict.ABSENT),
        ("aarch64", "crashkernel=256M", "crashkernel=4G,high", Verdict.PRESENT),
    ],
)
def test_not_every_kernel_reads_high(machine: str, running: str, asks: str, verdict: Verdict) -> None:
    assert other_boot(asks, running, Reading(MACHINE, machine, "", 0))[0] is verdict


@pytest.mark.parametrize(
    ("asks", "says"),
    [
        ("crashkernel=auto", "some distributions' kernels only"),
        ("crashkernel=auto crashkernel=256M,high", "kernels differ"),
        ("crashkernel=256M crashkernel=64M,cma", "kernels differ"),
        ("crashkernel=2G-:256M", "kernels differ"),  # of 2 GiB less a hole, which not all round up
    ],
)
def test_where_kernels_differ_it_is_not_known(asks: str, says: str) -> None:
    verdict, words = other_boot(asks)
    assert verdict is Verdict.UNDETERMINED and says in words, words


MEMINFO = "grep -E '^(Mem(Total|Free)|Cached|AnonPages|Percpu|Slab|KernelStack|PageTables|VmallocUsed):' /proc/meminfo"


@pytest.mark.parametrize(
    ("asks", "verdict"),
    [
        ("crashkernel=512M", Verdict.ABSENT),
        ("crashkernel=1G-:256M", Verdict.ABSENT),
        ("crashkernel=2G-:256M", Verdict.UNDETERMINED),
        ("crashkernel=4G-:256M", Verdict.PRESENT),
        ("crashkernel=4G", Verdict.PRESENT),
    ],
)
def test_how_much_memory_there_is_without_root(asks: str, verdict: Verdict) -> None:
    memory = Reading(MEMINFO, "MemTotal: 1730000 kB", "", 0)
    assert other_boot(asks, "ro crashkernel=256M", memory, uid="1000", iomem="00000000-00000000 : System RAM")[0] is verdict


ASKED, NOW, NEXT = (
    "reservation_is_as_large_as_the_command_line_asks",
    "memory_is_reserved_for_the_capture_kernel",
    "next_boot_reserves_memory_too",
)
SMALLER = RAM_2G + "\n  6f000000-72ffffff : Crash kernel"


@pytest.mark.parametrize(
    ("test", "knowledge", "verdict"),
    [
        (NOW, host(), Verdict.ABSENT),
        (NOW, host(size="0", iomem=RAM_2G), Verdict.PRESENT),
        (NOW, host(extra={SIZE: Reading(SIZE, "", "cat: x: Device or resource busy", 1)}), Verdict.UNDETERMINED),
        (ASKED, host(), Verdict.ABSENT),
        (ASKED, host(iomem=SMALLER, size="67108864"), Verdict.PRESENT),
        (ASKED, host(uid="1000"), Verdict.UNDETERMINED),
        (NEXT, next_boot(GRUB % (CK, CK, CK)), Verdict.ABSENT),
        (NEXT, next_boot(GRUB % ("", CK, CK)), Verdict.PRESENT),
        (NEXT, next_boot("", errors="/boot/grub2: Permission denied"), Verdict.UNDETERMINED),
    ],
)
def test_verdicts(test: str, knowledge: Knowledge, verdict: Verdict) -> None:
    assert ask(knowledge.transcript, "crashkernel_not_reserved", test)[0] is verdict
