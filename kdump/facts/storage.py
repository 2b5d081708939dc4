"""The dump target: where it is, what lies under it, and whether the capture kernel will see it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..flavour import KDUMP_TOOLS, KDUMPCTL, SUSE_KDUMP, Flavour
from ..parsers.block_devices import BlockDevices
from ..parsers.dump_saver import DumpSaver
from ..parsers.dump_target import DumpTarget, kdump_conf, mounts_asked_for, options, savedir
from ..parsers.initramfs import Initramfs
from ..parsers.shell_settings import ShellSettings
from ..verdict import CouldNotDetermine, NotApplicable, OnlyACrashTells
from .dump_saver import BEST_COMPRESSION
from .kernel import CommandLine

#: lines of /proc/mounts that are read
MOST_MOUNTS = 4000
#: a dump of less than this is not of a running machine
SMALLEST_DUMP = 16 << 20
#: what an estimate of the dump's size may be wrong by, and what any compressor makes of kernel memory
MARGIN, USUAL_COMPRESSION = 1.5, 2
#: the modules of a layer of the device mapper, by what its UUID begins and ends with (lvm2, cryptsetup, multipath-tools; the
#: last is kpartx's). Of those in one tuple, one is enough: a file system or a RAID level may be served by another module.
_MAPPERS = (
    (r"CRYPT-(INTEGRITY|SUBDEV)", ("dm_integrity",), ("cryptsetup", "integritysetup", "systemd-integritysetup")),
    (r"CRYPT-", ("dm_crypt",), ("cryptsetup", "systemd-cryptsetup")),
    (r"mpath-", ("dm_multipath",), ("multipath", "multipathd")),
    (r"LVM-.*-tpool$", ("dm_thin_pool",), ("lvm",)),
    (r"LVM-.*-(cpool|cdata|cmeta|corig|cvol)$", ("dm_cache",), ("lvm",)),
    (r"LVM-.*-vpool$", ("dm_vdo", "kvdo"), ("lvm",)),
    (r"LVM-.*-cow$", ("dm_snapshot",), ("lvm",)),
    (r"LVM-", ("dm_mod",), ("lvm",)),
    (r"part\d+-", ("dm_mod",), ()),
)
_ANY_MAPPER = ("dm_mod",)
#: drivers of disks that stay off until somebody sets them online (Linux, drivers/s390/block and drivers/s390/scsi)
_SWITCHED_ON = {"zfcp", "dasd-eckd", "dasd-fba", "dasd-diag"}
_RAID_LEVELS = {"raid4": ("raid456",), "raid5": ("raid456",), "raid6": ("raid456",), "linear": ("linear", "md_linear")}
_FILE_SYSTEMS = {
    "ext2": ("ext2", "ext4"),
    "ext3": ("ext3", "ext4"),
    "fuseblk": ("fuse",),
    "iso9660": ("isofs",),
    "nfs4": ("nfs",),
}
#: file systems of the network, which a folder may lie on
NETWORK_FILE_SYSTEMS = {"nfs": "nfs", "nfs4": "nfs", "cifs": "cifs", "smb3": "cifs"}


@dataclass(frozen=True)
class Layer:
    """A block device: the kernel's name, the device mapper's UUID or the RAID level or "-", the device mapper's name."""

    name: str
    identifier: str
    mapper: str = ""

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules of which one is needed for this layer; none where its disk's driver is all it takes."""
        if "_rimage_" in self.mapper or "_rmeta_" in self.mapper:
            return ("dm_raid",)
        if self.mapper.endswith("_wcorig"):
            return ("dm_writecache",)
        if self.name.startswith("bcache"):
            return ("bcache",)
        if "-" not in self.identifier:
            return _RAID_LEVELS.get(self.identifier, (self.identifier,) if self.identifier.startswith("raid") else ())
        known = next((modules for pattern, modules, _ in _MAPPERS if re.match(pattern, self.identifier)), ())
        return known or (_ANY_MAPPER if self.is_of_the_mapper else ())

    @property
    def programs(self) -> tuple[str, ...]:
        """Programs of which one must put this layer together."""
        if self.identifier.startswith(("raid", "linear", "container")):
            return ("mdadm",)
        return next((programs for pattern, _, programs in _MAPPERS if re.match(pattern, self.identifier)), ())

    @property
    def is_of_the_mapper(self) -> bool:
        return self.name.startswith("dm-")

    @property
    def is_known(self) -> bool:
        """Whether it is known what puts it together; a device of the device mapper may be dmraid's, say."""
        return not self.is_of_the_mapper or any(re.match(pattern, self.identifier) for pattern, _, _ in _MAPPERS)

    @property
    def is_encrypted(self) -> bool:
        return self.identifier.startswith("CRYPT-")


