"""Which findings have a row in pytest-html's table."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from kdump.report import fleet_page, html, markup
from kdump.report.model import HostState
from selftests.unit.test_report_model import LOAD, WAIVER, A, N, P, U, finding, run

VERDICTS = [P, U, A, N, P, P]
FINDINGS = [replace(finding(LOAD, verdict), nodeid=f"n{number}") for number, verdict in enumerate(VERDICTS)]


@pytest.mark.parametrize(("tests", "shown"), [(3, [0, 1, 2, 3, 4, 5]), (4, [0, 1, 4])])
def test_of_a_large_run_what_is_not_green_up_to_a_number(monkeypatch, tests, shown):
    monkeypatch.setattr(html, "MOST_ROWS", 3)
    page = html.Page(SimpleNamespace(), run(*FINDINGS))
    page.pytest_collection_finish(SimpleNamespace(items=range(tests)))
    for _ in range(2):  # asked again, it says the same
        assert [number for number, one in enumerate(FINDINGS) if page.shows(one)] == shown


def test_a_dead_host_has_one_row():
    page = html.Page(SimpleNamespace(), run(*FINDINGS, db1=HostState("db1", reached=False)))
    assert [page.shows(one) for one in FINDINGS] == [True, False, False, False, False, False]


def test_of_very_many_hosts_the_worst_are_listed(monkeypatch):
    monkeypatch.setattr(html, "MOST_HOSTS", 2)
    found = [finding(LOAD, verdict, host=f"db{number}") for number, verdict in enumerate((U, U, A, P))]
    page = html.summary(run(*found, **{one.host: HostState(one.host) for one in found}))
    assert [name for name in ("db3", "db0", "db1", "db2") if f'data-show-host="{name}"' in page] == ["db3", "db0"]


def test_a_waived_host_says_until_when():
    found = run(*[finding(LOAD, P, waiver=WAIVER)] * 2, db1=HostState("db1"))
    words = f"waived until {WAIVER.expires}"
    assert html.summary(found).count(f"not-loaded: {words} ({WAIVER.owner})") == 1
    assert f'"{words}: seen"' in fleet_page.render(found).html


def test_templates_are_compiled_anew_where_their_code_cannot_be_kept(monkeypatch):
    monkeypatch.setattr(markup, "cache_from_source", lambda path: "/nowhere/markup.pyc")
    monkeypatch.setattr(markup.sys, "dont_write_bytecode", False)
    assert markup.environment.__wrapped__().get_template("cause.html")
