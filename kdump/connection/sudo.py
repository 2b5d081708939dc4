"""How a command starts on a target: through a POSIX shell, perhaps through sudo, and how we know that it did.

Two marks, random for each execution, prove what happened. The outer shell prints the first on stderr: a POSIX shell
is there. The inner one, after sudo, prints the second on stdout, right before it becomes the command: what follows
is the command's output and its status, and nothing before it was. Without the second mark no exit status is
believed: sudo's own 1 looks like grep's 1.

The password is sent only when sudo shows our prompt (``-p``), and once. So a host that asks for none never sees it;
it cannot become a line of the script; a wrong one costs one attempt, not three with the script's lines as the second
and third; and it stands in no argument.
"""

import atexit
import contextlib
import functools
import getpass
import os
import secrets
import shlex
import termios
import threading
from collections.abc import Iterator

from kdump.connection.errors import ConnectionProblem, Kind, Phase, said
from kdump.connection.execution import Executed
from kdump.connection.secret import Secret
from kdump.connection.settings import current, forget_with_settings

#: The command that takes a script on its stdin; the suite's own way to ask a host.
SCRIPT = "/bin/sh -s"
PASSWORD_VARIABLE = "KDUMP_SUDO_PASSWORD"  # noqa: S105  # a name

_TERMINAL = "/dev/tty"

_ROOT = 'if [ "$(id -u)" = 0 ]; then exec "$@"; fi; '
#: Words of sudo's (1.9, and sudo-rs) refusals → what to do about them.
_REMEDIES = (
    (
        ("password is required", "no password was provided"),
        f"set {PASSWORD_VARIABLE}, or run from a terminal to be asked",
    ),
    (("tty",), "take requiretty out of sudoers for this user (Defaults:USER !requiretty)"),
    (
        ("not in the sudoers", "not allowed", "may not run", "m not sure"),
        "allow /bin/sh to this user in sudoers, or connect as root",
    ),
    (("not found", "No such file"), "install sudo there, or connect as root"),
    (("unknown user",), "correct --sudo-user"),
    (("unable to resolve host",), "give the host its own name in /etc/hosts"),
)


