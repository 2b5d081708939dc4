"""``/proc/iomem``: the physical address map, as far as the suite reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"( *)([0-9a-f]+)-([0-9a-f]+) : (.*\S)")
_CRASH = "Crash kernel"
_RAM = "System RAM"


@dataclass(frozen=True)
class Range:
    """``start`` and ``end`` are the first and the last address, as the kernel prints them."""

    start: int
    end: int
    name: str
    depth: int

    @property
    def size(self) -> int:
        return self.end - self.start + 1


@dataclass(frozen=True)
class AddressMap:
    """The ranges of memory, of the reservation and of the kernel's own image, in the order of their addresses."""

    ranges: tuple[Range, ...]

    @classmethod
    def parse(cls, text: str) -> AddressMap:
        """Read the lines.

        >>> AddressMap.parse("00100000-3ffdffff : System RAM\\n  2c000000-3bffffff : Crash kernel").crash[0].size
        268435456

        Raises :class:`ValueError` when the kernel hid the addresses (it shows zeros to who lacks CAP_SYS_ADMIN:
        kernel/resource.c, r_show()), or when there is no memory.
        """
        found = tuple(
            Range(int(match[2], 16), int(match[3], 16), match[4], len(match[1]) // 2)
            for match in map(_LINE.fullmatch, text.splitlines())
            if match
        )
        if found and all(line.end == 0 for line in found):
            raise ValueError("the kernel shows no addresses to this user: connect as root or use --sudo")
        if not any(line.name == _RAM for line in found):
            raise ValueError("no range is called System RAM")
        return cls(found)

    @property
    def ram(self) -> int:
        """Bytes of memory that the kernel got from the firmware."""
        return sum(line.size for line in self.ranges if line.name == _RAM and line.depth == 0)

    def reaches_below(self, address: int) -> bool:
        """Whether there is memory below that address, but for the first MiB, which is the firmware's."""
        return any(line.name == _RAM and line.end >= 1 << 20 and line.start < address for line in self.ranges)

    @property
    def crash(self) -> tuple[Range, ...]:
        """The reservation: one range, or one below and one above 4 GiB."""
        return tuple(line for line in self.ranges if line.name == _CRASH)

    @property
    def code(self) -> Range | None:
        """The running kernel's code; None where it is not listed."""
        return next((line for line in self.ranges if line.name == "Kernel code"), None)

    @property
    def kernel_image(self) -> int | None:
        """Bytes of the running kernel's code, read-only data, data and bss; None where they are not listed."""
        parts = [line.size for line in self.ranges if re.fullmatch(r"Kernel (code|rodata|data|bss)", line.name)]
        return sum(parts) if parts else None
