"""OpenSSH's patterns: ``*`` and ``?``, lists with ``!`` negation (match.c). Not fnmatch: brackets mean themselves."""

import functools
import re
from collections.abc import Iterable


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def match_pattern(text: str, pattern: str) -> bool:
    """Whether the whole of ``text`` matches.

    >>> match_pattern("db12.example.org", "db??.*"), match_pattern("[db1]:2222", "[db1]:*")
    (True, True)
    """
    return _compiled(pattern).fullmatch(text) is not None


def match_list(text: str, patterns: Iterable[str], *, fold: bool = True) -> bool:
    """Whether one of ``patterns`` matches and no negated one does; ``fold`` ignores case.

    >>> match_list("db1", ["db*", "!db2"]), match_list("db2", ["db*", "!db2"]), match_list("x", ["!db2"])
    (True, False, False)
    """
    text = text.lower() if fold else text
    matched = False
    for item in patterns:
        pattern = item.lower() if fold else item
        if pattern.startswith("!"):
            if match_pattern(text, pattern[1:]):
                return False
        elif not matched:
            matched = match_pattern(text, pattern)
    return matched
