"""Words on the capture kernel's command line that take away the little memory that it has."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts.kernel import CommandLine
from .crashkernel import human, memparse

#: share of the reservation (one part of so many) from which on a demand is a hazard
TOO_MUCH = 10

_SLOW_AND_LARGE = {
    "slub_debug": "every slab object gets larger",
    "slab_debug": "every slab object gets larger",
    "page_owner": "every page gets a record",
    "debug_pagealloc": "every page is guarded",
}


def hazards(words: CommandLine, reserved: int, first: int = 0) -> tuple[str, ...]:
    """One clause for each; documented in the kernel's admin-guide/kernel-parameters.

    ``reserved`` in bytes; ``first``: the address at which the reservation begins where ``mem=`` is an address (x86,
    arch/x86/kernel/e820.c, parse_memopt()), 0 where it is an amount of what the capture kernel has (arm64,
    mm/memblock.c, memblock_mem_limit_remove_map()).

    >>> hazards(CommandLine.parse("ro hugepages=64 nr_cpus=1"), 256 << 20)
    ('hugepages=64 takes 128 MiB of 256 MiB',)
    """
    return tuple(_hazards(words, reserved, first))


def _hazards(words: CommandLine, reserved: int, first: int) -> Iterator[str]:
    page = 2 << 20
    for word in words:
        name, _, value = word.partition("=")
        size = memparse(value, 0)[0]
        match name.replace("-", "_"):
            case "hugepagesz" | "default_hugepagesz" if size:
                page = size
            case "hugepages":
                # per node: hugepages=0:2,1:2
                count = sum(memparse(part.rpartition(":")[2], 0)[0] for part in value.split(","))
                if count * page * TOO_MUCH > reserved:
                    yield f"{word} takes {human(min(count * page, reserved))} of {human(reserved)}"
            case "hugetlb_cma" | "cma" | "log_buf_len" | "crashkernel" if size * TOO_MUCH > reserved:
                yield f"{word} takes {human(size)} of {human(reserved)}"
            case "mem" if size and (first + reserved - size) * TOO_MUCH > reserved:
                yield f"{word} leaves {human(max(size - first, 0))} of {human(reserved)}"
            case "slub_debug" | "slab_debug" | "page_owner" | "debug_pagealloc" as name:
                if value not in ("off", "0", "-"):
                    yield f"{word}: {_SLOW_AND_LARGE[name]}"
