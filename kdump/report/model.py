"""A run, as every report sees it: who was asked, what was found, and what that amounts to. Pure."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum, IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

from ..cause import SYMPTOM, Cause, Severity, Stage
from ..transcript import Reading
from ..verdict import Verdict
from .tolerance import NONE_TOLERATED, Tolerance

if TYPE_CHECKING:
    from .changes import Changes


class ExitStatus(IntEnum):
    """What a run tells the shell. 0 to 4 are pytest's own numbers, with the same meaning."""

    HEALTHY = 0
    PRESENT = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    INCOMPLETE = 6


_PYTEST_NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Waiver:
    """A present cause that somebody accepted until a day. It counts up to and including ``expires``."""

    justification: str
    owner: str
    expires: date


class WaiverStanding(Enum):
    """How a waiver stands after a run, first what somebody must look at."""

    EXPIRED = "expired: the cause counts again"
    EXPIRES_SOON = "expires within two weeks"
    NOT_NEEDED = "no longer needed: the cause is present on none of its hosts"
    IN_FORCE = "in force"


@dataclass(frozen=True)
class WaiverReview:
    """An entry of the waiver file after a run. ``hosts``: its patterns; ``present_on``: where the cause is present."""

    cause: str
    hosts: tuple[str, ...]
    waiver: Waiver
    present_on: tuple[str, ...]
    standing: WaiverStanding


class State(Enum):
    """How a finding counts: its verdict, where a present cause may be waived. In order: the worst first."""

    PRESENT = "present"
    UNDETERMINED = "could not determine"
    WAIVED = "present, waived"
    ABSENT = "absent"
    NOT_APPLICABLE = "not applicable"

    @cached_property
    def order(self) -> int:
        return list(State).index(self)

    @property
    def symbol(self) -> str:
        """One character that tells the states apart without colour."""
        return _SYMBOLS[self]

    @property
    def slug(self) -> str:
        """The state as a word for CSS classes."""
        return self.name.lower().replace("_", "-")


_SYMBOLS = {
    State.PRESENT: "✗",
    State.UNDETERMINED: "?",
    State.WAIVED: "⚑",
    State.ABSENT: "✓",
    State.NOT_APPLICABLE: "–",
}


_STATES = {state.value: state for state in State}


@dataclass(frozen=True)
class Finding:
    """One test on one host.

    ``check``: the healthy property in words. ``seen``: what was seen (the assertion's message, or the reason why
    nothing could be judged), one line first, details after. ``evidence``: the readings behind the test's arguments.
    ``duration`` in seconds. ``crash_tells``: nothing else does (:class:`kdump.verdict.OnlyACrashTells`).
    """

    host: str
    nodeid: str
    cause: Cause | None
    check: str
    verdict: Verdict
    seen: str = ""
    evidence: tuple[Reading, ...] = ()
    waiver: Waiver | None = None
    duration: float = 0.0
    crash_tells: bool = False
    #: the verdict, or that it is waived
    state: State = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        waived = self.verdict is Verdict.PRESENT and self.waiver is not None
        # reports ask for it thirty times; an enum's own look-up and hash are slow
        object.__setattr__(self, "state", State.WAIVED if waived else _STATES[self.verdict._value_])

    @property
    def headline(self) -> str:
        """The first line of what was seen; of an absent cause, which often has none, the healthy property."""
        return self.seen.strip().split("\n")[0] or self.check

    @property
    def details(self) -> str:
        """What was seen after the first line, without the indentation that pytest gives to a message's later lines."""
        return textwrap.dedent(self.seen.strip().partition("\n")[2]).strip("\n")


_NOT_REACHED = ("unreachable", "could not be asked")  # how a connection's problem begins


