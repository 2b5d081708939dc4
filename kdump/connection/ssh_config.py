# Names in ssh_config are text (~, %, globs) before they are paths.
"""ssh_config(5), as far as a non-interactive command over SSH needs it.

Read by us instead of by ``paramiko.SSHConfig`` or ``ssh -G``: see docs/adr/0002-ssh-configuration.md. The rules are
those of OpenSSH's readconf.c (9.2): files in order user, system; the first value obtained wins; ``Include`` obeys the
block it stands in; ``Match final`` and ``Match canonical`` cause a second pass. A test compares us with ``ssh -G``.
"""

import dataclasses
import getpass
import hashlib
import os
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from kdump.connection.errors import ConnectionProblem, Kind, Phase
from kdump.connection.patterns import match_list
from kdump.connection.ssh_config_lines import Line, Malformed, read

_T = TypeVar("_T")

USER_CONFIG = "~/.ssh/config"
SYSTEM_CONFIG = "/etc/ssh/ssh_config"
DEFAULT_KEYS = tuple(f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "xmss", "dsa"))
USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

#: Keywords that change nothing for one command without terminal, forwarding or multiplexing.
_WITHOUT_EFFECT = frozenset(
    str.split(
        """addkeystoagent batchmode canonicaldomains canonicalizefallbacklocal canonicalizemaxdots
        canonicalizepermittedcnames clearallforwardings compression controlmaster controlpath
        controlpersist dynamicforward enableescapecommandline enablesshkeysign escapechar exitonforwardfailure
        fingerprinthash forkafterauthentication forwardagent forwardx11 forwardx11timeout forwardx11trusted
        gatewayports gssapiclientidentity gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange
        gssapirenewalforcesrekey gssapiserveridentity gssapistorecredentialsonrekey gssapitrustdns ignoreunknown
        ipqos localcommand localforward logfacility loglevel logverbose numberofpasswordprompts
        obscurekeystroketiming permitlocalcommand permitremoteopen rekeylimit remoteforward requesttty sendenv
        sessiontype stdinnull streamlocalbindmask
        streamlocalbindunlink syslogfacility tag tcpkeepalive tunnel tunneldevice updatehostkeys usekeychain
        visualhostkey xauthlocation"""
    )
)
#: Keywords with an effect that we do not have, and the values (lower case) that mean "no effect".
_NOT_HONOURED: dict[str, tuple[str, ...]] = {
    "bindinterface": (),
    "canonicalizehostname": ("no",),
    "casignaturealgorithms": (),
    "certificatefile": ("none",),
    "channeltimeout": ("none",),
    "checkhostip": ("no",),
    "connectionattempts": ("1",),
    "hostbasedacceptedalgorithms": (),
    "hostbasedauthentication": ("no",),
    "knownhostscommand": ("none",),
    "nohostauthenticationforlocalhost": ("no",),
    "pkcs11provider": ("none",),
    "proxyusefdpass": ("no",),
    "remotecommand": ("none",),
    "requiredrsasize": ("1024",),
    "securitykeyprovider": ("none", "internal"),
    "setenv": (),
    "verifyhostkeydns": ("no",),
}
_HONOURED = frozenset(
    str.split(
        """addressfamily bindaddress ciphers connecttimeout globalknownhostsfile gssapiauthentication
        hashknownhosts hostkeyalgorithms hostkeyalias hostname identitiesonly identityagent identityfile
        kbdinteractiveauthentication kexalgorithms macs passwordauthentication port preferredauthentications
        proxycommand proxyjump pubkeyacceptedalgorithms pubkeyauthentication revokedhostkeys serveralivecountmax
        serveraliveinterval stricthostkeychecking user userknownhostsfile"""
    )
)


