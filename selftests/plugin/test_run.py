"""The plugin as an operator meets it: outcomes, exit statuses, what is refused, one probe per host."""

import json
import sys
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kdump import recording
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


MORE = """
more = fact("more", "cat /other", int, absent=NotApplicable("there is no more"))


def test_more_is_one(more):
    assert more == 1
"""


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


def test_asserts_that_python_leaves_out_make_nobody_healthy(suite, pytester):
    suite("bad")
    for options, status in ((["--assert=plain"], 4), (["-p", "no:assertion"], 4), ([], 1)):
        done = pytester.run(sys.executable, "-O", "-m", "pytest", "--hosts=recording://bad.transcript", *options)
        assert done.ret == status


def test_a_part_of_the_suite_is_known_as_one_under_any_configuration(pytester):
    """A host that was asked one thing is not said to dump."""
    suite = Path(__file__).parents[2]
    pytester.makeini("[pytest]")
    host = f"--hosts=recording://{suite}/recordings/debian12-no-crashkernel.transcript"
    asked = [sys.executable, "-m", "pytest", host, "--no-history", "--html=r.html", f"{suite}/tests/test_strings_missing.py"]
    for options, status, words in (
        (["-c", "tox.ini"], 4, "leave -c and --rootdir out"),
        ([f"--rootdir={pytester.path}"], 4, "leave -c and --rootdir out"),
        ([f"--rootdir={suite}", "-c", f"{suite}/pytest.ini"], 0, "not all tests were selected"),
    ):
        done = pytester.run(*asked, *options)
        assert (done.ret, words in done.stdout.str() + done.stderr.str()) == (status, True)


def test_a_finding_says_that_only_a_crash_tells(suite, pytester):
    pytester.makeconftest("""
pytest_plugins = ["kdump.plugin"]

def pytest_runtest_logreport(report):
    if hasattr(report, "finding"):
        with open("told", "a") as file:
            print(report.finding.check, report.finding.crash_tells, file=file)
""")
    imported = "from kdump.verdict import OnlyACrashTells\nfrom kdump import"
    raised = SUITE.replace("    return 2 * number\n", "    raise OnlyACrashTells('it was not tried')\n")
    pytester.makepyfile(test_something=raised.replace("from kdump import", imported))
    assert suite("good").ret == 6
    told = pytester.path.joinpath("told").read_text().splitlines()
    assert told == ["number is one False", "double is two True", "other is one False"]


@pytest.mark.hostility(22)
@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ("", "names no host"),
        ("a,,b", "empty name"),
        ("a,a", "named twice"),
        # by another account of it, say: all tests of one name go to one worker, which boots a machine of the lab once
        ("ssh://a,ssh://a?sudo=true", "is selected twice"),
        ("root:secret@a", "holds a password"),
        ("ssh://root:secret@a", "holds a password"),
        ("recording://missing", "names a recording that is not there"),
        ("@missing.txt", "cannot be read: No such file"),
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


@pytest.mark.parametrize(
    "option",
    [
        *("--connect-timeout=-1", "--connect-timeout=nan", "--probe-timeout=0", "--probe-timeout=inf", "--forks=0"),
        *("--allow-undetermined=101%", "--allow-undetermined=-1", "--shard=3/2", "--history-keep=0", "--record=/proc/x"),
    ],
)
def test_unusable_options_end_before_anything_else(suite, option):
    result = suite("good", options=[option])
    assert result.ret == 4
    text = result.stdout.str() + result.stderr.str()
    assert option.partition("=")[0] in text
    assert "Traceback" not in text


def test_a_report_that_is_kept_nowhere_has_no_companion_and_a_history_must_be_a_file(suite, pytester):
    pytester.path.joinpath("nowhere").symlink_to("/dev/null")
    result = suite("good", options=["--html=nowhere"])
    assert result.ret == 0
    assert "fleet page" not in result.stdout.str()
    result = suite("good", options=["--history=nowhere"])
    assert result.ret == 4
    assert "is no file: name one with --history=FILE, or do without by --no-history" in result.stderr.str()
    left = {path.name for path in pytester.path.iterdir()}
    assert not left & {"kdump-fleet.html", "nowhere-journal", "nowhere-wal"}


def test_a_probe_that_could_not_be_started_is_told_in_the_words_of_who_tried(suite):
    result = suite("docker://box")
    assert result.ret == 6
    (line,) = [line for line in result.outlines if line.startswith("docker://box") and "unreachable" in line]
    assert "the probe answered nothing that can be read (exit status " in line and "docker" in line.partition("(")[2]


@pytest.mark.parametrize(
    "options", [["-k", "number_is_one"], ["test_more.py"], ["--deselect=test_something.py::test_number_is_one"]]
)
def test_a_host_that_was_judged_in_part_is_not_said_to_dump(suite, pytester, options):
    pytester.makeini("[pytest]\ntestpaths = .\n")
    pytester.makepyfile(test_more=SUITE.partition("number = ")[0].replace("something", "more") + MORE)
    assert "good  would dump (" in suite("good", options=["-q"]).stdout.str()
    result = suite("good", options=["-q", *options])
    assert result.ret == 0
    text = result.stdout.str()
    assert "good  nothing found against it (" in text and "not all tests were selected" in text and "would dump" not in text


