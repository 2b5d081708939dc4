"""Hosts that are odd: other login shells, other tools, a network that swallows everything, a server that is overloaded."""

import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sshd_bench as bench
from ssh_client import Ask, Client

from kdump.connection import ConnectionProblem, Executed
from kdump.transcript import Reading, Transcript

ROOT = Path(__file__).parents[2]
SHELLS = {"tcsh": "/bin/tcsh", "fish": "/usr/bin/fish"}


@pytest.mark.hostility(26)
@pytest.mark.parametrize("shell", ["tcsh", "fish"])
@pytest.mark.parametrize("sudo", [False, True])
def test_login_shells_that_are_not_posix(client: Client, ask: Ask, monkeypatch, measured, shell: str, sudo: bool) -> None:
    """The command that is sent must mean the same to each of them, and so must what comes back."""
    if not Path(SHELLS[shell]).exists() or bench.missing():
        pytest.skip(f"needs {shell} and a real sshd")
    monkeypatch.setitem(bench.ACCOUNTS, "odd", (SHELLS[shell], "odd ALL=(ALL) NOPASSWD: ALL"))
    with bench.running() as sshd:
        (sshd.folder / "home/odd/.tcshrc").write_text("echo noise of a login\n")
        client.key = sshd.user_key
        client.configure(sshd.known_hosts(), connect_timeout=10.0)
        answer = ask(client.backend(f"odd@127.0.0.1:{sshd.port}", sudo=sudo), b"id -un; echo '!$x' \"it's\"; exit 7\n")
    assert isinstance(answer, Executed), str(answer)
    assert answer == Executed(("root" if sudo else "odd").encode() + b"\n!$x it's\n", answer.stderr, 7)
    measured(f"a normal answer by way of {shell}", "framed, status 7 kept")


BLACK_HOLE = """
import subprocess, sys, threading, time
sys.path[:0] = [{root!r}, {root!r} + "/selftests/connection"]
from pathlib import Path
import sshd_bench as bench
from ssh_client import Client
from kdump import connection

connection.register()
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
with bench.running() as sshd:
    client = Client(Path(sys.argv[1]), sshd.user_key)
    client.configure(sshd.known_hosts(), connect_timeout=10.0)
    backend = client.backend(f"root@127.0.0.1:{{sshd.port}}")
    threading.Timer(1.5, lambda: subprocess.run(["ip", "link", "set", "lo", "down"])).start()
    started = time.monotonic()
    try:
        print(connection.execute(backend, "sleep 60", deadline=4.0, cap=1000))
    except connection.ConnectionProblem as problem:
        print(round(time.monotonic() - started, 1), problem)
    backend.close()
    print(round(time.monotonic() - started, 1), "closed")
"""


@pytest.mark.hostility(12)
def test_a_network_that_goes_away_under_a_command(tmp_path: Path, measured) -> None:
    """In a network of its own, whose loopback is taken down: the peer is not told, and nothing comes back for ever."""
    if bench.missing() or subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root, a real sshd and a network namespace")
    program = BLACK_HOLE.format(root=str(ROOT))
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=90
    )
    said = re.match(r"([\d.]+) (127.0.0.1: could not be asked .*)\n([\d.]+) closed\n", done.stdout)
    assert said, done.stdout + done.stderr
    assert float(said[1]) < 4 + 15 and float(said[3]) < 4 + 20
    measured(said[2], f"{said[1]} s with a probe deadline of 4 s")


@pytest.mark.hostility(19)
def test_a_server_that_turns_connections_away_is_asked_again(client: Client, ask: Ask, measured) -> None:
    """MaxStartups 1:100:1 drops every connection while another one is not authenticated yet."""
    if bench.missing():
        pytest.skip(f"a real sshd {bench.missing()}")
    with bench.running("MaxStartups 1:100:1") as sshd:
        client.key = sshd.user_key
        client.configure(sshd.known_hosts(), connect_timeout=20.0)
        answers: list[object] = []

        def one() -> None:
            time.sleep(random.uniform(0, 0.3))
            answers.append(ask(client.backend(f"root@127.0.0.1:{sshd.port}"), b"echo here\n", deadline=20.0))

        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = sshd.log.read_text().count("drop connection")
    problems = [str(answer) for answer in answers if isinstance(answer, ConnectionProblem)]
    assert problems == []
    measured("a normal answer", f"4 hosts at once through it, {refused} connections turned away, all answered")


