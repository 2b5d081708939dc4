"""The dump target: where it is, what lies under it, and whether the capture kernel will see it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..flavour import KDUMP_TOOLS, KDUMPCTL, Flavour
from ..parsers.dump_target import DumpTarget, kdump_conf, savedir
from ..parsers.initramfs import Initramfs
from ..parsers.shell_settings import ShellSettings
from ..verdict import CouldNotDetermine, NotApplicable
from .kernel import CommandLine

#: a dump of less than this is not of a running machine
SMALLEST_DUMP = 16 << 20
#: what zlib makes of kernel memory, at its best (4.2 measured, with a margin)
BEST_COMPRESSION = 6
#: what a module of the block layer is called, by the first part of a device mapper's UUID
_MAPPERS = {"LVM": "dm_mod", "CRYPT": "dm_crypt", "mpath": "dm_multipath"}


@dataclass(frozen=True)
class Storage:
    """``number`` is MAJ:MIN; ``available`` in bytes; ``drivers``: driver → module, None for one that is built in."""

    number: str
    source: str
    file_system: str
    options: tuple[str, ...]
    mounted_at: str
    available: int
    drivers: Mapping[str, str | None]
    mappers: tuple[str, ...]
    usb: bool
    layers: int

    @classmethod
    def parse(cls, text: str) -> Storage:
        """Read ``storage_of``.

        >>> storage = Storage.parse('''mount 254:0 /dev/vda ext4 rw,relatime /
        ... space 4000000
        ... layer vda -
        ... driver virtio_blk virtio_blk
        ... driver virtio-pci -''')
        >>> storage.drivers
        {'virtio_blk': 'virtio_blk', 'virtio-pci': None}
        """
        lines = dict.fromkeys(("mount", "space", "folder"), "")
        drivers: dict[str, str | None] = {}
        mappers: list[str] = []
        usb = False
        layers = 0
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            layers += kind == "layer"
            if kind == "driver":
                name, module = rest.rsplit(" ", 1)
                drivers[name] = None if module == "-" else module
            elif kind == "layer":
                identifier = rest.rsplit(" ", 1)[1]
                mappers += [identifier] if identifier != "-" else []
            elif kind == "bus":
                usb = True
            elif kind in lines:
                lines[kind] = rest
            else:
                raise ValueError(f"unknown line {line!r}")
        number, source, file_system, options, mounted_at = lines["mount"].split(" ", 4)
        return cls(
            number,
            source,
            file_system,
            tuple(options.split(",")),
            mounted_at,
            int(lines["space"]) << 10,
            drivers,
            tuple(mappers),
            usb,
            layers,
        )

    def modules(self) -> set[str]:
        """The kernel modules without which the device or its file system is not seen."""
        found = {module for module in self.drivers.values() if module}
        for identifier in self.mappers:
            prefix = identifier.partition("-")[0]
            found.add(_MAPPERS.get(prefix, prefix if prefix.startswith("raid") else "dm_mod"))
        return {*found, self.file_system}


@dataclass(frozen=True)
class Mounting:
    """One line of /etc/fstab."""

    device: str
    path: str
    file_system: str
    options: tuple[str, ...]


def fstab(text: str) -> tuple[Mounting, ...]:
    """``/etc/fstab``.

    >>> fstab("UUID=ab /var/crash ext4 nofail 0 2")[0].path
    '/var/crash'
    """
    rows = (line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return tuple(Mounting(row[0], row[1], row[2], tuple(row[3].split(",")) if len(row) > 3 else ()) for row in rows)


def names(text: str) -> frozenset[str]:
    """One name per line."""
    return frozenset(text.split())


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
device_names = fact("device_names", "device_names", names)
built_in_modules = fact("built_in_modules", 'cat "/lib/modules/$(capture_release)/modules.builtin"', module_names)


@derived
def dump_target(
    flavour: Flavour,
    maybe_kdump_conf_target: Maybe[DumpTarget],
    maybe_kdump_tools_defaults: Maybe[ShellSettings],
    maybe_kdump_sysconfig: Maybe[ShellSettings],
) -> DumpTarget:
    """Where the dump will go."""
    if flavour is KDUMPCTL:
        return maybe_kdump_conf_target.value
    if flavour is KDUMP_TOOLS:
        defaults = maybe_kdump_tools_defaults.value
        for kind in ("NFS", "SSH", "FTP"):
            if defaults.get(kind):
                return DumpTarget(kind.lower(), defaults.get(kind))
        return DumpTarget("path", defaults.get("KDUMP_COREDIR") or flavour.dump_path)
    return savedir(maybe_kdump_sysconfig.value.get("KDUMP_SAVEDIR"))


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
def drivers_missing_in_capture(
    capture_storage: Storage, initramfs: Initramfs, maybe_built_in_modules: Maybe[frozenset[str]]
) -> list[str]:
    """Modules under the dump target that are neither in the kdump initramfs nor built in."""
    if not capture_storage.layers or not capture_storage.drivers:
        raise CouldNotDetermine(
            f"which driver {capture_storage.source} ({capture_storage.file_system}) rests on is not to be seen in /sys"
        )
    lacking = [name for name in sorted(capture_storage.modules()) if not initramfs.has_module(name)]
    return [name for name in lacking if name.replace("-", "_") not in maybe_built_in_modules.value] if lacking else []


def _resolves(device: str, present: frozenset[str]) -> bool | None:
    """Whether a device named as in fstab exists; None for a name that is no persistent one."""
    kind, separator, value = device.strip('"').partition("=")
    folders = {"UUID": "by-uuid", "LABEL": "by-label", "PARTUUID": "by-partuuid"}
    if separator and kind in folders:
        return f"/dev/disk/{folders[kind]}/{value}" in present
    if device.startswith(("/dev/disk/by-", "/dev/mapper/")):
        return device in present
    return None


@derived
def lost_dump_disk(
    local_dump_target: DumpTarget,
    maybe_dump_storage: Maybe[Storage],
    fstab_lines: tuple[Mounting, ...],
    device_names: frozenset[str],
) -> str:
    """How the disk that dumps are meant for is not where they will go; empty when it is."""
    if local_dump_target.kind in ("disk", "raw"):
        there = _resolves(local_dump_target.where, device_names)
        if there is None and local_dump_target.kind == "raw":
            raise CouldNotDetermine(
                f"the dump target {local_dump_target.where} has no persistent name: another disk may get it at the next boot"
            )
        if there is None:
            _ = maybe_dump_storage.value  # mounted, or the reason why that could not be seen
        return f"the dump target {local_dump_target.where} does not exist" if there is False else ""
    dump_storage = maybe_dump_storage.value
    above = [
        line for line in fstab_lines if line.path != "/" and f"{local_dump_target.where}/".startswith(f"{line.path.rstrip('/')}/")
    ]
    if not above:
        return ""
    wanted = max(above, key=lambda line: len(line.path))
    if dump_storage.mounted_at == wanted.path or "noauto" in wanted.options:
        return ""
    gone = " and does not exist" if _resolves(wanted.device, device_names) is False else ""
    return (
        f"/etc/fstab puts {wanted.device} on {wanted.path}, which is not mounted{gone}: "
        f"dumps go to {dump_storage.source} on {dump_storage.mounted_at} instead"
    )


@derived
def devices_capture_waits_for(
    local_dump_target: DumpTarget, capture_cmdline: CommandLine, device_names: frozenset[str]
) -> list[str]:
    """Devices on the capture kernel's command line that do not exist."""
    wanted = [value for name in ("root", "rd.lvm.lv", "rd.luks.uuid") for value in capture_cmdline.values(name)]
    judged = {device: there for device in wanted if (there := _resolves(device, device_names)) is not None}
    if not judged:
        raise NotApplicable("the capture kernel's command line names no device by a persistent name")
    return [device for device, there in judged.items() if not there]


