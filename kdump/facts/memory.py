"""Memory, processors and pages of the host."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..fact import fact
from ..parsers.iomem import AddressMap


def meminfo_bytes(text: str) -> Mapping[str, int]:
    """``NAME: N kB`` lines, in bytes.

    >>> meminfo_bytes("MemTotal:        1000 kB\\nHugePages_Total:       3")["MemTotal"]
    1024000
    """
    found = dict(re.findall(r"^(\S+):\s+(\d+) kB$", text, re.MULTILINE))
    if "MemTotal" not in found:
        raise ValueError("there is no MemTotal")
    return {name: int(number) << 10 for name, number in found.items()}


def cpu_list(text: str) -> int:
    """How many processors a list such as ``0-3,7`` names.

    >>> cpu_list("0-3,7")
    5
    """
    spans = [span.partition("-") for span in text.strip().split(",")]
    sizes = [int(last or first) - int(first) + 1 for first, _, last in spans]
    if min(sizes) < 1:
        raise ValueError(f"{text.strip()!r} is no list of processors")
    return sum(sizes)


def module_sizes(text: str) -> Mapping[str, int]:
    """The first columns of ``/proc/modules``: module → bytes it takes.

    >>> module_sizes("virtio_blk 32768")
    {'virtio_blk': 32768}
    """
    return {name: int(size) for name, size, *_ in map(str.split, text.splitlines())}


def page_bytes(text: str) -> int:
    """Bytes of a page.

    >>> page_bytes("65536")
    65536
    """
    size = int(text)
    if size not in (4096, 8192, 16384, 65536, 262144):
        raise ValueError(f"{size} bytes are no page")
    return size


meminfo = fact(
    "meminfo",
    "grep -E '^(Mem(Total|Free)|Cached|AnonPages|Percpu|Slab|KernelStack|PageTables|VmallocUsed):' /proc/meminfo",
    meminfo_bytes,
)
possible_cpus = fact("possible_cpus", "cat /sys/devices/system/cpu/possible", cpu_list)
page_size = fact("page_size", "getconf PAGESIZE", page_bytes)
loaded_modules = fact("loaded_modules", "cut -d ' ' -f 1,2 /proc/modules", module_sizes, absent={})
# To ordinary users the kernel shows the ranges with zeros for addresses.
address_map = fact(
    "address_map",
    "grep -E ' : (System RAM|Crash kernel|Kernel (code|rodata|data|bss))$' /proc/iomem",
    AddressMap.parse,
    statuses=(0, 1),
    root=True,
)
