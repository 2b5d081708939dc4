"""What an installed kernel has for a squashed kdump initramfs."""

from __future__ import annotations

from collections.abc import Mapping

from ..fact import Maybe, derived, fact
from ..parsers.initramfs import Initramfs
from ..verdict import CouldNotDetermine, NotApplicable
from .dracut import Compressor, Rebuild, SquashPlan, compressor, rebuild
from .installed_kernel import Options, Parts
from .modules import SQUASH_MODULES, Availability, SquashModules, availability
from .storage import Storage, module_names

_CONFIGURED = {"squashfs": "SQUASHFS", "erofs": "EROFS_FS", "loop": "BLK_DEV_LOOP", "overlay": "OVERLAY_FS"}
_OF_OPTION = {"y": Availability.BUILT_IN, "m": Availability.MODULE, None: Availability.MISSING}


def answers(text: str) -> Mapping[str, Availability] | None:
    """``kernel_modules``; None where no module was built yet.

    >>> answers("\\n".join(f"6.1.0 {module} ok builtin {module}" for module in SQUASH_MODULES))["loop"].value
    'built into the kernel'
    """
    if any(line.endswith(" unbuilt -") for line in text.splitlines()):
        return None
    (found,) = availability(text).values()
    return found


kernel_module_answers = fact("kernel_module_answers", f"kernel_modules {{kernel}} {' '.join(SQUASH_MODULES)}", answers, slow=True)


def names(text: str) -> frozenset[str] | None:
    """``kernel_module_names``, with underscores; None where no module was built yet.

    >>> sorted(names("virtio-rng ext4 "))
    ['ext4', 'virtio_rng']
    """
    if text.strip() == "unbuilt":
        return None
    found = frozenset(text.replace("-", "_").split())
    if not found:
        raise ValueError("no module is named")
    return found


kernel_module_names = fact("kernel_module_names", "kernel_module_names {kernel}", names, slow=True)


@derived
def drivers_missing_in_kernel(
    judged_release: str, capture_storage: Storage, kernel_module_names: frozenset[str] | None
) -> tuple[str, ...]:
    """Modules under the dump target, as the running kernel knows them, that this kernel does not have."""
    if capture_storage.beyond_sight:
        raise CouldNotDetermine(capture_storage.beyond_sight)
    if kernel_module_names is None:
        raise CouldNotDetermine("the kernel's modules are not built yet")
    return tuple(
        names[-1]
        for names in sorted(capture_storage.modules())
        if not any(name.replace("-", "_") in kernel_module_names for name in names)
    )


def kdump_image(text: str) -> Initramfs | None:
    """``kernel_kdump_image_listing``; None where there is none yet."""
    return Initramfs.parse(text) if text.strip() else None


kernel_kdump_image = fact("kernel_kdump_image", "kernel_kdump_image_listing {kernel}", kdump_image, slow=True)
kernel_built_in_modules = fact("kernel_built_in_modules", "cat /lib/modules/{kernel}/modules.builtin", module_names)


@derived
def missing_in_kdump_image(
    judged_release: str,
    judged_parts: Parts,
    capture_release: str,
    kernel_release: str,
    capture_storage: Storage,
    kernel_kdump_image: Initramfs | None,
    kernel_built_in_modules: frozenset[str],
) -> tuple[str, ...]:
    """What the dump disk needs and the kdump initramfs that lies ready for this kernel has not."""
    if judged_parts.how != "installed":
        raise NotApplicable("it is not installed yet, and so has no kdump initramfs")
    if capture_release != kernel_release:
        raise NotApplicable(f"the capture kernel is {capture_release}, whichever kernel runs")
    if kernel_kdump_image is None:
        raise NotApplicable("no kdump initramfs was built for it yet: the kdump service builds it when the kernel first runs")
    if not capture_storage.layers or not capture_storage.drivers:
        raise CouldNotDetermine(
            f"which driver {capture_storage.source} ({capture_storage.file_system}) rests on is not to be seen in /sys"
        )
    releases = kernel_kdump_image.releases
    if releases and judged_release not in releases:
        return (f"any module: it holds those of {', '.join(sorted(releases))}",)
    there = kernel_kdump_image.modules | kernel_built_in_modules
    modules = sorted(capture_storage.modules())
    return tuple(names[-1] for names in modules if not any(name.replace("-", "_") in there for name in names))


@derived
def judged_squash_modules(
    judged_release: str,
    kernel_module_answers: Mapping[str, Availability] | None,
    maybe_judged_options: Maybe[Options],
) -> SquashModules:
    """The modules themselves; before they are built, what the configuration will make of them."""
    if kernel_module_answers is not None:
        return SquashModules(judged_release, kernel_module_answers)
    values = maybe_judged_options.value.values
    unknown = [option for option in _CONFIGURED.values() if values.get(option) not in _OF_OPTION]
    if unknown:
        raise CouldNotDetermine(f"CONFIG_{unknown[0]}={values[unknown[0]]} makes no sense")
    return SquashModules(judged_release, {name: _OF_OPTION[values.get(option)] for name, option in _CONFIGURED.items()})


@derived
def judged_rebuild(squash_plan: SquashPlan, judged_squash_modules: SquashModules) -> Rebuild:
    """What a build of this kernel's kdump initramfs would come to, by the rules of the installed dracut."""
    return rebuild(squash_plan, judged_squash_modules)


@derived
def judged_compressor(squash_plan: SquashPlan, judged_options: Options) -> Compressor:
    """The compressor that kdump-utils names, and whether this kernel can undo it."""
    return compressor(squash_plan, lambda option: judged_options.on(option.removeprefix("CONFIG_")))
