"""What ``makedumpfile --mem-usage /proc/kcore`` prints."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..verdict import CouldNotDetermine

_ROW = re.compile(r"^(?P<type>[A-Z_]+)\s+(?P<pages>[0-9]+)\s+(?:yes|no)\s", re.MULTILINE)
_NUMBER = re.compile(r"^(?P<name>page size|MemFree|MemTotal):\s+(?P<number>[0-9]+)", re.MULTILINE)
# makedumpfile.c get_mem_section(), get_mm_sparsemem(): what is read in steps of a wrong size makes no sense. Where the
# array could not even be read, something else is wrong.
_WRONG_SECTIONS = re.compile(r"Can't get the address of mem_section|Could not validate mem_section")
_UNREAD = re.compile(r"Can't read mem_section|Can't get a struct mem_section|Can't allocate memory")
# makedumpfile.c show_mem_usage(): it looks for "Crash kernel" in /proc/iomem before anything else
_NOTHING_RESERVED = "No memory is reserved for crashkernel"
#: what the probe prints where a cheaper answer made the trial needless
NOT_NEEDED = "not needed"


@dataclass(frozen=True)
class MemoryUsage:
    """Pages by what makedumpfile takes them for; sizes in bytes. ``None``: the trial was not needed."""

    pages: dict[str, int] | None
    page_size: int
    mem_free: int
    #: the message that says that the memory map could not be walked
    complaint: str | None


def memory_usage(text: str) -> MemoryUsage:
    r"""The table, or why there is none.

    Raises :class:`ValueError` where neither is there: makedumpfile failed for a reason of its own;
    :class:`CouldNotDetermine` where it did not try.

    >>> memory_usage("MemFree: 4 kB\nFREE\t\t149814 \tyes\t\tFree pages\npage size:\t\t4096 ").pages
    {'FREE': 149814}
    """
    if text.strip() == NOT_NEEDED:
        return MemoryUsage(None, 0, 0, None)
    if _NOTHING_RESERVED in text:
        raise CouldNotDetermine("makedumpfile tries its walk only where memory is reserved for a capture kernel: ask again then")
    if (complaint := _WRONG_SECTIONS.search(text)) and not _UNREAD.search(text):
        line = next(line for line in text.splitlines() if complaint.group() in line)
        return MemoryUsage(None, 0, 0, line.strip())
    pages = {match["type"]: int(match["pages"]) for match in _ROW.finditer(text)}
    numbers = {match["name"]: int(match["number"]) for match in _NUMBER.finditer(text)}
    if "FREE" not in pages or "page size" not in numbers or "MemFree" not in numbers:
        last = text.strip().splitlines()[-1] if text.strip() else "nothing"
        raise ValueError(f"no table of pages; makedumpfile said: {last}")
    return MemoryUsage(pages, numbers["page size"], numbers["MemFree"] << 10, None)
