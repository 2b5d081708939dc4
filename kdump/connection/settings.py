"""What a run's options say about connections; set once per run, read everywhere."""

import dataclasses
from collections.abc import Callable

from kdump.connection.secret import Secret

MIB = 1024 * 1024
CONNECT_TIMEOUT = 10.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """Options of one run. Times are seconds, sizes bytes.

    ``connect_timeout``: from the name lookup to an authenticated connection, all hops included; None means what ssh_config
    says (``ConnectTimeout``), else 10. ``command_timeout`` and ``cap`` (per stream) bound what has no bound of its own:
    ``host.run()`` in drafts and reads over SFTP. ``ssh_config`` and ``identity_file``: as given on the command line;
    None means OpenSSH's own defaults. ``accept_new``: add keys of hosts never seen before to known_hosts.
    ``sudo_password``: called at most once per run, and only when a host's sudo really asks; None means there is
    none. Left out, it is :func:`kdump.connection.sudo.password_from_environment_or_terminal`.
    """

    connect_timeout: float | None = None
    command_timeout: float = 60.0
    cap: int = 4 * MIB
    accept_new: bool = False
    ssh_config: str | None = None
    identity_file: str | None = None
    sudo_password: Callable[[], Secret | None] | None = None

    def seconds_to_connect(self, configured: float | None = None) -> float:
        """As long as a host may take, ``configured`` being its ``ConnectTimeout``."""
        return self.connect_timeout or configured or CONNECT_TIMEOUT


_current = Settings()


def configure(settings: Settings) -> None:
    """Use ``settings`` from now on and forget what an earlier run remembered (files, keys, passwords, bastions)."""
    global _current
    _current = settings
    for forget in _caches:
        forget()


def current() -> Settings:
    """The settings of this run."""
    return _current


_caches: list[Callable[[], None]] = []


def forget_with_settings(forget: Callable[[], None]) -> Callable[[], None]:
    """Register a function that empties a per-run cache; :func:`configure` calls it."""
    _caches.append(forget)
    return forget