@dataclasses.dataclass(frozen=True)
class HostConfig:
    """How to reach one host: what ssh_config says, with OpenSSH's defaults where it says nothing.

    Times in seconds; None where nothing was said. Paths are expanded. ``notes`` are sentences about settings that are
    not honoured.
    """

    alias: str
    hostname: str
    port: int
    user: str
    identity_files: tuple[str, ...]
    identities_only: bool
    identity_agent: str | None
    proxy_jump: tuple[str, ...]
    proxy_command: str | None
    connect_timeout: float | None
    alive_interval: int
    alive_count: int
    user_known_hosts: tuple[str, ...]
    global_known_hosts: tuple[str, ...]
    host_key_alias: str | None
    strict_host_key_checking: str
    hash_known_hosts: bool
    address_family: str
    bind_address: str | None
    pubkey: bool
    password: bool
    keyboard_interactive: bool
    gssapi: bool
    revoked_host_keys: str | None
    algorithms: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def resolve(
    alias: str,
    *,
    file: str | None = None,
    user: str | None = None,
    port: int | None = None,
    identity_file: str | None = None,
) -> HostConfig:
    """The configuration for ``alias``, as ``ssh -G [-F file] [-l user] [-p port] [-i identity_file] alias`` has it.

    ``file`` None means the user's and the system's configuration; a given file stands alone, as with ``ssh -F``.
    Raises ConnectionProblem(BAD_CONFIGURATION) for a file that cannot be read or understood, and for ``Match exec``.
    """
    try:
        files = _files(file)
        lookup = _Lookup(alias, user, port)
        for final in (False, True):
            for lines in files:
                lookup.apply(lines, final=final)
            if not lookup.wants_final:
                break
            lookup.settle_hostname()
        return lookup.result(identity_file)
    except Malformed as error:
        raise ConnectionProblem(
            Kind.BAD_CONFIGURATION, alias, Phase.CONFIG, str(error), "correct it, or name another file by --ssh-config"
        ) from None


def _files(file: str | None) -> tuple[tuple[Line, ...], ...]:
    if file is not None:
        path = os.path.expanduser(file)
        if path == "none":
            return ()
        if not os.path.isfile(path) and not os.path.exists(path):
            raise Malformed(f"{file}: no such file")
        return (read(path, "~/.ssh", 0),)
    return tuple(
        read(path, base, 0)
        for path, base in ((os.path.expanduser(USER_CONFIG), "~/.ssh"), (SYSTEM_CONFIG, "/etc/ssh"))
        if os.path.exists(path)
    )


