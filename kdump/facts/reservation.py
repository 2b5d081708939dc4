"""The memory reserved for the capture kernel: what is there, what was asked for, and why there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..parsers import crashkernel
from ..parsers.bootloader import NextBoot
from ..parsers.crashkernel import Refusal, Request, human
from ..parsers.iomem import AddressMap, Range
from ..parsers.shell_settings import ShellSettings
from ..verdict import CouldNotDetermine, NotApplicable
from .identity import XEN
from .kexec import flag


def size(text: str) -> int:
    """Bytes.

    >>> size("268435456")
    268435456
    """
    if not text.strip().isdecimal():
        raise ValueError(f"{text!r} is no number of bytes")
    return int(text)


def log_lines(text: str) -> tuple[str, ...]:
    """The kernel's lines, without their time stamps.

    >>> log_lines("[    0.026311] crashkernel reservation failed - No suitable area found.")
    ('crashkernel reservation failed - No suitable area found.',)
    """
    return tuple(re.sub(r"^\[[^]]*\] *", "", line) for line in text.splitlines() if line.strip())


# Before 6.5 it counts the main range only, since then the one below 4 GiB as well (kernel/kexec_core.c,
# crash_get_memory_size(), 16c6006af4d4): its being zero says the same in both.
crash_size = fact(
    "crash_size",
    "crash_size",
    size,
    absent=NotApplicable("this kernel cannot reserve memory for a capture kernel (built without CONFIG_KEXEC_CORE)"),
)
kernel_arguments = fact("kernel_arguments", "cat /proc/cmdline", str.strip)
crashkernel_log = fact("crashkernel_log", "crashkernel_log", log_lines)
# POWER's firmware-assisted dump reserves memory of its own and needs no capture kernel in it.
fadump_enabled = fact("fadump_enabled", "first_of /sys/kernel/fadump/enabled /sys/kernel/fadump_enabled", flag, absent=False)


#: bytes of memory of a machine that nothing is known of
_ANY_RAM = tuple(1 << power for power in range(26, 47))


@dataclass(frozen=True)
class Reservation:
    """``size``: bytes reserved, 0 for none. ``why_none``: a sentence for that case."""

    size: int
    why_none: str = ""


@derived
def reservation(
    maybe_fadump_enabled: Maybe[bool],
    maybe_xen_dom0: Maybe[bool],
    crash_size: int,
    maybe_kernel_arguments: Maybe[str],
    maybe_address_map: Maybe[AddressMap],
    maybe_crashkernel_log: Maybe[tuple[str, ...]],
) -> Reservation:
    """What the kernel reserved, and where that is nothing, why."""
    if maybe_fadump_enabled.otherwise(False):
        raise NotApplicable("firmware-assisted dump is in use: it needs no capture kernel in reserved memory")
    if crash_size:
        return Reservation(crash_size)
    _ = maybe_fadump_enabled.value  # nothing is reserved, and nothing needs to be, or it is not known whether it does
    if maybe_xen_dom0.value:
        raise CouldNotDetermine(XEN)
    if not maybe_kernel_arguments.known:
        return Reservation(0, f"why is unknown ({maybe_kernel_arguments.reason})")
    ram = (maybe_address_map.value.ram,) if maybe_address_map.known else _ANY_RAM
    return Reservation(0, why_none(maybe_kernel_arguments.value, ram, maybe_crashkernel_log))


def why_none(arguments: str, ram: tuple[int, ...], log: Maybe[tuple[str, ...]]) -> str:
    """Why a kernel with this command line reserved nothing; its own log lines about it, where they can be read."""
    found = _outcomes(arguments, ram)
    refusals = [outcome for outcome in found if isinstance(outcome, Refusal)]
    requests = [outcome for outcome in found if isinstance(outcome, Request)]
    said = [line for line in log.otherwise(()) if _about_failure(line)]
    if refusals and (not requests or said == [refusals[0].logged]):
        refusal = refusals[0]
        where = f"{refusal.argument} reserves nothing: " if refusal.argument else ""
        silent = "" if said or refusal.logged or not refusal.argument else " (the kernel does not log this)"
        return f"{where}{refusal.reason}{silent}{_quoted(said)}"
    request = requests[0]
    asked = f"{request.argument} asks for {human(request.size)}"
    if any("reserved:" in line or "Reserving" in line for line in log.otherwise(())) and not said:
        return f"{asked}, the kernel reserved it at boot, and it was given back since (a write to kexec_crash_size)"
    if any("low memory" in line for line in said):
        return (
            f"{asked} above 4 GiB, and its low part could not be had below 4 GiB, so the kernel gave up both: "
            f"ask for less with crashkernel=72M,low{_quoted(said)}"
        )
    hint = "no area of that size is free" if request.base is None else "the memory at that address is in use"
    if request.high and log.known and not said:
        hint += ", or this kernel passes over ,high (aarch64 before 6.0)"
    unread = "" if log.known else f" (the kernel's log was not readable: {log.reason})"
    return f"{asked}, but {hint}{_quoted(said)}{unread}"


def _outcomes(arguments: str, ram: tuple[int, ...]) -> list[crashkernel.Outcome]:
    """What kernels make of it with any of these sizes of memory."""
    return list(dict.fromkeys(outcome for size in ram for outcome in crashkernel.outcomes(arguments, size)))


def _about_failure(line: str) -> bool:
    failure = "fail|cannot|ignoring|expected|invalid|unrecognized|zero bytes|end <= start"
    return "command line:" not in line.lower() and re.search(failure, line, re.IGNORECASE) is not None


def _quoted(lines: list[str]) -> str:
    return f"; the kernel says: {' / '.join(lines)}" if lines else ""


@derived
def reserved_range(reservation: Reservation, address_map: AddressMap) -> Range:
    """The main range: it must hold capture kernel and initramfs. The other, if any, serves devices below 4 GiB."""
    if not reservation.size:
        raise NotApplicable("nothing is reserved")
    if not address_map.crash:
        raise CouldNotDetermine(f"{human(reservation.size)} are reserved, but /proc/iomem lists no range for them")
    return max(address_map.crash, key=lambda found: found.size)


@derived
def requested_size(
    reservation: Reservation,
    kernel_arguments: str,
    address_map: AddressMap,
    maybe_kdump_sysconfig: Maybe[ShellSettings],
) -> int:
    """Bytes that this boot's command line asks for: the least that any kernel would make of it."""
    if not reservation.size:
        raise NotApplicable("nothing is reserved")
    if maybe_kdump_sysconfig.value.get("KDUMP_AUTO_RESIZE").lower() in ("true", "yes", "1"):
        raise NotApplicable("KDUMP_AUTO_RESIZE makes the reservation smaller on purpose")
    found = crashkernel.outcomes(kernel_arguments, address_map.ram)
    sizes = [outcome.size for outcome in found if isinstance(outcome, Request)]
    if not sizes:
        raise NotApplicable(
            f"the kernel reserved {human(reservation.size)} of its own accord: {kernel_arguments!r} has no "
            "crashkernel= that upstream kernels read"
        )
    return min(sizes)


