"""The words of a line that is quoted as a shell would have it: :func:`shlex.split`, without a look at every character.

shlex takes 0.2 µs per character, and what holds a device's UUID (menus of boot loaders, calls of kexec) is another text on
each host of a fleet: it took a tenth of what judging a host takes.
"""

from __future__ import annotations

import re
import shlex

_WORD = re.compile(r"""((?:[^ \t\r\n'"\\]++|'[^']*'|"(?:[^"\\]|\\.)*"|\\.)+)|([^ \t\r\n])""", re.DOTALL)
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)""", re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')  # nothing else is escaped between double quotes


def shell_words(line: str) -> list[str]:
    """The words of ``line``, without their quotes. Raises :class:`ValueError` where a quote or an escape has no end.

    >>> shell_words('''menuentry 'Debian GNU/Linux' --class "gnu \\\\"linux" a\\\\ b''')
    ['menuentry', 'Debian GNU/Linux', '--class', 'gnu "linux', 'a b']
    """
    found = _WORD.findall(line)
    if any(stray for _, stray in found):
        return shlex.split(line)  # has the words for what is wrong
    return [_QUOTED.sub(_unquoted, word) for word, _ in found]


def _unquoted(match: re.Match[str]) -> str:
    if match[2] is not None:
        return _ESCAPED.sub(r"\1", match[2])
    return match[1] or match[3] or ""
