"""Loads the fact catalogue, and finds the facts that the suite's test files ask for."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from . import facts
from .fact import CATALOGUE, Fact, facts_behind

MODULES = [f"{facts.__name__}.{module.name}" for module in iter_modules(facts.__path__)]


def suite_facts() -> list[Fact[Any]]:
    """All facts of the catalogue, in its order."""
    for module in MODULES:
        import_module(module)
    return list(facts_behind(list(CATALOGUE)))
