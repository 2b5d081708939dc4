"""Whatever a host says, a fact has a value or a reason why it has none, and so has a verdict."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from kdump import recording
from kdump.fact import CATALOGUE, Fact
from kdump.transcript import Reading
from kdump.verdict import NoValue
from selftests.fuzz.words import garble
from selftests.hostility.strictness import REAL
from selftests.judging import ask, every_test, facts_of

CASES = 2000 if REAL else 20
RECORDINGS = [recording.load(path) for path in sorted((Path(__file__).parents[2] / "recordings").glob("*.transcript"))]
FACTS = sorted({fact.command: fact for fact in CATALOGUE.values() if isinstance(fact, Fact)}.values(), key=lambda one: one.name)
TESTS = [(file, test, parameters, facts_of(file, test)) for file, test, parameters in every_test()]


@pytest.mark.hostility(29)
@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_garbage_is_a_value_or_a_reason(fact, measured):
    known = [one for one in RECORDINGS if fact.command in one.readings] or RECORDINGS[:1]
    tests = [(file, test, parameters) for file, test, parameters, commands in TESTS if fact.command in commands]
    rnd = random.Random(fact.name)
    for number in range(CASES):
        transcript = rnd.choice(known)
        said = transcript.readings.get(fact.command, Reading(fact.command, "a b\nc 1\n", "", 0))
        readings = {**transcript.readings, fact.command: replace(said, text=garble(said.text, rnd), status=0)}
        garbled = replace(transcript, readings=readings)
        with suppress(NoValue):
            fact.of(garbled)
        if number % 20 == 0 and tests:  # a verdict takes a hundred times as long
            file, test, parameters = rnd.choice(tests)
            ask(garbled, file, test, **parameters)
    measured("could not determine: cannot parse the output of …", f"{CASES} cases for each of {len(FACTS)} parsers")
