"""Which dracut modules are left out of an image that mkdumprd has dracut build.

dracut reads /etc/dracut.conf, then the drop-ins by version (``sort -V``), one of each name; /lib/kdump/dracut.conf.d is among
their folders where mkdumprd and dracut know ``--add-confdir`` (dracut 104, kdump-utils@63f248c), /run/initramfs/dracut.conf.d
since 109. These are shell: ``omit_dracutmodules=`` sets, ``+=`` adds. What ``--omit`` names on the command line is added to that
since dracut 055 (96c31333); before, it takes the place of it, and mkdumprd always has an ``--omit`` there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .drop_ins import by_version, in_order, lines_of, name_of

_ASSIGNMENT = re.compile(
    r"""\s*(export\s+)?omit_dracutmodules(?P<adds>\+?)=(?P<value>"[^"$`]*"|'[^']*'|[^\s"'$`]*)\s*(;?\s*#.*|;)?$"""
)
_ARGUMENT = re.compile(r"(?:^|\s)(?:--omit[= ]\s*|-o\s*)(\"[^\"]*\"|'[^']*'|\S+)")
_OF_COMMAND_LINE = "omit_dracutmodules_l["


def dracut_omissions(text: str) -> Mapping[str, str]:
    r"""Module -> the file that leaves it out, as the probe's ``dracut_omissions`` prints them.

    >>> dracut_omissions("file /etc/dracut.conf.d/a.conf\n/etc/dracut.conf.d/a.conf:omit_dracutmodules+=\" squash \"\n"
    ...     "/usr/bin/dracut:((${#omit_dracutmodules_l[@]})) && omit_dracutmodules+=\" ${omit_dracutmodules_l[*]} \"")
    {'squash': '/etc/dracut.conf.d/a.conf'}

    Raises :class:`ValueError` where a line is more than such an assignment.
    """
    files = [line.removeprefix("file ") for line in text.splitlines() if line.startswith("file ")]
    programs = [line for line in text.splitlines() if line.partition(":")[0].endswith(("/dracut", "/mkdumprd"))]
    if text == "no dracut":
        return {}
    if not programs:
        raise ValueError("what dracut makes of its configuration is not to be seen")
    dracut = [line for line in programs if line.partition(":")[0].endswith("/dracut")]
    if any(_OF_COMMAND_LINE in line and "omit_dracutmodules+=" not in line for line in dracut):
        return {}
    found: dict[str, str] = {}
    for file, line in lines_of(text, _read(files, programs, dracut)):
        match = _ASSIGNMENT.match(line)
        if match is None:
            raise ValueError(f"only a shell can tell what {file} leaves out: {line.strip()}")
        if not match["adds"]:
            found = {}
        found.update(dict.fromkeys(match["value"].strip("\"'").split(), file))
    return found


def _read(files: list[str], programs: list[str], dracut: list[str]) -> list[str]:
    """The files that dracut reads, in its order."""
    profile = len({line.partition(":")[0] for line in programs if "--add-confdir" in line}) > 1
    unread = [*([] if profile else ["/lib/kdump/"]), *([] if any("/run/" in line for line in dracut) else ["/run/initramfs/"])]
    drop_ins = [file for file in files if name_of(file) != "dracut.conf" and not file.startswith(tuple(unread) or "\0")]
    return [*(file for file in files if file == "/etc/dracut.conf"), *in_order(drop_ins, key=by_version)]


def omitted_by(arguments: str) -> Mapping[str, str]:
    """Module -> what leaves it out, of dracut's command line (kdumpctl, _get_dracut_arg()).

    >>> list(omitted_by("--omit-drivers sd_mod --omit 'squash lvm' -o nfs"))
    ['squash', 'lvm', 'nfs']
    """
    return {name: "dracut_args" for given in _ARGUMENT.findall(arguments) for name in given.strip("\"'").split()}
