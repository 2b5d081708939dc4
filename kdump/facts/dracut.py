"""Whether the kdump initramfs is squashed, and what it takes for that."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from ..fact import Maybe, derived, fact
from ..flavour import Flavour
from ..parsers.dracut_omissions import Omissions
from ..parsers.dracut_omissions import dracut_omissions as omissions_of
from ..parsers.dump_target import options
from ..parsers.initramfs import SQUASH_IMAGES, Initramfs
from ..parsers.squash_rules import SquashRules, squash_rules
from ..verdict import CouldNotDetermine, NotApplicable
from .modules import Availability, SquashModules

installed_squash_rules = fact("installed_squash_rules", "squash_rules", squash_rules, statuses=(0, 1))
squash_tools = fact(
    "squash_tools",
    "for tool in mksquashfs mkfs.erofs; do command -v $tool; done || :",
    lambda text: frozenset(path.rpartition("/")[2] for path in text.split()),
)


def dracut_arguments(text: str) -> str:
    """The value of ``dracut_args`` in kdump.conf: the last one counts (kdump-lib-initramfs.sh, kdump_get_conf_val()).

    >>> dracut_arguments("dracut_args --omit squash # --xz")
    '--omit squash'
    """
    return dict(options(text)).get("dracut_args", "")


dracut_args = fact(
    "dracut_args",
    "grep -hE '^[[:space:]]*dracut_args[[:space:]]' /etc/kdump.conf",
    dracut_arguments,
    statuses=(0, 1),
    absent="",
)


def extra_modules_of(text: str) -> tuple[str, ...]:
    """The values of ``extra_modules`` in kdump.conf, which mkdumprd hands to dracut's ``--add-drivers``.

    >>> extra_modules_of("extra_modules virtio_net mlx5_core")
    ('virtio_net', 'mlx5_core')
    """
    return tuple(word for name, value in options(text) if name == "extra_modules" for word in value.split())


extra_modules = fact("extra_modules", "cat /etc/kdump.conf", extra_modules_of, absent=())

dracut_omissions = fact("dracut_omissions", "dracut_omissions", omissions_of, statuses=(0, 1))

# kdump-lib.sh have_compression_in_dracut_args(): "--compress=xz" is none to it
_COMPRESSION = re.compile(r"(^|\s)--(gzip|bzip2|lzma|xz|lzo|lz4|zstd|no-compress|compress|squash-compressor)(\s|$)")


#: what a squashed image is made of; the file system that carries it may be erofs in squashfs's place
ROLES = ("squashfs", "loop", "overlay")


@dataclass(frozen=True)
class SquashPlan:
    """How the next image would be squashed: which dracut module does it, on which file system, by which rules. ``asked``: the
    dracut module that kdump-utils names."""

    dracut_module: str
    carrier: str
    rules: SquashRules

    @property
    def asked(self) -> str:
        return "squash" if self.rules.gate else self.dracut_module


@derived
def squash_plan(
    flavour: Flavour,
    maybe_installed_squash_rules: Maybe[SquashRules],
    maybe_squash_tools: Maybe[frozenset[str]],
    maybe_dracut_args: Maybe[str],
    maybe_omitted_dracut_modules: Maybe[Omissions],
) -> SquashPlan:
    """What kdump-utils' mkdumprd and dracut would do on a rebuild. Not applicable where nothing would be squashed."""
    if not flavour.may_squash:
        raise NotApplicable(f"{flavour.name} never squashes its initramfs: it needs none of these modules")
    rules, tools = maybe_installed_squash_rules.value, maybe_squash_tools.value
    if not rules.dracut_modules:
        raise NotApplicable("dracut has no squash module installed: the initramfs is not squashed")
    if not rules.gate and not rules.yields_to_compression:
        raise NotApplicable("this kdump-utils does not squash its initramfs")
    arguments = maybe_dracut_args.value
    if rules.yields_to_compression and _COMPRESSION.search(arguments):
        raise NotApplicable("dracut_args names a compression: then the initramfs is not squashed")
    plan = _plan(rules, tools)
    omissions = maybe_omitted_dracut_modules.value
    omitted = omissions.effective()
    if plan.asked in omitted and (rules.optional or not rules.gate):
        if omissions.forced:
            raise CouldNotDetermine(f"{omitted[plan.asked]} leaves dracut's {plan.asked} out, and {_forced(omissions)}")
        raise NotApplicable(f"{omitted[plan.asked]} leaves dracut's {plan.asked} out: the initramfs is not squashed")
    return plan


