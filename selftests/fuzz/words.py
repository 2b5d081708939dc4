"""Garbage in what a command of a host says: what was said, cut short, mixed up, or with other words in it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_WORDS = [
    *("", "0", "-1", "0x", "99999999999999999999", "1" * 5000, "nan", "1e400", "²", "٣", "é", "=", "\t", "\n", "#", "$(x)"),
    *("'", '"', "[", "]", "{", "/", "..", "K", "yes", "-", "00:00:00"),
]


def garble(text: str, rnd: random.Random) -> str:
    """One to four changes."""
    for _ in range(rnd.choice((1, 1, 2, 4))):
        text = rnd.choice(_WAYS)(text, rnd)
    return text


def _place(text: str, rnd: random.Random) -> int:
    return rnd.randrange(len(text) + 1)


def _lines(change: Callable[[list[str], random.Random], None]) -> Callable[[str, random.Random], str]:
    def changed(text: str, rnd: random.Random) -> str:
        lines = text.split("\n")
        change(lines, rnd)
        return "\n".join(lines)

    return changed


def _lose_one(lines: list[str], rnd: random.Random) -> None:
    del lines[rnd.randrange(len(lines))]


def _repeat_one(lines: list[str], rnd: random.Random) -> None:
    lines.insert(rnd.randrange(len(lines)), rnd.choice(lines))


def _other_text(text: str, rnd: random.Random) -> str:
    start = _place(text, rnd)
    return text[:start] + rnd.choice(_WORDS) + text[start + rnd.randrange(20) :]


def _other_word(text: str, rnd: random.Random) -> str:
    words = text.split(" ")
    words[rnd.randrange(len(words))] = rnd.choice(_WORDS)
    return " ".join(words)


def _other_number(text: str, rnd: random.Random) -> str:
    numbers = list(re.finditer(r"\d+", text)) or [re.search("", text)]
    found = rnd.choice(numbers)
    assert found is not None
    return text[: found.start()] + rnd.choice(_WORDS) + text[found.end() :]


def _noise(text: str, rnd: random.Random) -> str:
    start = _place(text, rnd)
    noise = "".join(chr(rnd.choice((rnd.randrange(32, 127), rnd.randrange(160, 0x2FFF)))) for _ in range(rnd.randrange(1, 30)))
    return text[:start] + noise + text[start:]


_WAYS: list[Callable[[str, random.Random], str]] = [
    lambda text, rnd: text[: _place(text, rnd)],
    lambda text, rnd: text[_place(text, rnd) :],
    _lines(lambda lines, rnd: rnd.shuffle(lines)),
    _lines(_lose_one),
    _lines(_repeat_one),
    _other_text,
    _other_word,
    _other_number,
    _noise,
]
