"""paramiko's transport, read by the thread that waits for the host.

paramiko reads in a thread of its own per connection, to and from which whoever asks hands everything: some two hundred
changes of threads for one host, which cost more than half of all that asking it costs. A run asks a host one thing after
the other. So what is to be done on a connection is written as steps (:data:`kdump.connection.deadline.Steps`), and
:meth:`Transport.carry_out` runs paramiko's loop right where it is called: between two packets the steps go on, and when they
are through the loop is left, to be entered again by the next steps. Where several share a connection (a jump host), or
where paramiko itself waits (SFTP), a thread reads as ever.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from typing import Any, Generic, TypeVar

import paramiko
from paramiko.common import MSG_CHANNEL_WINDOW_ADJUST, cMSG_CHANNEL_OPEN
from paramiko.packet import Packetizer
from paramiko.transport import _active_threads

from kdump.connection.deadline import SLICE, Steps, Wait, carried_out

T = TypeVar("T")
_BETWEEN_LOOKS = 0.1  # s, at most: paramiko's timeout of a read
_PIECE = 16384  # bytes that are read at once, at least; larger ones scatter over the heaps of many threads


class _Left(BaseException):
    """The loop is left and the connection stays as it is: paramiko takes every Exception for its end."""


class _Work(Generic[T]):
    """Steps that are under way. ``over``: they are through, or gave up."""

    def __init__(self, steps: Steps[T]) -> None:
        self._steps, self._wait = steps, Wait(threading.Event(), 0.0)
        self._since = 0.0
        self._result: T | None = None
        self._problem: BaseException | None = None
        self.over = False
        self._go_on(None)

    def advance(self) -> None:
        """Go on as far as that is possible without waiting."""
        while not self.over:
            happened = self._wait.event.is_set()
            # the next look may be that much later, and a deadline is charged with what was asked for at most
            enough = max(self._wait.seconds / 2, self._wait.seconds - _BETWEEN_LOOKS)
            if not happened and time.monotonic() - self._since < enough:
                return
            self._go_on(happened)

    def result(self) -> T:
        """What came of it, waited for where that is still necessary."""
        while not self.over:
            self._go_on(self._wait.event.wait(self._wait.seconds))
        if self._problem is not None:
            raise self._problem
        return self._result  # type: ignore[return-value]  # None only where that is T

    def _go_on(self, happened: bool | None) -> None:
        try:
            self._wait = self._steps.send(happened)  # type: ignore[arg-type]  # None begins
            self._since = time.monotonic()
        except StopIteration as end:
            self._result, self.over = end.value, True
        except BaseException as problem:  # it is for whoever waits for the result, not for paramiko's loop
            self._problem, self.over = problem, True


class _Source:
    """The socket. paramiko reads a packet in two or three pieces, each a call that hands the interpreter to another thread;
    here what came is read at once. Lets ``work`` go on before every look at the socket, whatever is being read.

    As long as it ``holds``, what is to be sent is held until there is nothing to do but read, and goes in one piece: some
    messages follow each other, and of each call that may wait the other threads want to know.

    What came is acknowledged at once. sshd leaves Nagle's algorithm on until a command runs (OpenSSH's session.c and packet.c:
    do_exec_no_pty() calls ssh_packet_set_interactive(), which sets TCP_NODELAY): the second of its small packets after the
    login waits for that, which the kernel delays by 40 ms. TCP_QUICKACK does not last (tcp(7))."""

    def __init__(self, sock: Any) -> None:
        self._sock, self._rest = sock, b""
        self._is_tcp = getattr(sock, "family", None) in (socket.AF_INET, socket.AF_INET6)  # or a proxy's pipe, or a channel
        self._is_socket = isinstance(sock, socket.socket)
        if self._is_socket:
            sock.setblocking(True)  # the kernel waits: Python's own timeouts are a second call
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(SLICE), round(SLICE % 1 * 1e6)))
        self._held = bytearray()
        self._sending = threading.Lock()
        self._between = False  # nothing of the next packet was handed out yet
        self.holds = False
        self.work: _Work[Any] | None = None

    def settimeout(self, seconds: float) -> None:
        """A channel waits as long as paramiko wants it to; a socket is waited for here."""
        if not self._is_socket:
            self._sock.settimeout(seconds)

    def recv(self, size: int) -> bytes:
        if not self._rest:
            self._let_work()
        data: bytes = self._rest or self._received(max(size, _PIECE))
        self._rest = data[size:]
        if data:
            self._between = False
        return data[:size]

    def _received(self, most: int) -> bytes:
        """What came, waited for no longer than :data:`SLICE`. Raises :class:`TimeoutError`: paramiko comes again."""
        if not self._is_socket:
            data: bytes = self._sock.recv(most)
            return data
        if not self.send_held() and not self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
            raise TimeoutError
        try:
            data = self._sock.recv(most)
        except BlockingIOError:
            raise TimeoutError from None
        if self._is_tcp and data:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data

    def send(self, data: bytes) -> int:
        """Hold it, or send what the peer takes. Raises :class:`TimeoutError` where it takes none: paramiko comes again."""
        if not self._is_socket:
            return int(self._sock.send(data))
        if self.holds:
            self._held += data
            return len(data)
        with contextlib.suppress(BlockingIOError):
            if self.send_held():
                return int(self._sock.send(data, socket.MSG_DONTWAIT))
        self._wait(select.POLLOUT)
        raise TimeoutError

    def _wait(self, events: int) -> int:
        """Wait for one of these, no longer than :data:`SLICE`; what happened."""
        poller = select.poll()
        poller.register(self._sock, events)
        return next((happened for _, happened in poller.poll(1000 * SLICE)), 0)

    def send_held(self) -> bool:
        """Send as much of what is held as the peer takes; whether that was all."""
        if not self._held:
            return True
        with self._sending:
            try:
                while self._held:
                    del self._held[: self._sock.send(self._held, socket.MSG_DONTWAIT)]
            except BlockingIOError:
                return False
            except OSError:
                self._held.clear()  # it hung up: what it said before that is still to be read, and then the end
        return True

    def next_packet(self) -> None:
        """The last one was read to its end."""
        self._between = True
        self._let_work()

    def _let_work(self) -> None:
        if self.work is None:
            return
        self.work.advance()
        if self.work.over:
            if self._between:
                raise _Left
            raise EOFError  # half a packet was read: nothing can follow on this connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Packetizer(Packetizer):  # type: ignore[misc]  # untyped base
    """``silent``: what is written next is not to be sent. Without paramiko's timer thread per handshake: the deadline is ours."""

    def __init__(self, source: _Source) -> None:
        super().__init__(source)
        self._source = source
        self.silent = False
        self.last_line = ""  #: what was said before the banner, or instead of one

    def read_message(self) -> Any:
        self._source.next_packet()
        return super().read_message()

    def write_all(self, out: bytes) -> None:
        if not self.silent:
            super().write_all(out)
        self.silent = False

    def readline(self, timeout: float) -> str:
        line = str(super().readline(timeout))
        self.last_line = line or self.last_line
        return line

    def start_handshake(self, timeout: float) -> None:
        pass

    def complete_handshake(self) -> None:
        pass

    def handshake_timed_out(self) -> bool:
        return False


