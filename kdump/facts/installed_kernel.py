"""One installed kernel, running or not (``--kernel``, ``--kernel-tree``): its parts and its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..verdict import CouldNotDetermine, NotApplicable
from .kexec import KexecCall

# The options that judgements ask for, besides those that tell the architecture.
_OPTIONS = "|".join(
    (
        "ARM64",
        "BLK_DEV_INITRD",
        "BLK_DEV_LOOP",
        "CRASH_DUMP",
        "DEBUG_INFO[A-Z0-9_]*",
        "EROFS_FS[A-Z0-9_]*",
        "INITRAMFS_SOURCE",
        "KALLSYMS",
        "KEXEC(_FILE)?",
        "LOONGARCH",
        "MODULES",
        "OVERLAY_FS",
        "PPC64",
        "PROC_(KCORE|VMCORE)",
        "RANDOMIZE_BASE",
        "RD_[A-Z0-9]+",
        "RELOCATABLE",
        "RISCV",
        "S390",
        "SPARSEMEM",
        "SQUASHFS[A-Z0-9_]*",
        "SYSFS",
        "X86(_64)?",
    )
)


@dataclass(frozen=True)
class Presence:
    """The release that was asked for, and all that there are."""

    release: str
    all: frozenset[str]


def presence(text: str) -> Presence:
    """The release that was asked for, then those of which there is a trace.

    >>> presence("6.1.0-9\\n5.10.0\\n6.1.0-9").all == {"5.10.0", "6.1.0-9"}
    True
    """
    release, *others = text.split("\n")
    return Presence(release.strip(), frozenset(filter(None, map(str.strip, others))))


@dataclass(frozen=True)
class Parts:
    """``how``: "installed", "package" (unpacked, not installed) or "build tree". ``paths``: what is there, by kind."""

    how: str
    paths: Mapping[str, str]
    sizes: Mapping[str, int]

    @classmethod
    def parse(cls, text: str) -> Parts:
        """Read ``kernel_files``.

        >>> Parts.parse("installed\\nconfig 236000 /boot/config-6.1.0").paths
        {'config': '/boot/config-6.1.0'}
        """
        how, *lines = text.split("\n")
        if how not in ("installed", "package", "build tree"):
            raise ValueError(f"unknown kind of place {how!r}")
        rows = [line.split(" ", 2) for line in lines]
        return cls(how, {row[0]: row[2] for row in rows}, {row[0]: int(row[1]) for row in rows})


@dataclass(frozen=True)
class Options:
    """A kernel's configuration, as far as judgements ask for it; what is not set is not in it."""

    file: str
    values: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Options:
        """Read ``kernel_options``.

        >>> Options.parse("file /boot/config-6.1.0\\nCONFIG_KEXEC=y\\noptions 8000").values
        {'KEXEC': 'y'}
        """
        first, *lines, last = text.split("\n")
        if not first.startswith("file ") or not last.startswith("options "):
            raise ValueError("the listing is not whole")
        if int(last.removeprefix("options ")) == 0:
            raise ValueError(f"{first.removeprefix('file ')} sets no option: it is no kernel configuration")
        pairs = (line.removeprefix("CONFIG_").partition("=") for line in lines)
        return cls(first.removeprefix("file "), {option: value for option, _, value in pairs})

    def on(self, option: str) -> bool:
        """Whether it is built in."""
        return self.values.get(option) == "y"

    def set(self, option: str) -> bool:
        """Whether it is built in or a module."""
        return self.values.get(option) in ("y", "m")

    @property
    def relocates_itself(self) -> bool:
        """Whether a kernel of this architecture is built to run where it is loaded, without an option for that."""
        return not (self.on("X86") or self.on("X86_64") or self.on("PPC64"))


kernel_presence = fact("kernel_presence", "kernel_presence {kernel}", presence)
kernel_parts = fact("kernel_parts", "kernel_files {kernel}", Parts.parse)
kernel_options = fact("kernel_options", f"kernel_options {{kernel}} '{_OPTIONS}'", Options.parse)


@derived
def judged_release(kernel_presence: Presence) -> str:
    """The release of the kernel under judgement."""
    if kernel_presence.release not in kernel_presence.all:
        others = ", ".join(sorted(kernel_presence.all)) or "none at all"
        raise CouldNotDetermine(f"kernel {kernel_presence.release} is not installed here; there is: {others}")
    return kernel_presence.release


@derived
def judged_parts(judged_release: str, kernel_parts: Parts) -> Parts:
    """The parts of the kernel under judgement."""
    return kernel_parts


@derived
def judged_options(judged_release: str, kernel_options: Options) -> Options:
    """The configuration of the kernel under judgement."""
    return kernel_options


@derived
def bootable_image(judged_parts: Parts) -> str | None:
    """Where the kernel's image lies."""
    image = judged_parts.paths.get("image")
    if image is None and judged_parts.how == "build tree":
        raise NotApplicable("the kernel is not built yet")
    return image


#: what `uname -m` says on a kernel with that option
_MACHINES = {
    "X86_64": ("x86_64",),
    "ARM64": ("aarch64",),
    "PPC64": ("ppc64", "ppc64le"),
    "S390": ("s390x",),
    "RISCV": ("riscv64", "riscv32"),
    "LOONGARCH": ("loongarch64",),
}


