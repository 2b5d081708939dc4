"""Tests that only judge facts run by a short protocol, in the order in which hosts answer: nothing else may differ."""

import re
import xml.etree.ElementTree as ET

import pytest

from kdump.transcript import Reading, Transcript

SUITE = '''
"""Something is broken.

What breaks, how it looks to its victim, and why nothing else on the machine notices that it is broken at all.
"""
import pytest
from kdump import NotApplicable, Severity, Stage, cause, fact

pytestmark = cause("something-broken", stage=Stage.LOAD, severity=Severity.NO_VMCORE, remediation="Mend it.",
                   references=["https://example.org/"])
number = fact("number", "cat /number", int)
other = fact("other", "cat /other", int, absent=NotApplicable("there is no other"))


def test_number_is_one(number):
    print("looked at", number)
    assert number == 1, f"the number is {number}"


def test_other_is_one(other):
    assert other == 1


@pytest.mark.skipif(True, reason="not today")
def test_marked(number):
    assert False


def test_with_a_fixture_of_pytest(number, tmp_path):
    assert tmp_path.is_dir()


@pytest.mark.parametrize("least", [0, 1])
def test_at_least(number, least):
    assert number >= least
'''
# Whoever hooks into a phase gets every test by pytest's own protocol.
LISTENER = """
def pytest_runtest_call(item):
    pass
"""


def run(pytester, *options, conftest="", hosts=("good", "bad", "none")):
    readings = {
        "good": [Reading("cat /number", "1", "", 0), Reading("cat /other", "1", "", 0)],
        "bad": [Reading("cat /number", "3", "", 0), Reading("cat /other", "1", "", 0)],
        "none": [Reading("cat /number", "0", "", 0), Reading("cat /other", "", "cat: /other: No such file or directory", 1)],
    }
    pytester.makeconftest(f'pytest_plugins = ["kdump.plugin"]\n{conftest}')
    pytester.makepyfile(test_something=SUITE)
    for name in hosts:
        if (kind := name.partition("-")[0]) in readings:  # others are written by the test
            pytester.path.joinpath(f"{name}.transcript").write_text(Transcript.of(readings[kind]).render())
    named = ",".join(f"recording://{name}.transcript" for name in hosts)
    return pytester.runpytest_subprocess(f"--hosts={named}", "--html=r.html", "--junitxml=j.xml", "-p", "no:randomly", *options)


def outcomes(pytester):
    """Per test case of the JUnit file: its name, the words of its outcome, what it printed."""
    cases = ET.parse(pytester.path / "j.xml").getroot().iter("testcase")
    return sorted(
        (case.get("name"), [(part.tag, part.get("message")) for part in case if part.tag != "properties"]) for case in cases
    )


def test_the_short_protocol_changes_no_report(pytester):
    short, short_cases = run(pytester), outcomes(pytester)
    full, full_cases = run(pytester, conftest=LISTENER), outcomes(pytester)
    assert short.ret == full.ret == 1
    assert short_cases == full_cases and len(short_cases) == 18
    assert short.parseoutcomes() == full.parseoutcomes()
    assert "looked at" not in short.stdout.str().partition("findings")[0]


def test_a_large_junit_file_reads_as_pytest_writes_it(pytester):
    """Healthy test cases of large runs are not written by pytest: nobody may see by what."""

    def words(text):  # without the line of the skip, which is pytest's in one case and the test's in the other
        return re.sub(r"^\S+:\d+: ", "", text or "")

    def whole():
        suite = next(ET.parse(pytester.path / "j.xml").getroot().iter("testsuite"))
        counted = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
        cases = [
            (case.attrib | {"time": ""}, [(part.tag, part.attrib, words(part.text), [p.attrib for p in part]) for part in case])
            for case in suite.iter("testcase")
        ]
        return counted, sorted(cases, key=str)

    everyone = ("good", "bad", "none", "dead")
    pytester.path.joinpath("dead.transcript").write_text("Connection closed by remote host")
    large = "import kdump.report.junit\nkdump.report.junit.MOST_WITH_EVIDENCE = 0\n"
    run(pytester, conftest=large, hosts=everyone)
    ours = whole()
    run(pytester, conftest=large + LISTENER, hosts=everyone)
    assert ours == whole()
    assert len(ours[1]) == 24


@pytest.mark.parametrize(
    ("options", "judged"), [(["-x"], 1), (["--maxfail=2"], 2), (["-k", "number_is"], 3), (["--co", "-q"], 0)]
)
def test_options_of_pytest_still_count(pytester, options, judged):
    run(pytester, *options, hosts=("bad-1", "bad-2", "bad-3"))  # whichever answers first
    assert len([name for name, _ in outcomes(pytester) if "number_is" in name]) == judged


def test_last_failed_runs_only_what_failed(pytester):
    assert run(pytester).ret == 1
    again = run(pytester, "--lf")
    assert sorted(name for name, _ in outcomes(pytester)) == [
        "test_at_least[none-1]",
        "test_number_is_one[bad]",
        "test_number_is_one[none]",
    ]
    assert again.ret == 1


def test_what_is_set_up_for_several_tests_of_a_host_is_set_up_once(pytester):
    """By pytest's own order, which is left out only where there is nothing but the host to order by."""
    of_a_kind = """
import pytest


@pytest.fixture(scope="session", params=["one", "two"])
def kind(request):
    return request.param


def test_first(target, kind):
    pass


def test_second(target, kind):
    pass
"""
    pytester.makepyfile(test_of_a_kind=of_a_kind)
    asked = run(pytester, "test_of_a_kind.py", "--co", "-q", hosts=("good", "bad"))
    names = [line.rpartition("::")[2] for line in asked.outlines if "::" in line]
    assert [name.replace("first", "second") for name in names[::2]] == names[1::2]
    assert len(names) == 8 and all("[good-" in name for name in names[:4])


def test_a_slow_host_keeps_nobody_waiting(pytester):
    conftest = """
import threading, kdump.gather
original, others = kdump.gather.recording.load, threading.Semaphore(0)
def load(path):
    if path.name == "bad.transcript":
        for _ in range(2):
            assert others.acquire(timeout=60)
    return original(path)
kdump.gather.recording.load = load
def pytest_kdump_host_finished():
    others.release()
"""
    text = run(pytester, "-v", "-k", "number_is", conftest=conftest, hosts=("bad", "good", "none")).stdout.str()
    places = {name: text.index(f"test_number_is_one[{name}]") for name in ("good", "none", "bad")}
    assert max(places, key=places.get) == "bad"
