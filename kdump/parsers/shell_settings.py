"""Configuration files that a shell script sources: /etc/sysconfig/kdump, /etc/default/kdump-tools."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from ..verdict import CouldNotDetermine

_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$")


class ShellSettings(Mapping[str, str]):
    """``NAME=value`` lines, quotes resolved, the last one wins."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    @classmethod
    def parse(cls, text: str) -> ShellSettings:
        """Read a file of settings without running it.

        >>> ShellSettings.parse('KEXEC_ARGS="-s"\\n#KEXEC_ARGS="-c"\\nKDUMP_FILE_LOAD=on # why')["KEXEC_ARGS"]
        '-s'
        """
        return cls({m[1]: _unquoted(m[2]) for line in text.splitlines() if (m := _ASSIGNMENT.match(line))})

    def __getitem__(self, name: str) -> str:
        """The value. Raises :class:`CouldNotDetermine` where only a shell could work it out."""
        value = self._values[name]
        if "$" in value or "`" in value:
            raise CouldNotDetermine(f"{name} is worked out by a shell ({value}): its value is not in the file")
        return value

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        return self[name] if name in self._values else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def settings(text: str) -> ShellSettings:
    """:meth:`ShellSettings.parse`."""
    return ShellSettings.parse(text)


def _unquoted(value: str) -> str:
    try:
        words = shlex.split(value, comments=True)
    except ValueError:  # a quote that ends on a later line
        return value.strip().strip("\"'")
    return words[0] if words else ""
