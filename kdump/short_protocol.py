"""A short run of the tests that only judge facts: no fixture machinery, no capturing, one call, the reports that are read.

pytest's own protocol costs about a millisecond and a half per test (three phases, their wrappers and reports, the fixtures'
caches), which for a fleet is more than the hosts cost. A test whose arguments are facts needs none of it: its
arguments come from the host's knowledge, and there is nothing to set up or tear down. Whatever asks for more (other
fixtures, marks such as skipif or xfail, ``--pdb``, ``--setup-show``, a plugin that hooks into the phases) runs by
pytest's own protocol; all hooks around a test and its reports are called as ever.
"""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _pytest.junitxml import LogXML
from pytest_html.basereport import BaseReport  # type: ignore[import-untyped]

from .cause import MARKER
from .fact import CATALOGUE, Knowledge
from .hosts import Target
from .report.collector import finding_of
from .report.html import Page
from .verdict import NotApplicable, NoValue

_MARKS = {MARKER, "parametrize"}  # that ask nothing of the protocol
_PHASES = ("pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown", "pytest_pyfunc_call", "pytest_fixture_setup")
# Hook into the phases for tests of their own kind.
_HARMLESS = ("_pytest.", "_hypothesis_pytestplugin", "anyio.")
# Listeners that read the report of the call; those in the second row read that of the teardown too. Others get all three.
_READ_CALL = ("_pytest.", "kdump.")
_READ_TEARDOWN = ("pytest_html.",)
_OURS = {"target", "knowledge", "request"}


