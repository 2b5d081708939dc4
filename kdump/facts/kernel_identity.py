"""Which build an installed kernel is, and whether the debuginfo at hand is of that build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..parsers.kernel_image import BootImage, Identity, boot_image
from ..parsers.unreadable import Unreadable
from ..verdict import CouldNotDetermine, NotApplicable
from ..vmcore_evidence import parse
from .installed_kernel import Parts
from .vmlinux import Candidate, candidates


def header(text: str) -> BootImage:
    """The bytes of ``kernel_image``."""
    try:
        return boot_image(parse(text)[0].source)
    except Unreadable as unreadable:
        raise ValueError(unreadable.reason) from unreadable


@dataclass(frozen=True)
class Words:
    """What the unpacked image says: ``None`` where its header says enough."""

    banners: tuple[Identity, ...]
    exports_section_size: bool


def words(text: str) -> Words | None:
    """``kernel_image_strings``.

    >>> words("file /boot/Image-6.1.0\\nLinux version 6.1.0 (a@b) (gcc) #1 SMP\\nSECTION_SIZE_BITS").exports_section_size
    True
    """
    if text == "not needed":
        return None
    lines = text.split("\n")[1:]
    banners = tuple(Identity.parse(line) for line in lines if line.startswith("Linux version") and " #" in line)
    if not banners:
        raise ValueError("the image does not name itself: it could not be unpacked")
    return Words(banners, "SECTION_SIZE_BITS" in lines)


def banners(text: str) -> Mapping[str, frozenset[Identity]]:
    """``FILE:Linux version …`` lines, by file."""
    found: dict[str, set[Identity]] = {}
    for line in text.splitlines():
        path, _, banner = line.partition(":")
        if " #" in banner:
            found.setdefault(path, set()).add(Identity.parse(banner))
    return {path: frozenset(ones) for path, ones in found.items()}


_NO_IMAGE = NotApplicable("there is no image of this kernel")
kernel_image = fact("kernel_image", "kernel_image {kernel}", header, absent=_NO_IMAGE)
kernel_image_words = fact("kernel_image_words", "kernel_image_strings {kernel}", words, absent=_NO_IMAGE, slow=True)
kernel_vmlinux = fact("kernel_vmlinux", "kernel_vmlinux {kernel}", candidates, slow=True)
kernel_vmlinux_banners = fact("kernel_vmlinux_banners", "kernel_vmlinux_banners {kernel}", banners, slow=True)


@derived
def image_identity(judged_release: str, kernel_image: BootImage, maybe_kernel_image_words: Maybe[Words | None]) -> Identity:
    """The build that the image is of."""
    if kernel_image.identity is not None:
        return kernel_image.identity
    told = maybe_kernel_image_words.value
    if told is None:
        raise CouldNotDetermine("the image's header does not say which build it is of")
    return told.banners[0]


@derived
def debuginfo_of_kernel(
    judged_release: str,
    judged_parts: Parts,
    kernel_vmlinux: tuple[Candidate, ...],
    maybe_kernel_vmlinux_banners: Maybe[Mapping[str, frozenset[Identity]]],
    maybe_image_identity: Maybe[Identity],
    maybe_kernel_release: Maybe[str],
    maybe_running_build_id: Maybe[str],
) -> list[str]:
    """Why no vmlinux at hand is of this kernel's build; empty when one is.

    Of the running kernel the build-id tells, of others the words by which image and vmlinux name their build.
    """
    if not kernel_vmlinux:
        raise NotApplicable("no vmlinux of this kernel is at hand: keep the one of its build for the analysis")
    runs = judged_parts.how == "installed" and maybe_kernel_release.known and maybe_kernel_release.value == judged_release
    problems: list[str] = []
    unknown: list[str] = []
    for one in kernel_vmlinux:
        named = f"{one.path} (build-id {one.image.build_id})" if one.image else one.path
        if one.image is None:
            unknown.append(f"{named}: {one.problem}")
        elif one.image.has_dwarf is False:
            problems.append(f"{named} has no DWARF: crash needs the kernel's debuginfo package")
        elif runs and maybe_running_build_id.known:
            if one.image.build_id == maybe_running_build_id.value:
                return []
            problems.append(f"{named} is not of the kernel, whose build-id is {maybe_running_build_id.value}")
        else:
            image, says = maybe_image_identity.value, maybe_kernel_vmlinux_banners.value.get(one.path)
            if not says:
                unknown.append(f"{named} does not say which build it is of")
            elif image in says:
                return []
            else:
                others = " and ".join(sorted(map(str, says)))
                problems.append(f"{named} is of {others}, the image of {image}")
    if unknown:
        raise CouldNotDetermine(unknown[0])
    return problems
