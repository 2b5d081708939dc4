"""How the capture kernel is loaded: what is loaded, what forbids it, and by which system call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from ..fact import Maybe, derived, fact
from ..flavour import KDUMP_TOOLS, KDUMPCTL, Flavour
from ..parsers.shell_settings import ShellSettings
from ..parsers.shell_words import shell_words
from ..parsers.sysctl import Setting
from ..verdict import CouldNotDetermine, NotApplicable


def flag(text: str) -> bool:
    """A kernel's ``0`` or ``1``."""
    return {"0": False, "1": True}[text.strip()]


# Linux 6.19 moved these files to /sys/kernel/kexec (fb5c3644278c); the old names stay for some years.
crash_loaded = fact(
    "crash_loaded",
    "first_of /sys/kernel/kexec/crash_loaded /sys/kernel/kexec_crash_loaded",
    flag,
    absent=NotApplicable("this kernel cannot load a capture kernel (it was built without CONFIG_CRASH_DUMP)"),
)
# Firmware-assisted dump of POWER needs no capture kernel to be loaded (Documentation/arch/powerpc/firmware-assisted-dump.rst).
fadump_registered = fact(
    "fadump_registered", "first_of /sys/kernel/fadump/registered /sys/kernel/fadump_registered", flag, absent=False
)
kexec_load_disabled = fact("kexec_load_disabled", "cat /proc/sys/kernel/kexec_load_disabled", flag, absent=False)
# How many loads of a capture kernel are left, -1 for no limit (a42aaad2e47b, Linux 6.3).
kexec_load_limit = fact("kexec_load_limit", "cat /proc/sys/kernel/kexec_load_limit_panic", int, absent=-1)


def lockdown_mode(text: str) -> str:
    """``none``, ``integrity`` or ``confidentiality``.

    >>> lockdown_mode("none [integrity] confidentiality")
    'integrity'
    """
    if not (match := re.search(r"\[(\w+)\]", text)):
        raise ValueError(f"no mode is marked in {text!r}")
    return match[1]


lockdown = fact("lockdown", "cat /sys/kernel/security/lockdown", lockdown_mode, absent="none")


def secure_boot_on(text: str) -> bool:
    """From the EFI variables SecureBoot and SetupMode, four bytes of attributes and one of value each.

    >>> secure_boot_on("   6   0   0   0   1   6   0   0   0   0")
    True
    """
    values = [int(word) for word in text.split()]
    if len(values) != 10:
        raise ValueError(f"expected two variables of five bytes, got {text!r}")
    return values[4] == 1 and values[9] == 0


_GLOBAL_VARIABLE = "8be4df61-93ca-11d2-aa0d-00e098032b8c"  # EFI_GLOBAL_VARIABLE, UEFI specification 2.10, 3.3
_EFIVARS = "/sys/firmware/efi/efivars"
secure_boot = fact(
    "secure_boot",
    f"od -An -v -tu1 -w10 {_EFIVARS}/SecureBoot-{_GLOBAL_VARIABLE} {_EFIVARS}/SetupMode-{_GLOBAL_VARIABLE}",
    secure_boot_on,
    absent=False,
)


class KexecCall(Enum):
    """The system call that loads the capture kernel."""

    FILE = "kexec_file_load"
    FILE_FIRST = "kexec_file_load, then kexec_load"
    LEGACY = "kexec_load"


_OPTIONS = {
    "-s": KexecCall.FILE,
    "--kexec-file-syscall": KexecCall.FILE,
    "-a": KexecCall.FILE_FIRST,
    "--kexec-syscall-auto": KexecCall.FILE_FIRST,
    "-c": KexecCall.LEGACY,
    "--kexec-syscall": KexecCall.LEGACY,
}


def default_call(help_text: str) -> KexecCall:
    """Which option ``kexec --help`` marks with "(default)"; very old ones, which mark none, know kexec_load only.

    Source: horms/kexec-tools@29fe506 made ``-a`` the default in 2.0.27.

    >>> default_call(" -p, --load-panic Load\\n -c, --kexec-syscall Use the kexec_load syscall (default)").value
    'kexec_load'
    """
    if "--load-panic" not in help_text:
        raise ValueError("this is not the help of kexec-tools")
    option = ""
    for line in help_text.splitlines():
        if match := re.match(r"\s*(-\w)?,?\s*--[a-z-]+", line):
            option = match[1] or ""
        if "(default)" in line and option in _OPTIONS:
            return _OPTIONS[option]
    return KexecCall.LEGACY


