"""The crash utility, where a host has it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..fact import Maybe, derived, fact
from ..verdict import CouldNotDetermine, NotApplicable
from .vmlinux import Candidate

#: crash-utility/crash@cd89540 (8.0.1): the banner is read through BFD, /usr/bin/strings is a fallback
READS_BANNER_ITSELF = (8, 0, 1)
#: crash-utility/crash@abcb45e (after 9.0.2): before, it fell back to it for a vmlinux with a
#: .debug file of its own (SUSE's), whose .rodata it read as zeros
READS_SPLIT_VMLINUX = (9, 0, 3)


@dataclass(frozen=True)
class CrashRelease:
    """``version``: that of the source; ``build``: the release of the package, "" where crash does not tell one."""

    version: tuple[int, ...]
    build: str = ""


def crash_release(text: str) -> CrashRelease:
    """``crash --version``. RPM packages print their own VERSION-RELEASE (crash-utility/crash@abcb45e, configure.c: RPMPKG).

    >>> crash_release("\\ncrash 7.3.2-4.el8_6\\nCopyright")
    CrashRelease(version=(7, 3, 2), build='4.el8_6')
    """
    match = re.search(r"^crash (\d+(?:\.\d+)*)\+*(?:-(\S+))?", text, re.MULTILINE)
    if match is None:
        raise ValueError("no line reads 'crash VERSION'")
    return CrashRelease(tuple(map(int, match[1].split("."))), match[2] or "")


def complaint(text: str) -> str:
    """``works``, or why not; "" for the former.

    >>> complaint("it is missing")
    'it is missing'
    """
    if not text.strip():
        raise ValueError("nothing was said")
    return "" if text.strip() == "works" else text.strip()


_NO_CRASH = NotApplicable("crash is not installed on this host: dumps are analysed elsewhere")
installed_crash = fact("installed_crash", "limit 8 crash --version", crash_release, tool_missing=_NO_CRASH, slow=True)
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
def missed_strings(
    crash_program: str,
    installed_crash: CrashRelease,
    maybe_strings_complaint: Maybe[str],
    maybe_split_vmlinux: Maybe[frozenset[str]],
    maybe_vmlinux_candidates: Maybe[tuple[Candidate, ...]],
) -> str:
    """Why this crash cannot open a dump for want of /usr/bin/strings; "" where it can.

    An older one cannot open any, a newer one none whose vmlinux keeps its debugging information in a file of its own. A package
    with a release of its own may be older by its number and have the newer way of reading, which cannot be told from outside.
    """
    if crash_program == "none":
        raise _NO_CRASH
    complaint_of_strings = maybe_strings_complaint.value
    if not complaint_of_strings or installed_crash.version >= READS_SPLIT_VMLINUX:
        return ""
    if installed_crash.version >= READS_BANNER_ITSELF:
        if maybe_split_vmlinux.value:
            return complaint_of_strings
        for one in maybe_vmlinux_candidates.value:
            if one.image is None and one.path.endswith(("/", ".debug")):
                raise CouldNotDetermine(f"whether debugging information lies apart from its vmlinux: {one.path}: {one.problem}")
        return ""
    if installed_crash.build:
        raise CouldNotDetermine(
            f"/usr/bin/strings: {complaint_of_strings}; whether crash {'.'.join(map(str, installed_crash.version))}-"
            f"{installed_crash.build} needs it is not known: its packager may have given it the way of reading of 8.0.1"
        )
    return complaint_of_strings
