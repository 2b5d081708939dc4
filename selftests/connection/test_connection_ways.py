"""The ways to a host: jump hosts, ProxyCommand, keys, agent, OpenSSH, a frozen machine, many at once."""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import misbehaving
import pytest
import sshd_bench as bench
from ssh_client import Ask, Client

from kdump.connection import ConnectionProblem, Executed, Kind, Phase, execute
from selftests.hostility.strictness import REAL, slack


@pytest.fixture
def bastion(tmp_path: Path, sshd: bench.Sshd) -> Iterator[bench.Sshd]:
    """A second sshd that lets in the same user key."""
    with bench.running(f"AuthorizedKeysFile {sshd.folder}/authorized_keys") as bastion:
        (bastion.folder / "authorized_keys").write_text((sshd.folder / "authorized_keys").read_text())
        yield bastion


def two_hosts(sshd: bench.Sshd, bastion: bench.Sshd, jump: str = "ProxyJump hop") -> str:
    return (
        f"Host hop\n HostName 127.0.0.1\n Port {bastion.port}\n User root\n"
        f"Host db\n HostName 127.0.0.1\n Port {sshd.port}\n User root\n {jump}\nHost *\n"
    )


@pytest.mark.parametrize("jump", ["ProxyJump hop", "ProxyJump hop,root@hop", "proxycommand"])
def test_through_a_bastion(bench_client: Client, sshd: bench.Sshd, bastion: bench.Sshd, ask: Ask, jump: str) -> None:
    config = bench_client.folder / "config"
    if jump == "proxycommand":
        jump = f"ProxyCommand ssh -F {config} -W %h:%p hop"
    bench_client.configure(sshd.known_hosts() + bastion.known_hosts(), two_hosts(sshd, bastion, jump), connect_timeout=10)
    before = sshd.connections(), bastion.connections()
    for _ in range(2):
        answer = ask(bench_client.backend("db"), b"echo $SSH_CONNECTION\n")
        assert isinstance(answer, Executed) and answer.stdout.endswith(f" {sshd.port}\n".encode()), str(answer)
    assert sshd.connections() - before[0] == 2
    through = bastion.connections() - before[1]
    assert through == (2 if "Command" in jump or "," in jump else 1)  # one shared connection per hop


@pytest.mark.hostility(13)
def test_bastion_in_trouble_is_named_and_never_passed_by(
    bench_client: Client, sshd: bench.Sshd, bastion: bench.Sshd, ask: Ask, measured
) -> None:
    """Down, unknown, refusing: the sentence says which hop, every host gets it at once, and none is reached directly."""
    before = sshd.connections()
    dead = two_hosts(sshd, bastion).replace(f"Port {bastion.port}", f"Port {bench.free_port()}")
    unknown_target = bench_client.folder / "x"
    for known_hosts, config, kind, words in (
        (sshd.known_hosts(), dead, Kind.REFUSED, "via hop: connection refused"),
        (sshd.known_hosts(), two_hosts(sshd, bastion), Kind.UNKNOWN_HOST_KEY, "via hop: unknown host key"),
        (
            bastion.known_hosts(),
            two_hosts(sshd, bastion).replace(f"Port {sshd.port}", f"Port {bench.free_port()}"),
            Kind.REFUSED,
            "via hop: 127.0.0.1:",
        ),
        (
            bastion.known_hosts(),
            two_hosts(sshd, bastion, "ProxyCommand echo no way out >&2; exit 1"),
            Kind.UNREACHABLE,
            "no way out",
        ),
    ):
        bench_client.configure(known_hosts, config, connect_timeout=5.0)
        started, cpu = time.monotonic(), time.process_time()
        for _ in range(2):
            answer = ask(bench_client.backend("db"))
            assert isinstance(answer, ConnectionProblem) and answer.kind is kind, str(answer)
            assert words in str(answer)
        assert time.monotonic() - started < 6.0 + slack(2.0)
        assert time.process_time() - cpu < 0.05 * 10 + slack(0.5)  # of the usual connect deadline, for two hosts
        measured(words, f"CPU {time.process_time() - cpu:.2f} s")
    assert sshd.connections() == before
    assert not unknown_target.exists()


