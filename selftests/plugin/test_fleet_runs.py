"""Runs that are remembered: cut off at any moment, resumed, compared, sharded, joined, spread over workers."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from kdump.history.store import Store
from kdump.transcript import Transcript
from selftests.hostility.strictness import REAL
from selftests.plugin.test_run import HOSTS, SUITE

EXAMPLE = Path(__file__).parents[2] / "inventories" / "kubernetes-indexed-job.yml"
TEXT, COUNT = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}


def of(required, **properties):
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


MOUNT = of(["name", "mountPath"], name=TEXT, mountPath=TEXT, readOnly={"type": "boolean"})
CONTAINER = of(
    ["name", "image"],
    name=TEXT,
    image=TEXT,
    workingDir=TEXT,
    command={"type": "array", "items": TEXT},
    args={"type": "array", "items": TEXT},
    volumeMounts={"type": "array", "items": MOUNT},
)
VOLUME = of(
    ["name"],
    name=TEXT,
    configMap=of(["name"], name=TEXT),
    secret=of(["secretName"], secretName=TEXT, defaultMode={"type": "integer", "minimum": 0, "maximum": 0o777}),
    persistentVolumeClaim=of(["claimName"], claimName=TEXT),
)
POD = of(
    ["restartPolicy", "containers"],
    restartPolicy={"enum": ["Never", "OnFailure"]},
    containers={"type": "array", "minItems": 1, "items": CONTAINER},
    volumes={"type": "array", "items": VOLUME},
)
# backoffLimitPerIndex needs restartPolicy Never and completionMode Indexed
SPEC = of(
    ["completionMode", "completions", "template"],
    completionMode={"const": "Indexed"},
    completions=COUNT,
    parallelism=COUNT,
    backoffLimitPerIndex={"type": "integer", "minimum": 0},
    template=of(["spec"], spec=POD),
)
JOB = of(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "batch/v1"},
    kind={"const": "Job"},
    metadata=of(["name"], name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}),
    spec=SPEC,
)

CONFTEST = """
pytest_plugins = ["kdump.plugin"]
import kdump.gather, os, time
original = kdump.gather.recording.load
def load(path):
    time.sleep(float(os.environ.get("PROBE_TAKES", "0")))
    with open("asked", "a") as file:
        file.write(f"{path}\\n")
    return original(path)
kdump.gather.recording.load = load
"""


@pytest.fixture
def fleet(pytester):
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_something=SUITE)
    for index in range(12):
        name = "bad" if index == 3 else "denied" if index == 5 else "good"
        pytester.path.joinpath(f"h{index}.transcript").write_text(Transcript.of(HOSTS[name]).render())
    pytester.path.joinpath("fleet").write_text("".join(f"recording://h{index}.transcript\n" for index in range(12)))

    def run(*options, module="pytest"):
        arguments = ["--hosts=@fleet", *options] if module == "pytest" else options
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments], cwd=pytester.path, capture_output=True, text=True, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    run.path = pytester.path
    run.asked = lambda: sorted(pytester.path.joinpath("asked").read_text().split())
    return run


def error_in(text):
    return next(line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR: "))


def page(fleet):
    return fleet.path.joinpath("reports", "kdump-fleet.html").read_text()


def test_what_changed_is_told(fleet):
    assert fleet()[0] == 1
    fleet.path.joinpath("h3.transcript").write_text(Transcript.of(HOSTS["good"]).render())
    fleet.path.joinpath("h4.transcript").write_text(Transcript.of(HOSTS["bad"]).render())
    text = fleet("--verdicts-json=out.json")[1]
    assert "newly present: something-broken on h4" in text
    assert "fixed: something-broken on h3" in text
    written = json.loads(fleet.path.joinpath("out.json").read_text())
    assert written["changes"]["fixed"] == [{"host": "h3", "cause": "something-broken"}]
    assert "newly present" in page(fleet)


STOPS = """

def test_last(number):
    import os
    if os.environ.get("STOPS"):
        raise KeyboardInterrupt
    assert number != 1, "it is one"
