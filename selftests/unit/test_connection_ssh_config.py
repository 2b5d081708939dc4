"""Our reading of ssh_config against OpenSSH's own: the same files given to ``ssh -G``."""

import getpass
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from kdump.connection import ConnectionProblem, Kind
from kdump.connection.settings import Settings, configure
from kdump.connection.ssh_config import HostConfig, resolve

HOSTS = ("db1", "db2.example.org", "web-12", "10.0.0.7")
PATTERNS = ("*", "db*", "db?", "*.example.org", "web-* !web-13", "!db1 *", "10.0.0.?", '"db1" web-12', "nothing", "DB1")
CRITERIA = (
    *("all", "host db*", "originalhost web-*,db1", "user root", "!user root", f"localuser {getpass.getuser()}"),
    *("final host real.*", "final", "host *.example.org user deploy", "!host db1", "canonical", "final all"),
)
SETTINGS = (
    *("User deploy", "User root", "Port 2222", "Port=2200", "HostName real.%h", "HostName %h.example.org"),
    *("IdentityFile ~/.ssh/one", 'IdentityFile "~/.ssh/with space"', "IdentityFile %d/.ssh/%r-%h", "IdentityFile none"),
    *("IdentitiesOnly yes", "ConnectTimeout 7", "ConnectTimeout 1m30", "ServerAliveInterval 5", "ServerAliveCountMax 2"),
    *("ProxyJump bastion", "ProxyJump none", "ProxyJump ops@a:22,b", "ProxyCommand nc %h %p", "ProxyCommand none"),
    *("UserKnownHostsFile ~/kh1 ~/kh2", "UserKnownHostsFile none", "GlobalKnownHostsFile /etc/kh", "HostKeyAlias it"),
    *("StrictHostKeyChecking accept-new", "StrictHostKeyChecking yes", "HashKnownHosts yes", "HashKnownHosts no"),
    *("AddressFamily inet", "BindAddress 127.0.0.1", "PubkeyAuthentication no", "PasswordAuthentication no"),
    *("GSSAPIAuthentication yes", "IdentityAgent ~/agent", "PreferredAuthentications publickey", "LogLevel INFO  # note"),
    *("  user = indented  ", "KbdInteractiveAuthentication no", "HostName fixed", "SendEnv LANG", "# comment", ""),
)


def generate(choose: random.Random, folder: Path, depth: int = 0) -> str:
    """A configuration of a few blocks, with Includes (globs, inside blocks, nested)."""
    lines = []
    for _ in range(choose.randint(1, 4)):
        head = choose.random()
        if head < 0.5:
            lines.append(f"Host {choose.choice(PATTERNS)}")
        elif head < 0.75:
            lines.append(f"Match {choose.choice(CRITERIA)}")
        lines += [choose.choice(SETTINGS) for _ in range(choose.randint(1, 5))]
        if depth < 2 and choose.random() < 0.4:
            part = folder / f"part{depth}{choose.randint(0, 9)}.d"
            part.mkdir(exist_ok=True)
            for name in ("b.conf", "a.conf"):
                (part / name).write_text(generate(choose, folder, depth + 1))
            lines.append(f"Include {part}/*.conf {folder}/missing*")
    return "\n".join(lines) + "\n"


