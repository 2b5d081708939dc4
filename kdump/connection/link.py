"""One authenticated SSH connection: banner, key exchange, host key, user key, within one deadline.

The phases are driven from outside, with paramiko's transport doing the protocol: its own calls wait without a
deadline, or try twice, or sleep. Nothing here executes a command.
"""

import contextlib
import dataclasses
import logging
import random
import socket
import threading
import time
from collections.abc import Sequence

import paramiko

from kdump.connection import algorithms, hostkey, known_hosts
from kdump.connection.authentication import authenticate, words_of
from kdump.connection.deadline import Deadline, Steps, Wait, unread
from kdump.connection.dial import ProxyProcess, connect_tcp
from kdump.connection.errors import ConnectionProblem, Kind, Phase, printable
from kdump.connection.secret import Secret
from kdump.connection.settings import Settings, forget_with_settings
from kdump.connection.ssh_config import HostConfig, resolve
from kdump.connection.transport import Transport

#: paramiko logs a traceback for every failed host; what matters is in our sentence.
_LOG = "kdump.connection.transport"
logging.getLogger(_LOG).setLevel(logging.CRITICAL + 1)
#: Connections that a server drops before its banner, as an overloaded sshd does, are tried so often; more often where it
#: says that it is overloaded (OpenSSH 8.5 and later: "Exceeded MaxStartups"): there is a server, and its crowd will pass.
_BANNER_ATTEMPTS, _OVERLOADED_ATTEMPTS = 3, 8
_FOREVER = 24 * 3600.0
#: One call enciphers and signs a packet, where paramiko's other ciphers need a second one, in Python, for the signature.
_PREFERRED_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"


class Link:
    """An authenticated connection. ``notes``: what ssh_config asks for and was not honoured, hops included."""

    def __init__(self, config: HostConfig, sock: "socket.socket | paramiko.Channel", proxy: ProxyProcess | None) -> None:
        self.config = config
        self.proxy = proxy
        self.sock = sock
        self.notes: list[str] = list(config.notes)
        self.transport = Transport(sock)
        self.transport.set_log_channel(_LOG)
        self.transport.banner_timeout = _FOREVER
        self.transport.auth_timeout = _FOREVER

    @property
    def real_socket(self) -> socket.socket | None:
        """The socket to look at for unread data; None behind a jump host."""
        return self.sock if isinstance(self.sock, socket.socket) else None

    @property
    def alive(self) -> bool:
        return bool(self.transport.is_active() and self.transport.is_authenticated())

    def catch_up(self) -> None:
        """Take in what came since the last command: perhaps the end of the connection."""
        if self.real_socket is not None:
            self.transport.carry_out(_what_came(self.real_socket))

    def close(self) -> None:
        """Never waits for the peer."""
        if isinstance(self.sock, socket.socket):
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self.transport.close()
        self.sock.close()
        if self.proxy is not None:
            self.proxy.close()


def connect(
    config: HostConfig, settings: Settings, deadline: Deadline, password: Secret | None, hops: tuple[str, ...] = ()
) -> Link:
    """A connection to the host of ``config``, through its jump hosts. Raises ConnectionProblem; tries once.

    The one exception to "once": a server that hangs up before its banner, as an overloaded one does, is dialled up to
    three times, or eight; it has neither seen a key nor a command by then.
    """
    for attempt in range(_OVERLOADED_ATTEMPTS):
        link = _dial(config, settings, deadline, password, hops)
        try:
            link.transport.carry_out(_shake_hands(link, settings, deadline, password))
            return link
        except _HungUp as dropped:
            link.close()
            last = attempt == (_OVERLOADED_ATTEMPTS if dropped.overloaded else _BANNER_ATTEMPTS) - 1
            pause = random.uniform(0.3, 1) * min(0.3 * 2**attempt, 2)  # noqa: S311  # jitter
            if last or link.proxy is not None or pause >= deadline.left:
                raise dropped.problem from None
            time.sleep(pause)
            deadline.left -= pause
        except BaseException:
            link.close()
            raise
    raise AssertionError("unreachable")


def _shake_hands(link: Link, settings: Settings, deadline: Deadline, password: Secret | None) -> Steps[None]:
    yield from _exchange_keys(link, settings, deadline)
    yield from authenticate(link, deadline, password)
    if link.config.alive_interval:
        link.transport.set_keepalive(link.config.alive_interval)


def _what_came(sock: socket.socket) -> Steps[None]:
    while unread(sock):
        yield Wait(threading.Event(), 0.001)


class _HungUp(Exception):
    def __init__(self, problem: ConnectionProblem, overloaded: bool) -> None:
        self.problem, self.overloaded = problem, overloaded


