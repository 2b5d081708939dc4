"""From the trigger until the machine is back: what was observed, and what that means. A pure state machine with a clock.

The clock is the time in each observation, in seconds since the epoch; nothing here waits or asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import steps
from .console import Event, Kind
from .steps import DeadEnd, Step


@dataclass(frozen=True)
class Limits:
    """Seconds. ``down``: from the trigger until the machine stops answering. ``settle``: how long a capture kernel that
    cannot go on may still reboot by itself. ``stall``: without growth or a word while dumping. ``back``: from the trigger
    until the machine answers again."""

    down: float = 90.0
    settle: float = 60.0
    stall: float = 300.0
    back: float = 1800.0


@dataclass(frozen=True)
class Answer:
    """What the machine said when it was asked. ``capturing``: it is the capture kernel that answered."""

    boot_id: str
    capturing: bool = False


@dataclass(frozen=True)
class Observation:
    """One look. ``answer`` is None where the machine did not answer, or was not asked (``asked``). ``heard``: the console
    printed something. ``size``: bytes of new dumps, where the place that they go to can be seen while the machine is down."""

    at: float
    answer: Answer | None = None
    asked: bool = True
    events: tuple[Event, ...] = ()
    heard: bool = False
    size: int | None = None


@dataclass(frozen=True)
class Ended:
    """A dead end, and what was seen of it."""

    dead_end: DeadEnd
    seen: str
    at: float

    @property
    def sentence(self) -> str:
        return self.dead_end.sentence(self.seen)


_FATAL = {Kind.OOM: steps.OUT_OF_MEMORY, Kind.NO_DISK: steps.DISK_MISSING, Kind.SHELL: steps.EMERGENCY_SHELL}
#: what is said by nobody who does not read /proc/vmcore
_ONLY_A_CAPTURE_KERNEL = (Kind.DUMP_BEGINS, Kind.PROGRESS, Kind.SAVED)
_MIB = 1 << 20


@dataclass
class Watch:
    """Feed it with :meth:`see`. ``reached``: when each step was; ``ended``: the dead end, if one was met."""

    boot_id: str
    triggered: float
    limits: Limits
    console: bool = False
    place: bool = False
    """The place of the dumps can be seen while the machine is down."""
    reached: dict[Step, float] = field(default_factory=dict)
    ended: Ended | None = None
    symptoms: dict[Kind, Event] = field(default_factory=dict)
    """The first event of each kind since the trigger, the console's story."""
    reset: Event | None = None
    """The boot that came while the capture kernel had not said that it restarts."""
    size: int = 0
    percent: float | None = None
    _missed: int = 0
    _still_up: float = -1.0
    """When the marked boot was last seen to answer."""
    _spoke: float = field(init=False)
    _grew: float = field(init=False)
    _capture_panic: Event | None = None
    _last_event: Event | None = None
    _unnamed: bool = False
    """A capture kernel began to boot, whose command line will not tell that it is one."""

    def __post_init__(self) -> None:
        self._spoke = self._grew = self.triggered  # whoever takes over a dump that has begun has not watched it stand still

    @property
    def done(self) -> bool:
        return self.ended is not None or Step.BACK in self.reached

    @property
    def over(self) -> bool:
        """What the console prints now is of the next boot, or the end of the one before."""
        return self.reset is not None or Kind.REBOOT in self.symptoms or Kind.BOOT in self.symptoms

    def see(self, seen: Observation) -> None:
        if self.done:
            return
        if seen.heard:
            self._spoke = seen.at
        for event in seen.events:
            self._hear(event)
        if seen.size is not None and seen.size > self.size:
            self.size, self._grew = seen.size, seen.at
            self._reach(Step.DUMPING, seen.at)
        if seen.asked:
            self._answer(seen)
        if not self.done:
            self._judge(seen.at)

    def _reach(self, step: Step, at: float) -> None:
        for earlier in (Step.DOWN, step):
            self.reached.setdefault(earlier, at)

    def _hear(self, event: Event) -> None:
        kind, at = event.kind, event.at
        if kind is Kind.BOOT and self._unnamed:  # the command line of the capture kernel that was just seen
            self._unnamed = False
            return
        if kind is Kind.BOOT and Step.CAPTURE in self.reached and Kind.REBOOT not in self.symptoms:
            self.reset = self.reset or event
        if kind in _ONLY_A_CAPTURE_KERNEL and Kind.PANIC in self.symptoms and Kind.BOOT not in self.symptoms:
            self._reach(Step.CAPTURE, at)  # "quiet" hides its command line
        if Step.CAPTURE not in self.reached and kind not in (Kind.PANIC, Kind.CAPTURE_BOOT, Kind.BOOT):
            return  # the first kernel's last words: an OOM that is its panic, a reboot that is none
        if kind is Kind.PANIC:
            if Step.CAPTURE in self.reached:
                self._capture_panic = self._capture_panic or event
            self._reach(Step.DOWN, at)
        elif kind is Kind.CAPTURE_BOOT:
            self._unnamed = "elfcorehdr=" not in event.line
            self._reach(Step.CAPTURE, at)
        elif kind in (Kind.DUMP_BEGINS, Kind.PROGRESS):
            self._reach(Step.DUMPING, at)
            if kind is Kind.DUMP_BEGINS or event.percent != self.percent:
                self._grew = at
            self.percent = self.percent if event.percent is None else event.percent
        if self.reset is None:  # what the next boot says is another story
            self.symptoms.setdefault(kind, event)
            self._last_event = event

    def _answer(self, seen: Observation) -> None:
        if seen.answer is None:
            self._missed += 1
            if self._missed == 2:
                self.reached.setdefault(Step.DOWN, self._last_sign())
        elif seen.answer.boot_id != self.boot_id and not seen.answer.capturing:
            self.reached.setdefault(Step.DOWN, self._last_sign())
            self._reach(Step.BACK, seen.at)
        elif seen.answer.boot_id == self.boot_id:
            self._missed, self._still_up = 0, seen.at
            if not self.symptoms:  # it was merely slow to answer
                self.reached.pop(Step.DOWN, None)

    def _last_sign(self) -> float:
        """When the marked boot was last known to run: where nothing tells when it went down, the earliest that can be."""
        return max(self.triggered, self._still_up)

    def _judge(self, at: float) -> None:
        if Step.DOWN not in self.reached:
            waited = at - self.triggered
            # a question that is under way for half a minute is no answer: the machine may be down
            if waited >= self.limits.down and self._still_up == at:
                self._end(steps.NEVER_WENT_DOWN, f"it still answers {waited:.0f} s after the trigger", at)
            elif waited >= self.limits.back:
                self._end(*self._given_up(), at)
            return
        quiet = at - max(self._spoke, self._grew)
        fatal = self._fatal()
        patience = self.limits.stall if Step.DUMPING in self.reached else self.limits.settle
        if fatal is not None and self.reset is None and quiet >= patience:
            self._end(fatal[0], f"{fatal[1]} (and nothing more for {quiet:.0f} s: it waits for a reset)", at)
        elif self._stalled(at):
            self._end(steps.DUMP_STALLED, f"{self._far()}, and nothing for {at - self._grew:.0f} s", at)
        elif at - self.triggered >= self.limits.back:
            self._end(*self._given_up(), at)

    def _stalled(self, at: float) -> bool:
        dumping = Step.DUMPING in self.reached and Kind.SAVED not in self.symptoms and Kind.REBOOT not in self.symptoms
        return dumping and self.reset is None and at - max(self._grew, self._spoke) >= self.limits.stall

    def _far(self) -> str:
        far = f"at {self.size / _MIB:.0f} MB" if self.place else ""
        return far or (f"at {self.percent:g} %" if self.percent is not None else "after it had begun")

    def _fatal(self) -> tuple[DeadEnd, str] | None:
        """What keeps the capture kernel from saving a dump, in its own words."""
        for kind, dead_end in _FATAL.items():
            if kind in self.symptoms:
                return dead_end, f"the capture kernel says: {self.symptoms[kind].line}"
        if self._capture_panic is not None:
            return steps.CAPTURE_PANIC, f"the capture kernel says: {self._capture_panic.line}"
        return None

    def _given_up(self) -> tuple[DeadEnd, str]:
        fatal = self._fatal()
        if fatal is not None:
            return fatal
        waited = f"no answer {self.limits.back:.0f} s after the trigger"
        if self.console and Kind.PANIC in self.symptoms and Step.CAPTURE not in self.reached:
            return steps.CAPTURE_SILENT, f"the console shows the panic and nothing of a capture kernel; {waited}"
        return steps.NEVER_CAME_BACK, f"{waited}{self._last()}"

    def _last(self) -> str:
        if self._last_event is not None:
            saved = "; the console says that a dump was saved" if Kind.SAVED in self.symptoms else ""
            return f"{saved}; the console's last known word: {self._last_event.line}"
        return "" if self.console else "; no console was followed, so how far it came is unknown"

    def _end(self, dead_end: DeadEnd, seen: str, at: float) -> None:
        self.ended = Ended(dead_end, seen, at)

    def without_dump(self, at: float, watchdog: str = "", expiring: Mapping[str, float] | None = None) -> Ended:
        """The machine is back, and there is no whole dump: why. ``watchdog``: what says that a timer reset it, "" where
        nothing does. ``expiring``: the hardware timers that ran before the crash, with their time-outs in seconds."""
        fatal = self._fatal()
        running = ", ".join(f"{name} ({seconds:.0f} s)" for name, seconds in (expiring or {}).items())
        if watchdog:
            return Ended(steps.WATCHDOG_RESET, watchdog, at)
        if fatal is not None:
            return Ended(*fatal, at)
        if Kind.NO_TARGET in self.symptoms:
            return Ended(steps.TARGET_UNREACHABLE, self.symptoms[Kind.NO_TARGET].line, at)
        if Kind.NO_SPACE in self.symptoms:
            return Ended(steps.DISK_FULL, self.symptoms[Kind.NO_SPACE].line, at)
        if Kind.DUMP_FAILED in self.symptoms:
            return Ended(steps.DUMP_FAILED, self.symptoms[Kind.DUMP_FAILED].line, at)
        if self.reset is not None and running:
            after = self.reset.at - self.reached.get(Step.DOWN, self.triggered)
            seen = (
                f"the machine was reset {after:.0f} s after the panic, in the middle of the capture kernel's work; {running} ran"
            )
            return Ended(steps.WATCHDOG_RESET, seen, at)
        if self.reset is not None:
            return Ended(steps.NO_DUMP, "the machine was reset in the middle of the capture kernel's work", at)
        seen = "there is no dump that was not there before"
        if self.console and Kind.PANIC in self.symptoms and Step.CAPTURE not in self.reached:
            return Ended(steps.CAPTURE_SILENT, f"the console shows the panic and nothing of a capture kernel; {seen}", at)
        if running:
            seen += f"; {running} ran when it crashed and may have reset it"
        return Ended(steps.NO_DUMP, seen, at)
