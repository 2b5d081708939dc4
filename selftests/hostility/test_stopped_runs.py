"""A controller that is stopped by signals, and a worker by the kernel: what is finished is kept, and the page says the rest."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdump.history.store import Store
from selftests.hostility.strictness import slack
from selftests.plugin.test_fleet_runs import fleet  # noqa: F401  # a fixture

SLACK = slack(15.0)
START = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
os.execv(sys.executable, [sys.executable, "-u", "-m", "pytest", *sys.argv[1:]])
"""


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """A shell in the background may have had signals ignored: the run must not inherit that."""
    command = [sys.executable, "-c", START, "--hosts=@fleet", "--verdicts-json=v.json", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.hostility(31)
@pytest.mark.parametrize("numbers", [["SIGTERM"], ["SIGHUP"], ["SIGINT"], ["SIGTERM", "SIGTERM"]], ids="+".join)
def test_a_signal_ends_a_run_with_its_reports(fleet, monkeypatch, measured, numbers):  # noqa: F811
    monkeypatch.setenv("PROBE_TAKES", "0.4")
    process = start(fleet.path, "--forks=1", "-v")
    judged = 0
    for line in process.stdout:
        judged += "test_other" in line and "[" in line
        if judged == 3:
            break
    stopped = time.monotonic()
    for number in numbers:
        process.send_signal(signal.Signals[number])
        time.sleep(0.05)
    text = process.communicate(timeout=60)[0]
    took = time.monotonic() - stopped
    assert process.returncode == 2
    assert "--full-trace" not in text
    assert took < 5 + SLACK
    (line,) = [line for line in text.splitlines() if line.startswith("INCOMPLETE")]
    for page in ("kdump-fleet.html", "kdump-acceptance.html"):
        assert "INCOMPLETE: " in fleet.path.joinpath("reports", page).read_text()
    written = json.loads(fleet.path.joinpath("v.json").read_text())
    assert len(written["hosts"]) == 12 and len(written["run"]["unfinished_hosts"]) >= 8
    assert not Store(fleet.path / "reports" / "history.sqlite").run().complete
    finished = Store(fleet.path / "reports" / "history.sqlite").finished(1)
    monkeypatch.setenv("PROBE_TAKES", "0")
    fleet.path.joinpath("asked").unlink()
    assert fleet("--resume")[0] == 1
    assert len(fleet.asked()) == 12 - len(finished)
    measured(line, f"{numbers[-1]}: reports after {took:.1f} s, {len(finished)} hosts kept, the rest resumed")


@pytest.mark.hostility(32)
def test_a_disk_that_fills_up_costs_no_verdict_and_no_older_page(fleet, measured):  # noqa: F811
    """A real one, of 400 KB, in a namespace of its own: history and pages go there."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not mount")
    fleet.path.joinpath("small").mkdir()
    inside = "mount -t tmpfs -o size=400k none small && for name in kdump-fleet.html x.html x.xml; do cp old small/$name; done"
    inside += " && head -c 300000 /dev/zero >small/filler"
    run = f"{sys.executable} -m pytest --hosts=@fleet --html=small/x.html --history=small/h.sqlite --verdicts-json=v.json"
    fleet.path.joinpath("old").write_text("yesterday")
    script = f"{inside} && {{ {run} --junitxml=small/x.xml; echo status $?; cp small/*ml .; }}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=fleet.path, capture_output=True, text=True, timeout=120, check=False
    )
    said = [line for line in done.stdout.splitlines() if "No space left" in line or "disk is full" in line]
    assert "status 3" in done.stdout, done.stdout + done.stderr
    assert said and "Traceback" not in done.stdout
    assert len(json.loads(fleet.path.joinpath("v.json").read_text())["hosts"]) == 12
    for name, end in (("kdump-fleet.html", "</html>"), ("x.html", "</html>"), ("x.xml", "</testsuites>")):
        found = fleet.path.joinpath(name).read_text()
        assert found == "yesterday" or found.rstrip().endswith(end), name
    measured(said[0].rpartition("%]")[2].strip(), "exit 3, 12 hosts judged, no half page")


@pytest.mark.hostility(35)
def test_a_killed_worker_costs_a_test_and_no_host(fleet, monkeypatch, measured):  # noqa: F811
    monkeypatch.setenv("PROBE_TAKES", "0.5")
    conftest = fleet.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + """
import signal
def pytest_runtest_setup(item):
    if "other" in item.name and "h4" in item.name and os.environ.get("PYTEST_XDIST_WORKER") in ("gw0", "gw1"):
        os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    status, text = fleet("-n2", "--verdicts-json=v.json")
    assert status in (1, 6), text
    hosts = {host["name"]: host for host in json.loads((fleet.path / "v.json").read_text())["hosts"]}
    assert len(hosts) == 12
    (died,) = [one for one in hosts["h4"]["findings"] if "the worker died" in one["seen"]]
    assert died["verdict"] == "could not determine"
    assert died["cause"] == "something-broken"
    assert hosts["h4"]["answer"] == "could not determine"
    others = [host for name, host in hosts.items() if len(host["findings"]) != 3]
    assert others == []
    measured(hosts["h4"]["summary"], "11 other hosts judged")
    assert fleet.path.joinpath("reports", "kdump-fleet.html").is_file()
