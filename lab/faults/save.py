"""Saving the dump: makedumpfile, watchdogs, the dump target."""

from __future__ import annotations

from lab.faults.model import (
    DEBIAN12,
    DEBIAN12_ARM64,
    DEBIAN12_DRACUT,
    SILENT,
    Fault,
    Ground,
    NotStaged,
    and_arm64,
    everywhere,
    expect,
)
from lab.qemu import Disk

_EXPIRES = everywhere(expect("hardware-watchdog-resets"))
_HARMLESS = everywhere(SILENT)
_GONE = everywhere(expect("dump-disk-not-visible"))
_UNREACHED = everywhere(expect(undetermined={"dump-disk-not-visible"}))
_OPEN = everywhere(expect(undetermined={"hardware-watchdog-resets"}))
# /sys of this arm64 kernel does not show which driver the timer has
_DRIVER_UNSEEN = {DEBIAN12_ARM64: expect(undetermined={"hardware-watchdog-resets"})}
_SAVED = "kdump-tools: saved vmcore in"
# The system's kernel starts, whose command line asks for a reservation, without a dump before it: the machine was reset. The
# capture kernel may not even have begun to speak, where the timer was short.
_RESET = r"(?s)sysrq: Trigger a crash(?!.*saved vmcore).*[Cc]ommand line: [^\r\n]*crashkernel="

_RELOAD = "kdump-config unload; kdump-config load"
_IMAGE = "/var/lib/kdump/initrd.img-$(uname -r)"
_I6300ESB = Ground(devices=("i6300esb",), options=("-action", "watchdog=reset"))
_LOCKED = "echo 'options i6300esb nowayout=1' > /etc/modprobe.d/i6300esb.conf"
_KEEPER = (
    "systemd-run --quiet --unit=keeper sh -c 'exec 3>/dev/watchdog; while :; do echo >&3; sleep 1; done'",
    "sleep 3",
)
_RUNTIME_WATCHDOG = (
    "mkdir -p /etc/systemd/system.conf.d; "
    "printf '[Manager]\\nRuntimeWatchdogSec={}\\n' > /etc/systemd/system.conf.d/watchdog.conf"
)
_REEXEC = "systemctl daemon-reexec; sleep 2"
_BMC = Ground(
    devices=("ipmi-bmc-sim,id=bmc0", "isa-ipmi-kcs,bmc=bmc0"),
    prepare=("modprobe ipmi_si; modprobe ipmi_devintf; test -e /dev/ipmi0",),
)
# Set Watchdog Timer: SMS/OS, hard reset, {seconds} in tenths, least significant byte first; then start it. QEMU's simulator
# says of a timer that it runs only where it was set with "don't stop" (0x40).
_ARM = "ipmitool raw 0x06 0x24 0x44 0x01 0x00 0x00 {} && ipmitool raw 0x06 0x22"


def _in_initramfs(modules: str) -> str:
    """The kdump initramfs loads these modules; it is built and loaded anew."""
    return (
        f"printf '%s\\n' {modules} >> /etc/initramfs-tools/modules; rm {_IMAGE}; /etc/kernel/postinst.d/kdump-tools $(uname -r); "
        f"{_RELOAD}"
    )


_FSTAB = "cp /etc/fstab /root/fstab; "
_FSTAB_BACK = "cp /root/fstab /etc/fstab; systemctl daemon-reload"
_DEFAULTS = "/etc/default/kdump-tools"
_KEEP_DEFAULTS = f"cp {_DEFAULTS} /root/defaults; "
_DEFAULTS_BACK = (f"cp /root/defaults {_DEFAULTS}",)
_DRIVERS = {"scsi": "virtio_scsi", "nvme": "nvme"}
# kdump-tools does not wait for a mount that is nofail: the dump lies under the mount point ever after
_STRAY = r"(?s)Trigger a crash(?:(?!EXT4-fs \(sda\): mounted).)*saved vmcore in"


def _append(words: str) -> str:
    """More words for the capture kernel's command line; then it is loaded again."""
    return f"""{_KEEP_DEFAULTS} echo 'KDUMP_CMDLINE_APPEND="$KDUMP_CMDLINE_APPEND {words}"' >> {_DEFAULTS}; {_RELOAD}"""