@derived
def possible_ram(
    maybe_address_map: Maybe[AddressMap], maybe_meminfo: Maybe[Mapping[str, int]], maybe_crash_size: Maybe[int]
) -> tuple[int, ...]:
    """Bytes of memory that this machine may have, the least first: what root sees, or else what other users can tell."""
    if maybe_address_map.known:
        return (maybe_address_map.value.ram,)
    if not maybe_meminfo.known:
        return _ANY_RAM
    # MemTotal lacks what is reserved, the kernel itself, and the table of its pages (1/64 of the memory)
    least = maybe_meminfo.value["MemTotal"] + maybe_crash_size.otherwise(0)
    more = least // 8 + (256 << 20)
    return tuple(least + more * part // 16 for part in range(17))


@dataclass(frozen=True)
class NextReservation:
    """What the next boot asks for. ``problem``: why it reserves nothing, "" where it does. ``source``: where that stands."""

    source: str
    problem: str = ""


@derived
def next_reservation(
    maybe_fadump_enabled: Maybe[bool],
    maybe_xen_dom0: Maybe[bool],
    next_boot: NextBoot,
    kernel_arguments: str,
    crash_size: int,
    possible_ram: tuple[int, ...],
    maybe_kernel_machine: Maybe[str],
) -> NextReservation:
    """Whether every boot entry that may be started next asks for a reservation."""
    if maybe_fadump_enabled.otherwise(False):
        raise NotApplicable("firmware-assisted dump is in use: it needs no capture kernel in reserved memory")
    found = reservation_at(next_boot, kernel_arguments, crash_size, possible_ram, maybe_kernel_machine)
    if found.problem:
        _ = maybe_fadump_enabled.value
    return found


def reservation_at(boot: NextBoot, running: str, reserved: int, ram: tuple[int, ...], machine: Maybe[str]) -> NextReservation:
    """What a boot asks for, on a machine that may have these sizes of memory in bytes, and that now runs with that command
    line and reservation.

    Raises :class:`CouldNotDetermine` where its entries differ, or where kernels differ in what they make of one.
    """
    problems = [(entry, _next_problem(entry.arguments, running, reserved, ram, machine)) for entry in boot.entries]
    bad = [(entry, problem) for entry, problem in problems if problem]
    if not bad:
        return NextReservation(boot.entries[0].source)
    if len(bad) < len(problems):
        raise CouldNotDetermine(
            f"which entry boots next is unclear ({boot.doubt}), and {bad[0][0].source} reserves nothing: {bad[0][1]}"
        )
    return NextReservation(bad[0][0].source, bad[0][1])


def _next_problem(arguments: str, running: str, reserved: int, ram: tuple[int, ...], machine: Maybe[str]) -> str:
    if crashkernel.arguments(arguments) and crashkernel.arguments(arguments) == crashkernel.arguments(running):
        return "" if reserved else "it asks for the same as this boot, which reserved nothing"
    found = _outcomes(arguments, ram)
    requests = [outcome for outcome in found if isinstance(outcome, Request)]
    refusals = [outcome for outcome in found if isinstance(outcome, Refusal)]
    if not refusals:
        if all(request.high for request in requests) and not (reserved and _asks_high(running, ram)):
            _check_knows_high(requests[0].argument, machine)
        return ""
    refusal = refusals[0]
    problem = f"{refusal.argument}: {refusal.reason}" if refusal.argument else refusal.reason
    if requests:
        asked, why = requests[0], "kernels differ in how they read it"
        if len(ram) > 1:
            why = "how much memory this machine has is not known exactly (connect as root or use --sudo)"
        raise CouldNotDetermine(f"the next boot reserves nothing ({problem}) or {human(asked.size)} ({asked.argument}): {why}")
    if refusal.argument.startswith(f"{crashkernel.KEY}auto"):
        raise CouldNotDetermine(f"{refusal.argument} is read by some distributions' kernels only, and this boot did not use it")
    return problem


def _asks_high(arguments: str, ram: tuple[int, ...]) -> bool:
    return all(isinstance(outcome, Request) and outcome.high for outcome in _outcomes(arguments, ram))


def _check_knows_high(argument: str, machine: Maybe[str]) -> None:
    """Every x86-64 kernel with kdump's ``,high`` reads it; arm64's does since 6.0 (arch/arm64/mm/init.c, 944a45abfabc),
    others' later or never. A parser without it passes it over in silence, and nothing in a kernel's configuration tells."""
    if machine.value != "x86_64":
        raise CouldNotDetermine(
            f"whether the kernel that boots next reads {argument}: kernels of {machine.value} before 6.0, and those of some "
            "architectures at all, pass over ,high and reserve nothing"
        )
