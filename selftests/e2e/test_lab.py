"""The lab itself: nothing is left behind, and what is missing is said in one sentence."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import image
from lab.faults.staging import ROOT, audit
from lab.machine import Machine

OWNER = """
import sys, time
import pytest

from lab import image
from lab.machine import Machine
machine = Machine(image.find("debian12"))
machine.boot()
print(machine.folder, flush=True)
time.sleep(600)
"""


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_a_killed_owner_leaves_no_machine_behind():
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, cwd=ROOT) as owner:
        folder = Path(owner.stdout.readline().strip())
        pids = [int((folder / name).read_text()) for name in ("qemu.pid", "supervisor.pid")]
        owner.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not (all(map(gone, pids)) and not folder.exists()) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert all(map(gone, pids))
    assert not folder.exists()


def test_without_an_image_one_sentence_says_which_command_to_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 4
    assert "run `make lab`" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_host_keys_and_ordinary_users(tmp_path):
    with Machine(image.find("debian12")) as machine:
        machine.boot()
        right = machine.ssh_config.read_text()
        strange = right.replace(str(machine.folder / "known_hosts"), str(tmp_path / "known_hosts"))
        machine.ssh_config.write_text(strange)
        status, found, output = audit(machine, tmp_path)
        assert status == 6, output
        assert "SHA256:" in output and "--ssh-accept-new" in output
        (tmp_path / "known_hosts").write_text(
            f"[127.0.0.1]:{machine.port} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n"
        )
        status, found, output = audit(machine, tmp_path)
        assert status == 6 and "CHANGED" in output.upper(), output
        machine.ssh_config.write_text(right)
        assert audit(machine, tmp_path)[0] == 0
        machine.ssh_config.write_text(right.replace("User root", "User auditor"))
        status, found, output = audit(machine, tmp_path)
        assert not found["present"], output
        assert found["could not determine"], output
        machine.ssh_config.write_text(right.replace("User root", "User operator"))
        assert audit(machine, tmp_path, "--sudo")[0] == 0


def test_a_machine_that_goes_away_is_not_judged(tmp_path):
    with Machine(image.find("debian12")) as machine:
        machine.boot()
        machine.qmp("stop")
        status, found, output = audit(machine, tmp_path, "--connect-timeout=3")
    assert status == 6, output
    assert set(found) == {"could not determine"}, output


RESTRICTED = """
mount -o remount,hidepid=2 /proc
sysctl -qw kernel.dmesg_restrict=1
mv /tmp /not-tmp && mv /var/tmp /var/not-tmp
if [ -e /tmp ] || setpriv --reuid=nobody --regid=nogroup --clear-groups test -e /proc/1; then exit 99; fi
"""


def judged(machine, folder, user, *options):
    text = machine.ssh_config.read_text()
    machine.ssh_config.write_text(text.replace("User root", f"User {user}"))
    audit(machine, folder, f"--verdicts-json={folder / 'v.json'}", *options)
    machine.ssh_config.write_text(text)
    (host,) = json.loads((folder / "v.json").read_text())["hosts"]
    return {(one["cause"], one["check"]): one["verdict"] for one in host["findings"]}


@pytest.mark.hostility(27)
@pytest.mark.hostility(31)
def test_a_restricted_machine_is_judged_as_before_and_left_as_it_was(tmp_path, measured):
    """hidepid, dmesg_restrict, and no /tmp; then a controller that dies."""
    with Machine(image.find("debian12")) as machine:
        machine.boot()
        before = {user: judged(machine, tmp_path, user) for user in ("root", "auditor")}
        machine.check(RESTRICTED)
        assert judged(machine, tmp_path, "root") == before["root"]
        assert judged(machine, tmp_path, "operator", "--sudo") == before["root"]
        dark = {key: one for key, one in judged(machine, tmp_path, "auditor").items() if one in ("absent", "present")}
        assert dark.items() <= before["auditor"].items()
        assert dark.items() <= before["root"].items()
        measured("", f"hidepid, dmesg_restrict and no /tmp on a real machine: {len(before['root'])} verdicts of root as before")

        sessions = 'grep -lz SSH_CONNECTION= /proc/[0-9]*/environ 2>/dev/null | grep -vc "/$$/\\|self"'
        idle = machine.run(sessions).stdout
        command = [sys.executable, "-m", "pytest", "-q", "--hosts=debian12", f"--ssh-config={machine.ssh_config}", "--no-history"]
        controller = subprocess.Popen([*command, f"--html={tmp_path}/killed.html"], cwd=ROOT, stdout=subprocess.DEVNULL)
        under_way = time.monotonic() + 30
        while machine.run(sessions).stdout == idle and time.monotonic() < under_way:
            pass
        controller.kill()
        controller.wait()
        killed = time.monotonic()
        while (left := machine.run(sessions).stdout) != idle and time.monotonic() < killed + 60:
            time.sleep(0.5)
        assert left == idle
        measured("", f"nothing left on a real machine {time.monotonic() - killed:.0f} s after the controller's death")