def _plan(rules: SquashRules, tools: frozenset[str]) -> SquashPlan:
    # the order is mkdumprd's, and that of dracut's own choice (modules.d/87squash)
    if "squash-squashfs" in rules.dracut_modules and "mksquashfs" in tools:
        return SquashPlan("squash-squashfs", "squashfs", rules)
    if "squash-erofs" in rules.dracut_modules and "mkfs.erofs" in tools:
        return SquashPlan("squash-erofs", "erofs", rules)
    if "mksquashfs" in tools:
        return SquashPlan("squash", "squashfs", rules)
    if rules.gate:
        raise CouldNotDetermine("dracut is asked to squash, but neither mksquashfs nor mkfs.erofs is installed")
    raise NotApplicable("neither mksquashfs nor mkfs.erofs is installed: the initramfs is not squashed")


@derived
def omitted_dracut_modules(
    maybe_dracut_args: Maybe[str], maybe_dracut_omissions: Maybe[Omissions], maybe_extra_modules: Maybe[tuple[str, ...]]
) -> Omissions:
    """Of dracut's configuration, and of dracut_args and extra_modules in kdump.conf."""
    found = maybe_dracut_omissions.value.with_arguments(maybe_dracut_args.value)
    return found.adding(maybe_extra_modules.value) if found.drivers else found


#: what dracut's squash modules depend on (modules.d/99squash of 059, 88squash-lib and 74squash-* of 112, 00systemd-initrd)
_SQUASH_NEEDS = ("squash-lib", "systemd-initrd", "systemd")


@derived
def squash_left_out(squash_plan: SquashPlan, omitted_dracut_modules: Omissions, squash_modules: SquashModules) -> list[str]:
    """What the next build needs to be squashed, and is told to leave out: then it fails.

    Source: dracut.sh (dracut-init.sh in 059), check_module(): what depends on a module that is left out cannot be installed;
    for_each_module_dir(): what was asked for by --add, and is not left out itself, ends the build then. kdumpbase before
    add_opt_module() depends on squash (openeuler-mirror/kexec-tools@28f8f09, dracut-module-setup.sh).
    """
    rules = squash_plan.rules
    carriers = (squash_plan.carrier, "loop", "overlay")
    if rules.gate and not all(squash_modules.modules[name].passes_modprobe for name in carriers):
        return []
    needed = {squash_plan.asked, squash_plan.dracut_module, *_SQUASH_NEEDS}
    found = [f"{where} leaves out {name}" for name, where in sorted(omitted_dracut_modules.effective().items()) if name in needed]
    if found and omitted_dracut_modules.forced:
        raise CouldNotDetermine(f"{'; '.join(found)}, and {_forced(omitted_dracut_modules)}")
    if found and rules.gate and rules.optional is None:
        raise CouldNotDetermine(f"{'; '.join(found)}, and whether this kdump-utils does without it is not to be seen")
    return found


def _forced(omissions: Omissions) -> str:
    where = ", ".join(sorted(set(omissions.forced.values())))
    return f"{where} adds modules by force ({', '.join(omissions.forced)}), which may need it"


class Outcome(Enum):
    """What a module's state does to the next build."""

    HARMLESS = "harmless"
    UNSQUASHED = "harmless: the image is built without squash, and is larger"
    FATAL = "the next build of the kdump initramfs fails, and then no capture kernel is loaded"
    SILENT = "the next build succeeds without it, and the image then cannot mount its own root file system"
    LEFT_OUT = "dracut is told to leave it out (omit_drivers), and then the image cannot mount its own root file system"
    EITHER = "the next build fails, or makes an image that cannot mount its own root file system"


@dataclass(frozen=True)
class ModuleForecast:
    name: str
    state: Availability
    outcome: Outcome

    @property
    def harmless(self) -> bool:
        return self.outcome in (Outcome.HARMLESS, Outcome.UNSQUASHED)


@dataclass(frozen=True)
class Rebuild:
    """The next build's outcome, by :data:`ROLES`."""

    release: str
    forecast: Mapping[str, ModuleForecast]


@derived
def squash_rebuild(squash_plan: SquashPlan, squash_modules: SquashModules, omitted_dracut_modules: Omissions) -> Rebuild:
    """Predict the next build, module by module."""
    return rebuild(squash_plan, squash_modules, omitted_dracut_modules)


def rebuild(squash_plan: SquashPlan, squash_modules: SquashModules, omissions: Omissions) -> Rebuild:
    """What a build by this plan comes to with these modules.

    dracut's squash modules have theirs installed as any driver is: one that is left out is left out without a word.
    """
    names = {role: squash_plan.carrier if role == "squashfs" else role for role in ROLES}
    states = {role: squash_modules.modules[name] for role, name in names.items()}
    outcomes = dict(predict(squash_plan.rules, states))
    files = {role: name for role, name in names.items() if outcomes[role] is Outcome.HARMLESS and states[role].file_exists}
    if Outcome.UNSQUASHED not in outcomes.values():
        left_out = {role: omissions.driver_left_out(name) for role, name in files.items()}
        if None in left_out.values():
            raise CouldNotDetermine(
                f"{omissions.who_omits} leaves drivers out; whether {' or '.join(files.values())} is one is unclear"
            )
        outcomes.update((role, Outcome.LEFT_OUT) for role, out in left_out.items() if out)
    return Rebuild(
        squash_modules.release,
        {role: ModuleForecast(name, states[role], outcomes[role]) for role, name in names.items()},
    )