@dataclass(frozen=True)
class Storage:
    """``number`` is MAJ:MIN; ``free`` in bytes and ``free_inodes``, None where the file system does not tell; ``folder``: the
    folder asked for, links resolved; ``drivers``: driver → module, None for one that is built in; ``buses``: "usb", "iscsi",
    "fcoe", or "none" for a disk that no driver of this machine is seen under."""

    number: str
    source: str
    file_system: str
    options: tuple[str, ...]
    mounted_at: str
    folder: str
    free: int | None
    free_inodes: int | None
    drivers: Mapping[str, str | None]
    layers: tuple[Layer, ...]
    buses: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Storage:
        """Read ``storage_of``.

        >>> storage = Storage.parse('''mount 254:0 /dev/vda ext4 rw,relatime /
        ... space 4000000 1000
        ... layer vda -
        ... driver virtio_blk virtio_blk
        ... driver virtio-pci -''')
        >>> storage.drivers
        {'virtio_blk': 'virtio_blk', 'virtio-pci': None}
        """
        lines = dict.fromkeys(("mount", "space", "folder"), "")
        drivers: dict[str, str | None] = {}
        layers: list[Layer] = []
        buses: set[str] = set()
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "driver":
                name, module = rest.rsplit(" ", 1)
                drivers[name] = None if module == "-" else module
            elif kind == "layer":
                name, identifier, *mapper = rest.split(" ")
                layers.append(Layer(name, identifier, " ".join(mapper)))
            elif kind == "bus":
                buses.add(rest)
            elif kind in lines:
                lines[kind] = rest
            else:
                raise ValueError(f"unknown line {line!r}")
        number, source, file_system, given, mounted_at = lines["mount"].split(" ", 4)
        free, _, inodes = lines["space"].partition(" ")
        return cls(
            number,
            source,
            file_system,
            tuple(given.split(",")),
            mounted_at,
            lines["folder"] or mounted_at,
            int(free) << 10 if free else None,
            int(inodes) if inodes.isdigit() else None,
            drivers,
            tuple(layers),
            frozenset(buses),
        )

    @property
    def usb(self) -> bool:
        return "usb" in self.buses

    @property
    def is_volatile(self) -> bool:
        """Whether it lies in memory."""
        return self.file_system in ("tmpfs", "ramfs") or re.match(r"/dev/(zram|ram)\d", self.source) is not None

    @property
    def beyond_sight(self) -> str:
        """What it may take besides what is seen here; "" where that is all."""
        if "iscsi" in self.buses:
            return f"{self.source} is reached over iSCSI: a way through the network and a login, which were not looked at"
        if "fcoe" in self.buses:
            return f"{self.source} is reached over FCoE: a way through the network and a login, which were not looked at"
        if "none" in self.buses or not self.layers or not self.drivers:
            return f"which driver {self.source} ({self.file_system}) rests on is not to be seen in /sys"
        if strange := next((layer for layer in self.layers if not layer.is_known), None):
            return f"{self.source} rests on {strange.name} ({strange.identifier}), and what puts that together was not looked at"
        if waiting := _SWITCHED_ON.intersection(self.drivers):
            return f"{self.source} rests on {min(waiting)}: whether the capture kernel switches its device on was not looked at"
        return ""

    @property
    def device(self) -> str:
        """The kernel's name of the device that the file system lies on, "" where it lies on none."""
        return self.layers[0].name if self.layers else ""

    def modules(self) -> list[tuple[str, ...]]:
        """The kernel modules without which the device or its file system is not seen; of each tuple one."""
        found: list[tuple[str, ...]] = [(module,) for module in self.drivers.values() if module]
        found += [layer.modules for layer in self.layers if layer.modules]
        return [*dict.fromkeys(found), _FILE_SYSTEMS.get(self.file_system, (self.file_system,))]

    def programs(self) -> list[tuple[str, ...]]:
        """The programs that put its layers together; of each tuple one."""
        return list(dict.fromkeys(layer.programs for layer in self.layers if layer.programs))


