"""VMCOREINFO: the KEY=VALUE text that the kernel leaves for dump tools.

    OSRELEASE=6.1.0-50-amd64
    BUILD-ID=0123456789abcdef0123456789abcdef01234567
    PAGESIZE=4096
    SYMBOL(init_uts_ns)=ffffffff8281b9a0
    KERNELOFFSET=20000000
    CRASHTIME=1795418176

BUILD-ID exists since Linux 5.9 (kernel/crash_core.c); CRASHTIME (seconds since the epoch) is
written only when a kernel crashes, so the note of a live /proc/kcore has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

LARGEST = 16 << 10
"""Bytes of VMCOREINFO that are read; the kernel gives it one page (VMCOREINFO_BYTES, include/linux/crash_core.h)."""


def parse(raw: bytes) -> dict[str, str]:
    """Every KEY=VALUE line; what is not one is left out. Never raises."""
    pairs: dict[str, str] = {}
    for line in raw.split(b"\0", 1)[0].decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and key.isprintable() and value.isprintable():
            pairs.setdefault(key.strip(), value.strip())
    return pairs


def build_id(pairs: Mapping[str, str]) -> str | None:
    value = pairs.get("BUILD-ID", "").lower()
    return value if re.fullmatch(r"(?:[0-9a-f]{2}){4,64}", value) else None


def crash_time(pairs: Mapping[str, str]) -> datetime | None:
    value = pairs.get("CRASHTIME", "")
    return moment(int(value)) if re.fullmatch(r"[0-9]{1,12}", value) else None


def moment(seconds: int) -> datetime | None:
    """Seconds since the epoch as a time in UTC; None for 0 and for what no calendar holds."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None
