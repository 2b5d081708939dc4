"""What a serial console tells of a crash, line by line. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ..parsers.log_signatures import SIGNATURES
from ..transcript import sanitise


class Kind(StrEnum):
    PANIC = "panic"
    CAPTURE_BOOT = "capture kernel"
    BOOT = "boot"
    OOM = "out of memory"
    NO_DISK = "no disk"
    SHELL = "emergency shell"
    WATCHDOG = "watchdog"
    DUMP_BEGINS = "dump begins"
    PROGRESS = "progress"
    NO_SPACE = "no space"
    NO_TARGET = "dump target unreachable"
    DUMP_FAILED = "dump failed"
    SAVED = "saved"
    REBOOT = "reboot"


@dataclass(frozen=True)
class Event:
    """``at``: seconds since the epoch, when the controller read the line. ``stamp``: the kernel's own seconds since its
    boot, None for a line without a time stamp. ``percent`` of PROGRESS."""

    kind: Kind
    line: str
    at: float
    stamp: float | None = None
    percent: float | None = None


_DEBIAN = "Debian kdump-tools 1.8.1:kdump-config"
_KDUMP_UTILS = "rhkdump/kdump-utils@63f248c:dracut/99kdumpbase"
_SUSE = "openSUSE/kdump@34da4b8:dracut/kdump-save"
_MAKEDUMPFILE = "makedumpfile/makedumpfile@b7587f1"
_LINUX = "torvalds/linux v6.12"
_OF_CAUSE = {"crashkernel-too-small": Kind.OOM, "dump-disk-not-visible": Kind.NO_DISK}

#: (kind, pattern, who prints it); the first that fits a line counts.
PATTERNS: tuple[tuple[Kind, re.Pattern[str], str], ...] = (
    *((_OF_CAUSE[one.cause], re.compile(one.pattern), one.source) for one in SIGNATURES if one.cause in _OF_CAUSE),
    *(
        (kind, re.compile(pattern), source)
        for kind, pattern, source in (
            (Kind.CAPTURE_BOOT, r"ommand line: .*\belfcorehdr=", f"{_LINUX}:init/main.c, fs/proc/vmcore.c"),
            # arm64 is told by the device tree, and says so before its command line
            (Kind.CAPTURE_BOOT, r"Reserving \d+ ?Ki?B of memory at 0x[0-9a-f]+ for elfcorehdr", f"{_LINUX}:drivers/of/fdt.c"),
            (Kind.BOOT, r"ommand line: ", f"{_LINUX}:init/main.c"),
            (Kind.BOOT, r"SeaBIOS \(version|^\s*GNU GRUB|UEFI firmware|iPXE \(http", "firmware and boot loaders"),
            (Kind.PANIC, r"Kernel panic - not syncing", f"{_LINUX}:kernel/panic.c"),
            (Kind.PANIC, r"sysrq: Trigger a crash|SysRq : Trigger a crash", f"{_LINUX}:drivers/tty/sysrq.c"),
            (Kind.OOM, r"invoked oom-killer|Out of memory: Killed process", f"{_LINUX}:mm/oom_kill.c"),
            (Kind.NO_DISK, r"Gave up waiting for root ", "Debian initramfs-tools 0.142:scripts/local"),
            (Kind.NO_DISK, r"dracut-initqueue.*: Warning: .*timeout|Could not boot\.", "dracut-ng/dracut-ng:modules.d"),
            (Kind.SHELL, r"^\(initramfs\)|Entering emergency mode|You are in emergency mode", "initramfs-tools, dracut, systemd"),
            (Kind.SHELL, r"^dracut:/#|Give root password for maintenance|^kdump:/#", "dracut, util-linux sulogin"),
            (Kind.WATCHDOG, r"watchdog: watchdog\d+: watchdog did not stop!", f"{_LINUX}:drivers/watchdog/watchdog_dev.c"),
            (Kind.NO_SPACE, r"No space left on device|Disk quota exceeded", "strerror(3)"),
            (Kind.NO_TARGET, r"kdump-tools: Unable to (mount|write to the|reach) remote ", _DEBIAN),
            (Kind.DUMP_FAILED, r"makedumpfile Failed|failed to save vmcore", f"{_MAKEDUMPFILE}:makedumpfile.c, {_DEBIAN}"),
            (
                Kind.DUMP_FAILED,
                r"saving vmcore failed|Cannot save the vmcore|kdump: .*failed to dump",
                f"{_KDUMP_UTILS}/kdump.sh",
            ),
            (Kind.SAVED, r"kdump-tools: saved vmcore in ", _DEBIAN),
            (Kind.SAVED, r"kdump.*: saving vmcore complete", f"{_KDUMP_UTILS}/kdump.sh"),
            (Kind.SAVED, r"Dump saved successfully", _SUSE),
            (Kind.PROGRESS, r"Copying data\s*:\s*\[\s*(?P<percent>[\d.]+)\s*%\]", f"{_MAKEDUMPFILE}:print_info.c"),
            (Kind.PROGRESS, r"(Checking for memory holes|Excluding unnecessary pages)", f"{_MAKEDUMPFILE}:print_info.c"),
            (Kind.DUMP_BEGINS, r"(running|sending) makedumpfile (?!--dump-dmesg).*/proc/vmcore", _DEBIAN),
            (Kind.DUMP_BEGINS, r"kdump.*: saving vmcore$|kdump.*: saving vmcore\s", f"{_KDUMP_UTILS}/kdump.sh"),
            (Kind.DUMP_BEGINS, r"Saving dump using|Saving memory dump", _SUSE),
            (Kind.REBOOT, r"reboot: (Restarting system|machine restart|Power down)", f"{_LINUX}:kernel/reboot.c"),
        )
    ),
)
_STAMP = re.compile(r"\[\s*(\d+\.\d+)\]")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(line: str) -> str:
    """Without colours, and without anything else that a terminal would obey.

    >>> plain("[\\x1b[0;32m  OK  \\x1b[0m] Reached target ")
    '[  OK  ] Reached target'
    """
    return sanitise(_ESCAPES.sub("", line)).strip()


def classify(line: str, at: float) -> Event | None:
    """What one line says; None where it says nothing of a crash.

    >>> classify("[   85.194235] Kernel panic - not syncing: sysrq triggered crash", 100.0).kind
    <Kind.PANIC: 'panic'>
    >>> classify("[    0.000000] Command line: root=/dev/vda nr_cpus=1 elfcorehdr=998772K", 100.0).kind
    <Kind.CAPTURE_BOOT: 'capture kernel'>
    >>> classify("[   31.0] kdump-tools[376]: Copying data                      : [ 42.5 %] -", 100.0).percent
    42.5
    """
    line = plain(line)
    for kind, pattern, _ in PATTERNS:
        found = pattern.search(line)
        if found:
            stamp = _STAMP.search(line)
            percents = re.findall(r"Copying data\s*:\s*\[\s*([\d.]+)\s*%\]", line) if kind is Kind.PROGRESS else []
            return Event(
                kind,
                line[:300],
                at,
                float(stamp[1]) if stamp else None,
                float(percents[-1]) if percents else None,
            )
    return None


class Lines:
    """Cuts what a console prints into lines; a carriage return redraws a line, so it ends one as well."""

    def __init__(self) -> None:
        self._rest = ""

    @property
    def unfinished(self) -> str:
        """What came since the last end of line."""
        return self._rest

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes. A prompt has no end of line: it is looked at as soon as it is whole."""
        *lines, self._rest = re.split(r"[\r\n]+", self._rest + data.decode("utf-8", "replace"))
        if re.match(r"\s*(\x1b\[[0-9;?]*[A-Za-z])*\(initramfs\)|dracut:/#|kdump:/#", self._rest):
            lines, self._rest = [*lines, self._rest], ""
        self._rest = self._rest[-4096:]
        return [line for line in lines if line.strip()]
