"""The test cases of healthy and of dead hosts in a large JUnit file, as text.

pytest keeps a tree of elements per test case until the end, 3 KB each, and takes a third of a millisecond to make it: for a
thousand hosts half of the run's memory. Of a large run, most test cases are alike but for the host: they are written
at once as pytest would write them, kept compressed, and put into pytest's file when that is complete.
"""

from __future__ import annotations

import os
import zlib
from functools import lru_cache
from html import escape  # that of xml.sax.saxutils loads an HTTP client
from pathlib import Path

import pytest
from _pytest.junitxml import LogXML, bin_xml_escape, mangle_test_address, shorten_message

from ..cause import Cause
from . import junit
from .model import Finding, State

_CHUNK = 1 << 18  # characters
_IN_ATTRIBUTES = str.maketrans({"\t": "&#9;", "\n": "&#10;", "\r": "&#13;"})
_END, _EMPTY_END = b"</testsuite></testsuites>", b" /></testsuites>"


class Cases:
    """Takes test cases in place of ``xml``, pytest's own plugin. ``tests``: how many there will be."""

    def __init__(self, xml: LogXML, tests: int) -> None:
        self._xml = xml
        as_usual = xml.family == "xunit2" and xml.logging == "no" and not xml.prefix
        self._large = as_usual and tests > junit.MOST_WITH_EVIDENCE
        self._open: list[str] = []
        self._size = 0
        self._packed: list[bytes] = []

    def take(self, report: pytest.TestReport, finding: Finding) -> bool:
        """Whether the test case was taken, and is not to be written by pytest. To be asked once per test."""
        if not self._large or not (finding.state in (State.ABSENT, State.NOT_APPLICABLE) or _of_the_dead(report, finding)):
            return False
        self._xml.add_stats({"passed": "passed", "skipped": "skipped", "failed": "error"}[report.outcome])
        text = _case(report, finding, self._xml.report_duration in ("total", report.when))
        self._open.append(text)
        self._size += len(text)
        if self._size > _CHUNK:
            self._pack()
        return True

    def _pack(self) -> None:
        self._packed.append(zlib.compress("".join(self._open).encode(), 1))
        self._open, self._size = [], 0

    def put_into(self, path: Path) -> None:
        """Put what was taken into pytest's complete file. Raises :class:`OSError`."""
        self._pack()
        if not self._large:
            return
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - len(_END), 0))
            tail = file.read()
            end = _END if tail.endswith(_END) else _EMPTY_END
            file.seek(size - len(end))
            file.write(b">" if end is _EMPTY_END else b"")
            for chunk in self._packed:
                file.write(zlib.decompress(chunk))
            file.write(_END)


def _of_the_dead(report: pytest.TestReport, finding: Finding) -> bool:
    """Whether nothing at all was read: one sentence, the same for all tests of a host."""
    nothing = finding.state is State.UNDETERMINED and not finding.evidence
    return nothing and report.when == "setup" and isinstance(report.longrepr, str)


def _case(report: pytest.TestReport, finding: Finding, timed: bool) -> str:
    id = report.id
    name = _escaped(id.names[-1]) if id.params is None else f"{_escaped(id.names[-1])}[{_escaped(id.params)}]"
    seconds = report.duration if timed else 0.0
    own = _property("host", finding.host) + _property("verdict", finding.verdict._value_)
    read = "" if not report.failed else _property("evidence", "")
    properties = f"<properties>{own}{_of_test(finding.check, finding.cause)}{read}</properties>"
    head = f'<testcase classname={_class(id.path, id.names)} name="{name}" time="{seconds:.3f}">{properties}'
    if isinstance(report.longrepr, str):
        return f"{head}{_error(report.longrepr)}</testcase>"
    return f"{head}{_skipped(*report.longrepr)}</testcase>" if isinstance(report.longrepr, tuple) else f"{head}</testcase>"


@lru_cache(1024)
def _error(words: str) -> str:
    message = _escaped(shorten_message(f'failed on setup with "{words}"'))
    return f'<error message="{message}">{escape(bin_xml_escape(words), quote=False)}</error>'


@lru_cache(1024)
def _skipped(path: str, line: int, words: str) -> str:
    words = words.removeprefix("Skipped: ")
    text = escape(bin_xml_escape(f"{path}:{line}: {words}"), quote=False)
    return f'<skipped type="pytest.skip" message="{_escaped(words)}">{text}</skipped>'


@lru_cache(1024)
def _class(path: str, names: tuple[str, ...]) -> str:
    return f'"{_escaped(".".join(mangle_test_address("::".join((path, *names)))[:-1]))}"'


@lru_cache(1024)
def _of_test(check: str, cause: Cause | None) -> str:
    return "".join(_property(name, value) for name, value in junit.of_test(check, cause))


@lru_cache(1024)
def _property(name: str, value: str) -> str:
    return f'<property name="{name}" value="{_escaped(value)}" />'


@lru_cache(1024)
def _escaped(text: str) -> str:
    """The text as it stands in an attribute."""
    # a parser makes a space of a line's end or a tab that stands there as it is (XML 1.0, 3.3.3)
    return escape(bin_xml_escape(text)).translate(_IN_ATTRIBUTES)
