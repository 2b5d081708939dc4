"""The reservation: asked for, granted, and asked for again at the next boot."""

from __future__ import annotations

from lab.faults.model import (
    DEBIAN11,
    DEBIAN12,
    DEBIAN12_ARM64,
    DEBIAN12_DRACUT,
    DEBIAN13,
    SILENT,
    Fault,
    Ground,
    NotStaged,
    everywhere,
    expect,
)

_NOTHING = expect("crashkernel-not-reserved", allowed={"kdump-not-operational", "crashkernel-too-small"})
# makedumpfile counts pages only where memory is reserved
_UNCOUNTED = expect(*_NOTHING.present, allowed=_NOTHING.allowed, undetermined={"free-pages-not-excluded"})
_ANYWHERE = {DEBIAN12: _NOTHING, DEBIAN13: _UNCOUNTED, DEBIAN12_ARM64: _NOTHING}
_LATENT = expect("crashkernel-not-reserved")
_SHRUNK = expect("crashkernel-not-reserved", "crashkernel-too-small", allowed={"kdump-not-operational"})
_SHRINK = "kdump-config unload; echo 67108864 > /sys/kernel/kexec_crash_size; kdump-config load || true"
_ENTRY = "/boot/grub/grub.cfg /etc/default/grub.d/kdump-tools.cfg"
_KEEP_ENTRY = f"cp --parents -t /root {_ENTRY}; "
_ENTRY_BACK = ("cp -r /root/boot /root/etc /",)

FAULTS: tuple[Fault, ...] = (
    Fault(
        "healthy",
        "nothing is broken",
        {**everywhere(SILENT), DEBIAN11: SILENT, DEBIAN12_DRACUT: SILENT, DEBIAN12_ARM64: SILENT},
        undo=("true",),
        ci=True,
    ),
    Fault(
        "no-crashkernel",
        "the kernel was booted without crashkernel=",
        _ANYWHERE,
        ground=Ground(crashkernel=""),
        ci=True,
        says=("crashkernel-not-reserved",),
    ),
    Fault(
        "reservation-exceeds-memory",
        "crashkernel= asks for more memory than the machine has, of which Linux 6.12 says nothing",
        _ANYWHERE,
        ground=Ground(crashkernel="4G"),
        ci=True,
        says=("crashkernel-not-reserved",),
    ),
    Fault(
        "reservation-finds-no-area",
        "crashkernel= asks for nearly all of the memory, and no free area is that large",
        _ANYWHERE,
        ground=Ground(crashkernel="900M"),
        says=("crashkernel-not-reserved",),
    ),
    Fault(
        "low-part-cannot-be-met",
        "crashkernel=,high finds its area above 4 GiB and gives it back, because there is none for ,low",
        _ANYWHERE,
        ground=Ground(crashkernel="256M,high crashkernel=3500M,low", memory=5120),
        says=("crashkernel-not-reserved",),
    ),
    Fault(
        "high-and-low",
        "harmless: crashkernel=,high with a low part that is small, and suffices",
        {**everywhere(SILENT), DEBIAN12_ARM64: SILENT},
        ground=Ground(crashkernel="256M,high crashkernel=72M,low", memory=5120),
    ),
    Fault(
        "high-without-low-part",
        "harmless here, which nobody knows before: all of the reservation is above 4 GiB, and no device of this machine needs "
        "memory below",
        everywhere(expect(undetermined={"crashkernel-too-small"})),
        ground=Ground(crashkernel="256M,high crashkernel=0,low", memory=5120),
        proof="kdump-tools: saved vmcore in",
    ),
    Fault(
        "next-boot-without-crashkernel",
        "latent: reserved now, but the boot loader's entry does not ask for it any more",
        {**everywhere(_LATENT), DEBIAN12_ARM64: _LATENT},
        stage=(f"{_KEEP_ENTRY} sed -i 's/ crashkernel=[^ \"]*//' {_ENTRY}",),
        undo=_ENTRY_BACK,
        ci=True,
    ),
    Fault(
        "next-boot-exceeds-memory",
        "latent: reserved now, but the boot loader's entry asks for more memory than the machine has",
        {**everywhere(_LATENT), DEBIAN12_ARM64: _LATENT},
        stage=(f"{_KEEP_ENTRY} sed -i 's/ crashkernel=[^ \"]*/ crashkernel=8G/' {_ENTRY}",),
        undo=_ENTRY_BACK,
    ),
    Fault(
        "reservation-shrunk",
        "the reservation was made smaller at run time, and the capture kernel does not fit any more",
        everywhere(_SHRUNK),
        stage=(_SHRINK,),
        says=("crashkernel-too-small",),
    ),
    Fault(
        "reservation-shrunk-and-loaded",
        "the reservation was made smaller at run time; kexec says nothing, as the capture kernel fits, but cannot run there",
        {DEBIAN12_ARM64: _SHRUNK},
        stage=(_SHRINK,),
    ),
)

NOT_STAGED: tuple[NotStaged, ...] = ()
