"""JUnit and JSON say what the run found, in a form that is promised."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"
CANARY = "canary-7f3a"


@pytest.fixture
def verdicts(audited):
    return json.loads(audited.folder.joinpath("out/verdicts.json").read_text())


def test_json_keeps_to_its_schema(verdicts):
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(verdicts, schema)


def test_json_says_what_was_found(verdicts):
    hosts = {host["name"]: host for host in verdicts["hosts"]}
    answers = {name: (host["answer"], host["first_failing"]) for name, host in hosts.items()}
    assert answers == {
        "healthy": ("would dump", None),
        "broken": ("would not dump", "no-memory"),
        "network": ("would dump", None),
        "denied": ("could not determine", None),
        "hostile": ("would not dump", "no-memory"),
        "dead": ("unreachable", None),
    }
    seen = next(one for one in hosts["broken"]["findings"] if one["verdict"] == "present")
    assert seen["seen"].startswith("none: nothing is reserved")
    assert [(one["command"], one["output"]) for one in seen["evidence"]] == [("cat /memory", "none")]
    assert verdicts["run"]["exit_status"] == 1


def test_junit_carries_the_verdict_and_its_evidence(audited):
    cases = {}
    for case in ET.parse(audited.folder / "junit.xml").iter("testcase"):
        named = {one.get("name"): one.get("value") for one in case.iter("property")}
        kind = next((child.tag for child in case if child.tag != "properties"), "passed")
        cases[named["host"], named["check"].partition(" (")[0]] = (kind, named)
    kinds = {key: kind for key, (kind, _) in cases.items()}
    assert kinds["broken", "memory is reserved"] == "failure"
    assert kinds["healthy", "memory is reserved"] == "passed"
    assert kinds["denied", "disk is there"] == "error"
    assert kinds["dead", "disk is there"] == "error"
    assert kinds["network", "disk is there"] == "skipped"
    named = cases["broken", "memory is reserved"][1]
    assert (named["verdict"], named["cause"], named["stage"]) == ("present", "no-memory", "reserve")
    assert (named["severity"], named["remediation"]) == ("no vmcore", "Mend no-memory. Then reboot.")
    assert named["evidence"] == "$ cat /memory\n  none\n[0]"


@pytest.mark.hostility(21)
def test_secrets_of_the_environment_are_nowhere(audit, pytester, monkeypatch):
    for name in ("BUILD_URL", "CI_JOB_TOKEN", "KDUMP_SSH_PASSWORD", "GIT_URL", "JOB_NAME"):
        monkeypatch.setenv(name, CANARY)
    result = audit("--verdicts-json=v.json", "--junitxml=j.xml", "-vv", "-l")
    outputs = [result.stdout.str(), result.stderr.str()]
    outputs += [(pytester.path / name).read_text() for name in ("v.json", "j.xml", "reports/kdump-acceptance.html")]
    assert all(CANARY not in output for output in outputs)


@pytest.mark.hostility(32)
@pytest.mark.parametrize("option", ["--verdicts-json", "--html", "--junitxml", "--prometheus"])
def test_report_that_cannot_be_written_ends_before_the_first_connection(audit, pytester, option):
    pytester.path.joinpath("taken").mkdir()
    result = audit(f"{option}=taken")
    assert result.ret == 4
    assert "taken" in result.stderr.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


@pytest.mark.hostility(32)
@pytest.mark.parametrize("option", ["--verdicts-json", "--html", "--junitxml", "--prometheus"])
def test_full_disk_costs_that_report_only(audit, pytester, option):
    others = {"--verdicts-json": "v.json", "--html": "r.html", "--junitxml": "j.xml", "--prometheus": "p.prom"}
    others.pop(option)
    result = audit(f"{option}=/dev/full", *[f"{one}={name}" for one, name in others.items()], hosts=["healthy"])
    assert result.ret == 3
    assert all(pytester.path.joinpath(name).stat().st_size for name in others.values())
    result.stdout.fnmatch_lines(["*could not be written to /dev/full: No space left on device", "healthy  would dump*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert Path("/dev/full").is_char_device()


def test_finding_reaches_another_process(audit, pytester):
    """As with pytest-xdist, whose workers send their reports through these hooks."""
    conftest = pytester.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + """
import json

def pytest_configure(config):
    config.pluginmanager.register(Wire(config))

class Wire:
    def __init__(self, config):
        self.config = config

    def pytest_runtest_logreport(self, report):
        hook = self.config.hook
        data = json.loads(json.dumps(hook.pytest_report_to_serializable(config=self.config, report=report)))
        again = hook.pytest_report_from_serializable(config=self.config, data=data)
        assert getattr(again, "finding", None) == getattr(report, "finding", None)
        print("same" if hasattr(again, "finding") else "none")
"""
    )
    text = audit("-s", hosts=["broken"]).stdout.str()
    assert text.count("same") == 3
