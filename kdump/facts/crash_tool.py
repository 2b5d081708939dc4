"""The crash utility, where a host has it."""

from __future__ import annotations

import re

from ..fact import Maybe, derived, fact
from ..verdict import NotApplicable

#: crash-utility/crash@cd89540 (8.0.1): the banner is read through BFD, /usr/bin/strings is a fallback
READS_BANNER_ITSELF = (8, 0, 1)
#: crash-utility/crash@abcb45e (after 9.0.2): before, it fell back to it for a vmlinux with a
#: .debug file of its own (SUSE's), whose .rodata it read as zeros
READS_SPLIT_VMLINUX = (9, 0, 3)


def crash_version(text: str) -> tuple[int, ...]:
    """``crash --version``.

    >>> crash_version("\\ncrash 8.0.2++\\nCopyright")
    (8, 0, 2)
    """
    match = re.search(r"^crash (\d+(?:\.\d+)*)", text, re.MULTILINE)
    if match is None:
        raise ValueError("no line reads 'crash VERSION'")
    return tuple(map(int, match[1].split(".")))


def complaint(text: str) -> str:
    """``works``, or why not; "" for the former.

    >>> complaint("it is missing")
    'it is missing'
    """
    if not text.strip():
        raise ValueError("nothing was said")
    return "" if text.strip() == "works" else text.strip()


_NO_CRASH = NotApplicable("crash is not installed on this host: dumps are analysed elsewhere")
installed_crash = fact("installed_crash", "limit 8 crash --version", crash_version, tool_missing=_NO_CRASH, slow=True)
crash_program = fact("crash_program", "command -v crash || echo none", str.strip)
# crash calls it by this path (kernel.c, filesys.c, makedumpfile.c): a copy elsewhere does not help.
split_vmlinux = fact(
    "split_vmlinux",
    "for f in /usr/lib/debug/boot/vmlinux-*.debug /usr/lib/debug/usr/lib/modules/*/vmlinux.debug "
    "/usr/lib/debug/lib/modules/*/vmlinux.debug; do [ ! -e $f ] || echo $f; done",
    lambda text: frozenset(text.split()),
)
strings_complaint = fact("strings_complaint", "strings_trial", complaint)


@derived
def crash_needs_strings(crash_program: str, installed_crash: tuple[int, ...], maybe_split_vmlinux: Maybe[frozenset[str]]) -> bool:
    """Whether this crash cannot open a dump without /usr/bin/strings: an older one none, a newer one none whose vmlinux
    keeps its debugging information in a file of its own."""
    if crash_program == "none":
        raise _NO_CRASH
    if installed_crash < READS_BANNER_ITSELF:
        return True
    return installed_crash < READS_SPLIT_VMLINUX and bool(maybe_split_vmlinux.value)
