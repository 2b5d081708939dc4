"""Host keys against a real sshd: known in every notation, unknown, changed, revoked, accepted once."""

import base64
import hmac
import os
import subprocess
import threading
from pathlib import Path

import pytest
import sshd_bench as bench
from ssh_client import Ask, Client

from kdump.connection import ConnectionProblem, Executed, Kind
from kdump.connection.known_hosts import fingerprint

OTHER = "AAAAC3NzaC1lZDI1NTE5AAAAIGa1uKSgDlGSXb2KUgf3o2Xx0RFsj0Jf4Jn0Cq1dQm7x"
CA = f"@cert-authority * ssh-ed25519 {OTHER}\n"


def hashed(line: str) -> str:
    name, rest = line.split(" ", 1)
    salt = os.urandom(20)
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()} {rest}"


def notations(sshd: bench.Sshd) -> dict[str, str]:
    plain = sshd.known_hosts("ssh-ed25519")
    return {
        "plain": plain,
        "hashed": hashed(plain),
        "only rsa, while the server prefers ed25519": sshd.known_hosts("ssh-rsa"),
        "only ecdsa": sshd.known_hosts("ecdsa-sha2-nistp256"),
        "without the port": plain.replace(sshd.name, "127.0.0.1"),
        "wildcard": plain.replace("127.0.0.1]", "127.0.0.*]"),
        "list with a negation": plain.replace(sshd.name, f"!other,{sshd.name}"),
        "after markers, comments and garbage": f"# c\n\n{CA}@revoked * ssh-rsa {OTHER}\n|1|x\nx\n@odd a b c\n{plain}",
    }


NOTATIONS = (
    *("plain", "hashed", "only rsa, while the server prefers ed25519", "only ecdsa", "without the port"),
    *("wildcard", "list with a negation", "after markers, comments and garbage"),
)


@pytest.mark.hostility(14)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_known(bench_client: Client, sshd: bench.Sshd, ask: Ask, notation: str) -> None:
    bench_client.configure(notations(sshd)[notation], connect_timeout=10.0)
    answer = ask(bench_client.backend(f"root@127.0.0.1:{sshd.port}"), b"echo $((6*7))\n")
    assert answer == Executed(b"42\n", b"", 0)


def refusals(sshd: bench.Sshd) -> list[tuple[str, str, Kind]]:
    plain = sshd.known_hosts("ssh-ed25519")
    changed = f"{sshd.name} ssh-ed25519 {OTHER}\n"
    return [
        ("nothing", "", Kind.UNKNOWN_HOST_KEY),
        ("another host", plain.replace("127.0.0.1", "127.0.0.2"), Kind.UNKNOWN_HOST_KEY),
        ("negated", plain.replace(sshd.name, f"!{sshd.name},[127.*"), Kind.UNKNOWN_HOST_KEY),
        ("a certificate authority", CA, Kind.UNKNOWN_HOST_KEY),
        ("another key", changed, Kind.HOST_KEY_CHANGED),
        ("revoked", plain + "@revoked * " + plain.split(" ", 1)[1], Kind.HOST_KEY_REVOKED),
    ]


@pytest.mark.hostility(14)
@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("scheme", ["paramiko", "ssh"])
@pytest.mark.parametrize("accept_new", [False, True])
def test_refused(bench_client: Client, sshd: bench.Sshd, ask: Ask, measured, number: int, scheme: str, accept_new: bool) -> None:
    name, known_hosts, kind = refusals(sshd)[number]
    bench_client.configure(known_hosts, "StrictHostKeyChecking no", connect_timeout=10.0, accept_new=accept_new)
    answer = ask(bench_client.backend(f"{scheme}://root@127.0.0.1:{sshd.port}"))
    if accept_new and kind is Kind.UNKNOWN_HOST_KEY:
        assert isinstance(answer, Executed), name
        return
    assert isinstance(answer, ConnectionProblem)
    assert answer.kind is kind, str(answer)
    shown = fingerprint(base64.b64decode(sshd.known_hosts("ssh-ed25519").split()[2]))
    assert shown in str(answer)
    if scheme == "paramiko":
        measured(str(answer), "")
    assert bench_client.known_hosts.read_text() == known_hosts


@pytest.mark.hostility(14)
def test_changed_type_is_not_accepted_as_new(tmp_path: Path, client: Client, ask: Ask) -> None:
    """A key of a type never seen proves nothing about a host that is known by another type."""
    reason = bench.missing()
    if reason:
        pytest.skip(reason)
    with bench.running(host_keys=("rsa",)) as sshd:
        client.key = sshd.user_key
        client.configure(f"{sshd.name} ssh-ed25519 {OTHER}\n", connect_timeout=10.0, accept_new=True)
        answer = ask(client.backend(f"root@127.0.0.1:{sshd.port}"))
        assert isinstance(answer, ConnectionProblem) and answer.kind is Kind.HOST_KEY_CHANGED
        assert "expected SHA256:" in str(answer)


@pytest.mark.parametrize("hashing", ["yes", "no"])
def test_accept_new_is_written_once_for_openssh(bench_client: Client, sshd: bench.Sshd, ask: Ask, hashing: str) -> None:
    bench_client.configure(
        "other ssh-ed25519 AAAA", f"HashKnownHosts {hashing}", connect_timeout=10.0, accept_new=True
    )  # without a newline at its end
    answers: list[object] = []
    backends = [bench_client.backend(f"root@127.0.0.1:{sshd.port}") for _ in range(8)]
    threads = [threading.Thread(target=lambda one=one: answers.append(ask(one))) for one in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(answer, Executed) for answer in answers)
    lines = bench_client.known_hosts.read_text().splitlines()
    assert len(lines) == 2 and lines[0] == "other ssh-ed25519 AAAA"
    assert lines[1].startswith("|1|") is (hashing == "yes")
    found = subprocess.run(["ssh-keygen", "-F", sshd.name, "-f", bench_client.known_hosts], capture_output=True, check=False)
    assert found.returncode == 0


def test_host_key_alias(bench_client: Client, sshd: bench.Sshd, ask: Ask) -> None:
    known_hosts = sshd.known_hosts().replace(sshd.name, "db")
    bench_client.configure(known_hosts, "HostKeyAlias db", connect_timeout=10.0)
    assert isinstance(ask(bench_client.backend(f"root@127.0.0.1:{sshd.port}")), Executed)


@pytest.mark.hostility(14)
def test_revoked_host_keys_file(bench_client: Client, sshd: bench.Sshd, ask: Ask, tmp_path: Path) -> None:
    revoked = tmp_path / "revoked"
    revoked.write_text(Path(f"{sshd.host_keys[0]}.pub").read_text())
    bench_client.configure(sshd.known_hosts(), f"RevokedHostKeys {revoked}", connect_timeout=10.0)
    answer = ask(bench_client.backend(f"root@127.0.0.1:{sshd.port}"))
    assert isinstance(answer, ConnectionProblem) and answer.kind is Kind.HOST_KEY_REVOKED