@derived
def foreign_architecture(judged_options: Options, kernel_machine: str) -> str:
    """The architecture that the kernel is for, where it is not this machine's; else empty."""
    machines = [machine for option, names in _MACHINES.items() if judged_options.on(option) for machine in names]
    if not machines:
        raise CouldNotDetermine(f"{judged_options.file} does not say which architecture it is for")
    return "" if kernel_machine in machines else machines[0]


@derived
def module_index(judged_parts: Parts, maybe_judged_options: Maybe[Options]) -> str | None:
    """Where modules.dep lies, which depmod makes when a kernel is installed."""
    if judged_parts.how != "installed":
        raise NotApplicable(f"a {judged_parts.how} has no modules.dep: depmod makes it when the kernel is installed")
    if maybe_judged_options.known and not maybe_judged_options.value.on("MODULES"):
        raise NotApplicable("the kernel is built without modules")
    return judged_parts.paths.get("index")


@derived
def lacking_call(judged_options: Options, maybe_configured_kexec_call: Maybe[KexecCall]) -> str:
    """Which system call is lacking that loads a capture kernel; empty when there is one."""
    has_legacy, has_file = judged_options.on("KEXEC"), judged_options.on("KEXEC_FILE")
    if not has_legacy and not has_file:
        return "neither CONFIG_KEXEC nor CONFIG_KEXEC_FILE is set: there is no system call that loads a capture kernel"
    if has_legacy and has_file:
        return ""
    # which of the two the service asks for is the host's affair: of a kernel alone, one is enough
    call = maybe_configured_kexec_call.value if maybe_configured_kexec_call.known else None
    if call is KexecCall.LEGACY and not has_legacy:
        return "the kdump service of this host loads by kexec_load, and CONFIG_KEXEC is not set"
    if call is KexecCall.FILE and not has_file:
        return "the kdump service of this host loads by kexec_file_load, and CONFIG_KEXEC_FILE is not set"
    return ""


@derived
def lacking_for_capture(judged_options: Options) -> tuple[str, ...]:
    """What the kernel lacks to reserve memory for, and be, a capture kernel.

    Sources: linux 6.12, kernel/Kconfig.kexec (CRASH_DUMP selects the reservation and VMCOREINFO since 6.9; RELOCATABLE),
    Documentation/admin-guide/kdump/kdump.rst (PROC_VMCORE, SYSFS). Every flavour loads an initramfs with it.
    """
    wanted = {
        "CRASH_DUMP": "it cannot be a capture kernel, and since Linux 6.9 it reserves no memory for one",
        "PROC_VMCORE": "as capture kernel it has no /proc/vmcore to save",
        "SYSFS": "nothing can be learnt of a loaded capture kernel",
        "BLK_DEV_INITRD": "it cannot unpack the kdump initramfs",
    }
    if not judged_options.relocates_itself:
        wanted["RELOCATABLE"] = "it only runs at the address that it was built for, not where memory was reserved"
    return tuple(f"CONFIG_{option} is not set: {loss}" for option, loss in wanted.items() if not judged_options.on(option))


@derived
def layout_options(judged_options: Options, configured_kexec_call: KexecCall) -> tuple[str, ...]:
    """What kexec lacks to describe this kernel's memory to a capture kernel (horms/kexec-tools@29898e1, crashdump-x86.c,
    get_kernel_vaddr_and_size(): /proc/kcore must open; without kallsyms and with KASLR its search is a guess)."""
    if not judged_options.on("X86_64"):
        raise NotApplicable("only kexec for x86_64 looks for the kernel in /proc/kcore")
    falls_back = configured_kexec_call is KexecCall.FILE_FIRST and not judged_options.on("KEXEC_FILE")
    if configured_kexec_call is not KexecCall.LEGACY and not falls_back:
        raise NotApplicable(f"the capture kernel is loaded by {configured_kexec_call.value}: the kernel describes itself")
    lacking = []
    if not judged_options.on("PROC_KCORE"):
        lacking.append("CONFIG_PROC_KCORE is not set: kexec_load fails")
    if judged_options.on("RANDOMIZE_BASE") and not judged_options.on("KALLSYMS"):
        lacking.append("CONFIG_RANDOMIZE_BASE is set and CONFIG_KALLSYMS is not: about every second boot kexec_load fails")
    return tuple(lacking)


@derived
def lacking_debuginfo(judged_options: Options) -> str:
    """Why no vmlinux of this build can be opened by crash or drgn; empty when one can.

    crash-utility/crash@abcb45e, README and kernel.c: DEBUG_INFO is needed, with DEBUG_INFO_REDUCED it refuses.
    """
    if not judged_options.on("DEBUG_INFO"):
        return "CONFIG_DEBUG_INFO is not set: its vmlinux has no DWARF, and no dump of it can be opened"
    if judged_options.on("DEBUG_INFO_REDUCED"):
        return "CONFIG_DEBUG_INFO_REDUCED is set: its vmlinux lacks the types that crash needs"
    return ""
