"""SSH servers on loopback that go wrong in one chosen way, and count what was asked of them."""

import contextlib
import dataclasses
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import paramiko

HOST_KEY = paramiko.ECDSAKey.generate()


class Server:
    """Listens on a free port; ``connections`` and ``executions`` count. ``fault`` names the way it goes wrong."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.connections = 0
        self.attempts = 0
        self.executions = 0
        self.over = threading.Event()
        self._held: list[object] = []
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        if fault == "black hole":
            self._fill_backlog()
        elif fault == "refused":
            self._socket.close()
        else:
            self._socket.listen(64)
            threading.Thread(target=self._accept, daemon=True).start()

    @property
    def known_hosts(self) -> str:
        return f"[127.0.0.1]:{self.port} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n"

    def stop(self) -> None:
        self.over.set()
        for held in (self._socket, *self._held):
            with contextlib.suppress(OSError, EOFError):
                held.close()  # type: ignore[attr-defined]

    def _fill_backlog(self) -> None:
        """With the backlog full the kernel drops every further SYN: nobody answers, as behind a firewall."""
        self._socket.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._held.append(filler)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._held.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            before_ssh = _BEFORE_SSH.get(self.fault)
            if before_ssh is not None:
                before_ssh(self, peer)
                return
            if self.fault == "overloaded once" and self.connections == 1:
                peer.close()
                return
            transport = paramiko.Transport(peer)
            transport.set_log_channel("selftests.misbehaving")
            transport.add_server_key(HOST_KEY)
            self._held.append(transport)
            transport.start_server(event=threading.Event(), server=_Session(self, peer))
            while not self.over.is_set():
                channel = transport.accept(0.2)
                if channel is not None:
                    self._held.append(channel)


class _Session(paramiko.ServerInterface):
    def __init__(self, server: Server, peer: socket.socket) -> None:
        self.server, self.peer = server, peer

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.server.attempts += 1
        if self.server.fault == "silent at auth":
            self.server.over.wait()
        return paramiko.AUTH_FAILED if self.server.fault == "refuses keys" else paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if self.server.fault == "silent at session":
            self.server.over.wait()
        if self.server.fault == "refuses sessions":
            return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.server.executions += 1
        fault = self.server.fault
        if fault == "silent at exec":
            self.server.over.wait()
            return False
        if fault == "refuses exec":
            return False
        if fault in ("reset at exec", "hangs up at exec"):
            linger = struct.pack("ii", 1, 0)  # close() sends RST
            if fault == "reset at exec":
                self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.peer.shutdown(socket.SHUT_RDWR) if fault == "hangs up at exec" else self.peer.close()
            return True
        threading.Thread(target=self._answer, args=(channel,), daemon=True).start()
        return True

    def _answer(self, channel: paramiko.Channel) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self.server.over.wait(0.05)  # the reply to the request goes first
            _COMMANDS[self.server.fault](self, channel)

    # What a command does, by fault.

    def healthy(self, channel: paramiko.Channel) -> None:
        channel.sendall(b"fine\xff\x00\n")
        self._end(channel)

    def _end(self, channel: paramiko.Channel) -> None:
        channel.send_exit_status(0)
        channel.close()

    def hangs(self, channel: paramiko.Channel) -> None:
        channel.sendall(b"partial")
        self.server.over.wait()

    def drips(self, channel: paramiko.Channel) -> None:
        while not self.server.over.wait(0.1):
            channel.sendall(b".")

    def keeps_stdout_open(self, channel: paramiko.Channel) -> None:
        channel.sendall(b"complete\n")
        channel.send_exit_status(0)
        self.server.over.wait()

    def floods(self, send: Callable[[bytes], None], total: int) -> None:
        block = b"x" * 32768
        for _ in range(total // len(block)):
            send(block)

    def floods_stderr(self, channel: paramiko.Channel) -> None:
        self.floods(channel.sendall_stderr, 5 << 20)
        channel.sendall(b"survived\n")
        self._end(channel)

    def floods_stdout(self, channel: paramiko.Channel) -> None:
        self.floods(channel.sendall, 300 << 20)
        self._end(channel)

    def no_status(self, channel: paramiko.Channel) -> None:
        channel.sendall(b"partial")
        channel.close()

    def cut(self, channel: paramiko.Channel) -> None:
        channel.sendall(b"partial")
        self.server.over.wait(0.1)
        self.peer.shutdown(socket.SHUT_RDWR)

    def cut_after_status(self, channel: paramiko.Channel) -> None:
        channel.sendall(b"partial")
        channel.send_exit_status(0)
        self.server.over.wait(0.1)
        self.peer.shutdown(socket.SHUT_RDWR)


_COMMANDS: dict[str, Callable[[_Session, paramiko.Channel], None]] = {
    "": _Session.healthy,
    "overloaded once": _Session.healthy,
    "hangs": _Session.hangs,
    "drips": _Session.drips,
    "keeps stdout open": _Session.keeps_stdout_open,
    "floods stderr": _Session.floods_stderr,
    "floods stdout": _Session.floods_stdout,
    "no exit status": _Session.no_status,
    "cut mid-output": _Session.cut,
    "cut after the status": _Session.cut_after_status,
}


def _silent(server: Server, peer: socket.socket) -> None:
    server.over.wait()


def _drip_banner(server: Server, peer: socket.socket) -> None:
    for char in b"SSH-2.0-" + b"slow" * 100:
        peer.sendall(bytes([char]))
        if server.over.wait(0.1):
            return


def _banner_only(server: Server, peer: socket.socket) -> None:
    peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    server.over.wait()


def _http(server: Server, peer: socket.socket) -> None:
    peer.recv(100)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    peer.close()


def _junk(server: Server, peer: socket.socket) -> None:
    while not server.over.is_set():
        peer.sendall(b"\x1b]0;junk\x07\r\n" * 100)


_BEFORE_SSH: dict[str, Callable[[Server, socket.socket], None]] = {
    "no banner": _silent,
    "drips its banner": _drip_banner,
    "silent at kex": _banner_only,
    "speaks HTTP": _http,
    "hangs up": lambda server, peer: peer.close(),
    "endless junk": _junk,
}


@contextlib.contextmanager
def running(fault: str) -> Iterator[Server]:
    server = Server(fault)
    try:
        yield server
    finally:
        server.stop()


@dataclasses.dataclass
class Elsewhere:
    port: int
    known_hosts: str


@contextlib.contextmanager
def elsewhere(fault: str) -> Iterator[Elsewhere]:
    """The server in a process of its own, so that a busy client does not slow it down."""
    process = subprocess.Popen([sys.executable, __file__, fault], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        known_hosts = process.stdout.readline()
        yield Elsewhere(int(known_hosts.split()[0].rpartition(":")[2]), known_hosts)
    finally:
        process.kill()
        process.wait(5)


if __name__ == "__main__":
    with running(sys.argv[1]) as served:
        print(served.known_hosts, end="", flush=True)
        sys.stdin.read()
