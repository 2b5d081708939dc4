"""Fixtures for tests over real connections on loopback."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import testinfra.backend

import bench
from kdump import connection
from kdump.connection.settings import Settings


@pytest.fixture(autouse=True)
def our_backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("SSH_AUTH_SOCK", "KDUMP_SUDO_PASSWORD", "KDUMP_SSH_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kdump.connection.sudo._interactive", False)
    connection.register()
    yield
    connection.settings.configure(Settings())


@dataclasses.dataclass
class Client:
    """The user's side: a folder with key, known_hosts and ssh_config of its own."""

    folder: Path
    key: Path

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def configure(self, known_hosts: str, config: str = "", **options: object) -> None:
        self.known_hosts.write_text(known_hosts)
        text = f"{config}\nUserKnownHostsFile {self.known_hosts}\nGlobalKnownHostsFile none\n"
        text += f"IdentityFile {self.key}\nIdentitiesOnly yes\n"
        (self.folder / "config").write_text(text)
        defaults: dict[str, object] = {"connect_timeout": 1.0, "ssh_config": str(self.folder / "config")}
        connection.settings.configure(Settings(**{**defaults, **options}))  # type: ignore[arg-type]

    def backend(self, spec: str, **options: object) -> testinfra.backend.base.BaseBackend:
        return testinfra.backend.get_backend(spec, **options)


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


Ask = Callable[..., "connection.Executed | connection.ConnectionProblem"]


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
