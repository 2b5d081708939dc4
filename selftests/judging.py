"""Ask one test of the suite about one made-up host, without pytest's machinery around it."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

from kdump.catalogue import suite_facts
from kdump.fact import CATALOGUE, Knowledge, facts_behind
from kdump.transcript import Reading, Transcript
from kdump.verdict import CouldNotDetermine, NotApplicable, Verdict

suite_facts()

TESTS = Path(__file__).parents[1] / "tests"


def says(fact: str, text: str = "", errors: str = "", status: int = 0) -> Reading:
    """What the command of a fact answers."""
    return Reading(CATALOGUE[fact].command, text, errors, status)


def missing(fact: str) -> Reading:
    return says(fact, "", "grep: /x: No such file or directory", 2)


def denied(fact: str) -> Reading:
    return says(fact, "", "grep: /x: Permission denied", 2)


def host(*readings: Reading) -> Transcript:
    """A host; of two readings of one command the last counts."""
    return Transcript.of(readings)


@cache
def _module(name: str) -> ModuleType:
    folder, _, stem = name.rpartition("/")
    spec = importlib.util.spec_from_file_location(f"asked_{stem}", TESTS / folder / f"test_{stem}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def every_test() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """File, test and parameters of all causes' tests."""
    for path in sorted(TESTS.glob("test_*.py")):
        file = path.stem.removeprefix("test_")
        for name, function in vars(_module(file)).items():
            if name.startswith("test_") and callable(function):
                marks = [mark.args for mark in getattr(function, "pytestmark", ()) if mark.name == "parametrize"]
                names, values = zip(*marks, strict=True) if marks else ((), ())
                for chosen in product(*values):
                    yield file, name.removeprefix("test_"), dict(zip(names, chosen, strict=True))


def facts_of(file: str, test: str) -> frozenset[str]:
    """The commands whose output a test rests on."""
    arguments = inspect.signature(getattr(_module(file), f"test_{test}")).parameters
    return frozenset(fact.command for fact in facts_behind(list(arguments)))


def ask(transcript: Transcript, file: str, test: str, kernel: str = "", **parameters: Any) -> tuple[Verdict, str]:
    """The verdict of ``test_TEST`` in ``tests/test_FILE.py`` on a host, or of a ``kernel`` there, and its words."""
    function = getattr(_module(file), f"test_{test}")
    knowledge = Knowledge(transcript, kernel)
    try:
        facts = {name: knowledge.get(name) for name in inspect.signature(function).parameters if name not in parameters}
        function(**facts, **parameters)
    except NotApplicable as reason:
        return Verdict.NOT_APPLICABLE, str(reason)
    except CouldNotDetermine as reason:
        return Verdict.UNDETERMINED, str(reason)
    except AssertionError as words:
        return Verdict.PRESENT, str(words)
    return Verdict.ABSENT, ""
