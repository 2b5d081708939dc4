"""Which sysctl settings the boot will apply (sysctl.d(5), systemd v252 src/sysctl/sysctl.c; procps sysctl.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_SETTING = re.compile(r"^(?P<file>/[^:]*):\s*-?\s*(?P<key>[^=\s]+)\s*=\s*(?P<value>.*?)\s*$")


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
    lines = text.splitlines()
    effective: dict[str, str] = {}
    for file in (line for line in lines if line.startswith("/") and ":" not in line):
        effective.setdefault(PurePosixPath(file).name, file)
    order = sorted(effective, key=lambda name: (not _in_folder(effective[name]), name))
    rank = {effective[name]: number for number, name in enumerate(order)}
    matches = [match for match in map(_SETTING.match, lines) if match and match["file"] in rank]
    found: dict[str, Setting] = {}
    for match in sorted(matches, key=lambda match: rank[match["file"]]):
        found[match["key"].replace("/", ".")] = Setting(match["value"], match["file"])
    return found


def _in_folder(file: str) -> bool:
    return PurePosixPath(file).parent.name == "sysctl.d"
