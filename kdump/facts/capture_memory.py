"""Whether the reservation is large enough for the capture kernel."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from .. import capture_memory as model
from ..capture_memory import CaptureMemory, Inputs
from ..fact import Maybe, derived, fact
from ..flavour import Flavour
from ..parsers import crashkernel
from ..parsers.bootloader import NextBoot
from ..parsers.capture_hazards import hazards
from ..parsers.crashkernel import Request, human
from ..parsers.dump_target import DumpTarget
from ..parsers.initramfs import Image, Initramfs
from ..parsers.iomem import AddressMap, Range
from ..parsers.sysctl import Setting
from ..verdict import CouldNotDetermine, NotApplicable, OnlyACrashTells
from .kernel import CommandLine
from .reservation import NextReservation, Reservation


def luks_bytes(text: str) -> int:
    """The most memory that opening one of these devices takes, in bytes (``cryptsetup luksDump``, KiB).

    >>> luks_bytes("/dev/vda3 Memory:     1048576")
    1073741824
    """
    if "unreadable" in text:
        return model.UNBOUNDED
    return max((int(number) << 10 for number in re.findall(r"Memory:\s*(\d+)", text)), default=0)


#: arch/x86/mm/mem_encrypt.c print_mem_encrypt_feature_info() (Linux 5.10, 6.12): kdump-utils adds 64 MiB by the same line
_ENCRYPTED = re.compile(r"Memory Encryption Features active:.*\b(SME|SEV)\b")

#: mm/kasan, mm/kmsan (Linux 4.0 to 6.17): "kasan: KernelAddressSanitizer initialized", "Starting KernelMemorySanitizer"
_SANITIZER = re.compile(r"Kernel(Address|Memory)Sanitizer")
#: Linux, drivers/virtio, drivers/misc/vmw_balloon.c, drivers/hv
_BALLOON = re.compile(r"(virtio|vmw|hv)_balloon$")
_FOR_DEBUGGING = re.compile(r"[+.-]debug$")

_4G = 1 << 32

luks_memory = fact("luks_memory", "luks_memory", luks_bytes, root=True)


@derived
def capture_inputs(
    reserved_range: Range,
    address_map: AddressMap,
    initramfs_image: Image,
    maybe_initramfs: Maybe[Initramfs],
    capture_cmdline: CommandLine,
    capture_release: str,
    kernel_release: str,
    flavour: Flavour,
    page_size: int,
    possible_cpus: int,
    meminfo: Mapping[str, int],
    loaded_modules: Mapping[str, int],
    luks_memory: int,
    maybe_dump_target: Maybe[DumpTarget],
    maybe_memory_sysctl_at_boot: Maybe[Mapping[str, Setting]],
    maybe_crashkernel_log: Maybe[tuple[str, ...]],
    maybe_kernel_machine: Maybe[str],
    maybe_built_in_modules: Maybe[frozenset[str]],
) -> Inputs:
    """Everything that the need for memory is computed from."""
    listing = maybe_initramfs.value if maybe_initramfs.known else None
    inside = _modules(listing)
    log = maybe_crashkernel_log.value if maybe_crashkernel_log.known else ()
    arm = maybe_kernel_machine.otherwise("aarch64") == "aarch64"
    opens = listing is None or inside is None or "dm_crypt" in inside or listing.has_program("cryptsetup")
    return Inputs(
        reserved=reserved_range.size,
        ram=address_map.ram,
        kernel_image=address_map.kernel_image,
        same_kernel=capture_release == kernel_release,
        page=page_size,
        image=initramfs_image.size,
        unpacked=listing.unpacked_pages if listing else None,
        capture_cpus=_cpus(capture_cmdline, possible_cpus),
        percpu=meminfo["Percpu"] // possible_cpus if "Percpu" in meminfo else None,
        modules=loaded_modules,
        in_image=inside,
        boots_real_root=flavour.boots_real_root,
        luks=luks_memory if opens else 0,
        network=not (maybe_dump_target.known and maybe_dump_target.value.is_local),
        swiotlb=_swiotlb(capture_cmdline),
        encrypted=capture_cmdline.values("mem_encrypt")[-1:] == ["on"]
        or not _is_whole(log)  # nobody can say that it is not
        or any(map(_ENCRYPTED.search, log)),
        min_free=_min_free(maybe_memory_sysctl_at_boot.value) if flavour.boots_real_root else 0,
        above_4g=reserved_range.start >= _4G
        and not any(line.start < _4G for line in address_map.crash)
        and address_map.reaches_below(_4G),
        open_ended=_open_ended(
            capture_release,
            kernel_release,
            log,
            _lacking(address_map, meminfo, page_size, 17 if arm else 9),
            _balloon(
                loaded_modules, loaded_modules if flavour.boots_real_root or inside is None else inside, maybe_built_in_modules
            ),
        ),
    )


def _open_ended(capture: str, running: str, log: Collection[str], lacking: str, balloon: str | None) -> str:
    """Why the capture kernel may need far more memory than another, "" where nothing speaks for it.

    Fedora and RHEL call kernels for debugging so, and build them with KASAN (kernel.spec).
    """
    if _FOR_DEBUGGING.search(capture):
        return f"{capture} is a kernel for debugging, which takes far more memory (KASAN)"
    if sanitizer := next(filter(_SANITIZER.search, log), ""):
        return f"the kernel is one for debugging, by its log: {sanitizer}" if capture == running else ""
    if not lacking or (capture != running and _FOR_DEBUGGING.search(running)):
        return ""
    if not _is_whole(log):
        return f"{lacking}, as it may where a kernel for debugging (KASAN) or a balloon takes it"
    if balloon is None:
        return f"{lacking}, and what takes that is not known"
    return f"{lacking}: a balloon may have it, and {balloon}" if balloon else ""


def _is_whole(log: Collection[str]) -> bool:
    """Whether the log still has its beginning."""
    return any(line.startswith("Linux version") for line in log)


def _lacking(addresses: AddressMap, meminfo: Mapping[str, int], page: int, part: int) -> str:
    """A clause where MemTotal lacks more than that part of memory; "" where not.

    KASAN sets an eighth of memory aside as it starts (torvalds/linux@4e4d9c72, Documentation/dev-tools/kasan.rst: "1/8th of
    kernel memory"), on arm64 a sixteenth where it goes by tags (lib/Kconfig.kasan, KASAN_SW_TAGS), which MemTotal then lacks; its
    quarantine and redzones come on top. That a lack of a little less (a ninth, a seventeenth) is enough is reasoned, so that it
    can only make a verdict open. What a balloon holds, MemTotal lacks as well (adjust_managed_page_count()).
    """
    crash = sum(line.size for line in addresses.crash)
    kept = addresses.ram - crash - (addresses.kernel_image or 0) - addresses.ram * 64 // page - meminfo["MemTotal"]
    return f"MemTotal lacks {kept * 100 // addresses.ram} % of memory" if kept > addresses.ram // part else ""


def _balloon(loaded: Collection[str], in_capture: Collection[str], maybe_built_in: Maybe[frozenset[str]]) -> str | None:
    """Why the capture kernel may inflate a balloon; "" where it has not the driver of the one that is here, None where none is
    seen here (Xen's is no module).

    The driver inflates it as it starts, up to what the virtual machine's host asks for (Linux, drivers/virtio/virtio_balloon.c,
    virtballoon_probe(), towards_target()), in a capture kernel too.
    """
    if not maybe_built_in.known:
        return "whether the capture kernel has its driver built in is not known"
    here = [name for name in loaded if _BALLOON.match(name)]
    if found := [name for name in here if name in in_capture] + sorted(filter(_BALLOON.match, maybe_built_in.value)):
        return f"the capture kernel inflates it as well ({found[0]})"
    return "" if here else None


def _modules(listing: Initramfs | None) -> frozenset[str] | None:
    try:
        return listing.modules if listing else None
    except CouldNotDetermine:
        return None


def _swiotlb(cmdline: CommandLine) -> int:
    """Bytes that ``swiotlb=NUMBER[,AREAS|force|noforce]`` sets aside, in slabs of 2 KiB (kernel/dma/swiotlb.c).

    >>> _swiotlb(CommandLine.parse("ro swiotlb=32768,force"))
    67108864
    """
    given = [value.partition(",")[0] for value in cmdline.values("swiotlb")]
    return int(given[-1]) << 11 if given and given[-1].isdecimal() else 0


def _min_free(at_boot: Mapping[str, Setting]) -> int:
    """Bytes that systemd-sysctl(8) of the system that is booted for the dump keeps free; 0 where the kernel decides."""
    setting = at_boot.get("vm.min_free_kbytes")
    return int(setting.value) << 10 if setting is not None else 0


def _cpus(cmdline: CommandLine, possible: int) -> int:
    """``nr_cpus=`` bounds what memory is set aside for; ``maxcpus=`` only what is started."""
    given = [int(value) for value in cmdline.values("nr_cpus") if value.isdigit() and int(value)]
    return min(given[-1], possible) if given else possible


@derived
def capture_memory(capture_inputs: Inputs) -> CaptureMemory:
    """What the capture kernel needs, against what is reserved.

    Raises :class:`CouldNotDetermine` between the least and the safe amount.
    """
    return decided(model.needed(capture_inputs), of_now=True)


def decided(found: CaptureMemory, *, of_now: bool = False) -> CaptureMemory:
    """The same, unless the reservation lies between the least and the safe amount.

    Raises :class:`CouldNotDetermine` there; :class:`OnlyACrashTells` of the reservation of this boot (*of_now*), where no
    part was merely not seen.
    """
    if found.least <= found.reserved < found.safe:
        what = f": {found.unknown}" if found.unknown else ""
        safe = f"{human(found.safe)} are sure to do" if found.safe < model.UNBOUNDED else "how much it may need is open"
        kind = OnlyACrashTells if of_now and not found.unknown else CouldNotDetermine
        raise kind(
            f"{human(found.reserved)} are reserved; the capture kernel dies below {human(found.least)}, and {safe}"
            f"{what}: only a test crash tells, or reserve more ({found.breakdown})"
        )
    return found


def reserved_at(boot: NextBoot, running: str, now: Inputs) -> tuple[int, ...]:
    """What kernels may make of the entries of a boot, in bytes; ``running``: the command line that made the reservation of now.

    Raises :class:`CouldNotDetermine` where that is unknown.
    """
    sizes = []
    for entry in boot.entries:
        if crashkernel.arguments(entry.arguments) == crashkernel.arguments(running):
            sizes.append(now.reserved)
        else:
            found = crashkernel.outcomes(entry.arguments, now.ram)
            sizes += [outcome.size for outcome in found if isinstance(outcome, Request)]
    if not sizes:
        raise CouldNotDetermine(f"how much {boot.entries[0].source} reserves of {human(now.ram)} is unknown")
    return tuple(sizes)


@derived
def next_capture_memory(
    next_reservation: NextReservation,
    next_boot: NextBoot,
    kernel_arguments: str,
    kernel_release: str,
    maybe_capture_inputs: Maybe[Inputs],
) -> CaptureMemory:
    """What the capture kernel needs, against what the next boot will reserve.

    Raises :class:`CouldNotDetermine` between the least and the safe amount.
    """
    if next_reservation.problem:
        raise NotApplicable(f"the next boot will reserve nothing: {next_reservation.problem}")
    if all(crashkernel.arguments(entry.arguments) == crashkernel.arguments(kernel_arguments) for entry in next_boot.entries):
        raise NotApplicable("the next boot asks for the same reservation as this one")
    now = maybe_capture_inputs.value
    same = now.same_kernel and all(entry.starts(kernel_release) for entry in next_boot.entries)
    sizes = reserved_at(next_boot, kernel_arguments, now)
    small, large = (model.needed(replace(now, reserved=size, same_kernel=same)) for size in (min(sizes), max(sizes)))
    return large if large.reserved < large.least else decided(replace(small, least=min(small.least, small.reserved)))


@derived
def capture_root(maybe_capture_inputs: Maybe[Inputs], capture_cmdline: CommandLine) -> tuple[int, int, int]:
    """Bytes to be unpacked, and the least and most that the file system for it may hold."""
    if capture_cmdline.values("root"):
        raise NotApplicable("root= is on the capture kernel's command line: its initramfs is unpacked without a limit")
    inputs = maybe_capture_inputs.value
    if inputs.unpacked is None:
        raise CouldNotDetermine("the initramfs could not be listed, so its unpacked size is unknown")
    # without root= the kernel unpacks into a tmpfs of half its memory (init/do_mounts.c, init_rootfs()); a newer one
    # can be told another share, an older one ignores that
    told = [int(match[1]) for value in capture_cmdline.values("initramfs_options") if (match := re.search(r"size=(\d+)%", value))]
    least, most = model.file_system_limit(inputs, (min([50, *told]), max([50, *told])))
    if least < inputs.unpacked <= most:
        raise OnlyACrashTells(
            f"the initramfs unpacks to {human(inputs.unpacked)}, and between {human(least)} and {human(most)} have "
            "room for it: only a test crash tells"
        )
    return inputs.unpacked, least, most


@derived
def capture_hazards(
    reservation: Reservation,
    capture_cmdline: CommandLine,
    maybe_kernel_machine: Maybe[str],
    maybe_reserved_range: Maybe[Range],
) -> tuple[str, ...]:
    """What on the capture kernel's command line takes its memory away."""
    if not reservation.size:
        raise NotApplicable("nothing is reserved")
    found = hazards(capture_cmdline, reservation.size)
    if found or not capture_cmdline.values("mem") or maybe_kernel_machine.value != "x86_64":
        return found
    main = maybe_reserved_range.value
    return hazards(capture_cmdline, main.size, main.start)