"""


@pytest.mark.hostility(31)
def test_what_a_stopped_run_did_not_judge_is_not_fixed(fleet, monkeypatch):
    """Stopped between the tests of one cause, before the one that failed the night before."""
    fleet.path.joinpath("test_something.py").write_text(SUITE + STOPS)
    assert fleet()[0] == 1
    monkeypatch.setenv("STOPS", "1")
    status, text = fleet()
    assert status == 2
    assert "nothing changed" in text


@pytest.mark.hostility(31)
def test_killed_at_any_moment_loses_no_finished_host_and_resumes(fleet, monkeypatch, measured):
    monkeypatch.setenv("PROBE_TAKES", "0.05")
    history = fleet.path / "reports" / "history.sqlite"
    for wanted in random.choices(range(11), k=50 if REAL else 5):
        command = [sys.executable, "-u", "-m", "pytest", "--hosts=@fleet", "--forks=1", "-v"]
        process = subprocess.Popen(command, cwd=fleet.path, stdout=subprocess.PIPE, text=True)
        acknowledged = set()
        for line in process.stdout:
            if "test_other" in line and "[" in line:  # a host's last test
                acknowledged.add(line.partition("[")[2].partition("]")[0])
            if len(acknowledged) >= wanted and "::" in line:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not fleet.path.joinpath("reports", "kdump-acceptance.html").exists()  # nor an empty one
        with sqlite3.connect(history) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        store = Store(history)
        # the line of a host's last test is written after the host was kept
        assert acknowledged <= set(store.finished(store.run().id))
        store.close()
    status, text = fleet("report", "--json=cut.json", module="kdump.fleet")
    assert status in (1, 6)
    assert "INCOMPLETE" in text
    assert "INCOMPLETE" in page(fleet)
    finished = Store(history).finished(Store(history).run().id)
    left = json.loads(fleet.path.joinpath("cut.json").read_text())["run"]["unfinished_hosts"]
    assert sorted([*left, *finished]) == sorted(f"h{index}" for index in range(12))
    fleet.path.joinpath("asked").unlink()
    assert fleet("--resume")[0] == 1
    assert fleet.asked() == sorted(f"h{index}.transcript" for index in range(12) if f"h{index}" not in finished)
    assert fleet("report", module="kdump.fleet")[0] == 1
    assert "INCOMPLETE" not in page(fleet)
    assert "h11" in page(fleet)
    measured(re.search("INCOMPLETE: .*", text)[0], f"kill -9 at {50 if REAL else 5} moments, 0 finished hosts lost")


@pytest.mark.hostility(32)
@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--html=/dev/full"], 3, "/dev/full cannot be written: No space left"),
        (["--json=/proc/x"], 3, "/proc/x cannot be written"),
        (["--run=99"], 4, "has no run 99"),
        (["--run=x"], 4, "invalid int value"),
    ],
)
def test_a_report_that_cannot_be_made_says_why(fleet, options, status, words):
    fleet()
    found, text = fleet("report", *options, module="kdump.fleet")
    assert (found, "Traceback" in text) == (status, False)
    assert words in text


def test_tests_that_were_added_since_are_not_passed_over(fleet):
    fleet()
    with sqlite3.connect(fleet.path / "reports" / "history.sqlite") as connection:  # as if it had been killed
        connection.execute("DELETE FROM host WHERE name = 'h4'")
        connection.execute("UPDATE run SET exit_status = NULL, complete = 0")
    fleet.path.joinpath("test_something.py").write_text(SUITE.replace("test_other_is_one", "test_other_is_two"))
    status, text = fleet("--resume")
    assert status == 4
    assert "were not asked test_something.py::test_other_is_two: begin anew" in text
    fleet.path.joinpath("test_something.py").write_text(SUITE)
    assert fleet("--resume")[0] == 1


def test_a_shard_that_was_cut_off_in_its_last_moment_is_resumed_and_joined(fleet):
    """All its hosts are there, the run's end is not."""
    statuses = [fleet(f"--shard={shard}/2", f"--history=shard{shard}.sqlite")[0] for shard in (1, 2)]
    with sqlite3.connect(fleet.path / "shard2.sqlite") as connection:  # as if it had been killed
        connection.execute("UPDATE run SET exit_status = NULL, complete = 0")
    asked = fleet.asked()
    assert fleet("--shard=2/2", "--history=shard2.sqlite", "--resume")[0] == statuses[1]
    assert fleet.asked() == asked
    status, text = fleet("merge", "shard1.sqlite", "shard2.sqlite", "--history=all.sqlite", module="kdump.fleet")
    assert status == 1, text
    assert fleet("--shard=2/2", "--history=shard1.sqlite", "--resume")[0] == 4  # which was another part


