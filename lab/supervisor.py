"""Stands between a machine's owner and QEMU so that no machine outlives its owner, however the owner ends.

Run as ``python supervisor.py RUN_FOLDER OWNER_PID`` by lab/machine.py, with nothing but the standard library. It
starts the command in RUN_FOLDER/command.json and ends it on SIGTERM, or when process OWNER_PID ends (even by
SIGKILL: a pidfd reports that). QEMU in turn dies with this process (PR_SET_PDEATHSIG), whatever kills it. SIGUSR1
from the owner leaves the machine without one: it then lives until SIGTERM.

A process of its own, and not a preexec hook in the owner, because PR_SET_PDEATHSIG fires when the *thread* that
forked ends, and an owner may start machines from short-lived threads.

Files in RUN_FOLDER: ``lock`` (held, through an inherited descriptor, as long as this process lives),
``qemu.log`` (QEMU's own messages), ``qemu.pid``, ``supervisor.pid``. When the owner is dead, the folder goes too.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(folder: str, owner: int) -> int:
    os.chdir(folder)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for watched_for in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(watched_for, lambda *_: None)
    for ignored in (signal.SIGINT, signal.SIGHUP):  # the owner decides what an interrupt means
        signal.signal(ignored, signal.SIG_IGN)
    try:
        owner_fd = os.pidfd_open(owner)
    except ProcessLookupError:
        owner_fd = -1
    if owner_fd < 0 or os.getppid() != owner:  # it ended before we could watch it
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    with open("command.json", encoding="utf-8") as source:
        command = json.load(source)
    with open("qemu.log", "ab") as log:
        try:
            qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent)
        except OSError as error:
            log.write(f"{command[0]}: {error.strerror}\n".encode())
            return 1
    with open("supervisor.pid", "w", encoding="utf-8") as out:
        out.write(str(os.getpid()))
    with open("qemu.pid", "w", encoding="utf-8") as out:
        out.write(str(qemu.pid))
    watched = select.poll()
    qemu_fd = os.pidfd_open(qemu.pid)
    for descriptor in (qemu_fd, wake_read, owner_fd):
        watched.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in watched.poll()}
        # a signal that interrupts poll in the moment of the owner's end writes its byte when poll has looked
        ready |= {descriptor for descriptor, _ in watched.poll(0)}
        if wake_read not in ready or set(os.read(wake_read, 64)) != {signal.SIGUSR1}:
            break
        if owner_fd >= 0:
            watched.unregister(owner_fd)
            os.close(owner_fd)
            owner_fd = -1
    if qemu_fd not in ready:
        qemu.kill()
    qemu.wait()
    if owner_fd in ready:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
