"""What dracut is told to leave out of the next kdump initramfs, and the dump target needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..fact import Maybe, derived
from ..flavour import KDUMPCTL, Flavour
from ..parsers.dracut_omissions import Omissions
from ..parsers.dump_target import DumpTarget
from ..verdict import CouldNotDetermine, NotApplicable
from .network_target import NetworkPath, modules_on_the_way
from .storage import Storage

#: the program that puts a layer together -> the dracut modules without which it is not in the image (dracut-ng@02e7ae1:
#: modules.d/*/module-setup.sh, depends() and install())
_LAYERS = {"lvm": ("lvm", "dm"), "mdadm": ("mdraid",)}
#: the same, where the disk may be had in another way: one path of several, or systemd's own module
_PERHAPS = {"multipath": ("multipath", "dm"), "cryptsetup": ("crypt", "dm")}
#: kdumpbase depends on ssh-client for a dump over ssh (rhkdump/kdump-utils@63f248c, dracut/99kdumpbase/module-setup.sh)
_PROTOCOLS = {"nfs": ("nfs", "network"), "ssh": ("ssh-client", "network"), "cifs": ("cifs", "network")}
#: what any image rests on, and one for a dump over the network: whether another module stands in is not known
_FOUNDATIONS = {"base", "fs-lib", "initqueue", "kernel-modules", "rootfs-block", "shutdown", "systemd", "udev-rules"}
_NETWORK = {"kernel-network-modules", "network-manager"}
_OF_INTEREST = {name for table in (_LAYERS, _PERHAPS, _PROTOCOLS) for names in table.values() for name in names}
#: of a disk that is reached in a way that is not looked into, or of a file system that the kernel may mount by itself
_OF_INTEREST |= _FOUNDATIONS | _NETWORK | {"iscsi", "nbd", "virtiofs", "btrfs"}
#: of disks whose own way to be switched on or put together is not looked into (Storage.beyond_sight)
_OF_INTEREST |= {"fcoe", "fcoe-uefi", "nvmf", "dmraid", "zfcp", "dasd", "dasd_mod", "dcssblk", "lunmask", "cio_ignore", "nvdimm"}


@derived
def dump_modules_left_out(
    flavour: Flavour,
    maybe_omitted_dracut_modules: Maybe[Omissions],
    maybe_dump_target: Maybe[DumpTarget],
    maybe_capture_storage: Maybe[Storage],
) -> str:
    """What the dump target needs and the next image is told to leave out; "" where that is nothing.

    Source: dracut.sh, check_module(): what is left out is not installed, nor is what depends on it, and no more is said of it,
    unless it was asked for by --add: then the build ends. What is forced in is installed all the same. An image that was built
    before does not show it.
    """
    if flavour.boots_real_root:
        raise NotApplicable(f"{flavour.name} does not have dracut build its image")
    omissions = maybe_omitted_dracut_modules.value
    omitted = {name: where for name, where in omissions.effective().items() if name in _OF_INTEREST}
    if not omitted:
        return ""
    dump_target = maybe_dump_target.value
    if not dump_target.is_local and flavour is not KDUMPCTL:
        raise CouldNotDetermine(f"{_said(omitted, _OF_INTEREST)}; what of it {flavour.name} needs for the network is not known")
    storage = maybe_capture_storage.value if dump_target.is_local else None
    programs = [name for names in storage.programs() for name in names] if storage else []
    needed = {name for program in programs for name in _LAYERS.get(program, ())} | set(_PROTOCOLS.get(dump_target.kind, ()))
    perhaps = {name for program in programs for name in _PERHAPS.get(program, ())} | _FOUNDATIONS
    perhaps |= {storage.file_system} if storage else _NETWORK
    if found := _said(omitted, needed):
        if omissions.forced:
            raise CouldNotDetermine(f"{found}, and {', '.join(omissions.forced)} is added by force, which may bring it along")
        return found
    if found := _said(omitted, perhaps):
        raise CouldNotDetermine(f"{found}: whether the dump target is reached without it is not known")
    if storage and storage.beyond_sight:
        raise CouldNotDetermine(storage.beyond_sight)
    return ""


def _said(omitted: Mapping[str, str], names: Collection[str]) -> str:
    return "; ".join(f"{where} leaves out {name}" for name, where in sorted(omitted.items()) if name in names)


@derived
def dump_drivers_left_out(
    flavour: Flavour,
    maybe_omitted_dracut_modules: Maybe[Omissions],
    maybe_dump_target: Maybe[DumpTarget],
    maybe_capture_storage: Maybe[Storage],
    maybe_network_route: Maybe[NetworkPath],
    maybe_built_in_modules: Maybe[frozenset[str]],
) -> str:
    """The kernel modules that the dump target needs and the next image is told to leave out; "" where there are none.

    openEuler's kdump.conf names hundreds of network drivers in dracut_args (--omit-drivers), which a dump over the network lacks.
    """
    if flavour.boots_real_root:
        raise NotApplicable(f"{flavour.name} does not have dracut build its image")
    omitted = maybe_omitted_dracut_modules.value
    if not omitted.drivers:
        return ""
    target = maybe_dump_target.value
    if target.is_local:
        storage = maybe_capture_storage.value
        wanted, beyond = storage.modules(), storage.beyond_sight
    else:
        route = maybe_network_route.value
        wanted, beyond = [(name,) for name in modules_on_the_way(route, target.kind)], "" if route.drivers else "its driver"
        beyond = beyond or ", ".join(route.unknown)
    found: list[str] = []
    perhaps: list[str] = []
    for names in wanted:
        out = [omitted.driver_left_out(name) for name in names]
        if False not in out and not any(name.replace("-", "_") in maybe_built_in_modules.value for name in names):
            (perhaps if None in out else found).append(names[0])
    where = omitted.who_omits
    if found:
        return f"{where} leaves out {', '.join(found)}"
    if perhaps or beyond:
        raise CouldNotDetermine(
            f"{where} leaves drivers out; whether the dump target needs one was not to be seen ({beyond or perhaps[0]})"
        )
    return ""