def test_a_shard_of_another_list_is_not_resumed(fleet):
    """Hosts that the list lost since would be missing, unsaid, when the shards are joined."""
    fleet("--shard=2/2")
    with sqlite3.connect(fleet.path / "reports" / "history.sqlite") as connection:  # as if it had been killed
        connection.execute("UPDATE run SET exit_status = NULL, complete = 0")
    lines = fleet.path.joinpath("fleet").read_text().splitlines()
    fleet.path.joinpath("fleet").write_text("\n".join(lines[:-1]))
    status, text = fleet("--shard=2/2", "--resume")
    assert status == 4
    assert "is a part of 12 hosts, sha256 " in text and "and these are 11 hosts, sha256 " in text


def test_a_host_that_was_judged_without_a_test_is_not_passed_over(fleet):
    """As one that --crash names only when the run is resumed: its crash would be left out, unsaid."""
    fleet.path.joinpath("test_first.py").write_text("def test_first(target):\n    assert target.name\n")
    fleet("-k", "h0 or number")
    with sqlite3.connect(fleet.path / "reports" / "history.sqlite") as connection:  # as if it had been killed
        connection.execute(
            """UPDATE run SET exit_status = NULL, complete = 0, tests = '["test_something.py::test_number_is_one"]'"""
        )
        connection.execute("DELETE FROM host WHERE name = 'h4'")
    status, text = fleet("-k", "h0 or number", "--resume")
    assert status == 4
    assert "the hosts that are judged already were not asked test_first.py::test_first: begin anew" in text


def test_nothing_to_resume(fleet):
    fleet()
    status, text = fleet("--resume")
    assert status == 4
    assert "no unfinished run" in text


