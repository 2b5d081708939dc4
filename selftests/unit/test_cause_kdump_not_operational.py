"""Red, green and cannot-know of the symptom; the logs are real ones."""

import pytest

import kdump.facts.flavour
import kdump.facts.identity
import kdump.facts.initramfs
import kdump.facts.journal
import kdump.facts.kdump_settings
import kdump.facts.kernel
import kdump.facts.kexec
import kdump.facts.service
import kdump.facts.sysctl  # noqa: F401
from kdump.fact import UID
from kdump.parsers.log_signatures import sightings
from kdump.transcript import Reading
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, missing, says

FILE = "kdump_not_operational"
RED, GREEN, NOT_APPLICABLE, UNKNOWN = Verdict.PRESENT, Verdict.ABSENT, Verdict.NOT_APPLICABLE, Verdict.UNDETERMINED

ROOT = Reading(UID, "0", "", 0)
DEBIAN = says("kdump_userspace", "/usr/sbin/kdump-config")
KDUMPCTL = says("kdump_userspace", "/usr/bin/kdumpctl")
LOADED, NOT_LOADED = says("crash_loaded", "1"), says("crash_loaded", "0")
NO_CRASH_KEXEC = missing("crash_loaded")
PLAIN = (ROOT, missing("fadump_registered"), missing("xen_dom0"))


def unit(name, active="active", sub="exited", result="success", file="enabled", condition="yes"):
    return says(
        "kdump_units",
        f"Result={result}\nConditionResult={condition}\nId={name}\nLoadState=loaded\nActiveState={active}\n"
        f"SubState={sub}\nUnitFileState={file}",
    )


def log(text):
    return says("unit_log", text)


# the real logs of machines that were broken on purpose; the last is the document's
DEBIAN_NO_CRASHKERNEL = """\
2026-11-23T07:35:43+0000 kdumpvm systemd[1]: Starting kdump-tools.service - Kernel crash dump capture service...
2026-11-23T07:35:44+0000 kdumpvm kdump-tools[348]: Starting kdump-tools:
2026-11-23T07:35:44+0000 kdumpvm kdump-tools[352]: no crashkernel= parameter in the kernel cmdline ... failed!
2026-11-23T07:35:44+0000 kdumpvm systemd[1]: Finished kdump-tools.service - Kernel crash dump capture service."""
KDUMPCTL_4G = """\
2026-11-23T08:28:50+0000 kdumpctlvm systemd[1]: Starting kdump.service - Crash recovery kernel arming...
2026-11-23T08:28:52+0000 kdumpctlvm kdumpctl[424]: kdump: No memory reserved for crash kernel
2026-11-23T08:28:52+0000 kdumpctlvm kdumpctl[424]: kdump: Starting kdump: [FAILED]"""
DEBIAN_KPTR = """\
Can't find kernel text map area from kcore
Cannot load /var/lib/kdump/vmlinuz
failed to load kdump kernel ... failed!"""
SQUASH_050 = """\
Aug 10 16:25:52 localhost.localdomain kdumpctl[3972]: dracut-install: ERROR: installing 'loop'
Aug 10 16:25:52 localhost.localdomain dracut[2271]: installkernel failed in module squash
Aug 10 16:25:53 localhost.localdomain kdumpctl[1541]: mkdumprd: failed to make kdump initrd
Aug 10 16:25:53 localhost.localdomain kdumpctl[1541]: Starting kdump: [FAILED]"""
TOO_SMALL = "Could not find a free area of memory of 0x3f98000 bytes...\nlocate_hole failed"
DISK_GONE = "ALERT!  UUID=11111111-2222-3333-4444-555555555555 does not exist.  Dropping to a shell!"
GOOD_DUMP = "The kernel version is not supported.\nThe makedumpfile operation may be incomplete.\nCopying data: [100.0 %]"


@pytest.mark.parametrize(
    ("text", "causes"),
    [
        (DEBIAN_NO_CRASHKERNEL, {"crashkernel-not-reserved"}),
        (KDUMPCTL_4G, {"crashkernel-not-reserved"}),
        (DEBIAN_KPTR, {"kaslr-hides-kernel-layout"}),
        (SQUASH_050, {"dracut-modules-missing"}),
        (TOO_SMALL, {"crashkernel-too-small"}),
        (DISK_GONE, {"dump-disk-not-visible"}),
        ("get_mm_sparsemem: Can't get the address of mem_section.", {"section-size-bits-mismatch"}),
        (GOOD_DUMP, set()),
        ("dracut: dracut module 'squash' cannot be found or installed.", {"dracut-modules-missing"}),
        ("systemd[1]: Finished kdump-tools.service - Kernel crash dump capture service.", set()),
    ],
)
def test_signatures(text, causes):
    assert {seen.signature.cause for seen in sightings(text.splitlines())} == causes