@pytest.mark.hostility(13)
def test_bastion_silent(bench_client: Client, sshd: bench.Sshd, bastion: bench.Sshd, ask: Ask, measured) -> None:
    connect = 10.0 if REAL else 1.0
    with misbehaving.running("silent at kex") as server:
        config = two_hosts(sshd, bastion).replace(f"Port {bastion.port}", f"Port {server.port}")
        bench_client.configure(sshd.known_hosts() + server.known_hosts, config, connect_timeout=connect)
        started, cpu = time.monotonic(), time.process_time()
        answers = [ask(bench_client.backend("db")) for _ in range(3)]
        took, cpu = time.monotonic() - started, time.process_time() - cpu
        assert all(isinstance(answer, ConnectionProblem) and answer.kind is Kind.TIMED_OUT for answer in answers)
        assert took < connect + 1 + slack(0.5)  # the hop's deadline is paid once
        assert cpu < 0.05 * connect + slack(0.5)
        measured(str(answers[0]), f"{took:.1f} s, CPU {cpu / took:.1%}")
        assert server.connections == 1


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_key_types_and_one_connection(bench_client: Client, sshd: bench.Sshd, ask: Ask, kind: str) -> None:
    keys = [bench.keygen(bench_client.folder / f"k{number}", kind) for number in range(2)]
    authorized = sshd.folder / "authorized_keys"
    original = authorized.read_text()
    try:
        authorized.write_text(original + Path(f"{keys[1]}.pub").read_text())
        bench_client.key = keys[1]
        bench_client.configure(sshd.known_hosts(), f"IdentityFile {keys[0]}", connect_timeout=10.0)
        before = sshd.connections()
        assert isinstance(ask(bench_client.backend(f"root@127.0.0.1:{sshd.port}")), Executed)
        assert sshd.connections() - before == 1
    finally:
        authorized.write_text(original)


def test_authentication_refused_says_what_was_tried(bench_client: Client, sshd: bench.Sshd, ask: Ask) -> None:
    with tempfile.TemporaryDirectory(prefix="keys-") as folder:  # a short name: a sentence that is too long is cut
        stranger = bench.keygen(Path(folder) / "stranger", "ed25519")
        locked = bench.keygen(Path(folder) / "locked", "ed25519", passphrase="canary phrase")
        bench_client.key = stranger
        bench_client.configure(
            sshd.known_hosts(), f"IdentityFile {locked}\nIdentityFile {folder}/none", connect_timeout=10.0
        )  # fmt: skip
        before = sshd.connections()
        answer = ask(bench_client.backend(f"root@127.0.0.1:{sshd.port}"))
    assert isinstance(answer, ConnectionProblem) and answer.kind is Kind.AUTHENTICATION_FAILED
    for words in ("root was refused", f"tried 1 key: {stranger}", "ssh-copy-id", "ssh-add", "no such file"):
        assert words in str(answer), str(answer)
    assert "canary" not in str(answer)
    assert sshd.connections() - before == 1


@pytest.mark.parametrize("method", ["PasswordAuthentication", "KbdInteractiveAuthentication"])
def test_password_from_the_environment(client: Client, ask: Ask, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    reason = bench.missing()
    if reason:
        pytest.skip(reason)
    with bench.running(first=f"{method} yes\nUsePAM {'yes' if method.startswith('Kbd') else 'no'}") as sshd:
        for password, kind in ((bench.SUDO_PASSWORD, None), ("wrong canary", Kind.AUTHENTICATION_FAILED)):
            monkeypatch.setenv("KDUMP_SSH_PASSWORD", password)
            client.configure(sshd.known_hosts(), connect_timeout=10.0)
            answer = ask(client.backend(f"trusted@127.0.0.1:{sshd.port}"))
            assert isinstance(answer, ConnectionProblem) is (kind is not None), str(answer)
            assert "canary" not in str(answer)


def test_agent_serves_a_key_with_a_passphrase(
    bench_client: Client, sshd: bench.Sshd, ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sock = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL)
    try:
        while not sock.exists():
            time.sleep(0.02)
        key = bench_client.folder / "copy"
        key.write_bytes(sshd.user_key.read_bytes())
        key.chmod(0o600)
        subprocess.run(["ssh-add", "-q", key], env={"SSH_AUTH_SOCK": str(sock), "PATH": os.environ["PATH"]}, check=True)
        subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "phrase", "-f", key], check=True)
        key.with_suffix(".pub").write_bytes(Path(f"{sshd.user_key}.pub").read_bytes())
        bench_client.key = key
        bench_client.configure(sshd.known_hosts(), f"IdentityAgent {sock}", connect_timeout=10.0)
        assert isinstance(ask(bench_client.backend(f"root@127.0.0.1:{sshd.port}")), Executed)
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(5)


