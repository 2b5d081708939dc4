"""Threads that ask hosts: as many as the controller can serve, more of them while it has nothing to do but wait.

With too few threads, hosts that are slow or dead keep the others waiting; with too many, a busy interpreter hands its lock
around and does little else (512 threads asked 1,000 hosts six times slower than 128 did). So a crew starts with
:data:`FIRST` and grows only while this process leaves the processor idle and somebody is still to be asked.
"""

from __future__ import annotations

import resource
import threading
import time
from collections import deque
from collections.abc import Callable

FIRST = 64
MORE = 32  # threads that are added in a step
TICK = 0.1  # s
BUSY = 0.7  # of one processor: the interpreter's lock lets no more than one work
FILES_PER_HOST = 2  # a socket, and the agent's while keys are offered
FILES_OF_THE_RUN = 64


def room_for(forks: int) -> int:
    """How many hosts can be asked at once under RLIMIT_NOFILE, whose soft limit is raised as far as that takes."""
    wanted = forks * FILES_PER_HOST + FILES_OF_THE_RUN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return forks
    return max(1, (soft - FILES_OF_THE_RUN) // FILES_PER_HOST)


class Crew:
    """Runs tasks in at most ``most`` threads. A task takes care of its own exceptions."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._size = 0
        self._supervised = False

    def submit(self, task: Callable[[], None]) -> None:
        with self._lock:
            self._tasks.append(task)
            if self._size < min(FIRST, self._most):
                self._hire()
            elif not self._supervised and self._size < self._most:
                self._supervised = True
                threading.Thread(target=self._supervise, name="gather-supervisor", daemon=True).start()

    def stop(self) -> None:
        """Begin no further task; what is under way ends by its own deadline."""
        with self._lock:
            self._tasks.clear()

    def _hire(self) -> None:
        self._size += 1
        threading.Thread(target=self._work, name=f"gather-{self._size}", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._tasks:
                    self._size -= 1
                    return
                task = self._tasks.popleft()
            task()

    def _supervise(self) -> None:
        while True:
            clock, used = time.monotonic(), time.process_time()
            time.sleep(TICK)
            busy = (time.process_time() - used) / (time.monotonic() - clock)
            with self._lock:
                if not self._tasks:
                    self._supervised = False
                    return
                if busy < BUSY:
                    for _ in range(min(MORE, self._most - self._size, len(self._tasks))):
                        self._hire()
