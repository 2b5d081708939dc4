"""testinfra's paramiko backend, made fit for machines that nobody watches: verified, bounded, never twice."""

import contextlib
import os
import threading
import time
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST
from testinfra.backend.paramiko import ParamikoBackend

from kdump.connection.deadline import Deadline, Steps
from kdump.connection.errors import ConnectionProblem, Kind, Phase
from kdump.connection.execution import Executed, ExecutingBackend
from kdump.connection.link import Link, connect, forget_failed_bastions
from kdump.connection.secret import Secret
from kdump.connection.settings import current
from kdump.connection.sftp import SftpFile
from kdump.connection.ssh_config import HostConfig, resolve
from kdump.connection.sudo import Escort
from kdump.connection.transport import Channel

PASSWORD_VARIABLE = "KDUMP_SSH_PASSWORD"  # noqa: S105  # a name
#: Seconds of silence after a command's exit status before we stop waiting for the end of its output: a child left in
#: the background holds the stream open for as long as it lives.
QUIET = 1.0
_TESTINFRA_TIMEOUT = 10  # testinfra's default: not a wish of the user


class SshBackend(ExecutingBackend, ParamikoBackend):  # type: ignore[misc]  # untyped base
    """``paramiko://`` and plain host names.

    ``notes`` holds, after the first use, sentences about ssh_config settings that are not honoured. One attempt to
    connect per run: a failure is remembered and raised again without waiting. Not for use by two threads at once,
    except for :meth:`close`.
    """

    #: Set by an inventory that knows the host's own sudo password.
    sudo_password: Secret | None = None

    def __init__(self, hostspec: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(hostspec, *args, **kwargs)
        self.notes: list[str] = []
        self._link: Link | None = None
        self._problem: ConnectionProblem | None = None
        self._lock = threading.RLock()

    def execute(self, command: str, *, stdin: bytes = b"", deadline: float, cap: int) -> Executed:
        # The lock keeps one connection from being opened twice; the command itself runs outside of it.
        link = self._connected()
        escort = Escort(self.hostname, command, stdin, sudo=self.sudo, user=self.sudo_user, password=self.sudo_password)
        try:
            return link.transport.carry_out(_converse(link, self.hostname, escort, Deadline(deadline), cap))
        except ConnectionProblem as problem:
            if problem.kind is Kind.LOST and not link.alive:
                self._problem = problem
            raise

    def sftp_read(self, path: str) -> SftpFile:
        """``path`` on the target, read by offset over the same connection. Raises ConnectionProblem, Unreadable."""
        link = self._connected()
        opened = _open(link, self.hostname, "subsystem", b"sftp", Deadline(current().command_timeout))
        channel = link.transport.carry_out(opened)
        link.transport.read_in_thread()
        return SftpFile(self.hostname, channel, path, current().command_timeout)

    def close(self) -> None:
        """Hang up; never waits for the peer."""
        with self._lock:
            if self._link is not None:
                self._link.close()
                self._link = None

    @property
    def doing(self) -> str:
        """What a call that is under way waits for."""
        return "connect" if self._link is None else "probe"

    def forget(self) -> None:
        """Forget a failure to connect: the next command tries again. For a host that is known to go away and come back."""
        with self._lock:
            self.close()
            self._problem = None
        forget_failed_bastions()

    def resolve(self) -> HostConfig:
        """What ssh_config and the options say about this host. Raises ConnectionProblem(BAD_CONFIGURATION)."""
        if self.host.password is not None:
            raise ConnectionProblem(
                Kind.BAD_CONFIGURATION,
                self.hostname,
                Phase.CONFIG,
                "a password stands in the host's name",
                f"use a key, or put the password into {PASSWORD_VARIABLE}",
            )
        settings = current()
        return resolve(
            self.host.name,
            file=self.ssh_config or settings.ssh_config,
            user=self.host.user,
            port=int(self.host.port) if self.host.port else None,
            identity_file=self.ssh_identity_file or settings.identity_file,
        )

    @property
    def client(self) -> paramiko.SSHClient:
        """paramiko's client over the verified connection, for drafts that need more than commands."""
        client = paramiko.SSHClient()
        client._transport = self._connected().transport
        client._transport.read_in_thread()
        return client

    def _connected(self) -> Link:
        with self._lock:
            if self._problem is not None:
                raise self._problem.again()
            if self._link is not None:
                self._link.catch_up()
            if self._link is not None and self._link.alive:
                return self._link
            self.close()
            try:
                self._link = self._connect()
            except ConnectionProblem as problem:
                self._problem = problem
                raise
            self.notes[:] = self._link.notes
            return self._link

    def _connect(self) -> Link:
        config = self.resolve()
        self.notes[:] = config.notes
        settings = current()
        seconds = settings.seconds_to_connect(config.connect_timeout)
        if self.timeout != _TESTINFRA_TIMEOUT:
            seconds = float(self.timeout)
        password = os.environ.get(PASSWORD_VARIABLE)
        return connect(config, settings, Deadline(seconds), Secret(password) if password else None)


class _Wakeup(threading.Event):
    """Set by a channel, and by both of its streams: paramiko's buffers clear it whenever one of them is empty; only we may."""

    def clear(self) -> None:
        pass

    def rearm(self) -> None:
        super().clear()


def _open(link: Link, host: str, kind: str, payload: bytes, deadline: Deadline) -> Steps[Channel]:
    """A session channel whose request (``exec`` or ``subsystem``) is on its way; its answer is not waited for.

    paramiko's exec_command() waits for that answer without a limit; not waiting also saves a round trip.
    """
    transport = link.transport
    lost = "the connection was lost before the command was sent"
    if not (yield from deadline.waiting_until(transport.clear_to_send, link.real_socket)):
        raise _no_session(host, deadline)
    try:
        channel, answered = transport.begin_session()
    except (paramiko.SSHException, EOFError, OSError):
        raise _lost(host, Phase.SESSION, lost) from None
    in_time = yield from deadline.waiting_until(answered, link.real_socket)
    if not transport.is_active():
        raise _lost(host, Phase.SESSION, lost)
    if not in_time:
        raise _no_session(host, deadline)
    if not transport.is_open(channel):
        refusal = transport.get_exception()
        raise ConnectionProblem(
            Kind.LOST,
            host,
            Phase.SESSION,
            f"the server refused a session: {getattr(refusal, 'text', refusal)}",
            "check MaxSessions and the account's restrictions in sshd_config",
        )
    request = paramiko.Message()
    request.add_byte(cMSG_CHANNEL_REQUEST)
    request.add_int(channel.remote_chanid)
    request.add_string(kind)
    request.add_boolean(True)
    request.add_string(payload)
    channel._event_pending()
    try:
        transport._send_user_message(request)
    except (paramiko.SSHException, EOFError, OSError):
        raise _lost(host, Phase.EXEC, "the connection was lost as the command was sent") from None
    return channel


def _no_session(host: str, deadline: Deadline) -> ConnectionProblem:
    return ConnectionProblem(
        Kind.TIMED_OUT,
        host,
        Phase.SESSION,
        f"the session was not opened in {deadline.seconds:g} s",
        "check the host's load and sshd's log",
    )


def _converse(link: Link, host: str, escort: Escort, deadline: Deadline, cap: int) -> Steps[Executed]:
    """Send, drain both streams, judge the end. Whatever happens, the command was sent once."""
    channel = yield from _open(link, host, "exec", os.fsencode(escort.command), deadline)
    wakeup = _Wakeup()
    channel.tell(wakeup)
    channel.settimeout(0.0)
    out, err = bytearray(), bytearray()
    pending = escort.start
    sent_end = False
    silent_since: float | None = None
    try:
        while True:
            wakeup.rearm()
            # Sampled before the last drain: whatever arrived before these were true is in the buffers by now.
            status = channel.exit_status
            ended, closed = bool(channel.eof_received), channel.closed
            # While new keys are agreed upon nothing may be sent, nor that what was received made room for more.
            may_send = link.transport.clear_to_send.is_set() or closed
            grown = may_send and _drain(channel, out, err, cap)
            if len(out) > cap or len(err) > cap:
                raise _capped(host, escort, out, err, cap)
            pending += escort.advance(out, err)
            if pending and may_send:
                pending, grown = _send(channel, pending), True
            if not pending and escort.ended and not sent_end and may_send:
                sent_end = True
                _end_of_input(channel)
            if status >= 0 and (ended or closed) and may_send:
                if not ended and not (yield from _still_there(link, deadline)):
                    raise (yield from _broken(link, host, escort, out, err))
                return escort.finish(out, err, status)
            if closed:
                raise (yield from _broken(link, host, escort, out, err))
            if status >= 0 and may_send:
                now = time.monotonic()
                silent_since = now if grown or silent_since is None else silent_since
                if now - silent_since >= QUIET:
                    return escort.finish(out, err, status)
            awaited = wakeup if may_send else link.transport.clear_to_send
            if not (yield from deadline.waiting(awaited)) and deadline.expired(link.real_socket):
                raise _timed_out(channel, host, escort, out, err, deadline)
    finally:
        if link.transport.clear_to_send.is_set():
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                channel.close()


def _drain(channel: paramiko.Channel, out: bytearray, err: bytearray, cap: int) -> bool:
    """Read what is there, without waiting and not far beyond the cap; True when there was something."""
    grown = False
    for ready, read, into in (
        (channel.recv_ready, channel.recv, out),
        (channel.recv_stderr_ready, channel.recv_stderr, err),
    ):
        while len(into) <= cap and ready():
            into += read(65536)
            grown = True
    return grown


def _send(channel: paramiko.Channel, pending: bytes) -> bytes:
    """Send as much as the peer takes; returns the rest (nothing when the peer has stopped reading for good)."""
    try:
        while pending:
            count = channel.send(pending)
            if count == 0:
                return b""
            pending = pending[count:]
    except TimeoutError:  # the peer's window is full
        return pending
    except (paramiko.SSHException, EOFError, OSError):  # it ended without reading its input: its own affair
        return b""
    return pending


def _end_of_input(channel: paramiko.Channel) -> None:
    with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
        channel.shutdown_write()


def _still_there(link: Link, deadline: Deadline) -> Steps[bool]:
    """After a close without end of file: did the server close the channel, or did the connection die?"""
    yield from deadline.waiting(threading.Event(), 0.2)
    return link.alive


def _capped(host: str, escort: Escort, out: bytearray, err: bytearray, cap: int) -> ConnectionProblem:
    stdout, stderr = escort.clean(out[:cap], err[:cap])
    stream = "output" if len(out) > cap else "error output"
    return ConnectionProblem(
        Kind.OUTPUT_CAPPED,
        host,
        Phase.EXEC,
        f"{stream} cut off at {cap / 1048576:g} MiB",
        "see what floods it (login scripts, the kernel log)",
        stdout=stdout,
        stderr=stderr,
    )


def _timed_out(
    channel: paramiko.Channel, host: str, escort: Escort, out: bytearray, err: bytearray, deadline: Deadline
) -> ConnectionProblem:
    stdout, stderr = escort.clean(out, err)
    phase, what = Phase.EXEC, f"no end in {deadline.seconds:g} s"
    remedy = "look for what hangs there (a dead mount, a lock), or raise the deadline"
    if not channel.event_ready and not out and not err:
        what = f"no answer in {deadline.seconds:g} s"
        remedy = "check the host's load and sshd's log"
    elif escort.waiting_for_sudo(out):
        phase, what = Phase.SUDO, f"sudo did not start the command in {deadline.seconds:g} s"
        remedy = "check PAM and name resolution on the host"
    return ConnectionProblem(Kind.TIMED_OUT, host, phase, what, remedy, stdout=stdout, stderr=stderr)


def _broken(link: Link, host: str, escort: Escort, out: bytearray, err: bytearray) -> Steps[ConnectionProblem]:
    """The channel is closed and there is no exit status that could be believed."""
    stdout, stderr = escort.clean(out, err)
    if not (yield from _still_there(link, Deadline(1.0))):
        return _lost(host, Phase.EXEC, "the connection was lost during the command", stdout, stderr)
    return _lost(
        host,
        Phase.EXEC,
        "the command ended without an exit status (refused, or killed by a signal)",
        stdout,
        stderr,
        "look into the host's log (out of memory?) and the account's restrictions",
    )


def _lost(
    host: str,
    phase: Phase,
    what: str,
    stdout: bytes = b"",
    stderr: bytes = b"",
    remedy: str = "it was not sent again; check the host and the network, then run again",
) -> ConnectionProblem:
    return ConnectionProblem(Kind.LOST, host, phase, what, remedy, stdout=stdout, stderr=stderr)
