"""The suite's own tests: run pytest inside pytest where the plugin is meant."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# for the processes that tests start
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])


@pytest.fixture(scope="session", autouse=True)
def users_own_reports_stay_as_they_are() -> Iterator[None]:
    """Whoever runs these tests may have audited a fleet from this folder: `kdump.fleet report` means that, not a test's hosts.

    A history with a write-ahead log beside it is in use by another run, or was left by one that was killed: SQLite folds that
    log in when it likes, and such a history is not compared.
    """
    before = _own_reports()
    in_use = {_history_of(name) for name in before if name != _history_of(name)}
    yield
    untouched, now = (
        {name: at for name, at in seen.items() if _history_of(name) not in in_use} for seen in (before, _own_reports())
    )
    assert now == untouched


def _own_reports() -> dict[str, int]:
    found = {}
    for path in (Path(__file__).parents[1] / "reports").iterdir():
        with contextlib.suppress(FileNotFoundError):  # SQLite took its log away
            found[path.name] = path.stat().st_mtime_ns
    return found


def _history_of(name: str) -> str:
    return re.sub(r"-(wal|shm|journal)$", "", name)


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Tell the table of faults and hostility what a user sees, and what was measured; either may be empty."""

    def tell(sees: str, figure: str) -> None:
        record_property("measured", (sees, figure))

    return tell
