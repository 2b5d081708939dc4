"""``python -m kdump.fleet``: runs of the past and of other controllers.

::

    python -m kdump.fleet runs                      the runs in the history
    python -m kdump.fleet report [--run=ID]         a run's reports, also of one that was cut off
    python -m kdump.fleet merge SHARD.sqlite…       one run out of the shards of several controllers

Exit status as of the run: 0 healthy, 1 something present, 6 incomplete; 2 interrupted, 3 where a page cannot be written, 4 for
bad input.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from .answer import put
from .history.plugin import DEFAULT, KEEP, KEEP_TRANSCRIPTS
from .history.store import BadHistory, Store, StoredRun
from .report import fleet_page, json_report
from .report.changes import RUNS_LOOKED_AT, compare
from .report.files import replace_file
from .report.model import ExitStatus, Run
from .report.terminal import hosts as host_lines
from .report.terminal import waivers as waiver_lines
from .shard import OF_ALL, Shard
from .transcript import sanitise
from .waivers import joined

ONE_NIGHT = timedelta(hours=12)  # between the starts of shards of one run


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.run_command(options))
    except BadHistory as problem:
        print(problem, file=sys.stderr)
        return ExitStatus.USAGE
    except CannotWriteError as problem:
        print(problem, file=sys.stderr)
        return ExitStatus.INTERNAL
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitStatus.INTERRUPTED


class CannotWriteError(Exception):
    """A report's file, or the answer itself; ``str()`` is one sentence."""


def _say(line: str) -> None:
    """Shards come from other controllers, waivers from whoever may write their file."""
    if problem := put(sanitise(line)):
        raise CannotWriteError(f"the answer cannot be written: {problem}")


