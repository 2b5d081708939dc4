"""From a test's outcome to a finding: pytest's own outcomes are the verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

from .cause import Cause
from .fact import facts_behind
from .hosts import Target
from .report.model import Finding
from .transcript import Reading, clip, sanitise
from .verdict import NoValue, OnlyACrashTells, Verdict
from .waivers import Waivers

#: what a passing test saw, in words, and what it rests on besides its facts: set by fixtures of more than one fact
SEEN: pytest.StashKey[str] = pytest.StashKey()
_SUITE = Path(__file__).resolve().parents[1]
MOST_SEEN = 8000  # characters: a complaint of a program of the host may be a line of megabytes
EVIDENCE: pytest.StashKey[tuple[Reading, ...]] = pytest.StashKey()


def refuse_blind_runs(config: pytest.Config) -> None:
    """Refuse a run that would find less than it says. Raises :class:`pytest.UsageError`.

    Where Python leaves out the tests' asserts, every cause would be absent: pytest makes code of its own of them, unless it is
    told not to. Where testpaths does not name the suite's tests, one of them would do for a host that "would dump".
    """
    if not __debug__ and config.getoption("assertmode", "plain") == "plain":
        how = "python -O (or PYTHONOPTIMIZE) with --assert=plain"
        raise pytest.UsageError(f"{how} leaves out the tests' asserts, and would find nothing: leave one of the two out")
    named = {(config.rootpath / name).resolve() for name in config.getini("testpaths")}
    conftests = {Path(name).resolve() for name, _ in config.pluginmanager.list_name_plugin() if name.endswith("conftest.py")}
    if _SUITE / "conftest.py" in conftests and _SUITE / "tests" not in named and not hasattr(config, "workerinput"):
        raise pytest.UsageError(
            f"testpaths of {config.inipath}, seen from {config.rootpath}, does not name {_SUITE / 'tests'}, so that it is not "
            "known when all tests were run: leave -c and --rootdir out, or set testpaths there"
        )


def attach_finding(
    report: pytest.TestReport,
    call: pytest.CallInfo[None],
    item: pytest.Item,
    cause: Cause | None,
    target: Target,
    readings: Mapping[str, Reading],
    waivers: Waivers,
) -> Finding:
    """Put the finding on the report, as ``report.finding``, and the words of the suite in place of a traceback.

    A failed ``assert`` is a present cause. Any other exception, wherever it was raised, means that the verdict is
    unknown: such a report is pytest's ERROR, whose reports are told apart from failures by ``when``. A waived cause is
    pytest's XFAIL. ``readings``: what may be kept as evidence, by command.
    """
    verdict, seen = _judgement(report, call, sanitise(item.stash.get(SEEN, "")))
    seen = clip(seen, MOST_SEEN)
    if verdict is Verdict.UNDETERMINED:
        report.outcome, report.when = "failed", "setup"
    explained = call.excinfo is not None and isinstance(call.excinfo.value, NoValue)
    if verdict is Verdict.PRESENT or (verdict is Verdict.UNDETERMINED and explained):
        report.longrepr = seen
    found = Finding(
        host=target.name,
        nodeid=item.nodeid,
        cause=cause,
        check=_words(item),
        verdict=verdict,
        seen=seen,
        evidence=_evidence(item, readings, target.kernel) + item.stash.get(EVIDENCE, ()),
        duration=call.duration,
        crash_tells=call.excinfo is not None and isinstance(call.excinfo.value, OnlyACrashTells),
    )
    waiver = waivers.of(found, target.groups)
    if waiver is not None:
        found = replace(found, waiver=waiver)
        report.outcome = "skipped"
        report.wasxfail = f"waived until {waiver.expires} ({waiver.owner}): {waiver.justification}"
    report.finding = found  # type: ignore[attr-defined]
    return found


def _judgement(report: pytest.TestReport, call: pytest.CallInfo[None], passed: str) -> tuple[Verdict, str]:
    if call.excinfo is None:
        return Verdict.ABSENT, passed
    error = call.excinfo.value
    if report.skipped:
        return Verdict.NOT_APPLICABLE, sanitise(str(getattr(error, "msg", error)))
    if isinstance(error, NoValue):
        return Verdict.UNDETERMINED, sanitise(str(error))
    if isinstance(error, AssertionError) and call.when == "call":
        # pytest appends its own explanation of the comparison to the message of the assertion
        return Verdict.PRESENT, sanitise(str(error)).partition("\nassert ")[0]
    return Verdict.UNDETERMINED, sanitise(f"the suite itself failed: {type(error).__name__}: {error}")


def _words(item: pytest.Item) -> str:
    name = getattr(item, "originalname", item.name)
    callspec = getattr(item, "callspec", None)
    others = [f"{value}" for key, value in callspec.params.items() if key != "target"] if callspec else []
    return " ".join([name.removeprefix("test_").replace("_", " "), *(f"({other})" for other in others)])


def _evidence(item: pytest.Item, readings: Mapping[str, Reading], kernel: str) -> tuple[Reading, ...]:
    commands = _commands_behind(tuple(getattr(item, "fixturenames", ())), kernel)
    return tuple(readings[command] for command in commands if command in readings)


@lru_cache(1024)  # the same for all hosts
def _commands_behind(fixtures: tuple[str, ...], kernel: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(fact.for_kernel(kernel).command for fact in facts_behind(fixtures)))
