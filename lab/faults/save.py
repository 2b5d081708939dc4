"""Saving the dump: makedumpfile, watchdogs, the dump target."""

from __future__ import annotations

from lab.faults.model import DEBIAN12, DEBIAN13, SILENT, Fault, Ground, NotStaged, expect
from lab.qemu import Disk

_EXPIRES = {target: expect("hardware-watchdog-resets") for target in (DEBIAN12, DEBIAN13)}
_HARMLESS = {DEBIAN12: SILENT, DEBIAN13: SILENT}
_GONE = {target: expect("dump-disk-not-visible") for target in (DEBIAN12, DEBIAN13)}
_NETWORK = {target: expect(undetermined={"dump-disk-not-visible"}) for target in (DEBIAN12, DEBIAN13)}
# A second start of the system's kernel after the capture kernel's, without a dump in between: the machine was reset.
_RESET = r"(?s)sysrq: Trigger a crash(?!.*saved vmcore).*Linux version.*Linux version"

_I6300ESB = Ground(devices=("i6300esb",), options=("-action", "watchdog=reset"))
_KEEPER = (
    "systemd-run --quiet --unit=keeper sh -c 'exec 3>/dev/watchdog; while :; do echo >&3; sleep 2; done'",
    "sleep 3",
)
_BMC = Ground(
    devices=("ipmi-bmc-sim,id=bmc0", "isa-ipmi-kcs,bmc=bmc0"),
    prepare=("modprobe ipmi_si; modprobe ipmi_devintf; test -e /dev/ipmi0",),
)
# Set Watchdog Timer: SMS/OS, hard reset, {seconds} in tenths, least significant byte first; then start it.
_ARM = "ipmitool raw 0x06 0x24 0x04 0x01 0x00 0x00 {} && ipmitool raw 0x06 0x22"


def _disk(bus: str) -> Ground:
    device = "/dev/disk/by-id/*labdump*" if bus != "virtio" else "/dev/disk/by-id/virtio-labdump"
    return Ground(
        disks=(Disk(256, bus, "labdump"),),
        prepare=(
            f"d=$(readlink -f {device} | head -n 1); mkfs.ext4 -q $d && udevadm settle && "
            "echo UUID=$(blkid -s UUID -o value $d) /var/crash ext4 defaults,nofail 0 2 >> /etc/fstab && "
            "systemctl daemon-reload && mount /var/crash && kdump-config unload && kdump-config load",
        ),
    )


