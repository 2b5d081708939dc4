"""Facts: typed values about a target.

A fact is a read-only shell command plus a pure parser, and it is a pytest fixture. A derived fact is a pure
function over other facts, named as its parameters. A parameter called ``maybe_NAME`` receives a
:class:`Maybe`: the value, or the reason why there is none, raised only when the function looks at it.

A command with ``{kernel}`` in it is about one installed kernel, running or not: the release stands there when it runs.
"""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, Generic, NoReturn, TypeVar

import pytest

from .transcript import Reading, Transcript
from .verdict import CouldNotDetermine, NotApplicable, NoValue

T = TypeVar("T")
MAYBE = "maybe_"
KERNEL = "{kernel}"
REMEMBERED = 16384  # characters of a reading whose value is kept for the next host that says the same
_VALUES = 4096  # that are kept so; as many of derived facts
TIMED_OUT = (124, 137)  # coreutils' timeout(1): 124 after TERM, 128+9 after KILL
_DENIED = ("Permission denied", "Operation not permitted", "must be root")
#: of a program that is there, and ends with 127 as one that is not: glibc's elf/rtld.c, musl's ldso/dynlink.c
_CANNOT_START = ("error while loading shared libraries", "Error loading shared library")
_UNSET: Any = object()
_NO_SENSE = (ValueError, LookupError, ArithmeticError)  # what a function over a host's words raises where they are garbage


@dataclass(frozen=True, eq=False)
class Fact(Generic[T]):
    """A command and what we make of its output.

    ``absent``: the value when the command says "No such file or directory" (or a :class:`NoValue` to raise);
    without it, absence cannot be interpreted and the fact could not be determined. ``tool_missing``: likewise for
    a command that is not installed. ``statuses``: exit statuses that are answers where nothing was complained of (grep's 1 is).
    ``root``: an ordinary user cannot see the true value. ``slow``: runs beside the others in the probe; a number
    says how many times as long it takes as other slow ones.
    """

    name: str
    command: str
    parse: Callable[[str], T]
    absent: T | NoValue = _UNSET
    tool_missing: T | NoValue = _UNSET
    statuses: Collection[int] = (0,)
    root: bool = False
    slow: float = False

    @property
    def of_a_kernel(self) -> bool:
        """Whether it is about one installed kernel."""
        return KERNEL in self.command

    def for_kernel(self, release: str) -> Fact[T]:
        """This fact about the kernel of that release; itself where it is not about a kernel."""
        return _for_kernel(self, release) if self.of_a_kernel else self

    def of(self, transcript: Transcript) -> T:
        """The fact's value. Raises :class:`CouldNotDetermine` or :class:`NotApplicable` with the reason."""
        return self.maybe(transcript).value

    def maybe(self, transcript: Transcript) -> Maybe[T]:
        """The fact's value, or the reason why there is none. Hosts that say the same share it."""
        reading = transcript.readings.get(self.command)
        if reading is None:
            return _never_read(self, transcript.complete)
        # who ran the probe matters only where root is needed: it is left out of what is looked up otherwise
        uid = transcript.readings.get(UID) if self.root else None
        arguments = self, reading, uid, transcript.remarks.get(NO_SUDO, "")
        return _shared_value(*arguments) if len(reading.text) <= REMEMBERED else _outcome(self.value_of, *arguments[1:])

    def value_of(self, reading: Reading, uid: Reading | None, no_sudo: str) -> T:
        """The value that its reading says, as :meth:`of`; ``uid``, ``no_sudo``: who ran the probe, and why not root."""
        how_to_be_root = no_sudo or "connect as root or use --sudo"
        # a pipeline ends well although its first program may not look; grep's 1 means that there is no such line, unless
        # something was complained of
        allowed = not any(words in reading.errors for words in _DENIED)
        if allowed and (reading.status == 0 or (reading.status in self.statuses and not reading.errors)):
            if self.root and not _is_root(uid):
                raise CouldNotDetermine(f"{self.name}: needs root: {how_to_be_root}")
            try:
                return self.parse(reading.text)
            except _NO_SENSE as error:
                raise CouldNotDetermine(f"{self.name}: cannot parse the output of `{self.command}`: {error}") from error
        return self._without_output(reading, how_to_be_root)

    def _without_output(self, reading: Reading, how_to_be_root: str) -> T:
        complaint = reading.errors.split("\n")[-1] if reading.errors else f"exit status {reading.status}"
        if any(words in reading.errors for words in _DENIED):
            raise CouldNotDetermine(f"{self.name}: permission denied: {how_to_be_root} ({complaint})")
        if reading.status in TIMED_OUT:
            raise CouldNotDetermine(f"{self.name}: `{self.command}` did not finish in time")
        if any(words in reading.errors for words in _CANNOT_START):
            raise CouldNotDetermine(f"{self.name}: the tool is installed, and cannot start ({complaint})")
        if reading.status == 127:
            if self.tool_missing is _UNSET:
                raise CouldNotDetermine(f"{self.name}: the tool is not installed on the host ({complaint})")
            return _value_or_raise(self.tool_missing)
        if "No such file or directory" in reading.errors and self.absent is not _UNSET:
            return _value_or_raise(self.absent)
        raise CouldNotDetermine(f"{self.name}: `{self.command}` failed: {complaint}")


