"""``ssh://`` and ``--connection=ssh``: the OpenSSH program, for what only it can do, under the same rules."""

import contextlib
import re
import shlex
import tempfile
from pathlib import Path
from typing import Any

from testinfra.backend.ssh import SshBackend as TestinfraSshBackend

from kdump.connection import process
from kdump.connection.deadline import Deadline
from kdump.connection.errors import ConnectionProblem, Kind, Phase, printable
from kdump.connection.execution import Executed, ExecutingBackend
from kdump.connection.local import given_up
from kdump.connection.secret import Secret
from kdump.connection.settings import current
from kdump.connection.ssh_config import resolve
from kdump.connection.sudo import Escort

_TESTINFRA_TIMEOUT = 10
#: ssh's own words (OpenSSH 9.2, from its -E log) → what they mean. The first that is found counts.
_MEANINGS: tuple[tuple[str, Kind, Phase, str], ...] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        Kind.HOST_KEY_CHANGED,
        Phase.HOSTKEY,
        "if the host was reinstalled, compare the key at its console and remove the old one by ssh-keygen -R",
    ),
    ("REVOKED|revoked", Kind.HOST_KEY_REVOKED, Phase.HOSTKEY, "do not connect; give the host a new key"),
    (
        "host key is known for|Host key verification failed",
        Kind.UNKNOWN_HOST_KEY,
        Phase.HOSTKEY,
        "compare it at the host's console and add it to known_hosts, or accept the keys of all new hosts by --ssh-accept-new",
    ),
    ("Could not resolve hostname", Kind.UNKNOWN_NAME, Phase.DNS, "correct the name in the inventory"),
    ("[Bb]ad configuration|command-line", Kind.BAD_CONFIGURATION, Phase.CONFIG, "correct it in ssh_config"),
    ("banner exchange.*timed out|during banner exchange", Kind.TIMED_OUT, Phase.BANNER, "check sshd there"),
    ("Connection refused", Kind.REFUSED, Phase.TCP, "start sshd there, or correct the port"),
    (
        "connect to host .* timed out",
        Kind.TIMED_OUT,
        Phase.TCP,
        "check that the machine is up and no firewall drops the packets",
    ),
    ("connect to host ", Kind.UNREACHABLE, Phase.TCP, "check the address and the route to it"),
    (
        "kex_exchange_identification|banner",
        Kind.NOT_SSH,
        Phase.BANNER,
        "check that sshd listens on that port and is not overloaded (MaxStartups)",
    ),
    ("Unable to negotiate", Kind.NOT_SSH, Phase.KEX, "allow a common algorithm"),
    (
        "Permission denied|Too many authentication failures|No more authentication methods",
        Kind.AUTHENTICATION_FAILED,
        Phase.AUTH,
        "add a key (ssh-copy-id), or name one by IdentityFile in ssh_config",
    ),
)
_AUTHENTICATED = re.compile(r"Authenticated to |mux_client_request_session: master session id|mux_client: ")


