"""The implementations of kdump userspace, as data: one column per difference, one reason per line.

A flavour is chosen by what is installed, never by ``/etc/os-release``. A host with two of them, or none, is a finding.
Sources: rhkdump/kdump-utils@63f248c (kdumpctl, kdump-lib.sh), Debian kdump-tools 1.8.1 and 1.10.9 (kdump-config),
openSUSE/kdump@34da4b8 (init/load.sh, kdump.sysconfig).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Flavour:
    name: str
    #: an executable that only this flavour installs
    installed_as: tuple[str, ...]
    #: the systemd units that load the capture kernel
    units: tuple[str, ...]
    #: files that an administrator edits
    configuration: tuple[str, ...]
    #: shell patterns of the kdump initramfs, the one in use first; {release} is the capture kernel's
    initramfs: tuple[str, ...]
    #: dracut may put the squash module into the image; initramfs-tools and SUSE's mkdumprd never do
    may_squash: bool
    #: where dumps go when nothing is configured
    dump_path: str
    #: the capture kernel mounts the host's own root file system instead of running from its initramfs
    boots_real_root: bool
    #: where a watchdog is there whose driver the kdump initramfs lacks, starting the service builds it anew
    rebuilds_for_watchdogs: bool


KDUMPCTL = Flavour(
    name="kdumpctl",
    installed_as=("/usr/bin/kdumpctl", "/usr/sbin/kdumpctl"),
    units=("kdump.service",),
    configuration=("/etc/kdump.conf", "/etc/sysconfig/kdump"),
    # kdump-lib.sh prepare_kdump_bootinfo(): beside the kernel, or in /var/lib/kdump where /boot cannot be written
    initramfs=("/boot/initramfs-{release}kdump.img", "/var/lib/kdump/initramfs-{release}kdump.img"),
    may_squash=True,
    dump_path="/var/crash",
    boots_real_root=False,
    # kdumpctl check_drivers_modified(), get_watchdog_drvs(); a predecessor had check_wdt_modified()
    rebuilds_for_watchdogs=True,
)

KDUMP_TOOLS = Flavour(
    name="kdump-tools",
    installed_as=("/usr/sbin/kdump-config",),
    units=("kdump-tools.service",),
    configuration=("/etc/default/kdump-tools", "/etc/kdump/sysctl.conf"),
    # kdump-config: KDUMP_INITRD=/var/lib/kdump/initrd.img, a link to the versioned image
    initramfs=("/var/lib/kdump/initrd.img-{release}", "/var/lib/kdump/initrd.img"),
    may_squash=False,
    dump_path="/var/crash",
    boots_real_root=True,
    rebuilds_for_watchdogs=False,
)

SUSE_KDUMP = Flavour(
    name="SUSE kdump",
    # kdumptool is SUSE's own; its mkdumprd shares a name with kdump-utils'
    installed_as=("/usr/sbin/kdumptool", "/usr/lib/kdump/load.sh"),
    units=("kdump.service", "kdump-early.service"),
    configuration=("/etc/sysconfig/kdump",),
    # kdump 2.x copies kernel and image to /var/lib/kdump; 1.x built /boot/initrd-RELEASE-kdump
    initramfs=("/var/lib/kdump/initrd", "/boot/initrd-{release}-kdump"),
    may_squash=False,
    dump_path="/var/crash",
    boots_real_root=False,
    rebuilds_for_watchdogs=False,
)

FLAVOURS = (KDUMPCTL, KDUMP_TOOLS, SUSE_KDUMP)
