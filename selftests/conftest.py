"""The suite's own tests: run pytest inside pytest where the plugin is meant."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# for the processes that tests start
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])


@pytest.fixture(scope="session", autouse=True)
def users_own_reports_stay_as_they_are() -> Iterator[None]:
    """Whoever runs these tests may have audited a fleet from this folder: `kdump.fleet report` means that, not a test's hosts."""
    reports = Path(__file__).parents[1] / "reports"
    before = {path: path.stat().st_mtime_ns for path in reports.iterdir()}
    yield
    assert {path: path.stat().st_mtime_ns for path in reports.iterdir()} == before


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Tell the table of faults and hostility what a user sees, and what was measured."""

    def tell(sees: str, figure: str) -> None:
        record_property("measured", (sees, figure))

    return tell