class _Lookup:
    """The values obtained so far for one host; the first one stays."""

    def __init__(self, alias: str, user: str | None, port: int | None) -> None:
        self.alias = alias
        self.values: dict[str, Line] = {}
        self.lists: dict[str, list[str]] = {"identityfile": []}
        self.notes: dict[str, None] = {}
        self.wants_final = False
        self._settled: str | None = None
        self.user = user
        self.port = port
        self.local_user = _local_user()

    def apply(self, lines: Sequence[Line], *, final: bool, active: bool = True, never: bool = False) -> None:
        for line in lines:
            if line.keyword == "host":
                active = not never and match_list(self._settled or self.alias, line.arguments, fold=False)
            elif line.keyword == "match":
                active = self._match(line, final, never)
            elif line.keyword == "include":
                for file in line.included:
                    self.apply(file, final=final, active=active, never=not active)
            elif active:
                self._obtain(line)

    def _obtain(self, line: Line) -> None:
        keyword = line.keyword
        if keyword == "identityfile":
            name = line.arguments[0]
            if name not in self.lists["identityfile"]:
                self.lists["identityfile"].append(name)
        elif keyword == "proxyjump":
            if "proxycommand" not in self.values:
                self.values.setdefault(keyword, line)
        elif keyword == "proxycommand":
            if self.optional("proxyjump") is None:  # "ProxyJump none" forbids another jump, not a command
                self.values.setdefault(keyword, line)
        elif keyword in _HONOURED:
            self.values.setdefault(keyword, line)
        elif keyword in _NOT_HONOURED:
            if keyword not in self.values and line.arguments[0].lower() not in _NOT_HONOURED[keyword]:
                self._note(line, "is not honoured; --connection=ssh leaves it to OpenSSH")
            self.values.setdefault(keyword, line)
        elif keyword not in _WITHOUT_EFFECT:
            self._note(line, "is not known here and was ignored")

    def _note(self, line: Line, remark: str) -> None:
        self.notes[f"{line.where}: {line.keyword} {remark}"] = None

    def _match(self, line: Line, final: bool, never: bool) -> bool:
        words = list(line.arguments)
        result = not never
        if [word.lower() for word in words] == ["all"]:
            return result
        while words:
            word = words.pop(0)
            negated = word.startswith("!")
            criterion, equals, value = word.lstrip("!").partition("=")
            criterion = criterion.lower()
            if criterion in ("canonical", "final"):
                self.wants_final = self.wants_final or criterion == "final"
                passed = final
            elif criterion == "all":
                passed = True
            else:
                if not equals:
                    if not words:
                        raise Malformed(f"{line.where}: Match {criterion} has no value")
                    value = words.pop(0)
                passed = result and self._criterion(line, criterion, value)
            result = result and passed is not negated
        return result

    def _criterion(self, line: Line, criterion: str, value: str) -> bool:
        patterns = value.split(",")
        if criterion == "host":
            return match_list(self.hostname(), patterns)
        if criterion == "originalhost":
            return match_list(self.alias, patterns)
        if criterion == "user":
            return match_list(self.remote_user(), patterns, fold=False)
        if criterion == "localuser":
            return match_list(self.local_user, patterns, fold=False)
        if criterion == "exec":
            raise Malformed(
                f"{line.where}: Match exec would run a command on this machine; that is left to OpenSSH (--connection=ssh)"
            )
        raise Malformed(f"{line.where}: Match {criterion} is not understood; --connection=ssh leaves it to OpenSSH")

    def settle_hostname(self) -> None:
        """The host name is what the first pass made it; a HostName met in the second changes nothing (ssh.c)."""
        self._settled = self.hostname()

    def hostname(self) -> str:
        if self._settled is not None:
            return self._settled
        line = self.values.get("hostname")
        if line is None:
            return self.alias
        return expand(line.arguments[0], {"h": self.alias}, line.where)

    def remote_user(self) -> str:
        if self.user is not None:
            return self.user
        line = self.values.get("user")
        return line.arguments[0] if line else self.local_user

    def first(self, keyword: str, default: str) -> str:
        line = self.values.get(keyword)
        return line.arguments[0] if line else default

    def optional(self, keyword: str) -> str | None:
        value = self.first(keyword, "none")
        return None if value.lower() == "none" else value

    def flag(self, keyword: str, default: bool) -> bool:
        line = self.values.get(keyword)
        if line is None:
            return default
        value = line.arguments[0].lower()
        if value not in ("yes", "true", "no", "false"):
            raise Malformed(f"{line.where}: {keyword} must be yes or no")
        return value in ("yes", "true")

    def number(self, keyword: str, default: _T, read: Callable[[str], _T]) -> _T:
        line = self.values.get(keyword)
        if line is None:
            return default
        try:
            return read(line.arguments[0])
        except ValueError:
            raise Malformed(f"{line.where}: {keyword} {line.arguments[0]} is not understood") from None

    def paths(self, keyword: str, default: Iterable[str], tokens: dict[str, str]) -> tuple[str, ...]:
        line = self.values.get(keyword)
        names, where = (line.arguments, line.where) if line else (tuple(default), "")
        if len(names) == 1 and names[0].lower() == "none":
            return ()
        return tuple(_path(name, tokens, where) for name in names)

    def result(self, identity_file: str | None) -> HostConfig:
        hostname = self.hostname()
        user = self.remote_user()
        port = self.port if self.port is not None else self.number("port", 22, _port)
        local = socket.gethostname()
        tokens = {
            "h": hostname,
            "n": self.alias,
            "p": str(port),
            "r": user,
            "u": self.local_user,
            "d": os.path.expanduser("~"),
            "i": str(os.getuid()),
            "L": local.split(".")[0],
            "l": local,
            "k": self.first("hostkeyalias", self.alias),
            "j": self.first("proxyjump", ""),
        }
        tokens["C"] = hashlib.sha1(f"{local}{hostname}{port}{user}".encode()).hexdigest()  # noqa: S324  # as ssh does
        return HostConfig(
            alias=self.alias,
            hostname=hostname,
            port=port,
            user=user,
            identity_files=self._identity_files(identity_file, tokens),
            identities_only=self.flag("identitiesonly", False),
            identity_agent=self._agent(tokens),
            proxy_jump=self._jumps(tokens),
            proxy_command=self._proxy_command(tokens),
            connect_timeout=self.number("connecttimeout", None, _duration),
            alive_interval=int(self.number("serveraliveinterval", None, _duration) or 0),
            alive_count=self.number("serveralivecountmax", 3, int),
            user_known_hosts=self.paths("userknownhostsfile", USER_KNOWN_HOSTS, tokens),
            global_known_hosts=self.paths("globalknownhostsfile", GLOBAL_KNOWN_HOSTS, tokens),
            host_key_alias=self.optional("hostkeyalias"),
            strict_host_key_checking=self._strict(),
            hash_known_hosts=self.flag("hashknownhosts", False),
            address_family=self.first("addressfamily", "any").lower(),
            bind_address=self.optional("bindaddress"),
            pubkey=self.first("pubkeyauthentication", "yes").lower() != "no" and self._preferred("publickey"),
            password=self.flag("passwordauthentication", True) and self._preferred("password"),
            keyboard_interactive=self.flag("kbdinteractiveauthentication", True) and self._preferred("keyboard-interactive"),
            gssapi=self.flag("gssapiauthentication", False),
            revoked_host_keys=_maybe_path(self.optional("revokedhostkeys")),
            algorithms=tuple(
                (keyword, self.values[keyword].arguments[0])
                for keyword in ("kexalgorithms", "hostkeyalgorithms", "ciphers", "macs", "pubkeyacceptedalgorithms")
                if keyword in self.values
            ),
            notes=tuple(self.notes),
        )

    def _preferred(self, method: str) -> bool:
        return method in self.first("preferredauthentications", method).split(",")

    def _strict(self) -> str:
        line = self.values.get("stricthostkeychecking")
        value = line.arguments[0].lower() if line else "ask"
        if value not in ("yes", "true", "ask", "accept-new", "no", "false", "off"):
            assert line is not None
            raise Malformed(f"{line.where}: StrictHostKeyChecking {value} is not understood")
        if value in ("no", "false", "off"):
            assert line is not None
            self._note(line, f"{value} is not honoured: host keys are always verified (--ssh-accept-new adds new ones)")
        return "accept-new" if value == "accept-new" else "yes"

    def _identity_files(self, option: str | None, tokens: dict[str, str]) -> tuple[str, ...]:
        given = ([option] if option else []) + self.lists["identityfile"]
        if [name.lower() for name in given] == ["none"]:
            return ()
        names = [name for name in given if name.lower() != "none"] or list(DEFAULT_KEYS)
        return tuple(_path(name, tokens, "IdentityFile") for name in names)

    def _agent(self, tokens: dict[str, str]) -> str | None:
        value = self.first("identityagent", "SSH_AUTH_SOCK")
        if value.lower() == "none":
            return None
        if value == "SSH_AUTH_SOCK":
            return os.environ.get("SSH_AUTH_SOCK") or None
        if value.startswith("$") and not value.startswith("${"):
            return os.environ.get(value[1:]) or None
        return _path(value, tokens, "IdentityAgent")

    def _jumps(self, tokens: dict[str, str]) -> tuple[str, ...]:
        line = self.values.get("proxyjump")
        if line is None or line.arguments[0].lower() == "none":
            return ()
        tokens = {name: value for name, value in tokens.items() if name in "hnpr"}
        return tuple(expand(hop.strip(), tokens, line.where) for hop in line.arguments[0].split(","))

    def _proxy_command(self, tokens: dict[str, str]) -> str | None:
        line = self.values.get("proxycommand")
        if line is None or line.rest.strip().lower() == "none":
            return None
        tokens = {name: value for name, value in tokens.items() if name in "hnpr"}
        return expand(line.rest.strip(), tokens, line.where)


