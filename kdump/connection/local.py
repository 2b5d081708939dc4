"""``local://``, only ever by name: this machine, asked like any other."""

from typing import Any

from testinfra.backend.local import LocalBackend as TestinfraLocalBackend

from kdump.connection import process
from kdump.connection.deadline import Deadline
from kdump.connection.errors import ConnectionProblem, Kind, Phase
from kdump.connection.execution import Executed, ExecutingBackend
from kdump.connection.secret import Secret
from kdump.connection.sudo import Escort


class LocalBackend(ExecutingBackend, TestinfraLocalBackend):  # type: ignore[misc]  # untyped base
    """``execute()`` without a connection. ``notes`` stays empty."""

    sudo_password: Secret | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.notes: list[str] = []

    def execute(self, command: str, *, stdin: bytes = b"", deadline: float, cap: int) -> Executed:
        escort = Escort(self.hostname, command, stdin, sudo=self.sudo, user=self.sudo_user, password=self.sudo_password)
        return run_bounded(self.hostname, ["/bin/sh", "-c", escort.command], escort, deadline, cap)


def run_bounded(host: str, argv: list[str], escort: Escort, deadline: float, cap: int) -> Executed:
    """Run ``argv`` here and judge it as a command of ``host``."""
    try:
        out, err, status = process.run(argv, escort, Deadline(deadline), cap)
    except process.OutOfTime as late:
        raise given_up(host, escort, late, deadline, cap) from None
    except OSError as error:
        raise ConnectionProblem(Kind.NOT_POSIX, host, Phase.EXEC, f"{argv[0]}: {error.strerror}", "install it") from None
    if status < 0:
        raise ConnectionProblem(
            Kind.LOST,
            host,
            Phase.EXEC,
            f"the command was killed by signal {-status}",
            "run again",
            stdout=out,
            stderr=err,
        )
    return escort.finish(out, err, status)


def given_up(host: str, escort: Escort, late: process.OutOfTime, deadline: float, cap: int) -> ConnectionProblem:
    """The sentence for a command that took too long or said too much."""
    stdout, stderr = escort.clean(late.stdout, late.stderr)
    if isinstance(late, process.TooMuch):
        kind, phase, what = Kind.OUTPUT_CAPPED, Phase.EXEC, f"output cut off at {cap / 1048576:g} MiB"
        remedy = "see what floods it (login scripts, the kernel log)"
    elif escort.waiting_for_sudo(late.stdout):
        kind, phase, what = Kind.TIMED_OUT, Phase.SUDO, f"sudo did not start the command in {deadline:g} s"
        remedy = "check PAM and name resolution on the host"
    else:
        kind, phase, what = Kind.TIMED_OUT, Phase.EXEC, f"no end in {deadline:g} s"
        remedy = "look for what hangs there (a dead mount, a lock), or raise the deadline"
    return ConnectionProblem(kind, host, phase, what, remedy, stdout=stdout, stderr=stderr)
