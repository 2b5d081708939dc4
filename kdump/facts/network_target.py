"""A dump target on the network: its name, the way to it, and what of that the capture kernel has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..flavour import KDUMPCTL, SUSE_KDUMP, Flavour
from ..parsers.dump_target import DumpTarget, options
from ..parsers.initramfs import Initramfs
from ..parsers.shell_settings import ShellSettings
from ..verdict import CouldNotDetermine, NotApplicable, OnlyACrashTells
from .kernel import CommandLine

#: modules of network devices that rest on others, by the kernel's name of the kind (DEVTYPE in their uevent)
_KINDS = {"bond": "bonding", "bridge": "bridge", "vlan": "8021q", "macvlan": "macvlan", "ipvlan": "ipvlan"}
#: what the capture kernel runs for a protocol; of each tuple one (dracut's nfs and ssh-client; SUSE's module-setup.sh)
_PROGRAMS = {
    "nfs": ("mount.nfs", "mount.nfs4"),
    "ssh": ("ssh",),
    "cifs": ("mount.cifs",),
    "ftp": ("lftp",),
    "sftp": ("lftp",),
}
_KERNEL = {"nfs": "nfs", "cifs": "cifs"}
#: getent(1): the name is not there. Anything else is a name server that does not answer.
_NO_SUCH_NAME = 2


@dataclass(frozen=True)
class NetworkPath:
    """``host``: the other side, as configured. ``addresses``: what its name means now; ``complaint``: why there is none, or
    why no route leads there. ``interfaces``: of the route, the outermost first, with the kernel's name of its kind.
    ``drivers``: driver → module, None for one that is built in. ``unknown``: interfaces without a driver, and not of a kind that
    is known here (a team, a tunnel)."""

    host: str
    addresses: tuple[str, ...]
    interfaces: tuple[tuple[str, str], ...]
    drivers: Mapping[str, str | None]
    complaint: str = ""
    unresolved: int = 0
    unknown: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> NetworkPath | None:
        """Read ``network_path``; None where dumps stay on this host.

        >>> NetworkPath.parse('''host nas
        ... address 10.0.0.5
        ... route 10.0.0.5 dev eth0 src 10.0.0.2 uid 0
        ... interface eth0 -
        ... driver virtio_net virtio_net''').interfaces
        (('eth0', ''),)
        """
        if not text.strip():
            return None
        host, complaint, unresolved = "", "", 0
        addresses: list[str] = []
        interfaces: list[tuple[str, str]] = []
        drivers: dict[str, str | None] = {}
        unknown: list[str] = []
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "host":
                host = rest
            elif kind == "address":
                addresses.append(rest)
            elif kind == "unresolved":
                unresolved, complaint = int(rest), f"getent ahosts ended with {rest}"
            elif kind == "unreachable":
                complaint = rest
            elif kind == "interface":
                name, devtype = rest.split(" ")
                interfaces.append((name, devtype.strip("-")))
                unknown += [name] if devtype not in _KINDS else []
            elif kind == "driver":
                driver, module = rest.rsplit(" ", 1)
                drivers[driver] = None if module == "-" else module
                unknown = [name for name in unknown if name != interfaces[-1][0]]
            elif kind not in ("route", "bus"):
                raise ValueError(f"unknown line {line!r}")
        return cls(host, tuple(addresses), tuple(interfaces), drivers, complaint, unresolved, tuple(unknown))


#: the same on the host, whose system kdump-tools boots (kdump-config 1.8.1: mount -t nfs, ssh, busybox ftpput)
_ON_HOST = {"nfs": ("mount.nfs", "mount.nfs4"), "ssh": ("ssh",), "ftp": ("busybox",)}
host_programs = fact(
    "host_programs",
    "for tool in mount.nfs mount.nfs4 ssh busybox; do command -v $tool; done || :",
    lambda text: frozenset(path.rpartition("/")[2] for path in text.split()),
)
network_path = fact("network_path", "network_path", NetworkPath.parse, slow=True)
#: kdump.conf's sshkey, SUSE's KDUMP_SSH_IDENTITY and kdump-tools' SSH_KEY name it; these are their defaults
_KEYS = ("/root/.ssh/kdump_id_rsa", "/root/.ssh/id_rsa", "/root/.ssh/id_dsa", "/root/.ssh/id_ecdsa", "/root/.ssh/id_ed25519")


def sshkey(text: str) -> str:
    """``sshkey`` of kdump.conf, "" where it is not given.

    >>> sshkey("ssh kdump@nas\\nsshkey /root/.ssh/other")
    '/root/.ssh/other'
    """
    return dict(options(text)).get("sshkey", "")


def folder_with_links(text: str) -> Mapping[str, str]:
    """``ls -ld FOLDER/*``: path → what it is a link to, or itself.

    >>> folder_with_links("lrwxrwxrwx 1 root root 9 Jan 1 00:00 /root/.ssh/id_rsa -> /etc/key")
    {'/root/.ssh/id_rsa': '/etc/key'}
    """
    found = {}
    for line in text.splitlines():
        name, _, link = line.partition(" -> ")
        name = name[name.index(" /") + 1 :]
        folder = name.rpartition("/")[0]
        found[name] = link if link.startswith("/") else f"{folder}/{link}" if link else name
    return found


ssh_key_setting = fact("ssh_key_setting", "cat /etc/kdump.conf", sshkey, absent="")
root_ssh_folder = fact("root_ssh_folder", "ls -ld /root/.ssh/*", folder_with_links, absent={}, root=True)


@derived
def network_target(dump_target: DumpTarget) -> DumpTarget:
    """The dump target, where it is on the network."""
    if dump_target.is_local:
        raise NotApplicable("dumps go to a disk of this host")
    return dump_target


@derived
def resolved_target(network_target: DumpTarget, maybe_network_path: Maybe[NetworkPath | None]) -> NetworkPath:
    """The other side, whose name must be known; one that no name server answers for now may be known later."""
    found = _path(network_target, maybe_network_path)
    if not found.addresses and found.unresolved != _NO_SUCH_NAME:
        raise CouldNotDetermine(f"the name {found.host} of the dump target could not be looked up: {found.complaint}")
    return found


def _path(target: DumpTarget, path: Maybe[NetworkPath | None]) -> NetworkPath:
    if path.value is None:
        raise CouldNotDetermine(f"the way to {target.kind} {target.where} was not looked at")
    return path.value


@derived
def network_route(network_target: DumpTarget, maybe_network_path: Maybe[NetworkPath | None]) -> NetworkPath:
    """The way to the other side, where its name is known."""
    found = _path(network_target, maybe_network_path)
    if not found.addresses:
        raise NotApplicable(f"the name {found.host} is not known: there is no address to find a route to")
    if not found.interfaces and not found.complaint:
        raise CouldNotDetermine(f"over which interface {found.host} is reached was not to be seen")
    return found


@derived
def target_that_answered(network_target: DumpTarget, maybe_network_route: Maybe[NetworkPath], mounted: Mapping[str, str]) -> str:
    """The other side's file system, where this host has one of it mounted: then it answered once. Nothing is sent there."""
    route = maybe_network_route.value
    if not route.interfaces:
        raise NotApplicable(f"no route leads to {route.host}: nobody is there to answer")
    for source in mounted.values() if network_target.kind in ("nfs", "cifs") else ():
        if route.host in (source.partition(":/")[0].strip("[]"), source.removeprefix("//").partition("/")[0]):
            return source
    raise OnlyACrashTells(
        f"whether {network_target.kind} {network_target.where} answers, and takes the dump, was not tried: only a test crash "
        "tells"
    )


@derived
def lacking_for_network(
    network_target: DumpTarget,
    flavour: Flavour,
    maybe_network_route: Maybe[NetworkPath],
    maybe_initramfs: Maybe[Initramfs],
    maybe_initramfs_texts: Maybe[tuple[str, ...]],
    maybe_built_in_modules: Maybe[frozenset[str]],
    maybe_capture_cmdline: Maybe[CommandLine],
    maybe_host_programs: Maybe[frozenset[str]],
) -> list[str]:
    """What the way to the dump target takes and the capture kernel has not: drivers, programs, a word to bring it up."""
    kind = network_target.kind
    if flavour.boots_real_root:
        own = _ON_HOST.get(kind, ())
        if own and not maybe_host_programs.value.intersection(own):
            return [f"the program {own[0]}"]
        raise NotApplicable(f"{flavour.name} boots the whole system, which brings its network up as ever")
    image = maybe_initramfs.value
    programs = _PROGRAMS.get(kind, ())
    found = [f"the program {programs[0]}"] if programs and not any(image.has_program(name) for name in programs) else []
    if not _brought_up(image, maybe_initramfs_texts, maybe_capture_cmdline):
        _ = maybe_initramfs_texts.value, maybe_capture_cmdline.value  # what was not seen may be there
        found.append("anything that brings the network up (rd.neednet or ip= in etc/cmdline.d or on the command line)")
    route = maybe_network_route.value
    if not route.drivers:
        raise CouldNotDetermine(f"the driver of {', '.join(name for name, _ in route.interfaces)} is not to be seen in /sys")
    missing = [name for name in modules_on_the_way(route, kind) if not image.has_module(name)]
    found += [name for name in missing if name.replace("-", "_") not in maybe_built_in_modules.value]
    if route.unknown and not found:
        raise CouldNotDetermine(f"what {route.unknown[0]} is, and what it takes, is not to be seen in /sys")
    return found


def modules_on_the_way(route: NetworkPath, kind: str) -> tuple[str, ...]:
    """The kernel modules that a dump over the network takes: of the cards, of what is built of them, and of the protocol."""
    wanted = [module for module in route.drivers.values() if module]
    wanted += [_KINDS[devtype] for _, devtype in route.interfaces if devtype in _KINDS]
    wanted += [_KERNEL[kind]] if kind in _KERNEL else []
    return tuple(dict.fromkeys(wanted))


def _brought_up(image: Initramfs, texts: Maybe[tuple[str, ...]], cmdline: Maybe[CommandLine]) -> bool:
    """kdump-utils: 50neednet.conf; SUSE: 99kdump-net.conf; older kdump-utils: a file with ip=."""
    words = [word for line in texts.otherwise(()) for word in line.split()] + list(cmdline.otherwise(CommandLine()))
    if any(re.match(r"(ip=|rd\.neednet|bootdev=)", word) for word in words):
        return True
    return any(re.search(r"etc/cmdline\.d/[^/]*(net|ip|bootdev)[^/]*$", path) for path in image.files)


@derived
def ssh_key_of_target(
    network_target: DumpTarget,
    flavour: Flavour,
    maybe_ssh_key_setting: Maybe[str],
    maybe_kdump_sysconfig: Maybe[ShellSettings],
    maybe_kdump_tools_defaults: Maybe[ShellSettings],
    maybe_root_ssh_folder: Maybe[Mapping[str, str]],
    maybe_initramfs: Maybe[Initramfs],
) -> str:
    """Why the capture kernel cannot log in to the dump target; empty where it has a key and knows the other side's."""
    if network_target.kind not in ("ssh", "sftp"):
        raise NotApplicable(f"dumps go to {network_target.kind}, which needs no key")
    if flavour is SUSE_KDUMP and ":" in maybe_kdump_sysconfig.value.get("KDUMP_SAVEDIR").partition("://")[2].rpartition("@")[0]:
        raise NotApplicable("the password stands in KDUMP_SAVEDIR")
    if flavour is KDUMPCTL:
        wanted = [maybe_ssh_key_setting.value or _KEYS[0]]
    elif flavour is SUSE_KDUMP:
        named = maybe_kdump_sysconfig.value.get("KDUMP_SSH_IDENTITY").split()
        wanted = [name if name.startswith("/") else f"/root/.ssh/{name}" for name in named] or list(_KEYS[1:])
    else:
        wanted = [maybe_kdump_tools_defaults.value.get("SSH_KEY") or _KEYS[0]]
    if flavour.boots_real_root:
        there, place = frozenset(maybe_root_ssh_folder.value), "on the host"
    else:
        there, place = frozenset(f"/{path}" for path in maybe_initramfs.value.files), "in the kdump initramfs"
    if flavour is SUSE_KDUMP:  # kdump_init_ssh() copies them all to one folder
        wanted = [f"/root/.ssh/{name.rpartition('/')[2]}" for name in wanted]
    elif flavour is KDUMPCTL:  # mkdumprd follows links
        links = maybe_root_ssh_folder.otherwise({})
        wanted = [links.get(name, name) for name in wanted]
    if not there.intersection(wanted):
        if flavour is KDUMPCTL:
            _ = maybe_root_ssh_folder.value  # the key may be a link to one that is there
        names = ", ".join(wanted)
        if not all(name.startswith("/root/.ssh/") for name in wanted):
            raise CouldNotDetermine(f"whether the key {names} is {place} was not looked at")
        return f"the key {names} is not {place}: nobody can type a password there"
    # kdump-config calls ssh as it is: without a terminal it refuses a host whose key it does not know
    if flavour is not SUSE_KDUMP and not there.intersection(("/root/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")):
        raise CouldNotDetermine(
            f"no known_hosts of root is {place}: ssh will refuse {network_target.host}, unless ssh_config names another such file"
        )
    return ""
