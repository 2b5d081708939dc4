"""What a run leaves on a target whose connection is cut, and what the process lists of both sides show of its secrets."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sshd_bench as bench

from kdump.plugin import PROBE_DEADLINE
from selftests.hostility.strictness import slack

ROOT = Path(__file__).parents[2]


@pytest.fixture
def own_sshd():
    reason = bench.missing()
    if reason is not None:
        pytest.skip(f"a real sshd {reason}")
    with bench.running() as sshd:
        yield sshd


def audit(sshd: bench.Sshd, folder: Path, account: str, *options: str) -> list[str]:
    (folder / "known_hosts").write_text(sshd.known_hosts())
    (folder / "config").write_text(
        f"UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\nIdentityFile {sshd.user_key}\nIdentitiesOnly yes\n"
    )
    reports = [f"--html={folder}/r.html", f"--verdicts-json={folder}/r.json", f"--history={folder}/h.sqlite"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--ssh-config={folder}/config", *reports]
    return [*command, f"--hosts={account}@127.0.0.1:{sshd.port}", *options]


def left(sshd: bench.Sshd) -> list[str]:
    """The processes that sshd started for somebody who connected to it, and their descendants: sshd tells them its port."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            if any(one.startswith(b"SSH_CONNECTION=") and one.endswith(f" {sshd.port}".encode()) for one in variables):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
        except OSError:  # it has ended
            continue
    return found


def wait_for(condition, seconds: float) -> float:
    began = time.monotonic()
    while not condition() and time.monotonic() - began < seconds:
        time.sleep(0.1)
    return time.monotonic() - began


@pytest.mark.hostility(31)
def test_a_controller_that_dies_leaves_no_process_on_the_target(own_sshd: bench.Sshd, tmp_path: Path, measured) -> None:
    """In the middle of a reading that hangs as one of a dead file system does."""
    os.mkfifo(tmp_path / "never")
    hangs = ["mount", "--bind", str(tmp_path / "never"), "/proc/iomem"]
    subprocess.run(["nsenter", "-t", str(own_sshd._process.pid), "-m", *hangs], check=True)
    controller = subprocess.Popen(audit(own_sshd, tmp_path, "root"), cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_for(lambda: any(one.startswith("awk") for one in left(own_sshd)), 30)
    time.sleep(1)
    assert left(own_sshd), "nothing was under way"
    controller.send_signal(signal.SIGKILL)
    controller.wait()
    seconds = wait_for(lambda: not left(own_sshd), PROBE_DEADLINE)
    assert left(own_sshd) == []
    assert seconds <= 25 + slack(10)
    measured("", f"no process left on the target {seconds:.0f} s after the controller's death, with a reading that hangs")


@pytest.mark.hostility(21)
@pytest.mark.parametrize("connection", ["paramiko", "ssh"])
def test_no_process_list_shows_a_password(own_sshd: bench.Sshd, tmp_path: Path, measured, monkeypatch, connection: str) -> None:
    """Every program that is started, here or on the target, with its arguments; and there with its environment."""
    if subprocess.run(["strace", "-V"], capture_output=True, check=False).returncode:
        pytest.skip("needs strace")
    monkeypatch.setenv("KDUMP_SUDO_PASSWORD", bench.SUDO_PASSWORD)
    calls = ["-f", "-qqq", "-s", "1000000", "-e", "signal=none", "-e", "trace=execve"]
    target = subprocess.Popen(["strace", *calls, "-v", "-o", tmp_path / "target", "-p", str(own_sshd._process.pid)])
    here = ["strace", *calls, "-o", str(tmp_path / "here")]
    time.sleep(0.5)
    audit_command = audit(own_sshd, tmp_path, "asked", "--sudo", f"--connection={connection}")
    done = subprocess.run([*here, *audit_command], cwd=ROOT, capture_output=True, text=True, timeout=200)
    target.terminate()
    target.wait()
    assert done.returncode in (1, 6), done.stdout + done.stderr
    there, ours = (tmp_path / "target").read_text(), (tmp_path / "here").read_text()
    assert "sudo" in there and "no password" not in done.stdout, "the probe did not go through sudo"
    assert "needs root" not in done.stdout
    shown = [line for line in (*there.splitlines(), *ours.splitlines()) if bench.SUDO_PASSWORD in line]
    assert shown == []
    assert bench.SUDO_PASSWORD not in done.stdout + done.stderr
    started = there.count("execve("), ours.count("execve(")
    measured("", f"--connection={connection}: {started[0]} programs started on the target and {started[1]} here")