@lru_cache(1024)
def _for_kernel(fact: Fact[T], release: str) -> Fact[T]:
    return replace(fact, command=fact.command.replace(KERNEL, shlex.quote(release)))


@dataclass(frozen=True, eq=False)
class Derived(Generic[T]):
    """A pure function over facts."""

    name: str
    function: Callable[..., T]
    arguments: tuple[str, ...]

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """The facts that the arguments are about."""
        return tuple(argument.removeprefix(MAYBE) for argument in self.arguments)

    def value_of(self, *facts: Maybe[Any]) -> T:
        """Its value, given :attr:`facts`. Raises :class:`NoValue`."""
        named = zip(self.arguments, facts, strict=True)
        given = [one if argument.startswith(MAYBE) else one.value for argument, one in named]
        try:
            return self.function(*given)
        except _NO_SENSE as error:
            raise CouldNotDetermine(f"{self.name}: what the host said of it makes no sense: {error}") from error


class Maybe(Generic[T]):
    """A fact that may have no value. ``.value`` gives it, or raises the reason. ``shared``: with other hosts."""

    def __init__(self, value: T = _UNSET, reason: NoValue | None = None, *, shared: bool = False) -> None:
        self._value, self.reason, self.shared = value, reason, shared

    @property
    def value(self) -> T:
        if self.reason is not None:
            # an own one for whoever asks: many do, and each leaves its traceback there
            raise type(self.reason)(*self.reason.args)
        return self._value

    def __bool__(self) -> NoReturn:
        raise TypeError("ask Maybe.known, or look at Maybe.value")

    @property
    def known(self) -> bool:
        return self.reason is None

    def otherwise(self, default: T) -> T:
        """The value, or ``default`` where it could not be seen: only for wording, never for a verdict."""
        return self._value if self.reason is None else default


def _outcome(function: Callable[..., T], *arguments: Any, shared: bool = False) -> Maybe[T]:
    try:
        return Maybe(function(*arguments), shared=shared)
    except NoValue as reason:
        return Maybe(reason=reason.with_traceback(None), shared=shared)


_IS_SHARED = attrgetter("shared")

# Parsers and derived facts are pure, and nobody changes what they return: what was made once of the same serves all hosts.


@lru_cache(_VALUES)
def _shared_value(fact: Fact[T], reading: Reading, uid: Reading | None, no_sudo: str) -> Maybe[T]:
    return _outcome(fact.value_of, reading, uid, no_sudo, shared=True)


@lru_cache(_VALUES)
def _shared_derived(entry: Derived[T], *arguments: Maybe[Any]) -> Maybe[T]:
    return _outcome(entry.value_of, *arguments, shared=True)


@lru_cache(1024)
def _never_read(fact: Fact[T], complete: bool) -> Maybe[T]:
    why = "has no reading of it" if complete else "was cut off before it"
    return Maybe(reason=CouldNotDetermine(f"{fact.name}: the transcript {why} ($ {fact.command})"), shared=True)


CATALOGUE: dict[str, Fact[Any] | Derived[Any]] = {}

UID = "id -u"
NO_SUDO = "no sudo"  # the remark on a transcript for which sudo was asked and refused: why, and what to do
# What a release is made of in practice; the kernel keeps at most 64 characters of it (include/linux/uts.h).
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}")


