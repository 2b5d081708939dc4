"""Loads the fact catalogue, and lists the causes that the suite knows."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from . import facts
from .cause import MARKER
from .fact import CATALOGUE, Fact, facts_behind, of_kernels


def modules() -> list[ModuleType]:
    """The modules of the catalogue, imported."""
    return [import_module(f"{facts.__name__}.{module.name}") for module in iter_modules(facts.__path__)]


def suite_facts(kernels: Collection[str] = ()) -> list[Fact[Any]]:
    """All facts of the catalogue, in its order; those about an installed kernel for each of these releases."""
    modules()
    return list(of_kernels(facts_behind(list(CATALOGUE)), kernels))


def declared_causes(root: Path, folders: Iterable[str]) -> set[str]:
    """The ids of the causes that the test files below ``root/folder`` declare, whichever of them a run selects.

    A file that cannot be parsed is passed over: pytest tells of it when it collects.
    """
    found = set()
    for folder in list(folders) or ["."]:
        for file in (root / folder).rglob("test_*.py"):
            try:
                tree = ast.parse(file.read_text(encoding="utf-8"))
            except (OSError, SyntaxError, ValueError):
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == MARKER and node.args:
                    given = node.args[0]
                    if isinstance(given, ast.Constant) and isinstance(given.value, str):
                        found.add(given.value)
    return found
