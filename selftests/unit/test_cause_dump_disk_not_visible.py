"""2.4: drivers, names, mounts and room of the dump disk, and the way to a dump target on the network."""

import pytest

from kdump.fact import UID
from kdump.transcript import Reading
from kdump.verdict import Verdict
from selftests.judging import ask, denied, host, missing, says
from selftests.vmcore.writer import RELEASE, kdump

FILE = "dump_disk_not_visible"
ABSENT, PRESENT, UNKNOWN, NA = Verdict.ABSENT, Verdict.PRESENT, Verdict.UNDETERMINED, Verdict.NOT_APPLICABLE
DISK = "layer vda -\ndriver virtio_blk virtio_blk\ndriver virtio-pci -"


def storage(fact="dump_storage", below=DISK, mount="254:0 /dev/vda ext4 rw,relatime /", space="4000000 1000", folder=""):
    lines = [f"mount {mount}", *([f"space {space}"] if space else []), *([f"folder {folder}"] if folder else []), below]
    return says(fact, "\n".join(lines))


def image(*files):
    listed = "".join(f"file 1 {name}\n" for name in files)
    return says("initramfs", f"image 1 1 /i\n{listed}total 10 10 1")


def kexec(arguments):
    return says("kexec_command", f'/sbin/kexec -p --command-line="{arguments}" /vmlinuz')


HEALTHY = [
    Reading(UID, "0", "", 0),
    says("kdump_userspace", "/usr/sbin/kdump-config"),
    says("kdump_tools_defaults", "USE_KDUMP=1"),
    says("kernel_release", "1"),
    says("capture_release", "1"),
    image("lib/modules/1/virtio_blk.ko", "lib/modules/1/ext4.ko"),
    says("built_in_modules", "kernel/drivers/virtio/virtio_pci.ko"),
    storage("root_storage"),
    storage(folder="/var/crash"),
    says("fstab_lines", "UUID=aa / ext4 defaults 0 1"),
    says("mounted", "/dev/vda /"),
    says("block_devices", "/dev/vda vda\n/dev/vdb vdb\n/dev/disk/by-uuid/aa vda\n/dev/disk/by-uuid/cc vdb"),
    kexec("root=UUID=aa ro"),
    says("cmdline", "root=UUID=aa ro"),
    says("meminfo", "MemTotal: 1000000 kB\nMemFree: 500000 kB\nCached: 200000 kB\nAnonPages: 90000 kB\nSlab: 40000 kB"),
    says("initramfs_texts", "--force --mount '/dev/disk/by-uuid/aa /kdumproot ext4 rw'"),
    says("network_path"),
    missing("root_ssh_folder"),
]
MEMORY = storage(mount="0:40 tmpfs tmpfs rw /var/crash", below="", folder="/var/crash")
KDUMPCTL = [says("kdump_userspace", "/usr/bin/kdumpctl"), missing("kdump_conf_target"), missing("kdump_sysconfig")]
SUSE = [says("kdump_userspace", "/usr/sbin/kdumptool"), says("kdump_sysconfig", "KDUMP_SAVEDIR=/var/crash")]
DRIVERS = "drivers_of_the_disk_are_in_the_kdump_initramfs"
MEANT = "dumps_go_to_the_disk_that_was_meant"
AWAITED = "capture_kernel_waits_until_the_disk_is_mounted"
NAMED = "devices_named_to_the_capture_kernel_exist"
BUILT = "kdump_initramfs_was_built_for_the_disk"
WRITTEN = "dump_can_be_written"
MDRAID = "layer md0 raid5\n" + DISK
LVM_THIN = "layer dm-4 LVM-xyz vg-crash\nlayer dm-2 LVM-xyz-tpool vg-pool-tpool\n" + DISK
LVM_VDO = "layer dm-4 LVM-xyz vg-crash\nlayer dm-2 LVM-xyz-vpool vg-pool-vpool\n" + DISK
LVM_CACHE = "layer dm-4 LVM-xyz vg-crash\nlayer dm-2 LVM-xyz-real vg-crash_wcorig\n" + DISK
FCOE = "layer sda -\ndriver sd sd_mod\ndriver ixgbe ixgbe\nbus fcoe"
DMRAID = "layer dm-0 DMRAID-isw_x isw_x\n" + DISK
DASD = "layer dasda1 -\nlayer dasda -\ndriver dasd-eckd dasd_eckd_mod"
CRYPT = "layer dm-0 CRYPT-LUKS2-ab-luks luks\n" + DISK
CRASH_ON_ITS_OWN = [says("mounted", "/dev/vda /\n/dev/vdb /var/crash"), storage(folder="/var/crash")]


def crash_mounted(options):
    return [*CRASH_ON_ITS_OWN, says("fstab_lines", f"UUID=aa / ext4 defaults 0 1\nUUID=cc /var/crash ext4 {options} 0 2")]


