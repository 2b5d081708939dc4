"""Whether a kernel can undo the compression of its initramfs: the capture kernel, and one that is judged before it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..fact import Maybe, derived
from ..flavour import Flavour
from ..parsers.bootloader import NextBoot
from ..parsers.initramfs import Initramfs
from ..verdict import CouldNotDetermine, NotApplicable
from .installed_kernel import Options
from .kernel import CommandLine
from .kernel_initramfs import FOUND_BY_THE_KERNEL, OwnInitramfs

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
    """What the capture kernel would need to unpack its initramfs, and was built without."""
    lacking = _lacking(initramfs, lambda: maybe_kernel_config_of_capture.value)
    return _unless_found(lacking, initramfs, capture_cmdline.values("root") if flavour.boots_real_root else [])


@derived
def kdump_image_decompressors_lacking(
    ready_kdump_image: Initramfs,
    flavour: Flavour,
    maybe_capture_cmdline: Maybe[CommandLine],
    maybe_judged_options: Maybe[Options],
) -> tuple[str, ...]:
    """The same of the kernel that is judged, and of the kdump initramfs that lies ready for it."""
    lacking = _lacking(ready_kdump_image, lambda: _prefixed(maybe_judged_options.value))
    roots = maybe_capture_cmdline.value.values("root") if lacking and flavour.boots_real_root else []
    return _unless_found(lacking, ready_kdump_image, roots)


@derived
def own_decompressors_lacking(
    own_initramfs: OwnInitramfs, maybe_judged_boot: Maybe[NextBoot], maybe_judged_options: Maybe[Options]
) -> tuple[str, ...]:
    """The same of the initramfs that the kernel under judgement boots with."""
    if own_initramfs.image is None:
        raise NotApplicable("it has no initramfs of its own")
    lacking = _lacking(own_initramfs.image, lambda: _prefixed(maybe_judged_options.value))
    entries = maybe_judged_boot.value.entries if lacking else ()
    words = [word for entry in entries for word in entry.arguments.split() if word.startswith("root=")]
    return _unless_found(lacking, own_initramfs.image, [word.removeprefix("root=") for word in words])


def _lacking(image: Initramfs, configuration: Callable[[], Mapping[str, str]]) -> tuple[str, ...]:
    """An archive that is not compressed, such as the one of microcode in front of the others, needs nothing. What no kernel
    knows, lz4 in its frame format for one, is named by its first bytes."""
    compressed = [magic for magic in image.magics if not magic.startswith(_PLAIN)]
    if image.magics and not compressed:
        return ()
    unknown = [f"a decompressor for what begins with {magic}" for magic in compressed if magic[:4] not in _OPTIONS]
    known = [_OPTIONS[magic[:4]] for magic in compressed if magic[:4] in _OPTIONS]
    lacking = [*unknown, *_not_set(known or list(_OPTIONS.values()) * (not unknown), configuration)]
    if lacking and not compressed:
        raise CouldNotDetermine(f"how {image.image.path} is compressed is not known, and the kernel has no {', '.join(lacking)}")
    return tuple(dict.fromkeys(lacking))


def _unless_found(lacking: tuple[str, ...], image: Initramfs, roots: list[str]) -> tuple[str, ...]:
    if lacking and any(FOUND_BY_THE_KERNEL.match(root) for root in roots):
        raise CouldNotDetermine(
            f"the kernel has no {', '.join(lacking)} and cannot unpack {image.image.path}; whether it finds its root file system "
            "without it is not known"
        )
    return lacking


def _not_set(options: list[str], configuration: Callable[[], Mapping[str, str]]) -> list[str]:
    if not options:
        return []
    config = configuration()
    if not any(option in config for option in _OPTIONS.values()):
        # none at all: such a kernel takes no initramfs, or has these options under other names
        raise CouldNotDetermine("the kernel's configuration tells of no compression of an initramfs (CONFIG_RD_*)")
    return [option for option in options if config.get(option) != "y"]


def _prefixed(options: Options) -> Mapping[str, str]:
    return {f"CONFIG_{name}": value for name, value in options.values.items()}
