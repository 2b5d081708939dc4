"""What an installed kernel will reserve when it boots, and whether that is enough for it as its own capture kernel."""

from __future__ import annotations

from dataclasses import replace

from .. import capture_memory as model
from ..capture_memory import CaptureMemory, Inputs
from ..fact import Maybe, derived
from ..parsers.bootloader import BootConfiguration, NextBoot
from ..parsers.initramfs import Initramfs
from ..parsers.kernel_image import BootImage
from ..verdict import CouldNotDetermine, NotApplicable
from .capture_memory import decided, reserved_at
from .installed_kernel import Parts
from .reservation import NextReservation, reservation_at

#: of an initramfs that is still to be built for another kernel: as large as the present one, a quarter more or less
_LESS, _MORE = (3, 4), (5, 4)


@derived
def judged_boot(
    judged_release: str, judged_parts: Parts, boot_configuration: BootConfiguration, maybe_next_boot: Maybe[NextBoot]
) -> NextBoot:
    """The kernel's boot entries; for one that is not installed yet, what boots next: its entry will be made like that one."""
    if judged_parts.how != "installed":
        return maybe_next_boot.value
    entries = boot_configuration.entries_of(judged_release)
    if not entries:
        if not boot_configuration.files:
            raise NotApplicable("no boot loader configuration on this host: its kernel command line comes from outside")
        raise CouldNotDetermine(f"the boot loader has no entry for kernel {judged_release} (as far as its files are read here)")
    return NextBoot(entries, f"there are {len(entries)} entries for this kernel" if len(entries) > 1 else "")


@derived
def judged_reservation(
    judged_boot: NextBoot,
    maybe_fadump_enabled: Maybe[bool],
    kernel_arguments: str,
    crash_size: int,
    possible_ram: tuple[int, ...],
    maybe_kernel_machine: Maybe[str],
) -> NextReservation:
    """Whether the kernel will reserve memory."""
    if maybe_fadump_enabled.otherwise(False):
        raise NotApplicable("firmware-assisted dump is in use: it needs no capture kernel in reserved memory")
    return reservation_at(judged_boot, kernel_arguments, crash_size, possible_ram, maybe_kernel_machine)


@derived
def judged_capture_memory(
    judged_release: str,
    judged_reservation: NextReservation,
    judged_boot: NextBoot,
    judged_parts: Parts,
    capture_release: str,
    kernel_release: str,
    kernel_arguments: str,
    maybe_capture_inputs: Maybe[Inputs],
    maybe_kernel_image: Maybe[BootImage],
    maybe_kernel_kdump_image: Maybe[Initramfs | None],
) -> CaptureMemory:
    """What the kernel needs as capture kernel, estimated from what the present one needs, against what it will reserve.

    Raises :class:`CouldNotDetermine` between the least and the safe amount.
    """
    if judged_reservation.problem:
        raise NotApplicable(f"the kernel will reserve nothing: {judged_reservation.problem}")
    if capture_release != kernel_release:
        raise NotApplicable(f"the capture kernel is {capture_release}, whichever kernel runs")
    now = maybe_capture_inputs.value
    if judged_parts.how == "installed" and judged_release == kernel_release:
        return decided(model.needed(replace(now, reserved=min(reserved_at(judged_boot, kernel_arguments, now)))))
    image = maybe_kernel_image.value.memory
    if image is None:
        raise CouldNotDetermine("the image's header does not say how much memory the kernel takes")
    then = replace(now, reserved=min(reserved_at(judged_boot, kernel_arguments, now)), same_kernel=True)
    # the header counts gaps, and room to unpack itself, which the kernel gives back
    ready = maybe_kernel_kdump_image.otherwise(None)
    if ready is None:
        smaller, larger = _with_initramfs(then, _LESS), _with_initramfs(then, _MORE)
    else:
        smaller = larger = replace(then, image=ready.image.size, unpacked=ready.unpacked_pages)
    small = model.needed(replace(smaller, kernel_image=image * 3 // 4))
    large = model.needed(replace(larger, kernel_image=image))
    return decided(replace(large, least=small.least))


def _with_initramfs(inputs: Inputs, share: tuple[int, int]) -> Inputs:
    times, of = share
    unpacked = None if inputs.unpacked is None else inputs.unpacked * times // of
    return replace(inputs, image=inputs.image * times // of, unpacked=unpacked)