@dataclass(frozen=True)
class Mounting:
    """One line of /etc/fstab."""

    device: str
    path: str
    file_system: str
    options: tuple[str, ...]

    @property
    def is_bind(self) -> bool:
        return bool({"bind", "rbind"}.intersection(self.options))


def fstab(text: str) -> tuple[Mounting, ...]:
    """``/etc/fstab``.

    >>> fstab("UUID=ab /var/crash/ ext4 nofail 0 2")[0].path
    '/var/crash'
    """
    rows = (line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return tuple(
        Mounting(row[0], _path(row[1]), row[2], tuple(row[3].split(",")) if len(row) > 3 else ()) for row in rows if len(row) > 2
    )


def mounts(text: str) -> Mapping[str, str]:
    """``/proc/mounts``: mount point → source, of several the uppermost.

    >>> mounts("/dev/vdb /\\nsystemd-1 /x\\n/dev/vda /x")
    {'/': '/dev/vdb', '/x': '/dev/vda'}

    Raises :class:`ValueError` where the list is not whole: there always is a root.
    """
    rows = [line.split() for line in text.splitlines()]
    found = {_path(row[1]): row[0] for row in rows if len(row) > 1}
    if "/" not in found or len(rows) >= MOST_MOUNTS:
        raise ValueError("the list of what is mounted is not whole")
    return found


def _path(escaped: str) -> str:
    path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), escaped)
    return path.rstrip("/") or "/"


def module_names(text: str) -> frozenset[str]:
    """``modules.builtin``: names with underscores.

    >>> sorted(module_names("kernel/drivers/virtio/virtio-pci.ko"))
    ['virtio_pci']
    """
    return frozenset(line.rpartition("/")[2].removesuffix(".ko").replace("-", "_") for line in text.split())


# No such file: the defaults hold.
kdump_conf_target = fact("kdump_conf_target", "cat /etc/kdump.conf", kdump_conf, absent=DumpTarget("path", "/var/crash"))
dump_storage = fact("dump_storage", "dump_storage", Storage.parse)
root_storage = fact("root_storage", "storage_of /", Storage.parse)
fstab_lines = fact("fstab_lines", "cat /etc/fstab", fstab, absent=())
# A machine that runs containers has thousands; no dump goes there.
mounted = fact(
    "mounted",
    """awk '$2 !~ "^/(run|proc|sys|var/lib/(kubelet|docker|containers|containerd))/" { print $1, $2 }' /proc/mounts """
    f"| head -n {MOST_MOUNTS}",
    mounts,
)
block_devices = fact("block_devices", "device_names", BlockDevices.parse)
built_in_modules = fact("built_in_modules", 'cat "/lib/modules/$(capture_release)/modules.builtin"', module_names)


@derived
def dump_target(
    flavour: Flavour,
    maybe_kdump_conf_target: Maybe[DumpTarget],
    maybe_kdump_tools_defaults: Maybe[ShellSettings],
    maybe_kdump_sysconfig: Maybe[ShellSettings],
    maybe_dump_storage: Maybe[Storage],
) -> DumpTarget:
    """Where the dump will go; a folder that lies on a file system of the network is a network target."""
    target = _configured(flavour, maybe_kdump_conf_target, maybe_kdump_tools_defaults, maybe_kdump_sysconfig)
    if target.kind == "path" and maybe_dump_storage.known:
        storage = maybe_dump_storage.value
        if storage.file_system in NETWORK_FILE_SYSTEMS:
            return DumpTarget(NETWORK_FILE_SYSTEMS[storage.file_system], storage.source)
    return target


def _configured(
    flavour: Flavour, conf: Maybe[DumpTarget], tools: Maybe[ShellSettings], sysconfig: Maybe[ShellSettings]
) -> DumpTarget:
    if flavour is KDUMPCTL:
        return conf.value
    if flavour is KDUMP_TOOLS:
        defaults = tools.value
        for kind in ("NFS", "SSH", "FTP"):
            if defaults.get(kind):
                return DumpTarget(kind.lower(), defaults.get(kind))
        return DumpTarget("path", defaults.get("KDUMP_COREDIR") or flavour.dump_path)
    return savedir(sysconfig.value.get("KDUMP_SAVEDIR"))


