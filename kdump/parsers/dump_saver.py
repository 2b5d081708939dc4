"""The program that writes the dump, and what its options leave out and compress (makedumpfile(8))."""

from __future__ import annotations

from dataclasses import dataclass

from .shell_words import shell_words

#: bits of makedumpfile's dump level: what is left out (makedumpfile(8), -d)
CACHE, PRIVATE_CACHE, USER_DATA, FREE = 2, 4, 8, 16
_METHODS = {"-c": "zlib", "-l": "lzo", "-p": "snappy", "-z": "zstd"}


@dataclass(frozen=True)
class DumpSaver:
    """``level``: makedumpfile's dump level, 0 for a program that copies everything. ``method``: how it compresses, "" for not
    at all. ``threads``: that compress at once. ``filtered_by``: a compressor that its output is piped through, or "".
    """

    program: str
    level: int
    method: str
    threads: int = 1
    filtered_by: str = ""

    @property
    def is_makedumpfile(self) -> bool:
        return self.program == "makedumpfile"

    def __str__(self) -> str:
        if not self.is_makedumpfile:
            return f"{self.program}, which copies all memory"
        piped = f", piped through {self.filtered_by}" if self.filtered_by else ""
        return f"dump level {self.level}, {f'compressed with {self.method}' if self.method else 'not compressed'}{piped}"


def saver(command: str, filtered_by: str = "") -> DumpSaver:
    """Read a core collector's command line.

    >>> saver("makedumpfile -l --message-level 7 -d 31")
    DumpSaver(program='makedumpfile', level=31, method='lzo', threads=1, filtered_by='')
    >>> saver("makedumpfile -F -c -d17,31 --num-threads=4").level
    17

    Raises :class:`ValueError` where it is no command line, or the level no number.
    """
    words = shell_words(command)
    if not words:
        raise ValueError("no program is named")
    program = words[0].rpartition("/")[2]
    if program != "makedumpfile":
        return DumpSaver(program, 0, "")
    level, method, threads = 0, "", 1
    for word, following in zip(words[1:], [*words[2:], ""], strict=True):
        if word == "-d":
            level = _level(following)
        elif word.startswith("-d") and word[2:3].isdigit():
            level = _level(word[2:])
        elif word in _METHODS:
            method = _METHODS[word]
        elif word == "-E":
            method = ""
        elif word.partition("=")[0] == "--num-threads":
            threads = max(1, int(word.partition("=")[2] or following))
    return DumpSaver(program, level, method, threads, filtered_by)


def _level(value: str) -> int:
    # with a list, the next level is tried where there is no room for the dump of the one before: the first counts
    return int(value.split(",")[0])