@pytest.mark.hostility(12)
def test_frozen_machine(tmp_path: Path, client: Client) -> None:
    reason = bench.missing()
    if reason:
        pytest.skip(reason)
    with bench.running() as sshd:
        client.key = sshd.user_key
        client.configure(sshd.known_hosts(), connect_timeout=10.0)
        backend = client.backend(f"root@127.0.0.1:{sshd.port}")
        execute(backend, "true", deadline=5.0, cap=100)
        sshd.freeze()
        started = time.monotonic()
        with pytest.raises(ConnectionProblem) as caught:
            execute(backend, "true", deadline=1.0, cap=100)
        assert caught.value.kind is Kind.TIMED_OUT
        backend.close()
        assert time.monotonic() - started < 6.0


#: fault → kind, of the OpenSSH backend; the same words as by paramiko.
OPENSSH = [
    ("refused", Kind.REFUSED),
    ("black hole", Kind.TIMED_OUT),
    ("no banner", Kind.TIMED_OUT),
    ("silent at kex", Kind.TIMED_OUT),
    ("hangs up", Kind.NOT_SSH),
    ("silent at auth", Kind.TIMED_OUT),
    ("refuses keys", Kind.AUTHENTICATION_FAILED),
    ("hangs", Kind.TIMED_OUT),
    ("floods stdout", Kind.OUTPUT_CAPPED),
    ("floods stderr", Kind.OUTPUT_CAPPED),
    ("cut mid-output", Kind.LOST),
    ("reset at exec", Kind.LOST),
]


@pytest.mark.parametrize(("fault", "kind"), OPENSSH, ids=[row[0] for row in OPENSSH])
def test_openssh_backend_has_the_same_words(client: Client, fault: str, kind: Kind) -> None:
    with misbehaving.running(fault) as server:
        client.configure(server.known_hosts)
        backend = client.backend(f"ssh://root@127.0.0.1:{server.port}")
        started = time.monotonic()
        with pytest.raises(ConnectionProblem) as caught:
            execute(backend, "echo hi", deadline=1.0, cap=1 << 20)
        assert caught.value.kind is kind, str(caught.value)
        assert time.monotonic() - started < 8.0
        assert server.connections <= 1 and server.executions <= 1


@pytest.mark.parametrize("scheme", ["paramiko", "ssh"])
@pytest.mark.parametrize(("option", "seconds"), [(None, "2"), (1.0, "1")])
def test_the_option_wins_over_connect_timeout_and_that_over_the_default(
    client: Client, scheme: str, option: float | None, seconds: str
) -> None:
    with misbehaving.running("no banner") as server:
        client.configure(server.known_hosts, "ConnectTimeout 2", connect_timeout=option)
        backend = client.backend(f"{scheme}://root@127.0.0.1:{server.port}")
        with pytest.raises(ConnectionProblem, match=f" in {seconds} s|timed out") as caught:
            execute(backend, "true", deadline=10.0, cap=100)
        assert caught.value.kind is Kind.TIMED_OUT


def test_password_in_the_host_name_is_refused(client: Client) -> None:
    client.configure("")
    for scheme in ("paramiko", "ssh"):
        with pytest.raises(ConnectionProblem) as caught:
            execute(client.backend(f"{scheme}://root:canary@127.0.0.1"), "true", deadline=1.0, cap=1)
        assert caught.value.kind is Kind.BAD_CONFIGURATION and "canary" not in str(caught.value)


def test_one_connection_for_one_thing_after_the_other(bench_client: Client, sshd: bench.Sshd, tmp_path: Path) -> None:
    """Commands, which nobody reads for in between, then SFTP and paramiko's own client, for which a thread does."""
    before = sshd.connections()
    backend = bench_client.backend(f"root@127.0.0.1:{sshd.port}")
    for number in range(3):
        done = execute(backend, "/bin/sh -s", stdin=b"echo %d; cat" % number, deadline=5.0, cap=1 << 20)
        assert (done.stdout, done.status) == (b"%d\n" % number, 0)
    (tmp_path / "file").write_text("content")
    with backend.sftp_read(str(tmp_path / "file")) as source:
        assert source.read_at(0, 100) == b"content"
    assert execute(backend, "echo $((1 + 1))", deadline=5.0, cap=100).stdout == b"2\n"
    assert backend.client.exec_command("echo mine")[1].read() == b"mine\n"
    assert execute(backend, "exit 3", deadline=5.0, cap=100).status == 3
    assert sshd.connections() - before == 1
    backend.close()


