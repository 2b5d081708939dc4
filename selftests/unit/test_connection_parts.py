"""The connection's pure parts: known_hosts at size, sentences, secrets, deadlines, Ansible's variables, local://."""

import base64
import hmac
import pickle
import shlex
import socket
import threading
import time
from pathlib import Path

import paramiko
import pytest
import testinfra.backend
from hypothesis import given
from hypothesis import strategies as st
from paramiko.common import MSG_CHANNEL_WINDOW_ADJUST

from kdump import connection
from kdump.connection import ConnectionProblem, Executed, Kind, Phase
from kdump.connection.ansible import adapt
from kdump.connection.deadline import Deadline, Steps
from kdump.connection.errors import printable
from kdump.connection.known_hosts import KnownHosts, Verdict
from kdump.connection.secret import Secret
from kdump.connection.ssh_config_lines import split_arguments
from kdump.connection.transport import Channel, Transport

BLOB = b"\0\0\0\x0bssh-ed25519" + b"k" * 32
KEY = base64.b64encode(BLOB).decode()


@pytest.mark.hostility(14)
def test_ten_thousand_known_hosts_load_in_half_a_second(tmp_path: Path, measured) -> None:
    lines = []
    for number in range(10_000):
        name = f"host{number}"
        if number % 2:
            salt = number.to_bytes(20, "big")
            digest = hmac.digest(salt, name.encode(), "sha1")
            name = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
        lines.append(f"{name} ssh-ed25519 {KEY}\n")
    path = tmp_path / "known_hosts"
    path.write_text("".join(lines))
    started = time.process_time()
    hosts = KnownHosts([str(path), str(tmp_path / "missing")])
    took = time.process_time() - started
    assert took < 0.5
    measured("", f"{took:.2f} s for 10,000 lines")
    for name in ("host0", "HOST9998", "host9999"):
        assert hosts.check([name], "ssh-ed25519", BLOB).verdict is Verdict.KNOWN
    assert hosts.check(["host10000"], "ssh-ed25519", BLOB).verdict is Verdict.UNKNOWN


@given(st.text(max_size=200))
def test_garbage_in_known_hosts_vouches_for_nobody(line: str) -> None:
    hosts = KnownHosts(())
    hosts.add(line, "x:1")
    assert hosts.check(["db1"], "ssh-ed25519", BLOB).verdict in (Verdict.UNKNOWN, Verdict.CHANGED)


@given(st.text())
def test_printable_is_one_harmless_line(text: str) -> None:
    assert printable(printable(text)) == printable(text)
    assert printable(text).isprintable() or not printable(text)
    assert len(printable(text)) <= 400


@given(st.text(alphabet=" \t#'\"\\ab"))
def test_split_arguments_ends(text: str) -> None:
    try:
        split_arguments(text)
    except ValueError as error:
        assert "quote" in str(error)


def test_a_problem_is_one_line_and_survives_being_raised_again() -> None:
    problem = ConnectionProblem(Kind.LOST, "db\x1b1", Phase.EXEC, "lost\n\x07", "look", stdout=b"part")
    assert str(problem) == "db\\x1b1: could not be asked (exec: lost \\x07); look"
    again = problem.again()
    assert again is not problem and str(again) == str(problem) and again.stdout == b"part"


def test_a_secret_is_never_shown() -> None:
    secret = Secret("canary")
    assert "canary" not in f"{secret} {secret!r} {secret!s} {[secret]} {secret:>9}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_stolen_time_is_not_charged() -> None:
    deadline = Deadline(0.2)
    deadline.charge(time.monotonic() - 60, granted=0.1)  # asked for 0.1 s, came back after a minute
    assert deadline.left == pytest.approx(0.1)
    started = time.monotonic()
    assert not deadline.wait_until(threading.Event())
    assert time.monotonic() - started < 0.5


