"""A short run of the tests that only judge facts: no fixture machinery, no capturing, one call, the reports that are read.

pytest's own protocol costs about a millisecond and a half per test (three phases, their wrappers and reports, the fixtures'
caches), which for a fleet is more than the hosts cost. A test whose arguments are facts needs none of it: its
arguments come from the host's knowledge, and there is nothing to set up or tear down. Whatever asks for more (other
fixtures, marks such as skipif or xfail, ``--pdb``, ``--setup-show``, a plugin that hooks into the phases) runs by
pytest's own protocol; all hooks around a test and its reports are called as ever.
"""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from traceback import clear_frames
from typing import Any

import pluggy
import pytest
from pytest_html.basereport import BaseReport  # type: ignore[import-untyped]

from .cause import MARKER
from .fact import CATALOGUE, Knowledge
from .hosts import Target, target_of
from .report.collector import finding_of
from .report.html import Page
from .report.junit import Properties
from .report.junit_cases import Cases
from .report.junit_file import JunitFile
from .verdict import NotApplicable, NoValue

_MARKS = {MARKER, "parametrize"}  # that ask nothing of the protocol
_PHASES = ("pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown", "pytest_pyfunc_call", "pytest_fixture_setup")
# Hook into the phases for tests of their own kind.
_HARMLESS = ("_pytest.", "_hypothesis_pytestplugin", "anyio.")
# Look for what a test of facts cannot have: marks, a unittest class, the fixtures tmp_path and extras. So does the log's
# plugin, where no log is shown live.
_FOR_OTHERS = ("_pytest.skipping", "_pytest.unittest", "_pytest.tmpdir", "pytest_html.plugin")
# Listeners that read the report of the call; those in the second row read that of the teardown too. Others get all three.
_READ_CALL = ("_pytest.", "kdump.")
_READ_TEARDOWN = ("pytest_html.",)
_OURS = {"target", "knowledge", "request"}

_PLACE = "nodeid", "location"

_Listener = Callable[..., Any]  # some of a hook's implementations


@dataclass(frozen=True)
class _Test:
    """What is the same for a test on all hosts. ``place``: its file, from the root, and its line there, from 0."""

    names: tuple[str, ...]
    place: tuple[str, int | None]
    start: _Listener
    make: _Listener
    finish: _Listener


