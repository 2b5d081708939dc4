"""What ``crashkernel=`` asks the kernel for: its own parser, followed step by step.

Source: linux kernel/crash_reserve.c (6.12 to 6.17: ``parse_crashkernel()`` and what it calls), kernel/crash_core.c
(before 6.9), lib/cmdline.c (``memparse()``), lib/kstrtox.c. The kernel looks for the text ``crashkernel=`` anywhere
in its command line, ends an argument at a space only, and takes the last one without a known suffix.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

KEY = "crashkernel="
MiB = 1 << 20
_WORD = (1 << 64) - 1
_UNITS = "kmgtpe"


@dataclass(frozen=True)
class Request:
    """The kernel goes looking for ``size`` bytes. ``argument`` is what asks for them.

    ``base``: the fixed address after ``@``; None: the kernel chooses. ``high``: above 4 GiB (arm64: above the DMA
    zone) first; ``low``: what ``,low`` then asks for below it, None for the kernel's default.
    """

    argument: str
    size: int
    base: int | None = None
    high: bool = False
    low: int | None = None


@dataclass(frozen=True)
class Refusal:
    """The kernel reserves nothing. ``reason`` is a clause that says why; ``logged`` what the kernel logs, "" if nothing."""

    argument: str
    reason: str
    logged: str = ""


Outcome = Request | Refusal


@dataclass(frozen=True)
class Dialect:
    """In what kernels' parsers differ. Distributions backport, so no version tells: ask for all of them.

    ``rounds_ram_up``: ranges are compared with the memory size rounded up to 128 MiB (upstream since 5.4).
    ``suffixes``: those it knows; ``,high`` and ``,low`` where the architecture has them, ``,cma`` since 6.17.
    ``high_after_failure``: ``,high`` is also tried when the plain form is no good (x86 before 6.7).
    """

    rounds_ram_up: bool = True
    suffixes: tuple[str, ...] = (",high", ",low", ",cma")
    high_after_failure: bool = False


DIALECTS = tuple(
    Dialect(*choice) for choice in product((True, False), ((",high", ",low", ",cma"), (",high", ",low")), (False, True))
)


def outcomes(cmdline: str, ram: int, dialects: Iterable[Dialect] = DIALECTS) -> tuple[Outcome, ...]:
    """What kernels of these dialects make of a command line on a machine with ``ram`` bytes, without repetitions."""
    return tuple(dict.fromkeys(outcome(cmdline, ram, dialect) for dialect in dialects))


def outcome(cmdline: str, ram: int, dialect: Dialect = DIALECTS[0]) -> Outcome:
    """What a kernel makes of its command line.

    >>> outcome("quiet crashkernel=384M-4G:128M,4G-:256M", 2 << 30)
    Request(argument='crashkernel=384M-4G:128M,4G-:256M', size=134217728, base=None, high=False, low=None)
    >>> outcome("crashkernel=3G", 2 << 30).reason
    'it asks for 3 GiB of 2 GiB memory'
    """
    cmdline = cmdline.rstrip("\n")
    plain = _last(cmdline, dialect.suffixes, None)
    if plain is not None:
        found = _plain(plain, ram, dialect)
        if isinstance(found, Request) or not dialect.high_after_failure or _last(cmdline, dialect.suffixes, ",high") is None:
            return found
    return _high(cmdline, ram, dialect)


def arguments(cmdline: str) -> list[str]:
    """Every ``crashkernel=…`` in the command line, as the kernel cuts them out."""
    starts = [found.start() for found in re.finditer(KEY, cmdline)]
    return [cmdline[start:].rstrip("\n").partition(" ")[0] for start in starts]


def _last(cmdline: str, suffixes: tuple[str, ...], wanted: str | None) -> str | None:
    found = None
    for argument in arguments(cmdline):
        if argument.endswith(suffixes) if wanted is None else not argument.endswith(wanted):
            continue
        found = argument
    return found


def _plain(argument: str, ram: int, dialect: Dialect) -> Outcome:
    value = argument.removeprefix(KEY)
    try:
        size, base = _ranges(value, ram, dialect) if ":" in value else _simple(value)
    except _Wrong as wrong:
        return Refusal(argument, f"the kernel cannot read it ({wrong})", wrong.logged)
    if size == 0 and ":" in value:
        return Refusal(
            argument, f"none of its ranges holds this machine's {human(ram)}", "crashkernel size resulted in zero bytes"
        )
    return _sized(Request(argument, size, base or None), ram)


def _high(cmdline: str, ram: int, dialect: Dialect) -> Outcome:
    argument = _last(cmdline, dialect.suffixes, ",high") if ",high" in dialect.suffixes else None
    if argument is None:
        given = arguments(cmdline)
        if not given:
            return Refusal("", "the kernel command line has no crashkernel=")
        return Refusal(
            given[-1], "it says where or how more memory is to be had, but no argument asks for the reservation itself"
        )
    low_argument = _last(cmdline, dialect.suffixes, ",low")
    try:
        size = _suffixed(argument, ",high")
        low = None if low_argument is None else _suffixed(low_argument, ",low")
    except _Wrong as wrong:
        return Refusal(argument, f"the kernel cannot read it ({wrong})", wrong.logged)
    return _sized(Request(argument, size, None, True, low), ram)


def _sized(request: Request, ram: int) -> Outcome:
    # a kernel before 6.7 goes looking for an area of any size, and logs that it found none
    if request.size == 0:
        return Refusal(request.argument, "it asks for nothing")
    if request.size >= ram:
        return Refusal(request.argument, f"it asks for {human(request.size)} of {human(ram)} memory")
    return request


class _Wrong(Exception):
    """``logged``: the kernel's own line."""

    def __init__(self, why: str, logged: str) -> None:
        super().__init__(why)
        self.logged = f"crashkernel: {logged}"


