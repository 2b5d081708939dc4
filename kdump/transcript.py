r"""A transcript: everything that one probe run read on one host, as a person would have typed it.

::

    # kdump transcript 1
    # taken: 2026-01-31T12:00:00Z
    $ cat /proc/sys/kernel/kptr_restrict
      0
    [0]
    $ cat /proc/nothing
    ! cat: /proc/nothing: No such file or directory
    [1]
    # end

``$`` the command, two spaces its output, ``!`` its error output, ``[n]`` its exit status. Whatever stands before
the first line (a login message) is skipped; a missing ``# end`` means that the transcript was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakValueDictionary

HEADER = "# kdump transcript 1"
END = "# end"
SHOWN = 256 * 1024  # characters of a host's readings that are kept for reports, about; a usual one says 40,000
_MOST_REMARKS, _LONGEST_REMARK = 20, 1000  # characters; they stay with the host as long as the run lasts
_LEAST_SHOWN = 2000  # of a reading
_MOST_SHOWN = 2 * SHOWN
# The suite asks for a hundred readings, by commands of up to 300 characters, and for a dozen more of each kernel.
_MOST_READINGS, _LONGEST_COMMAND = 2000, 4096
_LONGEST_CUT = 60  # characters that stand in place of others

# C0 (but not TAB), DEL, C1 and the bidirectional controls: what a target prints must not drive a terminal,
# nor reorder what a reader sees (https://trojansource.codes). Nor surrogates, which cannot be written as UTF-8.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_PLAIN = bytes((*range(0x20, 0x7F), *b"\t\n"))


def sanitise(text: str) -> str:
    r"""Host text made safe to show: control characters become ``\xNN`` / ``\uNNNN``; a CR before LF is dropped.

    >>> sanitise("a\x1b[2Jb\r\n")
    'a\\x1b[2Jb\n'
    """
    # nearly all text is plain, and these tell so in a tenth of the time that the pattern takes
    if text.isprintable() or (text.isascii() and not text.encode().translate(None, _PLAIN)):
        return text
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


# Dump targets may be configured as scheme://user:password@host. A port, and a path with an @ in it, is no password.
_PASSWORD_IN_URL = re.compile(r"(://[^\s/:@]+:)(?!\d{1,5}/)[^\s@]+(?=@)")
# root= and netroot= of dracut.cmdline(7): iscsi:user:password[:user:password]@server…
_PASSWORD_OF_ISCSI = re.compile(r"(\biscsi:[^\s:@]+:)[^\s@]+(?=@)")
# The ends of settings' names, as KDUMP_SMTP_PASSWORD of SUSE's sysconfig, or password of mount.cifs(8).
_SECRETS = (
    *(f"{form(word)}=" for word in ("assword", "asswd", "assphrase", "ecret", "oken") for form in (str, str.upper)),
    ",pass=",
    "_pass=",  # of Ansible's inventories
    "cifspass=",  # of dracut.cmdline(7)
)
# Asked first: looking for one name after the other takes eight times as long, a pattern of all a hundred times.
_END_OF_A_NAME = re.compile(f"=(?<=[{''.join(sorted({name[-2] for name in _SECRETS}))}]=)")
_VALUE = re.compile(r"""\"[^"\n]+"|'[^'\n]+'|[^\s,;&"']+""")


def mask(text: str) -> str:
    """The text without the passwords in URLs and settings.

    >>> mask("nfs://dump:s3cret@store/crash"), mask("KDUMP_SMTP_PASSWORD='s3 cret'"), mask("username=u,password=s3cret,ro")
    ('nfs://dump:***@store/crash', 'KDUMP_SMTP_PASSWORD=***', 'username=u,password=***,ro')
    """
    if "://" in text:
        text = _PASSWORD_IN_URL.sub(r"\1***", text)
    if "iscsi:" in text:
        text = _PASSWORD_OF_ISCSI.sub(r"\1***", text)
    ends = [found.end() for found in _END_OF_A_NAME.finditer(text) if text.endswith(_SECRETS, 0, found.end())]
    for name in [name for name in _SECRETS if any(text.endswith(name, 0, end) for end in ends)]:
        before, *values = text.split(name)
        text = name.join([before, *(f"***{one[found.end() :]}" if (found := _VALUE.match(one)) else one for one in values)])
    return text


_STATUS = re.compile(r"\[(\d{1,3})\]")


@dataclass(frozen=True)
class Reading:
    """One command's output on one host."""

    command: str
    text: str
    errors: str
    status: int

    def render(self) -> str:
        text = "\n  " + self.text.replace("\n", "\n  ") if self.text else ""
        errors = "\n! " + self.errors.replace("\n", "\n! ") if self.errors else ""
        return f"$ {self.command}{text}{errors}\n[{self.status}]"

    def clipped(self, most: int) -> Reading:
        """Itself, or what is left of it when its output and its errors are cut to about ``most`` characters each."""
        if len(self.text) <= most and len(self.errors) <= most:
            return self
        return Reading(self.command, clip(self.text, most), clip(self.errors, most), self.status)