SCSI = "layer sda -\ndriver sd sd_mod\ndriver virtio_scsi virtio_scsi\ndriver virtio-pci -"
PARTITION_OF_PATHS = "layer dm-1 part1-mpath-36 mpatha1\nlayer dm-0 mpath-36 mpatha\n" + DISK
MULTIPATH = ("x/dm-multipath.ko", "sbin/multipathd")
PARTITIONS = says("block_devices", "/dev/vda vda\n/dev/disk/by-uuid/aa vda\n/dev/disk/by-partuuid/ab-01 vda1")
FILES = ("lib/modules/1/virtio_blk.ko", "lib/modules/1/ext4.ko")


@pytest.mark.parametrize(
    ("test", "readings", "verdict"),
    [
        (DRIVERS, [], ABSENT),
        (DRIVERS, [image("lib/modules/1/nvme.ko", "lib/modules/1/ext4.ko")], PRESENT),
        (DRIVERS, [image("lib/modules/2/virtio_blk.ko", "lib/modules/2/ext4.ko")], PRESENT),
        (DRIVERS, [kexec("root=UUID=aa module_blacklist=foo,virtio-blk")], PRESENT),
        (DRIVERS, [denied("kexec_command")], UNKNOWN),
        # /var/crash on a disk of its own: the whole system has its driver, unless it may not load it
        (DRIVERS, [storage(below=SCSI), kexec("root=UUID=aa")], ABSENT),
        (DRIVERS, [storage(below=SCSI), kexec("root=UUID=aa module_blacklist=virtio_scsi")], PRESENT),
        (DRIVERS, [storage(below=SCSI), kexec("root=UUID=aa module_blacklist=virtio-pci,sr_mod")], ABSENT),
        (DRIVERS, [denied("dump_storage"), kexec("root=UUID=aa module_blacklist=virtio_scsi")], UNKNOWN),
        (DRIVERS, [denied("initramfs")], UNKNOWN),
        (DRIVERS, [says("initramfs", "image 1 1 /i\nfile 1 squash-root.img\ntotal 10 10 1\nsquashed unlisted")], UNKNOWN),
        (DRIVERS, [says("initramfs", "image 1 1 /i\nfile 1 lib/modules/1/ext4.ko\ncut\ntotal 10 10 1")], UNKNOWN),
        (DRIVERS, [storage("root_storage", "", "0:40 overlay overlay rw /")], UNKNOWN),
        # one disk of two is of a kind whose driver is not seen (nbd), or on the network
        (DRIVERS, [storage("root_storage", DISK + "\nlayer nbd0 -\nbus none")], UNKNOWN),
        (DRIVERS, [storage("root_storage", DISK + "\nbus iscsi")], UNKNOWN),
        (DRIVERS, [storage("root_storage", DISK + "\nbus iscsi"), image("lib/modules/1/ext4.ko")], PRESENT),
        (DRIVERS, [storage("root_storage", "layer bcache0 -\n" + DISK)], PRESENT),
        # what must be switched on, or is put together by what is not looked for
        (DRIVERS, [storage("root_storage", FCOE), image(*FILES, "x/sd_mod.ko", "x/ixgbe.ko")], UNKNOWN),
        (DRIVERS, [storage("root_storage", FCOE), image(*FILES, "x/sd_mod.ko")], PRESENT),
        (DRIVERS, [storage("root_storage", DMRAID), image(*FILES, "x/dm-mod.ko")], UNKNOWN),
        (DRIVERS, [storage("root_storage", DMRAID), image(*FILES)], PRESENT),
        (DRIVERS, [storage("root_storage", "layer dm-0 -\n" + DISK), image(*FILES, "x/dm-mod.ko")], UNKNOWN),
        (DRIVERS, [storage("root_storage", PARTITION_OF_PATHS), image(*FILES, "x/dm_mod.ko", *MULTIPATH)], ABSENT),
        (DRIVERS, [storage("root_storage", DASD), image(*FILES, "x/dasd_eckd_mod.ko")], UNKNOWN),
        # an ext3 file system is ext4's, a RAID 5 raid456's
        (DRIVERS, [storage("root_storage", mount="254:0 /dev/vda ext3 rw /")], ABSENT),
        (DRIVERS, [storage("root_storage", MDRAID), image(*FILES, "lib/modules/1/raid456.ko", "sbin/mdadm")], ABSENT),
        (DRIVERS, [storage("root_storage", MDRAID), image(*FILES, "lib/modules/1/raid456.ko")], PRESENT),
        (DRIVERS, [storage("root_storage", LVM_THIN), image(*FILES, "x/dm-mod.ko", "sbin/lvm")], PRESENT),
        (DRIVERS, [storage("root_storage", LVM_THIN), image(*FILES, "x/dm-mod.ko", "x/dm-thin-pool.ko", "sbin/lvm")], ABSENT),
        (DRIVERS, [storage("root_storage", LVM_VDO), image(*FILES, "x/dm-mod.ko", "sbin/lvm")], PRESENT),
        (DRIVERS, [storage("root_storage", LVM_CACHE), image(*FILES, "x/dm-mod.ko", "sbin/lvm")], PRESENT),
        (MEANT, [], ABSENT),
        (MEANT, [says("fstab_lines", "UUID=bb /var/crash ext4 nofail 0 2")], PRESENT),
        (MEANT, [says("fstab_lines", "UUID=bb /srv ext4 nofail 0 2"), storage(folder="/srv/crash")], PRESENT),
        (MEANT, [says("fstab_lines", "UUID=bb /srv ext4 nofail 0 2")], ABSENT),
        (MEANT, [says("fstab_lines", "UUID=cc /var/crash ext4 noauto 0 2")], UNKNOWN),
        # the system that is booted for the dump does not wait for a mount that is nofail
        (AWAITED, crash_mounted("defaults"), ABSENT),
        (AWAITED, crash_mounted("defaults,nofail"), UNKNOWN),
        (AWAITED, crash_mounted("nofail,x-systemd.before=kdump-tools-dump.service"), ABSENT),
        (AWAITED, [*crash_mounted("nofail"), denied("fstab_lines")], UNKNOWN),
        (AWAITED, [*crash_mounted("nofail"), *KDUMPCTL], NA),
        (AWAITED, [], NA),
        # mounted, but another disk; or one whose name is gone
        (MEANT, [says("fstab_lines", "UUID=cc /var/crash ext4"), says("mounted", "/dev/vda /\n/dev/vda /var/crash")], PRESENT),
        (MEANT, [says("fstab_lines", "UUID=dd /var/crash ext4"), says("mounted", "/dev/vda /\n/dev/vdb /var/crash")], PRESENT),
        (MEANT, [says("fstab_lines", 'UUID="cc" /var/crash ext4'), says("mounted", "/dev/vda /\n/dev/vdb /var/crash")], ABSENT),
        (MEANT, [says("fstab_lines", "UUID=cc /var/crash btrfs"), says("mounted", "/dev/vda /\n/dev/vda /var/crash")], ABSENT),
        # a bind mount of a folder whose own disk is not mounted
        (
            MEANT,
            [
                says("fstab_lines", "UUID=cc /data ext4\n/data/c /var/crash none bind"),
                says("mounted", "/dev/vda /\n/dev/vda /var/crash"),
            ],
            PRESENT,
        ),
        # without udev there are no persistent names: whether it is that disk is not to be seen
        (
            MEANT,
            [
                says("fstab_lines", "UUID=cc /var/crash ext4"),
                says("mounted", "/dev/vda /\n/dev/vdb /var/crash"),
                says("block_devices", "/dev/vdb vdb"),
            ],
            UNKNOWN,
        ),
        (
            MEANT,
            [
                says("fstab_lines", "UUID=cc /var/crash ext4 noauto,x-systemd.automount"),
                says("mounted", "/dev/vda /\nsystemd-1 /var/crash"),
                storage(mount="0:40 systemd-1 autofs rw /var/crash", space="", below="", folder="/var/crash"),
            ],
            UNKNOWN,
        ),
        (MEANT, [says("fstab_lines", "UUID=cc /var/crash ext4"), says("mounted", "")], UNKNOWN),
        # in memory: gone with the reboot
        (MEANT, [says("fstab_lines", "tmpfs /var/crash tmpfs"), MEMORY], PRESENT),
        (MEANT, [MEMORY], UNKNOWN),
        (MEANT, [missing("fstab_lines")], ABSENT),
        (MEANT, [denied("dump_storage")], UNKNOWN),
        (MEANT, [*KDUMPCTL, says("kdump_conf_target", "ext4 UUID=cc")], ABSENT),
        (MEANT, [*KDUMPCTL, says("kdump_conf_target", "  ext4 UUID=dd")], PRESENT),
        (MEANT, [*KDUMPCTL, says("kdump_conf_target", "xfs /dev/disk/by-path/pci-0")], PRESENT),
        (MEANT, [*KDUMPCTL, says("kdump_conf_target", "raw /dev/vdb")], UNKNOWN),
        (NAMED, [], ABSENT),
        (NAMED, [kexec("root=UUID=dd ro")], PRESENT),
        (NAMED, [kexec("root=/dev/vda ro")], ABSENT),
        (NAMED, [kexec("root=/dev/sda1 ro")], PRESENT),
        # names of SCSI disks go by the order in which they are found
        (NAMED, [kexec("root=/dev/sda1 ro"), says("block_devices", "/dev/sda sda\n/dev/sda1 sda1")], ABSENT),
        (NAMED, [kexec("root=/dev/sda1 ro"), says("block_devices", "/dev/sda sda\n/dev/sda1 sda1\n/dev/sdb sdb")], UNKNOWN),
        # blkid takes letters as they are, the kernel and dracut do not; only the kernel counts on from a PARTUUID
        (NAMED, [kexec("root=PARTUUID=AB-01 ro"), PARTITIONS], UNKNOWN),
        (NAMED, [kexec("root=PARTUUID=ab-01 ro"), PARTITIONS], ABSENT),
        (NAMED, [kexec("root=PARTUUID=AC-01 ro"), PARTITIONS], PRESENT),
        (NAMED, [kexec("root=PARTUUID=ab-01/PARTNROFF=1 ro"), PARTITIONS], UNKNOWN),
        (NAMED, [kexec("root=PARTUUID=ac-01/PARTNROFF=1 ro"), PARTITIONS], PRESENT),
        (NAMED, [kexec("root=PARTUUID=AB-01 rd.lvm.lv=vg-a/crash"), PARTITIONS], PRESENT),
        (NAMED, [kexec("root=UUID=AA ro")], UNKNOWN),
        (MEANT, [says("fstab_lines", "UUID=CC /var/crash ext4"), says("mounted", "/dev/vda /\n/dev/vdb /var/crash")], UNKNOWN),
        (MEANT, [*KDUMPCTL, says("kdump_conf_target", "ext4 UUID=CC")], UNKNOWN),
        (NAMED, [kexec("root=UUID=aa rd.lvm.lv=vg-a/crash")], PRESENT),
        (NAMED, [kexec("root=UUID=aa rd.luks.uuid=luks-c")], ABSENT),
        (NAMED, [kexec("root=UUID=aa rd.luks.uuid=dd")], PRESENT),
        (NAMED, [denied("block_devices")], UNKNOWN),
        (NAMED, [kexec("root=/dev/nfs ro")], NA),
        (BUILT, [], NA),
        (BUILT, KDUMPCTL, ABSENT),
        (BUILT, SUSE, ABSENT),
        (BUILT, [*SUSE, says("initramfs_texts", "--mount '/dev/disk/by-uuid/dd /kdump/mnt/ ext4 rw'")], PRESENT),
        (BUILT, [*SUSE, says("initramfs_texts", "--mount '/dev/disk/by-uuid/cc /kdump/mnt/ ext4 rw'")], PRESENT),
        (BUILT, [*KDUMPCTL, says("initramfs_texts", "path /var/crash\next4 /dev/disk/by-uuid/dd")], PRESENT),
        (BUILT, [*KDUMPCTL, says("initramfs_texts", "--force")], UNKNOWN),
        (BUILT, [*KDUMPCTL, denied("initramfs_texts")], UNKNOWN),
        ("encrypted_disk_opens_by_itself", [], NA),
        ("encrypted_disk_opens_by_itself", [storage("root_storage", CRYPT)], UNKNOWN),
        ("encrypted_disk_opens_by_itself", [storage(below=CRYPT)], UNKNOWN),
        ("encrypted_disk_opens_by_itself", [denied("dump_storage")], UNKNOWN),
        (WRITTEN, [], ABSENT),
        (WRITTEN, [storage(space="100 1000")], PRESENT),
        (WRITTEN, [storage(space="20000 1000")], UNKNOWN),
        (WRITTEN, [storage(space="4000000 0")], PRESENT),
        (WRITTEN, [storage(space="4000000 -")], ABSENT),
        (WRITTEN, [storage(mount="254:0 /dev/vda ext4 ro,relatime /")], PRESENT),
        (WRITTEN, [*KDUMPCTL, storage(mount="254:0 /dev/vda ext4 ro,relatime /")], UNKNOWN),
        # uncompressed and unfiltered: as large as the memory
        (WRITTEN, [*KDUMPCTL, says("core_collector_lines", "core_collector cp"), storage(space="900000 1000")], PRESENT),
        (WRITTEN, [*SUSE, storage(space="70000 1000")], PRESENT),
        (WRITTEN, [says("dump_storage", "", "", 124)], UNKNOWN),
        ("usb_is_not_switched_off", [], NA),
        ("usb_is_not_switched_off", [storage(below=DISK + "\nbus usb"), kexec("root=UUID=aa usbcore.nousb")], PRESENT),
        ("usb_is_not_switched_off", [storage("root_storage", DISK + "\nbus usb"), kexec("usbcore.nousb nousb=0")], PRESENT),
        # read by an old kernel with usbcore built in, by no other
        ("usb_is_not_switched_off", [storage(below=DISK + "\nbus usb"), kexec("root=UUID=aa nousb")], UNKNOWN),
        ("usb_is_not_switched_off", [storage(below=DISK + "\nbus usb"), kexec("nousb nousb=off")], ABSENT),
        ("usb_is_not_switched_off", [kexec("root=UUID=aa nousb")], NA),
        ("usb_is_not_switched_off", [storage(below=DISK + "\nbus usb"), kexec("usbcore.nousb=on")], PRESENT),
        ("usb_is_not_switched_off", [storage(below=DISK + "\nbus usb"), kexec("usbcore.nousb usbcore.nousb=0")], ABSENT),
        ("usb_is_not_switched_off", [storage(below=DISK + "\nbus usb")], ABSENT),
        ("usb_is_not_switched_off", [storage(below=DISK + "\nbus usb"), denied("kexec_command")], UNKNOWN),
    ],
)
def test_disk(test, readings, verdict):
    if any(reading.command == says("kdump_conf_target").command for reading in readings):
        readings = [missing("core_collector_lines"), *readings]
    assert ask(host(*HEALTHY, *readings), FILE, test)[0] is verdict


