"""The process between a machine's owner and QEMU: whatever ends the one ends the other, until the owner lets go."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import accel, runs, state
from lab.errors import LabError
from lab.image import Image
from lab.machine import SUPERVISOR, Machine
from lab.recipe import DEBIAN12

OWNER = """
import os, signal, subprocess, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
supervisor = subprocess.Popen([sys.executable, "-I", "-S", sys.argv[2], folder, str(os.getpid())], start_new_session=True)
while not (folder / "qemu.pid").exists() or not (folder / "qemu.pid").read_text():
    time.sleep(0.02)
if "disown" in sys.argv:
    supervisor.send_signal(signal.SIGUSR1)
print(supervisor.pid, flush=True)
time.sleep(600)
"""


def ended(pid):
    """Within two seconds."""
    for _ in range(100):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("disowned", [False, True])
def test_a_machine_ends_with_its_owner_until_it_is_disowned(tmp_path, disowned):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "command.json").write_text('["sleep", "600"]')
    arguments = [sys.executable, "-c", OWNER, folder, SUPERVISOR, *["disown"] * disowned]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as owner:
        supervisor = int(owner.stdout.readline())
        machine = int((folder / "qemu.pid").read_text())
        owner.kill()
    if disowned:
        assert not ended(supervisor) and folder.exists()
        os.kill(supervisor, signal.SIGTERM)
    assert ended(supervisor) and ended(machine)
    assert folder.exists() is disowned  # who ends a disowned machine removes its folder


class Supervisor:
    """Ends when it is told to, and another thread sees that at once."""

    def __init__(self, seen):
        self.seen, self.status = seen, None

    def poll(self):
        return self.status

    def terminate(self):
        self.status = 0
        self.seen()

    def wait(self, deadline):
        return self.status


def test_an_end_in_the_middle_of_a_boot_neither_starts_it_anew_nor_costs_its_frozen_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(state, "qemu_version", lambda arch: "QEMU")
    monkeypatch.setattr(accel, "choose", lambda kernel, arch, say: "tcg")
    machine = Machine(Image(DEBIAN12, tmp_path, "1234-uuid", "6.1.0-1-amd64"))
    saved = state.find(tmp_path, machine.hardware())
    saved.folder.mkdir(parents=True)
    saved.memory.write_text("memory")

    def thaw():
        machine._supervisor = Supervisor(machine.stop)
        machine.end()
        raise LabError("QEMU ended before the machine had the time to be thawed")

    monkeypatch.setattr(machine, "restore", thaw)
    with pytest.raises(LabError, match="QEMU ended"):
        machine.boot()
    assert saved.exists()
    with pytest.raises(LabError, match="was ended while it booted"):
        machine.start()
    assert not [path for path in runs.runs_dir().iterdir() if path.is_dir()]
