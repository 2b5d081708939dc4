"""The real logs of staged faults: the causes that the tools' own words name in them are found there, and no others."""

import re
from pathlib import Path

import pytest

from kdump.parsers.log_signatures import sightings
from kdump.qualification.console import Kind, classify
from lab.faults.logs import SECTIONS, scrub

LOGS = sorted((Path(__file__).parents[2] / "recordings" / "logs").glob("*.log"))


def remark(text, name):
    return re.search(rf"^# {name}:(.*)$", text, re.MULTILINE)[1].strip()


def section(text, name):
    found = re.search(rf"^== {name} ==\n(.*?)(?=^== (?:{'|'.join(SECTIONS)}) ==$|\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_the_causes_that_a_log_names_are_found_and_no_others(path):
    text = path.read_text()
    assert remark(text, "source")
    wanted = {cause.strip() for cause in remark(text, "causes").split(",") if cause.strip()}
    assert {sight.signature.cause for sight in sightings(text.splitlines())} == wanted
    assert text == scrub(text) + "\n"


PANICS = [path for path in LOGS if "Kernel panic" in section(path.read_text(), "console")]


@pytest.mark.parametrize("path", PANICS, ids=lambda path: path.stem)
def test_the_console_of_a_panic_is_understood(path):
    text = path.read_text()
    kinds = {event.kind for line in section(text, "console").splitlines() if (event := classify(line, 0.0))}
    assert {Kind.PANIC, Kind.CAPTURE_BOOT} <= kinds
    causes = remark(text, "causes")
    assert (Kind.OOM in kinds) == ("crashkernel-too-small" in causes)
    assert (Kind.NO_DISK in kinds) == ("dump-disk-not-visible" in causes)


def test_there_are_logs_of_faults_and_of_healthy_machines():
    assert {"debian12-crashed.log", "debian12-healthy.log", "kdumpctl-crashed.log"} <= {path.name for path in LOGS}
