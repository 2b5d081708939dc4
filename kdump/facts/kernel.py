"""The running kernel: command line and configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..fact import fact


class CommandLine(tuple[str, ...]):
    """A kernel command line, as words; quotes keep words together (kernel lib/cmdline.c, next_arg)."""

    @classmethod
    def parse(cls, text: str) -> CommandLine:
        """Split ``/proc/cmdline``.

        >>> CommandLine.parse('root=/dev/vda a="b c" quiet').values("a")
        ['b c']
        """
        if not text.strip():
            raise ValueError("an empty kernel command line")
        return cls(word.replace('"', "") for word in re.findall(r'(?:[^\s"]|"[^"]*"?)+', text))

    def values(self, name: str) -> list[str]:
        """The values of every ``name=value``, in order. The kernel takes dash and underscore for the same."""
        wanted = name.replace("-", "_")
        pairs = (word.split("=", 1) for word in self if "=" in word)
        return [value for key, value in pairs if key.replace("-", "_") == wanted]

    def has(self, flag: str) -> bool:
        return flag in self


def kernel_config(text: str) -> Mapping[str, str]:
    """``CONFIG_X=y|m|value`` lines; what is "not set" is not in the mapping.

    >>> kernel_config("CONFIG_KEXEC=y\\n# CONFIG_LOOP is not set")
    {'CONFIG_KEXEC': 'y'}
    """
    found = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_") and "=" in line)
    if not found:
        raise ValueError("no CONFIG_ line")
    return found


cmdline = fact("cmdline", "cat /proc/cmdline", CommandLine.parse)