@pytest.mark.hostility(23)
def test_nothing_selected_is_not_green(suite, measured):
    result = suite("good", options=["-k", "nosuchtest"])
    assert result.ret == 4
    assert "nothing was judged" in result.stdout.str()
    assert suite("good", options=["-k", "nosuchtest", "--collect-only"]).ret == 4
    measured(next(line for line in result.outlines if "nothing was judged" in line), "exit 4")


def test_a_report_that_cannot_be_written_is_not_said_to_be_there(suite):
    result = suite("good", options=["--html=/proc/report.html"])
    assert result.ret == 3
    assert "the HTML report could not be written to /proc/report.html" in result.stdout.str() + result.stderr.str()
    assert "Generated" not in result.stdout.str()


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


def test_a_recording_that_cannot_be_written_costs_no_verdict(suite, pytester):
    pytester.path.joinpath("saved", "bad.transcript").mkdir(parents=True)
    result = suite("good", "bad", options=["--record=saved"])
    assert result.ret == 3
    result.stdout.fnmatch_lines(["its recording could not be written: bad: Is a directory", "bad   would not dump*"])
    assert [path.name for path in pytester.path.joinpath("saved").iterdir() if path.is_file()] == ["good.transcript"]


def test_no_two_hosts_have_one_recording(tmp_path):
    names = ("root@db1:22", "root@db1-22", "root@db1%3A22", ".db1", "%2Edb1", "db1/x")
    made = {recording.save(Transcript({}), tmp_path, name) for name in names}
    assert len(made) == len(list(tmp_path.glob("[!.]*.transcript"))) == len(names)


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures", "--fixtures-per-test"])
def test_a_look_at_the_tests_is_no_run(suite, pytester, option):
    pytester.makeconftest(
        'pytest_plugins = ["kdump.plugin"]\n'
        "import kdump.gather\n"
        "kdump.gather.recording.load = lambda path: open('asked', 'w')\n"
    )
    assert suite("good", options=[option, "--html=r.html", "--verdicts-json=v.json"]).ret == 0
    assert not {"asked", "r.html", "v.json", "reports"}.intersection(path.name for path in pytester.path.iterdir())


WAIVER = """
- cause: something-broken
  hosts: [bad]
  justification: a spare machine
  owner: ops
  expires: {expires}
"""


def test_a_waived_cause_is_shown_and_does_not_count(suite, pytester):
    expires = datetime.now(UTC).date() + timedelta(60)
    pytester.path.joinpath("waivers.yml").write_text(WAIVER.format(expires=expires))
    result = suite("bad", options=["--waivers=waivers.yml", "--junitxml=junit.xml", "--verdicts-json=verdicts.json"])
    assert result.ret == 0
    assert f"waived until {expires} (ops): a spare machine" in result.stdout.str()
    assert 'type="pytest.xfail"' in pytester.path.joinpath("junit.xml").read_text()
    written = json.loads(pytester.path.joinpath("verdicts.json").read_text())
    assert written["counts"]["present, waived"] == 2
    assert written["waivers"][0]["standing"] == "in-force"


def test_an_expired_waiver_says_so_and_the_cause_counts_again(suite, pytester):
    pytester.path.joinpath("waivers.yml").write_text(WAIVER.format(expires="2020-01-01"))
    result = suite("bad", options=["--waivers=waivers.yml"])
    assert result.ret == 1
    assert "until 2020-01-01): expired" in result.stdout.str()


@pytest.mark.hostility(24)
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("bad", "bed", "waivers.yml:2: 'bed' matches no host"), ("broken", "brokn", "did you mean 'something-broken'?")],
)
def test_unusable_waivers_end_before_anything_else(suite, pytester, old, new, words):
    pytester.path.joinpath("waivers.yml").write_text(WAIVER.format(expires="2020-01-01").replace(old, new))
    result = suite("bad", options=["--waivers=waivers.yml", "--record=saved"])
    assert result.ret == 4
    assert words in result.stdout.str() + result.stderr.str()
    assert not pytester.path.joinpath("saved").exists()


@pytest.mark.parametrize(
    ("allowed", "hosts", "status"),
    [
        ("1", ["good", "denied"], 0),
        ("50%", ["good", "denied"], 0),
        ("49%", ["good", "denied"], 6),
        ("1", ["bad", "denied"], 1),
        ("many", ["good"], 4),
        ("101%", ["good"], 4),
    ],
)
def test_undetermined_hosts_may_be_allowed(suite, allowed, hosts, status):
    assert suite(*hosts, options=[f"--allow-undetermined={allowed}"]).ret == status


