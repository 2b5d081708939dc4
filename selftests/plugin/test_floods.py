"""Hosts that say as much as they are let say: what the controller keeps of them does not grow with their number."""

import json
import random
import sys

import pytest

from kdump import catalogue
from kdump.fact import Knowledge
from kdump.history.plugin import seen_dumps
from kdump.transcript import END, HEADER, SHOWN, Reading, Transcript
from selftests.plugin.test_run import SUITE

CONFTEST = """
pytest_plugins = ["kdump.plugin"]
import kdump.gather
from pathlib import Path
kdump.gather.MOST_KEPT = 8 << 20

def pytest_unconfigure():
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    Path("peak").write_text(peak.split()[1])
"""
SIZE = 3 << 20
catalogue.modules()


@pytest.mark.hostility(9)
def test_memory_does_not_grow_with_the_number_of_hosts_that_flood(pytester, measured):
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_something=SUITE)
    peaks = {}
    for hosts in (8, 32):
        for number in range(hosts):
            said = f"{number}\n{random.randbytes(SIZE // 2).hex()}"
            readings = [Reading("cat /number", said, "x" * 100_000, 1), Reading("cat /other", said, "", 0)]
            pytester.path.joinpath(f"h{number}.transcript").write_text(Transcript.of(readings).render())
        names = ",".join(f"recording://h{number}.transcript" for number in range(hosts))
        ran = pytester.run(sys.executable, "-m", "pytest", f"--hosts={names}", "--forks=2", "--verdicts-json=v.json", "-v")
        assert ran.ret == 6
        peaks[hosts] = int(pytester.path.joinpath("peak").read_text()) >> 10
    written = json.loads(pytester.path.joinpath("v.json").read_text())["hosts"]
    assert all("characters are left out" in host["findings"][0]["seen"] for host in written)
    assert max(len(line) for line in ran.outlines) < 20_000
    assert peaks[32] - peaks[8] < 48, peaks
    shown = written[0]["findings"][0]["seen"]
    measured(
        f"{shown[:60]} … {shown[shown.index('…') :].splitlines()[0]} …",
        f"{peaks[32]} MiB with 32 hosts that say {2 * SIZE >> 20} MiB each, {peaks[8]} MiB with 8",
    )


def test_evidence_of_a_host_that_says_very_much_is_head_and_tail_of_everything():
    readings = [Reading(f"cat /{number}", f"begin{number * 'x'}end", "", 0) for number in (1, 900_000, 2000)]
    shown = Transcript.of(readings).shown()
    assert list(shown) == [reading.command for reading in readings]
    assert shown["cat /1"] is readings[0]
    assert sum(len(one.text) for one in shown.values()) < 1.1 * SHOWN
    assert shown["cat /900000"].text.startswith("begin") and shown["cat /900000"].text.endswith("end")
    usual = Transcript.of(readings[::2])
    assert usual.shown() is usual.readings


@pytest.mark.hostility(9)
@pytest.mark.parametrize("of_each", [0, 10, 1900])
def test_readings_that_nobody_asked_for_are_bounded(of_each):
    """They fill what a host may say: the controller's memory, and every night's history, do not grow with their number."""
    made_up = (f"$ {number:x}\n  {'x' * of_each}\n[0]\n" for number in range((4 << 20) // (of_each + 14)))
    transcript = Transcript.parse(f"{HEADER}\n{''.join(made_up)}{END}\n")
    assert (len(transcript.readings), transcript.complete) == (2000, False)
    assert len(transcript.kept().render()) < 3 * SHOWN


def test_a_command_that_nobody_asked_for_is_bounded():
    transcript = Transcript.parse(f"{HEADER}\n$ id -u\n  0\n[0]\n$ {'x' * 5000}\n[0]\n$ true\n[0]\n{END}\n")
    assert (list(transcript.readings), transcript.complete) == (["id -u"], False)
    assert Transcript.of([Reading("x" * 4000, "", "", 0)]).size == 4000


def test_dumps_that_a_host_makes_up_are_bounded():
    files = [f"dump 5 {1767229261 - number} /var/crash/{'x' * 200}/{number}" for number in range(20_000)]
    listing = Reading("dump_listing", "\n".join(["folder /var/crash", *files]), "", 0)
    seen = seen_dumps("db1", Knowledge(Transcript.of([Reading("id -u", "0", "", 0), listing])))
    assert seen[0].path.endswith("/0") and 500 < len(seen) < 1000