@pytest.mark.parametrize(
    ("readings", "verdict", "words"),
    [
        ([DEBIAN, LOADED], GREEN, ""),
        ([DEBIAN, NOT_LOADED, unit("kdump-tools.service"), log(DEBIAN_NO_CRASHKERNEL)], RED, "crashkernel-not-reserved"),
        ([KDUMPCTL, NOT_LOADED, unit("kdump.service", "failed"), log(SQUASH_050)], RED, "dracut-modules-missing"),
        ([DEBIAN, NOT_LOADED, log(f"{SQUASH_050}\n{DEBIAN_NO_CRASHKERNEL}")], RED, "crashkernel-not-reserved"),
        ([DEBIAN, NOT_LOADED, log("-- No entries --")], RED, "left nothing"),
        ([DEBIAN, NOT_LOADED, log("Hint: You are currently not seeing messages from other users.")], RED, "--sudo"),
        ([KDUMPCTL, NOT_LOADED, unit("kdump.service", "activating")], UNKNOWN, "ask again"),
        ([DEBIAN, NO_CRASH_KEXEC], RED, "CONFIG_CRASH_DUMP"),
        ([says("kdump_userspace"), NO_CRASH_KEXEC], NOT_APPLICABLE, "CONFIG_CRASH_DUMP"),
        ([DEBIAN, says("crash_loaded", "", "cat: x: Device or resource busy", 1)], UNKNOWN, "busy"),
        ([KDUMPCTL, NOT_LOADED, says("fadump_registered", "1")], GREEN, ""),
        ([KDUMPCTL, NOT_LOADED, says("xen_dom0", "control_d")], UNKNOWN, "hypervisor"),
        ([DEBIAN, NOT_LOADED, denied("fadump_registered")], UNKNOWN, "--sudo"),
        ([DEBIAN, NOT_LOADED, denied("xen_dom0")], UNKNOWN, "--sudo"),
        ([DEBIAN, denied("crash_loaded")], UNKNOWN, "--sudo"),
    ],
)
def test_capture_kernel_is_loaded(readings, verdict, words):
    found, said = ask(host(*PLAIN, *readings), FILE, "capture_kernel_is_loaded")
    assert (found, words in said) == (verdict, True), said


def test_an_older_attempt_does_not_name_the_cause():
    older = log(f"{SQUASH_050}\n{DEBIAN_NO_CRASHKERNEL}")
    assert "dracut" not in ask(host(*PLAIN, DEBIAN, NOT_LOADED, older), FILE, "capture_kernel_is_loaded")[1]


@pytest.mark.parametrize(
    ("readings", "verdict", "words"),
    [
        ([DEBIAN, unit("kdump-tools.service")], GREEN, ""),
        ([KDUMPCTL, unit("kdump.service", "failed", "failed", "exit-code"), log(KDUMPCTL_4G)], RED, "not-reserved"),
        ([KDUMPCTL, unit("kdump.service", "inactive", "dead", "exec-condition")], RED, "condition does not hold"),
        ([KDUMPCTL, unit("kdump.service", "activating", "start")], UNKNOWN, "being built"),
        ([KDUMPCTL, says("kdump_units", "", "timeout: failed to run command: x", 127)], NOT_APPLICABLE, "systemd"),
        ([KDUMPCTL, says("kdump_units", "", "System has not been booted with systemd", 1)], UNKNOWN, "not been booted"),
        ([says("kdump_userspace", "/usr/bin/kdumpctl\n/usr/sbin/kdump-config"), unit("kdump.service")], UNKNOWN, "side by"),
    ],
)
def test_service_is_active(readings, verdict, words):
    found, said = ask(host(ROOT, *readings), FILE, "service_is_active")
    assert (found, words in said) == (verdict, True), said


