"""The kernel command line of the next boot, from the boot loader's own files.

Sources: GRUB 2.06 (docs/grub.texi "default", "Simple configuration"; grub-core/normal/menu.c: an entry is named by
number, title or id, a submenu's by a path with ``>``; what matches nothing is entry 0), the ``blscfg`` command of
Fedora's GRUB (entries in ``/boot/loader/entries``, ``saved_entry`` names the file), the Boot Loader Specification and
systemd-boot's loader.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise

from ..verdict import CouldNotDetermine, NotApplicable
from .shell_words import shell_words

_QUOTES = re.compile(r"""['"\\]""")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_COMMANDS = ("menuentry", "submenu", "linux", "blscfg")  # of those that grub.cfg has, the ones that are looked at


@dataclass(frozen=True)
class BootEntry:
    """``source``: the file and the title under which it stands. ``arguments``: the kernel's command line.

    ``image``: the kernel's path, as the boot loader sees it.
    """

    source: str
    arguments: str
    image: str = ""

    def starts(self, release: str) -> bool:
        """Whether it starts the kernel of that release, and not to repair the system.

        Sources: names of installkernel (vmlinuz-RELEASE) and of kernel-install's layout bls (RELEASE/linux).
        """
        folder, _, name = self.image.rpartition("/")
        named = name.endswith(f"-{release}") or (name == "linux" and folder.endswith(f"/{release}"))
        repairs = {"single", "rescue", "emergency", "1", "S"}.intersection(self.arguments.split())
        return named and not repairs


@dataclass(frozen=True)
class NextBoot:
    """The entries of which one boots next: a single one, or several and the ``doubt`` which."""

    entries: tuple[BootEntry, ...]
    doubt: str = ""


@dataclass
class _Node:
    """A menu, or an entry of one (``arguments`` is not None); ``sorted``: GRUB finds its place by version."""

    title: str = ""
    id: str = ""
    arguments: str | None = None
    image: str = ""
    sorted: bool = False
    children: list[_Node] = field(default_factory=list)


@dataclass(frozen=True)
class BootConfiguration:
    """Text of the boot loader's files, by path."""

    files: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> BootConfiguration:
        """Split at the ``== FILE`` lines.

        >>> BootConfiguration.parse("== /boot/grub/grubenv\\nsaved_entry=0").files
        {'/boot/grub/grubenv': 'saved_entry=0\\n'}
        """
        files: dict[str, str] = {}
        for part in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
            path, _, content = part.partition("\n")
            files[path.strip()] = content if content.endswith("\n") or not content else content + "\n"
        return cls(files)

    def next_boot(self, booted_by_grub: bool) -> NextBoot:
        """What boots next. ``booted_by_grub``: /proc/cmdline has the BOOT_IMAGE= that GRUB puts there.

        Raises :class:`NotApplicable` where the host has no boot loader, :class:`CouldNotDetermine` where it has one
        that is not read here or that is not the one in use.
        """
        menus = [path for path in self.files if path.endswith("/grub.cfg") and self._is_menu(path)]
        systemd_boot = self.files.get("LoaderInfo", "").startswith("systemd-boot")
        if menus and not systemd_boot:
            if not booted_by_grub:
                raise CouldNotDetermine(
                    f"the running kernel was not started by GRUB (no BOOT_IMAGE= in /proc/cmdline), so whether {menus[0]} "
                    "decides about the next boot is unknown"
                )
            return _together([self._grub(path) for path in menus])
        for kind in ("/EFI/Linux/", "/extlinux.conf"):
            if found := next((path for path in self.files if kind in path), None):
                raise CouldNotDetermine(f"the command line of the next boot is in {found}, which is not read here")
        if entries := self._loader_entries({}):
            return self._systemd_boot(entries)
        if self.files.keys() - {"LoaderInfo"}:
            raise CouldNotDetermine(f"no boot entry was found in {', '.join(self.files)}")
        raise NotApplicable("no boot loader configuration on this host: its kernel command line comes from outside")

    def entries_of(self, release: str) -> tuple[BootEntry, ...]:
        """The entries that start the kernel of that release, of every boot loader whose files are there."""
        found: dict[BootEntry, None] = {}
        for path in self.files:
            if path.endswith("/grub.cfg"):
                for node in _leaves(self._menu(path, self._variables(path)[0])):
                    found[_entry(path, node)] = None
        for node in self._loader_entries({}):
            found.setdefault(BootEntry(f"boot entry {node.id}", node.arguments or "", node.image))
        return tuple(entry for entry in found if entry.starts(release))

    def _is_menu(self, path: str) -> bool:
        return re.search(r"^\s*(menuentry|blscfg)\b", self.files[path], re.MULTILINE) is not None

    def _variables(self, path: str) -> tuple[dict[str, str], list[str], dict[str, str]]:
        """GRUB's variables, the defaults that its menu sets, and what of the variables comes from its environment."""
        folder = path.rpartition("/")[0]
        environment: dict[str, str] = {}
        for place in ("/boot/grub/grubenv", "/boot/grub2/grubenv", f"{folder}/grubenv"):
            lines = self.files.get(place, "").splitlines()
            environment |= {name: value for name, _, value in (line.partition("=") for line in lines) if value}
        variables, defaults = dict(environment), []
        for name, value in re.findall(r"^\s*set\s+(\w+)=(.*?)\s*$", self.files[path], re.MULTILINE):
            value = value.strip("\"'")
            if name == "default":
                defaults.append(value)
            elif not variables.get(name) and "$" not in value:
                variables[name] = value
        # what GRUB puts back after an entry was booted once
        if environment.get("prev_saved_entry"):
            variables["saved_entry"] = environment["prev_saved_entry"]
        return variables, defaults, environment

    def _grub(self, path: str) -> NextBoot:
        variables, defaults, environment = self._variables(path)
        root = self._menu(path, variables)
        chosen = [value for value in defaults if "next_entry" not in value] or ["0"]
        names = [_expand(value, variables) for value in dict.fromkeys(chosen)]
        if environment.get("next_entry"):
            names = [environment["next_entry"]]
        found: dict[BootEntry, None] = {}
        unclear = len(names) > 1
        for name in names:
            nodes = list(_resolve(root, name))
            unclear |= len(nodes) > 1
            for node in nodes:
                found[_entry(path, node)] = None
        if not found:
            raise CouldNotDetermine(f"{path} has no entry that starts a Linux kernel")
        return NextBoot(tuple(found), f"{path} has default={' or '.join(names)!r}" if unclear else "")

    def _menu(self, path: str, variables: Mapping[str, str]) -> _Node:
        root = _Node()
        stack: list[_Node | None] = [root]
        for line in map(str.strip, self.files[path].splitlines()):
            words = _words(line) if line.startswith(_COMMANDS) else []
            inside = stack[-1]
            if line.endswith("{"):
                node = None
                if words and words[0] in ("menuentry", "submenu") and inside is not None:
                    node = _Node(words[1], _id(words))
                    inside.children.append(node)
                stack.append(node)
            elif line.startswith("}"):
                if len(stack) > 1:
                    stack.pop()
            elif words and words[0].startswith("linux") and inside is not None and inside is not root:
                if inside.arguments is None:
                    inside.arguments = _expand(" ".join(words[2:]), variables)
                    inside.image = _expand(" ".join(words[1:2]), variables)
            elif words and words[0] == "blscfg" and inside is root:
                root.children += self._loader_entries(variables)
        return root

    def _loader_entries(self, variables: Mapping[str, str]) -> list[_Node]:
        """The entries of the Boot Loader Specification; the id is the file's name without ``.conf``."""
        found = []
        for path, text in self.files.items():
            if "/loader/entries/" in path:
                pairs = [line.split(None, 1) for line in text.splitlines() if len(line.split(None, 1)) == 2]
                options = " ".join(value for key, value in pairs if key == "options")
                title = " ".join(value for key, value in pairs if key == "title")
                image = " ".join(value for key, value in pairs if key == "linux")
                name = path.rpartition("/")[2].removesuffix(".conf")
                found.append(_Node(title or name, name, _expand(options, variables), image, sorted=True))
        return found

    def _systemd_boot(self, entries: list[_Node]) -> NextBoot:
        conf = "\n".join(text for path, text in self.files.items() if path.endswith("/loader.conf"))
        pattern = re.search(r"^default\s+(\S+)", conf, re.MULTILINE)
        wanted = [e for e in entries if pattern and fnmatchcase(f"{e.id}.conf", pattern[1])]
        wanted = wanted or [e for e in entries if fnmatchcase(e.id, pattern[1] if pattern else "*")] or entries
        nodes = wanted if len(wanted) == 1 else _not_rescue(wanted)
        found = tuple(BootEntry(f"boot entry {node.id}", node.arguments or "", node.image) for node in nodes)
        return NextBoot(found, "the loader chooses among several entries" if len(found) > 1 else "")


def _resolve(menu: _Node, name: str) -> Iterator[_Node]:
    """The entries that a default may mean: one, but where GRUB itself sorts them and a number or nothing chooses."""
    here, _, rest = name.partition(">")
    named = [child for child in menu.children if here and here in (child.id, child.title)][:1]
    if not named and any(child.sorted for child in menu.children):
        yield from _not_rescue(menu.children)
        return
    if not named and menu.children:
        index = int(here) if here.isdigit() else 0
        named = [menu.children[index if index < len(menu.children) else 0]]
    for node in named:
        if node.arguments is None:
            yield from _resolve(node, rest)
        else:
            yield node


def _leaves(menu: _Node) -> Iterator[_Node]:
    for node in menu.children:
        if node.arguments is None:
            yield from _leaves(node)
        else:
            yield node


def _entry(path: str, node: _Node) -> BootEntry:
    return BootEntry(f"{path}: {node.title}", node.arguments or "", node.image)


def _together(found: list[NextBoot]) -> NextBoot:
    if len(found) == 1:
        return found[0]
    entries = tuple(dict.fromkeys(entry for boot in found for entry in boot.entries))
    return NextBoot(entries, "several GRUB configurations are installed")


def _not_rescue(nodes: list[_Node]) -> list[_Node]:
    return [node for node in nodes if "rescue" not in node.id] or nodes


def _words(line: str) -> list[str]:
    if not _QUOTES.search(line):
        return line.split()
    try:
        return shell_words(line)
    except ValueError:
        return line.split()


def _id(words: list[str]) -> str:
    for flag, value in pairwise(words):
        if flag in ("--id", "$menuentry_id_option"):
            return value
    return ""


def _expand(text: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda use: variables.get(use[1] or use[2], ""), text)
