"""How the dump will be written: by which program, how much of the memory, how long that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..flavour import KDUMP_TOOLS, KDUMPCTL, Flavour
from ..parsers import dump_saver as options
from ..parsers.dump_saver import DumpSaver, saver
from ..parsers.dump_target import DumpTarget
from ..parsers.dump_target import options as kdump_conf_options
from ..parsers.shell_settings import ShellSettings
from ..verdict import CouldNotDetermine, NotApplicable
from .kernel import CommandLine

#: seconds from the panic until the dump starts, and from its end until the reset; without network
BOOT = 30
#: what the network takes to come up, and the other side to answer (SUSE's KDUMP_NET_TIMEOUT; kdump-tools tries for longer)
NETWORK = 30
#: seconds per byte of memory that makedumpfile's scan of the page structures takes: a minute per TiB (its changelog)
SCAN = 60 / (1 << 40)
#: bytes of memory per second: what one core compresses (measured on a server processor: zlib 43, zstd 75, lzo 94 MB/s; snappy
#: as lzo), and what a disk takes that is not compressed. A slow disk is slower.
RATES = {"zlib": 40_000_000, "zstd": 70_000_000, "lzo": 90_000_000, "snappy": 90_000_000, "": 100_000_000}
#: likewise of the programs that kdump-tools may pipe the dump through (measured on one core of a busy server)
PIPES = {"gzip": 30_000_000, "bzip2": 8_000_000, "xz": 3_000_000, "lz4": 200_000_000}
#: what zlib makes of kernel memory, at its best (4.2 measured, with a margin)
BEST_COMPRESSION = 6
#: kdump.sh, kdump-config 1.8.1, sysconfig.kdump.in: what is run where nothing is configured
_KDUMPCTL_DEFAULT = "makedumpfile -l --message-level 7 -d 31"
_KDUMP_TOOLS_DEFAULT = "-F -c -d 31"
_SUSE_FORMATS = {"ELF": "-E", "compressed": "-c", "lzo": "-l", "snappy": "-p", "zstd": "-z"}

core_collector_lines = fact(
    "core_collector_lines",
    "grep -hE '^[[:space:]]*core_collector[[:space:]]' /etc/kdump.conf",
    str,
    statuses=(0, 1),
    absent="",
)


@derived
def dump_saver(
    flavour: Flavour,
    maybe_core_collector_lines: Maybe[str],
    maybe_kdump_sysconfig: Maybe[ShellSettings],
    maybe_kdump_tools_defaults: Maybe[ShellSettings],
    maybe_capture_cmdline: Maybe[CommandLine],
) -> DumpSaver:
    """What the capture kernel runs to save the dump, as its flavour's scripts put it together."""
    try:
        if flavour is KDUMPCTL:
            return saver(_last_core_collector(maybe_core_collector_lines.value) or _KDUMPCTL_DEFAULT)
        if flavour is KDUMP_TOOLS:
            defaults = maybe_kdump_tools_defaults.value
            given = defaults.get("MAKEDUMP_ARGS") or _KDUMP_TOOLS_DEFAULT
            return saver(f"makedumpfile {given}", defaults.get("KDUMP_COMPRESSION"))
        return _suse_saver(maybe_kdump_sysconfig.value, maybe_capture_cmdline)
    except ValueError as error:
        raise CouldNotDetermine(f"how the dump is saved is not to be read from the configuration: {error}") from error


def _last_core_collector(text: str) -> str:
    if not text.strip():
        return ""
    value = dict(kdump_conf_options(text)).get("core_collector", "")
    if not value:
        raise ValueError("core_collector stands in kdump.conf without a command: kdumpctl refuses that")
    return value


def _suse_saver(sysconfig: ShellSettings, cmdline: Maybe[CommandLine]) -> DumpSaver:
    if custom := sysconfig.get("KDUMP_TRANSFER"):
        return saver(custom)
    form = sysconfig.get("KDUMP_DUMPFORMAT") or "compressed"
    if form == "none":
        raise NotApplicable("KDUMP_DUMPFORMAT=none: no dump is saved")
    if form == "raw":
        return saver("cat /proc/vmcore")
    cpus = [int(value) for value in cmdline.value.values("nr_cpus") if value.isdigit()]
    threads = min(cpus[-1], int(sysconfig.get("KDUMP_CPUS") or 32)) if cpus and form != "ELF" else 1
    level = sysconfig.get("KDUMP_DUMPLEVEL") or "31"
    further = sysconfig.get("MAKEDUMPFILE_OPTIONS")
    return saver(f"makedumpfile {_SUSE_FORMATS.get(form, '-z')} --num-threads {max(threads, 1)} -d {level} {further}")


@dataclass(frozen=True)
class DumpTime:
    """Seconds from the panic to the end of the dump, with its parts in words."""

    seconds: float
    parts: str


@derived
def dumped_memory(dump_saver: DumpSaver, meminfo: Mapping[str, int]) -> int:
    """Bytes of memory that go into the dump if the machine panicked now: what the dump level does not leave out."""
    total = meminfo["MemTotal"]
    if not dump_saver.is_makedumpfile:
        return total
    if "Slab" not in meminfo:
        raise CouldNotDetermine("how much memory the kernel itself takes (Slab in /proc/meminfo) is not known")
    kernel = sum(meminfo.get(name, 0) for name in ("Slab", "KernelStack", "PageTables", "VmallocUsed", "Percpu"))
    kept = max(kernel, total // 50)
    more = {options.FREE: ("MemFree",), options.USER_DATA: ("AnonPages",), options.CACHE | options.PRIVATE_CACHE: ("Cached",)}
    for bits, names in more.items():
        if dump_saver.level & bits != bits:
            if lacking := [name for name in names if name not in meminfo]:
                raise CouldNotDetermine(f"the dump level {dump_saver.level} keeps {lacking[0]}, whose amount is not known")
            kept += sum(meminfo[name] for name in names)
    return min(kept, total)


@derived
def dump_time(
    dump_saver: DumpSaver,
    dumped_memory: int,
    meminfo: Mapping[str, int],
    maybe_possible_cpus: Maybe[int],
    maybe_dump_target: Maybe[DumpTarget],
) -> DumpTime:
    """A careful estimate from the configured dump level and compression, and from what the memory holds now."""
    total = meminfo["MemTotal"]
    threads = min(dump_saver.threads, maybe_possible_cpus.value) if dump_saver.threads > 1 else 1
    copy = dumped_memory / RATES[dump_saver.method] / threads
    if dump_saver.filtered_by:
        left = dumped_memory // (BEST_COMPRESSION if dump_saver.method else 1)
        copy += left / PIPES.get(dump_saver.filtered_by, RATES[""])
    scan = total * SCAN if dump_saver.is_makedumpfile else 0
    network = not maybe_dump_target.value.is_local
    boot = BOOT + NETWORK * network
    return DumpTime(
        boot + scan + copy,
        f"{boot} s to boot{' and reach the network' if network else ''}, {scan:.0f} s to scan {total >> 20} MiB, "
        f"{copy:.0f} s to save about {dumped_memory >> 20} MiB ({dump_saver})",
    )