@pytest.mark.parametrize(
    ("test", "readings", "verdict"),
    [
        ("one_kdump_implementation_is_installed", [DEBIAN, LOADED], GREEN),
        ("one_kdump_implementation_is_installed", [says("kdump_userspace"), NOT_LOADED], RED),
        ("one_kdump_implementation_is_installed", [says("kdump_userspace"), LOADED], UNKNOWN),
        ("one_kdump_implementation_is_installed", [says("kdump_userspace"), denied("crash_loaded")], UNKNOWN),
        ("one_kdump_implementation_is_installed", [says("kdump_userspace"), NO_CRASH_KEXEC], NOT_APPLICABLE),
        (
            "one_kdump_implementation_is_installed",
            [says("kdump_userspace", "/usr/bin/kdumpctl\n/usr/sbin/kdumptool"), LOADED],
            RED,
        ),
        ("service_starts_at_next_boot", [DEBIAN, unit("kdump-tools.service")], GREEN),
        ("service_starts_at_next_boot", [DEBIAN, unit("kdump-tools.service", file="disabled")], RED),
        ("service_starts_at_next_boot", [DEBIAN, unit("kdump-tools.service", file="")], UNKNOWN),
        ("service_starts_at_next_boot", [DEBIAN, unit("kdump-tools.service", active="x")], UNKNOWN),
        ("service_starts_at_next_boot", [DEBIAN], UNKNOWN),
        *(
            ("service_is_not_switched_off", [DEBIAN, says("kdump_tools_defaults", text)], verdict)
            for text, verdict in (("USE_KDUMP=1", GREEN), ("USE_KDUMP=0", RED), ("", RED), ("USE_KDUMP=yes", RED))
        ),
        ("service_is_not_switched_off", [DEBIAN, missing("kdump_tools_defaults")], RED),
        ("service_is_not_switched_off", [DEBIAN, denied("kdump_tools_defaults")], UNKNOWN),
        ("service_is_not_switched_off", [KDUMPCTL], NOT_APPLICABLE),
        ("kernel_still_accepts_a_capture_kernel", [LOADED, says("kexec_load_disabled", "1"), missing("kexec_load_limit")], GREEN),
        (
            "kernel_still_accepts_a_capture_kernel",
            [NOT_LOADED, says("kexec_load_disabled", "1"), says("kexec_load_limit", "-1")],
            RED,
        ),
        (
            "kernel_still_accepts_a_capture_kernel",
            [NOT_LOADED, says("kexec_load_disabled", "0"), says("kexec_load_limit", "0")],
            RED,
        ),
        ("kernel_still_accepts_a_capture_kernel", [NOT_LOADED, denied("kexec_load_disabled")], UNKNOWN),
        ("next_boot_accepts_a_capture_kernel", [LOADED, says("sysctl_at_boot", "", "", 1)], GREEN),
        (
            "next_boot_accepts_a_capture_kernel",
            [LOADED, says("sysctl_at_boot", "/etc/sysctl.d/9.conf\n/etc/sysctl.d/9.conf:kernel.kexec_load_disabled=1")],
            RED,
        ),
        ("next_boot_accepts_a_capture_kernel", [LOADED, says("sysctl_at_boot", "", "grep: x: Permission denied", 2)], UNKNOWN),
    ],
)
def test_other_ways_not_to_be_operational(test, readings, verdict):
    found, said = ask(host(ROOT, *readings), FILE, test)
    assert found == verdict, said


@pytest.mark.parametrize(
    ("lockdown", "arguments", "secure_boot", "verdict"),
    [
        ("[none] integrity confidentiality", "", "0", NOT_APPLICABLE),
        ("none [integrity] confidentiality", "-s", "0", GREEN),
        ("none [integrity] confidentiality", "-c", "0", RED),
        ("none [integrity] confidentiality", "-c", "1", GREEN),  # kdumpctl appends -s
        ("none [integrity] confidentiality", "$MORE", "0", UNKNOWN),
        ("", "-s", "0", UNKNOWN),
    ],
)
def test_lockdown(lockdown, arguments, secure_boot, verdict):
    readings = [
        KDUMPCTL,
        says("lockdown", lockdown),
        says("kdump_sysconfig", f'KEXEC_ARGS="{arguments}"'),
        says("secure_boot", f"6 0 0 0 {secure_boot} 6 0 0 0 0"),
    ]
    found, said = ask(host(ROOT, *readings), FILE, "locked_down_kernel_accepts_the_kexec_call")
    assert found == verdict, said
