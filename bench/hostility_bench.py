"""Faults and hostility: the whole table, each row by its tests, with what a user sees and what was measured.

    python bench/hostility_bench.py [--real] [--write] [ROW …]

``--real``, on a machine that does nothing else: with the deadlines of a night, fleets of 1,000 hosts, and the figures as they
stand; otherwise as the suite's own tests have them (selftests/hostility/strictness.py). ``--write``: into
docs/hostility.md, too. Exit status: 0 all rows hold, 1 one does not.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from selftests.hostility.rows import MARK, ROWS  # noqa: E402

HEAD = """# Faults and hostility

What is done to the suite, the figure that it holds, what its user sees, and what was measured. Written by
`{command}` on {machine}, {how}.
A row holds when every test that is marked with its number passed.

"""
REAL = "with 10 s to connect, 30 s for the probe, fleets of 1,000 hosts, and no allowance for a busy machine"
SHORT = "with deadlines of some seconds, fleets of 100 hosts, and an allowance for a busy machine"


FOLDER = re.compile(r"\S*/pytest-\d+/[^/\s]+/")  # of a test
MOST = 4  # figures and sentences in a row


class Watching:
    """Collects, row by row, how the tests went and what they measured."""

    def __init__(self, rows: set[int]) -> None:
        self._rows = rows
        self._of: dict[str, set[int]] = {}
        self.outcomes: dict[int, list[str]] = defaultdict(list)
        self.measured: dict[int, list[tuple[str, str]]] = defaultdict(list)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        for item in items:
            shown = {mark.args[0] for mark in item.iter_markers(MARK)} & self._rows
            if shown:
                self._of[item.nodeid] = shown
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in self._of])
        items[:] = [item for item in items if item.nodeid in self._of]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            for row in self._of[report.nodeid]:
                self.outcomes[row].append(report.outcome)
                self.measured[row] += [value for name, value in report.user_properties if name == "measured"]


def table(seen: Watching, rows: set[int]) -> list[str]:
    lines = ["| # | fault | figure | what a user sees | measured | holds |", "|--:|---|---|---|---|---|"]
    for number in sorted(rows):
        row, outcomes = ROWS[number], seen.outcomes[number]
        passed = outcomes.count("passed")
        holds = (
            "no test"
            if not outcomes
            else "yes"
            if passed == len(outcomes)
            else "skipped"
            if "failed" not in outcomes
            else "**no**"
        )
        sees = list(dict.fromkeys(" ".join(FOLDER.sub("", words).split()) for words, _ in seen.measured[number] if words))
        figures = list(dict.fromkeys(figure for _, figure in seen.measured[number] if figure))
        figures = [*figures[:MOST], f"{passed} of {len(outcomes)} tests"]
        cells = (row.fault, row.figure, "<br>".join(sees[:MOST]) or "–", "; ".join(figures), holds)
        lines.append(f"| {number} | {' | '.join(cell.replace('|', '¦') for cell in cells)} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("rows", nargs="*", type=int, metavar="ROW")
    options = parser.parse_args()
    if options.write and options.rows:
        parser.error("--write is for the whole table")
    if options.real:
        os.environ["KDUMP_HOSTILITY_REAL"] = "1"
    rows = set(options.rows or ROWS)
    seen = Watching(rows)
    os.chdir(ROOT / "selftests")
    folders = ["unit", "plugin", "report", "connection", "hostility", "fuzz"]
    pytest.main(["-q", "--tb=short", "-p", "no:cacheprovider", *folders], plugins=[seen])
    lines = table(seen, rows)
    print("\n".join(lines))
    if options.write:
        machine = f"{os.cpu_count()} processors, {platform.system()} {platform.release()}, Python {platform.python_version()}"
        command = f"python bench/hostility_bench.py{' --real' if options.real else ''}"
        head = HEAD.format(command=command, machine=machine, how=REAL if options.real else SHORT)
        (ROOT / "docs" / "hostility.md").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return int(any(not line.endswith("| yes |") for line in lines[2:]))


if __name__ == "__main__":
    sys.exit(main())