WAY = "host nas\naddress 10.0.0.5\nroute 10.0.0.5 dev bond0 src 10.0.0.2\ninterface bond0 bond\ninterface eth0 -\n"
WAY += "driver virtio_net virtio_net"
NETWORK = [
    *KDUMPCTL,
    says("kdump_conf_target", "nfs nas:/export"),
    says("network_path", WAY),
    image("x/virtio_net.ko", "x/nfs.ko", "x/bonding.ko", "usr/sbin/mount.nfs", "etc/cmdline.d/50neednet.conf"),
]
SSH = [
    *NETWORK,
    says("kdump_conf_target", "ssh kdump@nas"),
    image(
        "x/virtio_net.ko",
        "x/bonding.ko",
        "usr/bin/ssh",
        "root/.ssh/kdump_id_rsa",
        "root/.ssh/known_hosts",
        "etc/cmdline.d/ip.conf",
    ),
]
SUSE_SSH = [*SSH, says("kdump_userspace", "/usr/sbin/kdumptool"), says("kdump_sysconfig", "KDUMP_SAVEDIR=ssh://kdump@nas/x")]
TOOLS_SSH = [*HEALTHY, says("kdump_tools_defaults", "SSH=kdump@nas")]
LISTED = "-rw------- 1 root root 9 Jan 1 00:00 /root/.ssh/"
NAME, ROUTE = "name_of_the_network_target_is_known", "network_target_has_a_route"
ANSWERS = "network_target_answers"
NIC, KEY = "drivers_of_the_network_are_in_the_kdump_initramfs", "network_target_lets_the_capture_kernel_in"