@derived
def local_dump_target(dump_target: DumpTarget) -> DumpTarget:
    """The dump target, where it is on a disk of this host."""
    if not dump_target.is_local:
        raise NotApplicable(f"dumps go over the network ({dump_target.kind} {dump_target.where}), not to a disk")
    return dump_target


@derived
def capture_storage(
    local_dump_target: DumpTarget, flavour: Flavour, maybe_root_storage: Maybe[Storage], maybe_dump_storage: Maybe[Storage]
) -> Storage:
    """The storage that the kdump initramfs itself must find: the root file system where that is what boots."""
    return maybe_root_storage.value if flavour.boots_real_root else maybe_dump_storage.value


@derived
def lacking_in_capture(
    capture_storage: Storage,
    initramfs: Initramfs,
    capture_release: str,
    flavour: Flavour,
    maybe_dump_storage: Maybe[Storage],
    maybe_capture_cmdline: Maybe[CommandLine],
    maybe_built_in_modules: Maybe[frozenset[str]],
) -> list[str]:
    """What the dump disk needs and the capture kernel has not: modules neither in its initramfs nor built in, or kept from
    being loaded, and programs. Where the whole system is booted, it has the modules of any other disk than its own, unless
    they are kept from being loaded."""
    if not capture_storage.layers or not capture_storage.drivers:
        raise CouldNotDetermine(capture_storage.beyond_sight)
    releases = initramfs.releases
    if releases and capture_release not in releases:
        return [f"any module: the image holds those of {', '.join(sorted(releases))}, the capture kernel is {capture_release}"]
    barred = _barred(maybe_capture_cmdline.otherwise(CommandLine()))
    found: list[str] = []
    if flavour.boots_real_root and barred:
        kept_out = barred - maybe_built_in_modules.value
        found += [
            _forbidden(modules[0])
            for modules in maybe_dump_storage.value.modules()
            if kept_out.issuperset(name.replace("-", "_") for name in modules)
        ]
    for modules in capture_storage.modules():
        inside = [name for name in modules if initramfs.has_module(name)]
        if inside and all(name.replace("-", "_") in barred for name in inside):
            found.append(_forbidden(inside[0]))
        elif not inside and not any(name.replace("-", "_") in maybe_built_in_modules.value for name in modules):
            found.append(modules[0])
    found = sorted(set(found))
    found += [
        f"the program {programs[0]}"
        for programs in capture_storage.programs()
        if not any(initramfs.has_program(name) for name in programs)
    ]
    if not found:
        _ = maybe_capture_cmdline.value  # it may forbid to load them
        if capture_storage.beyond_sight:
            raise CouldNotDetermine(capture_storage.beyond_sight)
    return found


def _forbidden(module: str) -> str:
    return f"{module} (the capture kernel's command line forbids to load it)"


def _barred(cmdline: CommandLine) -> frozenset[str]:
    names = ("rd.driver.blacklist", "modprobe.blacklist", "module_blacklist")
    given = [module for name in names for value in cmdline.values(name) for module in value.split(",")]
    return frozenset(module.replace("-", "_") for module in given)


@derived
def unlocked_disk(capture_storage: Storage, maybe_dump_storage: Maybe[Storage]) -> str:
    """Whether the capture kernel gets at an encrypted disk: that of the dump, or of the system that it boots."""
    stores = [capture_storage, maybe_dump_storage.value]
    encrypted = [store.source for store in stores if any(layer.is_encrypted for layer in store.layers)]
    if not encrypted:
        raise NotApplicable("the dump target is not on an encrypted disk")
    raise OnlyACrashTells(
        f"{encrypted[0]} is on an encrypted disk: unless the capture kernel gets the key from a file or from this "
        "kernel's memory, it asks for a passphrase and waits; only a test crash tells"
    )