def _dial(config: HostConfig, settings: Settings, deadline: Deadline, password: Secret | None, hops: tuple[str, ...]) -> Link:
    if config.proxy_jump:
        return _through(config, settings, deadline, password, hops)
    if config.proxy_command is not None:
        proxy = ProxyProcess(config.alias, config.proxy_command)
        return Link(config, proxy.sock, proxy)
    return Link(config, connect_tcp(config, deadline), None)


# --- jump hosts -----------------------------------------------------------------------------------------------------


class _Bastion:
    """A jump host's connection, shared by all hosts behind it; its failure is shared as well."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.link: Link | None = None
        self.problem: ConnectionProblem | None = None


_bastions: dict[tuple[str, ...], _Bastion] = {}
_bastions_lock = threading.Lock()


@forget_with_settings
def close_bastions() -> None:
    """Hang up on all jump hosts, at the end of a run."""
    with _bastions_lock:
        bastions = list(_bastions.values())
        _bastions.clear()
    for bastion in bastions:
        with bastion.lock:
            if bastion.link is not None:
                bastion.link.close()


def forget_failed_bastions() -> None:
    """Let jump hosts that could not be reached be tried again."""
    with _bastions_lock:
        for chain in [chain for chain, bastion in _bastions.items() if bastion.problem is not None]:
            del _bastions[chain]


def _through(config: HostConfig, settings: Settings, deadline: Deadline, password: Secret | None, hops: tuple[str, ...]) -> Link:
    chain = hops + config.proxy_jump
    if len(chain) > 8 or config.alias in hops:
        raise ConnectionProblem(
            Kind.BAD_CONFIGURATION,
            config.alias,
            Phase.CONFIG,
            f"ProxyJump goes in circles ({' → '.join(chain[:8])})",
            "correct ProxyJump in ssh_config",
        )
    name = config.proxy_jump[-1]
    try:
        bastion = _bastion(config, settings, deadline, password, hops)
    except ConnectionProblem as problem:
        raise problem.via(name, config.alias) from None
    opened = threading.Event()
    result: list[paramiko.Channel | BaseException] = []

    def ask() -> None:
        try:
            result.append(
                bastion.transport.open_channel(
                    "direct-tcpip", (config.hostname, config.port), ("127.0.0.1", 0), timeout=deadline.seconds * 2
                )
            )
        except BaseException as error:
            result.append(error)
        opened.set()

    # open_channel() waits in steps of its own; a thread keeps its time from counting twice.
    threading.Thread(target=ask, name=f"jump {config.alias}", daemon=True).start()
    deadline.wait_until(opened, bastion.real_socket)
    target = f"{config.hostname}:{config.port}"
    if not result or (isinstance(result[0], paramiko.SSHException) and "Timeout" in str(result[0])):
        raise ConnectionProblem(
            Kind.TIMED_OUT,
            config.alias,
            Phase.TCP,
            f"via {name}: no answer from {target} in {deadline.seconds:g} s",
            f"check the route from {name}",
        )
    channel = result[0]
    if isinstance(channel, BaseException):
        refused = isinstance(channel, paramiko.ChannelException)
        raise ConnectionProblem(
            Kind.REFUSED if refused else Kind.LOST,
            config.alias,
            Phase.TCP,
            f"via {name}: {target}: {words_of(channel)}",
            f"check that sshd runs there and that {name} may forward to it",
        )
    return Link(config, channel, None)


def _bastion(config: HostConfig, settings: Settings, deadline: Deadline, password: Secret | None, hops: tuple[str, ...]) -> Link:
    *before, name = config.proxy_jump
    user, host, port = parse_hop(name, config.alias)
    with _bastions_lock:
        shared = _bastions.setdefault((*config.proxy_jump, settings.ssh_config or ""), _Bastion())
    granted = deadline.left
    started = time.monotonic()
    if not shared.lock.acquire(timeout=max(0.0, granted)):
        raise ConnectionProblem(Kind.TIMED_OUT, name, Phase.TCP, f"no connection in {deadline.seconds:g} s")
    deadline.charge(started, granted)
    try:
        if shared.problem is not None:
            raise shared.problem.again()
        if shared.link is None or not shared.link.alive:
            hop = resolve(host, file=settings.ssh_config, user=user, port=port, identity_file=settings.identity_file)
            if before:
                hop = _with_jumps(hop, tuple(before))
            try:
                shared.link = connect(hop, settings, deadline, None, (*hops, config.alias))
                shared.link.transport.read_in_thread()
            except ConnectionProblem as problem:
                shared.problem = problem
                raise problem.again() from None
        return shared.link
    finally:
        shared.lock.release()


def _with_jumps(hop: HostConfig, jumps: tuple[str, ...]) -> HostConfig:
    """``ProxyJump a,b``: b is reached through a, whatever b's own configuration says."""
    return dataclasses.replace(hop, proxy_jump=jumps, proxy_command=None)


