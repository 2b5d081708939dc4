"""What the lab's machines are made of, as data: change a line here and the image is built again.

A recipe names Debian packages, files and accounts, and what the machine looks like to its kernel (memory,
processors, ``crashkernel=``). To add a target, derive it from an existing one with ``dataclasses.replace`` and
put it into TARGETS; nothing else needs to know.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from lab.errors import LabError

# Raised when lab/rootfs.py or lab/image.py put something else into an image than before.
BUILD_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Account:
    """A login of the machine; all accounts accept the image's one user key, none has a password."""

    name: str
    sudo: bool


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One target.

    name         what the user types, as in ``lab://debian12``
    suite        the Debian release's code name
    packages     what is installed on top of a minimal system (dpkg essential and required, no recommendations)
    debconf      answers to the packages' questions, in debconf-set-selections' format
    files        path in the machine -> content; mode 0644
    executables  the same with mode 0755
    chroot       shell commands run in the unpacked system, as its root
    first_boot   shell commands run once in the booted machine, before the image is finished
    cmdline      kernel arguments besides ``root=`` and ``crashkernel=``
    crashkernel  the value of ``crashkernel=``
    memory       MiB
    disk         virtual size of the root disk, MiB (the file is sparse)
    """

    name: str
    suite: str
    packages: tuple[str, ...]
    debconf: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    executables: tuple[tuple[str, str], ...] = ()
    chroot: tuple[str, ...] = ()
    first_boot: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = (Account("operator", sudo=True), Account("auditor", sudo=False))
    arch: str = "amd64"
    cmdline: str = "console=ttyS0,115200 net.ifnames=0"
    crashkernel: str = "256M"
    memory: int = 1024
    cpus: int = 2
    disk: int = 6144

    def digest(self) -> str:
        """Twelve hex digits that change with every line of the recipe and with BUILD_VERSION."""
        data = json.dumps([BUILD_VERSION, dataclasses.asdict(self)], sort_keys=True)
        return hashlib.sha256(data.encode()).hexdigest()[:12]


# QEMU's user-mode network hands every guest the same address; a fixed one saves the boot a DHCP exchange.
_NETWORK = "[Match]\nName=eth0\n\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nDNS=10.0.2.3\n"

# Work that a throw-away machine never needs, and that would compete with a test for an emulated processor.
_NEEDLESS_UNITS = (
    "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer "
    "e2scrub_reap.service systemd-networkd-wait-online.service getty@tty1.service"
)

DEBIAN12 = Recipe(
    name="debian12",
    suite="bookworm",
    packages=(
        "linux-image-amd64",
        "systemd-sysv",
        "dbus",  # without it an unprivileged `systemctl show` cannot ask anything
        "udev",
        "kmod",
        "procps",
        "iproute2",
        "netbase",
        "kdump-tools",
        "kexec-tools",
        "makedumpfile",
        "crash",
        "binutils",
        "openssh-server",
        "sudo",
        "busybox",
        "ipmitool",
        "file",
        "grub2-common",  # update-grub: the next boot's command line is in /boot/grub/grub.cfg, as on any machine
    ),
    debconf=(
        "kdump-tools kdump-tools/use_kdump boolean true",
        "kexec-tools kexec-tools/load_kexec boolean false",
    ),
    files=(
        ("/etc/systemd/network/10-eth0.network", _NETWORK),
        ("/etc/resolv.conf", "nameserver 10.0.2.3\n"),
        ("/etc/ssh/sshd_config.d/lab.conf", "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"),
    ),
    chroot=(
        "sed -i 's/^#*USE_KDUMP=.*/USE_KDUMP=1/' /etc/default/kdump-tools",
        "systemctl enable systemd-networkd.service ssh.service kdump-tools.service",
        f"systemctl mask {_NEEDLESS_UNITS}",
        "rm -f /etc/ssh/ssh_host_*",
    ),
    # The image is a bare file system without a partition table, which grub-probe handles like any other disk.
    first_boot=("mkdir -p /boot/grub && update-grub",),
)

# An older kernel (5.10), kexec-tools (2.0.20), makedumpfile (1.6.8) and crash (7.2.9, which cannot do without strings).
DEBIAN11 = dataclasses.replace(DEBIAN12, name="debian11", suite="bullseye")

# A newer kernel (6.12), kexec-tools (2.0.29: kexec_file_load first), makedumpfile (1.7.6) and crash (8.0.6). e2fsprogs is no
# part of every system any more.
DEBIAN13 = dataclasses.replace(DEBIAN12, name="debian13", suite="trixie", packages=(*DEBIAN12.packages, "e2fsprogs"))

# What kdump-tools does not use, and kdumpctl does: dracut and its squash module. It stands beside initramfs-tools, which still
# makes this machine's images (the package dracut would replace it). And what disks can rest on: LVM, LUKS.
DEBIAN12_DRACUT = dataclasses.replace(
    DEBIAN12,
    name="debian12-dracut",
    packages=(*DEBIAN12.packages, "dracut-core", "dracut-squash", "squashfs-tools", "lvm2", "cryptsetup"),
)

# Another architecture. As it is installed, its kexec leaves the capture kernel no usable /proc/vmcore, because its kernel does
# not list _text (see tests/test_kaslr_hides_kernel_layout.py).
DEBIAN12_ARM64 = dataclasses.replace(
    DEBIAN12,
    name="debian12-arm64",
    arch="arm64",
    packages=tuple(package.replace("amd64", "arm64") for package in DEBIAN12.packages),
    cmdline="console=ttyAMA0,115200 net.ifnames=0",
)

TARGETS: dict[str, Recipe] = {recipe.name: recipe for recipe in (DEBIAN11, DEBIAN12, DEBIAN12_DRACUT, DEBIAN13, DEBIAN12_ARM64)}
DEFAULT_TARGET = DEBIAN12.name


def target(name: str) -> Recipe:
    """The recipe called *name*; LabError names the known ones."""
    try:
        return TARGETS[name]
    except KeyError:
        raise LabError(f"The lab has no machine called {name!r}; it has: {', '.join(sorted(TARGETS))}.") from None