@derived
def refused_writes(dump_storage: Storage, local_dump_target: DumpTarget, meminfo: Mapping[str, int]) -> str:
    """Why the dump cannot be written to its file system; empty when it can."""
    if "ro" in dump_storage.options:
        return f"{dump_storage.mounted_at} is mounted read-only"
    kernel = meminfo.get("Slab", 0) + meminfo.get("PageTables", 0) + meminfo.get("KernelStack", 0)
    least = max(SMALLEST_DUMP, kernel // BEST_COMPRESSION)
    if dump_storage.available < least:
        return (
            f"{dump_storage.available >> 20} MiB are free on {dump_storage.mounted_at}; "
            f"the smallest dump of this machine takes {least >> 20} MiB"
        )
    return ""


@derived
def usb_is_seen(dump_storage: Storage, local_dump_target: DumpTarget, capture_cmdline: CommandLine) -> bool:
    """Whether a dump disk on USB is seen by the capture kernel."""
    if not dump_storage.usb:
        raise NotApplicable("the dump target is not on USB")
    return not any(re.fullmatch(r"(usbcore\.)?nousb(=\w+)?", word) for word in capture_cmdline)


@derived
def network_target(dump_target: DumpTarget) -> str:
    """The network target; its reachability is not tried from here."""
    if dump_target.is_local:
        raise NotApplicable("dumps go to a disk of this host")
    raise CouldNotDetermine(
        f"dumps go to {dump_target.kind} {dump_target.where}: whether the capture kernel reaches it shows only a real crash"
    )