@derived
def lost_dump_disk(
    local_dump_target: DumpTarget,
    maybe_dump_storage: Maybe[Storage],
    fstab_lines: tuple[Mounting, ...],
    mounted: Mapping[str, str],
    block_devices: BlockDevices,
) -> str:
    """How the disk that dumps are meant for is not where they will go; empty when it is."""
    if local_dump_target.kind == "virtiofs":
        raise CouldNotDetermine(f"dumps go to the virtual machine's host (virtiofs {local_dump_target.where})")
    if local_dump_target.kind in ("disk", "raw"):
        there = block_devices.find(local_dump_target.where)
        if why := block_devices.disputed(local_dump_target.where):
            raise CouldNotDetermine(f"whether the dump target {local_dump_target.where} is found depends on who looks: {why}")
        if there == "":
            return f"the dump target {local_dump_target.where} does not exist"
        if local_dump_target.kind == "raw" and re.fullmatch(r"/dev/[^/]+", local_dump_target.where):
            raise CouldNotDetermine(
                f"the dump target {local_dump_target.where} has no persistent name: another disk may get it at the next boot"
            )
        if there is None:
            _ = maybe_dump_storage.value  # mounted, or the reason why that could not be seen
        return ""
    storage = maybe_dump_storage.value
    if storage.is_volatile:
        words = f"dumps go to {storage.source} on {storage.mounted_at}, which lies in memory ({storage.file_system})"
        if any(line.path == storage.mounted_at for line in fstab_lines):
            return f"{words}: the reboot after the dump empties it"
        raise CouldNotDetermine(f"{words}, and whether the next boot mounts it again is not to be seen in /etc/fstab")
    return _lost(storage, storage.folder, fstab_lines, mounted, block_devices)


#: systemd.mount(5): with "nofail" nothing waits for a mount unless one of these has it wait, or whoever looks into it
_WAITED_FOR = ("x-systemd.before=", "x-systemd.required-by=", "x-systemd.automount")


@derived
def awaited_mount(
    local_dump_target: DumpTarget,
    flavour: Flavour,
    maybe_dump_storage: Maybe[Storage],
    fstab_lines: tuple[Mounting, ...],
    mounted: Mapping[str, str],
) -> str:
    """The mount point that dumps go to, which is mounted before a whole system that is booted saves its dump there.

    Raises :class:`OnlyACrashTells` where it is not waited for: then the dump may be saved below the mount point, where nobody
    finds it, or be lost between the making of its folder and that of its file (seen with kdump-tools 1.8.1, whose unit is
    ordered behind local-fs.target only).
    """
    if not flavour.boots_real_root:
        raise NotApplicable(f"{flavour.name} mounts the dump target itself before it saves a dump")
    storage = maybe_dump_storage.value
    above = [
        line
        for line in fstab_lines
        if line.path in mounted and line.path not in ("/", "none", "swap") and f"{storage.folder}/".startswith(f"{line.path}/")
    ]
    if not above:
        raise NotApplicable("dumps go to a file system that the system is booted with")
    for line in above:
        if "nofail" in line.options and not any(option.startswith(_WAITED_FOR) for option in line.options):
            raise OnlyACrashTells(
                f"/etc/fstab mounts {line.path} with nofail, so that the capture kernel's system does not wait for it: whether "
                "the dump is saved on it, under it, or lost while it is being mounted, is a matter of time"
            )
    return max((line.path for line in above), key=len)