class _Parser(argparse.ArgumentParser):
    """argparse's own status for bad usage, 2, is that of a run that was interrupted."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitStatus.USAGE, f"{self.prog}: {message}\n")


def _replace(path: Path, text: str) -> None:
    try:
        replace_file(path, text)
    except OSError as error:
        raise CannotWriteError(f"{path} cannot be written: {error.strerror}") from error


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m kdump.fleet", description="Runs of the past and of other controllers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("runs", help="the runs in the history")
    listing.set_defaults(run_command=_list)
    report = commands.add_parser("report", help="a run's reports, also of one that was cut off")
    report.add_argument("--run", type=int, metavar="ID", help="which run (the newest)")
    report.set_defaults(run_command=_report)
    merge = commands.add_parser("merge", help="one run out of the shards of several controllers")
    merge.add_argument(
        "shards", nargs="+", type=Path, metavar="SHARD.sqlite", help="the histories of the shards; each one's newest run counts"
    )
    merge.set_defaults(run_command=_merge)
    for command in (listing, report, merge):
        command.add_argument("--history", type=Path, default=DEFAULT, metavar="FILE", help=f"the history ({DEFAULT})")
    for command in (report, merge):
        command.add_argument("--html", type=Path, metavar="FILE", help="the page to write (beside the history)")
        command.add_argument("--json", type=Path, metavar="FILE", help="also as JSON (docs/report.schema.json)")
    return parser


def _list(options: argparse.Namespace) -> int:
    with closing(Store(options.history, read_only=True)) as store:
        for run in store.runs():
            what = "complete" if run.complete else "under way" if run.is_running else _missing(store, run)
            when = f"{run.info.started:%Y-%m-%d %H:%M:%S}"
            _say(f"{run.id:>5}  {when}  {len(run.expected):>6} hosts  {what}  {run.info.command_line}")
    return ExitStatus.HEALTHY


def _report(options: argparse.Namespace) -> int:
    with closing(Store(options.history, read_only=True)) as store:
        return _write(store, store.run(options.run), options)


def _missing(store: Store, run: StoredRun) -> str:
    finished = set(store.finished(run.id))
    expected = f"{len(run.expected)}" if run.expected else "an unknown number of"
    return f"INCOMPLETE: {len(finished)} of {expected} hosts"


def _write(store: Store, stored: StoredRun, options: argparse.Namespace) -> int:
    run = store.load(stored)
    notice = run.incomplete or ("" if stored.complete else f"{_missing(store, stored)} were judged")
    past = store.past(stored.selection, stored.shard, stored.id, RUNS_LOOKED_AT - 1)
    run.changes = compare(run, past, store.seen_dumps(stored.id), store.dumps(stored.selection, stored.id))
    status = _status(run, stored)
    page = options.html or options.history.with_name(fleet_page.NAME)
    _replace(page, fleet_page.render(run, notice).html)
    if options.json:
        _replace(options.json, json.dumps(json_report.as_data(run, status), indent=1, ensure_ascii=False) + "\n")
    for line, _ in (*host_lines(run.reports(), everyone=False), *waiver_lines(run.waivers)):
        _say(line)
    for line in run.changes.lines() if run.changes else ():
        _say(line)
    if notice:
        _say(notice)
    _say(f"Written: {page}")
    return status


def _status(run: Run, stored: StoredRun) -> int:
    """That of the run, where it came to its end: it knows of tests without a host, and of what was tolerated."""
    if stored.complete and stored.exit_status is not None:
        return stored.exit_status
    status = run.exit_status(int(ExitStatus.HEALTHY))
    return ExitStatus.INCOMPLETE if status == ExitStatus.HEALTHY else status


def _joined(shards: Sequence[int | None], found: Run) -> int:
    """The status of all shards together: as of one run that found all this, but never better than one of them."""
    status = found.exit_status(int(ExitStatus.HEALTHY))
    if status == ExitStatus.PRESENT or ExitStatus.PRESENT in shards:
        return ExitStatus.PRESENT
    return status if all(one == ExitStatus.HEALTHY for one in shards) else ExitStatus.INCOMPLETE


def _merge(options: argparse.Namespace) -> int:
    shards = [(path, Store(path, read_only=True)) for path in options.shards]
    try:
        runs = [(path, store, store.run()) for path, store in shards]
        _check([(path, run) for path, _, run in runs])
        if options.history.exists() and any(options.history.samefile(path) for path in options.shards):
            raise BadHistory(f"{options.history} is a shard itself: name another file with --history=FILE for the whole")
        with closing(Store(options.history)) as target:
            first = runs[0][2]
            started = min(run.info.started for _, _, run in runs)
            info = replace(first.info, started=started, options={**first.info.options, "shards": str(len(runs))})
            merged = target.begin(info, first.selection)
            target.expect(merged, [name for _, _, run in runs for name in run.expected], first.tests)
            for _, store, run in runs:
                store.copy_into(target, run.id, merged)
            for path, _, run in runs:
                if run.exit_status not in (None, ExitStatus.HEALTHY, ExitStatus.PRESENT, ExitStatus.INCOMPLETE):
                    _say(f"{path}: shard {run.shard} ended with status {run.exit_status}")
            duration = max((run.info.started - started).total_seconds() + run.info.duration for _, _, run in runs)
            found = target.load(target.run(merged))
            reviews = joined([run.waivers for _, _, run in runs])
            target.finish(merged, duration, _joined([run.exit_status for _, _, run in runs], found), reviews)
            target.prune(first.selection, "", KEEP, KEEP_TRANSCRIPTS)
            return _write(target, target.run(merged), options)
    finally:
        for _, store in shards:
            store.close()


def _check(runs: Sequence[tuple[Path, StoredRun]]) -> None:
    """Refuse shards that do not make one whole. Raises :class:`BadHistory`."""
    parts: dict[int, Path] = {}
    first_path, first = runs[0]
    for path, run in runs:
        if not run.shard:
            raise BadHistory(f"{path}: its newest run is no shard: it was begun without --shard")
        if run.selection != first.selection:
            raise BadHistory(f"{path}: its newest run judges another selection than {first_path}: {run.selection}")
        if run.info.suite_version != first.info.suite_version:
            raise BadHistory(f"{path}: judged by suite {run.info.suite_version}, {first_path} by {first.info.suite_version}")
        if run.is_running:
            raise BadHistory(f"{path}: shard {run.shard} is still under way (process {run.process.split()[1]}): wait for its end")
        if not run.expected:
            raise BadHistory(f"{path}: its newest run was cut off before its hosts were known: judge shard {run.shard} again")
        if abs(run.info.started - first.info.started) > ONE_NIGHT:
            times = f"{run.info.started:%Y-%m-%d %H:%M}, that of {first_path} at {first.info.started:%Y-%m-%d %H:%M}"
            raise BadHistory(f"{path}: its newest run was begun at {times}: judge the older shard again")
        whole, whole_of_first = run.info.options.get(OF_ALL), first.info.options.get(OF_ALL)
        if whole != whole_of_first:
            lists = f"a part of {whole}; that of {first_path} of {whole_of_first}"
            raise BadHistory(f"{path}: shard {run.shard} is {lists}: judge all shards with the same list of hosts")
        if run.tests != first.tests:
            raise BadHistory(f"{path}: its hosts were asked other tests than those of {first_path}")
        part, of = Shard.parse(run.shard), Shard.parse(first.shard)
        if part.of != of.of:
            raise BadHistory(f"{path}: shard {run.shard}, but {first_path} is shard {first.shard}")
        if part.number in parts:
            raise BadHistory(f"shard {run.shard} is there twice: {parts[part.number]} and {path}")
        parts[part.number] = path
    missing = sorted(set(range(1, Shard.parse(first.shard).of + 1)) - set(parts))
    if missing:
        raise BadHistory(f"missing: {', '.join(f'shard {number}/{Shard.parse(first.shard).of}' for number in missing)}")
    twice = [name for name, number in Counter(name for _, run in runs for name in run.expected).items() if number > 1]
    if twice:
        raise BadHistory(f"{twice[0]} is in more than one shard: the shards were begun with different lists of hosts")


if __name__ == "__main__":
    sys.exit(main())
