"""Booting the capture kernel in its little memory."""

from __future__ import annotations

from lab.faults.model import DEBIAN11, DEBIAN12, DEBIAN13, SILENT, Fault, Ground, NotStaged, expect

_OUT_OF_MEMORY = r"System is deadlocked on memory|Out of memory and no killable processes"
_SAVED = "kdump-tools: saved vmcore in"
_IMAGE = "/var/lib/kdump/initrd.img-$(uname -r)"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "reservation-too-small",
        "the capture kernel loads, and dies of memory while it unpacks its initramfs",
        {DEBIAN12: expect("crashkernel-too-small"), DEBIAN13: expect("crashkernel-too-small")},
        ground=Ground(crashkernel="96M"),
        proof=_OUT_OF_MEMORY,
        ci=True,
        says=("crashkernel-too-small",),
    ),
    Fault(
        "reservation-too-small-to-load",
        "the capture kernel cannot even be loaded",
        {
            target: expect("crashkernel-too-small", allowed={"kdump-not-operational", "crashkernel-not-reserved"})
            for target in (DEBIAN12, DEBIAN13)
        },
        ground=Ground(crashkernel="64M"),
        says=("crashkernel-too-small",),
    ),
    Fault(
        "reservation-just-enough",
        "the capture kernel saves the dump in less memory than is safe: only a crash tells, and it succeeds",
        {DEBIAN12: expect(undetermined={"crashkernel-too-small"})},
        ground=Ground(crashkernel="160M"),
        proof=_SAVED,
    ),
    Fault(
        "fat-initramfs",
        "the kdump initramfs grew (a few hundred megabytes when unpacked), and the capture kernel dies of memory",
        {DEBIAN12: expect("crashkernel-too-small"), DEBIAN13: expect("crashkernel-too-small")},
        stage=(
            "mkdir /root/fat && cd /root/fat && truncate -s 240M firmware.bin && "
            f"echo firmware.bin | cpio --quiet -o -H newc | gzip -1 >> {_IMAGE}",
            "kdump-config unload; kdump-config load",
        ),
        proof=_OUT_OF_MEMORY,
        says=("crashkernel-too-small",),
    ),
    Fault(
        "healthy-and-proven",
        "nothing is broken, and a real panic leaves a complete dump",
        {DEBIAN11: SILENT, DEBIAN12: SILENT, DEBIAN13: SILENT},
        proof=_SAVED,
    ),
)

NOT_STAGED: tuple[NotStaged, ...] = (
    NotStaged(
        "crashkernel-too-small",
        "a tmpfs that the initramfs does not fit into",
        "kdump-tools boots the capture kernel with root=, so that it unpacks without a limit: only kdumpctl is concerned",
    ),
)
