# Names in ssh_config are text (~, %, globs) before they are paths.
"""The user's private keys: files, each read once per run, and the agent's."""

import dataclasses
import os
import socket
import threading
from collections.abc import Sequence

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.agent import Agent, AgentKey

from kdump.connection.settings import forget_with_settings
from kdump.connection.ssh_config import DEFAULT_KEYS, HostConfig

#: Seconds for an agent's answer; one that asks its user to confirm each use is not for an unattended run.
AGENT_TIMEOUT = 5.0


@dataclasses.dataclass(frozen=True)
class KeyRing:
    """The keys to offer, in order, each with the words for it; and why others could not be used."""

    keys: tuple[tuple[str, paramiko.PKey], ...]
    complaints: tuple[str, ...]


_files: dict[str, "paramiko.PKey | str"] = {}
_lock = threading.Lock()
forget_with_settings(_files.clear)


def key_ring(config: HostConfig) -> tuple[KeyRing, "Agent | None"]:
    """What to offer to a host: the named files in order (by the agent where it holds them), then the agent's others.

    Default files that do not exist are passed over in silence; a named one that cannot be used is a complaint. The
    agent, when one answered, must be closed by the caller after authentication.
    """
    if not config.pubkey:
        return KeyRing((), ("PubkeyAuthentication is no",)), None
    agent, complaints = _agent(config.identity_agent)
    held: list[AgentKey] = list(agent.get_keys()) if agent else []
    offers: list[tuple[str, paramiko.PKey]] = []
    seen: set[bytes] = set()

    def offer(words: str, key: paramiko.PKey) -> None:
        if key.asbytes() not in seen:
            seen.add(key.asbytes())
            offers.append((words, key))

    for name in config.identity_files:
        public = _public_blob(name) if held else None
        in_agent = next((key for key in held if public is not None and key.asbytes() == public), None)
        if in_agent is not None:
            offer(f"agent {name}", in_agent)
            continue
        loaded = load(name)
        if isinstance(loaded, paramiko.PKey):
            offer(name, loaded)
        elif name not in map(os.path.expanduser, DEFAULT_KEYS) or os.path.exists(name):
            complaints.append(loaded)
    if not config.identities_only:
        for key in held:
            offer(f"agent {key.comment or key.get_name()}", key)
    return KeyRing(tuple(offers), tuple(complaints)), agent


def load(path: str) -> "paramiko.PKey | str":
    """The private key in ``path``, or why it cannot be used. Read once per run."""
    with _lock:
        if path not in _files:
            _files[path] = _read(path)
        return _files[path]


def _read(path: str) -> "paramiko.PKey | str":
    try:
        return paramiko.PKey.from_path(path)
    except FileNotFoundError:
        return f"{path}: no such file"
    except OSError as error:
        return f"{path}: {error.strerror}"
    except (paramiko.PasswordRequiredException, TypeError):
        # cryptography says "password was not given but private key is encrypted" by TypeError
        return f"{path} has a passphrase: add it to an agent (ssh-add {path})"
    except (ValueError, paramiko.SSHException, UnsupportedAlgorithm, paramiko.pkey.UnknownKeyType) as error:
        text = str(error)
        if "ncrypted" in text or "assphrase" in text or "assword" in text:
            return f"{path} has a passphrase: add it to an agent (ssh-add {path})"
        return f"{path} is not a private key that can be used here"


def _public_blob(path: str) -> bytes | None:
    """The public half beside a private key: lets the agent serve a key whose file has a passphrase."""
    for name in (path + ".pub", path):
        try:
            with open(name, encoding="ascii", errors="replace") as file:
                words = file.read(16384).split()
        except OSError:
            continue
        if len(words) >= 2 and words[1].startswith("AAAA"):
            try:
                return bytes(paramiko.PublicBlob.from_string(" ".join(words[:2])).key_blob)
            except (ValueError, paramiko.SSHException):
                continue
    return None


class _Agent(Agent):  # type: ignore[misc]  # untyped base
    """paramiko's agent at a given socket, with a deadline (its own waits for ever, and only at SSH_AUTH_SOCK)."""

    def __init__(self, path: str) -> None:
        paramiko.agent.AgentSSH.__init__(self)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(AGENT_TIMEOUT)
            connection.connect(path)
            self._connect(connection)
        except BaseException:
            connection.close()
            raise


def _agent(path: str | None) -> tuple["Agent | None", list[str]]:
    if path is None:
        return None, []
    try:
        return _Agent(path), []
    except (OSError, paramiko.SSHException, EOFError) as error:
        return None, [f"the agent at {path} does not answer ({getattr(error, 'strerror', None) or error})"]


def describe(offers: Sequence[tuple[str, paramiko.PKey]]) -> str:
    """``2 keys: ~/.ssh/id_ed25519, agent laptop``, for the sentence about a refusal."""
    names = ", ".join(words for words, _ in offers[:4]) + (", …" if len(offers) > 4 else "")
    return f"{len(offers)} key{'s' if len(offers) != 1 else ''}: {names}" if offers else "no key"
