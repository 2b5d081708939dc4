"""2.4: drivers, names, mounts and room of the dump disk."""

import pytest

from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, missing, says

FILE = "dump_disk_not_visible"
STORAGE = "mount 254:0 /dev/vda ext4 rw,relatime /\nspace {space}\nlayer vda -\ndriver virtio_blk virtio_blk\ndriver virtio-pci -"
LISTING = "image 1 1 /i\nfile 1 lib/{}.ko\nfile 1 lib/ext4.ko\ntotal 10 10 1"
HEALTHY = [
    says("kdump_userspace", "/usr/sbin/kdump-config"),
    says("kdump_tools_defaults", "USE_KDUMP=1"),
    says("initramfs", LISTING.format("virtio_blk")),
    says("built_in_modules", "kernel/drivers/virtio/virtio_pci.ko"),
    says("root_storage", STORAGE.format(space=4000000)),
    says("dump_storage", STORAGE.format(space=4000000)),
    says("fstab_lines", "UUID=aa / ext4 defaults 0 1"),
    says("device_names", "/dev/disk/by-uuid/aa"),
    says("kexec_command", '/sbin/kexec -p --command-line="root=UUID=aa ro" /vmlinuz'),
    says("cmdline", "root=UUID=aa ro"),
    says("meminfo", "MemTotal: 1000000 kB\nSlab: 40000 kB"),
]
LOST = "UUID=bb /var/crash ext4 nofail 0 2"


@pytest.mark.parametrize(
    ("test", "reading", "verdict"),
    [
        ("drivers_of_the_disk_are_in_the_kdump_initramfs", None, Verdict.ABSENT),
        ("drivers_of_the_disk_are_in_the_kdump_initramfs", says("initramfs", LISTING.format("nvme")), Verdict.PRESENT),
        ("drivers_of_the_disk_are_in_the_kdump_initramfs", denied("initramfs"), Verdict.UNDETERMINED),
        (
            "drivers_of_the_disk_are_in_the_kdump_initramfs",
            says("initramfs", LISTING.format("nvme") + "\nsquashed unlisted"),
            Verdict.UNDETERMINED,
        ),
        (
            "drivers_of_the_disk_are_in_the_kdump_initramfs",
            says("root_storage", "mount 0:40 overlay overlay rw /\nspace 4000000"),
            Verdict.UNDETERMINED,
        ),
        ("dumps_go_to_the_disk_that_was_meant", None, Verdict.ABSENT),
        ("dumps_go_to_the_disk_that_was_meant", says("fstab_lines", LOST), Verdict.PRESENT),
        ("dumps_go_to_the_disk_that_was_meant", missing("fstab_lines"), Verdict.ABSENT),
        ("dumps_go_to_the_disk_that_was_meant", denied("dump_storage"), Verdict.UNDETERMINED),
        ("devices_named_to_the_capture_kernel_exist", None, Verdict.ABSENT),
        (
            "devices_named_to_the_capture_kernel_exist",
            says("kexec_command", '/sbin/kexec -p --command-line="root=UUID=cc ro" /vmlinuz'),
            Verdict.PRESENT,
        ),
        ("devices_named_to_the_capture_kernel_exist", denied("device_names"), Verdict.UNDETERMINED),
        (
            "devices_named_to_the_capture_kernel_exist",
            says("kexec_command", '/sbin/kexec -p --command-line="root=/dev/vda ro" /vmlinuz'),
            Verdict.NOT_APPLICABLE,
        ),
        ("dump_can_be_written", None, Verdict.ABSENT),
        ("dump_can_be_written", says("dump_storage", STORAGE.format(space=100)), Verdict.PRESENT),
        (
            "dump_can_be_written",
            says("dump_storage", STORAGE.format(space=4000000).replace("rw,", "ro,")),
            Verdict.PRESENT,
        ),
        ("dump_can_be_written", says("dump_storage", "", "", 124), Verdict.UNDETERMINED),
        ("usb_is_not_switched_off", None, Verdict.NOT_APPLICABLE),
        ("network_target_can_be_reached", None, Verdict.NOT_APPLICABLE),
        ("network_target_can_be_reached", says("kdump_tools_defaults", "NFS=server:/export"), Verdict.UNDETERMINED),
        ("dump_can_be_written", says("kdump_tools_defaults", "NFS=server:/export"), Verdict.NOT_APPLICABLE),
    ],
)
def test_judgement(test, reading, verdict):
    transcript = host(*HEALTHY, *([reading] if reading else []))
    assert ask(transcript, FILE, test)[0] is verdict


@pytest.mark.parametrize(("flag", "verdict"), [("usbcore.nousb", Verdict.PRESENT), ("quiet", Verdict.ABSENT)])
def test_usb(flag, verdict):
    usb = says("dump_storage", STORAGE.format(space=4000000) + "\nbus usb")
    kexec = says("kexec_command", f'/sbin/kexec -p --command-line="root=UUID=aa {flag}" /vmlinuz')
    assert ask(host(*HEALTHY, usb, kexec), FILE, "usb_is_not_switched_off")[0] is verdict
