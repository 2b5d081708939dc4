"""From a test's outcome to a finding: pytest's own outcomes are the verdicts."""

from __future__ import annotations

import pytest

from .cause import Cause
from .fact import facts_behind
from .hosts import Target
from .report.model import Finding
from .transcript import Reading, Transcript, sanitise
from .verdict import NoValue, Verdict


def attach_finding(
    report: pytest.TestReport,
    call: pytest.CallInfo[None],
    item: pytest.Item,
    cause: Cause | None,
    target: Target,
    transcript: Transcript | None,
) -> Finding:
    """Put the finding on the report, as ``report.finding``, and the words of the suite in place of a traceback.

    A failed ``assert`` is a present cause. Any other exception, wherever it was raised, means that the verdict is
    unknown: such a report is pytest's ERROR, whose reports are told apart from failures by ``when``.
    """
    verdict, seen = _judgement(report, call)
    if verdict is Verdict.UNDETERMINED:
        report.outcome, report.when = "failed", "setup"
    if call.excinfo is not None and (verdict is Verdict.PRESENT or isinstance(call.excinfo.value, NoValue)):
        report.longrepr = seen
    found = Finding(
        host=target.name,
        nodeid=item.nodeid,
        cause=cause,
        check=_words(item),
        verdict=verdict,
        seen=seen,
        evidence=_evidence(item, transcript),
        duration=call.duration,
    )
    report.finding = found  # type: ignore[attr-defined]
    return found


def _judgement(report: pytest.TestReport, call: pytest.CallInfo[None]) -> tuple[Verdict, str]:
    if call.excinfo is None:
        return Verdict.ABSENT, ""
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


def _evidence(item: pytest.Item, transcript: Transcript | None) -> tuple[Reading, ...]:
    if transcript is None:
        return ()
    commands = (fact.command for fact in facts_behind(getattr(item, "fixturenames", ())))
    return tuple(transcript.readings[command] for command in dict.fromkeys(commands) if command in transcript.readings)
