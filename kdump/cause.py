"""A cause: one documented reason why a dump is missing, incomplete or unreadable."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from types import ModuleType

import pytest

MARKER = "cause"
#: the id of the file that judges whether kdump is ready at all: what it finds has one of the other causes behind it
SYMPTOM = "kdump-not-operational"
SIGNATURE = "cause(id, *, stage: Stage, severity: Severity, remediation: str, references: [url, …])"


class Stage(Enum):
    """Where in a dump's life a cause bites, in order."""

    RESERVE = "reserve"
    LOAD = "load"
    BOOT = "boot"
    SAVE = "save"
    ANALYSE = "analyse"

    @cached_property
    def order(self) -> int:
        return list(Stage).index(self)


class Severity(Enum):
    """What you lose."""

    NO_VMCORE = "no vmcore"
    INCOMPLETE_VMCORE = "incomplete vmcore"
    UNREADABLE_VMCORE = "unreadable vmcore"


@dataclass(frozen=True)
class Cause:
    """The marker's data and the test module's docstring."""

    id: str
    stage: Stage
    severity: Severity
    remediation: str
    references: tuple[str, ...]
    title: str
    explanation: str

    def __hash__(self) -> int:
        return hash(self.id)  # that of all its text takes as long as what is looked up by it


def cause(id: str, *, stage: Stage, severity: Severity, remediation: str, references: Sequence[str]) -> pytest.MarkDecorator:
    """The ``pytestmark`` of a cause's file. The file's docstring is the explanation, its first line the title."""
    return pytest.mark.cause(id, stage=stage, severity=severity, remediation=remediation, references=tuple(references))


def cause_of(module: ModuleType, mark: pytest.Mark) -> Cause:
    """The cause that a test module documents.

    Raises :class:`ValueError` with one sentence when marker or docstring lack something.
    """
    doc = inspect.cleandoc(module.__doc__ or "")
    title, _, explanation = doc.partition("\n")
    if not title or not explanation.strip():
        raise ValueError(f"{module.__name__}: a cause's file needs a docstring: a title line, then the explanation")
    wanted = {"stage": Stage, "severity": Severity, "remediation": str, "references": tuple}
    if len(mark.args) != 1 or set(mark.kwargs) != set(wanted):
        raise ValueError(f"{module.__name__}: the marker must read {SIGNATURE}")
    for name, kind in wanted.items():
        if not isinstance(mark.kwargs[name], kind) or not mark.kwargs[name]:
            raise ValueError(f"{module.__name__}: {name} is missing in {SIGNATURE}")
    return Cause(id=str(mark.args[0]), title=title.rstrip("."), explanation=explanation.strip(), **mark.kwargs)