@pytest.mark.hostility(33)
def test_runs_at_once_are_all_kept(fleet, monkeypatch, measured):
    monkeypatch.setenv("PROBE_TAKES", "0.1")
    command = [sys.executable, "-m", "pytest", "--hosts=@fleet", "--forks=1"]
    runs = [
        subprocess.Popen([*command, f"--html=r{number}/x.html"], cwd=fleet.path, stdout=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    assert [run.communicate(timeout=120)[0].count("would not dump") for run in runs] == [1, 1, 1]
    kept = Store(fleet.path / "reports" / "history.sqlite")
    assert [(run.complete, len(run.expected), len(kept.finished(run.id))) for run in kept.runs()] == [(True, 12, 12)] * 3
    measured("", "3 runs of 12 hosts at once, each wholly kept")


@pytest.mark.hostility(33)
@pytest.mark.parametrize("spoil", ["folder", "garbage"])
def test_a_history_that_cannot_be_used_ends_before_anything_else(fleet, measured, spoil):
    if spoil == "folder":
        fleet.path.joinpath("nights.sqlite").mkdir()
    else:
        fleet.path.joinpath("nights.sqlite").write_text("garbage" * 1000)
    status, text = fleet("--history=nights.sqlite")
    assert status == 4
    assert "--no-history" in text
    assert not fleet.path.joinpath("asked").exists()
    measured(error_in(text).replace(f"{fleet.path}/", ""), "0 hosts asked")


def test_shards_are_joined(fleet):
    for shard in (1, 2, 3):
        fleet(f"--shard={shard}/3", f"--history=shard{shard}.sqlite", f"--html=out{shard}/x.html")
    assert fleet.asked() == sorted(f"h{index}.transcript" for index in range(12))
    status, text = fleet("merge", "shard1.sqlite", "shard2.sqlite", "shard3.sqlite", "--history=all.sqlite", module="kdump.fleet")
    assert status == 1
    assert "h3" in text and "10 other hosts would dump" in text
    merged = Store(fleet.path / "all.sqlite").run()
    assert merged.complete and len(merged.expected) == 12


@pytest.mark.hostility(34)
@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["shard1.sqlite"], "missing: shard 2/2"),
        (["shard1.sqlite", "shard1.sqlite"], "shard 1/2 is there twice"),
        (["shard1.sqlite", "whole.sqlite"], "is no shard"),
        (["shard1.sqlite", "other.sqlite"], "other tests"),
        (["shard1.sqlite", "longer.sqlite"], "shard 2/2 is a part of 13 hosts, sha256 "),
        (["shard1.sqlite", "nosuch.sqlite"], "there is no history in nosuch.sqlite"),
        (["shard1.sqlite", "older.sqlite"], "judge the older shard again"),
        (["shard1.sqlite", "cut.sqlite"], "cut off before its hosts were known: judge shard 2/2 again"),
    ],
)
def test_shards_that_do_not_fit_are_refused_by_name(fleet, measured, files, words):
    fleet("--shard=1/2", "--history=shard1.sqlite")
    fleet("--history=whole.sqlite")
    if "longer.sqlite" in files:  # a host more, which is of the part that was judged before
        fleet.path.joinpath("h12.transcript").write_text(Transcript.of(HOSTS["bad"]).render())
        fleet.path.joinpath("longer").write_text(fleet.path.joinpath("fleet").read_text() + "recording://h12.transcript\n")
        fleet("--hosts=@longer", "--shard=2/2", "--history=longer.sqlite")
        fleet("--hosts=@longer", "--shard=1/2", "--history=shard1.sqlite")
        fleet.path.joinpath("longer").write_text(fleet.path.joinpath("fleet").read_text())
        fleet("--hosts=@longer", "--shard=1/2", "--history=shard1.sqlite")
    for spoilt, sentence in (
        ("older", "UPDATE run SET started = '2026-01-01T00:00:00+00:00'"),
        ("cut", "UPDATE run SET expected = '[]', tests = '[]', complete = 0"),
    ):
        if f"{spoilt}.sqlite" in files:
            fleet("--shard=2/2", f"--history={spoilt}.sqlite")
            with sqlite3.connect(fleet.path / f"{spoilt}.sqlite") as connection:
                connection.execute(sentence)
    fleet.path.joinpath("test_something.py").write_text(SUITE.replace("test_other_is_one", "test_other_is_two"))
    fleet("--shard=2/2", "--history=other.sqlite")
    status, text = fleet("merge", *files, "--history=all.sqlite", module="kdump.fleet")
    assert status == 4
    assert words in text
    measured(text.strip(), "exit 4")


def test_a_failure_without_a_host_is_remembered_with_the_run(fleet, monkeypatch):
    """Reports that are made later, and shards that are joined, are not greener than the runs were."""
    fleet.path.joinpath("fleet").write_text("".join(f"recording://h{index}.transcript\n" for index in (0, 1, 2, 4, 6, 7)))
    fleet.path.joinpath("test_plain.py").write_text("import os\n\n\ndef test_plain():\n    assert 'ILL' not in os.environ\n")
    statuses = [fleet("--shard=1/2", "--history=shard1.sqlite")[0]]
    monkeypatch.setenv("ILL", "1")
    statuses.append(fleet("--shard=2/2", "--history=shard2.sqlite")[0])
    statuses.append(fleet("report", "--history=shard2.sqlite", module="kdump.fleet")[0])
    statuses.append(fleet("merge", "shard1.sqlite", "shard2.sqlite", "--history=all.sqlite", module="kdump.fleet")[0])
    assert statuses == [0, 1, 1, 1]


WAIVER = """
- {cause: something-broken, hosts: [h3], justification: it is known, owner: somebody, expires: 2020-01-01}
"""