def _simple(text: str) -> tuple[int, int | None]:
    size, at = memparse(text, 0)
    if at == 0:
        raise _Wrong("no size follows the equals sign", "memory value expected")
    if text[at : at + 1] == "@":
        return size, memparse(text, at + 1)[0]
    if at < len(text):
        raise _Wrong(f"{text[at]!r} follows the size", f"unrecognized char: {text[at]}")
    return size, None


def _ranges(text: str, ram: int, dialect: Dialect) -> tuple[int, int | None]:
    if dialect.rounds_ram_up:
        ram = -(-ram // (128 * MiB)) * (128 * MiB)

    def value(at: int) -> tuple[int, int]:
        number, end = memparse(text, at)
        if end == at:
            raise _Wrong(f"no memory size at {text[at:] or 'its end'!r}", "Memory value expected")
        return number, end

    at, found = 0, 0
    while True:
        start, at = value(at)
        if text[at : at + 1] != "-":
            raise _Wrong(f"a range needs a '-' before {text[at:] or 'its end'!r}", "'-' expected")
        at, end = at + 1, _WORD
        if text[at : at + 1] != ":":
            end, at = value(at)
            if end <= start:
                raise _Wrong("a range ends before it begins", "end <= start")
        if text[at : at + 1] != ":":
            raise _Wrong(f"a ':' is missing before {text[at:] or 'its end'!r}", "':' expected")
        size, at = value(at + 1)
        if size >= ram:
            raise _Wrong(f"{human(size)} of {human(ram)} memory", "invalid size")
        if start <= ram < end:
            found = size
            break
        if text[at : at + 1] != ",":
            break
        at += 1
    offset = text.find("@", at)
    if found == 0 or offset < 0:
        return found, None
    base, end = memparse(text, offset + 1)
    if end == offset + 1:
        raise _Wrong("no address follows '@'", "Memory value expected after '@'")
    return found, base


def _suffixed(argument: str, suffix: str) -> int:
    text = argument.removeprefix(KEY)
    size, at = memparse(text, 0)
    if at == 0:
        raise _Wrong("no size follows the equals sign", "memory value expected")
    if text[at:] != suffix:
        raise _Wrong(f"{text[at:]!r} follows the size", f"unrecognized char: {text[at : at + 1]}")
    return size


def memparse(text: str, at: int) -> tuple[int, int]:
    """A number with K, M, G, T, P or E, and where it ends; a unit without a number is 0.

    >>> memparse("0x10M@16", 0)
    (16777216, 5)
    """
    base, start = 10, at
    if text[at : at + 1] == "0":
        base = 8
        if text[at + 1 : at + 2] in ("x", "X") and text[at + 2 : at + 3] in tuple(string.hexdigits):
            base, start = 16, at + 2
    digits = tuple(string.hexdigits if base == 16 else string.digits[:base])
    end = start
    while text[end : end + 1] in digits:
        end += 1
    number = int(text[start:end] or "0", base)
    unit = _UNITS.find(text[end].lower()) if end < len(text) else -1
    if unit >= 0:
        number, end = number << 10 * (unit + 1), end + 1
    return number & _WORD, end


def human(size: int) -> str:
    """Bytes in the unit that reads best.

    >>> human(268435456), human(134 * MiB), human(4096), human(3 << 29)
    ('256 MiB', '134 MiB', '4 KiB', '1.5 GiB')
    """
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (MiB, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{round(size / unit, 1):g} {name}"
    return f"{size} bytes"