def _lost(
    storage: Storage, folder: str, lines: tuple[Mounting, ...], mounted: Mapping[str, str], devices: BlockDevices, depth: int = 0
) -> str:
    above = [line for line in lines if line.path not in ("/", "none", "swap") and f"{folder}/".startswith(f"{line.path}/")]
    if not above:
        return ""
    wanted = max(above, key=lambda line: len(line.path))
    named = devices.find(wanted.device)
    if wanted.path not in mounted:
        if "noauto" in wanted.options:
            raise CouldNotDetermine(
                f"/etc/fstab has {wanted.device} mounted on {wanted.path} by hand, which it is not: dumps go to {storage.source} "
                f"on {storage.mounted_at} unless somebody mounts it"
            )
        gone = " and does not exist" if named == "" else ""
        return (
            f"/etc/fstab puts {wanted.device} on {wanted.path}, which is not mounted{gone}: "
            f"dumps go to {storage.source} on {storage.mounted_at} instead"
        )
    if wanted.is_bind:
        return _lost(storage, wanted.device, lines, mounted, devices, depth + 1) if depth < 5 else ""
    if named == "":
        return (
            f"/etc/fstab puts {wanted.device} on {wanted.path}, and there is no such device: after the next boot it will not be "
            "there"
        )
    actual = devices.find(mounted[wanted.path])
    if named and actual and named != actual and wanted.file_system != "btrfs":
        return f"/etc/fstab puts {wanted.device} ({named}) on {wanted.path}, but {mounted[wanted.path]} is mounted there"
    if wanted.device != mounted[wanted.path] and not (named and actual) and wanted.file_system not in ("btrfs", "autofs"):
        raise CouldNotDetermine(
            f"/etc/fstab puts {wanted.device} on {wanted.path}, and whether {mounted[wanted.path]}, which is mounted there, is "
            "that was not to be seen"
        )
    if storage.file_system == "autofs":
        raise CouldNotDetermine(f"{storage.mounted_at} is mounted when it is first used, which it was not yet")
    return ""


@derived
def devices_capture_waits_for(
    local_dump_target: DumpTarget, capture_cmdline: CommandLine, block_devices: BlockDevices
) -> list[str]:
    """Devices on the capture kernel's command line that do not exist."""
    named = _named_on(capture_cmdline, block_devices)
    judged = {device: there for device in named if (there := block_devices.find(device)) is not None}
    disputed = next((f"{device}: {why}" for device in named if (why := block_devices.disputed(device))), "")
    if disputed and all(judged.values()):
        raise CouldNotDetermine(f"whether the capture kernel's system finds {disputed}")
    if not judged:
        raise NotApplicable("the capture kernel's command line names no device by a name that can be looked up")
    gone = [device for device, there in judged.items() if not there]
    by_order = [device for device in judged if re.match(r"/dev/sd[a-z]", device)]
    if by_order and not gone and len([name for name in block_devices.names if re.fullmatch(r"/dev/sd[a-z]+", name)]) > 1:
        raise CouldNotDetermine(
            f"the capture kernel looks for {by_order[0]}, a name that goes by the order in which the disks are found: another of "
            "them may get it"
        )
    return gone


def _named_on(cmdline: CommandLine, devices: BlockDevices) -> list[str]:
    """The devices that a command line makes the boot wait for, as in fstab (dracut.cmdline(7)); rd.luks.uuid= may be the
    beginning of one."""
    encrypted = [f"/dev/disk/by-uuid/{value.removeprefix('luks-')}" for value in cmdline.values("rd.luks.uuid")]
    return [
        *cmdline.values("root"),
        *(f"/dev/{value}" for value in cmdline.values("rd.lvm.lv")),
        *(next((name for name in devices.names if name.startswith(begin)), begin) for begin in encrypted),
    ]


@derived
def devices_in_image(
    local_dump_target: DumpTarget,
    flavour: Flavour,
    maybe_initramfs_texts: Maybe[tuple[str, ...]],
    maybe_dump_storage: Maybe[Storage],
    block_devices: BlockDevices,
) -> str:
    """How the devices that the kdump initramfs was built for are not those of the dump target; empty when they are.

    dracut keeps its arguments in build-parameter.txt, outside of any squash image; kdump-utils and SUSE name the file system
    to be mounted there (mkdumprd, add_mount(); init/mkdumprd, get_mount()).
    """
    if flavour.boots_real_root:
        raise NotApplicable(f"{flavour.name} boots the whole system: its initramfs names no dump target")
    texts = "\n".join(maybe_initramfs_texts.value)
    named = [device for line in texts.splitlines() for device, _, _ in mounts_asked_for(line)]
    named += [value for name, value in options(texts) if re.fullmatch(r"ext[234]|xfs|btrfs|minix|f2fs|raw", name)]
    found = {device: there for device in named if (there := block_devices.find(device)) is not None}
    if not found:
        raise CouldNotDetermine("which device the kdump initramfs will mount is not to be seen in it")
    if gone := [device for device, there in found.items() if not there]:
        return f"the kdump initramfs was built for {', '.join(gone)}, which does not exist (any more)"
    storage = maybe_dump_storage.value
    if local_dump_target.kind == "raw" or storage.file_system == "btrfs" or not storage.device:
        return ""
    if storage.device not in found.values():
        return (
            f"the kdump initramfs was built for {', '.join(found)}, but the dump target is on {storage.source}: "
            "it is older than the change"
        )
    return ""


