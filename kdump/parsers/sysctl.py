"""Which sysctl settings the boot will apply (sysctl.d(5), systemd v252 src/sysctl/sysctl.c; procps sysctl.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from .drop_ins import in_order, lines_of, name_of

_SETTING = re.compile(r"^\s*-?\s*(?P<key>[^=\s]+)\s*=\s*(?P<value>.*?)\s*$")


@dataclass(frozen=True)
class Setting:
    value: str
    file: str


def settings_at_boot(text: str) -> Mapping[str, Setting]:
    r"""The value of each key after the boot, from a list of files followed by grep's ``FILE:LINE`` of their settings.

    Of two files of one name, the one whose folder is listed first counts; the files are applied in the order of their
    names, whatever their folder; the last line wins; a file outside the folders is read last. Slashes stand for dots.

    >>> text = "/etc/sysctl.d/50-a.conf\n/usr/lib/sysctl.d/50-a.conf\n/usr/lib/sysctl.d/10-b.conf\n" + (
    ...     "/usr/lib/sysctl.d/50-a.conf:kernel.kptr_restrict=2\n/usr/lib/sysctl.d/10-b.conf:kernel.kptr_restrict = 1")
    >>> settings_at_boot(text)["kernel.kptr_restrict"].value
    '1'
    """
    files = [line for line in text.splitlines() if line.startswith("/") and ":" not in line]
    order = in_order(files, key=lambda file: (not _in_folder(file), name_of(file)))
    found: dict[str, Setting] = {}
    for file, line in lines_of(text, order):
        if match := _SETTING.match(line):
            found[match["key"].replace("/", ".")] = Setting(match["value"], file)
    return found


def _in_folder(file: str) -> bool:
    return PurePosixPath(file).parent.name == "sysctl.d"
