"""The capture kernel's command line, as each flavour makes it. It is not readable anywhere but on Debian."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..facts.kernel import CommandLine
from .shell_settings import ShellSettings
from .shell_words import shell_words

#: kdump-config 1.8.1: what is taken out of /proc/cmdline, and the default of KDUMP_CMDLINE_APPEND
_TOOLS_REMOVES = ("crashkernel", "hugepages", "hugepagesz", "abm")
_TOOLS_APPENDS = "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb"

#: rhkdump/kdump-utils@63f248c, kdump-lib.sh prepare_cmdline()
_KDUMPCTL_REMOVES = [
    "crashkernel",
    "panic_on_warn",
    "root",
    "rd.lvm.lv",
    "rd.luks.uuid",
    "rd.dm.uuid",
    "rd.md.uuid",
    "fcoe",
    "netroot",
    "rd.iscsi.initiator",
    "iscsi_initiator",
]

#: openSUSE/kdump@34da4b8, init/load.sh build_kdump_commandline()
_SUSE_REMOVES = [
    "root",
    "resume",
    "crashkernel",
    "splash",
    "mem",
    "BOOT_IMAGE",
    "showopts",
    "zfcp.allow_lun_scan",
    "hugepages",
    "acpi_no_memhotplug",
    "cgroup_disable",
    "unknown_nmi_panic",
    "rd.udev.children-max",
    "notsc",
]
_SUSE_APPENDS = [
    "sysrq=yes",
    "reset_devices",
    "acpi_no_memhotplug",
    "cgroup_disable=memory",
    "nokaslr",
    "numa=off",
    "irqpoll",
    "root=kdump",
    "rootflags=bind",
    "rd.udev.children-max=8",
]


def loaded_by_kexec(command: str) -> CommandLine:
    """The command line in a recorded kexec command.

    >>> loaded_by_kexec('/sbin/kexec -p --command-line="root=/dev/vda1 ro  nr_cpus=1" --initrd=/i /k').values("nr_cpus")
    ['1']

    Raises :class:`ValueError` when the command carries none.
    """
    words = shell_words(command)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in ("--command-line", "--append"):
            return CommandLine.parse(value if equals else following)
    raise ValueError("the recorded kexec command has no --command-line")


def kdump_tools(running: CommandLine, defaults: ShellSettings) -> CommandLine:
    """What kdump-config will give to kexec."""
    given = defaults.get("KDUMP_CMDLINE")
    words = CommandLine.parse(given) if given else _without(running, _TOOLS_REMOVES, valued=True)
    # an empty setting counts as none: ${KDUMP_CMDLINE_APPEND:=…}
    return CommandLine([*words, *(defaults.get("KDUMP_CMDLINE_APPEND") or _TOOLS_APPENDS).split()])


def kdumpctl(running: CommandLine, sysconfig: ShellSettings) -> CommandLine:
    """What kdumpctl will give to kexec, but for what it adds for the boot CPU and for watchdogs."""
    given = sysconfig.get("KDUMP_COMMANDLINE")
    words = CommandLine.parse(given) if given else running
    removed = [word.partition("=")[0] for word in sysconfig.get("KDUMP_COMMANDLINE_REMOVE").split()]
    return CommandLine([*_without(words, [*_KDUMPCTL_REMOVES, *removed]), *sysconfig.get("KDUMP_COMMANDLINE_APPEND").split()])


def suse(running: CommandLine, sysconfig: ShellSettings) -> CommandLine:
    """What SUSE's load.sh will give to kexec, but for a Xen console and the boot CPU."""
    given = sysconfig.get("KDUMP_COMMANDLINE")
    words = list(CommandLine.parse(given) if given else _without(running, _SUSE_REMOVES))
    if not given:
        cpus = sysconfig.get("KDUMP_CPUS") or "32"
        words += [*_SUSE_APPENDS, *([f"nr_cpus={cpus}"] if cpus != "0" else [])]
    words += sysconfig.get("KDUMP_COMMANDLINE_APPEND").split()
    return CommandLine(words if any(w.partition("=")[0] == "panic" for w in words) else [*words, "panic=1"])


def _without(words: CommandLine, names: Collection[str], valued: bool = False) -> CommandLine:
    """``valued``: only ``name=…`` goes, a bare ``name`` stays."""
    gone: Callable[[str], bool] = lambda word: word.partition("=")[0] in names and (not valued or "=" in word)  # noqa: E731
    return CommandLine(word for word in words if not gone(word))
