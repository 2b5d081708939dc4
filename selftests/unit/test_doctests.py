"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import kdump
import lab

MODULES = sorted(
    module.name
    for package in (kdump, lab)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