def _ssh_target(address: str) -> str:
    """A dump target that the machine has a key for, and whose own key it knows."""
    return (
        f"{_KEEP_DEFAULTS} echo 'SSH=\"crash@{address}\"' >> {_DEFAULTS}; "
        "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/kdump_id_rsa; "
        f"sed 's/^/{address} /' /etc/ssh/ssh_host_ed25519_key.pub > /root/.ssh/known_hosts"
    )


_SSH_BACK = (*_DEFAULTS_BACK, "rm /root/.ssh/kdump_id_rsa* /root/.ssh/known_hosts")

# what makes /dev/mapper/… of a disk, and its name
_LVM = ("pvcreate -q $d && vgcreate -q dump $d && lvcreate -q -y -l 100%FREE -n crash dump", "/dev/mapper/dump-crash")
_LUKS = (
    "printf secret > /root/key && chmod 600 /root/key && cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "
    "$d /root/key && cryptsetup open --key-file /root/key $d dump && "
    "echo dump UUID=$(blkid -s UUID -o value $d) /root/key luks,nofail >> /etc/crypttab",
    "/dev/mapper/dump",
)
_ENCRYPTED = expect(undetermined={"dump-disk-not-visible"})


def _layered(below: tuple[str, str]) -> Ground:
    """A second disk with a layer of the device mapper under its file system."""
    make, device = below
    return Ground(
        disks=(Disk(256, "virtio", "labdump"),),
        prepare=(
            f"d=$(readlink -f /dev/disk/by-id/virtio-labdump); {make} && udevadm settle && mkfs.ext4 -q {device} && "
            f"echo {device} /var/crash ext4 defaults 0 2 >> /etc/fstab && systemctl daemon-reload && mount /var/crash && "
            "kdump-config unload && kdump-config load",
        ),
    )


def _disk(bus: str, options: str = "defaults,nofail") -> Ground:
    device = "/dev/disk/by-id/*labdump*" if bus != "virtio" else "/dev/disk/by-id/virtio-labdump"
    return Ground(
        disks=(Disk(256, bus, "labdump"),),
        prepare=(
            f"d=$(readlink -f {device} | head -n 1); mkfs.ext4 -q $d && udevadm settle && "
            f"echo UUID=$(blkid -s UUID -o value $d) /var/crash ext4 {options} 0 2 >> /etc/fstab && "
            "systemctl daemon-reload && mount /var/crash && kdump-config unload && kdump-config load",
        ),
    )


