"""Fixtures for tests over real connections on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sshd_bench as bench
from ssh_client import Ask, Client

from kdump import connection
from kdump.connection.settings import Settings


@pytest.fixture(autouse=True)
def our_backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SSH_AUTH_SOCK", "KDUMP_SUDO_PASSWORD", "KDUMP_SSH_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kdump.connection.sudo._interactive", lambda: False)
    connection.register()
    yield
    connection.settings.configure(Settings())


@pytest.fixture(scope="session")
def user_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bench.keygen(tmp_path_factory.mktemp("user") / "id", "ed25519")


@pytest.fixture
def client(tmp_path: Path, user_key: Path) -> Client:
    return Client(tmp_path, user_key)


@pytest.fixture(scope="session")
def sshd() -> Iterator[bench.Sshd]:
    reason = bench.missing()
    if reason is not None:
        pytest.skip(f"a real sshd {reason}")
    with bench.running() as sshd:
        yield sshd


@pytest.fixture
def bench_client(tmp_path: Path, sshd: bench.Sshd) -> Client:
    client = Client(tmp_path, sshd.user_key)
    client.configure(sshd.known_hosts(), connect_timeout=10.0)
    return client


@pytest.fixture
def ask() -> Ask:
    """Run a script, and return the answer or the problem."""

    def run(backend: object, script: bytes = b"true\n", *, deadline: float = 5.0, cap: int = 4 << 20):
        try:
            return connection.execute(backend, connection.SCRIPT, stdin=script, deadline=deadline, cap=cap)
        except connection.ConnectionProblem as problem:
            return problem
        finally:
            backend.close()

    return run