class ShortProtocol:
    """Runs the tests that can be run so. ``knowledge`` gives what is known of a target, or raises NoValue."""

    def __init__(self, config: pytest.Config, knowledge: Callable[[Target], Knowledge]) -> None:
        self._config, self._knowledge = config, knowledge
        self._tests: dict[Any, _Test | None] = {}
        self._listens_to_all = False  # somebody reads the reports of all three phases
        self._pages: list[object] = []  # pytest-html's, and JUnit's
        self._files: list[object] = []
        self._listeners: dict[tuple[bool, bool], _Listener] = {}
        self._page: Page | None = None
        self._properties: Properties | None = None
        self._cases: Cases | None = None
        self._short: pytest.Item | None = None  # the one that runs
        self._others: list[tuple[pytest.Item, pytest.Item | None]] = []  # to be run with it, each with its follower
        self._together = False

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        plugins = self._config.pluginmanager
        page, properties = plugins.get_plugin("kdump-html"), plugins.get_plugin("kdump-junit")
        self._page = page if isinstance(page, Page) else None
        self._properties = properties if isinstance(properties, Properties) else None
        self._pages = [plugin for plugin in plugins.get_plugins() if isinstance(plugin, BaseReport)]
        files = [plugin for plugin in plugins.get_plugins() if isinstance(plugin, JunitFile)]
        self._files = list(files)
        for file in files:
            self._cases = file.cases = Cases(file, len(session.items))
        self._listens_to_all = self._somebody_listens_to_all()
        self._together = not list(self._foreign(("pytest_runtest_protocol",), ("_pytest.", "kdump.")))

    def run(self, items: list[pytest.Item], follower: pytest.Item | None) -> None:
        """Run the tests of a host one after the other.

        What pytest puts around each test (catching warnings, explaining assertions) takes as long as the test itself: it
        is put once around all tests that follow one another and can be run so. A warning is said of the first of them.
        """
        session = items[0].session
        followed = zip(items, [*items[1:], follower], strict=True)
        for short, some in groupby(followed, key=lambda one: self._together and self._is_short(one[0])):
            for (item, after), *self._others in [list(some)] if short else ([one] for one in some):
                self._config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                self._others = []
                _stop_if_asked(session)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        if not self._is_short(item):
            return None
        others, self._others = self._others, []
        for one, after in [(item, nextitem), *others]:
            self._run_short(one, after)
            if item.session.shouldfail or item.session.shouldstop:
                break
        return True

    def _is_short(self, item: pytest.Item) -> bool:
        return isinstance(item, pytest.Function) and target_of(item) is not None and self._test_of(item) is not None

    def _run_short(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        target = target_of(item)
        assert isinstance(item, pytest.Function)
        assert target is not None
        test = self._test_of(item)
        assert test is not None
        # pytest would work it out anew for each host
        item.__dict__.setdefault("location", (*test.place, item.name))
        nodeid, location = item.nodeid, item.location
        test.start(nodeid, location)
        self._short = item
        try:
            self._run(item, target, test, nextitem)
        finally:
            self._short = None
        test.finish(nodeid, location)

    def _run(self, item: pytest.Function, target: Target, test: _Test, nextitem: pytest.Item | None) -> None:
        values: dict[str, Any] = {}

        def fill() -> None:
            params = item.callspec.params
            known: Knowledge | None = None
            for name in test.names:
                if name in params:
                    values[name] = params[name]
                    continue
                known = known or self._knowledge(target)
                values[name] = known if name == "knowledge" else known.get(name)

        listener: _Listener | None = None
        printed, streams = io.StringIO(), (sys.stdout, sys.stderr)
        sys.stdout = sys.stderr = printed
        try:
            call = _called(fill, "setup")
            ready = call.excinfo is None
            if not ready or self._listens_to_all:
                listener = self._report(item, test, call)
            if ready:
                call = _called(lambda: item.obj(**values), "call")
        finally:
            sys.stdout, sys.stderr = streams
        if ready:
            if text := printed.getvalue():
                item.add_report_section("call", "stdout", text)
            listener = self._report(item, test, call)
        self._end(item, test, nextitem, listener)

    def _end(self, item: pytest.Function, test: _Test, nextitem: pytest.Item | None, listener: _Listener | None) -> None:
        """Of this test there is nothing to tear down, of one before it perhaps. ``listener``: who waits for the report."""
        left = item.session._setupstate
        if listener is None and not left.stack:
            return
        follower = None if item.session.shouldfail or item.session.shouldstop else nextitem
        call = _called(lambda: left.teardown_exact(follower) if left.stack else None, "teardown")
        if call.excinfo is not None:
            self._report(item, test, call)
        elif listener is not None:
            listener(test.make(item=item, call=call))

    def _report(self, item: pytest.Item, test: _Test, call: pytest.CallInfo[None]) -> _Listener | None:
        """Make a report and tell it to those who read it. Returns who waits for that of the teardown."""
        report = test.make(item=item, call=call)
        _let_go(call)
        finding = finding_of(report)
        # pytest-html would take as long over a test without a row as over one with a row
        shown = finding is None or self._page is None or self._page.shows(finding)
        written = finding is None or self._cases is None or not self._cases.take(report, finding)
        if written and finding is not None and self._properties is not None:
            self._properties.add(item, finding)
        listener = self._listener(shown, written)
        listener(report)
        return listener if self._listens_to_all or (shown and self._pages) or (written and self._files) else None

    def _listener(self, shown: bool, written: bool) -> _Listener:
        if (shown, written) not in self._listeners:
            others = [*([] if shown else [self._page, *self._pages]), *([] if written else self._files)]
            self._listeners[shown, written] = _in_turn(self._without("pytest_runtest_logreport", others), "report")
        return self._listeners[shown, written]

    def _without(self, hook: str, others: list[object]) -> pluggy.HookCaller:
        """A hook but for those who only look for what a test of facts cannot have, and for ``others``."""
        found = getattr(self._config.hook, hook).get_hookimpls()
        live = self._config.getini("log_cli") or self._config.option.log_cli_level
        modules = _FOR_OTHERS if live else (*_FOR_OTHERS, "_pytest.logging")
        others = [*others, *(one.plugin for one in found if one.function.__module__ in modules)]
        return self._config.pluginmanager.subset_hook_caller(hook, others)

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
            item.id,
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

    def _test_of(self, item: pytest.Function) -> _Test | None:
        """A test that can be run so; None for any other. The same for all hosts."""
        key = (item.parent, item.originalname)
        if key not in self._tests:
            self._tests[key] = self._looked_at(item) if self._can_run(item) else None
        return self._tests[key]

    def _looked_at(self, item: pytest.Function) -> _Test:
        hooks = item.ihook
        everywhere = hooks is self._config.hook  # or a conftest.py elsewhere in the tree has a say in some tests only
        path, line, _ = item.location
        return _Test(
            tuple(item._fixtureinfo.argnames),
            (path, line),
            _in_turn(self._without("pytest_runtest_logstart", []) if everywhere else hooks.pytest_runtest_logstart, *_PLACE),
            self._without("pytest_runtest_makereport", [self._properties]) if everywhere else hooks.pytest_runtest_makereport,
            _in_turn(self._without("pytest_runtest_logfinish", []) if everywhere else hooks.pytest_runtest_logfinish, *_PLACE),
        )

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

    def _somebody_listens_to_all(self) -> bool:
        modules = self._foreign(("pytest_runtest_logreport",), ())
        return any(not module.startswith((*_READ_CALL, *_READ_TEARDOWN)) for module in modules)

    def _foreign(self, hooks: tuple[str, ...], known: tuple[str, ...]) -> Iterator[str]:
        """The modules of those who implement one of these hooks and are not known."""
        for name in hooks:
            for implementation in getattr(self._config.hook, name).get_hookimpls():
                module: str = implementation.function.__module__
                if not known or not module.startswith(known):
                    yield module


def _in_turn(hook: pluggy.HookCaller, *arguments: str) -> _Listener:
    """Calls all who implement a hook. Where none of them wraps the others, or leaves an argument out,
    pluggy would do no more than call them one after the other, which takes it longer than what most of them do."""
    found = hook.get_hookimpls()
    if any(one.wrapper or one.hookwrapper or one.argnames != arguments for one in found):
        return lambda *given: hook(**dict(zip(arguments, given, strict=True)))
    functions = [one.function for one in reversed(found)]

    def call(*given: object) -> None:
        for function in functions:
            function(*given)

    return call


def _stop_if_asked(session: pytest.Session) -> None:
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)


def _let_go(call: pytest.CallInfo[None]) -> None:
    """What was raised is reported: its frames, which hold it in a circle, need not wait for the cycle collector."""
    if call.excinfo is not None:
        clear_frames(call.excinfo.tb)
        call.excinfo = None


def _called(function: Callable[[], None], when: Any) -> pytest.CallInfo[None]:
    return pytest.CallInfo.from_call(function, when, reraise=(pytest.exit.Exception, KeyboardInterrupt))