def test_a_resumed_run_waives_what_its_own_file_waives(fleet):
    """The hosts that are kept were judged under a file, or on a day, that waived more."""
    fleet.path.joinpath("waivers.yml").write_text(WAIVER.replace("2020-01-01", f"{date.today() + timedelta(9)}"))
    fleet.path.joinpath("fleet").write_text("".join(f"recording://h{index}.transcript\n" for index in range(5)))
    assert fleet("--waivers=waivers.yml")[0] == 0
    with sqlite3.connect(fleet.path / "reports" / "history.sqlite") as connection:  # as if it had been killed
        connection.execute("DELETE FROM host WHERE name = 'h4'")
        connection.execute("UPDATE run SET exit_status = NULL, complete = 0")
    fleet.path.joinpath("waivers.yml").write_text(WAIVER)
    status, text = fleet("--resume", "--waivers=waivers.yml")
    assert status == 1
    assert "h3  would not dump" in text
    assert "expired: the cause counts again" in text
    assert fleet("report", module="kdump.fleet")[0] == 1


@pytest.mark.hostility(34)
def test_a_shard_is_not_written_into(fleet):
    for shard in (1, 2):
        fleet(f"--shard={shard}/2", f"--history=shard{shard}.sqlite")
    status, text = fleet("merge", "shard1.sqlite", "shard2.sqlite", "--history=./shard1.sqlite", module="kdump.fleet")
    assert (status, "is a shard itself" in text) == (4, True)
    assert len(Store(fleet.path / "shard1.sqlite").runs()) == 1


