"""The run as a plugin of Nagios or Icinga (``--nagios``): one line with performance data, then the hosts that are not
healthy; exit status 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.

CRITICAL: a host would not dump. WARNING: a host would dump, but incompletely or unreadably. UNKNOWN: nothing is present,
but something could not be determined, or the run itself went wrong. It takes the place of testinfra's own ``--nagios``,
which calls a run that collected nothing OK. ``python -m kdump.nagios`` answers also for what pytest refuses before it
reads this suite.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from enum import IntEnum
from typing import NoReturn

import pytest

from ..answer import put
from ..transcript import sanitise
from .model import Answer, ExitStatus, Run, State

NAME = "kdump-nagios"
HEAD = "KDUMP "  # of an answer
_MOST_HOSTS = 50
_NAMED = 3


class Status(IntEnum):
    """The four states, with their exit statuses (Monitoring Plugins' development guidelines, "Plugin Return Codes")."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_HELP = (
    "answer as a plugin of Nagios or Icinga: one line, and one of its four states as exit status. As a command of theirs use "
    "python -m kdump.nagios OPTIONS: it has the line also where pytest gives up before it reads this suite (-c, --rootdir, -p, "
    "-n, --tb that cannot be used)"
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Answer for options that cannot be parsed, too: pytest refuses them before any hook that could take its status. What it
    parses itself, before it loads the first plugin that is not its own, no plugin can answer for (Config.parse() of pytest 9)."""
    for option in (one for group in parser._groups for one in group.options if "--nagios" in one.names()):
        option._action.help = _HELP  # it is testinfra's
    config = pluginmanager.get_plugin("pytestconfig")
    if config is None or not getattr(config.known_args_namespace, "nagios", False):
        return

    def error(message: str) -> NoReturn:
        raise SystemExit(_say(Status.UNKNOWN, [plain(message)]))

    parser.optparser.error = error  # type: ignore[method-assign]


def take_over(config: pytest.Config, run: Run) -> None:
    """Keep testinfra's plugin from answering; call it before testinfra's own ``pytest_configure``."""
    config.option.nagios = False
    config.pluginmanager.register(Answering(run), NAME)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep the terminal's output from coming before the line: the reporter is there by now, and pytest-xdist has taken it."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if config.pluginmanager.has_plugin(NAME) and reporter is not None:
        reporter._tw._file = io.StringIO()


class Answering:
    """Marks a run that is to be answered by :func:`pytest_cmdline_main`."""

    def __init__(self, run: Run) -> None:
        self.run = run


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int | None, int | None]:
    """Print the answer when everything else has ended, also when the run was refused."""
    if not config.option.nagios:
        return (yield)
    try:
        status = yield
    except pytest.UsageError as problem:
        return _say(Status.UNKNOWN, [plain(" ".join(str(problem).split()))])
    answering = config.pluginmanager.get_plugin(NAME)
    if not isinstance(answering, Answering):  # --help and the like
        return status
    return _say(*answer(answering.run, int(status or 0)))


def _say(status: Status, lines: list[str]) -> int:
    return int(Status.UNKNOWN if put(answered(status, lines)) else status)


def answered(status: Status, lines: list[str]) -> str:
    """What Nagios is given to read."""
    first, *others = [sanitise(line) for line in lines]
    return "\n".join([f"{HEAD}{status.name} - {first}", *others])


def answer(run: Run, exit_status: int) -> tuple[Status, list[str]]:
    """The state, and the lines of output of which the first has the performance data."""
    counted = run.answers()
    if exit_status not in (ExitStatus.HEALTHY, ExitStatus.PRESENT, ExitStatus.INCOMPLETE):
        nothing = exit_status == ExitStatus.USAGE  # what is wrong with the hosts or an option never comes here
        words = "no test was selected" if nothing else f"the run ended with exit status {exit_status}"
        status = Status.UNKNOWN
    elif exit_status == ExitStatus.HEALTHY:
        # whoever watches by this line alone takes OK for a host that would dump
        status, words = (Status.OK if set(counted) - {Answer.NOTHING_JUDGED} else Status.UNKNOWN), _counted(run)
    elif exit_status == ExitStatus.INCOMPLETE:
        status, words = Status.UNKNOWN, _counted(run)
    else:
        badly = Answer.WOULD_NOT_DUMP not in counted and Answer.WOULD_DUMP_BADLY in counted and not run.failures
        status, words = (Status.WARNING if badly else Status.CRITICAL), _counted(run)
    data = [f"{answer.name.lower()}={counted.get(answer, 0)};;;0;{len(run.hosts)}" for answer in Answer]
    line = f"{plain(words)} | {' '.join(data)} time={run.info.duration:.2f}s;;;0"
    ill = [report for report in run.reports() if report.answer.state is not State.ABSENT]
    ill.sort(key=lambda report: list(Answer).index(report.answer))
    more = [f"and {len(ill) - _MOST_HOSTS} more hosts"] if len(ill) > _MOST_HOSTS else []
    return status, [line, *(plain(f"{report.host.name}  {report.summary}") for report in ill[:_MOST_HOSTS]), *more]


def _counted(run: Run) -> str:
    parts = []
    for answer, number in run.answers().items():
        names = [report.host.name for report in run.reports() if report.answer is answer]
        named = "" if answer is Answer.WOULD_DUMP else f" ({', '.join(names[:_NAMED])}{', …' if number > _NAMED else ''})"
        parts.append(f"{number} {'host' if number == 1 else 'hosts'} {answer.of_hosts}{named}")
    return ", ".join(parts) or "no host was judged"


def plain(text: str) -> str:
    """In one line: what follows a bar is performance data."""
    return text.replace("|", "¦").replace("\n", " ")
