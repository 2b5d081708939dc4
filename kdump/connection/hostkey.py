"""Is this the host it claims to be? Known, new, changed, revoked: and the sentence for each."""

from pathlib import Path

import paramiko

from kdump.connection.errors import ConnectionProblem, Kind, Phase
from kdump.connection.known_hosts import Entry, KnownHosts, Verdict, entry_fingerprint, fingerprint
from kdump.connection.settings import Settings
from kdump.connection.ssh_config import HostConfig


def verify(config: HostConfig, settings: Settings, hosts: KnownHosts, names: list[str], key: paramiko.PKey) -> str | None:
    """Return if the key is the host's (with a note when it was added just now); raise ConnectionProblem if not."""
    key_type, blob = key.get_name(), key.asbytes()
    _check_revocation_list(config, key)
    answer = hosts.check(names, key_type, blob)
    if answer.verdict is Verdict.UNKNOWN and (settings.accept_new or config.strict_host_key_checking == "accept-new"):
        return _remember(config, hosts, names, key)
    _judge(config, hosts, names, key, answer.verdict, _expected(answer.known, key_type))
    return None


def _expected(known: tuple[Entry, ...], key_type: str) -> str:
    """The stored key that the shown one should have been: fingerprint and line."""
    entry = next((entry for entry in known if entry.key_type == key_type), known[0] if known else None)
    if entry is None:
        return ""
    return f"{entry_fingerprint(entry)} ({entry.key_type}, {entry.where})"


def _judge(config: HostConfig, hosts: KnownHosts, names: list[str], key: paramiko.PKey, verdict: Verdict, expected: str) -> None:
    if verdict is Verdict.KNOWN:
        return
    shown = f"{_short(key.get_name())} {fingerprint(key.asbytes())}"
    first = config.user_known_hosts[0] if config.user_known_hosts else "no known_hosts file"
    if verdict is Verdict.REVOKED:
        raise ConnectionProblem(
            Kind.HOST_KEY_REVOKED,
            config.alias,
            Phase.HOSTKEY,
            f"the host shows a REVOKED key: {shown}",
            "do not connect; give the host a new key",
        )
    if verdict is Verdict.CHANGED:
        raise ConnectionProblem(
            Kind.HOST_KEY_CHANGED,
            config.alias,
            Phase.HOSTKEY,
            f"the host key CHANGED: {shown}, expected {expected}",
            f"if the host was reinstalled, compare the key at its console and remove the old one: "
            f"ssh-keygen -R '{names[0]}' -f {first}",
        )
    remedy = (
        f"compare it with ssh-keygen -lf /etc/ssh/ssh_host_{_short(key.get_name()).lower()}_key.pub "
        f"at the host's console, then add it to {first}, or accept the keys of all new hosts by --ssh-accept-new"
    )
    if hosts.has_authority(names[0]):
        remedy = "its @cert-authority is honoured by --connection=ssh only; or " + remedy
    raise ConnectionProblem(
        Kind.UNKNOWN_HOST_KEY, config.alias, Phase.HOSTKEY, f"unknown host key for {names[0]}: {shown}", remedy
    )


def _remember(config: HostConfig, hosts: KnownHosts, names: list[str], key: paramiko.PKey) -> str:
    if not config.user_known_hosts:
        raise ConnectionProblem(
            Kind.BAD_CONFIGURATION,
            config.alias,
            Phase.HOSTKEY,
            "UserKnownHostsFile is none: there is no file to add the new host key to",
            "name a file",
        )
    try:
        verdict = hosts.remember(names[0], key.get_name(), key.asbytes(), hash_name=config.hash_known_hosts)
    except OSError as error:
        raise ConnectionProblem(
            Kind.BAD_CONFIGURATION,
            config.alias,
            Phase.HOSTKEY,
            f"the new host key cannot be added to {config.user_known_hosts[0]}: {error.strerror}",
            "make that file writable, or add the key by hand",
        ) from None
    _judge(config, hosts, names, key, verdict, "the key that another process has just added")
    return f"added the new host key of {names[0]}: {_short(key.get_name())} {fingerprint(key.asbytes())}"


def _check_revocation_list(config: HostConfig, key: paramiko.PKey) -> None:
    path = config.revoked_host_keys
    if path is None:
        return
    try:
        content = Path(path).read_bytes()
    except OSError as error:  # OpenSSH refuses everything when the list cannot be read
        raise ConnectionProblem(
            Kind.BAD_CONFIGURATION,
            config.alias,
            Phase.HOSTKEY,
            f"RevokedHostKeys {path}: {error.strerror}",
            "correct it",
        ) from None
    if content.startswith(b"SSHKRL\n"):
        raise ConnectionProblem(
            Kind.BAD_CONFIGURATION,
            config.alias,
            Phase.HOSTKEY,
            f"RevokedHostKeys {path} is a binary revocation list",
            "use --connection=ssh, which reads it, or a list of public keys",
        )
    if key.get_base64().encode() in content.split():
        _judge(config, KnownHosts(()), [config.alias], key, Verdict.REVOKED, "")


def _short(key_type: str) -> str:
    """``ED25519``, as OpenSSH names it.

    >>> _short("ssh-ed25519"), _short("ecdsa-sha2-nistp256"), _short("ssh-rsa")
    ('ED25519', 'ECDSA', 'RSA')
    """
    return {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA"}.get(key_type, key_type.partition("-")[0].upper())
