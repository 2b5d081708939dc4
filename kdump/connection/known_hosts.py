# Names in ssh_config are text (~, %, globs) before they are paths.
"""known_hosts: which key a host has, and what to say when it shows another.

Read by us because paramiko's reader takes 18 s for 10,000 lines, raises at the first ``@revoked`` or
``@cert-authority`` and knows no wildcards. The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: an optional
marker, names (a comma list of names and patterns, or one hashed name), key type, base64 key, comment.
"""

import base64
import binascii
import dataclasses
import enum
import fcntl
import hashlib
import hmac
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from kdump.connection.patterns import match_list
from kdump.connection.settings import forget_with_settings


class Verdict(enum.Enum):
    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line. ``key`` is the base64 text as written; ``names`` is empty when the name is hashed."""

    names: tuple[str, ...]
    hashed: tuple[bytes, bytes] | None
    key_type: str
    key: str
    where: str

    def names_host(self, name: str) -> bool:
        if self.hashed is not None:
            salt, digest = self.hashed
            return hmac.compare_digest(hmac.digest(salt, name.lower().encode(), "sha1"), digest)
        return match_list(name, self.names)


@dataclasses.dataclass(frozen=True)
class Answer:
    """``known`` holds the entries that name the host (for the sentence and for the order of algorithms)."""

    verdict: Verdict
    known: tuple[Entry, ...] = ()


class KnownHosts:
    """Some known_hosts files, indexed by name. Unreadable files and lines count as absent, as with OpenSSH."""

    def __init__(self, files: Iterable[str]) -> None:
        self.files = tuple(files)
        self._exact: dict[str, list[Entry]] = {}
        self._patterns: list[Entry] = []
        self._hashed: list[Entry] = []
        self._revoked: list[Entry] = []
        self._authorities: list[Entry] = []
        self._lock = threading.Lock()
        for path in self.files:
            self._load(path)

    def _load(self, path: str) -> None:
        try:
            text = Path(path).read_bytes().decode("utf-8", "replace")
        except OSError:
            return
        for number, line in enumerate(text.split("\n"), 1):
            self.add(line, f"{path}:{number}")

    def add(self, line: str, where: str) -> None:
        """Take in one line; what is not an entry is passed over."""
        fields = line.split(None, 4)
        if len(fields) < 3 or fields[0].startswith("#"):
            return
        marker = ""
        if fields[0].startswith("@"):
            marker = fields.pop(0)
            if len(fields) < 3:
                return
        names, key_type, key = fields[:3]
        hashed = _hash(names) if names.startswith("|") else None
        if names.startswith("|") and hashed is None:
            return
        entry = Entry(() if hashed else tuple(names.split(",")), hashed, key_type, key, where)
        if marker == "@revoked":
            self._revoked.append(entry)
        elif marker == "@cert-authority":
            self._authorities.append(entry)
        elif marker:
            return
        elif hashed is not None:
            self._hashed.append(entry)
        elif any(char in names for char in "*?!"):
            self._patterns.append(entry)
        else:
            for name in entry.names:
                self._exact.setdefault(name.lower(), []).append(entry)

    def entries(self, name: str) -> tuple[Entry, ...]:
        """The entries for ``name``: a host name, or ``[name]:port`` when the port is not 22."""
        with self._lock:
            return (
                *self._exact.get(name.lower(), ()),
                *(entry for entry in self._patterns if entry.names_host(name)),
                *(entry for entry in self._hashed if entry.names_host(name)),
            )

    def has_authority(self, name: str) -> bool:
        """Whether a ``@cert-authority`` line covers ``name``."""
        return any(entry.names_host(name) for entry in self._authorities)

    def check(self, names: Sequence[str], key_type: str, blob: bytes) -> Answer:
        """Judge a host's key. ``names`` as from :func:`lookup_names`: the first decides, the others may only confirm.

        A host that is known by keys of other types only is CHANGED too: nothing vouches for the key that it shows.
        """
        key = base64.b64encode(blob).decode()
        if any(entry.key == key and any(map(entry.names_host, names)) for entry in self._revoked):
            return Answer(Verdict.REVOKED)
        known = self.entries(names[0])
        if any(entry.key == key for entry in known):
            return Answer(Verdict.KNOWN, known)
        for name in names[1:]:  # OpenSSH: a host on another port may be known by its plain name
            others = self.entries(name)
            if not known and any(entry.key == key for entry in others):
                return Answer(Verdict.KNOWN, others)
        return Answer(Verdict.CHANGED if known else Verdict.UNKNOWN, known)

    def key_types(self, names: Sequence[str]) -> list[str]:
        """The key types known for the host, to ask the server for one of these first."""
        types: dict[str, None] = {}
        for name in names:
            types.update((entry.key_type, None) for entry in self.entries(name))
        return list(types)

    def remember(self, name: str, key_type: str, blob: bytes, *, hash_name: bool) -> Verdict:
        """Append a new host's key to the first file, as OpenSSH's accept-new; safe against other threads and processes.

        What another process wrote meanwhile counts: KNOWN, or CHANGED when it saw another key. Raises OSError.
        """
        path = self.files[0]
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        key = base64.b64encode(blob).decode()
        with self._lock, open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            written = file.read()
            fresh = KnownHosts(())
            for number, line in enumerate(written.decode("utf-8", "replace").split("\n"), 1):
                fresh.add(line, f"{path}:{number}")
            answer = fresh.check([name], key_type, blob)
            if answer.verdict is not Verdict.UNKNOWN:
                return answer.verdict
            line = f"{_hashed_name(name) if hash_name else name.lower()} {key_type} {key}"
            separator = "" if not written or written.endswith(b"\n") else "\n"
            file.write(f"{separator}{line}\n".encode())
            self.add(line, path)
        return Verdict.KNOWN


def lookup_names(host: str, port: int, alias: str | None) -> list[str]:
    """The names under which a host's key may be filed, first the deciding one.

    >>> lookup_names("db1", 22, None), lookup_names("db1", 2222, None), lookup_names("db1", 2222, "db")
    (['db1'], ['[db1]:2222', 'db1'], ['db'])
    """
    if alias is not None:
        return [alias.lower()]
    return [host.lower()] if port == 22 else [f"[{host.lower()}]:{port}", host.lower()]


def fingerprint(blob: bytes) -> str:
    """As ``ssh-keygen -l`` prints it: SHA256:… without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def entry_fingerprint(entry: Entry) -> str:
    try:
        return fingerprint(base64.b64decode(entry.key))
    except (binascii.Error, ValueError):
        return "an unreadable key"


def _hash(names: str) -> tuple[bytes, bytes] | None:
    """``|1|salt|digest`` → the two, decoded."""
    parts = names.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return None
    try:
        return base64.b64decode(parts[2]), base64.b64decode(parts[3])
    except (binascii.Error, ValueError):
        return None


def _hashed_name(name: str) -> str:
    salt = os.urandom(20)
    digest = hmac.digest(salt, name.lower().encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


_loaded: dict[tuple[str, ...], KnownHosts] = {}
_loading = threading.Lock()
forget_with_settings(_loaded.clear)


def load(files: tuple[str, ...]) -> KnownHosts:
    """The files' content, read once per run."""
    with _loading:
        if files not in _loaded:
            _loaded[files] = KnownHosts(files)
        return _loaded[files]
