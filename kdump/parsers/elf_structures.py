"""The structures of ELF files, as pyelftools has them.

Only the structures: its `ELFFile` reads a file in hundreds of small requests and believes what headers say, and a dump
may lie behind a network and be damaged. So bytes are read here, bounded, and made sense of there. Numbers that have a name in
the gABI come out as that name ("PT_LOAD", "EM_X86_64"), others as they are.
"""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def structures(wide: bool, order: str) -> Any:
    """`Elf_Ehdr`, `Elf_Phdr`, `Elf_Shdr` and `Elf_Nhdr`, each with `parse(bytes)`; ``order`` is "<" or ">"."""
    from elftools.elf.structs import ELFStructs  # takes a while to load, and most hosts have no dump

    made = ELFStructs(little_endian=order == "<", elfclass=64 if wide else 32)
    made.create_basic_structs()
    made.create_advanced_structs()
    return made
