"""``lab://NAME``: a lab machine as a testinfra host, booted on first use, one per name and run.

``lab://debian12?crashkernel=96M&cmdline=nokaslr`` boots another command line; ``user=`` logs in as another account of
the image (operator has sudo, auditor has not).
"""

from __future__ import annotations

import threading
import urllib.parse
from pathlib import Path
from typing import Any

from kdump.connection.errors import ConnectionProblem, Kind, Phase
from kdump.connection.ssh import SshBackend
from kdump.connection.ssh_config import HostConfig, resolve
from lab import image, state
from lab.errors import LabError
from lab.machine import Machine

_OPTIONS = {"crashkernel", "cmdline", "user"}


class LabMachines:
    """The machines of this process, by host spec without the user."""

    def __init__(self) -> None:
        self._machines: dict[str, Machine] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.RLock()  # stop() may run in a signal handler

    def get(self, name: str, crashkernel: str | None, cmdline: str) -> Machine:
        """The running machine, booted now if it is not. Raises LabError."""
        key = repr((name, crashkernel, cmdline))
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            machine = self._machines.get(key)
            if machine is None or not machine.alive():
                machine = Machine(image.find(name), crashkernel=crashkernel, cmdline=cmdline)
                with self._lock:
                    self._machines[key] = machine
                try:
                    machine.boot()
                except BaseException:  # half booted, it must not be taken for a running machine by the next caller
                    machine.stop()
                    raise
            return machine

    def stop(self) -> None:
        """End them all."""
        with self._lock:
            machines, self._machines = list(self._machines.values()), {}
        for machine in machines:
            machine.end()


MACHINES = LabMachines()


class LabBackend(SshBackend):
    """An SSH backend that first sees to it that its machine runs."""

    NAME = "lab"

    def __init__(self, hostspec: str, *args: Any, lab_options: dict[str, str] | None = None, **kwargs: Any) -> None:
        options = dict(lab_options or {})
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise ValueError(f"lab:// does not know {', '.join(unknown)}: it takes {', '.join(sorted(_OPTIONS))}")
        self._target = hostspec
        self._crashkernel = options.get("crashkernel")
        self._cmdline = options.get("cmdline", "")
        self._user = options.get("user", "root")
        super().__init__(hostspec, *args, **kwargs)

    @classmethod
    def of(cls, spec: str, **kwargs: Any) -> LabBackend:
        """From ``lab://NAME?key=value``. Raises LabError, ValueError."""
        url = urllib.parse.urlsplit(spec)
        return cls(url.netloc, lab_options=dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True)), **kwargs)

    def ready(self) -> None:
        """Whether the machine can be booted at all. Raises LabError: a missing image, or no QEMU, is said before anything
        else happens."""
        state.qemu_version(image.find(self._target).recipe.arch)

    def machine(self) -> Machine:
        """The running machine. Raises LabError."""
        return MACHINES.get(self._target, self._crashkernel, self._cmdline)

    def console_path(self) -> Path:
        """The file that the running machine's serial console is logged to. Raises ConnectionProblem."""
        return self._booted().console_path

    def inject_nmi(self) -> None:
        """What a BMC's diagnostic interrupt does. Raises ConnectionProblem."""
        self._booted().inject_nmi()

    def _booted(self) -> Machine:
        try:
            return self.machine()
        except LabError as error:
            raise ConnectionProblem(Kind.UNREACHABLE, self.NAME, Phase.CONFIG, str(error)) from error

    def resolve(self) -> HostConfig:
        """Boots the machine if need be; its own generated ssh_config says how to reach it."""
        return resolve(self._target, file=str(self._booted().ssh_config), user=self._user)
