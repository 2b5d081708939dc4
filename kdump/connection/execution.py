"""What one command on a target answered, and what every backend of ours has in common."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Any, Protocol

from testinfra.backend.base import BaseBackend, CommandResult

from kdump.connection.settings import current


@dataclasses.dataclass(frozen=True)
class Executed:
    """A finished command: its complete output as bytes and its exit status (0..255)."""

    stdout: bytes
    stderr: bytes
    status: int


class Executor(Protocol):
    """What the suite needs of a backend."""

    def execute(self, command: str, *, stdin: bytes = b"", deadline: float, cap: int) -> Executed: ...

    def close(self) -> None: ...


class ExecutingBackend(BaseBackend):  # type: ignore[misc]  # untyped base
    """Mixed into testinfra's backends: ``run()`` goes through ``execute()``, and bytes never cause a command.

    testinfra asks the target for Python's idea of its encoding as soon as output is not ASCII; here text is
    decoded as UTF-8 with replacement characters, and encoded with surrogates kept.
    """

    def execute(self, command: str, *, stdin: bytes = b"", deadline: float, cap: int) -> Executed:
        """Run ``command`` once (through sudo when the backend was told so) and wait for its end.

        ``deadline`` is in seconds, ``cap`` in bytes per stream. Raises ConnectionProblem; never runs it twice.
        """
        raise NotImplementedError

    @contextlib.contextmanager
    def without_sudo(self) -> Iterator[None]:
        """Within it commands run as the user who logs in: for a host whose sudo refused."""
        wanted: bool = self.sudo  # type: ignore[has-type]  # set by testinfra
        self.sudo = False
        try:
            yield
        finally:
            self.sudo = wanted

    def close(self) -> None:
        """Give back what the connection holds. The backend connects again when used again."""

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        """For drafts: ``execute()`` with the run's default deadline and cap, as testinfra's CommandResult."""
        line = self.quote(command, *args)
        settings = current()
        done = self.execute(line, deadline=settings.command_timeout, cap=settings.cap)
        return self.result(done.status, self.encode(line), done.stdout, done.stderr)

    def get_encoding(self) -> str:
        return "utf-8"

    def decode(self, data: bytes) -> str:
        return data.decode("utf-8", "replace")

    def encode(self, data: str) -> bytes:
        return os.fsencode(data)
