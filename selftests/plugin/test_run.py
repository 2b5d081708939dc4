"""The plugin as an operator meets it: outcomes, exit statuses, what is refused, one probe per host."""

import pytest

from kdump.transcript import Reading, Transcript

SUITE = '''
"""Something is broken.

What breaks, how it looks to its victim, and why nothing else on the machine notices that it is broken at all.
"""
from kdump import CouldNotDetermine, NotApplicable, Severity, Stage, cause, derived, fact

pytestmark = cause("something-broken", stage=Stage.LOAD, severity=Severity.NO_VMCORE, remediation="Mend it.",
                   references=["https://example.org/"])
number = fact("number", "cat /number", int)
other = fact("other", "cat /other", int, absent=NotApplicable("there is no other"))


@derived
def double(number):
    """Twice the number."""
    return 2 * number


def test_number_is_one(number):
    assert number == 1, f"the number is {number}"


def test_double_is_two(double):
    assert double == 2, f"twice the number is {double}"


def test_other_is_one(other):
    assert other == 1, f"the other number is {other}"
'''


def number(text, status=0):
    return Reading("cat /number", text, "cat: /number: Permission denied" if status else "", status)


HOSTS = {
    "good": [number("1"), Reading("cat /other", "1", "", 0)],
    "bad": [number("3"), Reading("cat /other", "1", "", 0)],
    "none": [number("1"), Reading("cat /other", "", "cat: /other: No such file or directory", 1)],
    "denied": [number("", 1), Reading("cat /other", "1", "", 0)],
    "garbled": [number("one"), Reading("cat /other", "1", "", 0)],
    "silent": [],
}


@pytest.fixture
def suite(pytester):
    pytester.makeconftest('pytest_plugins = ["kdump.plugin"]')
    pytester.makepyfile(test_something=SUITE)
    for name, readings in HOSTS.items():
        pytester.path.joinpath(f"{name}.transcript").write_text(Transcript.of(readings).render())

    def run(*names, options=()):
        hosts = ",".join(name if "://" in name else f"recording://{name}.transcript" for name in names)
        return pytester.runpytest_subprocess(f"--hosts={hosts}", "--html=report.html", *options)

    return run


@pytest.mark.parametrize(
    ("host", "status"),
    [("good", 0), ("bad", 1), ("none", 0), ("denied", 6), ("garbled", 6), ("silent", 6)],
)
def test_exit_status(suite, host, status):
    assert suite(host).ret == status


def test_present_weighs_more_than_undetermined(suite):
    assert suite("good", "bad", "denied").ret == 1


def test_every_verdict_is_said_with_its_reason(suite):
    text = suite("bad", "none", "denied", options=["-v"]).stdout.str()
    for words in ("the number is 3", "there is no other", "permission denied", "Mend it"):
        assert words in text


def test_a_failing_test_of_the_suite_itself_is_not_a_present_cause(suite, pytester):
    pytester.makepyfile(test_something=SUITE.replace("assert number == 1", "assert number.nothing == 1"))
    result = suite("good")
    assert result.ret == 6
    assert "the suite itself failed" in result.stdout.str()


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ("", "names no host"),
        ("a,,b", "empty name"),
        ("a,a", "named twice"),
        ("root:secret@a", "holds a password"),
        ("ssh://root:secret@a", "holds a password"),
        ("recording://missing", "no such recording"),
        ("@missing.txt", "cannot read the file"),
        ("nonsense://a", "cannot be used"),
        ("<b>", "is not a host name"),
    ],
)
def test_unusable_hosts_end_before_anything_else(suite, pytester, hosts, words):
    result = pytester.runpytest_subprocess(f"--hosts={hosts}")
    assert result.ret == 4
    text = result.stdout.str() + result.stderr.str()
    assert words in text
    assert "secret" not in text.replace(hosts, "")
    assert "Traceback" not in text


def test_nothing_selected_is_not_green(suite):
    assert suite("good", options=["-k", "nosuchtest"]).ret == 4


def test_one_probe_per_host(suite, pytester):
    pytester.makeconftest(
        'pytest_plugins = ["kdump.plugin"]\n'
        "import kdump.gather\n"
        "original = kdump.gather.recording.load\n"
        "def load(path):\n"
        "    with open('asked', 'a') as file:\n"  # hosts are asked by several threads: one write each
        "        file.write(f'{path}\\n')\n"
        "    return original(path)\n"
        "kdump.gather.recording.load = load\n"
    )
    suite("good", "bad")
    assert sorted(pytester.path.joinpath("asked").read_text().split()) == ["bad.transcript", "good.transcript"]


def test_record_replays(suite, pytester):
    assert suite("bad", options=["--record=saved"]).ret == 1
    (saved,) = pytester.path.joinpath("saved").iterdir()
    assert suite(f"recording://{saved}").ret == 1
