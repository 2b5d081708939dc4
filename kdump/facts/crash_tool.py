"""The crash utility, where a host has it."""

from __future__ import annotations

import re

from ..fact import derived, fact
from ..verdict import NotApplicable

#: crash-utility/crash@cd89540 (8.0.1): the banner is read through BFD, /usr/bin/strings is a fallback
READS_BANNER_ITSELF = (8, 0, 1)


def crash_version(text: str) -> tuple[int, ...]:
    """``crash --version``.

    >>> crash_version("\\ncrash 8.0.2++\\nCopyright")
    (8, 0, 2)
    """
    match = re.search(r"^crash (\d+(?:\.\d+)*)", text, re.MULTILINE)
    if match is None:
        raise ValueError("no line reads 'crash VERSION'")
    return tuple(map(int, match[1].split(".")))


def executable(text: str) -> bool:
    """``yes`` or ``no``."""
    return {"yes": True, "no": False}[text.strip()]


_NO_CRASH = NotApplicable("crash is not installed on this host: dumps are analysed elsewhere")
installed_crash = fact("installed_crash", "limit 8 crash --version", crash_version, tool_missing=_NO_CRASH, slow=True)
crash_program = fact("crash_program", "command -v crash || echo none", str.strip)
# crash calls it by this path (kernel.c, filesys.c, makedumpfile.c): a copy elsewhere does not help.
strings_program = fact("strings_program", "if [ -x /usr/bin/strings ]; then echo yes; else echo no; fi", executable)


@derived
def crash_needs_strings(crash_program: str, installed_crash: tuple[int, ...]) -> bool:
    """Whether this crash cannot open any dump without /usr/bin/strings."""
    if crash_program == "none":
        raise _NO_CRASH
    return installed_crash < READS_BANNER_ITSELF
