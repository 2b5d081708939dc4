"""Which dracut modules are left out of an image that mkdumprd has dracut build, and which are put in all the same.

dracut reads /etc/dracut.conf, then the drop-ins by version (``sort -V``), one of each name; /lib/kdump/dracut.conf.d is among
their folders where mkdumprd and dracut know ``--add-confdir`` (dracut 104, kdump-utils@63f248c), /run/initramfs/dracut.conf.d
since 109. These are shell: ``omit_dracutmodules=`` sets, ``+=`` adds. What ``--omit`` names on the command line is added to that
since dracut 055 (96c31333); before, it takes the place of it, and mkdumprd always has an ``--omit`` there. What
``force_add_dracutmodules`` or ``--force-add`` names is put in although it is left out, and so is what it depends on (dracut.sh,
check_module() of 049 to dracut-ng@02e7ae1). A driver that is added by the same name as it is left out is not left out (there,
omit_drivers_corrected).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from .drop_ins import by_version, in_order, lines_of, name_of

_ASSIGNMENT = re.compile(
    r"""\s*(export\s+)?(?P<list>(?:omit|force_add)_dracutmodules|omit_drivers)(?P<adds>\+?)=(?P<value>"[^"$`]*"|'[^']*'|[^\s"'$`]*)\s*(;?\s*#.*|;)?$"""
)
_ARGUMENT = re.compile(r"(?:^|\s)(?:--omit[= ]\s*|-o\s*)(\"[^\"]*\"|'[^']*'|\S+)")
_BY_FORCE = re.compile(r"(?:^|\s)--force-add[= ]\s*(\"[^\"]*\"|'[^']*'|\S+)")
_DRIVERS = re.compile(r"(?:^|\s)--omit-drivers[= ]\s*(\"[^\"]*\"|'[^']*'|\S+)")
_ADDED = re.compile(r"(?:^|\s)--(?:add|force)-drivers[= ]\s*(\"[^\"]*\"|'[^']*'|\S+)")
_OF_COMMAND_LINE = "omit_dracutmodules_l["


@dataclass(frozen=True)
class Omissions:
    """``left_out`` and ``forced``: module -> the file of dracut's configuration that names it, or "dracut_args". ``drivers``: the
    same of kernel modules that are left out, as extended regular expressions."""

    left_out: Mapping[str, str]
    forced: Mapping[str, str]
    drivers: Mapping[str, str] = field(default_factory=dict)

    def with_arguments(self, arguments: str) -> Omissions:
        """With those of dracut's command line (kdumpctl, _get_dracut_arg()).

        >>> list(Omissions({}, {}).with_arguments("--omit-drivers sd_mod --omit 'squash lvm' -o nfs").left_out)
        ['squash', 'lvm', 'nfs']
        """
        return Omissions(
            {**self.left_out, **_named(_ARGUMENT, arguments)},
            {**self.forced, **_named(_BY_FORCE, arguments)},
            {**self.drivers, **_named(_DRIVERS, arguments)},
        ).with_drivers(_named(_ADDED, arguments))

    def with_drivers(self, added: Iterable[str]) -> Omissions:
        """With kernel modules that are added, too.

        >>> list(Omissions({}, {}, {"virtio-net": "dracut_args", "i40e": "dracut_args"}).with_drivers(["virtio_net"]).drivers)
        ['i40e']
        """
        names = {name.replace("-", "_") for name in added}
        return replace(self, drivers={name: where for name, where in self.drivers.items() if name.replace("-", "_") not in names})

    def driver_left_out(self, name: str) -> bool | None:
        """Whether a kernel module is left out; None where that depends on which dracut it is: older ones match a part of a name,
        too, and take only the first dash of all for an underscore (dracut.sh of 049, 059 and dracut-ng@02e7ae1).

        >>> known = Omissions({}, {}, {"mlx5.*": "dracut_args", "virtio-net": "dracut_args"})
        >>> known.driver_left_out("mlx5_core"), known.driver_left_out("virtio_net"), known.driver_left_out("e1000")
        (True, None, False)

        Raises :class:`ValueError` where a name is no regular expression that is understood here.
        """
        name = name.replace("-", "_")
        try:
            if any(re.fullmatch(pattern, name) for pattern in self.drivers):
                return True
            return None if any(re.search(pattern.replace("-", "_"), name) for pattern in self.drivers) else False
        except re.error as error:
            raise ValueError(f"which drivers {', '.join(self.drivers)} leaves out is not understood") from error

    def effective(self) -> Mapping[str, str]:
        """What is left out and not forced in by its own name; a forced module may yet bring others with it."""
        return {name: where for name, where in self.left_out.items() if name not in self.forced}


def dracut_omissions(text: str) -> Omissions:
    r"""Read the probe's ``dracut_omissions``.

    >>> dracut_omissions("file /etc/dracut.conf.d/a.conf\n/etc/dracut.conf.d/a.conf:omit_dracutmodules+=\" squash \"\n"
    ...     "/usr/bin/dracut:((${#omit_dracutmodules_l[@]})) && omit_dracutmodules+=\" ${omit_dracutmodules_l[*]} \"").left_out
    {'squash': '/etc/dracut.conf.d/a.conf'}

    Raises :class:`ValueError` where a line is more than such an assignment.
    """
    files = [line.removeprefix("file ") for line in text.splitlines() if line.startswith("file ")]
    programs = [line for line in text.splitlines() if line.partition(":")[0].endswith(("/dracut", "/mkdumprd"))]
    if text == "no dracut":
        return Omissions({}, {})
    if not programs:
        raise ValueError("what dracut makes of its configuration is not to be seen")
    dracut = [line for line in programs if line.partition(":")[0].endswith("/dracut")]
    unheeded = any(_OF_COMMAND_LINE in line and "omit_dracutmodules+=" not in line for line in dracut)
    found: dict[str, dict[str, str]] = {"omit_dracutmodules": {}, "force_add_dracutmodules": {}, "omit_drivers": {}}
    for file, line in lines_of(text, _read(files, programs, dracut)):
        if unheeded and "omit_dracutmodules" in line:
            continue
        match = _ASSIGNMENT.match(line)
        if match is None:
            raise ValueError(f"only a shell can tell what {file} leaves out: {line.strip()}")
        if not match["adds"]:
            found[match["list"]] = {}
        found[match["list"]].update(dict.fromkeys(match["value"].strip("\"'").split(), file))
    return Omissions(*found.values())


def _read(files: list[str], programs: list[str], dracut: list[str]) -> list[str]:
    """The files that dracut reads, in its order."""
    profile = len({line.partition(":")[0] for line in programs if "--add-confdir" in line}) > 1
    unread = [*([] if profile else ["/lib/kdump/"]), *([] if any("/run/" in line for line in dracut) else ["/run/initramfs/"])]
    drop_ins = [file for file in files if name_of(file) != "dracut.conf" and not file.startswith(tuple(unread) or "\0")]
    return [*(file for file in files if file == "/etc/dracut.conf"), *in_order(drop_ins, key=by_version)]


def _named(option: re.Pattern[str], arguments: str) -> Mapping[str, str]:
    return {name: "dracut_args" for given in option.findall(arguments) for name in given.strip("\"'").split()}
