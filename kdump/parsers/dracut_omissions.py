"""Which dracut modules are left out of an image that mkdumprd has dracut build, and which are put in all the same.

dracut reads /etc/dracut.conf, then the drop-ins by version (``sort -V``), one of each name; /lib/kdump/dracut.conf.d is among
their folders where mkdumprd and dracut know ``--add-confdir`` (dracut 104, kdump-utils@63f248c), /run/initramfs/dracut.conf.d
since 109. These are shell: ``omit_dracutmodules=`` sets, ``+=`` adds. What ``--omit`` names on the command line is added to that
since dracut 055 (96c31333); before, it takes the place of it, and mkdumprd always has an ``--omit`` there. What
``force_add_dracutmodules`` or ``--force-add`` names is put in although it is left out, and so is what it depends on (dracut.sh,
check_module() of 049 to dracut-ng@02e7ae1). A driver that add_drivers or force_drivers names is not left out by that name,
wherever either stands; by an expression that matches its name it is (there, omit_drivers_corrected; src/install/dracut-install.c,
install_module(), which then installs nothing and complains of nothing). Where dracutmodules or drivers name any, dracut puts
these in, and what else gets in is not looked into (modules.d/*kernel-modules/module-setup.sh).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..verdict import CouldNotDetermine
from .drop_ins import by_version, in_order, lines_of, name_of

_ASSIGNMENT = re.compile(
    r"""\s*(export\s+)?(?P<list>(?:(?:omit|force_add)_)?dracutmodules|(?:(?:omit|add|force)_)?drivers)(?P<adds>\+?)=(?P<value>"[^"$`]*"|'[^']*'|[^\s"'$`]*)\s*(;?\s*#.*|;)?$"""
)
_ARGUMENT = re.compile(r"(?:^|\s)(?:--omit[= ]\s*|-o\s*)(\"[^\"]*\"|'[^']*'|\S+)")
_BY_FORCE = re.compile(r"(?:^|\s)--force-add[= ]\s*(\"[^\"]*\"|'[^']*'|\S+)")
_DRIVERS = re.compile(r"(?:^|\s)--omit-drivers[= ]\s*(\"[^\"]*\"|'[^']*'|\S+)")
_ADDED = re.compile(r"(?:^|\s)--(?:add|force)-drivers[= ]\s*(\"[^\"]*\"|'[^']*'|\S+)")
_NO_OTHERS = re.compile(r"(?:^|\s)(--drivers[= ]|-d)")
_OF_COMMAND_LINE = "omit_dracutmodules_l["
_ADDING = ("add_drivers", "force_drivers")
_ADDS_DRIVERS = re.compile(r"\b(?:add|force)_drivers\+?=")
_EVERY_MODULE = {"auto", "all"}  # dracut.sh: what dracutmodules= means where it names none


@dataclass(frozen=True)
class Omissions:
    """``left_out`` and ``forced``: module -> the file of dracut's configuration that names it, or "dracut_args". ``drivers``: the
    same of kernel modules that are left out, as extended regular expressions; ``added``: kernel modules that are put in, as they
    are written; ``unclear``: a file that may add others."""

    left_out: Mapping[str, str]
    forced: Mapping[str, str]
    drivers: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    unclear: str = ""

    def with_arguments(self, arguments: str) -> Omissions:
        """With those of dracut's command line (kdumpctl, _get_dracut_arg()).

        >>> list(Omissions({}, {}).with_arguments("--omit-drivers sd_mod --omit 'squash lvm' -o nfs").left_out)
        ['squash', 'lvm', 'nfs']

        Raises :class:`CouldNotDetermine` where they name the only drivers that are put in.
        """
        if _NO_OTHERS.search(arguments):
            raise CouldNotDetermine(f"dracut_args names the only drivers that dracut installs: {arguments}")
        return Omissions(
            {**self.left_out, **_named(_ARGUMENT, arguments)},
            {**self.forced, **_named(_BY_FORCE, arguments)},
            {**self.drivers, **_named(_DRIVERS, arguments)},
            (*self.added, *_named(_ADDED, arguments)),
            self.unclear,
        )

    def adding(self, drivers: Iterable[str]) -> Omissions:
        """With kernel modules that are put in, too."""
        return replace(self, added=(*self.added, *drivers))

    def driver_left_out(self, name: str) -> bool | None:
        """Whether a kernel module is left out; None where only a shell can tell, or where that depends on which dracut it is:
        before 058 a part of a name matches, too, and before 107 only the first dash of each list is taken for an underscore
        (dracut.sh of 049, 059 and dracut-ng@02e7ae1).

        >>> known = Omissions({}, {}, {"mlx5.*": "dracut_args", "virtio-net": "dracut_args", "nvme": "dracut_args"}, ("nvme",))
        >>> [known.driver_left_out(name) for name in ("mlx5_core", "virtio_net", "e1000", "nvme")]
        [True, None, False, False]

        Raises :class:`ValueError` where a name is no regular expression that is understood here.
        """
        name, written = _plain(name), " ".join(self.added)
        added = _plain(written).split()
        surely_added = added if written.count("-") < 2 else written.split()
        try:
            newest = any(re.fullmatch(_plain(one), name) for one in self.drivers if _plain(one) not in added)
            most = any(re.search(_plain(one), name) for one in self.drivers if _plain(one) not in surely_added)
            least = any(re.fullmatch(one, name) for one in self.drivers if _plain(one) not in added)
        except re.error as error:
            raise ValueError(f"which drivers {', '.join(self.drivers)} leaves out is not understood") from error
        return newest if newest == most == least and not (newest and self.unclear) else None

    @property
    def who_omits(self) -> str:
        """Where drivers are left out."""
        return ", ".join(sorted(set(self.drivers.values())))

    def effective(self) -> Mapping[str, str]:
        """What is left out and not forced in by its own name; a forced module may yet bring others with it."""
        return {name: where for name, where in self.left_out.items() if name not in self.forced}


