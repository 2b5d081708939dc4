"""What modprobe would do to get the modules of a squashed initramfs, for every installed kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from ..fact import derived, fact
from ..verdict import CouldNotDetermine

#: squashfs or erofs carries the squashed files, loop and overlay make a root file system of them
SQUASH_MODULES = ("squashfs", "erofs", "loop", "overlay")


class Availability(Enum):
    BUILT_IN = "built into the kernel"
    MODULE = "a module"
    GONE = "listed in modules.dep, but its file is gone"
    MISSING = "missing: modprobe knows no such module"
    #: an "install NAME /bin/false" line of modprobe.d: modprobe --dry-run, which dracut asks, may still say yes
    OVERRIDDEN = "overridden by an install line of modprobe.d"
    REFUSED = "refused by an install line of modprobe.d"

    @property
    def passes_modprobe(self) -> bool:
        """What ``modprobe --dry-run`` answers, which is what kdump-utils' and dracut's own checks ask."""
        return self not in (Availability.MISSING, Availability.REFUSED)

    @property
    def file_exists(self) -> bool:
        """Whether there is a .ko to be copied."""
        return self in (Availability.MODULE, Availability.OVERRIDDEN)


@dataclass(frozen=True)
class SquashModules:
    """The modules of one kernel."""

    release: str
    modules: Mapping[str, Availability]


def availability(text: str) -> Mapping[str, Mapping[str, Availability]]:
    """``RELEASE MODULE ok|gone|refused LINE``, LINE being modprobe's (kmod 30, --show-depends).

    >>> lines = "\\n".join(f"5.10.0 {module} ok builtin {module}" for module in SQUASH_MODULES)
    >>> availability(lines)["5.10.0"]["loop"].value
    'built into the kernel'

    Raises :class:`ValueError` where a module of a release is missing from the lines.
    """
    found: dict[str, dict[str, Availability]] = {}
    for line in text.splitlines():
        release, module, state, said = (*line.split(" ", 3), "", "", "")[:4]
        found.setdefault(release, {})[module] = _availability(state, said)
    for release, modules in found.items():
        if lacking := set(SQUASH_MODULES).difference(modules):
            raise ValueError(f"nothing was said of {', '.join(sorted(lacking))} of {release}")
    return found


def _availability(state: str, said: str) -> Availability:
    match said.split(" ", 1)[0], state:
        case "builtin", _:
            return Availability.BUILT_IN
        case "insmod", "gone":
            return Availability.GONE
        case "insmod", "ok":
            return Availability.MODULE
        case "install", "ok":
            return Availability.OVERRIDDEN
        case "install", "refused":
            return Availability.REFUSED
    if "not found in directory" in said:
        return Availability.MISSING
    raise ValueError(f"modprobe said {said!r}")


installed_squash_modules = fact("installed_squash_modules", f"squash_modules {' '.join(SQUASH_MODULES)}", availability, slow=True)


@derived
def squash_modules(installed_squash_modules: Mapping[str, Mapping[str, Availability]], capture_release: str) -> SquashModules:
    """The capture kernel's."""
    if capture_release not in installed_squash_modules:
        raise CouldNotDetermine(f"the modules of the capture kernel {capture_release} are not installed")
    return SquashModules(capture_release, installed_squash_modules[capture_release])