FAULTS: tuple[Fault, ...] = (
    Fault(
        "watchdog-fed-by-a-daemon",
        "a hardware watchdog is fed by a daemon that dies with the kernel, and expires before the dump is done",
        {**_EXPIRES, **_DRIVER_UNSEEN},
        # udev loaded it with its own heartbeat; this one is locked (nowayout): the driver that the capture system's udev
        # loads, sooner or later, cannot stop the timer
        stage=("modprobe -r i6300esb; modprobe i6300esb heartbeat=4 nowayout=1", *_KEEPER),
        ground=_I6300ESB,
        proof=_RESET,
        ci=True,
    ),
    Fault(
        "watchdog-fed-by-systemd",
        "a hardware watchdog is fed by systemd (RuntimeWatchdogSec=), and expires before the dump is done, unless the udev of "
        "the system that is booted for the dump loads its driver before",
        _OPEN,
        # no proof: of two machines that were crashed with it, one saved its dump, and the other was reset
        stage=("modprobe i6300esb", _RUNTIME_WATCHDOG.format("15"), _REEXEC),
        ground=_I6300ESB,
    ),
    Fault(
        "watchdog-armed-at-next-boot",
        "systemd is configured to feed a hardware watchdog that nothing stops (RuntimeWatchdogSec=), and does so from its next "
        "start on",
        _EXPIRES,
        stage=(f"{_LOCKED}; modprobe -r i6300esb; modprobe i6300esb", _RUNTIME_WATCHDOG.format("4")),
        ground=_I6300ESB,
    ),
    Fault(
        "watchdog-armed-at-next-boot-long-enough",
        "harmless: the same, for half an hour",
        _HARMLESS,
        stage=("modprobe i6300esb", _RUNTIME_WATCHDOG.format("1800")),
        ground=_I6300ESB,
    ),
    Fault(
        "watchdog-driver-in-initramfs",
        "harmless: a hardware watchdog is fed by a daemon, and the kdump initramfs has its driver, which stops it in time",
        _HARMLESS,
        stage=(
            "modprobe -r i6300esb; modprobe i6300esb heartbeat=45",  # which is less than the suite gives the dump
            _in_initramfs("i6300esb"),
            *_KEEPER,
        ),
        ground=_I6300ESB,
        proof=_SAVED,
    ),
    Fault(
        "watchdog-long-enough",
        "harmless: a hardware watchdog runs, but leaves the dump half an hour",
        and_arm64(_HARMLESS),
        stage=("modprobe -r i6300esb; modprobe i6300esb heartbeat=1800", *_KEEPER),
        ground=_I6300ESB,
    ),
    Fault(
        "watchdog-not-running",
        "harmless: there is a hardware watchdog that nobody started",
        {**_HARMLESS, **_DRIVER_UNSEEN},
        stage=("modprobe i6300esb",),
        ground=_I6300ESB,
    ),
    Fault(
        "bmc-watchdog-without-driver",
        "the BMC's watchdog runs without any watchdog driver of the kernel's, fed over IPMI as a firmware's agent does, and "
        "expires before the dump is done",
        _EXPIRES,
        stage=(
            _ARM.format("0x96 0x00"),
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
        "bmc-watchdog-fed-by-systemd",
        "the BMC's watchdog is fed through ipmi_watchdog by systemd, and expires before the dump is done",
        _EXPIRES,
        stage=("modprobe ipmi_watchdog", _RUNTIME_WATCHDOG.format("15\\nWatchdogDevice=/dev/watchdog"), _REEXEC),
        ground=_BMC,
        proof=_RESET,
    ),
    Fault(
        "bmc-watchdog-driver-in-initramfs",
        "harmless: the same, and the kdump initramfs loads ipmi_watchdog, which takes the timer's action away in time",
        _OPEN,
        stage=(
            "modprobe ipmi_watchdog timeout=20",
            _in_initramfs("ipmi_si ipmi_watchdog"),
            *_KEEPER,
        ),
        ground=_BMC,
        proof=_SAVED,
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
        "makedumpfile-without-section-size",
        "makedumpfile does not look for the kernel's SECTION_SIZE_BITS, as one before 1.5.7, and takes what it was built with: "
        "30 on arm64, where the kernel has 27; harmless on x86_64, where both are 27",
        {**_HARMLESS, DEBIAN12_ARM64: expect("section-size-bits-mismatch")},
        stage=(
            "cp -a /usr/bin/makedumpfile /root/kept",
            "sed -i 's/NUMBER(SECTION_SIZE_BITS)/NUMBER(section_size_bits)/' /usr/bin/makedumpfile",
            "! cmp -s /root/kept /usr/bin/makedumpfile",
        ),
        undo=("mv /root/kept /usr/bin/makedumpfile",),
    ),
    Fault(
        "kernel-without-section-size",
        "the kernel does not export its SECTION_SIZE_BITS, as one before 5.13, and makedumpfile takes what it was built with: "
        "30, where the kernel has 27",
        {DEBIAN12_ARM64: expect("section-size-bits-mismatch")},
        ground=Ground(kernel=("SECTION_SIZE_BITS", "section_size_bits")),
    ),
    Fault(
        "makedumpfile-of-another-section-size",
        "makedumpfile takes memory sections for 2^30 bytes and does not ask the kernel, whose number is 27: it cannot save",
        # on Debian 13 it would not tell what it takes free pages for, either
        {DEBIAN12: expect("section-size-bits-mismatch")},
        # The one instruction that sets the number it was built with: mov qword [info + offset], 27.
        stage=(
            "cp -a /usr/bin/makedumpfile /root/kept",
            "sed -i 's/NUMBER(SECTION_SIZE_BITS)/NUMBER(section_size_bits)/' /usr/bin/makedumpfile; perl -0777 -pi -e '"
            's/(\\x48\\xc7[\\x80-\\x87].{4})\\x1b\\0\\0\\0/$1\\x1e\\0\\0\\0/gs == 1 or die "not one such instruction"'
            "' /usr/bin/makedumpfile",
        ),
        ground=Ground(memory=3072),
        proof=r"makedumpfile Failed|failed to save vmcore",
        says=("section-size-bits-mismatch",),
    ),
    Fault(
        "dump-disk-gone",
        "/var/crash is meant to be on a disk that is not there any more",
        and_arm64(_GONE),
        stage=(
            f"{_FSTAB} echo 'UUID=0f0f0f0f-1111-2222-3333-444444444444 /var/crash ext4 defaults,nofail 0 2' >> /etc/fstab",
            "systemctl daemon-reload",
        ),
        undo=(_FSTAB_BACK,),
        ci=True,
    ),
    Fault(
        "root-disk-without-driver",
        "the capture kernel may not load the driver of the disk that it boots from",
        _GONE,
        stage=(_append("module_blacklist=virtio_blk"),),
        proof=r"ALERT! .* does not exist",
        says=("dump-disk-not-visible",),
    ),
    Fault(
        "root-disk-driver-not-in-image",
        "the kdump initramfs lacks the driver of the disk that the capture kernel boots from",
        _GONE,
        stage=(
            f"image=$(readlink -f {_IMAGE}); unmkinitramfs $image /root/image; cd /root/image/main || cd /root/image; "
            "find . -name 'virtio_blk.ko*' -delete; find . | cpio --quiet -o -H newc | gzip -1 > $image",
            _RELOAD,
        ),
        proof=r"ALERT! .* does not exist",
        says=("dump-disk-not-visible",),
    ),
    Fault(
        "root-disk-has-another-uuid",
        "the capture kernel's command line names a root disk that does not exist any more",
        and_arm64(_GONE),
        stage=(
            f"{_KEEP_DEFAULTS} sed -i 's/^#*KDUMP_CMDLINE=.*//' {_DEFAULTS}; echo 'KDUMP_CMDLINE=\"root=UUID="
            f"0f0f0f0f-1111-2222-3333-444444444444 ro console=ttyS0,115200\"' >> {_DEFAULTS}; {_RELOAD}",
        ),
        undo=(f"{_DEFAULTS_BACK[0]}; {_RELOAD}",),
    ),
    Fault(
        "dump-disk-full",
        "the dump's file system has no room for any dump",
        and_arm64(_GONE),
        # root may use what is kept for it, so that is used up, too, and so is what ext4 keeps for itself
        stage=(
            "cat /sys/fs/ext4/vda/reserved_clusters > /root/clusters; echo 0 > /sys/fs/ext4/vda/reserved_clusters; "
            "fallocate -l $(($(stat -f -c '%f * %S' /var/crash) - (8 << 20))) /root/fill",
        ),
        undo=("rm /root/fill; cat /root/clusters > /sys/fs/ext4/vda/reserved_clusters",),
        ci=True,
    ),
    Fault(
        "dump-disk-read-only",
        "the dump's file system is read-only",
        and_arm64(_GONE),
        stage=("mount --bind /var/crash /var/crash && mount -o remount,bind,ro /var/crash",),
        undo=("umount /var/crash",),
    ),
    *(
        Fault(
            f"dump-disk-on-{bus}",
            f"harmless: dumps go to a second disk on {bus}, which the capture kernel, too, mounts",
            _HARMLESS,
            ground=_disk(bus, "defaults"),
            proof=r"(?s)Mounted [^\n]*/var/crash.*kdump-tools: saved vmcore in",
        )
        for bus in ("virtio", "scsi", "nvme")
    ),
    Fault(
        "dump-disk-not-waited-for",
        "dumps go to a second disk that is mounted with nofail: kdump-tools may be faster than the mount, and lose the dump",
        _UNREACHED,
        ground=_disk("scsi"),
        undo=("true",),
    ),
    *(
        Fault(
            f"dump-disk-on-{bus}-not-mounted",
            f"dumps are meant for a second disk on {bus}, which is there and is not mounted",
            and_arm64(_GONE),
            stage=("umount /var/crash",),
            ground=_disk(bus),
        )
        for bus in ("virtio", "scsi", "nvme")
    ),
    *(
        Fault(
            f"dump-disk-on-{bus}-driver-forbidden",
            f"dumps go to a second disk, and the capture kernel may not load {driver}: they land on the root disk, where "
            "the mounted disk hides them after the reboot",
            _GONE,
            stage=(_append(f"module_blacklist={driver}"),),
            ground=_disk(bus),
            proof=_STRAY if bus == "scsi" else "",
        )
        for bus, driver in _DRIVERS.items()
    ),
    *(
        Fault(
            f"dump-disk-on-{name}",
            f"dumps go to a second disk under {words}",
            {DEBIAN12_DRACUT: wanted},
            ground=_layered(below),
            proof=r"(?s)Mounted [^\n]*/var/crash.*kdump-tools: saved vmcore in",
        )
        for name, words, below, wanted in (
            ("lvm", "LVM: harmless, the system that boots has it", _LVM, SILENT),
            ("luks-with-key-file", "LUKS that opens with a key file, which nobody can see from here", _LUKS, _ENCRYPTED),
        )
    ),
    Fault(
        "dump-disk-on-lvm-gone",
        "dumps are meant for a logical volume that was removed",
        {DEBIAN12_DRACUT: expect("dump-disk-not-visible")},
        stage=("umount /var/crash; lvremove -q -y dump/crash; udevadm settle",),
        ground=_layered(_LVM),
    ),
    Fault(
        "dump-disk-on-luks-without-key",
        "dumps go to an encrypted disk that asks for its passphrase: nobody is there to type it",
        {DEBIAN12_DRACUT: _ENCRYPTED},
        stage=("rm /root/key; sed -i 's,/root/key,none,' /etc/crypttab; systemctl daemon-reload",),
        ground=_layered(_LUKS),
    ),
    Fault(
        "dump-disk-unplugged",
        "the disk that dumps go to was taken out while it was mounted",
        _GONE,
        stage=("echo 1 > /sys/block/sda/device/delete; udevadm settle",),
        ground=_disk("scsi"),
    ),
    Fault(
        "dump-disk-made-anew",
        "the disk that dumps go to has a new file system, and /etc/fstab still has the old one's UUID",
        _GONE,
        stage=("umount /var/crash; mkfs.ext4 -q -F /dev/sda && udevadm settle && systemctl daemon-reload",),
        ground=_disk("scsi"),
    ),
    Fault(
        "nfs-target-without-program",
        "dumps go to an NFS server, and nfs-common, which has mount.nfs, is not installed",
        and_arm64(_GONE),
        stage=(f"{_KEEP_DEFAULTS} echo 'NFS=\"10.0.2.2:/srv/crash\"' >> {_DEFAULTS}",),
        undo=_DEFAULTS_BACK,
    ),
    Fault(
        "nfs-target-without-route",
        "dumps go to an NFS server on another network, and no route leads there",
        _GONE,
        stage=(f"{_KEEP_DEFAULTS} echo 'NFS=\"192.0.2.1:/srv/crash\"' >> {_DEFAULTS}; ip route del default",),
        undo=(*_DEFAULTS_BACK, "ip route add default via 10.0.2.2"),
    ),
    Fault(
        "ssh-target-without-key",
        "dumps go to an SSH server, and there is no key for it",
        and_arm64(_GONE),
        stage=(f"{_KEEP_DEFAULTS} echo 'SSH=\"crash@10.0.2.2\"' >> {_DEFAULTS}",),
        undo=_DEFAULTS_BACK,
        ci=True,
    ),
    Fault(
        "ssh-target-without-route",
        "dumps go to an SSH server on another network, the key for it is there, and no route leads there",
        _GONE,
        stage=(f"{_ssh_target('192.0.2.1')}; ip route del default",),
        undo=(*_SSH_BACK, "ip route add default via 10.0.2.2"),
    ),
    Fault(
        "ssh-target-with-key",
        "dumps go to an SSH server, and the key for it is there: whether the server answers, only an attempt would show",
        _UNREACHED,
        stage=(_ssh_target("10.0.2.2"),),
        undo=_SSH_BACK,
    ),
)

NOT_STAGED: tuple[NotStaged, ...] = (
    NotStaged(
        "dump-disk-not-visible",
        "an NFS server that does not answer",
        "these machines have no mount.nfs, which is a cause of its own (nfs-target-without-program)",
    ),
    NotStaged(
        "section-size-bits-mismatch",
        "an arm64 kernel with pages of 64 KiB, whose number is 29",
        "Debian's arm64 kernels have pages of 4 KiB, and in Debian 13 one of 16 KiB, whose number is 27 like theirs",
    ),
    NotStaged(
        "hardware-watchdog-resets",
        "a BMC's timer on arm64",
        "QEMU's arm64 machine has no BMC",
    ),
    NotStaged(
        "hardware-watchdog-resets",
        "a chip's timer that the firmware started and feeds, while no driver has bound the chip",
        "QEMU's firmware starts none, and nothing in /sys shows such a timer",
    ),
)
