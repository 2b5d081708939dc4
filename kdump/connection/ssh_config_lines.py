"""An ssh_config file as lines: keyword, arguments, where it stands, and what it includes. No meaning yet."""

# Names in ssh_config are text (~, %, globs) before they are paths.

import dataclasses
import functools
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

from kdump.connection.settings import forget_with_settings

_MAX_DEPTH = 16  # readconf.c READCONF_MAX_DEPTH
_ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "hostbasedkeytypes": "hostbasedacceptedalgorithms",
}


@dataclasses.dataclass(frozen=True)
class Line:
    keyword: str
    arguments: tuple[str, ...]
    rest: str
    where: str
    included: tuple[tuple["Line", ...], ...] = ()


class Malformed(Exception):
    """What is wrong, with file and line."""


@functools.lru_cache(maxsize=256)
def read(path: str, base: str, depth: int) -> tuple[Line, ...]:
    if depth > _MAX_DEPTH:
        raise Malformed(f"{path}: more than {_MAX_DEPTH} nested Includes")
    try:
        text = Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise Malformed(f"{path}: {error.strerror}") from None
    return tuple(_parse(text, path, base, depth))


forget_with_settings(read.cache_clear)


def _parse(text: str, path: str, base: str, depth: int) -> Iterator[Line]:
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip(" \t\r\f\ufeff")
        if not line or line.startswith("#"):
            continue
        where = f"{path}:{number}"
        found = re.match(r'"?([A-Za-z0-9]+)"?(?:[ \t]*=[ \t]*|[ \t]+|$)(.*)', line)
        if not found:
            raise Malformed(f"{where}: not a configuration line")
        keyword, rest = found[1].lower(), found[2]
        keyword = _ALIASES.get(keyword, keyword)
        try:
            arguments = tuple(split_arguments(rest))
        except ValueError as error:
            if keyword not in ("proxycommand", "localcommand", "remotecommand"):  # they take the line as it is
                raise Malformed(f"{where}: {error}") from None
            arguments = (rest,)
        if not arguments:
            raise Malformed(f"{where}: {found[1]} has no value")
        included: tuple[tuple[Line, ...], ...] = ()
        if keyword == "include":
            included = tuple(read(file, base, depth + 1) for pattern in arguments for file in _included(pattern, base))
        yield Line(keyword, arguments, rest, where, included)


def _included(pattern: str, base: str) -> list[str]:
    expanded = os.path.expanduser(pattern)
    if not os.path.isabs(expanded):
        expanded = os.path.join(os.path.expanduser(base), expanded)
    return sorted(path for path in glob.glob(expanded) if os.path.isfile(path))


def split_arguments(text: str) -> list[str]:
    r"""Words of a configuration line as OpenSSH's argv_split(misc.c) sees them: quotes, backslashes, a comment.

    >>> split_arguments(r'one "two three" f\"our  # comment')
    ['one', 'two three', 'f"our']
    >>> split_arguments('a#b')
    ['a#b']
    """
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    position = 0
    while position < len(text):
        char = text[position]
        following = text[position + 1 : position + 2]
        if char == "\\" and ((following in ("'", '"', "\\") and following) or (not quote and following == " ")):
            word = [*(word or []), following]
            position += 1
        elif quote:
            if char == quote:
                quote = ""
            else:
                word = [*(word or []), char]
        elif char in "'\"":
            quote, word = char, word or []
        elif char in " \t":
            if word is not None:
                words.append("".join(word))
                word = None
        elif char == "#" and word is None:
            break
        else:
            word = [*(word or []), char]
        position += 1
    if quote:
        raise ValueError("a quote is not closed")
    if word is not None:
        words.append("".join(word))
    return words
