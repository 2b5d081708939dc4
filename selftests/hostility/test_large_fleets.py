"""Fleets of light servers on loopback addresses, with hosts that hang or are dead among them, and few files to open."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import misbehaving
import pytest
import sshd_bench as bench

from kdump.plugin import FORKS
from selftests.hostility.strictness import HOSTS, deadlines, slack

ROOT = Path(__file__).parents[2]
CONNECT, PROBE = deadlines(5, 8)
SLACK = slack(6.0)
HEALTHY = "nothing found against it"  # one cause is judged, of many
TRANSCRIPT = ROOT / "recordings" / "debian12-healthy.transcript"


@dataclass
class Ran:
    status: int
    seconds: float
    terminal: str
    answers: dict[str, int]
    threads: int
    files: int


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Ran]]:
    """Runs the suite on some of all loopback addresses, behind which a light server is; those of 127.9.0.0/16 stay silent."""
    folder = tmp_path_factory.mktemp("light")
    user, host = bench.keygen(folder / "user", "ed25519"), bench.keygen(folder / "host", "ed25519")
    command = [sys.executable, str(ROOT / "bench" / "light_server.py"), str(host), f"{user}.pub", str(TRANSCRIPT), "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    port = int(server.stdout.readline())
    silent = socket.socket()
    silent.bind(("0.0.0.0", 0))
    silent.listen(4096)  # the kernel connects, and nobody ever says anything
    kind, public, *_ = Path(f"{host}.pub").read_text().split()

    def run(addresses: list[str], *options: str, known_hosts: str = "", files: int = 0) -> Ran:
        (folder / "known_hosts").write_text(f"* {kind} {public}\n{known_hosts}")
        (folder / "config").write_text(
            f"UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\nIdentityFile {user}\nIdentitiesOnly yes\n"
        )
        ports = [silent.getsockname()[1] if one.startswith("127.9.") else port for one in addresses]
        specs = [f"root@{one}" if ":" in one else f"root@{one}:{own}" for one, own in zip(addresses, ports, strict=True)]
        (folder / "fleet").write_text("\n".join(specs))
        argv = [
            sys.executable,
            "-m",
            "pytest",
            f"--rootdir={ROOT}",
            f"-c{ROOT}/pytest.ini",
            f"{ROOT}/tests",
            "-k",
            "not_reserved",
        ]
        argv += [f"--hosts=@{folder}/fleet", f"--ssh-config={folder}/config", "-p", "no:cacheprovider", "--no-history"]
        argv += [f"--connect-timeout={CONNECT:g}", f"--probe-timeout={PROBE:g}", "--html=r.html", "--verdicts-json=v.json"]
        limited = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"] if files else []
        started = time.monotonic()
        process = subprocess.Popen(
            [*limited, *argv, *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SSH_AUTH_SOCK": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        most = {"threads": 0, "files": 0}

        def watch() -> None:
            while process.poll() is None:
                try:
                    most["threads"] = max(most["threads"], len(os.listdir(f"/proc/{process.pid}/task")))
                    most["files"] = max(most["files"], len(os.listdir(f"/proc/{process.pid}/fd")))
                except OSError:
                    return
                time.sleep(0.05)

        watcher = threading.Thread(target=watch)
        watcher.start()
        terminal = process.communicate(timeout=400)[0]
        watcher.join()
        seconds = time.monotonic() - started
        answers: dict[str, int] = {}
        for one in json.loads((folder / "v.json").read_text())["hosts"]:
            answers[one["answer"]] = answers.get(one["answer"], 0) + 1
        return Ran(process.returncode, seconds, terminal, answers, **most)

    try:
        yield run
    finally:
        silent.close()
        server.kill()
        server.wait()


def addresses(number: int, network: int = 1) -> list[str]:
    return [f"127.{network}.{one // 250}.{one % 250 + 1}" for one in range(number)]


@pytest.mark.hostility(16)
def test_one_that_hangs_keeps_nobody_waiting(light, measured) -> None:
    with misbehaving.running("hangs") as server:
        hanging = f"127.0.0.1:{server.port}"
        ran = light([*addresses(50), hanging, *addresses(49, 2)], "--forks=64", known_hosts=server.known_hosts)
    assert ran.answers == {HEALTHY: 99, "unreachable": 1}
    assert ran.seconds < PROBE * 1.1 + 2 * SLACK
    progress = re.findall(r"gathering 99/100.*waiting for (.*)", ran.terminal)
    said = [line.strip() for line in ran.terminal.splitlines() if line.startswith(f"root@{hanging}  ") and "could not be" in line]
    measured(said[-1], f"{ran.seconds:.1f} s in all, 99 complete")
    assert not progress or hanging in progress[-1]


@pytest.mark.hostility(28)
def test_clocks_that_are_off_change_no_verdict_and_are_said(light, measured) -> None:
    """The recording that the servers answer with is as old as it is."""
    ran = light(addresses(4))
    assert ran.answers == {HEALTHY: 4}
    (said,) = [line for line in ran.terminal.splitlines() if line.startswith("note: clocks")]
    assert "and 1 more" in said
    measured(said, "4 hosts with clocks of another day, same verdicts")


@pytest.mark.hostility(17)
def test_dead_hosts_cost_their_deadline_once(light, measured) -> None:
    healthy = light(addresses(HOSTS))
    assert healthy.answers == {HEALTHY: HOSTS}
    dead = HOSTS * 3 // 10
    ran = light([*addresses(HOSTS - dead), *addresses(dead, 9)])
    assert ran.status == 6
    assert ran.answers == {HEALTHY: HOSTS - dead, "unreachable": dead}
    assert ran.seconds < 2 * healthy.seconds + CONNECT + SLACK
    workers = min(HOSTS, FORKS)
    assert ran.files <= workers + 50
    assert ran.threads <= workers + 10
    (said,) = [line for line in ran.terminal.splitlines() if line.startswith(f"{HOSTS - dead} ")]
    measured(
        said,
        f"{HOSTS} hosts: {ran.seconds:.1f} s, {healthy.seconds:.1f} s with none dead; {ran.files} files, {ran.threads} threads",
    )


@pytest.mark.hostility(18)
def test_few_files_to_open(light, measured) -> None:
    ran = light(addresses(HOSTS + 100), files=256)
    assert ran.answers == {HEALTHY: HOSTS + 100}
    (said,) = [line for line in ran.terminal.splitlines() if "RLIMIT_NOFILE" in line]
    assert ran.files <= 256
    measured(said, f"{HOSTS + 100} hosts judged with {ran.files} files open at most")
