"""The steps of a crash, and the named ends that it can come to before the last one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """In order. Each is a test of tests/qualification/."""

    PREFLIGHT = "preflight"
    MARK = "mark"
    TRIGGER = "trigger"
    DOWN = "went down"
    CAPTURE = "capture kernel seen"
    DUMPING = "dumping"
    BACK = "back"
    FOUND = "dump found"
    COMPLETE = "complete"
    OURS = "ours"
    OPENS = "opens"

    @property
    def order(self) -> int:
        return list(Step).index(self)


@dataclass(frozen=True)
class DeadEnd:
    """Where a crash ended without the dump it should have left. ``cause`` is the id of the cause that explains it best,
    "" where none does."""

    name: str
    cause: str
    remediation: str

    def sentence(self, seen: str) -> str:
        """What was seen, the way out, and where to read on."""
        points = f" Read on with {self.cause}." if self.cause else ""
        return f"{self.name}: {seen}\n{self.remediation}{points}"


NEVER_WENT_DOWN = DeadEnd(
    "never went down",
    "",
    "Look at the host's journal for what became of the trigger: a kernel in lockdown, a sysctl that keeps it from "
    "panicking, or a sudo rule may have refused it. The host was asked once and is not asked again.",
)
CAPTURE_SILENT = DeadEnd(
    "capture kernel silent",
    "kdump-not-operational",
    "Give the capture kernel a console (console= or earlyprintk= among its arguments) and crash again to see how far it comes; "
    "a reservation that is too small, or a device that does not survive the panic, stops it before its first line.",
)
OUT_OF_MEMORY = DeadEnd(
    "out of memory",
    "crashkernel-too-small",
    "Raise crashkernel= and reboot, or make the kdump initramfs smaller.",
)
DISK_MISSING = DeadEnd(
    "disk missing",
    "dump-disk-not-visible",
    "Put the disk's driver into the kdump initramfs, and check that fstab and the kdump configuration name the disk by an id "
    "that the capture kernel sees.",
)
EMERGENCY_SHELL = DeadEnd(
    "emergency shell",
    "dump-disk-not-visible",
    "Read on the console why the capture kernel gave up; let it reboot instead of opening a shell "
    "(failure_action in kdump.conf, panic= for initramfs-tools).",
)
CAPTURE_PANIC = DeadEnd(
    "capture kernel panicked",
    "crashkernel-too-small",
    "Read the panic on the console. reset_devices, nr_cpus=1 and leaving out the failing driver are the usual ways around it.",
)
WATCHDOG_RESET = DeadEnd(
    "watchdog reset",
    "hardware-watchdog-resets",
    "Put the watchdog's driver into the kdump initramfs so that the timer is taken over, or give it more time than a dump needs.",
)
DISK_FULL = DeadEnd(
    "dump disk full",
    "vmcore-damaged",
    "Free space where dumps go, or raise the dump level; the old dumps are yours to judge and to delete.",
)
TARGET_UNREACHABLE = DeadEnd(
    "dump target unreachable",
    "dump-disk-not-visible",
    "Check from the console what the capture kernel's network lacks: a driver, an address, a route, a name, the server's key; "
    "and that the server lets this host write there.",
)
DUMP_FAILED = DeadEnd(
    "dump failed",
    "vmcore-damaged",
    "The words are those of the tool that saves the dump; try the same core collector by hand on /proc/vmcore.",
)
DUMP_STALLED = DeadEnd(
    "dump stalled",
    "dump-disk-not-visible",
    "Look at the dump target: a disk with errors, a network share that hangs, or a server that stopped taking data.",
)
NEVER_CAME_BACK = DeadEnd(
    "never came back",
    "kdump-not-operational",
    "Reset the machine through its BMC. kernel.panic= and the kdump failure action decide whether a machine reboots by itself; "
    "then run the same command with --crash-resume: a dump may lie there.",
)
NO_DUMP = DeadEnd(
    "came back without a dump",
    "kdump-not-operational",
    "Follow the serial console with --console=HOST=FILE and crash again: the reason is printed there and nowhere else.",
)
DUMP_UNFINISHED = DeadEnd(
    "dump unfinished",
    "vmcore-damaged",
    "The machine was reset, or the target filled up, while the dump was being written: compare its time with the watchdog's, "
    "and its size with the free space.",
)
OTHER_CRASH = DeadEnd(
    "dump of another crash",
    "",
    "The machine crashed between the mark and the trigger, or its kdump keeps one dump under one name: look at both logs.",
)
CANNOT_BE_OPENED = DeadEnd(
    "dump cannot be opened",
    "vmcore-vmlinux-mismatch",
    "Install the debuginfo package of exactly this kernel, and a crash that knows it.",
)