class Escort:
    """One command with its input: what to run in the login shell, what to send when, what the answer means.

    ``start`` is sent at once; :meth:`advance` says what follows as output arrives; :attr:`ended` becomes True when
    nothing follows. :meth:`finish` separates the command's own output. Both raise ConnectionProblem.
    """

    def __init__(
        self, host: str, command: str, stdin: bytes, *, sudo: bool, user: str | None, password: Secret | None = None
    ) -> None:
        self._host = host
        self._sudo = sudo
        self._stdin = stdin
        self._password = password
        nonce = secrets.token_hex(8)
        self._shell_mark = f"kdump-shell-{nonce}\n".encode()
        self._mark = f"kdump-start-{nonce}\n".encode()
        self._prompt = f"kdump-sudo-{nonce}:".encode()
        self._marked = sudo or command == SCRIPT
        self._answered = False
        may_answer = sudo and (password is not None or _may_have_password())
        self.command = self._wrap(command, user, may_answer) if self._marked else command
        self.ended = not may_answer
        self.start = stdin if self.ended else b""

    def _wrap(self, command: str, user: str | None, may_answer: bool) -> str:
        mark = self._mark.decode().strip()
        if command == SCRIPT:
            inner = ["/bin/sh", "-c", f"echo {mark}; exec {SCRIPT}"]
        else:
            inner = ["/bin/sh", "-c", f'echo {mark}; exec /bin/sh -c "$0"', command]
        outer = f"echo {self._shell_mark.decode().strip()} >&2; "
        if self._sudo:
            asking = f"-S -p {self._prompt.decode()}" if may_answer else "-n"
            become = f"-u {shlex.quote(user)} " if user else ""
            outer += "" if user else _ROOT
            outer += f'LC_ALL=C; export LC_ALL; exec sudo {asking} {become}-- "$@"'
        else:
            outer += 'exec "$@"'
        return " ".join(map(shlex.quote, ["/bin/sh", "-c", outer, "sh", *inner]))

    def advance(self, stdout: bytes | bytearray, stderr: bytes | bytearray) -> bytes:
        """What to send next, given all output so far."""
        if self.ended:
            return b""
        if self._mark in stdout:
            self.ended = True
            return self._stdin
        asked = stderr.count(self._prompt)
        if asked > 1:
            raise self._problem("sudo refused the password", f"correct {PASSWORD_VARIABLE}", bytes(stderr))
        if asked and not self._answered:
            self._answered = True
            password = self._password or _password()
            if password is None:
                raise self._problem("sudo: a password is required", _REMEDIES[0][1], bytes(stderr))
            return password.reveal().encode() + b"\n"
        return b""

    def started(self, stdout: bytes | bytearray) -> bool:
        """Whether the command itself runs, as far as can be known."""
        return not self._marked or self._mark in stdout

    def waiting_for_sudo(self, stdout: bytes | bytearray) -> bool:
        """Whether sudo has neither refused nor started the command."""
        return self._sudo and not self.started(stdout)

    def clean(self, stdout: bytes | bytearray, stderr: bytes | bytearray) -> tuple[bytes, bytes]:
        """Both streams without our marks; of stdout, what came after the mark (all of it when there is none)."""
        before, found, after = bytes(stdout).partition(self._mark)
        errors = bytes(stderr).replace(self._shell_mark, b"").replace(self._prompt, b"")
        return (after if found else before), errors

    def finish(self, stdout: bytes | bytearray, stderr: bytes | bytearray, status: int) -> Executed:
        """The command's own answer. Raises ConnectionProblem when the command never started."""
        if not self.started(stdout):
            raise self._not_started(stdout, stderr, status)
        out, errors = self.clean(stdout, stderr)
        return Executed(out, errors, status)

    def _not_started(self, stdout: bytes | bytearray, stderr: bytes | bytearray, status: int) -> ConnectionProblem:
        has_shell = self._shell_mark in stderr
        out, errors = self.clean(stdout, stderr)
        words = said(errors) or said(out)
        if has_shell and self._sudo:
            if self._answered and ("try again" in words or "ncorrect" in words):
                words = f"sudo refused the password ({words})"
            remedy = next(
                (text for signs, text in _REMEDIES if any(sign in errors.decode("utf-8", "replace") for sign in signs)),
                "look into sudo's log on the host",
            )
            return self._problem(words or f"sudo ended with {status}", remedy, errors)
        return ConnectionProblem(
            Kind.NOT_POSIX,
            self._host,
            Phase.EXEC,
            f"the login answered with something other than a POSIX shell ({words or f'exit status {status}'})",
            "use an account with a login shell that can run /bin/sh (no nologin, rbash or forced command)",
            stdout=out,
            stderr=errors,
        )

    def _problem(self, what: str, remedy: str, stderr: bytes) -> ConnectionProblem:
        return ConnectionProblem(Kind.NO_SUDO, self._host, Phase.SUDO, what, remedy, stderr=self.clean(b"", stderr)[1])


def password_from_environment_or_terminal() -> Secret | None:
    """``KDUMP_SUDO_PASSWORD``, else asked on the terminal; None where there is none."""
    value = os.environ.get(PASSWORD_VARIABLE)
    if value:
        return Secret(value)
    if not _interactive():
        return None
    try:
        with _terminal_as_it_was():
            return Secret(getpass.getpass("\nsudo password for the hosts of this run: "))
    except (EOFError, KeyboardInterrupt, OSError):
        return None


@functools.cache
def _interactive() -> bool:
    """Whether somebody can be asked: there is a terminal, and we stand in its foreground.

    stdin tells nothing: pytest has put /dev/null in its place when the suite is loaded. pytest-xdist's workers would ask one
    by one.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        return False
    try:
        with open(_TERMINAL, "rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


@contextlib.contextmanager
def _terminal_as_it_was() -> Iterator[None]:
    """A run that is interrupted while a thread asks would leave a terminal that does not show what is typed."""
    with open(_TERMINAL, "rb", buffering=0) as terminal:
        restore = functools.partial(termios.tcsetattr, terminal, termios.TCSANOW, termios.tcgetattr(terminal))
        atexit.register(restore)
        try:
            yield
        finally:
            atexit.unregister(restore)


_asking = threading.Lock()
_asked: list[Secret | None] = []
forget_with_settings(_asked.clear)


def _may_have_password() -> bool:
    """Whether there is a point in letting sudo ask; does not ask itself."""
    if _asked:
        return _asked[0] is not None
    if current().sudo_password is not None:
        return True
    return _interactive() or bool(os.environ.get(PASSWORD_VARIABLE))


def _password() -> Secret | None:
    """The run's password, obtained at most once whatever the number of hosts that ask."""
    with _asking:
        if not _asked:
            provider = current().sudo_password or password_from_environment_or_terminal
            _asked.append(provider())
        return _asked[0]
