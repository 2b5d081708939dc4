"""Connections to targets: verified, bounded, never twice.

:func:`register` puts our backends in testinfra's place, :func:`execute` asks any backend, and every trouble is a
:class:`ConnectionProblem` with one sentence.
"""

import base64
import gzip
import shlex
import sys
import threading
from typing import Any

import testinfra.backend
from testinfra.backend.base import BaseBackend

from kdump.connection import settings
from kdump.connection.deadline import Deadline
from kdump.connection.errors import ConnectionProblem, Kind, Phase, printable
from kdump.connection.execution import Executed
from kdump.connection.settings import Settings
from kdump.connection.sudo import SCRIPT

__all__ = ["SCRIPT", "ConnectionProblem", "Executed", "Kind", "Phase", "Settings", "close_all", "execute", "register", "settings"]

_OURS = {
    "paramiko": "kdump.connection.ssh.SshBackend",
    "ssh": "kdump.connection.openssh.OpenSshBackend",
    "safe-ssh": "kdump.connection.openssh.SafeSshBackend",
    "local": "kdump.connection.local.LocalBackend",
    "ansible": "kdump.connection.ansible.AnsibleBackend",
}
#: Linux' limit of one argument (MAX_ARG_STRLEN, 32 pages), less what surrounds it.
_MAX_ARGUMENT = 120 * 1024


def register() -> None:
    """Make testinfra use our backends for paramiko, ssh, safe-ssh, local and ansible hosts."""
    testinfra.backend.BACKENDS.update(_OURS)


def execute(backend: BaseBackend, command: str, *, stdin: bytes = b"", deadline: float, cap: int) -> Executed:
    """Run ``command`` once on any testinfra backend; ``deadline`` in seconds, ``cap`` in bytes per stream.

    Raises ConnectionProblem. Backends that are not ours (docker://, kubectl://, …) take the input of ``/bin/sh -s`` as
    an argument, and their program cannot be stopped when it is late, only be left behind.
    """
    own = getattr(backend, "execute", None)
    if own is not None:
        answer: Executed = own(command, stdin=stdin, deadline=deadline, cap=cap)
        return answer
    return execute_by_argument(backend, command, stdin, deadline, cap)


def execute_by_argument(backend: BaseBackend, command: str, stdin: bytes, deadline: float, cap: int) -> Executed:
    """``execute()`` by way of ``backend.run()``."""
    host = backend.get_hostname()
    if stdin and command != SCRIPT:
        raise ConnectionProblem(
            Kind.BAD_CONFIGURATION, host, Phase.EXEC, f"{backend.NAME}:// passes no input to a command", "use ssh"
        )
    line = _as_argument(backend, stdin) if stdin else command
    if len(line) > _MAX_ARGUMENT:
        raise ConnectionProblem(
            Kind.BAD_CONFIGURATION,
            host,
            Phase.EXEC,
            f"the script is too long for {backend.NAME}:// ({len(line)} bytes, limit {_MAX_ARGUMENT})",
            "select fewer tests, or use ssh",
        )
    done = threading.Event()
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(backend.run(line))
        except Exception as error:  # whatever a foreign backend raises
            answers.append(error)
        done.set()

    threading.Thread(target=ask, name=f"run {host}", daemon=True).start()
    if not Deadline(deadline).wait_until(done):
        raise ConnectionProblem(Kind.TIMED_OUT, host, Phase.EXEC, f"no end in {deadline:g} s", "look for what hangs there")
    answer = answers[0]
    if isinstance(answer, ConnectionProblem):
        raise answer
    if isinstance(answer, Exception):
        words = printable(str(answer).strip().splitlines()[0] if str(answer).strip() else type(answer).__name__, 200)
        raise ConnectionProblem(Kind.UNREACHABLE, host, Phase.EXEC, f"{backend.NAME}: {words}", f"try {backend.NAME} by hand")
    if len(answer.stdout_bytes) > cap or len(answer.stderr_bytes) > cap:
        raise ConnectionProblem(
            Kind.OUTPUT_CAPPED,
            host,
            Phase.EXEC,
            f"output cut off at {cap / 1048576:g} MiB",
            "see what floods it",
            stdout=answer.stdout_bytes[:cap],
            stderr=answer.stderr_bytes[:cap],
        )
    return Executed(answer.stdout_bytes, answer.stderr_bytes, int(answer.rc))


def _as_argument(backend: BaseBackend, script: bytes) -> str:
    """A command line that runs ``script``.

    Ansible takes braces for templates, and puts one pair of quotes into another until the line exceeds Linux' limit: it gets
    the script packed.
    """
    if backend.NAME == "ansible":
        return f"echo {base64.b64encode(gzip.compress(script, mtime=0)).decode()} | base64 -d | gzip -dc | {SCRIPT}"
    return "/bin/sh -c " + shlex.quote(script.decode("utf-8", "surrogateescape"))


def close_all() -> None:
    """Hang up on what hosts share (jump hosts), at the end of a run. Each host's backend closes its own connection."""
    link = sys.modules.get("kdump.connection.link")  # which loads paramiko, and is not loaded before a host is asked
    if link is not None:
        link.close_bastions()
