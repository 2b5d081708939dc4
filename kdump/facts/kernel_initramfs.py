"""What an installed kernel is started with: its own initramfs, and the kdump initramfs that lies ready for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..parsers.bootloader import NextBoot
from ..parsers.initramfs import Initramfs
from ..verdict import CouldNotDetermine, NotApplicable
from .installed_kernel import Options, Parts, Presence
from .storage import Storage, module_names

#: what of `root=` the kernel finds by itself (Linux 6.12: block/early-lookup.c, early_lookup_bdev(); init/do_mounts.c)
FOUND_BY_THE_KERNEL = re.compile(r"PARTUUID=|PARTLABEL=|/dev/(?!disk/|mapper/)|\d+:\d+$|[0-9a-f]+$|mtd|ubi")


@dataclass(frozen=True)
class OwnInitramfs:
    """The initramfs that a kernel boots with. ``image``: None where none lies in a known place. ``newer``: names of modules
    of the kernel that were written after it, with underscores. ``others``: files that may be one all the same."""

    image: Initramfs | None
    newer: frozenset[str]
    others: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> OwnInitramfs:
        """Read ``kernel_initramfs_listing``.

        >>> listing = '''image 868 1795485579 /boot/initrd.img-6.1.0
        ... file 2 usr/lib/modules/6.1.0/kernel/fs/ext4/ext4.ko
        ... total 4167 16384 13
        ... newer virtio-blk'''
        >>> OwnInitramfs.parse(listing).newer
        frozenset({'virtio_blk'})
        >>> OwnInitramfs.parse("other /boot/initramfs-linux.img").others
        ('/boot/initramfs-linux.img',)
        """
        lines = text.splitlines()
        ours = [line for line in lines if not line.startswith(("newer ", "other "))]
        newer = (line.removeprefix("newer ").split() for line in lines if line.startswith("newer "))
        others = tuple(line.removeprefix("other ") for line in lines if line.startswith("other "))
        names = frozenset(name.replace("-", "_") for row in newer for name in row)
        return cls(Initramfs.parse("\n".join(ours)) if ours else None, names, others)


def kdump_image(text: str) -> Initramfs | None:
    """``kernel_kdump_image_listing``; None where there is none yet."""
    return Initramfs.parse(text) if text.strip() else None


kernel_initramfs = fact("kernel_initramfs", "kernel_initramfs_listing {kernel}", OwnInitramfs.parse, slow=8)
kernel_kdump_image = fact("kernel_kdump_image", "kernel_kdump_image_listing {kernel}", kdump_image, slow=True)
kernel_built_in_modules = fact("kernel_built_in_modules", "cat /lib/modules/{kernel}/modules.builtin", module_names)


@derived
def own_initramfs(judged_release: str, judged_parts: Parts, kernel_initramfs: OwnInitramfs) -> OwnInitramfs:
    """The initramfs that the kernel under judgement boots with."""
    if judged_parts.how != "installed":
        raise NotApplicable("it is not installed yet: its initramfs is made when it is")
    return kernel_initramfs


@derived
def why_it_needs_an_initramfs(
    own_initramfs: OwnInitramfs,
    kernel_presence: Presence,
    root_storage: Storage,
    kernel_built_in_modules: frozenset[str],
    judged_options: Options,
    maybe_judged_boot: Maybe[NextBoot],
) -> str:
    """What keeps the kernel from mounting its root file system without the initramfs that it has not; "" where it has one, or
    needs none."""
    if own_initramfs.image is not None:
        return ""
    releases = kernel_presence.all - {kernel_presence.release}
    unknown = [path for path in own_initramfs.others if not any(release in path for release in releases)]
    if unknown:
        raise CouldNotDetermine(f"none lies in a known place, and whether {unknown[0]} is its initramfs is unknown")
    if judged_options.values.get("INITRAMFS_SOURCE", "").strip('"'):
        raise CouldNotDetermine("its initramfs is built into it (CONFIG_INITRAMFS_SOURCE) and was not looked into")
    lacking = [names[-1] for names in root_storage.modules() if not _any_of(names, kernel_built_in_modules)]
    if lacking:
        return f"{', '.join(lacking)} of its root file system are not built into it"
    if programs := root_storage.programs():
        return f"its root file system needs the program {programs[0][0]}"
    words = [word for entry in maybe_judged_boot.value.entries for word in entry.arguments.split()]
    root = next((word.removeprefix("root=") for word in words if word.startswith("root=")), None)
    if root is None or root_storage.beyond_sight:
        raise CouldNotDetermine(root_storage.beyond_sight or "it has none, and its boot entry has no root=")
    return "" if FOUND_BY_THE_KERNEL.match(root) else f"it does not find root={root} by itself"


@derived
def missing_in_own_initramfs(
    judged_release: str, own_initramfs: OwnInitramfs, root_storage: Storage, kernel_built_in_modules: frozenset[str]
) -> tuple[str, ...]:
    """What the root file system needs and the kernel's own initramfs has not."""
    if own_initramfs.image is None:
        raise NotApplicable("it has no initramfs of its own")
    return _lacking(own_initramfs.image, judged_release, root_storage, kernel_built_in_modules)


@derived
def newer_than_own_initramfs(
    own_initramfs: OwnInitramfs, root_storage: Storage, kernel_built_in_modules: frozenset[str]
) -> tuple[str, ...]:
    """Modules under the root file system that were installed after the kernel's own initramfs was made: it holds others."""
    if own_initramfs.image is None:
        raise NotApplicable("it has no initramfs of its own")
    wanted = {name.replace("-", "_") for names in root_storage.modules() for name in names}
    return tuple(sorted((wanted - kernel_built_in_modules) & own_initramfs.newer))


@derived
def ready_kdump_image(
    judged_release: str, judged_parts: Parts, capture_release: str, kernel_release: str, kernel_kdump_image: Initramfs | None
) -> Initramfs:
    """The kdump initramfs that lies ready for the kernel under judgement."""
    if judged_parts.how != "installed":
        raise NotApplicable("it is not installed yet, and so has no kdump initramfs")
    if capture_release != kernel_release:
        raise NotApplicable(f"the capture kernel is {capture_release}, whichever kernel runs")
    if kernel_kdump_image is None:
        raise NotApplicable("no kdump initramfs was built for it yet: the kdump service builds it when the kernel first runs")
    return kernel_kdump_image


@derived
def missing_in_kdump_image(
    judged_release: str,
    ready_kdump_image: Initramfs,
    capture_storage: Storage,
    maybe_kernel_built_in_modules: Maybe[frozenset[str]],
) -> tuple[str, ...]:
    """What the dump disk needs and the kdump initramfs that lies ready for this kernel has not."""
    return _lacking(ready_kdump_image, judged_release, capture_storage, maybe_kernel_built_in_modules.value)


def _any_of(names: tuple[str, ...], there: frozenset[str]) -> bool:
    return any(name.replace("-", "_") in there for name in names)


def _lacking(image: Initramfs, release: str, storage: Storage, built_in: frozenset[str]) -> tuple[str, ...]:
    if not storage.layers or not storage.drivers:
        raise CouldNotDetermine(storage.beyond_sight)
    releases = image.releases
    if releases and release not in releases:
        return (f"any module: it holds those of {', '.join(sorted(releases))}",)
    there = image.modules | built_in
    found = [names[-1] for names in sorted(storage.modules()) if not _any_of(names, there)]
    found += [f"the program {names[0]}" for names in storage.programs() if not any(map(image.has_program, names))]
    if not found and storage.beyond_sight:
        raise CouldNotDetermine(storage.beyond_sight)
    return tuple(found)