@derived
def refused_writes(
    local_dump_target: DumpTarget,
    dump_storage: Storage,
    flavour: Flavour,
    dump_saver: DumpSaver,
    dumped_memory: int,
    meminfo: Mapping[str, int],
    maybe_kdump_sysconfig: Maybe[ShellSettings],
) -> str:
    """Why the dump cannot be written to its file system; empty when it can.

    Raises :class:`CouldNotDetermine` where the room lies between the least and the most that the dump may take.
    """
    if local_dump_target.kind == "raw":
        raise NotApplicable("the dump is written to a raw device, not to a file system")
    if dump_storage.free is None:
        raise CouldNotDetermine(f"{dump_storage.mounted_at} is not mounted yet: how much room it has is unknown")
    if "ro" in dump_storage.options:
        if flavour is KDUMPCTL:  # mkdumprd's to_mount() makes "rw" of it
            raise CouldNotDetermine(
                f"{dump_storage.mounted_at} is mounted read-only now; the capture kernel will try to mount it writable"
            )
        return f"{dump_storage.mounted_at} is mounted read-only"
    if dump_storage.free_inodes is not None and dump_storage.free_inodes < 8:
        return f"{dump_storage.mounted_at} has no inodes left for new files"
    kernel = meminfo.get("Slab", 0) + meminfo.get("PageTables", 0) + meminfo.get("KernelStack", 0)
    compressed = bool(dump_saver.method or dump_saver.filtered_by)
    everything = not compressed and dump_saver.level == 0
    least = meminfo["MemTotal"] if everything else max(SMALLEST_DUMP, kernel // (BEST_COMPRESSION if compressed else 1))
    most = max(least, int(dumped_memory * MARGIN / (USUAL_COMPRESSION if compressed else 1)))
    free = dump_storage.free
    kept = ""
    if flavour is SUSE_KDUMP:  # kdump-save deletes the dump where less than this stays free
        reserve = maybe_kdump_sysconfig.value.get("KDUMP_FREE_DISK_SIZE") or "64"
        free -= int(reserve) << 20 if reserve.isdigit() else 0
        kept = f", of which {reserve} MiB must stay free (KDUMP_FREE_DISK_SIZE)"
    room = f"{dump_storage.free >> 20} MiB are free on {dump_storage.mounted_at}{kept}"
    if free < least:
        return f"{room}; the smallest dump of this machine takes {least >> 20} MiB"
    if free < most:
        raise OnlyACrashTells(
            f"{room}; a dump of this machine ({dump_saver}) takes {least >> 20} to {most >> 20} MiB: only a test crash tells"
        )
    return ""


@derived
def usb_is_seen(
    capture_storage: Storage, maybe_dump_storage: Maybe[Storage], local_dump_target: DumpTarget, capture_cmdline: CommandLine
) -> bool:
    """Whether a disk on USB, with the dump folder or the root file system that is booted, is seen by the capture kernel.

    Source: torvalds/linux, drivers/usb/core/usb.c: module_param(nousb) is usbcore.nousb, built in or not. Up to 3.x it was
    core_param(nousb), plain nousb, where usbcore is built in; kernel-parameters.txt still has that.
    """
    if not capture_storage.usb and not maybe_dump_storage.value.usb:
        raise NotApplicable("the dump target is not on USB")
    if _switched_on(capture_cmdline, "usbcore.nousb"):
        return False
    if _switched_on(capture_cmdline, "nousb"):
        raise CouldNotDetermine(
            "the capture kernel's command line has nousb, which switches USB off in an old kernel with usbcore built in; others "
            "read usbcore.nousb alone"
        )
    return True


def _switched_on(cmdline: CommandLine, name: str) -> bool:
    """A boolean as lib/kstrtox.c, kstrtobool() reads it; the last one counts."""
    given = [word.removeprefix(name) for word in cmdline if word.partition("=")[0] == name]
    return bool(given) and re.match(r"$|=[1yYtT]|=[oO][nN]", given[-1]) is not None