@dataclass(frozen=True)
class HostState:
    """How a host was met. ``problem``: one sentence when it could not be asked. ``taken_at``: ISO 8601, by its clock.
    ``groups``: those of the Ansible inventory that it came from."""

    name: str
    reached: bool = True
    problem: str = ""
    taken_at: str = ""
    kernel_release: str = ""
    flavour: str = ""
    groups: tuple[str, ...] = ()

    @property
    def why_not_reached(self) -> str:
        """The problem without the name that it begins with; it always says that the host could not be asked.

        >>> HostState("root@db1:22", reached=False, problem="db1: unreachable (tcp: no route)").why_not_reached
        'unreachable (tcp: no route)'
        >>> HostState("db1", reached=False, problem="10.1.1.1: unreachable (tcp: no route)").why_not_reached
        'unreachable (tcp: no route)'
        >>> HostState("db1", reached=False, problem="db1: no line reads '# kdump transcript 1'").why_not_reached
        "unreachable: no line reads '# kdump transcript 1'"
        """
        subject, _, rest = self.problem.partition(": ")
        # an inventory's host is asked by its address
        words = rest if subject in self.name or rest.startswith(_NOT_REACHED) else self.problem
        return words if words.startswith(_NOT_REACHED) else f"unreachable: {words}"

    #: not a host as it runs, but a kernel that is installed there or lies in a folder: nothing proves that it dumps
    kernel_at_rest: bool = False
    #: not all of the suite's tests were selected: whether it would dump was not looked at
    in_part: bool = False


@dataclass(frozen=True)
class RunInfo:
    """The circumstances of a run. ``duration`` in seconds; ``command_line`` and ``options`` without secrets."""

    started: datetime
    who: str
    suite_version: str
    command_line: str
    duration: float = 0.0
    options: Mapping[str, str] = field(default_factory=dict)


class Answer(Enum):
    """What a host's findings amount to, the worst first."""

    WOULD_NOT_DUMP = "would not dump"
    WOULD_DUMP_BADLY = "would dump, but not usably"
    UNREACHABLE = "unreachable"
    UNDETERMINED = "could not determine"
    WAIVED = "waived causes only"
    NOTHING_AGAINST = "nothing found against it"
    WOULD_DUMP = "would dump"
    NOTHING_JUDGED = "nothing was judged"

    @property
    def of_hosts(self) -> str:
        """The answer as one says it of a number of hosts."""
        passive = {
            Answer.UNDETERMINED: "could not be determined",
            Answer.WAIVED: "with waived causes only",
            Answer.NOTHING_AGAINST: "against which nothing was found",
            Answer.NOTHING_JUDGED: "not judged",
        }
        return passive.get(self, self.value)

    @property
    def state(self) -> State:
        """The state whose colour and symbol fit."""
        return {
            Answer.WOULD_NOT_DUMP: State.PRESENT,
            Answer.WOULD_DUMP_BADLY: State.PRESENT,
            Answer.WAIVED: State.WAIVED,
            Answer.NOTHING_AGAINST: State.ABSENT,
            Answer.WOULD_DUMP: State.ABSENT,
        }.get(self, State.UNDETERMINED)


