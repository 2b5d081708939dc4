"""Configuration files that a shell script sources: /etc/sysconfig/kdump, /etc/default/kdump-tools."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$")


def settings(text: str) -> Mapping[str, str]:
    """``NAME=value`` lines, quotes resolved, the last one wins. What a shell would compute ($X) stays as it is written.

    >>> settings('KEXEC_ARGS="-s"\\n#KEXEC_ARGS="-c"\\nKDUMP_FILE_LOAD=on # why')["KEXEC_ARGS"]
    '-s'
    """
    found = {}
    for line in text.splitlines():
        if match := _ASSIGNMENT.match(line):
            found[match[1]] = _unquoted(match[2])
    return found


def _unquoted(value: str) -> str:
    try:
        words = shlex.split(value, comments=True)
    except ValueError:  # a quote that ends on a later line
        return value.strip().strip("\"'")
    return words[0] if words else ""
