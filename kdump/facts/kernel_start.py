"""Whether the kexec of arm64 can tell where the running kernel begins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..parsers.iomem import AddressMap
from ..parsers.sysctl import Setting
from ..verdict import CouldNotDetermine, NotApplicable
from .kaslr import HIDDEN_FROM_ROOT
from .kexec import KexecCall

_WORD = 1 << 64


@dataclass(frozen=True)
class KernelSymbols:
    """``asks``: kexec looks for them. ``addresses``: of those that are listed, 0 where hidden."""

    asks: bool
    addresses: Mapping[str, int]

    @classmethod
    def parse(cls, text: str) -> KernelSymbols:
        """Read ``kernel_symbols``.

        >>> KernelSymbols.parse("kexec 2\\nffffb3a234a10000 T _stext")
        KernelSymbols(asks=True, addresses={'_stext': 18446660107981881344})
        """
        told, *lines = text.splitlines() or [""]
        if not (count := re.fullmatch(r"kexec ([0-9]+)", told)):
            raise ValueError(f"{told!r} does not say whether kexec looks for symbols")
        listed = [line.split(" ") for line in lines]
        return cls(count[1] != "0", {name: int(address, 16) for address, _, name in listed})


kernel_symbols = fact(
    "kernel_symbols",
    "kernel_symbols",
    KernelSymbols.parse,
    statuses=(0, 1),
    absent=KernelSymbols(False, {}),  # without CONFIG_KALLSYMS all are 0, as where they are hidden
    tool_missing=NotApplicable("kexec is not installed"),
    root=True,
)


@dataclass(frozen=True)
class KernelStart:
    """Where kexec takes the kernel to begin, and where it does; physical addresses."""

    taken: int
    real: int


@derived
def kernel_start(
    kernel_machine: str,
    maybe_kexec_call: Maybe[KexecCall],
    maybe_kernel_symbols: Maybe[KernelSymbols],
    maybe_address_map: Maybe[AddressMap],
    maybe_sysctl_at_boot: Maybe[Mapping[str, Setting]],
) -> KernelStart:
    """What kexec makes of the symbols and of "Kernel code" in /proc/iomem.

    horms/kexec-tools:kexec/arch/arm64/crashdump-arm64.c@2842172, iomem_range_callback(), since 1614959 (2.0.24): where the code
    is as long as from _stext to __init_begin, it begins _stext - _text before that, and a symbol that is not there is 0.
    """
    if kernel_machine != "aarch64":
        raise NotApplicable(f"only the kexec of arm64 goes by the symbol _text; this is {kernel_machine}")
    if maybe_kexec_call.known and maybe_kexec_call.value is not KexecCall.LEGACY:
        raise NotApplicable(
            f"the capture kernel is loaded by {maybe_kexec_call.value.value}: the kernel itself knows where it begins"
        )
    symbols, code = maybe_kernel_symbols.value, maybe_address_map.value.code
    if code is None:
        raise CouldNotDetermine("/proc/iomem does not list the kernel's code, by which kexec goes")
    text, stext, end = (symbols.addresses.get(name, 0) for name in ("_text", "_stext", "__init_begin"))
    if symbols.asks and "_stext" in symbols.addresses and not stext:
        setting = maybe_sysctl_at_boot.value.get("kernel.kptr_restrict")
        if setting is None or setting.value != str(HIDDEN_FROM_ROOT):
            raise CouldNotDetermine(
                "kernel.kptr_restrict hides the symbols now, which is as good as listing all of them; whether it did when the "
                "capture kernel was loaded is not known, and nothing in sysctl.d has it do so at the next boot"
            )
    if text or not symbols.asks or end - stext != code.size:
        return KernelStart(code.start, code.start)
    _ = maybe_kexec_call.value  # it matters now
    return KernelStart((code.start - stext) % _WORD, code.start)