def test_room_for_input_is_told_of() -> None:
    """OpenSSH's sshd gives none before the command runs: whoever waits for more than output would wait for a whole slice."""
    channel, event, message = Channel(0), threading.Event(), paramiko.Message()
    channel.tell(event)
    message.add_int(2097152)
    message.rewind()
    Transport._channel_handler_table[MSG_CHANNEL_WINDOW_ADJUST](channel, message)
    assert event.is_set() and channel.out_window_size == 2097152


def test_what_is_said_before_the_next_look_goes_in_one_piece() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps the pieces apart
    with ours, theirs:
        transport = Transport(ours)

        def say() -> Steps[bool]:
            transport.start_client(event=threading.Event())
            for piece in (b"one ", b"two"):
                transport.packetizer.write_all(piece)
            return (yield from Deadline(0.1).waiting_until(threading.Event()))

        assert not transport.carry_out(say())
        assert theirs.recv(1000) == b"one two" + transport.local_version.encode() + b"\r\n"


def test_a_peer_that_takes_nothing_costs_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport, lost = Transport(ours), threading.Event()

        def say() -> Steps[bool]:
            transport.start_client(event=lost)
            transport.packetizer.write_all(bytes(10 << 20))  # more than any socket holds
            return (yield from Deadline(0.6).waiting_until(threading.Event()))

        started = time.monotonic()
        assert not transport.carry_out(say())
        assert 0.5 < time.monotonic() - started < 3
        assert lost.is_set() and not transport.is_active()  # a part of a packet was sent: nothing can follow


def test_what_was_said_before_a_peer_hung_up_is_read() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        transport = Transport(ours)
        theirs.sendall(b"Exceeded MaxStartups\r\n")
        theirs.close()

        def wait() -> Steps[bool]:
            over = threading.Event()
            transport.start_client(event=over)
            return (yield from Deadline(5).waiting_until(over))

        assert transport.carry_out(wait())
        assert transport.packetizer.last_line == "Exceeded MaxStartups"


def test_only_a_reader_that_is_behind_is_given_more_time() -> None:
    ours, theirs = socket.socketpair()
    over, read = threading.Event(), threading.Event()

    def drip() -> None:
        while not over.wait(0.02):
            theirs.send(b".")

    def keep_up() -> None:
        while ours.recv(100):
            pass

    threads = [threading.Thread(target=drip), threading.Thread(target=keep_up)]
    with ours, theirs:
        for thread in threads:
            thread.start()
        started = time.monotonic()
        assert not Deadline(0.3).wait_until(threading.Event(), ours)
        assert time.monotonic() - started < 2
        over.set()
        threads[0].join()
        theirs.shutdown(socket.SHUT_WR)
        threads[1].join()
        threading.Timer(0.4, read.set).start()  # the end, which nobody reads for a while
        assert Deadline(0.1).wait_until(read, ours)


HOST = {"ansible_host": "10.0.0.1", "ansible_user": "ops"}


@pytest.mark.parametrize(
    ("variables", "arguments", "expected"),
    [
        ({}, False, {"ansible_connection": "paramiko_ssh"}),
        ({}, True, {"ansible_connection": "ssh"}),
        ({"ansible_ssh_common_args": "-J b"}, False, {"ansible_connection": "ssh"}),
        ({"ansible_connection": "paramiko_ssh", "ansible_ssh_common_args": "-J b"}, False, {"ansible_connection": "ssh"}),
        ({"ansible_connection": "local"}, False, {"ansible_connection": "local"}),
        ({"ansible_ssh_host": "h", "ansible_ssh_port": 99}, False, {"ansible_port": 99}),
        ({"ansible_become": "yes"}, False, {"ansible_become": True}),
    ],
)
def test_ansible_variables_that_are_honoured(variables: dict[str, object], arguments: bool, expected: dict[str, object]) -> None:
    adapted = adapt("db1", {**HOST, **variables}, arguments)
    assert {name: adapted.variables.get(name) for name in expected} == expected
    assert "ansible_become" in adapted.variables or "ansible_become" not in variables


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"ansible_password": "canary"}, "use a key"),
        ({"ansible_ssh_pass": "canary"}, "use a key"),
        ({"ansible_become": True, "ansible_become_method": "doas"}, "doas is not supported"),
        ({"ansible_host": "{{ addr }}"}, "ansible_host holds a template"),
        (
            {"ansible_become_pass": {"__ansible_vault": "$ANSIBLE_VAULT;canary"}},
            "ansible_become_password is a value of Ansible Vault",
        ),
        ({"ansible_shell_type": "powershell"}, "Windows"),
        ({"ansible_timeout": "soon"}, "not a number"),
    ],
)
def test_ansible_variables_that_end_in_a_sentence(variables: dict[str, object], words: str) -> None:
    with pytest.raises(ConnectionProblem) as caught:
        adapt("db1", {**HOST, **variables}, False)
    assert words in str(caught.value) and "canary" not in str(caught.value)