@pytest.mark.parametrize(
    ("hosts", "status", "line"),
    [
        (["good"], 0, "KDUMP OK - 1 host would dump | would_not_dump=0;;;0;1 *"),
        (["good", "bad"], 2, "KDUMP CRITICAL - 1 host would not dump (bad), 1 host would dump | would_not_dump=1;;;0;2 *"),
        (["denied"], 3, "KDUMP UNKNOWN - 1 host could not be determined (denied) |*"),
        (["good", "nosuch"], 3, "KDUMP UNKNOWN - --hosts: 'recording://nosuch.transcript' names a recording that is not there"),
    ],
)
def test_nagios_line_comes_first_and_alone(suite, hosts, status, line):
    result = suite(*hosts, options=["--nagios"])
    assert result.ret == status
    assert fnmatch(result.outlines[0], line)
    assert all("=" * 10 not in one for one in result.outlines)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--no-such-option", "unrecognized arguments: --no-such-option"),
        ("--probe-timeout=x|1", "argument --probe-timeout: 'x¦1' is no deadline*"),
        ("--waivers=no|file", "--waivers:*no¦file: cannot be read*"),
    ],
)
def test_nagios_says_unknown_where_an_option_is_wrong(suite, option, words):
    result = suite("good", options=["--nagios", option])
    assert result.ret == 3
    (line,) = result.outlines
    assert fnmatch(line, f"KDUMP UNKNOWN - {words}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-c", "nosuch.ini"], "Config file * not found*"),
        (["--tb=nosuch"], "*invalid choice: 'nosuch'*"),
        (["-p", "nosuch"], "Error importing plugin ?nosuch?*"),
        (["--version"], "no host was judged: *"),
        (["--help"], "no host was judged"),
        (["--collect-only"], "--nagios tells what was judged: leave --collect-only and --fixtures out"),
        (["-k", "nosuch"], "no test was selected"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
    ],
)
def test_nagios_has_its_line_whatever_pytest_says(suite, pytester, options, words):
    """Also of what pytest refuses before it reads the suite, and where it judges nobody."""
    suite("good")
    done = pytester.run(sys.executable, "-m", "kdump.nagios", "--hosts=recording://good.transcript", *options)
    assert done.ret == 3
    assert fnmatch(done.outlines[0].partition(" |")[0], f"KDUMP UNKNOWN - {words}")
    assert len(done.outlines) == 1


@pytest.mark.parametrize("options", [[], ["-n2"]])
def test_nagios_hears_a_run_by_its_own_program(suite, pytester, options):
    suite("bad")
    done = pytester.run(sys.executable, "-m", "kdump.nagios", "--hosts=recording://bad.transcript", *options)
    assert (done.ret, done.outlines[0].partition(" |")[0]) == (2, "KDUMP CRITICAL - 1 host would not dump (bad)")


def test_help_names_the_program_for_nagios(suite):
    assert "python -m kdump.nagios OPTIONS" in suite("good", options=["--help"]).stdout.str()


def test_nagios_in_another_folder_has_judged_nobody(pytester):
    """Where testinfra's own answer would be OK."""
    done = pytester.run(sys.executable, "-m", "kdump.nagios", "--hosts=local://")
    assert (done.ret, len(done.outlines)) == (3, 1)
    assert done.outlines[0].startswith("KDUMP UNKNOWN - no host was judged: run it in the suite's folder")


def test_nagios_says_unknown_where_nothing_was_judged(suite):
    result = suite("none", options=["--nagios", "-k", "other"])
    assert (result.ret, result.outlines[0].split(" |")[0]) == (3, "KDUMP UNKNOWN - 1 host not judged (none)")


def test_nagios_warns_of_a_dump_that_cannot_be_used(suite, pytester):
    pytester.makepyfile(test_something=SUITE.replace("NO_VMCORE", "UNREADABLE_VMCORE"))
    assert suite("bad", options=["--nagios"]).ret == 1


def test_nagios_says_unknown_where_a_file_cannot_be_collected(suite, pytester):
    pytester.makepyfile(test_broken="import nothing_of_this_name")
    result = suite("good", options=["--nagios"])
    assert result.ret == 3
    assert result.outlines[0].startswith("KDUMP UNKNOWN")


def test_prometheus_file(suite, pytester):
    suite("good", "bad", "denied", options=["--prometheus=out/kdump.prom"])
    families = text_string_to_metric_families(pytester.path.joinpath("out", "kdump.prom").read_text())
    samples = {
        (one.name.removeprefix("kdump_acceptance_"), *sorted(one.labels.values())): one.value
        for family in families
        for one in family.samples
    }
    assert samples["hosts", "would not dump"] == 1
    assert samples["host_answer", "could not determine", "denied"] == 1
    assert samples["cause_present", "bad", "false", "load", "no vmcore", "something-broken"] == 1
    assert samples["cause_hosts", "load", "present", "something-broken"] == 1
    assert samples["run_exit_status",] == 1