@pytest.mark.parametrize(
    ("test", "readings", "verdict"),
    [
        (NAME, HEALTHY, NA),
        (NAME, NETWORK, ABSENT),
        (NAME, [*NETWORK, says("network_path", "host nas\nunresolved 2")], PRESENT),
        (NAME, [*NETWORK, says("network_path", "host nas\nunresolved 124")], UNKNOWN),
        (NAME, [*NETWORK, denied("network_path")], UNKNOWN),
        (ROUTE, HEALTHY, NA),
        (ROUTE, NETWORK, ABSENT),
        (ROUTE, [*NETWORK, says("network_path", "host nas\naddress 10.0.0.5\nunreachable RTNETLINK answers: …")], PRESENT),
        (ROUTE, [*NETWORK, says("network_path", "host nas\nunresolved 2")], NA),
        (ROUTE, [*NETWORK, says("network_path", "host nas\naddress 10.0.0.5\nroute 10.0.0.5")], UNKNOWN),
        (ANSWERS, HEALTHY, NA),
        (ANSWERS, NETWORK, UNKNOWN),
        (ANSWERS, [*NETWORK, says("mounted", "/dev/vda /\nnas:/export /mnt")], ABSENT),
        (ANSWERS, [*NETWORK, says("mounted", "/dev/vda /\nnas2:/export /mnt")], UNKNOWN),
        (ANSWERS, [*NETWORK, denied("mounted")], UNKNOWN),
        (ANSWERS, [*SSH, says("mounted", "/dev/vda /\nnas:/export /mnt")], UNKNOWN),
        (ANSWERS, [*NETWORK, says("network_path", "host nas\naddress 10.0.0.5\nunreachable RTNETLINK answers: …")], NA),
        (NIC, HEALTHY, NA),
        (NIC, NETWORK, ABSENT),
        (NIC, SSH, ABSENT),
        (NIC, [*NETWORK, says("network_path", WAY.replace("bond0 bond", "team0 -"))], UNKNOWN),
        (NIC, [*NETWORK, image("x/nfs.ko", "x/bonding.ko", "usr/sbin/mount.nfs", "etc/cmdline.d/ip.conf")], PRESENT),
        (NIC, [*NETWORK, image("x/virtio_net.ko", "x/nfs.ko", "usr/sbin/mount.nfs", "etc/cmdline.d/ip.conf")], PRESENT),
        (NIC, [*NETWORK, image("x/virtio_net.ko", "x/nfs.ko", "x/bonding.ko", "etc/cmdline.d/ip.conf")], PRESENT),
        (NIC, [*NETWORK, image("x/virtio_net.ko", "x/nfs.ko", "x/bonding.ko", "usr/sbin/mount.nfs")], PRESENT),
        (NIC, [*NETWORK, image("x/virtio_net.ko", "x/nfs.ko", "usr/sbin/mount.nfs"), denied("initramfs_texts")], UNKNOWN),
        (NIC, [*NETWORK, denied("initramfs")], UNKNOWN),
        # a folder on a file system of the network is a network target too
        (NIC, [*NETWORK, missing("kdump_conf_target"), storage(mount="0:40 nas:/export nfs4 rw /var/crash", below="")], ABSENT),
        (NIC, [*TOOLS_SSH, says("host_programs", "/usr/bin/ssh")], NA),
        (NIC, [*TOOLS_SSH, says("host_programs", "/sbin/mount.nfs")], PRESENT),
        (NIC, TOOLS_SSH, UNKNOWN),
        (NIC, [*HEALTHY, says("kdump_tools_defaults", "FTP=nas"), says("host_programs", "/usr/bin/ssh")], PRESENT),
        (KEY, HEALTHY, NA),
        (KEY, NETWORK, NA),
        (KEY, SSH, ABSENT),
        (KEY, [*SSH, image("usr/bin/ssh", "root/.ssh/known_hosts")], PRESENT),
        # it may be a link to a key that is there
        (KEY, [*SSH, image("usr/bin/ssh", "root/.ssh/known_hosts"), denied("root_ssh_folder")], UNKNOWN),
        (KEY, [*SSH, image("usr/bin/ssh", "root/.ssh/kdump_id_rsa")], UNKNOWN),
        (KEY, [*SSH, says("kdump_conf_target", "ssh kdump@nas\nsshkey /etc/key")], UNKNOWN),
        (KEY, [*SUSE_SSH, image("root/.ssh/id_ed25519")], ABSENT),
        (KEY, [*SUSE_SSH, image("root/.ssh/config")], PRESENT),
        (KEY, [*SUSE_SSH, says("kdump_sysconfig", "KDUMP_SAVEDIR=ssh://kdump:secret@nas/x")], NA),
        (KEY, [*TOOLS_SSH, says("root_ssh_folder", f"{LISTED}kdump_id_rsa\n{LISTED}known_hosts")], ABSENT),
        (KEY, [*TOOLS_SSH, says("root_ssh_folder", f"{LISTED}kdump_id_rsa")], UNKNOWN),
        (KEY, [*TOOLS_SSH, missing("root_ssh_folder")], PRESENT),
        (KEY, [*TOOLS_SSH, denied("root_ssh_folder")], UNKNOWN),
        (WRITTEN, NETWORK, NA),
    ],
)
def test_network(test, readings, verdict):
    assert ask(host(*HEALTHY, *readings), FILE, test)[0] is verdict