def whole_probe() -> bytes:
    return subprocess.run([sys.executable, "-m", "kdump.probe"], cwd=ROOT, capture_output=True, check=True).stdout


@pytest.mark.hostility(27)
def test_the_probe_writes_nothing(tmp_path: Path, measured) -> None:
    """Every file that any of its processes opens to write, makes, renames or removes, as the kernel saw it."""
    if subprocess.run(["strace", "-V"], capture_output=True, check=False).returncode:
        pytest.skip("needs strace")
    calls = "open,openat,openat2,creat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
    calls += ",chmod,fchmodat,chown,truncate,ftruncate,mknod,mknodat,mount,setxattr,utimensat"
    log = tmp_path / "calls"
    command = ["strace", "-f", "-qqq", "-e", "signal=none", "-e", f"trace={calls}", "-o", str(log), "/bin/sh", "-s"]
    done = subprocess.run(command, input=whole_probe(), capture_output=True, timeout=300)
    transcript = Transcript.parse(done.stdout)
    assert len(transcript.readings) > 40
    lines = log.read_text().splitlines()
    reading = re.compile(r"\b(open|openat|openat2)\(.*\bO_RDONLY\b(?!.*O_CREAT)")
    harmless = re.compile(r'"/dev/(null|tty)"| = -1 |resumed| \+\+\+ ')
    writes = [line for line in lines if not reading.search(line) and not harmless.search(line)]
    assert writes == []
    measured("", f"{len(transcript.readings)} readings, {len(lines)} calls watched, 0 writes")


@pytest.mark.hostility(28)
def test_locales_and_time_zones_change_nothing(measured) -> None:
    """The same readings, whatever language and zone the account has."""
    sent = whole_probe()
    odd = {"LANG": "tr_TR.UTF-8", "LC_ALL": "ja_JP.eucJP", "LANGUAGE": "de", "TZ": "Pacific/Apia", "LC_NUMERIC": "de_DE.UTF-8"}
    said = []
    for extra in ({}, odd):
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "TZ"))}
        done = subprocess.run(["/bin/sh", "-s"], input=sent, env={**plain, **extra}, capture_output=True, timeout=300)
        said.append(Transcript.parse(done.stdout).readings)
    assert said[0].keys() == said[1].keys()

    def outcome(reading: Reading) -> tuple[str, int]:
        return reading.errors, reading.status

    moving = re.compile(r"uptime|/proc/(meminfo|iomem|self|loadavg|stat|interrupts)|journal|date|ps ")
    differing = [
        command for command in said[0] if not moving.search(command) and outcome(said[0][command]) != outcome(said[1][command])
    ]
    assert differing == []
    measured("", f"{len(said[0])} readings with the same status and complaints in C and in tr_TR, ja_JP, Pacific/Apia")


@pytest.mark.hostility(26)
def test_a_host_with_nothing_but_busybox(tmp_path: Path, measured) -> None:
    """No which, no systemd, no package manager, no python: every reading has an end, and none of them is a crash of the shell."""
    applets = tmp_path / "bin"
    applets.mkdir()
    for name in subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        (applets / name).symlink_to("/usr/bin/busybox")
    sent = re.sub(rb"(?m)^LC_ALL=C PATH=\S+$", b"LC_ALL=C", whole_probe())
    done = subprocess.run([str(applets / "sh"), "-s"], input=sent, env={"PATH": str(applets)}, capture_output=True, timeout=300)
    transcript = Transcript.parse(done.stdout)
    assert transcript.complete and len(transcript.readings) > 40
    complaints = {reading.errors for reading in transcript.readings.values() if "syntax error" in reading.errors}
    assert complaints == set()
    measured(
        "–", f"{len(transcript.readings)} readings, each with an end, by {len(list(applets.iterdir()))} applets and nothing else"
    )