def kernel_release(text: str) -> str:
    """``text``, if it can be the release of a kernel; it becomes a word of a shell command and part of file names.

    Raises :class:`ValueError`.
    """
    if not _RELEASE.fullmatch(text):
        raise ValueError(f"{text!r} is not the release of a kernel: name one as `uname -r` or `ls /lib/modules` does")
    return text


def _is_root(uid: Reading | None) -> bool:
    """Whether the probe ran as root. Raises :class:`CouldNotDetermine` where the transcript does not say."""
    if uid is None or uid.status != 0:
        raise CouldNotDetermine(f"who ran the probe is unknown: the transcript has no reading of `{UID}`")
    return uid.text.strip() == "0"


def fact(name: str, command: str, parse: Callable[[str], Any], **how: Any) -> Any:
    """Declare a fact; the result is its pytest fixture. See :class:`Fact` for the keywords."""
    if "\n" in command:
        raise ValueError(f"{name}: a command is one line; put longer shell into kdump/probe.sh as a function")
    return _register(Fact(name, command, parse, **how), parse.__doc__)


def derived(function: Callable[..., Any]) -> Any:
    """Declare a derived fact, named as the function; the result is its pytest fixture."""
    arguments = tuple(inspect.signature(function).parameters)
    return _register(Derived(function.__name__, function, arguments), function.__doc__)


def _register(entry: Fact[Any] | Derived[Any], doc: str | None) -> Any:
    if entry.name in CATALOGUE:
        raise ValueError(f"there are two facts called {entry.name!r}")
    CATALOGUE[entry.name] = entry

    def fixture(knowledge: Knowledge) -> Any:
        try:
            return knowledge.get(entry.name)
        except NotApplicable as reason:
            pytest.skip(str(reason))

    fixture.__doc__ = doc
    return pytest.fixture(scope="session", name=entry.name)(fixture)


class Knowledge:
    """The values of all facts of one host, computed once each from its transcript.

    ``kernel``: the release of the installed kernel that facts about one are about.
    """

    def __init__(self, transcript: Transcript, kernel: str = "") -> None:
        self.transcript, self.kernel = transcript, kernel
        self._known: dict[str, Maybe[Any]] = {}

    @cached_property
    def shown(self) -> Mapping[str, Reading]:
        """The readings, as far as they are kept for reports."""
        return self.transcript.shown()

    def get(self, name: str) -> Any:
        """The value of a fact. Raises :class:`NoValue` with the reason; :class:`KeyError` for an unknown name."""
        return self.maybe(name).value

    def maybe(self, name: str) -> Maybe[Any]:
        if name not in self._known:
            self._known[name] = self._compute(CATALOGUE[name])
        return self._known[name]

    def _compute(self, entry: Fact[Any] | Derived[Any]) -> Maybe[Any]:
        if isinstance(entry, Fact):
            return entry.for_kernel(self.kernel).maybe(self.transcript)
        facts = [self.maybe(name) for name in entry.facts]
        if all(map(_IS_SHARED, facts)):
            return _shared_derived(entry, *facts)
        return _outcome(entry.value_of, *facts)


def facts_behind(names: Collection[str]) -> Iterator[Fact[Any]]:
    """The facts (commands) that the named facts rest on, each once, in the order met."""
    seen: set[str] = set()

    def walk(name: str) -> Iterator[Fact[Any]]:
        if name in seen or name not in CATALOGUE:
            return
        seen.add(name)
        entry = CATALOGUE[name]
        if isinstance(entry, Fact):
            yield entry
        else:
            for argument in entry.arguments:
                yield from walk(argument.removeprefix(MAYBE))

    for name in names:
        yield from walk(name.removeprefix(MAYBE))


def of_kernels(facts: Iterable[Fact[Any]], releases: Collection[str]) -> Iterator[Fact[Any]]:
    """The facts as they are read on a host: those about an installed kernel once for each of these."""
    for fact in facts:
        yield from map(fact.for_kernel, releases) if fact.of_a_kernel else (fact,)


def _value_or_raise(outcome: T | NoValue) -> T:
    if isinstance(outcome, NoValue):
        raise outcome
    return outcome
