"""Runs that look at the tests and ask nobody: nothing is reported of them, and the history has none."""

from __future__ import annotations

import pytest


def only_looks(config: pytest.Config) -> bool:
    """Whether it is ``--collect-only``, ``--fixtures`` or ``--fixtures-per-test``."""
    option = config.option
    return bool(option.collectonly or option.showfixtures or option.show_fixtures_per_test)
