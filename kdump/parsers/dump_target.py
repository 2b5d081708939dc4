"""Where the dump goes, as each flavour's configuration says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from .shell_words import shell_words

#: kdump.conf's keywords that name a file system on a block device (rhkdump/kdump-utils@63f248c, kdumpctl check_config)
_FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "minix", "f2fs")
_NETWORK = ("nfs", "nfs4", "ssh")


@dataclass(frozen=True)
class DumpTarget:
    """``kind``: ``path`` (a folder of the running system), ``disk`` (a device named in the configuration), ``raw``,
    ``virtiofs``, or the network protocol (``nfs``, ``ssh``, ``ftp``, ``cifs``, ``sftp``). ``where``: folder, device, or
    address."""

    kind: str
    where: str

    @property
    def is_local(self) -> bool:
        return self.kind in ("path", "disk", "raw", "virtiofs")

    @property
    def host(self) -> str:
        """The other side's name or address; "" of a local target.

        >>> DumpTarget("ssh", "kdump@[fd00::1]").host, DumpTarget("nfs", "server:/export").host
        ('fd00::1', 'server')
        """
        if self.is_local:
            return ""
        place = self.where.rpartition("@")[2].lstrip("/")
        if match := re.match(r"\[([^]]+)\]", place):
            return match[1]
        return re.split(r"[:/]", place)[0]


def options(text: str) -> Iterator[tuple[str, str]]:
    """``NAME VALUE`` lines of kdump.conf, without comments and quotes (kdump-lib-initramfs.sh, kdump_get_conf_val).

    >>> list(options('# no\\n ext4 "UUID=ab" # why\\npath /crash'))
    [('ext4', 'UUID=ab'), ('path', '/crash')]
    """
    for line in text.splitlines():
        name, _, value = line.strip().replace("\t", " ").partition(" ")
        value = value.partition("#")[0].strip()
        if name and not name.startswith("#"):
            yield name, value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def kdump_conf(text: str) -> DumpTarget:
    """``/etc/kdump.conf``.

    >>> kdump_conf("# comment\\next4 UUID=abcd\\npath /crash")
    DumpTarget(kind='disk', where='UUID=abcd')
    >>> kdump_conf("path /crash")
    DumpTarget(kind='path', where='/crash')
    >>> kdump_conf('dracut_args --mount "10.0.0.1:/export /mnt nfs defaults"').kind
    'nfs'
    """
    given = dict(options(text))
    for name in _FILE_SYSTEMS:
        if name in given:
            return DumpTarget("disk", given[name])
    for name in ("raw", "virtiofs"):
        if name in given:
            return DumpTarget(name, given[name])
    for name in _NETWORK:
        if name in given:
            return DumpTarget("nfs" if name == "nfs4" else name, given[name])
    for device, _, file_system in mounts_asked_for(given.get("dracut_args", ""))[-1:]:
        return DumpTarget("nfs" if file_system.startswith("nfs") else "disk", device)
    return DumpTarget("path", given.get("path") or "/var/crash")


def mounts_asked_for(arguments: str) -> list[tuple[str, str, str]]:
    """Device, folder and file system of each ``--mount`` among dracut's arguments.

    >>> mounts_asked_for("--force --mount '/dev/disk/by-uuid/ab /kdumproot ext4 defaults' --add kdump")
    [('/dev/disk/by-uuid/ab', '/kdumproot', 'ext4')]
    """
    try:
        words = shell_words(arguments)
    except ValueError:
        return []
    given = [word.partition("=")[2] for word in words if word.startswith("--mount=")]
    given += [following for word, following in pairwise(words) if word == "--mount"]
    fields = [(*value.split(), "", "", "")[:3] for value in given if value.strip()]
    return [(device, folder, file_system) for device, folder, file_system in fields]


def savedir(value: str) -> DumpTarget:
    """SUSE's ``KDUMP_SAVEDIR``: a path or a URL.

    >>> savedir("nfs://server/export").kind
    'nfs'
    """
    scheme, separator, rest = (value or "/var/crash").partition("://")
    if not separator or scheme == "file":
        return DumpTarget("path", rest if separator else scheme)
    return DumpTarget(scheme, rest.rpartition("@")[2])