def openssh(file: Path, host: str) -> dict[str, list[str]] | str:
    done = subprocess.run(["ssh", "-G", "-F", file, host], capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr
    values: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        values.setdefault(key, []).append(value)
    return values


def comparable(config: HostConfig) -> dict[str, object]:
    home = str(Path.home())
    return {
        "hostname": config.hostname,
        "user": config.user,
        "port": str(config.port),
        "identityfile": [name.replace(home, "~", 1) for name in config.identity_files],
        "identitiesonly": "yes" if config.identities_only else "no",
        "connecttimeout": "none" if config.connect_timeout is None else f"{config.connect_timeout:g}",
        "serveraliveinterval": str(config.alive_interval),
        "serveralivecountmax": str(config.alive_count),
        "proxyjump": ",".join(config.proxy_jump) or None,
        "proxycommand": config.proxy_command,
        "userknownhostsfile": " ".join(config.user_known_hosts) or "none",
        "globalknownhostsfile": " ".join(config.global_known_hosts),
        "hostkeyalias": config.host_key_alias,
        "hashknownhosts": "yes" if config.hash_known_hosts else "no",
        "addressfamily": config.address_family,
        "bindaddress": config.bind_address,
        "pubkeyauthentication": "yes" if config.pubkey else "no",
        "gssapiauthentication": "yes" if config.gssapi else "no",
        "stricthostkeychecking": config.strict_host_key_checking,
    }


def expected(values: dict[str, list[str]]) -> dict[str, object]:
    first = {key: found[0] for key, found in values.items()}
    home = str(Path.home())

    def path(name: str) -> str:
        tokens = {"%d": home, "%r": first["user"], "%h": first["hostname"], "~": home}
        for token, value in tokens.items():
            name = name.replace(token, value)
        return name.replace(home, "~", 1)

    identities = [path(name) for name in values.get("identityfile", [])]
    identities = [] if identities == ["none"] else [name for name in identities if name != "none"]
    known = " ".join(name.replace("~", home) for name in first["userknownhostsfile"].split())
    command = first.get("proxycommand")
    strict = {"true": "yes", "ask": "yes"}
    methods = first.get("preferredauthentications", "publickey")
    return {
        "hostname": first["hostname"],
        "user": first["user"],
        "port": first["port"],
        "identityfile": identities,
        "identitiesonly": first["identitiesonly"],
        "connecttimeout": first["connecttimeout"],
        "serveraliveinterval": first["serveraliveinterval"],
        "serveralivecountmax": first["serveralivecountmax"],
        "proxyjump": first.get("proxyjump"),
        "proxycommand": command and command.replace("%h", first["hostname"]).replace("%p", first["port"]),
        "userknownhostsfile": known,
        "globalknownhostsfile": first["globalknownhostsfile"],
        "hostkeyalias": first.get("hostkeyalias"),
        "hashknownhosts": first["hashknownhosts"],
        "addressfamily": first["addressfamily"],
        "bindaddress": first.get("bindaddress"),
        "pubkeyauthentication": "yes" if first["pubkeyauthentication"] == "true" and "publickey" in methods else "no",
        "gssapiauthentication": first["gssapiauthentication"],
        "stricthostkeychecking": strict.get(first["stricthostkeychecking"], first["stricthostkeychecking"]),
    }


@pytest.mark.hostility(15)
@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs the OpenSSH client")
@pytest.mark.parametrize("seed", range(50))
def test_same_as_openssh(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    configure(Settings())
    choose = random.Random(seed)
    file = tmp_path / "config"
    file.write_text(generate(choose, tmp_path))
    for host in HOSTS:
        theirs = openssh(file, host)
        assert isinstance(theirs, dict), theirs
        ours = comparable(resolve(host, file=str(file)))
        wanted = expected(theirs)
        assert ours == wanted, f"{host}\n{file.read_text()}"
    measured("", f"{len(HOSTS)} hosts in each of 50 configurations, {len(wanted)} settings each")


@pytest.mark.hostility(15)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Match exec true\nUser x", "--connection=ssh"),
        ("Port ssh", "config:1: port ssh"),
        ("Host a\nUser", "config:2: User has no value"),
        ("StrictHostKeyChecking perhaps", "config:1:"),
        ('HostName "open', "config:1: a quote"),
        ("IdentitiesOnly maybe", "yes or no"),
        ("IdentityFile %q", "%q"),
        ("???", "config:1: not a configuration line"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line(tmp_path: Path, measured, text: str, words: str) -> None:
    configure(Settings())
    file = tmp_path / "config"
    file.write_text(text + "\n")
    with pytest.raises(ConnectionProblem) as caught:
        resolve("db1", file=str(file))
    assert caught.value.kind is Kind.BAD_CONFIGURATION and words in str(caught.value), str(caught.value)
    measured(str(caught.value), "")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConnectionProblem, match="no such file"):
        resolve("db1", file=str(tmp_path / "none"))


def test_what_is_not_honoured_is_said_once(tmp_path: Path) -> None:
    configure(Settings())
    file = tmp_path / "config"
    file.write_text(
        "StrictHostKeyChecking no\nSetEnv A=b\nKnownHostsCommand /bin/x\nConnectionAttempts 1\nForwardAgent yes\n"
        "FutureKeyword yes\nCheckHostIP no\nProxyUseFdpass yes\nNoHostAuthenticationForLocalhost yes\nRequiredRSASize 4096\n"
        "Host other\nSecurityKeyProvider x\n"
    )
    notes = resolve("db1", file=str(file)).notes
    assert [note.partition(" ")[2].split()[0] for note in notes] == [
        "setenv", "knownhostscommand", "futurekeyword", "proxyusefdpass", "nohostauthenticationforlocalhost",
        "requiredrsasize", "stricthostkeychecking",
    ]  # fmt: skip


def test_options_win(tmp_path: Path) -> None:
    configure(Settings())
    file = tmp_path / "config"
    file.write_text("Match user admin\nPort 2022\nHost *\nUser other\nPort 99\nIdentityFile /k/config\n")
    config = resolve("db1", file=str(file), user="admin", identity_file="/k/option")
    assert (config.user, config.port, config.identity_files) == ("admin", 2022, ("/k/option", "/k/config"))
    assert resolve("db1", file=str(file), port=1).port == 1
