"""What an installed kernel has for a squashed kdump initramfs."""

from __future__ import annotations

from collections.abc import Mapping

from ..fact import Maybe, derived, fact
from ..parsers.dracut_omissions import Omissions
from ..verdict import CouldNotDetermine
from .dracut import Compressor, Rebuild, SquashPlan, compressor, rebuild
from .installed_kernel import Options
from .modules import SQUASH_MODULES, Availability, SquashModules, availability
from .storage import Storage

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
def judged_rebuild(squash_plan: SquashPlan, judged_squash_modules: SquashModules, omitted_dracut_modules: Omissions) -> Rebuild:
    """What a build of this kernel's kdump initramfs would come to, by the rules of the installed dracut."""
    return rebuild(squash_plan, judged_squash_modules, omitted_dracut_modules)


@derived
def judged_compressor(squash_plan: SquashPlan, judged_options: Options) -> Compressor:
    """The compressor that kdump-utils names, and whether this kernel can undo it."""
    return compressor(squash_plan, lambda option: judged_options.on(option.removeprefix("CONFIG_")))