@dataclass(frozen=True)
class HostReport:
    """One host's findings, and what they amount to."""

    host: HostState
    findings: tuple[Finding, ...]

    @cached_property
    def answer(self) -> Answer:
        if not self.host.reached:
            return Answer.UNREACHABLE
        present = [finding for finding in self.findings if finding.state is State.PRESENT]
        if present:
            lost = {finding.cause.severity if finding.cause else Severity.NO_VMCORE for finding in present}
            return Answer.WOULD_NOT_DUMP if Severity.NO_VMCORE in lost else Answer.WOULD_DUMP_BADLY
        states = {finding.state for finding in self.findings}
        if State.UNDETERMINED in states:
            return Answer.UNDETERMINED
        if State.WAIVED in states:  # accepted, and as bad for a dump as before
            return Answer.WAIVED
        if State.ABSENT not in states:
            return Answer.NOTHING_JUDGED
        return Answer.NOTHING_AGAINST if self.host.kernel_at_rest or self.host.in_part else Answer.WOULD_DUMP

    @property
    def first_failing(self) -> Finding | None:
        """The present cause that bites first in a dump's life; within a stage the one that loses most.

        A finding that says itself which cause is behind it (a service's log names it) yields to that cause's own, and one
        that only shows that something is wrong yields to a cause of its stage.
        """
        present = sorted((finding for finding in self.findings if finding.state is State.PRESENT), key=_place)
        if not present:
            return None
        symptoms = [finding for finding in present if finding.cause and finding.cause.id == SYMPTOM]
        causes = (finding for finding in present if present[0] in symptoms and _explains(finding, symptoms))
        return next(causes, present[0])

    @property
    def first_undetermined(self) -> Finding | None:
        unknown = [finding for finding in self.findings if finding.state is State.UNDETERMINED]
        return min(unknown, key=_place, default=None)

    def causes(self) -> dict[State, list[str]]:
        """The ids of the causes by their worst state, worst state first."""
        worst = {cause.id: worst_of(self.of(cause)) for cause in causes_of(self.findings)}
        return {state: ids for state in State if (ids := [id for id, one in worst.items() if one is state])}

    def of(self, cause: Cause) -> list[Finding]:
        return [finding for finding in self.findings if finding.cause and finding.cause.id == cause.id]

    def stage(self, stage: Stage) -> State | None:
        """The worst state of a stage's causes; None where none was judged."""
        return worst_of(finding for finding in self.findings if finding.cause and finding.cause.stage is stage)

    @property
    def summary(self) -> str:
        """What the host's findings amount to, in one line, without its name."""
        if self.answer is Answer.UNREACHABLE:
            return self.host.why_not_reached
        first = self.first_failing
        if first is not None:
            others = len(self.causes().get(State.PRESENT, ())) - 1
            more = f" (and {others} more present)" if others > 0 else ""
            return f"{self.answer.value}: {describe(first)}{more}"
        unknown = self.first_undetermined
        if unknown is not None:
            others = len(self.causes().get(State.UNDETERMINED, ())) - 1
            more = f" (and {others} more)" if others > 0 else ""
            subject = f"{unknown.cause.id} – " if unknown.cause else ""
            return f"{self.answer.value}: {subject}{unknown.headline}{more}"
        return f"{self.answer.value}{self._counted()}"

    def _counted(self) -> str:
        counted = [(len(ids), state.value) for state, ids in self.causes().items()]
        if not counted:
            return ""
        number, state = counted[0]
        noun = "cause" if number == 1 else "causes"
        others = "".join(f", {number} {state}" for number, state in counted[1:])
        left_out = "; not all tests were selected" if self.host.in_part else ""
        return f" ({number} {noun} {state}{others}{left_out})"


def describe(finding: Finding) -> str:
    """Stage, cause and fix of a finding in one line; what was seen, for a test that belongs to no cause."""
    if finding.cause is None:
        return f"{finding.check} – {finding.headline}"
    return f"{finding.cause.stage.value} – {finding.cause.id} – {in_short(finding.cause.remediation)}"


def in_short(text: str) -> str:
    """What to do first, of a text that may run over lines: the rest stands beside the findings.

    >>> in_short("Add crashkernel=256M\\n(as SIZE,high above 4 GiB) and reboot; or make the initramfs smaller. Then test.")
    'Add crashkernel=256M and reboot'
    """
    words = re.sub(r" \([^()]*\)", "", " ".join(text.split()))
    return re.split(r"\. |; ", words)[0].rstrip(".")


def worst_of(findings: Iterable[Finding]) -> State | None:
    """The worst state among findings; None when there are none."""
    return min((finding.state for finding in findings), key=lambda state: state.order, default=None)


def causes_of(findings: Iterable[Finding]) -> list[Cause]:
    """The causes of findings, each once, in the order of a dump's life."""
    found = {finding.cause.id: finding.cause for finding in findings if finding.cause}
    return sorted(found.values(), key=lambda cause: cause.stage.order)


