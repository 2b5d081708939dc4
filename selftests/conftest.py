"""The suite's own tests: run pytest inside pytest where the plugin is meant."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# for the processes that tests start
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Tell the table of faults and hostility what a user sees, and what was measured."""

    def tell(sees: str, figure: str) -> None:
        record_property("measured", (sees, figure))

    return tell