class ShortProtocol:
    """Runs the tests that can be run so. ``knowledge`` gives what is known of a target, or raises NoValue."""

    def __init__(self, config: pytest.Config, knowledge: Callable[[Target], Knowledge]) -> None:
        self._config, self._knowledge = config, knowledge
        self._arguments: dict[Any, tuple[str, ...] | None] = {}
        self._phases: list[str] = []
        self._tell: Callable[..., Any] = config.hook.pytest_runtest_logreport
        self._tell_without_page = self._tell
        self._page: Page | None = None
        self._short: pytest.Item | None = None  # the one that runs

    def pytest_collection_finish(self) -> None:
        plugins = self._config.pluginmanager
        page = plugins.get_plugin("kdump-html")
        theirs = [plugin for plugin in plugins.get_plugins() if isinstance(plugin, BaseReport)]
        if isinstance(page, Page) and theirs:
            self._page = page
            self._tell_without_page = plugins.subset_hook_caller("pytest_runtest_logreport", theirs)
        self._phases = self._phases_to_report()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        target = item.callspec.params.get("target") if hasattr(item, "callspec") else None
        names = self._arguments_of(item) if isinstance(item, pytest.Function) and isinstance(target, Target) else None
        if names is None or not isinstance(target, Target):
            return None
        assert isinstance(item, pytest.Function)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self._short = item
        try:
            self._run(item, target, names, nextitem)
        finally:
            self._short = None
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run(self, item: pytest.Function, target: Target, names: tuple[str, ...], nextitem: pytest.Item | None) -> None:
        values: dict[str, Any] = {}

        def fill() -> None:
            params = item.callspec.params
            known: Knowledge | None = None
            for name in names:
                if name in params:
                    values[name] = params[name]
                    continue
                known = known or self._knowledge(target)
                values[name] = known if name == "knowledge" else known.get(name)

        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            call = _called(fill, "setup")
            ready = call.excinfo is None
            if not ready or "setup" in self._phases:
                self._report(item, call)
            if ready:
                call = _called(lambda: item.obj(**values), "call")
        if ready:
            if text := printed.getvalue():
                item.add_report_section("call", "stdout", text)
            self._report(item, call)
        self._end(item, nextitem)

    def _end(self, item: pytest.Function, nextitem: pytest.Item | None) -> None:
        """Of this test there is nothing to tear down, of one before it perhaps."""
        left = item.session._setupstate
        follower = None if item.session.shouldfail or item.session.shouldstop else nextitem
        call = _called(lambda: left.teardown_exact(follower) if left.stack else None, "teardown")
        if "teardown" in self._phases or call.excinfo is not None:
            self._report(item, call)

    def _report(self, item: pytest.Function, call: pytest.CallInfo[None]) -> None:
        report = item.ihook.pytest_runtest_makereport(item=item, call=call)
        finding = finding_of(report)
        if finding is not None:
            # pytest-html would take as long over a test without a row as over one with a row
            shown = self._page is None or self._page.shows(finding)
            self._tell = self._config.hook.pytest_runtest_logreport if shown else self._tell_without_page
        self._tell(report=report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport | None:
        """A report without the picture of a traceback, which a verdict does not need."""
        if item is not self._short:
            return None
        outcome, text = "passed", None
        if call.excinfo is not None:
            error = call.excinfo.value
            if not isinstance(error, NoValue | AssertionError | pytest.skip.Exception):
                return None
            skipped = isinstance(error, pytest.skip.Exception) or (isinstance(error, NotApplicable) and call.when == "setup")
            outcome, text = "skipped" if skipped else "failed", str(error)
        path, line, _ = item.location
        return pytest.TestReport(
            item.nodeid,
            item.location,
            {item.name: 1},
            outcome,  # type: ignore[arg-type]
            (path, (line or 0) + 1, f"Skipped: {text}") if outcome == "skipped" else text,
            call.when,  # type: ignore[arg-type]
            [(f"Captured {what} {when}", content) for when, what, content in item._report_sections],
            call.duration,
            call.start,
            call.stop,
            item.user_properties,
        )

    def _arguments_of(self, item: pytest.Function) -> tuple[str, ...] | None:
        """The arguments of a test that can be run so; None for any other. The same for all hosts."""
        key = (item.parent, item.originalname)
        if key not in self._arguments:
            self._arguments[key] = tuple(item._fixtureinfo.argnames) if self._can_run(item) else None
        return self._arguments[key]

    def _can_run(self, item: pytest.Function) -> bool:
        option = self._config.option
        if option.usepdb or option.trace or option.setupshow or option.setuponly or option.setupplan:
            return False
        if item.cls is not None or inspect.iscoroutinefunction(item.obj) or inspect.isgeneratorfunction(item.obj):
            return False
        if any(mark.name not in _MARKS for mark in item.iter_markers()) or list(self._foreign(_PHASES, _HARMLESS)):
            return False
        params = item.callspec.params
        return all(name in params or name in _OURS or self._is_fact(item, name) for name in item.fixturenames)

    def _is_fact(self, item: pytest.Function, name: str) -> bool:
        """Whether it is a fact's own fixture, not one of that name by somebody else."""
        found = item._fixtureinfo.name2fixturedefs.get(name)
        return name in CATALOGUE and found is not None and len(found) == 1 and found[0].func.__module__ == "kdump.fact"

    def _phases_to_report(self) -> list[str]:
        everyone = list(self._foreign(("pytest_runtest_logreport",), ()))
        if any(not module.startswith((*_READ_CALL, *_READ_TEARDOWN)) for module in everyone):
            return ["setup", "call", "teardown"]
        writes = any(isinstance(plugin, LogXML) for plugin in self._config.pluginmanager.get_plugins())
        return ["call", "teardown"] if writes or any(module.startswith(_READ_TEARDOWN) for module in everyone) else ["call"]

    def _foreign(self, hooks: tuple[str, ...], known: tuple[str, ...]) -> Iterator[str]:
        """The modules of those who implement one of these hooks and are not known."""
        for name in hooks:
            for implementation in getattr(self._config.hook, name).get_hookimpls():
                module: str = implementation.function.__module__
                if not known or not module.startswith(known):
                    yield module


def _called(function: Callable[[], None], when: Any) -> pytest.CallInfo[None]:
    return pytest.CallInfo.from_call(function, when, reraise=(pytest.exit.Exception, KeyboardInterrupt))
