"""Whether the capture kernel can undo the compression of its initramfs."""

from __future__ import annotations

from collections.abc import Mapping

from ..fact import Maybe, derived
from ..flavour import Flavour
from ..parsers.initramfs import Initramfs
from ..verdict import CouldNotDetermine
from .kernel import CommandLine
from .kernel_initramfs import FOUND_BY_THE_KERNEL

#: what "0707", a cpio archive that is not compressed, begins with
_PLAIN = "3037"
#: the first two bytes -> the option that has the kernel undo this compression (Linux 6.12: lib/decompress.c,
#: compressed_formats; usr/Kconfig)
_OPTIONS = {
    "1f8b": "CONFIG_RD_GZIP",
    "425a": "CONFIG_RD_BZIP2",
    "5d00": "CONFIG_RD_LZMA",
    "fd37": "CONFIG_RD_XZ",
    "894c": "CONFIG_RD_LZO",
    "0221": "CONFIG_RD_LZ4",
    "28b5": "CONFIG_RD_ZSTD",
}


@derived
def image_decompressors_lacking(
    flavour: Flavour,
    initramfs: Initramfs,
    capture_cmdline: CommandLine,
    maybe_kernel_config_of_capture: Maybe[Mapping[str, str]],
) -> tuple[str, ...]:
    """What the capture kernel would need to unpack its initramfs, and was built without.

    An archive that is not compressed, such as the one of microcode in front of the others, needs nothing. What no kernel
    knows, lz4 in its frame format for one, is named by its first bytes.
    """
    compressed = [magic for magic in initramfs.magics if not magic.startswith(_PLAIN)]
    if initramfs.magics and not compressed:
        return ()
    unknown = [f"a decompressor for what begins with {magic}" for magic in compressed if magic[:4] not in _OPTIONS]
    known = [_OPTIONS[magic[:4]] for magic in compressed if magic[:4] in _OPTIONS]
    lacking = [*unknown, *_not_set(known or list(_OPTIONS.values()) * (not unknown), maybe_kernel_config_of_capture)]
    if not lacking:
        return ()
    path = initramfs.image.path
    if not compressed:
        raise CouldNotDetermine(f"how {path} is compressed is not known, and the capture kernel has no {', '.join(lacking)}")
    if flavour.boots_real_root and any(FOUND_BY_THE_KERNEL.match(root) for root in capture_cmdline.values("root")):
        raise CouldNotDetermine(
            f"the capture kernel has no {', '.join(lacking)} and cannot unpack {path}; whether it finds its root file system "
            "without it is not known"
        )
    return tuple(dict.fromkeys(lacking))


def _not_set(options: list[str], maybe_config: Maybe[Mapping[str, str]]) -> list[str]:
    if not options:
        return []
    config = maybe_config.value
    if not any(option in config for option in _OPTIONS.values()):
        # none at all: such a kernel takes no initramfs, or has these options under other names
        raise CouldNotDetermine("the capture kernel's configuration tells of no compression of an initramfs (CONFIG_RD_*)")
    return [option for option in options if config.get(option) != "y"]
