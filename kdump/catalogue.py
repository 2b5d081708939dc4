"""Loads the fact catalogue."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from . import facts
from .fact import CATALOGUE, Fact, facts_behind


def modules() -> list[ModuleType]:
    """The modules of the catalogue, imported."""
    return [import_module(f"{facts.__name__}.{module.name}") for module in iter_modules(facts.__path__)]


def suite_facts() -> list[Fact[Any]]:
    """All facts of the catalogue, in its order."""
    modules()
    return list(facts_behind(list(CATALOGUE)))
