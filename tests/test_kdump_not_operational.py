"""kdump is not operational: a panic now would leave no vmcore.

What counts is one number, kexec_crash_loaded: is a capture kernel loaded? The service's own state proves nothing. On
Debian and Ubuntu kdump-tools is "active" with result "success" even when nothing could be loaded, because its start
script always ends with 0; with kdumpctl the unit is merely "inactive" when crashkernel= is missing, which no search for
failed units finds. Where the service did fail, its log usually names the cause, and the messages below quote it.
"""

from kdump import Severity, Stage, cause

pytestmark = cause(
    "kdump-not-operational",
    stage=Stage.LOAD,
    severity=Severity.NO_VMCORE,
    remediation=(
        "Remove the cause that the log names (see the other findings of this host), then restart the service: "
        "systemctl restart kdump (kdump-tools on Debian and Ubuntu), and enable it for the next boot."
    ),
    references=[
        "https://docs.kernel.org/admin-guide/kdump/kdump.html",
        "https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-kernel-kexec-kdump",
    ],
)


def test_one_kdump_implementation_is_installed(kdump_implementations):
    names = kdump_implementations.names
    assert names, "nothing is installed that loads a capture kernel: kdump-utils, kdump-tools or SUSE kdump is missing"
    assert len(names) == 1, f"{' and '.join(names)} are installed side by side and overwrite each other's capture kernel"


def test_capture_kernel_is_loaded(loading):
    assert loading.loaded, f"no capture kernel is loaded (kexec_crash_loaded is 0); {loading.log}"


def test_service_is_active(unit_state):
    assert not unit_state.failed, f"{unit_state}; {unit_state.log}"
    assert unit_state.active, f"{unit_state}; {unit_state.log}"


def test_service_starts_at_next_boot(unit_state):
    assert unit_state.enabled, f"the next boot will not start {', '.join(unit.name for unit in unit_state.units)}: " + (
        ", ".join(f"{unit.name} is {unit.file or unit.load}" for unit in unit_state.units)
    )


def test_service_is_not_switched_off(switched_off):
    assert not switched_off, (
        f"/etc/default/kdump-tools says {switched_off}: the service loads nothing when it starts next, and the capture kernel, "
        "which boots this system, saves nothing"
    )


def test_kernel_still_accepts_a_capture_kernel(load_permission):
    assert load_permission.loaded or not load_permission.disabled, (
        "kernel.kexec_load_disabled is 1 and no capture kernel is loaded: until the next boot none can be"
    )
    assert load_permission.loaded or load_permission.loads_left != 0, (
        "kernel.kexec_load_limit_panic is 0 and no capture kernel is loaded: until the next boot none can be"
    )


def test_next_boot_accepts_a_capture_kernel(kexec_disabled_at_boot):
    assert kexec_disabled_at_boot is None, (
        f"{kexec_disabled_at_boot.file} sets kernel.kexec_load_disabled=1 early at boot, before the service could load "
        "a capture kernel: set it after the service has started instead"
    )


def test_locked_down_kernel_accepts_the_kexec_call(call_under_lockdown):
    assert call_under_lockdown.value != "kexec_load", (
        "the kernel is locked down (Secure Boot) and refuses kexec_load, by which this service loads the capture kernel: "
        "let it use kexec_file_load (kexec -s)"
    )
