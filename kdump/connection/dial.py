"""From a name to a connected socket: lookup, TCP or ProxyCommand, each within the deadline."""

import contextlib
import ipaddress
import os
import select
import signal
import socket
import subprocess
import threading
import time
from typing import Any

from kdump.connection.deadline import SLICE, Deadline
from kdump.connection.errors import ConnectionProblem, Kind, Phase, printable, said
from kdump.connection.ssh_config import HostConfig

#: Seconds after which the kernel gives up on data that the peer does not acknowledge, where ssh_config says nothing.
#: Without it a vanished peer is noticed after about 15 minutes (tcp_retries2).
USER_TIMEOUT = 15
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}

Address = tuple[socket.AddressFamily, Any]


def look_up(config: HostConfig, deadline: Deadline) -> list[Address]:
    """The host's addresses, in the resolver's order. Raises ConnectionProblem.

    The C library's resolver knows no deadline, so a name is looked up in a thread of its own.
    """
    family = _FAMILIES.get(config.address_family, socket.AF_UNSPEC)
    numeric = _is_address(config.hostname)
    done = threading.Event()
    found: list[Address] = []
    failure: list[OSError] = []

    def ask() -> None:
        flags = socket.AI_NUMERICHOST if numeric else 0
        try:
            for answer in socket.getaddrinfo(config.hostname, config.port, family, socket.SOCK_STREAM, 0, flags):
                found.append((answer[0], answer[4]))
        except (OSError, UnicodeError) as error:
            failure.append(error if isinstance(error, OSError) else OSError(str(error)))
        done.set()

    if numeric:
        ask()
    else:
        threading.Thread(target=ask, name=f"dns {config.alias}", daemon=True).start()
        if not deadline.wait_until(done):
            raise ConnectionProblem(
                Kind.TIMED_OUT,
                config.alias,
                Phase.DNS,
                f"no answer about {config.hostname} in {deadline.seconds:g} s",
                "check the resolver of this machine",
            )
    if failure:
        raise ConnectionProblem(
            Kind.UNKNOWN_NAME,
            config.alias,
            Phase.DNS,
            f"{config.hostname}: {failure[0].strerror or failure[0]}",
            "correct the name in the inventory, or give it a HostName in ssh_config",
        )
    return found


def connect_tcp(config: HostConfig, deadline: Deadline) -> socket.socket:
    """A connected socket without Nagle's delay and with keepalive. Raises ConnectionProblem.

    Several addresses share the time that is left, so that a dead one does not use up the living one's.
    """
    addresses = look_up(config, deadline)
    problem: ConnectionProblem | None = None
    for index, (family, address) in enumerate(addresses):
        share = deadline.left / (len(addresses) - index)
        try:
            return _connect(config, family, address, deadline, deadline.left - share)
        except ConnectionProblem as error:
            problem = error
    assert problem is not None
    raise problem


def _connect(config: HostConfig, family: socket.AddressFamily, address: Any, deadline: Deadline, keep: float) -> socket.socket:
    shown = f"[{address[0]}]:{address[1]}" if family == socket.AF_INET6 else f"{address[0]}:{address[1]}"
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        _tune(sock, config)
        if config.bind_address:
            sock.bind((config.bind_address, 0))
        sock.setblocking(False)
        code = sock.connect_ex(address)
        poller = select.poll()
        poller.register(sock.fileno(), select.POLLOUT)
        while code in (115, 11):  # EINPROGRESS, EAGAIN
            granted = max(0.0, min(SLICE, deadline.left - keep))
            started = time.monotonic()
            ready = poller.poll(granted * 1000)
            deadline.charge(started, granted)
            if ready:
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            elif deadline.left - keep <= 0:
                raise ConnectionProblem(
                    Kind.TIMED_OUT,
                    config.alias,
                    Phase.TCP,
                    f"no answer from {shown} in {deadline.seconds:g} s",
                    "check that the machine is up and no firewall drops the packets",
                )
        if code:
            raise OSError(code, os.strerror(code))
        return sock
    except ConnectionProblem:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        if isinstance(error, ConnectionRefusedError) or error.errno == 111:
            raise ConnectionProblem(
                Kind.REFUSED,
                config.alias,
                Phase.TCP,
                f"connection refused by {shown}",
                "start sshd there, or correct the port",
            ) from None
        raise ConnectionProblem(
            Kind.UNREACHABLE,
            config.alias,
            Phase.TCP,
            f"{(error.strerror or str(error)).lower()}, {shown}",
            "check the address and the route to it",
        ) from None


def _tune(sock: socket.socket, config: HostConfig) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or about 40 ms for every command
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    patience = config.alive_interval * max(1, config.alive_count) or USER_TIMEOUT
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience * 1000)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


class ProxyProcess:
    """A ProxyCommand at the other end of a socket pair: the transport sees an ordinary socket.

    (paramiko's own ProxyCommand spins at 100 % CPU when the program ends, and loses what it said.)
    """

    def __init__(self, alias: str, command: str) -> None:
        self.command = command
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise ConnectionProblem(
                Kind.UNREACHABLE, alias, Phase.PROXY, f"ProxyCommand: {error.strerror}", "correct it in ssh_config"
            ) from None
        finally:
            theirs.close()
        self.sock = ours
        self._stderr = b""
        self._reader = threading.Thread(target=self._drain, name=f"proxy {alias}", daemon=True)
        self._reader.start()

    def _drain(self) -> None:
        assert self._process.stderr is not None
        while chunk := self._process.stderr.read(4096):
            self._stderr = (self._stderr + chunk)[-4096:]

    def explanation(self) -> str | None:
        """What the program said and how it ended, when it has ended; None while it runs."""
        try:
            status = self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(0.5)
        words = said(self._stderr) or f"exit status {status}"
        return f"via ProxyCommand ({printable(self.command, 80)}): {words}"

    def close(self) -> None:
        self.sock.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, number)
                try:
                    self._process.wait(0.5)
                except subprocess.TimeoutExpired:
                    continue
        if self._process.stderr is not None:
            self._reader.join(0.2)
            if not self._reader.is_alive():
                self._process.stderr.close()
