"""Whether kexec can find the running kernel in /proc/kcore."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..parsers.kcore import Segment, found_by_address, found_by_symbol, segments
from ..parsers.sysctl import Setting
from ..verdict import CouldNotDetermine, NotApplicable, NoValue
from .kernel import CommandLine
from .kexec import KexecCall

#: from this value on, the kernel shows addresses to nobody (kernel/ksyms_common.c kallsyms_show_value)
HIDDEN_FROM_ROOT = 2


def symbol_address(text: str) -> int:
    """The address in a line of /proc/kallsyms; 0 where it is hidden.

    >>> hex(symbol_address("ffffffffa4c00000 T _stext"))
    '0xffffffffa4c00000'
    """
    if not text.strip():
        return 0
    address, _, name = text.split()
    if name != "_stext":
        raise ValueError(f"{text!r} is not the line of _stext")
    return int(address, 16)


kptr_restrict = fact("kptr_restrict", "cat /proc/sys/kernel/kptr_restrict", int)
# No such file, or no such line: a kernel without CONFIG_KALLSYMS; kexec then has no symbol to go by.
stext = fact("stext", "grep -m 1 ' _stext$' /proc/kallsyms", symbol_address, absent=0, statuses=(0, 1), root=True)
kcore_segments = fact("kcore_segments", "kcore_program_headers", segments, root=True)


@derived
def kaslr(
    kernel_machine: str,
    cmdline: CommandLine,
    maybe_kernel_config: Maybe[Mapping[str, str]],
    maybe_vmcoreinfo: Maybe[Mapping[str, str]],
) -> bool:
    """Whether the running kernel was moved by KASLR. Where none was built in, or nobody looks, the question does not arise.

    False where one was built in and the kernel lies where it was linked: an offset of zero is as likely as any other (Linux 6.12,
    arch/x86/boot/compressed/kaslr.c, find_random_virt_addr()), or something kept KASLR from its work.
    """
    if kernel_machine != "x86_64":
        raise NotApplicable(f"only the kexec of x86_64 looks for the kernel in /proc/kcore; this is {kernel_machine}")
    if cmdline.has("nokaslr"):
        raise NotApplicable("KASLR is switched off on the kernel command line (nokaslr)")
    offset = maybe_vmcoreinfo.otherwise({}).get("KERNELOFFSET")
    if offset is not None and int(offset, 16):
        return True
    if maybe_kernel_config.value.get("CONFIG_RANDOMIZE_BASE") != "y":
        raise NotApplicable("the kernel was built without KASLR (CONFIG_RANDOMIZE_BASE)")
    return offset is None


@derived
def exposed_to_kaslr(maybe_kaslr: Maybe[bool], maybe_kexec_call: Maybe[KexecCall]) -> bool:
    """Where KASLR may move the kernel and kexec has to find it, whether it has moved it: one of the two being otherwise settles
    it."""
    call = maybe_kexec_call.otherwise(KexecCall.LEGACY)
    if call is not KexecCall.LEGACY:
        raise NotApplicable(f"the capture kernel is loaded by {call.value}: the kernel itself knows where it lies")
    reasons = [maybe.reason for maybe in (maybe_kaslr, maybe_kexec_call) if maybe.reason is not None]
    for reason in sorted(reasons, key=lambda reason: not isinstance(reason, NotApplicable)):
        raise reason
    return maybe_kaslr.value


_UNMOVED = (
    "the kernel's symbols are hidden, and it lies where it was linked: by chance, and then it will not after the next boot, or "
    "because KASLR does not work on this machine"
)


@dataclass(frozen=True)
class LayoutSearch:
    """What kexec's two tries find. ``None``: could not be looked at (this needs root)."""

    kptr_restrict: int
    by_symbol: bool | None
    by_address: bool | None

    @property
    def hidden(self) -> bool:
        return self.kptr_restrict >= HIDDEN_FROM_ROOT

    @property
    def luck(self) -> str:
        """What this boot's random offset does to a load under hidden symbols."""
        if self.by_address is None:
            return "and whether it does on this boot cannot be seen without root"
        if self.by_address:
            return "on this boot it does, by luck: about every second boot it does not"
        return "and on this boot it does not: the next load fails"


@derived
def layout_search(
    maybe_exposed_to_kaslr: Maybe[bool],
    maybe_kptr_restrict: Maybe[int],
    maybe_stext: Maybe[int],
    maybe_kcore_segments: Maybe[tuple[Segment, ...]],
) -> LayoutSearch:
    """Run kexec's own search on the running kernel, with its symbols and without."""
    moved = maybe_exposed_to_kaslr.value
    if not moved and maybe_kptr_restrict.value >= HIDDEN_FROM_ROOT:
        raise CouldNotDetermine(_UNMOVED)
    found = maybe_kcore_segments.otherwise(())
    if not found:
        return LayoutSearch(maybe_kptr_restrict.value, None, None)
    by_symbol = None if isinstance(maybe_stext.reason, NoValue) else found_by_symbol(found, maybe_stext.value)
    return LayoutSearch(maybe_kptr_restrict.value, by_symbol, found_by_address(found))


@derived
def kptr_restrict_at_boot(
    maybe_exposed_to_kaslr: Maybe[bool],
    maybe_sysctl_at_boot: Maybe[Mapping[str, Setting]],
    maybe_cmdline: Maybe[CommandLine],
) -> Setting | None:
    """The setting that the next boot will apply; ``None`` where nothing sets it and the kernel's own 0 stays."""
    moved = maybe_exposed_to_kaslr.value
    setting = maybe_sysctl_at_boot.value.get("kernel.kptr_restrict")
    if setting is None:
        given = maybe_cmdline.value.values("sysctl.kernel.kptr_restrict")
        setting = Setting(given[-1], "/proc/cmdline") if given else None
    if setting is not None and not setting.value.isdecimal():
        raise CouldNotDetermine(f"{setting.file} sets kernel.kptr_restrict to {setting.value!r}, which is no number")
    if not moved and setting is not None and int(setting.value) >= HIDDEN_FROM_ROOT:
        raise CouldNotDetermine(f"{setting.file}: after the next boot {_UNMOVED}")
    return setting
