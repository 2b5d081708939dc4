"""Where the dump goes, as each flavour's configuration says."""

from __future__ import annotations

from dataclasses import dataclass

#: kdump.conf's keywords that name a file system on a block device (rhkdump/kdump-utils@63f248c, kdump-lib.sh)
_FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "minix", "f2fs")
_NETWORK = ("nfs", "nfs4", "ssh")


@dataclass(frozen=True)
class DumpTarget:
    """``kind``: ``path`` (a folder of the running system), ``disk`` (a device named in the configuration), ``raw``, or
    the network protocol (``nfs``, ``ssh``, ``ftp``, ``cifs``, ``sftp``). ``where``: folder, device, or address."""

    kind: str
    where: str

    @property
    def is_local(self) -> bool:
        return self.kind in ("path", "disk", "raw")


def kdump_conf(text: str) -> DumpTarget:
    """``/etc/kdump.conf``.

    >>> kdump_conf("# comment\\next4 UUID=abcd\\npath /crash")
    DumpTarget(kind='disk', where='UUID=abcd')
    >>> kdump_conf("path /crash")
    DumpTarget(kind='path', where='/crash')
    """
    options = dict(line.split(None, 1) for line in text.splitlines() if len(line.split()) > 1 and line[0] not in "# \t")
    for name in _FILE_SYSTEMS:
        if name in options:
            return DumpTarget("disk", options[name].split("#")[0].strip())
    if "raw" in options:
        return DumpTarget("raw", options["raw"].strip())
    for name in _NETWORK:
        if name in options:
            return DumpTarget("nfs" if name == "nfs4" else name, options[name].strip())
    return DumpTarget("path", options.get("path", "/var/crash").strip())


def savedir(value: str) -> DumpTarget:
    """SUSE's ``KDUMP_SAVEDIR``: a path or a URL.

    >>> savedir("nfs://server/export").kind
    'nfs'
    """
    scheme, separator, rest = (value or "/var/crash").partition("://")
    if not separator or scheme == "file":
        return DumpTarget("path", rest if separator else scheme)
    return DumpTarget(scheme, rest.rpartition("@")[2])
