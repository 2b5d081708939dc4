"""What findings amount to: per host, for the matrix, for the shell."""

from datetime import UTC, date, datetime

import pytest

from kdump.cause import SYMPTOM, Cause, Severity, Stage
from kdump.report import wire
from kdump.report.model import Answer, Finding, HostState, Run, RunInfo, State, Waiver
from kdump.report.tolerance import Tolerance
from kdump.transcript import Reading
from kdump.verdict import Verdict

INFO = RunInfo(datetime(2026, 1, 31, 12, tzinfo=UTC), "ops@bastion", "1.0", "pytest")
P, A, N, U = Verdict.PRESENT, Verdict.ABSENT, Verdict.NOT_APPLICABLE, Verdict.UNDETERMINED
WAIVER = Waiver("a spare machine", "ops", date(2026, 12, 31))


def cause(id, stage=Stage.LOAD, severity=Severity.NO_VMCORE):
    return Cause(id, stage, severity, f"Mend {id}.  Then reboot.", (), "title", "explanation")


RESERVE, LOAD, SAVE = cause("no-memory", Stage.RESERVE), cause("not-loaded"), cause("no-disk", Stage.SAVE)
CUT = cause("cut-dump", Stage.SAVE, Severity.INCOMPLETE_VMCORE)
STRINGS = cause("no-strings", Stage.ANALYSE, Severity.UNREADABLE_VMCORE)


def finding(cause, verdict, host="db1", seen="seen", **more):
    return Finding(host, "tests/test_x.py::test_y", cause, "all is well", verdict, seen, **more)


def run(*findings, **hosts):
    return Run(INFO, hosts or {"db1": HostState("db1")}, list(findings))


@pytest.mark.parametrize(
    ("findings", "summary"),
    [
        ([(SAVE, P), (RESERVE, P), (LOAD, A)], "would not dump: reserve – no-memory – Mend no-memory (and 1 more present)"),
        ([(SAVE, P), (SAVE, P)], "would not dump: save – no-disk – Mend no-disk"),
        ([(CUT, P), (SAVE, P)], "would not dump: save – no-disk – Mend no-disk (and 1 more present)"),
        ([(STRINGS, P), (LOAD, U)], "would dump, but not usably: analyse – no-strings – Mend no-strings"),
        ([(LOAD, A), (SAVE, U)], "could not determine: no-disk – seen"),
        ([(RESERVE, U), (SAVE, U)], "could not determine: no-memory – seen (and 1 more)"),
        ([(LOAD, A), (SAVE, A), (CUT, N)], "would dump (2 causes absent, 1 not applicable)"),
        ([(LOAD, A), (LOAD, N)], "would dump (1 cause absent)"),
        ([(LOAD, N)], "nothing was judged (1 cause not applicable)"),
        ([], "nothing was judged"),
    ],
)
def test_line_of_a_host(findings, summary):
    assert run(*(finding(*one) for one in findings)).reports()[0].summary == summary


def test_unreached_host_is_not_judged_by_what_its_tests_say():
    dead = HostState("db1", reached=False, problem="db1: connection refused")
    report = run(finding(LOAD, U), db1=dead).reports()[0]
    assert (report.answer, report.summary) == (Answer.UNREACHABLE, "unreachable: connection refused")


@pytest.mark.parametrize(
    ("others", "log", "first"),
    [
        ([LOAD], "", "not-loaded"),
        ([SAVE, RESERVE], "", "no-memory"),
        ([SAVE], "its log names no-disk: 'ALERT!'", "no-disk"),
        ([SAVE], "", SYMPTOM),
        ([CUT, STRINGS], "", SYMPTOM),
    ],
)
def test_the_line_of_a_host_names_the_cause_before_its_symptom(others, log, first):
    found = [finding(cause(SYMPTOM), P), finding(cause(SYMPTOM), P, seen=log), *(finding(one, P) for one in others)]
    assert run(*found).reports()[0].first_failing.cause.id == first


@pytest.mark.parametrize(
    ("findings", "pytest_status", "status"),
    [
        ([(LOAD, A), (SAVE, N)], 0, 0),
        ([(LOAD, A), (SAVE, P)], 1, 1),
        ([(LOAD, U), (SAVE, P)], 1, 1),
        ([(LOAD, U)], 1, 6),
        ([(LOAD, P)], 2, 2),
        ([(LOAD, A)], 3, 3),
        ([], 4, 4),
        ([], 5, 4),
        ([(LOAD, A)], 1, 6),  # something else broke
    ],
)
def test_exit_status(findings, pytest_status, status):
    assert run(*(finding(*one) for one in findings)).exit_status(pytest_status) == status


def test_unreached_host_without_tests_is_incomplete():
    assert run(db1=HostState("db1", reached=False, problem="refused")).exit_status(0) == 6


@pytest.mark.parametrize(("verdicts", "status"), [([U, A], 0), ([N, A], 0), ([U, U], 6), ([U, N], 6), ([N], 0), ([], 6)])
def test_a_run_that_judged_nothing_is_not_green_whatever_is_tolerated(verdicts, status):
    made = run(*(finding(LOAD, verdict, host=f"db{number}") for number, verdict in enumerate(verdicts)))
    made.tolerance = Tolerance.parse("100%")
    assert made.exit_status(0) == status


def test_waived_cause_does_not_fail_the_run_and_is_shown_as_waived():
    waived = run(finding(LOAD, P, waiver=WAIVER), finding(SAVE, A))
    assert waived.exit_status(0) == 0
    assert waived.counts()[State.WAIVED] == 1
    assert waived.reports()[0].answer is Answer.WAIVED


@pytest.mark.parametrize(
    ("verdicts", "worst"), [([A, N, P, U], "PRESENT"), ([A, U, N], "UNDETERMINED"), ([N, A], "ABSENT"), ([N], "NOT_APPLICABLE")]
)
def test_matrix_shows_the_worst(verdicts, worst):
    made = run(*(finding(LOAD, verdict) for verdict in verdicts), finding(None, P))
    assert made.matrix() == {("db1", "not-loaded"): State[worst]}


def test_hosts_keep_their_order_and_unknown_ones_are_not_lost():
    made = run(finding(LOAD, A, host="b"), finding(LOAD, A, host="new"), b=HostState("b"), a=HostState("a"))
    assert [report.host.name for report in made.reports()] == ["b", "a", "new"]


def test_finding_survives_the_way_between_processes():
    sent = finding(LOAD, P, waiver=WAIVER, evidence=(Reading("id -u", "0", "", 0),), duration=0.5)
    assert wire.from_data(wire.to_data(sent)) == sent
    assert wire.from_data(wire.to_data(finding(None, A))) == finding(None, A)
