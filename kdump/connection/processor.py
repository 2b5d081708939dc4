"""One processor for all threads that talk to hosts.

The interpreter lets one thread work at a time. While its threads are on several processors, each of the thirty times that one
of them waits for a host hands the lock to another processor, which has to be woken for that: a quarter of all that asking a
host costs (2.3 ms in place of 3.1, OpenSSH's answer of 40 KB). So a thread stays on the one processor as long as it carries
out a conversation, and no longer: processes that are started, and whatever else the thread does, go where they like.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_lock = threading.Lock()
_all: set[int] | None = None  # that this process may use, as it was when it first asked
_one: set[int] = set()


@contextlib.contextmanager
def one_for_all() -> Iterator[None]:
    """Within it the calling thread stays on the processor of all who are within it. Does nothing where there is no choice, where
    threads work at the same time (a free-threaded interpreter), or where the system has no such call."""
    if len(_allowed()) < 2:
        yield
        return
    _go(_one)
    try:
        yield
    finally:
        _go(_allowed())


def _allowed() -> set[int]:
    global _all, _one
    with _lock:
        if _all is None:
            _all = set()
            if hasattr(os, "sched_setaffinity") and getattr(sys, "_is_gil_enabled", lambda: True)():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    # field 39: the processor that it ran on last (proc_pid_stat(5))
                    _one = {int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])}
                    _all = os.sched_getaffinity(0)
        return _all


def _go(where: set[int]) -> None:
    with contextlib.suppress(OSError):  # a container's processors may have changed: then anywhere
        os.sched_setaffinity(0, where)
