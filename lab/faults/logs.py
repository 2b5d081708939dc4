"""The logs that a staged fault leaves, as a recording: what the tools said, the journal, the console, the capture kernel's log.

A recording is text in sections (``== NAME ==``) after two remarks: ``# source:`` says where it comes from, ``# causes:``
which causes the tools' own words name in it. What could identify a machine is replaced: addresses, keys, UUIDs and identifiers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

SECTIONS = ("staging", "journal", "console", "kexec-dmesg")
#: of the kernel's own log what is a warning or worse, and what speaks of kdump and watchdogs
JOURNAL = (
    'log() {{ journalctl -b --since=@{since} --no-pager --no-hostname -q -o short-monotonic "$@"; }}; '
    "{{ log -t kdump-tools -t kdump-config -t kdumpctl -t kdump; log -u kdump-tools -u kdump; log -k -p warning; "
    "log -k --grep='[Cc]rash kernel|crashkernel|kexec|watchdog|ipmi'; }} | awk '!seen[$0]++'"
)
#: What the capture kernel's own system said. kdump-utils saves it as kexec-dmesg.log beside the dump; kdump-tools does not,
#: and where the journal is kept it is that of the boot before this one.
KEXEC_DMESG = (
    "cat /var/crash/*/kexec-dmesg.log 2>/dev/null || "
    "if journalctl -q -b -1 -k --grep=elfcorehdr= >/dev/null 2>&1; then "
    "journalctl -q -b -1 --no-pager --no-hostname -o short-monotonic; fi"
)
_SCRUBBED = (
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", re.IGNORECASE), "52:54:00:00:00:01"),
    (re.compile(r"SHA256:[A-Za-z0-9+/]{43}"), "SHA256:" + "A" * 43),
    (re.compile(r"\b[0-9a-f]{32}\b"), "0" * 32),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "00000000-0000-4000-8000-000000000000"),
    (re.compile(r"(\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0b-\x1f\x7f])"), ""),
)
# QEMU's screen control and makedumpfile's bar: hundreds of redrawn lines that tell nothing
_PROGRESS = re.compile(r"^.*(Copying data|Checking for memory holes|Excluding unnecessary pages)\s*:\s*\[.*$", re.MULTILINE)


def scrub(text: str) -> str:
    """*text* without what could identify a machine, and with the last of each run of progress bars.

    >>> scrub("link/ether 52:54:00:12:34:56")
    'link/ether 52:54:00:00:00:01'
    """
    for pattern, replacement in _SCRUBBED:
        text = pattern.sub(replacement, text)
    lines: list[str] = []
    for line in text.splitlines():
        if lines and _PROGRESS.match(line) and _PROGRESS.match(lines[-1]):
            lines.pop()
        if line := line[:400].rstrip():
            lines.append(line)
    return "\n".join(lines)


def record(folder: Path, source: str, causes: Iterable[str], place: Path) -> None:
    """Writes the recording *place* of the logs that a fault left in *folder* (``SECTION.txt``)."""
    parts = [f"# source: {source}", f"# causes: {', '.join(sorted(causes))}".rstrip()]
    for section in SECTIONS:
        file = folder / f"{section}.txt"
        text = scrub(file.read_text(errors="replace")).strip("\n") if file.exists() else ""
        if text:
            parts += [f"== {section} ==", text]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join(parts) + "\n")
