"""Faults: causes staged on purpose on a lab machine, and what the suite must say of each.

A fault is undone by throwing its machine's overlays away.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fault:
    """One staged fault.

    present     causes (ids) that the suite must call present
    allowed     consequences that it may call present besides: a failed reservation also leaves nothing loaded
    stage       root shell commands in the booted machine
    crash       the machine really panics after ``stage``; ``after`` is run when it is back
    crashkernel, cmdline, devices, options: the machine it needs, see lab.machine.Machine
    why         what is broken, in one sentence
    """

    name: str
    why: str
    present: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    stage: tuple[str, ...] = ()
    crash: bool = False
    after: tuple[str, ...] = ()
    crashkernel: str | None = None
    cmdline: str = ""
    devices: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


_NOT_LOADED = frozenset({"kdump-not-operational"})
_DUMP = "$(ls -d /var/crash/2*/dump.*)"

FAULTS: tuple[Fault, ...] = (
    Fault("healthy", "nothing is broken"),
    Fault(
        "no-crashkernel",
        "the kernel was booted without crashkernel=",
        frozenset({"crashkernel-not-reserved"}),
        _NOT_LOADED | {"crashkernel-too-small"},
        crashkernel="",
    ),
    Fault(
        "reservation-refused",
        "crashkernel= asks for more memory than the machine has",
        frozenset({"crashkernel-not-reserved"}),
        _NOT_LOADED | {"crashkernel-too-small"},
        crashkernel="4G",
    ),
    Fault(
        "reservation-too-small",
        "the capture kernel loads, and dies of memory while it unpacks its initramfs",
        frozenset({"crashkernel-too-small"}),
        crashkernel="96M",
    ),
    Fault(
        "kptr-restrict-2",
        "kernel addresses are hidden from root, kexec uses the legacy call, KASLR is on",
        frozenset({"kaslr-hides-kernel-layout"}),
        _NOT_LOADED,
        stage=("sysctl -q -w kernel.kptr_restrict=2", "kdump-config unload; kdump-config load || true"),
    ),
    Fault(
        "kptr-restrict-2-latent",
        "loaded now, but sysctl.d hides kernel addresses at the next boot",
        frozenset({"kaslr-hides-kernel-layout"}),
        stage=("echo kernel.kptr_restrict=2 > /etc/sysctl.d/90-hardening.conf",),
    ),
    Fault(
        "strings-removed",
        "harmless here: Debian 12's crash 8.0.2 reads the banner itself since 8.0.1 (cd89540)",
        stage=("rm -f /usr/bin/strings /usr/bin/*-strings",),
    ),
    Fault(
        "zero-byte-dump",
        "the disk was full, and kdump-tools called the empty file saved",
        frozenset({"vmcore-damaged"}),
        stage=("mkdir /var/crash/202601010101; : > /var/crash/202601010101/dump.202601010101",),
    ),
    Fault("crashed", "a real panic with a complete dump", crash=True),
    Fault(
        "truncated-dump",
        "a real dump, cut after its first half",
        frozenset({"vmcore-damaged"}),
        crash=True,
        after=(f'f={_DUMP}; truncate -s $(($(stat -c %s "$f") / 2)) "$f"',),
    ),
    Fault(
        "dump-disk-gone",
        "/var/crash is meant to be on a disk that is not there any more",
        frozenset({"dump-disk-not-visible"}),
        stage=(
            "echo 'UUID=0f0f0f0f-1111-2222-3333-444444444444 /var/crash ext4 defaults,nofail 0 2' >> /etc/fstab",
            "systemctl daemon-reload",
        ),
    ),
    Fault(
        "watchdog-too-short",
        "a hardware watchdog is fed by a daemon that dies with the kernel, and expires before the dump is done",
        frozenset({"hardware-watchdog-resets"}),
        stage=(
            "modprobe i6300esb heartbeat=12",
            "systemd-run --quiet --unit=keeper sh -c 'exec 3>/dev/watchdog; while :; do echo >&3; sleep 2; done'",
            "sleep 3",
        ),
        devices=("i6300esb",),
        options=("-action", "watchdog=reset"),
    ),
)