class Channel(paramiko.Channel):  # type: ignore[misc]  # untyped base
    """A session that tells of everything that may let whoever uses it go on."""

    _told: threading.Event | None = None

    def tell(self, event: threading.Event) -> None:
        """Set ``event`` when output came, or its end, or room for input: OpenSSH's sshd gives none before the command runs."""
        self._told = event
        self.in_buffer.set_event(event)
        self.in_stderr_buffer.set_event(event)

    def make_room(self, message: paramiko.Message) -> None:
        """The server takes more input."""
        self._window_adjust(message)
        if self._told is not None:
            self._told.set()


class Transport(paramiko.Transport):  # type: ignore[misc]  # untyped base
    """Nobody reads but :meth:`carry_out`, as long as nobody calls :meth:`read_in_thread`."""

    _channel_handler_table = {  # noqa: RUF012  # paramiko's, with a channel that tells
        **paramiko.Transport._channel_handler_table,
        MSG_CHANNEL_WINDOW_ADJUST: lambda channel, message: (
            channel.make_room(message) if isinstance(channel, Channel) else channel._window_adjust(message)
        ),
    }

    def __init__(self, sock: Any) -> None:
        self._source = _Source(sock)
        super().__init__(self._source, packetizer_class=_Packetizer)
        self._entered = self._entering_again = False

    def carry_out(self, steps: Steps[T]) -> T:
        """Carry out what is to be done on this connection; raises what the steps raise. For one thread at a time."""
        if self.is_alive():
            return carried_out(steps)
        self._source.holds = True
        try:
            work = _Work(steps)
            if self.active and not work.over:
                self._source.work = work
                self.run()
        finally:
            self._source.work, self._source.holds = None, False
            self._source.send_held()
        return work.result()

    def close(self) -> None:
        """Hang up. The table of its own methods would keep it, and all that it holds, until the cycle collector looks."""
        super().close()
        if not self.is_alive():
            self._handler_table.clear()

    def read_in_thread(self) -> None:
        """From now on a thread reads."""
        if self.active and not self.is_alive():
            threading.Thread.start(self)

    def _log(self, level: int, msg: str, *args: Any) -> None:
        """Nothing: what matters is in the sentences of our problems, and paramiko would format some thirty lines per host."""

    def start(self) -> None:
        """paramiko's start_client() would start the thread here."""

    def run(self) -> None:
        """paramiko's loop, without what leads to it where that was done before."""
        self._entering_again = self.packetizer.silent = self._entered
        self._entered = True
        try:
            super().run()
        except _Left:
            _active_threads.remove(self)

    def _check_banner(self) -> None:
        if not self._entering_again:
            super()._check_banner()

    def _send_kex_init(self) -> None:
        if not self._entering_again:
            super()._send_kex_init()

    def _expect_packet(self, *kinds: bytes) -> None:
        if self._entering_again:
            self._entering_again = False  # nothing else stands between here and the loop
        else:
            super()._expect_packet(*kinds)

    def begin_session(self) -> tuple[Channel, threading.Event]:
        """Ask for a session channel; the event tells that the answer came. paramiko's own open_session() waits for it."""
        answered = threading.Event()
        with self.lock:
            number = self._next_channel()
            channel = Channel(number)
            self._channels.put(number, channel)
            self.channel_events[number] = answered
            self.channels_seen[number] = True
            channel._set_transport(self)
            channel._set_window(self.default_window_size, self.default_max_packet_size)
        request = paramiko.Message()
        request.add_byte(cMSG_CHANNEL_OPEN)
        request.add_string("session")
        request.add_int(number)
        request.add_int(channel.in_window_size)
        request.add_int(channel.in_max_packet_size)
        self._send_user_message(request)
        return channel, answered

    def is_open(self, channel: paramiko.Channel) -> bool:
        """Whether the server granted it."""
        return self._channels.get(channel.chanid) is channel
