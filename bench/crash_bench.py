"""Real crashes, each followed by the suite to the named end that it must come to. `make bench-crash`

Exit status: 0 every crash ended as it should, 1 one did not, 2 usage or a machine that could not be had. What each left
(console, terminal, reports, record) is kept in reports/crashes/TARGET/CASE/; the table is printed and written to --output.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab import build, recipe
from lab.crashes import CASES, Case
from lab.crashes.staging import Outcome, run
from lab.errors import LabError
from lab.faults.staging import ROOT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", help="only this target (may be repeated)")
    parser.add_argument("--case", action="append", help="only crashes whose names match this pattern (may be repeated)")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run saw end as it should, stage the rest")
    parser.add_argument("--table", action="store_true", help="crash nothing: print the table of what is kept")
    parser.add_argument("--vmlinux", action="append", default=[], metavar="TARGET=PATH", help="debuginfo that opens the dumps")
    parser.add_argument("--keep", type=Path, default=ROOT / "reports" / "crashes", help="where each crash's logs go")
    parser.add_argument("--output", type=Path, default=ROOT / "reports" / "crashes.txt", help="where the table goes")
    options = parser.parse_args()
    vmlinux = {name: Path(path) for name, _, path in (one.partition("=") for one in options.vmlinux)}
    rows = [
        (target, case)
        for target in (options.target or recipe.TARGETS)
        for case in CASES
        if target in case.on and any(fnmatch.fnmatch(case.name, pattern) for pattern in options.case or ["*"])
    ]
    if not rows:
        parser.error("no crash has that name and target")
    outcomes: list[Outcome] = []
    for target, case in rows:
        place = options.keep / target / case.name
        kept = _kept(place) if options.resume or options.table else None
        if kept is not None and (options.table or not kept.problems):
            outcomes.append(kept)
        elif not options.table:
            try:
                build.ensure(recipe.target(target))
            except LabError as error:
                print(f"lab: {error}", file=sys.stderr)
                return 2
            outcomes.append(_staged(target, case, place, vmlinux.get(target)))
    text = table(outcomes)
    print(text)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(text + "\n")
    return 1 if len(outcomes) < len(rows) or any(outcome.problems for outcome in outcomes) else 0


def _staged(target: str, case: Case, place: Path, vmlinux: Path | None) -> Outcome:
    try:
        outcome = run(target, case, place, vmlinux)
    except LabError as error:
        outcome = Outcome(target, case.name, "", "", 0.0, (f"NOT STAGED: {error}",))
    place.mkdir(parents=True, exist_ok=True)
    (place / "outcome.json").write_text(json.dumps(dataclasses.asdict(outcome), indent=1))
    print(f"{target} {case.name}: {outcome.seconds:.0f} s, {'; '.join(outcome.problems) or outcome.state}", flush=True)
    return outcome


def _kept(place: Path) -> Outcome | None:
    file = place / "outcome.json"
    if not file.exists():
        return None
    data = json.loads(file.read_text())
    return Outcome(**{**data, "problems": tuple(data["problems"])})


def table(outcomes: list[Outcome]) -> str:
    """Target, crash, the state that was named, how long staging and following took, the durations since the trigger."""
    width = max((len(outcome.case) for outcome in outcomes), default=0) + 1
    lines = [f"Crashes on lab machines, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", ""]
    lines.append(f"{'target':9} {'crash':{width}} {'state':25} {'whole':>6}  after the trigger")
    for one in outcomes:
        lines.append(f"{one.target:9} {one.case:{width}} {one.state or '-':25} {one.seconds:5.0f}s  {one.told}")
        lines += [f"{'':10}{problem}" for problem in one.problems]
    wrong = sum(bool(outcome.problems) for outcome in outcomes)
    return "\n".join([*lines, "", f"{len(outcomes)} crashes staged, {wrong} of them not as they should be."])


if __name__ == "__main__":
    sys.exit(main())
