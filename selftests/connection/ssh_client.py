"""The user's side of a test connection."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import testinfra.backend

from kdump import connection
from kdump.connection.settings import Settings

Ask = Callable[..., "connection.Executed | connection.ConnectionProblem"]


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
