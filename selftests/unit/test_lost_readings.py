"""A reading that is lost takes knowledge away: it never makes a cause absent, nor present.

Every reading of the healthy machines is destroyed in turn, and of the others each one that sets them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kdump import recording
from kdump.transcript import Reading, Transcript
from kdump.verdict import Verdict
from selftests.judging import ask, every_test, facts_of

RECORDINGS = sorted((Path(__file__).parents[2] / "recordings").glob("*.transcript"))
TESTS = [(file, test, parameters, facts_of(file, test)) for file, test, parameters in every_test()]
CLAIMS = (Verdict.ABSENT, Verdict.PRESENT)


def losses(whole: Reading) -> Iterator[Reading]:
    half = whole.text[: len(whole.text) // 2]
    for text, errors, status in (
        ("", "cat: /x: Permission denied", 1),
        (half, "grep: /x: Permission denied", 2),
        ("", "cat: /x: Input/output error", 1),
        ("", "sh: cannot fork: Cannot allocate memory", 2),
        (half, "", 124),
        (half, "", 137),
    ):
        yield Reading(whole.command, text, errors, status)


def verdicts(transcript: Transcript, command: str) -> dict[str, Verdict]:
    return {
        f"{file}::{test}{parameters or ''}": ask(transcript, file, test, **parameters)[0]
        for file, test, parameters, commands in TESTS
        if command in commands
    }


@pytest.mark.hostility(29)
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_nothing_becomes_certain(path):
    transcript = recording.load(path)
    own = transcript.readings if "healthy" in path.stem else Transcript.parse(path.read_bytes()).readings
    for command in own:
        before = verdicts(transcript, command)
        for lost in losses(transcript.readings[command]):
            after = verdicts(replace(transcript, readings={**transcript.readings, command: lost}), command)
            certain = {test for test, verdict in after.items() if verdict in CLAIMS and verdict is not before[test]}
            assert not certain, f"{lost}: {certain}"


@pytest.mark.hostility(27)
@pytest.mark.parametrize("path", [path for path in RECORDINGS if "healthy" in path.stem], ids=lambda path: path.stem)
def test_nothing_is_known_of_a_host_that_says_nothing(path):
    transcript = recording.load(path)
    for kind in range(6):
        lost = {command: list(losses(reading))[kind] for command, reading in transcript.readings.items() if command != "id -u"}
        silent = replace(transcript, readings={**transcript.readings, **lost})
        said = {f"{file}::{test}": ask(silent, file, test, **parameters)[0] for file, test, parameters, _ in TESTS}
        assert not {test: verdict for test, verdict in said.items() if verdict in CLAIMS}