@pytest.mark.hostility(32)
@pytest.mark.parametrize(
    ("command", "full", "shown"),
    [(["kdump.fleet", "report"], 3, 1), (["pytest", "--nagios", "--hosts=recording://h5.transcript", "--no-history"], 3, 3)],
)
def test_an_answer_that_cannot_be_written_is_no_verdict(fleet, command, full, shown):
    """Python ends with status 1 by itself, which means that something is present, or a warning."""
    fleet()
    with open("/dev/full", "w") as disk:
        done = subprocess.run([sys.executable, "-m", *command], cwd=fleet.path, stdout=disk, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (full, False)
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", *command], cwd=fleet.path, capture_output=True, text=True, env=plain)
    assert (done.returncode, "Traceback" in done.stderr) == (shown, False)
    assert "permission denied" in done.stdout


@pytest.mark.hostility(32)
@pytest.mark.parametrize("lost", ["full disk", "closed pipe"])
def test_a_terminal_that_nobody_hears_costs_no_verdict(fleet, lost):
    """A log on a full disk, or a reader that ended: the run goes on, is kept, and does not end as if something were present."""
    fleet.path.joinpath("fleet").write_text("recording://h0.transcript\nrecording://h1.transcript\n")
    command = [sys.executable, "-m", "pytest", "--hosts=@fleet", "--verdicts-json=v.json"]
    if lost == "full disk":
        out = os.open("/dev/full", os.O_WRONLY)
    else:
        read, out = os.pipe()
        os.close(read)
    done = subprocess.run(command, cwd=fleet.path, stdout=out, stderr=subprocess.PIPE, text=True)
    os.close(out)
    assert done.returncode == 3
    assert done.stderr.startswith("the terminal's output could not be written: ") and done.stderr.count("\n") == 1
    assert json.loads(fleet.path.joinpath("v.json").read_text())["run"]["exit_status"] == 0
    assert Store(fleet.path / "reports" / "history.sqlite").run().complete
    assert "h1" in page(fleet)


LOST = "xdist's scheduler hook no longer keeps a host on one worker"


@pytest.mark.hostility(40)
def test_workers_share_the_hosts_and_ask_each_once(fleet, measured):
    status, text = fleet("-n2", "-v")
    assert status == 1
    assert fleet.asked() == sorted(f"h{index}.transcript" for index in range(12))
    workers = {}
    for line in text.splitlines():
        if line.startswith("[gw") and "::" in line:
            workers.setdefault(line.partition("[h")[2].partition("]")[0], set()).add(line.partition("]")[0])
    assert len(workers) == 12
    assert all(len(by) == 1 for by in workers.values()), LOST
    measured(f"a test that fails: {LOST}", f"{len(workers)} hosts by 2 workers, each asked once")
    assert Store(fleet.path / "reports" / "history.sqlite").run().complete
    plain = fleet("--history=other.sqlite")[1]
    assert text[text.index("= hosts =") :].split("\n")[1:13] == plain[plain.index("= hosts =") :].split("\n")[1:13]


@pytest.mark.skipif(
    shutil.which("ansible", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") is None, reason="needs Ansible"
)
def test_workers_judge_the_hosts_that_their_controller_read(fleet):
    """An inventory that answers otherwise each time, and a list of hosts that can be read once."""
    inventory = fleet.path / "fleet.sh"
    inventory.write_text(
        "#!/bin/sh\necho asked >>inventory-asked\nname=web$(wc -l <inventory-asked)\n"
        'printf \'{"web": {"hosts": ["%s"]}, "_meta": {"hostvars": {"%s": {"ansible_host": "127.0.0.1", "ansible_port": 1}}}}\' '
        "$name $name\n"
    )
    inventory.chmod(0o755)
    status, text = fleet("-n2", "--hosts=ansible://all", f"--ansible-inventory={inventory}", "--verdicts-json=v.json")
    assert status == 6, text
    assert fleet.path.joinpath("inventory-asked").read_text() == "asked\n"
    (host,) = json.loads(fleet.path.joinpath("v.json").read_text())["hosts"]
    assert (host["name"], host["groups"], "connection refused" in host["summary"]) == ("web1", ["web"], True)
    command = f"mkfifo pipe; cat fleet >pipe & exec {sys.executable} -m pytest -n2 --hosts=@pipe --history=piped.sqlite"
    done = subprocess.run(["sh", "-c", command], cwd=fleet.path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(Store(fleet.path / "piped.sqlite").run().expected) == 12


def test_the_example_job_is_one_that_kubernetes_takes():
    """Against what batch/v1 says of a Job (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/)."""
    job = yaml.safe_load(EXAMPLE.read_text())
    jsonschema.validate(job, JOB)
    pod = job["spec"]["template"]["spec"]
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    (script,) = pod["containers"][0]["args"]
    assert f"--shard=$shard/{job['spec']['completions']} " in script
    assert subprocess.run(["sh", "-n", "-c", script]).returncode == 0


def test_the_example_job_runs_night_after_night_and_resumes(fleet, monkeypatch):
    (script,) = yaml.safe_load(EXAMPLE.read_text())["spec"]["template"]["spec"]["containers"][0]["args"]
    script = script.replace("/reports", str(fleet.path / "reports")).replace("/inventory/hosts.txt", "fleet")
    script = script.replace("/20", "/2")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (fleet.path / "reports").mkdir()
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")

    def night():
        return subprocess.run(["sh", "-c", script], cwd=fleet.path, capture_output=True, text=True, timeout=120)

    for _ in range(2):
        done = night()
        assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing changed" in done.stdout
    history = fleet.path / "reports" / "shard-1.sqlite"
    with sqlite3.connect(history) as connection:  # as if the pod had been killed
        connection.execute("DELETE FROM host WHERE run = 2 AND name = (SELECT max(name) FROM host)")
        connection.execute("UPDATE run SET exit_status = NULL, complete = 0 WHERE id = 2")
    asked = len(fleet.asked())
    assert night().returncode == 0
    assert len(fleet.asked()) == asked + 1
    assert [run.complete for run in Store(history).runs()] == [True, True]
    with sqlite3.connect(history) as connection:  # as if it had been killed a night ago, and by an older suite
        connection.execute(
            "UPDATE run SET exit_status = NULL, complete = 0, started = '2026-01-01T00:00:00+00:00', suite = '0.1'"
        )
    done = night()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [run.complete for run in Store(history).runs()] == [True, False, False]
    with sqlite3.connect(history) as connection:  # as if it had been killed, and the list changed since
        connection.execute("UPDATE run SET exit_status = NULL, complete = 0 WHERE id = 3")
    fleet.path.joinpath("fleet").write_text(fleet.path.joinpath("fleet").read_text().partition("\n")[2])
    assert night().returncode == 0
    assert [run.complete for run in Store(history).runs()] == [True, False, False, False]