def _explains(finding: Finding, symptoms: list[Finding]) -> bool:
    """Whether the finding's cause is behind these symptoms: one of their stage, or one that a service's log names."""
    cause = finding.cause
    if cause is None or cause.id == SYMPTOM:
        return False
    stages = {symptom.cause.stage for symptom in symptoms if symptom.cause}
    return cause.stage in stages or any(f"names {cause.id}:" in symptom.seen for symptom in symptoms)


def _place(finding: Finding) -> tuple[int, int]:
    if finding.cause is None:
        return len(Stage), 0
    return finding.cause.stage.order, list(Severity).index(finding.cause.severity)


@dataclass
class Run:
    """All that one run learnt. ``hosts`` in the order they were asked for.

    ``failures`` and ``errors`` count tests that gave no finding (they are not about a host) and failed.
    """

    info: RunInfo
    hosts: dict[str, HostState] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    failures: int = 0
    errors: int = 0
    waivers: list[WaiverReview] = field(default_factory=list)
    tolerance: Tolerance = NONE_TOLERATED
    #: names of hosts that are to be compared: the one under judgement, and its baseline
    compared: list[tuple[str, str]] = field(default_factory=list)
    changes: Changes | None = None
    #: names of hosts of which not every test was judged
    unfinished: list[str] = field(default_factory=list)

    @property
    def incomplete(self) -> str:
        """What a reader must know first of a run that did not come to its end; empty for one that did."""
        if not self.unfinished:
            return ""
        named = ", ".join(self.unfinished[:5]) + (" …" if len(self.unfinished) > 5 else "")
        done = len(self.hosts) - len(self.unfinished)
        return f"INCOMPLETE: {done} of {len(self.hosts)} hosts were judged; missing: {named}"

    def reports(self) -> list[HostReport]:
        """One report per host, in the order of :attr:`hosts`."""
        of_host: dict[str, list[Finding]] = {name: [] for name in self.hosts}
        for finding in self.findings:
            of_host.setdefault(finding.host, []).append(finding)
        return [HostReport(self.hosts.get(name, HostState(name)), tuple(findings)) for name, findings in of_host.items()]

    def causes(self) -> list[Cause]:
        return causes_of(self.findings)

    def counts(self) -> dict[State, int]:
        """How many findings are in each state; every state is there, the worst first."""
        counted = Counter(finding.state for finding in self.findings)
        return {state: counted[state] for state in State}

    def answers(self) -> dict[Answer, int]:
        """How many hosts give each answer, the worst first; answers that no host gave are left out."""
        counted = Counter(report.answer for report in self.reports())
        return {answer: counted[answer] for answer in Answer if counted[answer]}

    def matrix(self) -> dict[tuple[str, str], State]:
        """The worst state per (host name, cause id)."""
        worst: dict[tuple[str, str], State] = {}
        for finding in self.findings:
            if finding.cause is not None:
                cell, state = (finding.host, finding.cause.id), finding.state
                if cell not in worst or state.order < worst[cell].order:
                    worst[cell] = state
        return worst

    def exit_status(self, pytest_status: int) -> int:
        """The run's exit status, from what was found and from pytest's own."""
        if pytest_status == _PYTEST_NOTHING_COLLECTED:
            if not self.findings:  # a resumed run may have nothing left to do
                return ExitStatus.USAGE
            pytest_status = ExitStatus.HEALTHY
        if pytest_status not in (ExitStatus.HEALTHY, ExitStatus.PRESENT):
            return pytest_status
        counted = self.counts()
        if counted[State.PRESENT] or self.failures:
            return ExitStatus.PRESENT
        unknown = {finding.host for finding in self.findings if finding.state is State.UNDETERMINED}
        unknown |= {name for name, host in self.hosts.items() if not host.reached}
        if (
            self.errors
            # whatever is tolerated: a run that saw nothing to be absent, and could not see something, is not green
            or (not (counted[State.ABSENT] or counted[State.WAIVED]) and (bool(unknown) or not self.findings))
            or self.unfinished
            or not self.tolerance.allows(len(unknown), len(self.hosts))
            or (pytest_status and not unknown)
        ):
            return ExitStatus.INCOMPLETE
        return ExitStatus.HEALTHY
