"""Causes staged for real on a real machine, judged over real SSH: each named exactly, a healthy machine silent."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

import pytest

from lab import image
from lab.faults import FAULTS
from lab.machine import Machine

ROOT = Path(__file__).parents[2]


def audit(machine, folder, *options):
    """The suite's own command on a running machine: (exit status, verdict -> causes, terminal output)."""
    junit = folder / "junit.xml"
    command = [sys.executable, "-m", "pytest", f"--hosts={machine.image.recipe.name}", f"--ssh-config={machine.ssh_config}"]
    done = subprocess.run(
        [*command, f"--junitxml={junit}", f"--html={folder / 'report.html'}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = defaultdict(set)
    for case in ET.parse(junit).iter("testcase"):
        properties = {one.get("name"): one.get("value") for one in case.iter("property")}
        found[properties["verdict"]].add(properties["cause"])
    return done.returncode, found, done.stdout + done.stderr


def crash(machine):
    before = machine.check("cat /proc/sys/kernel/random/boot_id")
    machine.check("sync; systemd-run --quiet --on-active=1 sh -c 'echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger'")
    machine.wait_console(r"kdump-tools: saved vmcore in|makedumpfile Failed", 240)
    machine.wait_console(r"^Debian GNU/Linux .* login:|reboot: Restarting system", 120)
    machine.wait_for_ssh()
    machine.settle()
    assert machine.check("cat /proc/sys/kernel/random/boot_id") != before


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_is_named_exactly(fault, tmp_path):
    wanted = {name: getattr(fault, name) for name in ("crashkernel", "cmdline", "devices", "options")}
    with Machine(image.find("debian12"), **wanted) as machine:
        machine.boot()
        for command in fault.stage:
            machine.check(command)
        if fault.crash:
            crash(machine)
        for command in fault.after:
            machine.check(command)
        status, found, output = audit(machine, tmp_path)
    assert fault.present <= found["present"] <= fault.present | fault.allowed, output
    assert found["could not determine"] <= fault.allowed, output
    assert status == (1 if fault.present else 0), output