def parse_hop(text: str, alias: str) -> tuple[str | None, str, int | None]:
    """``[user@]host[:port]`` or ``ssh://[user@]host[:port]`` → user, host, port.

    >>> parse_hop("ops@bastion:2222", "db1"), parse_hop("ssh://[fe80::1]:22", "db1"), parse_hop("fe80::1", "db1")
    (('ops', 'bastion', 2222), (None, 'fe80::1', 22), (None, 'fe80::1', None))
    """
    rest = text.removeprefix("ssh://").rstrip("/")
    user, at, rest = rest.rpartition("@")
    host, port = rest, ""
    if rest.startswith("["):
        host, _, tail = rest[1:].partition("]")
        port = tail.removeprefix(":")
    elif rest.count(":") == 1:
        host, _, port = rest.partition(":")
    if not host or (port and not (port.isdigit() and 0 < int(port) < 65536)):
        raise ConnectionProblem(
            Kind.BAD_CONFIGURATION, alias, Phase.CONFIG, f"ProxyJump {text} is not understood", "use [user@]host[:port]"
        )
    return (user if at else None), host, (int(port) if port else None)


# --- key exchange and host key --------------------------------------------------------------------------------------


def _exchange_keys(link: Link, settings: Settings, deadline: Deadline) -> Steps[None]:
    config, transport = link.config, link.transport
    hosts = known_hosts.load(config.user_known_hosts + config.global_known_hosts)
    names = known_hosts.lookup_names(config.hostname, config.port, config.host_key_alias)
    _prefer(transport, link, hosts.key_types(names))
    agreed = threading.Event()
    transport.start_client(event=agreed)
    answered = yield from deadline.waiting_until(agreed, link.real_socket)
    if not answered or not transport.is_active():
        raise _no_agreement(link, deadline, answered)
    key = transport.get_remote_server_key()
    note = hostkey.verify(config, settings, hosts, names, key)
    if note:
        link.notes.append(note)


def _prefer(transport: paramiko.Transport, link: Link, known_types: Sequence[str]) -> None:
    """Algorithms as ssh_config has them; a key type that known_hosts knows comes first."""
    options = transport.get_security_options()
    options.ciphers = tuple(algorithms.choose(_PREFERRED_CIPHERS, options.ciphers))
    for keyword, name in (("kexalgorithms", "kex"), ("ciphers", "ciphers"), ("macs", "digests")):
        spec = dict(link.config.algorithms).get(keyword)
        if spec is not None:
            _restrict(link, options, name, keyword, algorithms.choose(spec, getattr(options, name)))
    spec = dict(link.config.algorithms).get("hostkeyalgorithms")
    chosen = algorithms.choose(spec, options.key_types) if spec is not None else list(options.key_types)
    known = [name for name in chosen if name in known_types or (name.startswith("rsa-") and "ssh-rsa" in known_types)]
    _restrict(link, options, "key_types", "hostkeyalgorithms", [*known, *(name for name in chosen if name not in known)])


def _restrict(link: Link, options: paramiko.SecurityOptions, name: str, keyword: str, chosen: list[str]) -> None:
    if chosen:
        setattr(options, name, tuple(chosen))
    else:
        link.notes.append(f"{keyword} leaves no algorithm that is known here and was ignored; --connection=ssh has it")


def _no_agreement(link: Link, deadline: Deadline, answered: bool) -> Exception:
    config, transport = link.config, link.transport
    phase = Phase.KEX if transport.remote_version else Phase.BANNER
    explanation = link.proxy.explanation() if link.proxy is not None else None
    if explanation is not None:
        return ConnectionProblem(
            Kind.UNREACHABLE, config.alias, Phase.PROXY, explanation, "correct the ProxyCommand or the way it goes"
        )
    if not answered:
        missing = "the end of the key exchange" if phase is Phase.KEX else "the SSH banner"
        return ConnectionProblem(
            Kind.TIMED_OUT,
            config.alias,
            phase,
            f"{missing} did not come in {deadline.seconds:g} s",
            "check sshd there: something accepts connections and does not serve them",
        )
    error = transport.get_exception()
    words = words_of(error)
    if phase is Phase.BANNER:
        line = transport.packetizer.last_line
        overloaded = "MaxStartups" in line
        problem = ConnectionProblem(
            Kind.NOT_SSH,
            config.alias,
            phase,
            f"the server said {printable(line, 60)!r} and no SSH banner" if line else "the server hung up before its banner",
            "check that sshd listens on that port and is not overloaded (MaxStartups)",
        )
        return _HungUp(problem, overloaded) if overloaded or not line else problem
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        return ConnectionProblem(
            Kind.NOT_SSH, config.alias, phase, f"no common algorithm ({words})", "use --connection=ssh for this host"
        )
    return ConnectionProblem(Kind.LOST, config.alias, phase, f"the connection ended: {words}", "check sshd's log on the host")
