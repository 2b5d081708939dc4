"""How much memory the capture kernel needs: what is known of it, as a least and as a safe amount.

Between the two nobody can tell without crashing the machine once. Amounts are bytes. The parts that no file tells are
figures of real crashes (Debian 12, linux 6.1.0-56, kdump initramfs of 7.4 MiB that unpacks to 19.3 MiB, one CPU, dumps
with 112 MiB and more, dies unpacking with 104 MiB; Debian 13, linux 6.12, dies with 96 MiB), the safe side with a
reserve, and the additions that kdump-utils makes for hardware (rhkdump/kdump-utils@63f248c, kdump-lib.sh,
kdump_get_arch_recommend_crashkernel()).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .parsers.crashkernel import human

MiB = 1 << 20
UNBOUNDED = 1 << 62

#: taken before the kernel first counts its memory: page tables, early reservations (measured: 15)
_EARLY = (13 * MiB, 16 * MiB)
#: what the kernel's own start allocates until the initramfs is unpacked (measured: 21.7)
_START = (14 * MiB, 26 * MiB)
#: __init parts, which /proc/iomem does not list, and gaps
_INIT = 5 * MiB
#: systemd or sh, udev, makedumpfile's buffers; a whole system's services where its own root is booted
_USERSPACE = 20 * MiB
_REAL_ROOT = 10 * MiB
#: the buffers of a network card, and what speaks over it
_NETWORK = 30 * MiB
#: kdump-utils adds it where AMD's memory encryption is active (is_sme_or_sev_active()): more goes through bounce buffers
_ENCRYPTION = 64 * MiB
#: kdump-utils adds it on aarch64 with 64 KiB pages where there is an SMMU (has_aarch64_smmu())
_SMMU = 384 * MiB
_MAKEDUMPFILE = 10 * MiB
_NOTHING_LOW = (
    "all of it lies above 4 GiB, and whether a device of the dump's way needs memory below (crashkernel=72M,low) is unknown"
)
#: drivers that allocate by the hardware's size: 4 KiB pages, 64 KiB pages
_DRIVERS = {
    "mlx5_core": (150 * MiB, 200 * MiB),
    "lpfc": (64 * MiB, 64 * MiB),
    "qla2xxx": (64 * MiB, 64 * MiB),
    "hiraid": (64 * MiB, 64 * MiB),
    "hns3": (64 * MiB, 64 * MiB),
}


@dataclass(frozen=True)
class Part:
    """One consumer: the least that it takes, and an amount that it does not exceed. ``unknown``: why that is wide."""

    name: str
    least: int
    safe: int
    unknown: str = ""


@dataclass(frozen=True)
class CaptureMemory:
    """What is reserved, and what is needed. ``least``: with less it dies. ``safe``: with this much it does not."""

    reserved: int
    parts: tuple[Part, ...]
    least: int
    safe: int

    @property
    def recommended(self) -> int:
        """A size to ask for: what is known of the safe one and a quarter, in steps of 64 MiB."""
        known = max(self.least, sum(part.safe for part in self.parts if part.safe < UNBOUNDED))
        return -(-(known * 5 // 4) // (64 * MiB)) * 64 * MiB

    @property
    def remedy(self) -> str:
        """What to reserve, and of what that is made."""
        open_ended = [part.unknown for part in self.parts if part.safe >= UNBOUNDED]
        least = "at least " if open_ended else ""
        return f"reserve {least}{self.recommended >> 20} MiB ({'; '.join([self.breakdown, *open_ended])})"

    @property
    def breakdown(self) -> str:
        """The parts, the safe amount of each: ``kernel 47 MiB, initramfs unpacked 19 MiB, …``."""
        return ", ".join(f"{part.name} {human(part.safe)}" for part in self.parts if MiB <= part.safe < UNBOUNDED)

    @property
    def unknown(self) -> str:
        return "; ".join(part.unknown for part in self.parts if part.unknown)


@dataclass(frozen=True)
class Inputs:
    """What the parts are computed from; None where the host did not tell. ``open_ended``: why the capture kernel may need any
    amount, "" where nothing speaks for it. ``above_4g``: nothing is reserved below 4 GiB, where this machine has memory."""

    reserved: int
    ram: int
    kernel_image: int | None
    same_kernel: bool
    page: int
    image: int
    unpacked: int | None
    capture_cpus: int
    percpu: int | None
    modules: Mapping[str, int]
    in_image: Collection[str] | None
    boots_real_root: bool
    luks: int
    network: bool = False
    swiotlb: int = 0
    encrypted: bool = False
    min_free: int = 0
    open_ended: str = ""
    above_4g: bool = False


def needed(host: Inputs) -> CaptureMemory:
    """The parts' sums at the two moments that need most: while the initramfs is unpacked, and while the dump is saved.

    While it is unpacked the packed image is still there; afterwards it is not, but programs run.
    """
    kernel = _kernel(host)
    packed = Part("initramfs packed", host.image, host.image)
    unpacked = (
        Part("initramfs unpacked", host.unpacked, host.unpacked)
        if host.unpacked is not None
        else Part("initramfs unpacked", host.image, 6 * host.image, "the initramfs could not be listed")
    )
    structures = host.reserved * 64 // host.page
    pages = Part("page structures", structures, structures)
    cpus = Part("processors", host.capture_cpus * MiB // 4, host.capture_cpus * ((host.percpu or MiB) + 3 * MiB // 10))
    large = 100 * MiB if host.page > 4096 * 4 else 0
    start = Part("the kernel's start", _EARLY[0] + _START[0], _EARLY[1] + _START[1] + large)
    base = (kernel, unpacked, pages, cpus, start)
    unpacking = (*base, packed)
    # what nobody but the kernel itself may take (mm/page_alloc.c, the minimum watermark); what was unpacked is gone by then
    withheld = [Part("vm.min_free_kbytes", host.min_free, host.min_free)] if host.min_free else []
    saving = (*base, _modules(host), *_drivers(host), _programs(host), *_luks(host), *_bounce_buffers(host), *withheld)
    saving += (Part("what has no bound", 0, UNBOUNDED, host.open_ended),) if host.open_ended else ()
    least = max(sum(part.least for part in parts) for parts in (unpacking, (kernel, pages, cpus, start, *withheld)))
    peak = max(unpacking, saving, key=lambda parts: sum(part.safe for part in parts))
    return CaptureMemory(host.reserved, peak, least, sum(part.safe for part in peak))


def _kernel(host: Inputs) -> Part:
    if host.kernel_image is None:
        return Part("kernel", 20 * MiB, 100 * MiB, "the size of the kernel's image is unknown")
    image = host.kernel_image + _INIT
    if host.same_kernel:
        return Part("kernel", image, image)
    return Part("kernel", image * 2 // 3, image * 3 // 2, "the capture kernel is another one than the running kernel")


def _modules(host: Inputs) -> Part:
    loaded = [
        size for name, size in host.modules.items() if host.in_image is None or host.boots_real_root or name in host.in_image
    ]
    return Part("modules", 0, sum(loaded) * 13 // 10)


def _drivers(host: Inputs) -> list[Part]:
    large = host.page > 4096 * 4
    return [
        Part(f"driver {name}", 0, _DRIVERS[name][large])
        for name in sorted(_DRIVERS.keys() & host.modules.keys())
        if host.in_image is None or host.boots_real_root or name in host.in_image
    ]


def _programs(host: Inputs) -> Part:
    # makedumpfile keeps two bitmaps of one bit a page each, and goes over memory in parts where they do not fit
    bitmaps = min(host.ram // host.page // 4, 32 * MiB)
    more = _REAL_ROOT * host.boots_real_root + _NETWORK * host.network
    return Part("programs", 0, _USERSPACE + _MAKEDUMPFILE + bitmaps + more)


def _bounce_buffers(host: Inputs) -> list[Part]:
    # they may lie in the small range below 4 GiB instead, if there is one
    asked = [Part("swiotlb=", 0, host.swiotlb)] if host.swiotlb else []
    # kernel/dma/swiotlb.c wants them below 4 GiB; without them a device that reaches no further does not work
    asked += [Part("memory below 4 GiB", 0, UNBOUNDED, _NOTHING_LOW)] if host.above_4g else []
    asked += [Part("memory encryption, unless there is none", 0, _ENCRYPTION)] if host.encrypted else []
    return asked + ([Part("SMMU", 0, _SMMU, "whether an SMMU takes memory was not looked at")] if host.page == 64 << 10 else [])


def _luks(host: Inputs) -> list[Part]:
    if host.luks >= UNBOUNDED:
        return [Part("LUKS", 0, UNBOUNDED, "how much memory the LUKS key derivation takes could not be read")]
    return [Part("LUKS", 0, host.luks + 50 * MiB)] if host.luks else []


def file_system_limit(host: Inputs, share: tuple[int, int]) -> tuple[int, int]:
    """Bytes that may be unpacked into a tmpfs of these percentages (least, most) of the capture kernel's memory."""
    kernel = _kernel(host)
    pages = host.reserved * 64 // host.page
    most = host.reserved - kernel.least - host.image - pages - _EARLY[0]
    least = host.reserved - kernel.safe - host.image - pages - _EARLY[1]
    return least * share[0] // 100, most * share[1] // 100