FAULTS: tuple[Fault, ...] = (
    Fault(
        "watchdog-fed-by-a-daemon",
        "a hardware watchdog is fed by a daemon that dies with the kernel, and expires before the dump is done",
        _EXPIRES,
        # udev loaded it with its own heartbeat
        stage=("modprobe -r i6300esb; modprobe i6300esb heartbeat=12", *_KEEPER),
        ground=_I6300ESB,
        proof=_RESET,
        ci=True,
    ),
    Fault(
        "watchdog-fed-by-systemd",
        "a hardware watchdog is fed by systemd (RuntimeWatchdogSec=), and expires before the dump is done",
        _EXPIRES,
        stage=(
            "modprobe i6300esb",
            "mkdir -p /etc/systemd/system.conf.d",
            "printf '[Manager]\\nRuntimeWatchdogSec=15\\n' > /etc/systemd/system.conf.d/watchdog.conf",
            "systemctl daemon-reexec; sleep 2",
        ),
        ground=_I6300ESB,
    ),
    Fault(
        "watchdog-long-enough",
        "harmless: a hardware watchdog runs, but leaves the dump half an hour",
        _HARMLESS,
        stage=("modprobe -r i6300esb; modprobe i6300esb heartbeat=1800", *_KEEPER),
        ground=_I6300ESB,
    ),
    Fault(
        "watchdog-not-running",
        "harmless: there is a hardware watchdog that nobody started",
        {target: expect(undetermined={"hardware-watchdog-resets"}) for target in (DEBIAN12, DEBIAN13)},
        stage=("modprobe i6300esb",),
        ground=_I6300ESB,
    ),
    Fault(
        "bmc-watchdog-without-driver",
        "the BMC's watchdog runs without any watchdog driver of the kernel's, fed over IPMI as a firmware's agent does, and "
        "expires before the dump is done",
        _EXPIRES,
        stage=(
            _ARM.format("0x2c 0x01"),
            "systemd-run --quiet --unit=keeper sh -c 'while :; do ipmitool raw 0x06 0x22; sleep 3; done'",
        ),
        ground=_BMC,
        proof=_RESET,
    ),
    Fault(
        "bmc-watchdog-fed-by-a-daemon",
        "the BMC's watchdog is fed through ipmi_watchdog by a daemon, and expires before the dump is done",
        _EXPIRES,
        stage=("modprobe ipmi_watchdog timeout=15", *_KEEPER),
        ground=_BMC,
    ),
    Fault(
        "bmc-watchdog-long-enough",
        "harmless: the BMC's watchdog runs, but leaves the dump a quarter of an hour",
        _HARMLESS,
        stage=(_ARM.format("0x28 0x23"),),
        ground=_BMC,
    ),
    Fault("bmc-watchdog-not-running", "harmless: the BMC's watchdog stands still", _HARMLESS, ground=_BMC),
    Fault(
        "dump-disk-gone",
        "/var/crash is meant to be on a disk that is not there any more",
        _GONE,
        stage=(
            "echo 'UUID=0f0f0f0f-1111-2222-3333-444444444444 /var/crash ext4 defaults,nofail 0 2' >> /etc/fstab",
            "systemctl daemon-reload",
        ),
        ci=True,
    ),
    Fault(
        "root-disk-without-driver",
        "the capture kernel may not load the driver of the disk that it boots from",
        _GONE,
        stage=(
            "echo 'KDUMP_CMDLINE_APPEND=\"$KDUMP_CMDLINE_APPEND module_blacklist=virtio_blk\"' >> /etc/default/kdump-tools",
            "kdump-config unload; kdump-config load",
        ),
        proof=r"ALERT! .* does not exist",
    ),
    Fault(
        "root-disk-has-another-uuid",
        "the capture kernel's command line names a root disk that does not exist any more",
        _GONE,
        stage=(
            "sed -i 's/^#*KDUMP_CMDLINE=.*//' /etc/default/kdump-tools; echo 'KDUMP_CMDLINE=\"root=UUID="
            "0f0f0f0f-1111-2222-3333-444444444444 ro console=ttyS0,115200\"' >> /etc/default/kdump-tools",
            "kdump-config unload; kdump-config load",
        ),
    ),
    Fault(
        "dump-disk-full",
        "the dump's file system has no room for any dump",
        _GONE,
        # root may use what is kept for it, so that is used up, too, and so is what ext4 keeps for itself
        stage=(
            "echo 0 > /sys/fs/ext4/vda/reserved_clusters; "
            "fallocate -l $(($(stat -f -c '%f * %S' /var/crash) - (8 << 20))) /root/fill",
        ),
        ci=True,
    ),
    Fault(
        "dump-disk-read-only",
        "the dump's file system is read-only",
        _GONE,
        stage=("mount --bind /var/crash /var/crash && mount -o remount,bind,ro /var/crash",),
        undo=("umount /var/crash",),
    ),
    *(
        Fault(
            f"dump-disk-on-{bus}",
            f"harmless: dumps go to a second disk on {bus}, which the capture kernel, too, mounts",
            _HARMLESS,
            ground=_disk(bus),
            proof=r"(?s)Mounted [^\n]*/var/crash.*kdump-tools: saved vmcore in",
        )
        for bus in ("virtio", "scsi", "nvme")
    ),
    *(
        Fault(
            f"dump-disk-on-{bus}-not-mounted",
            f"dumps are meant for a second disk on {bus}, which is there and is not mounted",
            _GONE,
            stage=("umount /var/crash",),
            ground=_disk(bus),
        )
        for bus in ("virtio", "scsi", "nvme")
    ),
    Fault(
        "nfs-target-unreachable",
        "dumps go to an NFS server that does not answer",
        _NETWORK,
        stage=("echo 'NFS=\"10.0.2.99:/srv/crash\"' >> /etc/default/kdump-tools",),
    ),
    Fault(
        "ssh-target-without-key",
        "dumps go to an SSH server, and there is no key for it",
        _NETWORK,
        stage=("echo 'SSH=\"crash@10.0.2.2\"' >> /etc/default/kdump-tools",),
    ),
)

NOT_STAGED: tuple[NotStaged, ...] = (
    NotStaged(
        "section-size-bits-mismatch",
        "a kernel and a makedumpfile that disagree",
        "x86_64 has always been 27, and Debian's arm64 kernels export their number: recordings judge it "
        "(kdumpctl-section-size-bits)",
    ),
)
