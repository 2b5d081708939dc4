"""What stands in ``--hosts``: names, addresses and URLs, each with the place where it stands, checked before anybody is asked."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .transcript import mask

# A name of the DNS, or an alias of ssh_config; never something that ssh(1) takes for an option.
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,252}")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._+-]{0,252}")
_DOTTED = re.compile(r"[0-9.]+")
_MOST_BYTES = 64 << 20  # of a file of hosts
_SHOWN = 255  # characters of an entry that is refused
# a line of an inventory, which is none of a list of hosts; spaces may stand where Ansible takes none
_SECRET = re.compile(r"((?:pass|secret|token)\w*\s*[=:]\s+).+", re.IGNORECASE)
_BY_ADDRESS = ("", "ssh", "paramiko", "safe-ssh")
# What testinfra 10.2.2 takes from a URL (testinfra/backend/__init__.py, parse_hostspec); it drops everything else unsaid.
_OF_SSH = {"sudo", "sudo_user", "timeout", "controlpersist", "ssh_config", "ssh_identity_file"}
_OF_ANSIBLE = {"sudo", "sudo_user", "ssh_config", "ssh_identity_file", "ansible_inventory", "force_ansible"}
# It takes any other word for false, and the first of two values.
_VALUES = dict.fromkeys(("sudo", "force_ansible"), (re.compile("true|false", re.IGNORECASE), "true or false"))
_VALUES |= dict.fromkeys(("timeout", "controlpersist"), (re.compile("[0-9]{1,6}"), "a number of seconds"))


# It ends up in test ids, which pytest-html prints as markup: only what a name, an address, a user, a port or a path needs.
_NAME = re.compile(r"[A-Za-z0-9._:%\[\]@+~/-]{1,255}")


class BadHosts(ValueError):
    """The hosts cannot be used as given; ``str()`` is one sentence."""


class Spec(NamedTuple):
    """One entry. ``origin``: where it stands, as ``--hosts`` or ``fleet.txt:12``."""

    text: str
    origin: str = "--hosts"

    @property
    def scheme(self) -> str:
        return self.text.partition("://")[0] if "://" in self.text else ""

    def bad(self, why: str) -> BadHosts:
        """The refusal of this entry. It shows the entry, without the value of what is named as a password: not for one that holds
        user:password@host."""
        text = _SECRET.sub(r"\1***", mask(self.text[: 2 * _SHOWN]))
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        return BadHosts(f"{self.origin}: {shown!r} {why}")


def specs(option: str, folder: Path) -> list[Spec]:
    """The entries of ``--hosts``: names and URLs with commas between; ``@FILE`` holds one a line, relative to ``folder``.

    Raises :class:`BadHosts`.
    """
    words = [word.strip() for word in option.split(",")]
    if not any(words):
        raise BadHosts("--hosts names no host: give names or URLs with commas between, or @FILE")
    if not all(words):
        raise BadHosts(f"--hosts={option!r} has an empty name between commas")
    found: dict[str, Spec] = {}
    for word in words:
        for spec in _from_file(folder, word[1:]) if word.startswith("@") else [Spec(word)]:
            _refuse_password(spec)
            if spec.text in found:
                raise spec.bad(f"is named twice, before in {found[spec.text].origin.removeprefix('--hosts: ')}")
            found[spec.text] = spec
    return list(found.values())


def _from_file(folder: Path, name: str) -> Iterator[Spec]:
    path = folder / Path(name).expanduser()
    if not name:
        raise BadHosts("--hosts: @ without the name of a file: write @FILE")
    try:
        with path.open("rb") as file:  # which may be a pipe, or endless
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise BadHosts(f"--hosts=@{name}: larger than {_MOST_BYTES >> 20} MiB: this is no list of hosts")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise BadHosts(f"--hosts=@{name}: the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadHosts(f"--hosts: {name}:{line}: is not UTF-8 text: a host a line is expected") from error
    lines = [(number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1)]
    found = [Spec(line, f"--hosts: {name}:{number}") for number, line in lines if line]
    if not found:
        raise BadHosts(f"--hosts=@{name}: the file names no host")
    return iter(found)


def _refuse_password(spec: Spec) -> None:
    user, at, _ = spec.text.rpartition("://")[2].rpartition("@")
    if at and ":" in user:
        raise BadHosts(
            f"{spec.origin}: a host spec holds a password, which would end up in reports and process lists: "
            "leave it out and use a key, the agent, or KDUMP_SSH_PASSWORD"
        )


def check(spec: Spec, connection: str | None = None) -> None:
    """Refuse an entry that no connection can be made from; ``connection`` is what an entry without a scheme means.

    Raises :class:`BadHosts`.
    """
    scheme = spec.scheme or connection or ""
    if scheme != scheme.lower():  # to testinfra it is the same, and nothing here would know it
        raise spec.bad(f"has its scheme in capitals: write {scheme.lower()}://")
    if scheme == "local" and spec.text.partition("://")[2].partition("?")[0]:
        raise spec.bad("names a host, but local:// is this machine")
    if scheme != "ansible" and _PLAIN.fullmatch(spec.text):  # most of a long list
        return
    if scheme != "ansible" and "," in spec.text:
        raise spec.bad("holds a comma: write one host a line")
    if scheme != "ansible" and scheme not in _BY_ADDRESS:
        return
    rest = spec.text.partition("://")[2] if spec.scheme else spec.text
    address, mark, query = rest.partition("?") if spec.scheme and scheme != "ansible" else split_query(rest)
    if mark:
        known = _OF_ANSIBLE if scheme == "ansible" else _OF_SSH
        for key, values in urllib.parse.parse_qs(query, keep_blank_values=True).items():
            if key not in known:
                raise spec.bad(f"has the unknown option {key!r}: {', '.join(sorted(known))} are known")
            form, words = _VALUES.get(key, (re.compile(".+"), "a value"))
            if len(values) > 1 or not form.fullmatch(values[0]):
                raise spec.bad(f"gives the option {key} something other than {words}")
    if scheme == "ansible":
        return
    if not spec.scheme and mark:
        raise spec.bad("has options, which need a scheme: write ssh:// before it")
    user, at, place = address.rpartition("@")
    if at and not user:
        raise spec.bad("names no user before the @")
    host, port = split_port(place)
    if port is not None and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        if re.fullmatch(r"[0-9]*", port):
            raise spec.bad(f"has a port that is not a number from 1 to 65535 ({port[:20] or 'empty'}){_brackets(place)}")
        # not shown: it may be the first half of a password with a comma
        hidden = Spec(f"{spec.text[: -len(port)]}***", spec.origin)
        raise hidden.bad(f"has a port that is not a number from 1 to 65535{_brackets(place)}")
    why = bad_address(host)
    if why:
        raise spec.bad(why)


def bad_name(name: str) -> str:
    """Why the name of a target cannot be one; empty where it can."""
    return "" if _NAME.fullmatch(name) else "is not a host name: letters, digits and . _ : % [ ] @ + - are"


def split_query(text: str) -> tuple[str, str, str]:
    """A pattern may hold ``?`` as a glob: only ``?key=`` begins options.

    >>> split_query("web?"), split_query("web?&x?sudo=true")
    (('web?', '', ''), ('web?&x', '?', 'sudo=true'))
    """
    found = re.search(r"\?(?=[a-z_]+=)", text)
    return (text[: found.start()], "?", text[found.end() :]) if found else (text, "", "")


def split_port(place: str) -> tuple[str, str | None]:
    """
    >>> split_port("[fe80::1]:22"), split_port("[fe80::1]"), split_port("db1:22"), split_port("db1")
    (('[fe80::1]', '22'), ('[fe80::1]', None), ('db1', '22'), ('db1', None))
    """
    head, bracket, tail = place.rpartition("]")
    if bracket:
        return head + bracket, tail[1:] if tail.startswith(":") else (tail or None)
    host, colon, port = place.partition(":")
    return host, port if colon else None


def bad_address(host: str) -> str:
    """Why a name or address cannot be one; empty where it can.

    >>> bad_address("db1"), bad_address("[fe80::1%eth0]"), bad_address("10.0.0.300")
    ('', '', 'has an IPv4 address that does not exist (10.0.0.300)')
    """
    if host.startswith("[") or ":" in host:
        inside = host.removeprefix("[").removesuffix("]").partition("%")[0]
        try:
            ipaddress.IPv6Address(inside)
        except ValueError:
            return f"has an IPv6 address that does not exist ({inside[:_SHOWN]})"
        return ""
    if not host:
        return "names no host"
    if _DOTTED.fullmatch(host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return f"has an IPv4 address that does not exist ({host[:_SHOWN]})"
    if not _HOST.fullmatch(host):
        return "is not a host name: letters, digits and . _ + - are"
    return ""


def _brackets(place: str) -> str:
    return ": write an IPv6 address in brackets" if place.count(":") > 1 and not place.startswith("[") else ""
