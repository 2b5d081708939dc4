"""A vmlinux file of this machine, read as the probe reads those of the hosts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .parsers.unreadable import Unreadable
from .probe import library
from .transcript import sanitise

DEADLINE = 60
"""Seconds."""


def evidence(path: str) -> str:
    """What ``vmlinux_evidence`` prints of the file. Raises `Unreadable`."""
    command = ["/bin/sh", "-c", f'{library()}\nvmlinux_evidence "$1"', "sh", str(Path(path).absolute())]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreadable(f"it cannot be read: {error}") from error
    text = sanitise(done.stdout.decode("utf-8", "surrogateescape")).rstrip("\n")
    if not text:
        raise Unreadable("it is not a file that can be read")
    return text
