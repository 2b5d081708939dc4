"""A whole run of the suite on servers that misbehave, all at once: what is seen of each, how soon, and how often it was asked."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import misbehaving
import pytest
import sshd_bench as bench

from selftests.hostility.strictness import deadlines, slack

ROOT = Path(__file__).parents[2]
CONNECT, PROBE = deadlines(3, 4)
SLACK = slack(4.0)
#: row, fault, what stands in the host's line, at most so many seconds after the first host was asked, executions.
FAULTS = [
    (1, "refused", "unreachable (tcp: connection refused", 1, 0),
    (2, "black hole", "unreachable (tcp: no answer", CONNECT + 1, 0),
    (3, "no banner", "unreachable (banner: the SSH banner did not come", CONNECT + 1, 0),
    (3, "drips its banner", "unreachable (banner: the SSH banner did not come", CONNECT + 1, 0),
    (3, "silent at kex", "unreachable (kex: the end of the key exchange did not come", CONNECT + 1, 0),
    (4, "silent at auth", "unreachable (auth: no answer to the authentication", CONNECT + 1, 0),
    (5, "refuses keys", "unreachable (auth: root was refused; tried 1 key", 2, 0),
    (6, "silent at session", "could not be asked (session: the session was not opened", PROBE + 5, 0),
    (6, "silent at exec", "could not be asked (exec: no answer", PROBE + 5, 1),
    (7, "hangs", "could not be asked (exec: no end in", PROBE + 1, 1),
    (7, "drips", "could not be asked (exec: no end in", PROBE + 1, 1),
    (9, "floods stdout", "could not be asked (exec: output cut off at 4 MiB", 2, 1),
    (9, "floods stderr", "could not be asked (exec: error output cut off at 4 MiB", 2, 1),
    (10, "cut mid-output", "could not be asked (exec: the connection was lost during the command", 2, 1),
    (10, "no exit status", "could not be asked (exec: the command ended without an exit status", 2, 1),
    (11, "reset at exec", "could not be asked (exec: the connection was lost during the command", 2, 1),
    (11, "hangs up at exec", "could not be asked (exec: the connection was lost during the command", 2, 1),
]
CLOCK = """
import time
began = time.monotonic()

def pytest_collection_finish():
    global began
    began = time.monotonic()

def pytest_kdump_host_finished(host):
    with open("clock", "a") as file:
        file.write(f"{host.name} {time.monotonic() - began}\\n")
"""


@dataclass
class Night:
    """One run: its fleet by fault, its exit status and what it wrote."""

    folder: Path
    servers: dict[str, misbehaving.Server]
    status: int = -1
    seconds: float = 0.0
    terminal: str = ""
    clock: dict[str, float] = field(default_factory=dict)

    def name(self, fault: str) -> str:
        return f"root@127.0.0.1:{self.servers[fault].port}"

    def hosts(self) -> dict[str, dict]:
        return {host["name"]: host for host in json.loads((self.folder / "verdicts.json").read_text())["hosts"]}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    key = bench.keygen(folder / "key", "ed25519")
    with contextlib.ExitStack() as stack:
        servers = {fault: stack.enter_context(misbehaving.running(fault)) for _, fault, *_ in FAULTS}
        (folder / "known_hosts").write_text("".join(server.known_hosts for server in servers.values()))
        (folder / "config").write_text(
            f"UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\nIdentityFile {key}\nIdentitiesOnly yes\n"
        )
        made = Night(folder, servers)
        (folder / "fleet").write_text("".join(f"{made.name(fault)}\n" for fault in servers))
        (folder / "clock_of_hosts.py").write_text(CLOCK)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "clock_of_hosts",
            f"--rootdir={ROOT}",
            f"-c{ROOT}/pytest.ini",
            f"{ROOT}/tests",
        ]
        command += [f"--hosts=@{folder}/fleet", f"--ssh-config={folder}/config", "-p", "no:cacheprovider"]
        command += [f"--connect-timeout={CONNECT:g}", f"--probe-timeout={PROBE:g}", "--history=h.sqlite"]
        command += ["--html=report.html", "--junitxml=junit.xml", "--verdicts-json=verdicts.json"]
        environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "SSH_AUTH_SOCK": ""}
        started = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        made.seconds = time.monotonic() - started
        made.status, made.terminal = done.returncode, done.stdout + done.stderr
        lines = (folder / "clock").read_text().split("\n")[:-1]
        made.clock = {name: float(seconds) for name, seconds in (line.split() for line in lines)}
        yield made


@pytest.mark.parametrize(
    ("fault", "words", "seconds", "executions"),
    [pytest.param(*row, id=row[0], marks=pytest.mark.hostility(number)) for number, *row in FAULTS],
)
def test_each_host_is_one_line_in_time(night: Night, measured, fault: str, words: str, seconds: float, executions: int) -> None:
    name, server = night.name(fault), night.servers[fault]
    host = night.hosts()[name]
    assert words in host["summary"]
    assert {one["verdict"] for one in host["findings"]} == {"could not determine"}  # never a pass
    assert night.clock[name] < seconds + SLACK
    assert server.executions == executions
    assert server.connections <= 1 and server.attempts <= 1
    measured(host["summary"], f"{night.clock[name]:.1f} s, {server.connections} connections, {server.executions} executions")


def test_hosts_that_misbehave_do_not_wait_for_each_other(night: Night) -> None:
    assert max(night.clock.values()) < CONNECT + PROBE + 5 + SLACK
    assert night.status == 6


@pytest.mark.hostility(39)
def test_a_dead_host_is_one_line_and_one_row(night: Night, measured) -> None:
    lines = {fault: [line for line in night.terminal.splitlines() if night.name(fault) in line] for fault in night.servers}
    assert {fault: len(found) for fault, found in lines.items() if len(found) > 3} == {}
    assert "Traceback" not in night.terminal
    page = (night.folder / "report.html").read_text()
    data = json.loads(re.search(r'data-jsonblob="([^"]*)"', page)[1].replace("&#34;", '"').replace("&amp;", "&"))
    rows = {name: sum(name in key for key in data["tests"]) for name in map(night.name, night.servers)}
    assert set(rows.values()) == {1}
    tests = len(next(iter(night.hosts().values()))["findings"])
    measured(
        lines["refused"][-1].strip()[:90] + "…",
        f"{max(map(len, lines.values()))} lines and 1 row for {tests} tests",
    )


def test_junit_has_an_error_for_each_test_of_each_host(night: Night) -> None:
    cases = list(ET.parse(night.folder / "junit.xml").iter("testcase"))
    assert len(cases) == sum(len(host["findings"]) for host in night.hosts().values())
    assert all(case.find("error") is not None for case in cases)
