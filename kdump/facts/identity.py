"""Who the target is, and as whom we read it."""

from __future__ import annotations

from ..fact import UID, fact


def uid(text: str) -> int:
    """The user that the probe ran as."""
    return int(text)


def machine(text: str) -> str:
    """The architecture, as ``uname -m`` names it: ``x86_64``, ``aarch64``."""
    return _word(text)


def release(text: str) -> str:
    """The running kernel's release, as ``uname -r`` names it."""
    return _word(text)


def _word(text: str) -> str:
    if len(text.split()) != 1:
        raise ValueError(f"expected one word, got {text!r}")
    return text.strip()


probe_uid = fact("probe_uid", UID, uid)
kernel_machine = fact("kernel_machine", "uname -m", machine)
kernel_release = fact("kernel_release", "uname -r", release)