def test_a_connection_that_ended_between_two_commands_is_made_anew(client: Client) -> None:
    reason = bench.missing()
    if reason:
        pytest.skip(reason)
    with bench.running(extra="ClientAliveInterval 1\nClientAliveCountMax 1") as sshd:
        client.key = sshd.user_key
        client.configure(sshd.known_hosts(), connect_timeout=10.0)
        backend = client.backend(f"root@127.0.0.1:{sshd.port}")
        assert execute(backend, "echo one", deadline=5.0, cap=100).stdout == b"one\n"
        time.sleep(3)  # nobody answers the server's questions
        assert execute(backend, "echo two", deadline=5.0, cap=100).stdout == b"two\n"
        assert sshd.connections() == 2
        backend.close()


def test_new_keys_in_the_middle_of_a_command(client: Client) -> None:
    """The server asks for new keys every few kilobytes, in both directions."""
    reason = bench.missing()
    if reason:
        pytest.skip(reason)
    with bench.running(first="RekeyLimit 16K") as sshd:
        client.key = sshd.user_key
        client.configure(sshd.known_hosts(), connect_timeout=10.0)
        backend = client.backend(f"root@127.0.0.1:{sshd.port}")
        script = b"".join(b": %07d\n" % number for number in range(20_000)) + b"head -c 900000 /dev/zero | tr '\\0' x\n"
        for _ in range(2):
            done = execute(backend, "/bin/sh -s", stdin=script, deadline=20.0, cap=1 << 20)
            assert done.stdout == b"x" * 900_000 and done.status == 0
        transport = backend._link.transport
        assert transport.session_id != transport.H, "no new keys were agreed upon: this proves nothing"
        backend.close()


def test_sftp(bench_client: Client, sshd: bench.Sshd, tmp_path: Path) -> None:
    dump = tmp_path / "vmcore"
    with dump.open("wb") as file:
        file.seek(3 << 40)  # 3 TiB, sparse
        file.write(b"the end")
    backend = bench_client.backend(f"root@127.0.0.1:{sshd.port}")
    with backend.sftp_read(str(dump)) as source:
        assert source.size == (3 << 40) + 7
        assert source.read_at(3 << 40, 100) == b"the end"
        assert source.read_at(10, 100_000) == bytes(100_000)
        assert source.read_at(source.size, 1) == b""
    backend.close()


def test_sftp_not_offered(tmp_path: Path, client: Client) -> None:
    reason = bench.missing()
    if reason:
        pytest.skip(reason)
    with misbehaving.running("") as server:
        client.configure(server.known_hosts)
        with pytest.raises(ConnectionProblem) as caught:
            client.backend(f"root@127.0.0.1:{server.port}").sftp_read("/etc/passwd")
        assert (caught.value.kind, caught.value.phase) == (Kind.NO_SFTP, Phase.SESSION)


def test_a_busy_controller_loses_no_healthy_host(client: Client) -> None:
    """64 hosts at once while this process computes: deadlines must not be used up by our own work."""
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(100_000))

    with misbehaving.elsewhere("") as server:
        client.configure(server.known_hosts, connect_timeout=2.0)
        for _ in range(4):
            threading.Thread(target=compute, daemon=True).start()
        started = time.monotonic()
        try:
            with ThreadPoolExecutor(64) as pool:
                done = list(pool.map(lambda _: _one(client, server.port), range(64)))
        finally:
            over.set()
        assert time.monotonic() - started > 2.0, "the machine was not busy enough to prove anything"
    assert [str(answer) for answer in done if not isinstance(answer, Executed)] == []


def _one(client: Client, port: int) -> "Executed | ConnectionProblem":
    backend = client.backend(f"root@127.0.0.1:{port}")
    try:
        return execute(backend, "echo hi", deadline=2.0, cap=1000)
    except ConnectionProblem as problem:
        return problem
    finally:
        backend.close()
