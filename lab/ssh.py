"""Commands in a machine over OpenSSH, each a connection of its own: a crash or a reboot breaks nothing.

An emulated machine needs seconds for the keys of each connection: who says when it crashes may share one (Address.shared).
"""

from __future__ import annotations

import dataclasses
import socket
import subprocess
from pathlib import Path

from lab.errors import LabError


@dataclasses.dataclass(frozen=True)
class Result:
    """*status* is the command's exit status, or 255 when ssh itself failed; stderr then has ssh's words."""

    status: int
    stdout: str
    stderr: str


@dataclasses.dataclass(frozen=True)
class Address:
    """How to reach a machine: its forwarded port on 127.0.0.1, its user key, and its host key in *known_hosts*.

    *shared* is a socket that ssh makes at the first command (``%r``: the user's name): all go over that one connection, until
    hang_up() or the machine's end.
    """

    port: int
    identity: Path
    known_hosts: Path
    shared: Path | None = None

    def command(self, user: str = "root", *, tty: bool = False) -> list[str]:
        """The ssh command line without the remote command; nothing of the user's own configuration takes part."""
        options = {
            "BatchMode": "yes", "IdentitiesOnly": "yes", "StrictHostKeyChecking": "yes", "ConnectTimeout": "15",
            "ServerAliveInterval": "10", "ServerAliveCountMax": "6", "LogLevel": "ERROR", "ForwardX11": "no",
            "UserKnownHostsFile": f'"{self.known_hosts}"', "GlobalKnownHostsFile": "/dev/null",
        }  # fmt: skip
        if self.shared:
            options |= {"ControlMaster": "auto", "ControlPersist": "yes", "ControlPath": f'"{self.shared}"'}
        line = ["ssh", "-F", "none", "-i", str(self.identity), "-p", str(self.port)]
        for key, value in options.items():
            line += ["-o", f"{key}={value}"]
        return [*line, "-t" if tty else "-T", f"{user}@127.0.0.1"]


def run(address: Address, command: str, *, user: str = "root", deadline: float = 60.0, stdin: bytes = b"") -> Result:
    """Runs *command* in the machine's login shell. Raises LabError when it is not done after *deadline* seconds."""
    try:
        done = subprocess.run(
            [*address.command(user), command], input=stdin, capture_output=True, timeout=deadline, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise LabError(f"The machine did not finish this command within {deadline:.0f} s: {command[:200]}") from error
    except FileNotFoundError as error:
        raise LabError("The lab needs ssh, which is not installed: apt-get install openssh-client") from error
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def hang_up(address: Address, user: str = "root") -> None:
    """Ends a shared connection; nothing where there is none."""
    *options, destination = address.command(user)
    subprocess.run([*options, "-O", "exit", destination], capture_output=True, check=False)


def has_banner(port: int, deadline: float = 3.0) -> bool:
    """Does an SSH server greet on 127.0.0.1:*port*? A connect proves nothing: QEMU accepts before the machine listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=deadline) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
