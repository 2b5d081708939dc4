"""The names of block devices, as configuration files write them and as udev makes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TAGS = {"UUID": "by-uuid", "LABEL": "by-label", "PARTUUID": "by-partuuid", "PARTLABEL": "by-partlabel", "ID": "by-id"}
#: what udev leaves as it is in a name that it makes of a label (systemd, src/basic/device-nodes.c)
_PLAIN = re.compile(r"[^A-Za-z0-9#+\-.:=@_\u0080-\U0010ffff]")


@dataclass(frozen=True)
class BlockDevices:
    """``names``: every name of every block device → the kernel's name for it (``vda1``, ``dm-0``)."""

    names: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> BlockDevices:
        """Read ``NAME KERNEL-NAME`` lines.

        >>> BlockDevices.parse("/dev/vda vda\\n/dev/disk/by-uuid/aa vda").find("UUID=aa")
        'vda'
        """
        return cls(dict(line.split(" ") for line in text.splitlines() if line.startswith("/dev/")))

    def find(self, device: str) -> str | None:
        """The kernel's name of a device that is written as in fstab(5) or after ``root=``; "" where there is none of that
        name, None where its name is of a kind that is not listed here (a network file system, a path of a device manager,
        or persistent names on a host without udev) or one that is :meth:`disputed`.

        >>> BlockDevices({"/dev/vda": "vda", "/dev/disk/by-label/a\\\\x20b": "vda"}).find('LABEL="a\\\\040b"')
        'vda'
        """
        name = path_of(device)
        if name in self.names:
            return self.names[name]
        if self.disputed(device):
            return None
        if self.names and re.fullmatch(
            r"/dev/(x?vd|sd|hd)[a-z]+[0-9]*|/dev/nvme[0-9]+n[0-9]+(p[0-9]+)?|/dev/mmcblk[0-9]+(p[0-9]+)?", name
        ):
            return ""
        folder = name.rpartition("/")[0]
        known = any(other.startswith("/dev/disk/by-uuid/") for other in self.names)
        return "" if known and (folder.startswith("/dev/disk/by-") or folder == "/dev/mapper") else None

    def disputed(self, device: str) -> str:
        """Why it depends on who looks for a device whether it is found; "" where it does not.

        The kernel compares a PARTUUID without regard to case, and counts on from it by /PARTNROFF= (torvalds/linux@017fb83e,
        block/early-lookup.c). By blkid, as initramfs-tools looks, and by udev's links the letters are as they are
        (util-linux#1014), except with a newer libblkid (util-linux@02a5e05b, libblkid/src/tag.c); dracut makes them small
        (modules.d/95rootfs-block/parse-block.sh).

        >>> BlockDevices({"/dev/disk/by-partuuid/ab-01": "sda1"}).disputed("PARTUUID=AB-01")
        'upper and lower case are not as in the name that it has'
        """
        kind, _, value = device.partition("=")
        value, offset, _ = value.strip("\"'").partition("/PARTNROFF=")
        if kind not in ("UUID", "PARTUUID") or (offset and kind == "UUID"):
            return ""
        path = path_of(f"{kind}={value}")
        if offset:
            beside = path.lower() in (name.lower() for name in self.names)
            return "only the kernel itself knows PARTNROFF, an initramfs does not" if beside else ""
        if path not in self.names and path.lower() in (name.lower() for name in self.names):
            return "upper and lower case are not as in the name that it has"
        return ""


def path_of(device: str) -> str:
    """The path in /dev of a device that is written as in fstab(5).

    >>> path_of("UUID=aa"), path_of("/dev/vg-a/root")
    ('/dev/disk/by-uuid/aa', '/dev/mapper/vg--a-root')
    """
    device = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), device)
    kind, separator, value = device.partition("=")
    value = value.strip("\"'")
    if separator and kind in _TAGS:
        return f"/dev/disk/{_TAGS[kind]}/{_encoded(value)}"
    if match := re.fullmatch(r"/dev/([^/]+)/([^/]+)", device):
        group, volume = match.groups()
        if group not in ("mapper", "disk", "md", "block", "cciss", "loop", "zvol"):
            return f"/dev/mapper/{group.replace('-', '--')}-{volume.replace('-', '--')}"
    return device


def _encoded(value: str) -> str:
    return _PLAIN.sub(lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode()), value)
