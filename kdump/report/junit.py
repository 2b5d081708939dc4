"""JUnit: cause, stage, severity, verdict, evidence and remediation as properties of each test case.

pytest writes a cause that could not be determined as ``<error>`` and one that is not applicable as ``<skipped>``,
each with its reason. Properties are taken from the item when its teardown is reported, so they must be there by then.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache
from typing import Any

import pytest

from ..cause import Cause
from . import excerpt
from .collector import finding_of
from .model import Finding, State

EVIDENCE = 4096  # characters per test case
MOST_WITH_EVIDENCE = 3000  # test cases; in larger files, which pytest keeps in memory, healthy ones go without


def properties(finding: Finding, *, evidence: bool = True) -> list[tuple[str, str]]:
    """The properties of a finding, in a stable order; ``evidence`` is nine tenths of the file's size."""
    named = [("host", finding.host), ("verdict", finding.verdict.value), *of_test(finding.check, finding.cause)]
    if finding.waiver is not None:
        waiver = finding.waiver
        named += [("waiver", f"{waiver.justification} ({waiver.owner}, until {waiver.expires.isoformat()})")]
    if not evidence:
        return named
    shown = "\n".join(map(excerpt.render, excerpt.excerpts(finding.evidence, EVIDENCE)))
    return [*named, ("evidence", shown)]


@lru_cache(1024)
def of_test(check: str, cause: Cause | None) -> tuple[tuple[str, str], ...]:
    """The properties that a test case has on all hosts."""
    if cause is None:
        return (("check", check),)
    words = ("stage", cause.stage.value), ("severity", cause.severity.value), ("remediation", " ".join(cause.remediation.split()))
    return ("check", check), ("cause", cause.id), *words


class Properties:
    """Puts the properties on the item where a JUnit file is asked for."""

    def __init__(self, config: pytest.Config) -> None:
        self._wanted = bool(getattr(config.option, "xmlpath", None))
        self._large = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._large = len(session.items) > MOST_WITH_EVIDENCE

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        report = yield
        finding = finding_of(report)
        if finding is not None:
            self.add(item, finding)
        return report

    def add(self, item: pytest.Item, finding: Finding) -> None:
        """Put a finding's properties on its test, if there will be a file."""
        if self._wanted:
            healthy = finding.state in (State.ABSENT, State.NOT_APPLICABLE)
            item.user_properties += properties(finding, evidence=not (self._large and healthy))