def test_ansible_become_password_and_notes() -> None:
    given_variables = {"ansible_become_pass": "canary", "ansible_timeout": "7", "ansible_host_key_checking": False}
    adapted = adapt("db1", given_variables, False)
    assert adapted.become_password is not None and adapted.become_password.reveal() == "canary"
    assert "canary" not in repr(adapted)
    assert adapted.timeout == 7.0 and "always verified" in adapted.notes[0]


@pytest.fixture
def local() -> testinfra.backend.base.BaseBackend:
    connection.register()
    return testinfra.backend.get_backend("local://")


def test_local_is_bounded_like_any_host(local: testinfra.backend.base.BaseBackend, tmp_path: Path) -> None:
    def ask(script: str, deadline: float = 5.0, cap: int = 1 << 20) -> Executed:
        return connection.execute(local, connection.SCRIPT, stdin=script.encode(), deadline=deadline, cap=cap)

    assert ask("printf '\\351'; echo oops >&2; exit 5") == Executed(b"\xe9", b"oops\n", 5)
    started = time.monotonic()
    assert ask("sleep 60 & echo done").stdout == b"done\n"
    assert time.monotonic() - started < 10.0  # on a busy machine too; 60 if the child were waited for
    marker = tmp_path / "pid"
    for script, kind in ((f"echo $$ >{marker}; sleep 60", Kind.TIMED_OUT), ("yes", Kind.OUTPUT_CAPPED)):
        with pytest.raises(ConnectionProblem) as caught:
            ask(script, deadline=0.5)
        assert caught.value.kind is kind
    status = Path(f"/proc/{marker.read_text().strip()}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()  # dead, at most not yet buried by init
    assert local.run("printf '\\303\\050'").stdout == "\ufffd("


def test_foreign_backends_get_the_script_as_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = testinfra.backend.get_backend("docker://box")
    monkeypatch.setattr(backend, "run", lambda command: testinfra.backend.get_backend("local://").run(command))
    connection.register()
    script = "echo \"it's\" 'quoted'; exit 4"
    done = connection.execute(backend, connection.SCRIPT, stdin=script.encode(), deadline=5, cap=1000)
    assert (done.stdout, done.status) == (b"it's quoted\n", 4)
    with pytest.raises(ConnectionProblem) as caught:
        connection.execute(backend, connection.SCRIPT, stdin=b"sleep 3", deadline=0.2, cap=1000)
    assert caught.value.kind is Kind.TIMED_OUT


def test_ansible_itself_gets_the_script_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, it would be longer than one argument may be once Ansible has quoted it, and {# would begin a comment."""
    connection.register()
    backend = testinfra.backend.get_backend("ansible://box", force_ansible=True)
    asked = []

    def run(command: str) -> object:
        asked.append(command)
        return testinfra.backend.get_backend("local://").run(command)

    monkeypatch.setattr(backend, "run", run)
    script = "x='four'; echo ${#x}; exit 3\n" + "# it's long\n" * 20_000
    done = connection.execute(backend, connection.SCRIPT, stdin=script.encode(), deadline=5, cap=1000)
    assert (done.stdout, done.status) == (b"4\n", 3)
    assert len(shlex.quote(shlex.quote(asked[0]))) < 120 * 1024 and "{" not in asked[0]
