"""Who we are, shown to a host: the user's keys in one pass, then the password; on one connection, in bounded time."""

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import paramiko
from paramiko.agent import Agent

from kdump.connection import keys
from kdump.connection.deadline import Deadline, Steps
from kdump.connection.errors import ConnectionProblem, Kind, Phase, printable
from kdump.connection.secret import Secret
from kdump.connection.ssh_config import HostConfig

if TYPE_CHECKING:
    from kdump.connection.link import Link


def authenticate(link: "Link", deadline: Deadline, password: Secret | None) -> Steps[None]:
    """One pass over the keys, then the password; all on this connection."""
    config, transport = link.config, link.transport
    ring, agent = keys.key_ring(config)
    try:
        tried = 0
        for _, key in ring.keys:
            tried += 1
            if (yield from _attempt(link, deadline, partial(transport.auth_publickey, config.user, key))):
                return
            if "publickey" not in _allowed(transport, "publickey"):
                break
        if password is not None:
            if (yield from _by_password(link, deadline, password)):
                return
        elif not ring.keys and (yield from _attempt(link, deadline, partial(_none, transport, config.user))):
            return
        raise _refused(link, ring, tried, password)
    finally:
        if isinstance(agent, Agent):
            agent.close()


def _by_password(link: "Link", deadline: Deadline, password: Secret) -> Steps[bool]:
    """The password by the method of that name, or as the answer to the one question of keyboard-interactive."""
    config, transport = link.config, link.transport
    by_name = partial(transport.auth_password, config.user, password.reveal())
    if config.password and (yield from _attempt(link, deadline, by_name)):
        return True
    if not config.keyboard_interactive or "keyboard-interactive" not in _allowed(transport, ""):
        return False

    def answer(title: str, instructions: str, questions: list[tuple[str, bool]]) -> list[str]:
        return [password.reveal()] if len(questions) == 1 else [""] * len(questions)

    def start(event: threading.Event) -> None:
        transport.auth_handler = paramiko.auth_handler.AuthHandler(transport)
        transport.auth_handler.auth_interactive(config.user, answer, event)

    return (yield from _attempt(link, deadline, start))


def _none(transport: paramiko.Transport, user: str, event: threading.Event) -> None:
    """ "none", for servers that let everybody in, and to learn what the others want."""
    transport.auth_handler = paramiko.auth_handler.AuthHandler(transport)
    transport.auth_handler.auth_none(user, event)


def _attempt(link: "Link", deadline: Deadline, start: Callable[[threading.Event], object]) -> Steps[bool]:
    transport, config = link.transport, link.config
    transport.saved_exception = None
    answered = threading.Event()
    try:
        start(answered)
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise _cut(config, error) from None
    if not (yield from deadline.waiting_until(answered, link.real_socket)):
        raise ConnectionProblem(
            Kind.TIMED_OUT,
            config.alias,
            Phase.AUTH,
            f"no answer to the authentication in {deadline.seconds:g} s",
            "check sshd and what it asks (PAM, LDAP, DNS) on the host",
        )
    if transport.is_authenticated():
        return True
    if not transport.is_active():
        raise _cut(config, transport.get_exception())
    return False


def _cut(config: HostConfig, error: BaseException | None) -> ConnectionProblem:
    return ConnectionProblem(
        Kind.AUTHENTICATION_FAILED,
        config.alias,
        Phase.AUTH,
        f"the server hung up during the authentication of {config.user} ({words_of(error)})",
        "offer fewer keys (IdentityFile with IdentitiesOnly yes) or look into sshd's log on the host",
    )


def _allowed(transport: paramiko.Transport, default: str) -> list[str]:
    """The methods that the server still offers, as its last refusal said."""
    error = transport.saved_exception
    allowed = getattr(error, "allowed_types", None)
    return list(allowed) if allowed else [default]


def _refused(link: "Link", ring: keys.KeyRing, tried: int, password: Secret | None) -> ConnectionProblem:
    config, transport = link.config, link.transport
    error = transport.saved_exception
    offered = [f"tried {keys.describe(ring.keys[:tried])}"] if tried or not password else []
    offered += ["the password of KDUMP_SSH_PASSWORD"] if password is not None and config.password else []
    wants = _allowed(transport, "")
    said = f"the host wants {', '.join(map(printable, wants))}" if wants != [""] else ""
    if isinstance(error, paramiko.ssh_exception.PartialAuthentication):
        said = f"a further factor is wanted: {', '.join(map(printable, wants))}"
    remedy = f"add a key for {config.user} (ssh-copy-id), or name one by IdentityFile in ssh_config"
    if config.gssapi and any(method.startswith("gssapi") for method in wants):
        remedy += "; Kerberos (GSSAPI) is spoken by --connection=ssh only"
    parts = [part for part in (f"{config.user} was refused", ", ".join(offered), said, *ring.complaints) if part]
    return ConnectionProblem(Kind.AUTHENTICATION_FAILED, config.alias, Phase.AUTH, "; ".join(parts), remedy)


def words_of(error: BaseException | None) -> str:
    """An exception's message without paramiko's prefixes; its name when it has none."""
    if error is None:
        return "closed by the server"
    if isinstance(error, EOFError):
        return "closed by the server"
    if isinstance(error, paramiko.ChannelException):
        return str(error.text or error.code).lower()
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).lower()
    return printable(str(error) or type(error).__name__, 160)
