"""What a kernel's boot image says of itself, without being unpacked.

Sources: Linux Documentation/arch/x86/boot.rst ("kernel_version", offset 0x20e; "init_size", 0x260),
Documentation/arch/arm64/booting.rst ("image_size", offset 16); init/version.c for the banner.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from ..bytesource import ByteSource
from .unreadable import Unreadable


@dataclass(frozen=True)
class Identity:
    """``release`` as ``uname -r``, ``version`` as ``uname -v`` (build number, time) names it."""

    release: str
    version: str

    def __str__(self) -> str:
        return f"{self.release} {self.version}"

    @classmethod
    def parse(cls, text: str) -> Identity:
        """The kernel's banner, or the shorter form of it that an x86 image has.

        >>> Identity.parse("6.1.0-9-amd64 (debian-kernel@lists.debian.org) #1 SMP Debian 6.1.27-1 (2023-05-08)").version
        '#1 SMP Debian 6.1.27-1 (2023-05-08)'

        Raises :class:`ValueError`.
        """
        match = re.match(r"(?:Linux version )?([0-9]\S*) \(.*\) (#.*)", text)
        if match is None:
            raise ValueError(f"{text[:80]!r} is not how a kernel names itself")
        return cls(match[1], match[2].strip())


@dataclass(frozen=True)
class BootImage:
    """``identity``: None where the header does not say. ``memory``: bytes that the kernel takes to start; None likewise."""

    identity: Identity | None
    memory: int | None


def boot_image(source: ByteSource) -> BootImage:
    """Read an image's header. Raises :class:`Unreadable`, and :class:`ValueError` for a damaged one."""
    head = source.read_at(0, 640)
    if head[0x202:0x206] == b"HdrS":
        at = struct.unpack_from("<H", head, 0x20E)[0] + 0x200
        text = source.read_at(at, 256).split(b"\0", 1)[0].decode("ascii", "replace") if at > 0x200 else ""
        memory = struct.unpack_from("<I", head, 0x260)[0] if struct.unpack_from("<H", head, 0x206)[0] >= 0x20A else 0
        return BootImage(Identity.parse(text) if text else None, memory or None)
    if head[56:60] == b"ARM\x64":
        return BootImage(None, struct.unpack_from("<Q", head, 16)[0] or None)
    if len(head) < 64:
        raise Unreadable("it is too short for a kernel image")
    return BootImage(None, None)
