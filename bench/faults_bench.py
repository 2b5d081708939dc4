"""Every cause staged for real, and the confusion matrix: rows are staged faults, columns are causes. `make bench-faults`

Exit status: 0 every fault was judged as it should be, 1 a miss, a false alarm, a proof that was not seen or a machine that
could not be had, 2 usage. What each fault left (console, journal, transcript, the suite's output, outcome.json) is kept in
reports/faults/TARGET/FAULT/; the matrix is printed and written to --output.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab import build, recipe
from lab.errors import LabError
from lab.faults import FAULTS, NOT_STAGED, logs
from lab.faults.model import TRUE_OF, Fault, musts
from lab.faults.staging import ROOT, Outcome, Staging

LEGEND = "X present, as staged   c a declared consequence   M missed   F false alarm   ? open, as declared   ! open   . absent"
Row = tuple[str, Fault]
Name = tuple[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", help="only this target (may be repeated)")
    parser.add_argument("--fault", action="append", help="only faults whose names match this pattern (may be repeated)")
    parser.add_argument("--ci", action="store_true", help="only what `make test` stages, too")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run judged rightly, stage the rest")
    parser.add_argument("--matrix", action="store_true", help="stage nothing: print the matrix of what is kept")
    parser.add_argument("--keep", type=Path, default=ROOT / "reports" / "faults", help="where each fault's logs go")
    parser.add_argument("--record", type=Path, metavar="DIR", help="also save each rightly judged fault's logs, scrubbed, in DIR")
    parser.add_argument("--output", type=Path, default=ROOT / "reports" / "faults.txt", help="where the matrix goes")
    options = parser.parse_args()
    rows = [
        (target, fault)
        for fault in FAULTS
        for target in fault.on
        if target in (options.target or recipe.TARGETS)
        and any(fnmatch.fnmatch(fault.name, pattern) for pattern in options.fault or "*")
        and fault.ci >= options.ci
    ]
    if not rows:
        parser.error("no fault has that name and target")
    # what shares a machine stands together; a machine that is panicked after it was judged is used up
    grounds = list(dict.fromkeys((target, fault.ground) for target, fault in rows))
    rows.sort(key=lambda row: (list(recipe.TARGETS).index(row[0]), grounds.index((row[0], row[1].ground)), bool(row[1].proof)))
    kept = _kept(rows, options.keep) if options.resume or options.matrix else {}
    outcomes = kept if options.matrix else _stage(rows, kept, options.keep)
    if options.record:
        _record(rows, outcomes, options.keep, options.record)
    text = matrix(rows, outcomes)
    print(text)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(text + "\n")
    return 1 if any(outcome.problems for outcome in outcomes.values()) or len(outcomes) < len(rows) else 0


def name(row: Row) -> Name:
    return row[0], row[1].name


def _stage(rows: list[Row], kept: dict[Name, Outcome], folder: Path) -> dict[Name, Outcome]:
    todo = [row for row in rows if name(row) not in kept or kept[name(row)].problems]
    unbuilt: dict[str, LabError] = {}
    for target in dict.fromkeys(target for target, _ in todo):
        try:
            build.ensure(recipe.target(target))
        except LabError as error:  # a release may be no longer where it was, and the others are still there
            unbuilt[target] = error
    asked = Counter((target, fault.ground) for target, fault in todo if not fault.undo)
    # QEMU cannot freeze a machine with an NVMe disk
    often = [key for key, count in asked.items() if count > 1 and not any(disk.bus == "nvme" for disk in key[1].disks)]
    outcomes = dict(kept)
    with Staging(freeze=often) as staging:
        for row in todo:
            target, fault = row
            place = folder / target / fault.name
            try:
                if target in unbuilt:
                    raise unbuilt[target]
                outcome = staging.run(target, fault, place)
            except LabError as error:
                outcome = Outcome(target, fault.name, 0.0, {}, (f"NOT STAGED: {error}",), "")
            outcomes[name(row)] = outcome
            state = "; ".join(outcome.problems) or "as it should be"
            print(f"{target} {fault.name}: {outcome.seconds:.0f} s, {state}", flush=True)
            _keep(outcome, place)
    return outcomes


def _record(rows: list[Row], outcomes: dict[Name, Outcome], kept: Path, folder: Path) -> None:
    for target, fault in rows:
        outcome = outcomes.get((target, fault.name))
        if outcome is not None and not outcome.problems:
            source = f"real: the lab's {target}, fault {fault.name}: {fault.why}"
            logs.record(kept / target / fault.name, source, fault.says, folder / f"{target}-{fault.name}.log")


def _keep(outcome: Outcome, place: Path) -> None:
    found = {verdict: sorted(causes) for verdict, causes in outcome.found.items()}
    data = {"seconds": outcome.seconds, "found": found, "problems": outcome.problems}
    place.mkdir(parents=True, exist_ok=True)
    (place / "outcome.json").write_text(json.dumps(data, indent=1))


def _kept(rows: list[Row], folder: Path) -> dict[Name, Outcome]:
    outcomes = {}
    for target, fault in rows:
        place = folder / target / fault.name / "outcome.json"
        if place.exists():
            data = json.loads(place.read_text())
            outcomes[target, fault.name] = Outcome(
                target, fault.name, data["seconds"], data["found"], tuple(data["problems"]), ""
            )
    return outcomes


def columns() -> list[str]:
    """The causes that are staged, or of which it is said why not."""
    staged = {cause for fault in FAULTS for wanted in fault.on.values() for cause in wanted.present}
    return sorted(staged.union(*TRUE_OF.values(), (one.cause for one in NOT_STAGED)))


def _cell(target: str, fault: Fault, cause: str, outcome: Outcome) -> str:
    wanted = fault.on[target]
    must = musts(target, wanted)
    if cause in outcome.found.get("present", ()):
        return "X" if cause in must else "c" if cause in wanted.allowed else "F"
    if cause in must:
        return "M"
    if cause in outcome.found.get("could not determine", ()):
        return "?" if cause in wanted.undetermined | wanted.allowed else "!"
    return "."


def matrix(rows: list[Row], outcomes: dict[Name, Outcome]) -> str:
    """The whole report as text."""
    causes = columns()
    # the columns are few, so their names stand above them, one step lower each
    first = max(len(target) for target, _ in rows) + 2
    width = max(len(fault.name) for _, fault in rows) + first
    lines = [f"Staged faults and named causes, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", LEGEND, ""]
    for number, cause in enumerate(causes):
        lines.append(" " * (width + 9) + "| " * number + cause)
    lines.append(f"{'target':{first}}{'fault':{width - first}}  seconds " + "| " * len(causes))
    for target, fault in rows:
        outcome = outcomes.get((target, fault.name))
        if outcome is None:
            lines.append(f"{target:{first}}{fault.name:{width - first}}        - not staged in this run")
            continue
        cells = " ".join(_cell(target, fault, cause, outcome) for cause in causes)
        if not outcome.found:
            cells = "could not be staged"
        proven = " (proven by a crash)" if fault.proof and not outcome.problems else ""
        lines.append(f"{target:{first}}{fault.name:{width - first}}{outcome.seconds:9.0f} {cells}{proven}")
    judged = [outcome for outcome in outcomes.values() if outcome.found]
    wrong = [f"{outcome.target} {outcome.fault}: {problem}" for outcome in outcomes.values() for problem in outcome.problems]
    lines += ["", f"{len(judged)} faults staged and judged in {sum(outcome.seconds for outcome in judged):.0f} s."]
    lines += [f"Misjudged: {len(wrong)}", *(f"  {line}" for line in wrong)]
    lines += ["", "Not staged, and not counted as found:"]
    lines += [f"  {one.cause}: {one.what}: {one.reason}." for one in NOT_STAGED]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