CONTROLLER = "controller_of_the_disk_works_in_a_capture_kernel"
RAID = "layer sda -\ndriver sd sd_mod\ndriver megaraid_sas megaraid_sas"
HIRAID = RAID.replace("megaraid_sas", "hiraid")
OPENEULER = [says("kernel_release", "5.10.0-60.oe22"), says("capture_release", "5.10.0-60.oe22")]
SAVED = kdump().replace(RELEASE.encode(), b"5.10.0-60.oe22")
DUMP = "/var/crash/202601010101/dump.202601010101"


def dumped(data=SAVED):
    evidence = f"file {DUMP}\nsize {len(data)}\nmtime 1\n@0 {data.hex()}"
    return [says("dump_listing", f"folder /var/crash\ndump {len(data)} 1 {DUMP}"), says("stored_dumps", evidence)]


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([], NA),
        # of other kernels than openEuler's and their kin nobody told so
        ([storage(below=RAID)], NA),
        ([storage(below=RAID), says("capture_release", "5.14.0-427.el9.x86_64")], NA),
        ([*OPENEULER, storage(below=RAID)], UNKNOWN),
        ([storage(below=RAID), says("capture_release", "4.19.90-24.4.v2101.ky10.x86_64")], UNKNOWN),
        ([*OPENEULER, storage("root_storage", RAID)], UNKNOWN),
        # a whole dump of this kernel says that it works, one of another or a part of one does not
        ([*OPENEULER, storage(below=RAID), *dumped()], ABSENT),
        ([*OPENEULER, storage(below=RAID), *dumped(kdump())], UNKNOWN),
        ([*OPENEULER, storage(below=RAID), *dumped(SAVED[:5000])], UNKNOWN),
        ([*OPENEULER, storage(below=RAID), denied("dump_listing")], UNKNOWN),
        ([*OPENEULER, storage(below=RAID), kexec("root=UUID=aa irqpoll")], NA),
        ([*OPENEULER, storage(below=RAID), denied("kexec_command")], UNKNOWN),
        ([storage(below=HIRAID)], UNKNOWN),
        ([storage(below=HIRAID), kexec("root=UUID=aa swiotlb=4096")], UNKNOWN),
        ([storage(below=HIRAID), kexec("root=UUID=aa swiotlb=32768,force")], NA),
        ([storage(below="layer nbd0 -\nbus none")], UNKNOWN),
        (NETWORK, NA),
    ],
)
def test_controller_of_the_disk(readings, verdict):
    found, said = ask(host(*HEALTHY, kexec("root=UUID=aa reset_devices"), *readings), FILE, CONTROLLER)
    assert found is verdict, said


