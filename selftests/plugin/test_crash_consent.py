"""Who may be crashed: nobody, unless the command line itself names the host exactly as --hosts shows it."""

import json
from pathlib import Path

import pytest

QUALIFICATION = Path(__file__).parents[2] / "tests" / "qualification"
BODY = "def test_machine_goes_down(crash_down):\n    assert crash_down.happened\n"


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.path / "state"))
    pytester.makeconftest('pytest_plugins = ["kdump.plugin", "kdump.qualification.plugin"]')
    pytester.makeini("[pytest]\ntestpaths = tests")
    folder = pytester.mkdir("tests") / "qualification"
    folder.mkdir()
    for path in QUALIFICATION.glob("test_crash_*.py"):
        (folder / path.name).write_text(path.read_text())

    def go(*options):
        return pytester.runpytest_subprocess("--connect-timeout=1", *options)

    return go


def said(result):
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    return text


def error_in(result):
    return next(line.removeprefix("ERROR: ") for line in said(result).splitlines() if line.startswith("ERROR: "))


@pytest.mark.hostility(37)
def test_without_consent_the_tests_are_not_there(run, measured):
    assert run("--hosts=ssh://db1").ret == 4  # nothing was selected
    result = run("--hosts=ssh://db1", "tests/qualification")
    assert result.ret == 4
    assert "is the consent" in said(result)
    measured(next(line for line in said(result).splitlines() if "is the consent" in line), "exit 4, nobody was asked")


@pytest.mark.hostility(37)
@pytest.mark.parametrize("name", ["db*", "all", "@hosts", "ssh://db1", "db1,db2", "DB1"])
def test_only_the_exact_name_is_consent(run, measured, name):
    result = run("--hosts=ssh://db1,ssh://db2", f"--crash={name}")
    assert result.ret == 4
    assert "no host of exactly this name" in said(result)
    if name == "db*":
        measured(error_in(result), "")


@pytest.mark.hostility(37)
@pytest.mark.parametrize("way", ["environment", "ini", "file"])
def test_consent_is_typed(run, pytester, monkeypatch, measured, way):
    options = ["--hosts=ssh://db1"]
    if way == "environment":
        monkeypatch.setenv("PYTEST_ADDOPTS", "--crash=db1")
    elif way == "ini":
        pytester.makeini("[pytest]\naddopts = --crash=db1\ntestpaths = tests")
    else:
        pytester.path.joinpath("args").write_text("--crash=db1\n")
        options.append("@args")
    result = run(*options)
    assert result.ret == 4
    assert "type it on the command line" in said(result)
    measured(error_in(result), "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hosts=local://", "--crash=localhost"], "crash it over SSH"),
        (["--hosts=docker://box", "--crash=docker://box"], "cannot be crashed and watched"),
        (["--hosts=ssh://db1", "--crash=db1", "--crash-trigger=sysrq-b"], "is not known"),
        (["--hosts=ssh://db1", "--crash=db1", "--console=db2=/dev/null"], "that --crash names"),
        (["--hosts=ssh://db1", "--crash=db1", "--crash-resume"], "no crash of db1 waits"),
        (["--hosts=ssh://db1", "--crash-resume"], "add --crash=HOST"),
        (["--hosts=ssh://db1", "--crash=db1", "-n2"], "leave out -n"),
        (["--hosts=ssh://db1", "--crash=db1", "--dist=load", "--tx=2*popen"], "leave out -n"),
        (["--hosts=ssh://db1", "--crash=db1", "--crash-cycles=0"], "at least 1"),
        (["--hosts=ssh://db1,ssh://db2", "--crash=db1", "--shard=1/2"], "--crash=db1: it is not in part 1/2 of the hosts"),
        (["--hosts=ssh://db1", "--crash=db1", "--crash-resume", "--shard=2/2"], "no crash of db1 waits"),
        (["--hosts=ssh://db1", "--crash=db1", "--resume"], "no unfinished run of this selection"),
        (["--hosts=ssh://db1", "--crash=db1", "--resume", "--crash-resume"], "no crash of db1 waits"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, options, words):
    result = run(*options)
    assert result.ret == 4
    assert words in said(result)


@pytest.mark.hostility(37)
@pytest.mark.parametrize(
    ("selected", "left"),
    [
        (["-k", "one or speaks"], True),
        (["--ignore=tests/test_cause.py"], True),
        (["tests/test_cause.py::test_one", "tests/qualification"], False),
        (["-m", "not draft"], True),
        (["--rootdir=elsewhere", "tests/qualification"], False),
    ],
)
def test_every_cause_is_judged_first(run, pytester, selected, left):
    words = "def test_{}(kernel_release):\n    assert kernel_release\n"
    draft = "import pytest\n@pytest.mark.draft\n"
    (pytester.path / "tests/test_cause.py").write_text(words.format("one") + draft + words.format("two"))
    with (pytester.path / "conftest.py").open("a") as conftest:
        conftest.write(
            "\nfrom kdump.qualification.plugin import Qualification"
            "\nfrom kdump.verdict import NotApplicable"
            "\ndef crash(self, target, cycle):"
            "\n    raise NotApplicable('; '.join(self._objections(target)))"
            "\nQualification.crash = crash\n"
        )
    pytester.mkdir("elsewhere")
    run("--hosts=ssh://db1", "--crash=db1", "--verdicts-json=verdicts.json", *selected)
    text = (pytester.path / "verdicts.json").read_text()
    assert "--crash-anyway crashes it all the same" in text  # it cannot be reached
    assert ("no cause was judged on it" in text) is any("rootdir" in option for option in selected)
    assert ("test_cause.py was not run on it, or not all of it" in text) is left


@pytest.mark.hostility(37)
def test_a_fixture_that_no_collection_shows_crashes_nobody(run, pytester):
    (pytester.path / "tests/test_sly.py").write_text("def test_down(host, request):\n    request.getfixturevalue('crash_down')\n")
    result = run("--hosts=ssh://db1,ssh://db2", "--crash=db2", "--crash-anyway", "-v", "tests/test_sly.py")
    assert "--crash does not name it" in said(result)


@pytest.mark.hostility(36)
def test_a_crash_that_nobody_followed_is_not_repeated(run, pytester, measured):
    folder = pytester.path / "state" / "kdump-acceptance" / "crash"
    folder.mkdir(parents=True)
    record = {"host": "db1", "token": "t", "trigger": "sysrq-c", "fired": 1.0}
    folder.joinpath("db1.json").write_text(json.dumps(record))
    result = run("--hosts=ssh://db1", "--crash=db1")
    assert result.ret == 4
    assert "--crash-resume" in said(result)
    measured(error_in(result).replace(str(folder), "…"), "0 triggers")


def test_a_record_that_goes_away_is_no_leave_to_crash(run, pytester):
    folder = pytester.path / "state" / "kdump-acceptance" / "crash"
    folder.mkdir(parents=True)
    folder.joinpath("db1.json").write_text(json.dumps({"host": "db1", "token": "t", "trigger": "sysrq-c", "fired": 1.0}))
    with (pytester.path / "conftest.py").open("a") as conftest:
        conftest.write(
            "\nimport pathlib"
            "\nfrom kdump.plugin import Audit"
            "\nAudit.wait_until_gathered = lambda self, target: None"
            f"\ndef pytest_collection_finish():\n    pathlib.Path({str(folder / 'db1.json')!r}).unlink()\n"
        )
    run("--hosts=ssh://db1", "--crash=db1", "--crash-resume", "--verdicts-json=verdicts.json", "tests/qualification")
    assert "the record of the crash to look for is gone" in (pytester.path / "verdicts.json").read_text()