kexec_default = fact("kexec_default", "limit 5 kexec --help", default_call)
# openEuler's kdumpctl has a switch of its own (openeuler-mirror/kexec-tools@openEuler-22.03-LTS:kdumpctl load_kdump)
file_load_switch = fact("file_load_switch", "grep -m 1 KDUMP_FILE_LOAD /usr/bin/kdumpctl", bool, statuses=(0, 1), absent=False)
# -a since openSUSE/kdump@88c3ebd; before that -s with its own fallback; long before neither
suse_load_script = fact("suse_load_script", "grep -e KEXEC_CALL /usr/lib/kdump/load.sh", str, statuses=(0, 1))


def asked_for(arguments: str) -> KexecCall | None:
    """What the words of a kexec call ask for; kexec takes the last one."""
    try:
        words = shell_words(arguments)
    except ValueError:
        words = arguments.split()
    calls = [_OPTIONS[word] for word in words if word in _OPTIONS]
    return calls[-1] if calls else None


@derived
def configured_kexec_call(
    flavour: Flavour,
    maybe_kdump_sysconfig: Maybe[ShellSettings],
    maybe_kdump_tools_defaults: Maybe[ShellSettings],
    maybe_file_load_switch: Maybe[bool],
    maybe_suse_load_script: Maybe[str],
    maybe_secure_boot: Maybe[bool],
    maybe_kexec_default: Maybe[KexecCall],
) -> KexecCall:
    """The call that the flavour's service asks kexec for, whatever the kernel can do."""
    call: KexecCall | None
    if flavour == KDUMPCTL:
        given = maybe_kdump_sysconfig.value
        call = asked_for(given.get("KEXEC_ARGS"))
        if maybe_secure_boot.value or (given.get("KDUMP_FILE_LOAD") == "on" and maybe_file_load_switch.value):
            call = KexecCall.FILE  # "-s" is appended: the last one wins
    elif flavour == KDUMP_TOOLS:
        call = asked_for(maybe_kdump_tools_defaults.value.get("KDUMP_KEXEC_ARGS"))
        if call is None and maybe_secure_boot.value:
            call = KexecCall.FILE
    else:
        script = maybe_suse_load_script.value
        tries_file = re.search(r"\s-[as]\b", script) is not None
        call = KexecCall.FILE_FIRST if tries_file else asked_for(maybe_kdump_sysconfig.value.get("KEXEC_OPTIONS"))
    return call or maybe_kexec_default.value


@derived
def kexec_call(configured_kexec_call: KexecCall, maybe_kernel_config: Maybe[Mapping[str, str]]) -> KexecCall:
    """The call that the flavour's service will make at its next start."""
    if configured_kexec_call is KexecCall.FILE_FIRST and maybe_kernel_config.value.get("CONFIG_KEXEC_FILE") != "y":
        return KexecCall.LEGACY
    return configured_kexec_call


@dataclass(frozen=True)
class LoadPermission:
    """What may forbid to load a capture kernel now."""

    loaded: bool
    disabled: bool
    loads_left: int


@derived
def load_permission(maybe_crash_loaded: Maybe[bool], kexec_load_disabled: bool, kexec_load_limit: int) -> LoadPermission:
    """The sysctls that forbid a load, and whether one is still needed."""
    return LoadPermission(maybe_crash_loaded.value, kexec_load_disabled, kexec_load_limit)


@derived
def kexec_disabled_at_boot(sysctl_at_boot: Mapping[str, Setting], maybe_crash_loaded: Maybe[bool]) -> Setting | None:
    """The setting that will disable kexec at the next boot, before the service could load anything."""
    if isinstance(maybe_crash_loaded.reason, NotApplicable):
        raise maybe_crash_loaded.reason
    setting = sysctl_at_boot.get("kernel.kexec_load_disabled")
    return setting if setting is not None and setting.value == "1" else None


@derived
def call_under_lockdown(lockdown: str, maybe_secure_boot: Maybe[bool], maybe_kexec_call: Maybe[KexecCall]) -> KexecCall:
    """The call, where the kernel is locked down and so refuses kexec_load (kernel/kexec.c, security_locked_down)."""
    if lockdown == "none":
        raise NotApplicable("the kernel is not locked down: it accepts either call of kexec")
    if lockdown not in ("integrity", "confidentiality"):
        raise CouldNotDetermine(f"an unknown lockdown mode: {lockdown}")
    return maybe_kexec_call.value