def dracut_omissions(text: str) -> Omissions:
    r"""Read the probe's ``dracut_omissions``.

    >>> dracut_omissions("file /etc/dracut.conf.d/a.conf\n/etc/dracut.conf.d/a.conf:omit_dracutmodules+=\" squash \"\n"
    ...     "/usr/bin/dracut:((${#omit_dracutmodules_l[@]})) && omit_dracutmodules+=\" ${omit_dracutmodules_l[*]} \"").left_out
    {'squash': '/etc/dracut.conf.d/a.conf'}

    Raises :class:`ValueError` where a line is more than such an assignment, or names the only modules or drivers.
    """
    files = [line.removeprefix("file ") for line in text.splitlines() if line.startswith("file ")]
    programs = [line for line in text.splitlines() if line.partition(":")[0].endswith(("/dracut", "/mkdumprd"))]
    if text == "no dracut":
        return Omissions({}, {})
    if not programs:
        raise ValueError("what dracut makes of its configuration is not to be seen")
    dracut = [line for line in programs if line.partition(":")[0].endswith("/dracut")]
    unheeded = any(_OF_COMMAND_LINE in line and "omit_dracutmodules+=" not in line for line in dracut)
    names = ("dracutmodules", "omit_dracutmodules", "force_add_dracutmodules", "drivers", "omit_drivers", *_ADDING)
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    unclear = ""
    for file, line in lines_of(text, _read(files, programs, dracut)):
        if unheeded and "omit_dracutmodules" in line:
            continue
        match = _ASSIGNMENT.match(line)
        if (match is None or line[:1].isspace()) and _ADDS_DRIVERS.search(line):
            unclear = file  # or under a condition
            continue
        if match is None:
            raise ValueError(f"only a shell can tell what {file} leaves out: {line.strip()}")
        if not match["adds"]:
            found[match["list"]] = {}
        found[match["list"]].update(dict.fromkeys(match["value"].strip("\"'").split(), file))
    if only := {*found["dracutmodules"], *found["drivers"]} - _EVERY_MODULE:
        raise ValueError(f"dracut's configuration names the only ones that it puts in: {', '.join(sorted(only))}")
    added = tuple(name for names in _ADDING for name in found[names])
    return Omissions(found["omit_dracutmodules"], found["force_add_dracutmodules"], found["omit_drivers"], added, unclear)


def _read(files: list[str], programs: list[str], dracut: list[str]) -> list[str]:
    """The files that dracut reads, in its order."""
    profile = len({line.partition(":")[0] for line in programs if "--add-confdir" in line}) > 1
    unread = [*([] if profile else ["/lib/kdump/"]), *([] if any("/run/" in line for line in dracut) else ["/run/initramfs/"])]
    drop_ins = [file for file in files if name_of(file) != "dracut.conf" and not file.startswith(tuple(unread) or "\0")]
    return [*(file for file in files if file == "/etc/dracut.conf"), *in_order(drop_ins, key=by_version)]


def _named(option: re.Pattern[str], arguments: str) -> Mapping[str, str]:
    return {name: "dracut_args" for given in option.findall(arguments) for name in given.strip("\"'").split()}


def _plain(name: str) -> str:
    return name.replace("-", "_")