LEFT_OUT = "next_kdump_initramfs_is_not_denied_what_the_dump_target_needs"
LVM = "layer dm-0 LVM-xyz vg-crash\n" + DISK


def omitting(words, status=0, more=""):
    file = "/etc/dracut.conf.d/own.conf"
    more = f"{file}:{more}\n" if more else ""
    dracut = '/usr/bin/dracut:((${#omit_dracutmodules_l[@]})) && omit_dracutmodules+=" ${omit_dracutmodules_l[*]} "'
    return says("dracut_omissions", f'file {file}\n{file}:omit_dracutmodules+=" {words} "\n{more}{dracut}', "", status)


def sent_to(target):
    return says("kdump_conf_target", target)


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([storage(below=LVM), omitting("lvm")], PRESENT),
        ([storage(below=LVM), omitting("dm")], PRESENT),
        ([storage(below=LVM), omitting("plymouth")], ABSENT),
        ([storage(below=LVM), omitting("mdraid nfs")], ABSENT),
        ([omitting("lvm multipath crypt nfs")], ABSENT),  # its disk needs none of them
        ([storage(below=MDRAID), omitting("mdraid")], PRESENT),
        ([storage(below=LVM), omitting("plymouth"), says("dracut_args", "dracut_args --omit lvm")], PRESENT),
        # what is forced in is there all the same; what it brings along is not looked up
        ([storage(below=LVM), omitting("lvm"), says("dracut_args", "dracut_args --force-add lvm")], ABSENT),
        ([storage(below=LVM), omitting("lvm"), says("dracut_args", "dracut_args --force-add 'cms lvmmerge'")], UNKNOWN),
        ([storage(below=LVM), omitting("lvm", more='force_add_dracutmodules+=" lvm "')], ABSENT),
        ([storage(below=LVM), omitting("lvm", more='force_add_dracutmodules+=" crypt "')], UNKNOWN),
        ([storage(below=LVM), omitting("nfs", more='force_add_dracutmodules+=" crypt "')], ABSENT),
        ([storage(below=LVM), omitting("lvm", more='force_add_dracutmodules+=" $MINE "')], UNKNOWN),
        ([storage(below=LVM), omitting("nfs", more='dracutmodules+=" base "')], UNKNOWN),
        ([storage(below=CRYPT), omitting("crypt")], UNKNOWN),
        ([storage(below="layer dm-0 mpath-1 mpatha\n" + DISK), omitting("multipath")], UNKNOWN),
        ([storage(below=DISK + "\nbus iscsi"), omitting("iscsi")], UNKNOWN),
        ([omitting("iscsi nbd btrfs network-manager")], ABSENT),
        ([storage(mount="0:30 /dev/vda btrfs rw /"), omitting("btrfs")], UNKNOWN),
        ([omitting("kernel-modules")], UNKNOWN),
        ([sent_to("ssh kdump@nas"), omitting("network-manager")], UNKNOWN),
        ([sent_to("nfs nas:/srv"), omitting("nfs")], PRESENT),
        ([sent_to("nfs nas:/srv"), omitting("network")], PRESENT),
        ([sent_to("ssh kdump@nas"), omitting("ssh-client")], PRESENT),
        ([sent_to("ssh kdump@nas"), omitting("nfs lvm")], ABSENT),
        # a disk that has to be switched on, or put together, in a way of its own
        ([storage(below=FCOE), omitting("fcoe")], UNKNOWN),
        ([storage(below=DMRAID), omitting("dmraid")], UNKNOWN),
        ([storage(below=DASD), omitting("dasd")], UNKNOWN),
        ([omitting("fcoe nvmf dmraid zfcp dasd")], ABSENT),
        ([denied("dump_storage"), omitting("fcoe")], UNKNOWN),
        ([denied("dump_storage"), omitting("lvm")], UNKNOWN),
        ([denied("dump_storage"), omitting("plymouth")], ABSENT),
        ([denied("dracut_omissions")], UNKNOWN),
        ([storage(below=LVM), omitting("lvm"), *SUSE], PRESENT),
        ([omitting("network"), *SUSE, says("kdump_sysconfig", "KDUMP_SAVEDIR=nfs://nas/srv")], UNKNOWN),
        ([denied("dracut_omissions"), says("kdump_userspace", "/usr/sbin/kdump-config")], NA),
    ],
)
def test_what_dracut_leaves_out_of_the_next_image(readings, verdict):
    found, said = ask(host(*HEALTHY, *KDUMPCTL, missing("dracut_args"), *readings), FILE, LEFT_OUT)
    assert found is verdict, said