def clip(text: str, most: int) -> str:
    """The text, or the beginning and the end of one that is much longer than ``most`` characters: what was cut once is not cut
    again.

    >>> clip("a" * 9, 10), clip("a" * 60 + "b" * 40, 10)
    ('aaaaaaaaa', 'aaaaaa\\n… 90 characters are left out …\\nbbbb')
    """
    if len(text) <= most + _LONGEST_CUT:
        return text
    head = most * 6 // 10
    return f"{text[:head]}\n… {len(text) - most} characters are left out …\n{text[head - most :]}"


# Most of what a fleet's hosts say is said by many of them; what is the same is kept once.
_known: WeakValueDictionary[tuple[str, str, str, int], Reading] = WeakValueDictionary()


def _shared(command: str, text: str, errors: str, status: int) -> Reading:
    key = (command, text, errors, status)
    found = _known.get(key)
    if found is None:
        found = _known[key] = Reading(*key)
    return found


_HEADER = re.compile(f"^{re.escape(HEADER)}$", re.MULTILINE)


def _pieces(text: str, begin: int) -> Iterator[str]:
    """What stands between the commands from there on; the first piece is what stands before the first of them."""
    while (end := text.find("\n$ ", begin)) >= 0:
        yield text[begin:end]
        begin = end + 3
    yield text[begin:]


class _Block(NamedTuple):
    """What stands from one command to the next. ``whole``: the command has a status; ``is_last``: it ends the transcript."""

    reading: Reading | None
    remarks: tuple[tuple[str, str], ...]
    whole: bool
    is_last: bool


def _block(text: str, has_command: bool) -> _Block:
    command, *lines = mask(text).split("\n")
    reading: Reading | None = None
    remarks: list[tuple[str, str]] = []
    out: list[str] = []
    err: list[str] = []
    for line in lines:
        if line[:2] == "  ":  # most are
            out.append(line[2:])
        elif line == END:
            return _Block(reading, tuple(remarks), reading is not None or not has_command, True)
        elif line.startswith("! "):
            err.append(line[2:])
        elif line[:1] == "[" and has_command and reading is None and (status := _STATUS.fullmatch(line)):
            reading = _shared(command, "\n".join(out).rstrip("\n"), "\n".join(err).strip("\n"), int(status[1]))
        elif line.startswith("# ") and ": " in line and len(remarks) < _MOST_REMARKS:
            key, _, value = line[2:].partition(": ")
            remarks.append((key[:_LONGEST_REMARK], value[:_LONGEST_REMARK]))
    return _Block(reading, tuple(remarks), reading is not None or not has_command, False)


# Line by line, a transcript takes four times as long as looking up what was said before.
_remembered_block = lru_cache(4096)(_block)
_REMEMBERED = 16384  # characters of a block that is looked up


class NotATranscript(ValueError):
    """The text is not a transcript; ``str()`` says so in one sentence."""


@dataclass(frozen=True)
class Transcript:
    """All readings of one probe run. ``complete`` is false when the end mark is missing."""

    readings: Mapping[str, Reading]
    complete: bool = True
    remarks: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, readings: Iterable[Reading], **remarks: str) -> Transcript:
        return cls({reading.command: reading for reading in readings}, True, remarks)

    @classmethod
    def parse(cls, text: str | bytes) -> Transcript:
        """Read a transcript as the probe prints it or as :meth:`render` writes it: sanitised, and without passwords.

        Raises :class:`NotATranscript` when there is no transcript in the text.
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        text = sanitise(text)
        header = _HEADER.search(text)
        if header is None:
            raise NotATranscript(f"no line reads {HEADER!r}: this is not a transcript of the probe")
        readings: dict[str, Reading] = {}
        remarks: dict[str, str] = {}
        for number, piece in enumerate(_pieces(text, header.end())):
            if number > _MOST_READINGS or (number and len(piece) > _LONGEST_COMMAND and "\n" not in piece[:_LONGEST_COMMAND]):
                break  # nobody asked for that
            found = (_block if len(piece) > _REMEMBERED else _remembered_block)(piece, number > 0)
            for key, value in found.remarks:
                if len(remarks) < _MOST_REMARKS:
                    remarks[key] = value
            if found.reading is not None:
                readings[found.reading.command] = found.reading
            if found.is_last:
                return cls(readings, found.whole, remarks)
        return cls(readings, False, remarks)

    @property
    def size(self) -> int:
        """Characters of commands, output and errors."""
        return sum(len(one.command) + len(one.text) + len(one.errors) for one in self.readings.values())

    def kept(self) -> Transcript:
        """Itself with no more than what is :meth:`shown` of it."""
        return replace(self, readings=self.shown())

    def shown(self) -> Mapping[str, Reading]:
        """The readings as evidence that reports keep: whole, but for hosts that say very much; of those that make readings
        up, the first."""
        if self.size <= SHOWN:
            return self.readings
        most = max(SHOWN // len(self.readings), _LEAST_SHOWN)
        room = _MOST_SHOWN
        shown: dict[str, Reading] = {}
        for command, reading in self.readings.items():
            clipped = reading.clipped(most)
            room -= len(command) + len(clipped.text) + len(clipped.errors)
            if room < 0:
                break
            shown[command] = clipped
        return shown

    def render(self) -> str:
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield HEADER
        for key, value in self.remarks.items():
            yield f"# {key}: {value}"
        for reading in self.readings.values():
            yield reading.render()
        if self.complete:
            yield END