def expand(text: str, tokens: dict[str, str], where: str) -> str:
    """``%`` tokens as in OpenSSH's percent_expand; an unknown one is an error there, and here.

    >>> expand("%h-%%", {"h": "db1"}, "config:1")
    'db1-%'
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name == "%":
            return "%"
        if name not in tokens:
            raise Malformed(f"{where}: %{name} is not understood here")
        return tokens[name]

    return re.sub(r"%(.?)", value, text)


def _path(name: str, tokens: dict[str, str], where: str) -> str:
    def variable(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise Malformed(f"{where}: the environment variable {found[1]} is not set")
        return os.environ[found[1]]

    return expand(re.sub(r"\$\{(\w+)\}", variable, os.path.expanduser(name)), tokens, where)


def _maybe_path(name: str | None) -> str | None:
    return None if name is None else os.path.expanduser(name)


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(text)
    return port


def _duration(text: str) -> float | None:
    """OpenSSH's time formats in seconds: ``90``, ``1m30s``, ``2h``; ``none`` is None.

    >>> _duration("1m30s"), _duration("90"), _duration("none")
    (90.0, 90.0, None)
    """
    if text.lower() == "none":
        return None
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    if not re.fullmatch(r"(\d+[smhdw]?)+", text.lower()):
        raise ValueError(text)
    return float(sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smhdw]?)", text.lower())))


def _local_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
