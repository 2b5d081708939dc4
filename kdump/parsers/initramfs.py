"""The listing of a kdump initramfs, as the probe's ``capture_image_listing`` prints it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..verdict import CouldNotDetermine

_RELEASE = re.compile(r"/lib/modules/([^/]+)/(?:.*\.ko(?:\.(?:xz|gz|zst))?|modules\.(?:dep|builtin))$")
_MODULE = re.compile(r"([^/]+)\.ko(?:\.(?:xz|gz|zst))?")

#: what dracut's squash module calls the image inside: squash/root.img up to 050, then squash-root.img, now by its file system
SQUASH_IMAGES = ("squash/root.img", "squash-root.img", "squashfs-root.img", "erofs-root.img")


@dataclass(frozen=True)
class Image:
    """A kdump initramfs file: where, bytes on disk, seconds since the epoch when it was last written."""

    path: str
    size: int
    mtime: int

    @classmethod
    def parse(cls, text: str) -> Image:
        """Read ``SIZE MTIME PATH``.

        >>> Image.parse("23923201 1795479649 /var/lib/kdump/initrd.img-6.1.0-56-amd64").size
        23923201
        """
        size, mtime, path = text.strip().split(" ", 2)
        return cls(path, int(size), int(mtime))


@dataclass(frozen=True)
class Initramfs:
    """What a kdump initramfs holds.

    ``archive`` and ``squashed`` map paths to sizes in bytes: the files that decide about a dump (kernel modules,
    tools, configuration), not all. ``squashed`` is the content of the squash or erofs image that dracut's squash module
    puts inside; None where there is such an image and nothing on the host could list it, or (``late``) not in time.
    ``unpacked`` is the size of all files in bytes, ``unpacked_pages`` that rounded up to whole pages per file: what
    unpacking takes from memory. ``entries`` counts files, folders, links and nodes. ``cut``: it holds more files that decide
    than were listed. ``magics``: the first six bytes of each archive, in hexadecimal; none where the listing does not tell.
    """

    image: Image
    archive: Mapping[str, int]
    squashed: Mapping[str, int] | None
    unpacked: int
    unpacked_pages: int
    entries: int
    cut: bool = False
    late: bool = False
    magics: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Initramfs:
        """Read the listing.

        >>> listing = '''image 868 1795485579 /boot/initramfs-5.10.0kdump.img
        ... file 4096 squash-root.img
        ... file 2 usr/lib/modules/5.10.0/kernel/drivers/block/virtio_blk.ko.xz
        ... total 4167 16384 13
        ... squashed 5000 usr/bin/makedumpfile'''
        >>> sorted(Initramfs.parse(listing).files)
        ['squash-root.img', 'usr/bin/makedumpfile', 'usr/lib/modules/5.10.0/kernel/drivers/block/virtio_blk.ko.xz']

        Raises :class:`ValueError` when the listing is not whole.
        """
        image: Image | None = None
        archive: dict[str, int] = {}
        squashed: dict[str, int] | None = {}
        unpacked = unpacked_pages = entries = segments = 0
        cut = late = False
        magics: list[str] = []
        for line in filter(None, text.splitlines()):
            kind, _, rest = line.partition(" ")
            if kind == "image":
                image = Image.parse(rest)
            elif kind == "total":
                plain, paged, count = (int(float(number)) for number in rest.split())
                unpacked, unpacked_pages, entries = unpacked + plain, unpacked_pages + paged, entries + count
                segments += 1
            elif kind == "magic":
                magics.append(rest)
            elif line == "cut":
                cut = True
            elif line in ("squashed unlisted", "squashed late"):
                squashed, late = None, line == "squashed late"
            elif kind in ("file", "squashed"):
                size, path = rest.split(" ", 1)
                place = archive if kind == "file" else squashed
                if place is not None:
                    place[path] = int(float(size))
            else:
                raise ValueError(f"unknown line {line!r}")
        if image is None or not segments:
            raise ValueError("the listing names no image or no archive in it")
        return cls(image, archive, squashed, unpacked, unpacked_pages, entries, cut, late, tuple(magics))

    @cached_property
    def files(self) -> Mapping[str, int]:
        """Path → size of the files that decide about a dump, squashed ones included.

        Raises :class:`CouldNotDetermine` where a squash image inside could not be looked into, or not all were listed.
        """
        if self.cut:
            raise CouldNotDetermine(f"{self.image.path} holds more files than the probe lists")
        if self.late:
            raise CouldNotDetermine(
                f"{self.image.path} keeps its files in a squash image, and lsinitrd did not list it within 15 s"
            )
        if self.squashed is None:
            raise CouldNotDetermine(
                f"{self.image.path} keeps its files in a squash image that nothing on the host could list "
                "(lsinitrd with unsquashfs, or fsck.erofs, can)"
            )
        return {**self.archive, **self.squashed}

    @cached_property
    def modules(self) -> frozenset[str]:
        """Names of the kernel modules inside, dashes as underscores. Raises as :attr:`files` does."""
        names = (_MODULE.fullmatch(path.rpartition("/")[2]) for path in self.files)
        return frozenset(match[1].replace("-", "_") for match in names if match)

    def has_module(self, name: str) -> bool:
        """Whether a module of that name is inside; dash and underscore are the same. Raises as :attr:`files` does."""
        return name.replace("-", "_") in self.modules

    @cached_property
    def releases(self) -> frozenset[str]:
        """The kernel releases whose modules are inside, squashed ones included as far as they could be listed."""
        found = (_RELEASE.search(f"/{path}") for path in {**self.archive, **(self.squashed or {})})
        return frozenset(match[1] for match in found if match)

    def has_program(self, name: str) -> bool:
        """Whether a file of that name (``makedumpfile``) is inside. Raises as :attr:`files` does."""
        return name in self._names

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(path.rpartition("/")[2] for path in self.files)