def predict(rules: SquashRules, states: Mapping[str, Availability]) -> Mapping[str, Outcome]:
    """The outcome for each module, from the rules of the installed scripts."""
    if rules.gate and not all(state.passes_modprobe for state in states.values()):
        return {name: Outcome.HARMLESS if state.passes_modprobe else Outcome.UNSQUASHED for name, state in states.items()}
    return {name: _outcome(rules, state) for name, state in states.items()}


def _outcome(rules: SquashRules, state: Availability) -> Outcome:
    if rules.insists_on_files and not state.file_exists:
        return Outcome.FATAL
    if state.file_exists or state is Availability.BUILT_IN:
        return Outcome.HARMLESS
    if state.passes_modprobe:
        return Outcome.SILENT
    return Outcome.FATAL if rules.checks_modules else Outcome.EITHER


@dataclass(frozen=True)
class SquashedImage:
    """A squashed kdump initramfs: the module of each role, and those that it can get."""

    path: str
    modules: Mapping[str, str]
    available: frozenset[str]


@derived
def squashed_image(
    flavour: Flavour,
    maybe_initramfs: Maybe[Initramfs],
    maybe_capture_release: Maybe[str],
    maybe_squash_modules: Maybe[SquashModules],
) -> SquashedImage:
    """The image in use: it mounts its squash image with modules that lie beside it, or that the kernel has built in."""
    if not flavour.may_squash:
        raise NotApplicable(f"{flavour.name} never squashes its initramfs: it needs none of these modules")
    image = maybe_initramfs.value
    squash = [path for path in image.archive if path.endswith(SQUASH_IMAGES)]
    if not squash:
        raise NotApplicable(f"{image.image.path} is not squashed: it needs none of these modules")
    carrier = "erofs" if "erofs" in squash[0] else "squashfs"
    modules = {role: carrier if role == "squashfs" else role for role in ROLES}
    if any(path.startswith("etc/modprobe.d/") for path in image.archive):
        # what its modprobe obeys, if it is not older than that line
        for module in modules.values():
            if maybe_squash_modules.value.modules[module] in (Availability.OVERRIDDEN, Availability.REFUSED):
                raise CouldNotDetermine(f"{image.image.path} holds modprobe.d, where an install line is given for {module}")
    own = f"/lib/modules/{maybe_capture_release.value}/"  # modprobe looks nowhere else
    beside = {path.rpartition("/")[2].partition(".ko")[0] for path in image.archive if own in f"/{path}" and ".ko" in path}
    if not beside.issuperset(modules.values()):
        states = maybe_squash_modules.value.modules
        beside |= {module for module in modules.values() if states[module] is Availability.BUILT_IN}
    return SquashedImage(image.image.path, modules, frozenset(beside))


# fs/squashfs/Kconfig, fs/erofs/Kconfig
_DECOMPRESSORS = {
    "squashfs": {
        "gzip": "CONFIG_SQUASHFS_ZLIB",
        "lz4": "CONFIG_SQUASHFS_LZ4",
        "lzo": "CONFIG_SQUASHFS_LZO",
        "xz": "CONFIG_SQUASHFS_XZ",
        "zstd": "CONFIG_SQUASHFS_ZSTD",
    },
    "erofs": {"lzma": "CONFIG_EROFS_FS_ZIP_LZMA", "lz4": "CONFIG_EROFS_FS_ZIP", "lz4hc": "CONFIG_EROFS_FS_ZIP"},
}


@dataclass(frozen=True)
class Compressor:
    name: str
    option: str
    known_to_kernel: bool


@derived
def squash_compressor(squash_plan: SquashPlan, maybe_kernel_config_of_capture: Maybe[Mapping[str, str]]) -> Compressor:
    """The compressor that kdump-utils names, and whether the capture kernel can undo it."""
    return compressor(squash_plan, lambda option: maybe_kernel_config_of_capture.value.get(option) == "y")


def compressor(squash_plan: SquashPlan, is_set: Callable[[str], bool]) -> Compressor:
    """The compressor of a plan; ``is_set`` tells of an option whether a kernel has it."""
    name = squash_plan.rules.compressors.get(squash_plan.dracut_module)
    option = _DECOMPRESSORS[squash_plan.carrier].get(name or "")
    if name is None or option is None:
        raise NotApplicable("kdump-utils names no compressor: the tool's own default is one that every kernel knows")
    return Compressor(name, option, is_set(option))
