"""Two kernels side by side (``--baseline``): which causes are new, cause by cause. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .model import Run, State


class Change(Enum):
    """What became of a cause from the baseline to the kernel."""

    NEW = "new"
    PERHAPS_NEW = "perhaps new"
    NEWLY_UNKNOWN = "no longer known to be absent"
    GONE = "gone"
    SAME = ""


@dataclass(frozen=True)
class Row:
    """A cause's worst state with the kernel and with the baseline; None: not looked for."""

    cause: str
    kernel: State | None
    baseline: State | None

    @property
    def change(self) -> Change:
        bad = (State.PRESENT, State.WAIVED)
        if self.kernel in bad:
            if self.baseline is State.UNDETERMINED:
                return Change.PERHAPS_NEW
            return Change.SAME if self.baseline in bad else Change.NEW
        if self.baseline in bad:
            return Change.SAME if self.kernel is State.UNDETERMINED else Change.GONE
        if self.kernel is State.UNDETERMINED and self.baseline is not State.UNDETERMINED:
            return Change.NEWLY_UNKNOWN
        return Change.SAME


@dataclass(frozen=True)
class Comparison:
    """``kernel`` and ``baseline`` are names of the run's hosts."""

    kernel: str
    baseline: str
    rows: tuple[Row, ...]

    def causes(self, change: Change) -> list[str]:
        return [row.cause for row in self.rows if row.change is change]

    @property
    def summary(self) -> str:
        """One clause per kind of change."""
        said = [
            f"{len(found)} {change.value}: {', '.join(found)}"
            for change in Change
            if change is not Change.SAME and (found := self.causes(change))
        ]
        return "; ".join(said) or "no cause is new"


def comparisons(run: Run) -> list[Comparison]:
    """One for each pair of the run, its causes in the order of a dump's life."""
    matrix = run.matrix()
    return [
        Comparison(
            kernel,
            baseline,
            tuple(
                Row(cause.id, matrix.get((kernel, cause.id)), matrix.get((baseline, cause.id)))
                for cause in run.causes()
                if (kernel, cause.id) in matrix or (baseline, cause.id) in matrix
            ),
        )
        for kernel, baseline in run.compared
    ]
