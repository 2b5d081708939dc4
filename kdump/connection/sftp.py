"""A file on a target, read by offset over SFTP: for vmcores, of which a few kilobytes matter."""

import stat
from collections.abc import Callable
from typing import TypeVar

import paramiko

from kdump.connection.errors import ConnectionProblem, Kind, Phase
from kdump.parsers.unreadable import Unreadable

_T = TypeVar("_T")


class SftpFile:
    """A kdump.bytesource.ByteSource: ``size`` in bytes, ``read_at(offset, length)``. Reads as the login user.

    Raises ConnectionProblem when SFTP is not offered or the connection fails, Unreadable for the file's own sake.
    """

    def __init__(self, host: str, channel: paramiko.Channel, path: str, timeout: float) -> None:
        self.path = path
        self._host = host
        self._timeout = timeout
        self._channel = channel
        channel.settimeout(timeout)
        try:
            self._client = paramiko.SFTPClient(channel)
        except (paramiko.SSHException, EOFError, OSError) as error:
            channel.close()
            if isinstance(error, TimeoutError):
                raise self._late() from None
            raise ConnectionProblem(
                Kind.NO_SFTP,
                host,
                Phase.SESSION,
                "the server does not offer SFTP",
                "add 'Subsystem sftp internal-sftp' to its sshd_config, or copy the file here",
            ) from None
        try:
            status = self._guarded(lambda: self._client.stat(path))
            if status.st_mode is None or not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
                raise Unreadable(f"{path} is not a regular file")
            self.size = int(status.st_size or 0)
            self._file = self._guarded(lambda: self._client.open(path, "rb", bufsize=0))
        except BaseException:
            self.close()
            raise

    def read_at(self, offset: int, length: int) -> bytes:
        """``length`` bytes at ``offset``; fewer only where the file ends."""
        length = max(0, min(length, self.size - offset))
        return self._guarded(lambda: self._read(offset, length))

    def _read(self, offset: int, length: int) -> bytes:
        parts = []
        self._file.seek(offset)
        while length > 0:
            part = self._file.read(min(length, 32768))
            if not part:
                break
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the file and its channel; the connection stays."""
        self._channel.close()

    def __enter__(self) -> "SftpFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _guarded(self, action: Callable[[], _T]) -> _T:
        try:
            return action()
        except TimeoutError:
            self.close()
            raise self._late() from None
        except (EOFError, paramiko.SSHException) as error:
            if isinstance(error, paramiko.SFTPError):
                raise Unreadable(f"cannot read {self.path}: {error}") from None
            raise ConnectionProblem(
                Kind.LOST, self._host, Phase.EXEC, f"the connection was lost while {self.path} was read", "run again"
            ) from None
        except OSError as error:
            if "closed" in str(error):
                raise ConnectionProblem(
                    Kind.LOST,
                    self._host,
                    Phase.EXEC,
                    f"the connection was lost while {self.path} was read",
                    "run again",
                ) from None
            raise Unreadable(f"cannot read {self.path}: {error.strerror or error}") from None

    def _late(self) -> ConnectionProblem:
        return ConnectionProblem(
            Kind.TIMED_OUT,
            self._host,
            Phase.EXEC,
            f"no answer from SFTP in {self._timeout:g} s",
            f"look at what {self.path} lies on (a dead mount?)",
        )
