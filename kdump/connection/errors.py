"""What can go wrong between this machine and a target, told apart, one sentence each.

Every trouble of a connection is a :class:`ConnectionProblem`. Its text names the host, the phase that failed
and what to do; it is one line, printable, and never holds a secret. Text that a remote machine had a hand in
passes :func:`printable` first.
"""

import enum
import unicodedata

from kdump.transcript import mask


class Kind(enum.Enum):
    """The kinds of trouble that a user tells apart. The value is the word used in reports and JUnit."""

    UNKNOWN_NAME = "unknown name"  #: the name does not resolve
    UNREACHABLE = "unreachable"  #: no route, no answer
    REFUSED = "connection refused"  #: a machine answers, nobody listens
    NOT_SSH = "not an SSH server"  #: something answers that cannot be talked to
    UNKNOWN_HOST_KEY = "unknown host key"
    HOST_KEY_CHANGED = "host key changed"
    HOST_KEY_REVOKED = "host key revoked"
    AUTHENTICATION_FAILED = "authentication failed"
    NO_SUDO = "no sudo"
    NOT_POSIX = "no POSIX shell"
    TIMED_OUT = "timed out"
    LOST = "connection lost"
    OUTPUT_CAPPED = "output capped"
    NO_SFTP = "no SFTP"
    BAD_CONFIGURATION = "bad configuration"


class Phase(enum.Enum):
    """The phases of a connection, in order. The value is what the sentence shows."""

    CONFIG = "config"
    DNS = "dns"
    TCP = "tcp"
    PROXY = "proxy"
    BANNER = "banner"
    KEX = "kex"
    HOSTKEY = "hostkey"
    AUTH = "auth"
    SESSION = "session"
    EXEC = "exec"
    SUDO = "sudo"


#: Before this point the host was never spoken to: "unreachable"; after it, its answer is what is missing.
_SPOKEN_TO = frozenset({Phase.SESSION, Phase.EXEC, Phase.SUDO})


class ConnectionProblem(Exception):
    """A target could not be asked. ``str()`` is one sentence: host, phase, what happened, what to do.

    ``kind`` is for programs, ``remedy`` is the "what to do" part alone. ``stdout`` and ``stderr`` hold what had
    arrived before the trouble (bytes, incomplete, evidence only: never to be parsed as an answer).
    """

    def __init__(
        self,
        kind: Kind,
        host: str,
        phase: Phase,
        what: str,
        remedy: str = "",
        *,
        stdout: bytes = b"",
        stderr: bytes = b"",
    ) -> None:
        self.kind = kind
        self.host = printable(host)
        self.phase = phase
        self.what = printable(what)
        self.remedy = printable(remedy)
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """The whole problem in one line.

        >>> print(ConnectionProblem(Kind.REFUSED, "db1", Phase.TCP, "connection refused by 10.1.2.3:22", "start sshd"))
        db1: unreachable (tcp: connection refused by 10.1.2.3:22); start sshd
        """
        word = "could not be asked" if self.phase in _SPOKEN_TO else "unreachable"
        text = f"{self.host}: {word} ({self.phase.value}: {self.what})"
        return f"{text}; {self.remedy}" if self.remedy else text

    def via(self, hop: str, host: str) -> "ConnectionProblem":
        """The same problem as seen by ``host``, which is reached through ``hop``.

        >>> problem = ConnectionProblem(Kind.REFUSED, "bastion", Phase.TCP, "connection refused", "start sshd")
        >>> print(problem.via("bastion", "db1"))
        db1: unreachable (tcp: via bastion: connection refused); start sshd
        """
        what = self.what if self.what.startswith("via ") else f"via {hop}: {self.what}"
        return ConnectionProblem(self.kind, host, self.phase, what, self.remedy, stdout=self.stdout, stderr=self.stderr)

    def again(self) -> "ConnectionProblem":
        """A fresh copy to raise: one exception object raised twice would collect tracebacks."""
        return ConnectionProblem(self.kind, self.host, self.phase, self.what, self.remedy, stdout=self.stdout, stderr=self.stderr)


def printable(text: str, limit: int = 400) -> str:
    """``text`` as one harmless line: control, format and bidi characters escaped, at most ``limit`` characters.

    >>> printable("a\\x1b[2Jb\\nc\\u202ed")
    'a\\\\x1b[2Jb c\\\\u202ed'
    >>> len(printable("x" * 1000))
    400
    """
    line = " ".join(text[: limit * 4].split())
    safe = "".join(char if unicodedata.category(char)[0] != "C" else char.encode("unicode_escape").decode() for char in line)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def said(raw: bytes, limit: int = 200) -> str:
    """The last non-empty line of a remote program's output, printable and without passwords; '' when there is none.

    >>> said(b"Welcome\\nsudo: a password is required\\n\\n")
    'sudo: a password is required'
    """
    lines = [line for line in raw[-4096:].decode("utf-8", "replace").splitlines() if line.strip()]
    return printable(mask(lines[-1]), limit) if lines else ""