NO_DRIVERS = "next_kdump_initramfs_is_not_denied_the_drivers_of_the_dump_target"


def without(words, *lines):
    lines = "".join(f"\n/etc/dracut.conf.d/own.conf:{line}" for line in lines)
    return omitting("plymouth", more=f'omit_drivers+=" {words} "{lines}')


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        ([omitting("lvm")], ABSENT),
        ([without("virtio_blk")], PRESENT),
        ([without("virtio_.*")], PRESENT),
        ([without("mlx5_core e1000e")], ABSENT),
        ([without("virtio_pci")], ABSENT),  # built in
        ([storage(mount="254:0 /dev/vda ext3 rw /"), without("ext3")], ABSENT),  # ext4 serves it
        # another dracut takes a part of a name, or a dash, in another way
        ([without("blk")], UNKNOWN),
        ([without("virtio-blk")], UNKNOWN),
        ([without("[")], UNKNOWN),
        ([omitting("plymouth"), says("dracut_args", 'dracut_args --omit-drivers "nvme virtio_blk"')], PRESENT),
        ([omitting("plymouth"), says("dracut_args", 'dracut_args --omit-drivers "nvme"')], ABSENT),
        # what is added by its own name is not left out
        ([omitting("plymouth"), says("dracut_args", "dracut_args --omit-drivers virtio_blk --add-drivers virtio-blk")], ABSENT),
        ([without("virtio_blk", 'add_drivers+=" nvme virtio_blk "')], ABSENT),
        ([without("virtio_blk", "force_drivers+=' virtio_blk '")], ABSENT),
        ([without("virtio_blk", 'add_drivers+=" nvme "')], PRESENT),
        ([without("virtio_blk", 'add_drivers+=" virtio_blk "', 'add_drivers=" nvme "')], PRESENT),
        ([without("virtio_.*", 'add_drivers+=" virtio_blk "')], PRESENT),  # what matches is left out, added or not
        ([without("virtio_blk", 'add_drivers+=" $MINE "')], UNKNOWN),
        ([without("virtio_blk", ' add_drivers+=" virtio_blk "')], UNKNOWN),  # indented: perhaps under a condition
        ([without("nvme", 'add_drivers+=" $MINE "')], ABSENT),
        # before dracut 107 only the first dash of a list is an underscore
        ([without("virtio_blk", 'add_drivers+=" ib-core virtio-blk "')], UNKNOWN),
        ([without("plymouth", 'dracutmodules=""')], ABSENT),
        ([without("plymouth", 'dracutmodules="base kernel-modules"')], UNKNOWN),
        ([without("plymouth", 'drivers="nvme"')], UNKNOWN),
        ([omitting("plymouth"), says("dracut_args", "dracut_args --drivers nvme")], UNKNOWN),
        ([without("virtio_blk"), says("extra_modules", "path /var/crash\nextra_modules nvme virtio_blk")], ABSENT),
        ([without("virtio_blk"), says("extra_modules", "extra_modules nvme")], PRESENT),
        ([without("virtio_blk"), denied("extra_modules")], UNKNOWN),
        ([without("virtio_blk"), denied("dump_storage")], UNKNOWN),
        ([without("nvme"), storage(below=DISK + "\nbus iscsi")], UNKNOWN),
        ([without("virtio_blk"), denied("built_in_modules")], UNKNOWN),
        ([without("virtio_blk"), *SUSE], PRESENT),
        ([denied("dracut_omissions")], UNKNOWN),
        ([denied("dracut_omissions"), says("kdump_userspace", "/usr/sbin/kdump-config")], NA),
        ([sent_to("nfs nas:/srv"), says("network_path", WAY), without("virtio_net")], PRESENT),
        ([sent_to("nfs nas:/srv"), says("network_path", WAY), without("bonding")], PRESENT),
        ([sent_to("ssh kdump@nas"), says("network_path", WAY), without("nfs nvme")], ABSENT),
        ([sent_to("ssh kdump@nas"), says("network_path", WAY.replace("bond0 bond", "team0 -")), without("nfs")], UNKNOWN),
        ([sent_to("ssh kdump@nas"), denied("network_path"), without("nfs")], UNKNOWN),
    ],
)
def test_drivers_that_dracut_leaves_out_of_the_next_image(readings, verdict):
    found, said = ask(host(*HEALTHY, *KDUMPCTL, missing("dracut_args"), *readings), FILE, NO_DRIVERS)
    assert found is verdict, said