class OpenSshBackend(ExecutingBackend, TestinfraSshBackend):  # type: ignore[misc]  # untyped base
    """Runs ``ssh`` once per command; keys and agent only, never a password. One attempt per run, as with paramiko."""

    sudo_password: Secret | None = None

    def __init__(self, hostspec: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(hostspec, *args, **kwargs)
        self.notes: list[str] = []
        self._problem: ConnectionProblem | None = None

    def execute(self, command: str, *, stdin: bytes = b"", deadline: float, cap: int) -> Executed:
        if self._problem is not None:
            raise self._problem.again()
        escort = Escort(self.hostname, command, stdin, sudo=self.sudo, user=self.sudo_user, password=self.sudo_password)
        with tempfile.NamedTemporaryFile(prefix="kdump-ssh-") as log:
            try:
                return self._execute(escort, log.name, deadline, cap)
            except ConnectionProblem as problem:
                if problem.phase not in (Phase.EXEC, Phase.SUDO) or problem.kind is Kind.LOST:
                    self._problem = problem
                raise

    def forget(self) -> None:
        """Forget a failure to connect: the next command tries again. For a host that is known to go away and come back."""
        self._problem = None

    def arguments(self, command: str, log: str, connect_timeout: float) -> list[str]:
        """The program and its arguments. ssh takes the first value of an option, so ours cannot be overridden."""
        settings = current()
        if self.host.password is not None:
            raise ConnectionProblem(
                Kind.BAD_CONFIGURATION, self.hostname, Phase.CONFIG, "a password stands in the host's name", "use a key"
            )
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(max(1, round(connect_timeout))),
            "ConnectionAttempts": "1",
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            "StrictHostKeyChecking": "accept-new" if settings.accept_new else "yes",
            "LogLevel": "DEBUG1",  # only there are the host key's fingerprint and the exit status
            "RequestTTY": "no",
        }
        arguments = ["ssh", "-T", "-E", log]
        for name, value in options.items():
            arguments += ["-o", f"{name}={value}"]
        for flag, given in (
            ("-F", self.ssh_config or settings.ssh_config),
            ("-i", self.ssh_identity_file or settings.identity_file),
            ("-l", self.host.user),
            ("-p", self.host.port),
        ):
            if given:
                arguments += [flag, str(Path(given).expanduser()) if flag in ("-F", "-i") else given]
        if self.controlpath:
            arguments += ["-o", "ControlMaster=auto", "-o", f"ControlPersist={self.controlpersist}s"]
            arguments += ["-o", f"ControlPath={self.controlpath}"]
        return [*arguments, *shlex.split(self.ssh_extra_args or ""), "--", self.host.name, command]

    def _seconds_to_connect(self) -> float:
        """ssh is told, and would not look into its configuration."""
        settings = current()
        configured = None
        with contextlib.suppress(ConnectionProblem):  # what we do not understand, ssh may
            file = self.ssh_config or settings.ssh_config
            port = int(self.host.port) if self.host.port else None
            configured = resolve(self.host.name, file=file, user=self.host.user, port=port).connect_timeout
        return settings.seconds_to_connect(configured)

    def _execute(self, escort: Escort, log: str, deadline: float, cap: int) -> Executed:
        connect_timeout = self._seconds_to_connect() if self.timeout == _TESTINFRA_TIMEOUT else float(self.timeout)
        argv = self.arguments(escort.command, log, connect_timeout)
        whole = Deadline(connect_timeout + deadline)
        authenticated = False

        def watch() -> None:
            nonlocal authenticated
            if authenticated:
                return
            if _AUTHENTICATED.search(_read(log)):
                authenticated = True
                whole.left = min(whole.left, deadline)
            elif whole.left <= deadline - 1.0:  # ssh itself is given a second to say what it waited for
                raise process.OutOfTime(b"", b"")

        try:
            out, err, status = process.run(argv, escort, whole, cap, watch)
        except process.OutOfTime as late:
            if authenticated or _AUTHENTICATED.search(_read(log)):
                raise given_up(self.hostname, escort, late, deadline, cap) from None
            raise self._silent(_read(log), connect_timeout) from None
        except OSError as error:
            raise ConnectionProblem(
                Kind.BAD_CONFIGURATION,
                self.hostname,
                Phase.CONFIG,
                f"ssh: {error.strerror}",
                "install the OpenSSH client, or leave out --connection=ssh",
            ) from None
        text = _read(log)
        if (status == 255 and "debug1: Exit status 255" not in text) or status < 0:
            raise self._failed(text, err, status, escort, out)
        return escort.finish(out, err, status)

    def _silent(self, log: str, seconds: float) -> ConnectionProblem:
        phases = (
            ("Server host key", Phase.AUTH),
            ("Remote protocol version", Phase.KEX),
            ("established", Phase.BANNER),
        )
        phase = next((phase for sign, phase in phases if sign in log), Phase.TCP)
        return ConnectionProblem(
            Kind.TIMED_OUT,
            self.hostname,
            phase,
            f"no answer in {seconds:g} s",
            "check that the machine is up and sshd runs",
        )

    def _failed(self, log: str, err: bytes, status: int, escort: Escort, out: bytes) -> ConnectionProblem:
        stdout, stderr = escort.clean(out, err)
        lines = [line.strip() for line in log.splitlines() if line.strip() and not line.startswith("debug")]
        if not lines and "Exit status -1" not in log:  # a usage error comes before the log is open
            lines = [line for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
        words = "\n".join(lines)
        if _AUTHENTICATED.search(log):
            what = "the connection was lost during the command"
            last = next((line for line in reversed(lines) if "ermanently added" not in line), "")
            return ConnectionProblem(
                Kind.LOST,
                self.hostname,
                Phase.EXEC,
                f"{what} ({last})" if last else "the command ended without an exit status (killed by a signal?)",
                "it was not sent again; check the host and the network, then run again",
                stdout=stdout,
                stderr=stderr,
            )
        key = re.search(r"Server host key: (\S+) (SHA256:\S+)", log)
        for pattern, kind, phase, remedy in _MEANINGS:
            found = re.search(f".*(?:{pattern}).*", words)
            if found:
                what = printable(found[0], 200).strip("@ ")
                if phase is Phase.HOSTKEY and key:
                    what = f"{kind.value}: {key[1]} {key[2]}"
                return ConnectionProblem(kind, self.hostname, phase, what, remedy)
        return ConnectionProblem(
            Kind.UNREACHABLE,
            self.hostname,
            Phase.KEX if "Remote protocol version" in log else Phase.TCP,
            lines[-1] if lines else f"ssh ended with {status}",
            "try the same by hand: ssh -v",
        )


class SafeSshBackend(OpenSshBackend):
    """``safe-ssh://``: the output of ``ssh://`` is already told apart from noise."""

    NAME = "safe-ssh"


def _read(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(262144)
    except OSError:
        return ""
