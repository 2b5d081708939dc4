"""One crash of one host, step by step. Each step is done once, when it is first asked for, after those before it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from .. import open_dump, vmcore
from ..bytesource import LocalFile
from ..fact import Fact
from ..parsers.dump import Dump, State
from ..parsers.opened_dump import Opened, of_crash
from ..parsers.unreadable import Unreadable
from ..transcript import Reading
from ..verdict import CouldNotDetermine, NotApplicable
from . import asks, steps
from .asks import File
from .console import Event, Kind, Lines, classify, plain
from .machine import Clock, Console, Host
from .record import Record, Store
from .steps import DeadEnd, Step
from .trigger import Trigger
from .watch import Ended, Limits, Observation, Watch

T = TypeVar("T")
Said = tuple[tuple[str, str], ...]
"""What ``crash_log`` said: (kind, words)."""
ASK = 60.0
LOOK = 15.0
#: seconds; the host answers again before everything is mounted, and before the capture kernel is loaded for the next crash
LOADED = 300.0
SETTLED = 15.0
_PAUSE = 1.0
#: seconds; no console rests for so long in the middle of a line, unless its machine does
_SILENCE = 10.0
_CARD_RESET = 0x20  # WDIOF_CARDRESET, include/uapi/linux/watchdog.h: the watchdog reset the machine
_MOST_COPIED = 8 << 30
_MOST_DUMPS = 8
#: seconds that a clock may be set back by between the mark and the crash; no machine crashes, boots and is marked in less
_CLOCK_STEP = 10
_ALMOST_NOTHING = 1 << 20
_MIB = 1 << 20


@dataclass(frozen=True)
class Result:
    """How a step ended. ``seen`` in words, one line first. A step that did not ``happen`` is where the crash ended."""

    happened: bool
    seen: str


@dataclass
class Setting:
    """How a crash is done. ``folder``: where dumps go, "" for where the host's own configuration says. ``vmlinux``: on the
    controller. ``preflight`` says why the host must not be crashed, or raises CouldNotDetermine. ``own_boot_id``: of the
    kernel that this runs on, "" where it has none: whatever name it is reached by, it is not crashed. ``here``: this machine,
    whose makedumpfile is asked of dumps that lie where there is none."""

    trigger: Trigger
    limits: Limits
    folder: str = ""
    vmlinux: Path | None = None
    watchdogs: Mapping[str, float] = field(default_factory=dict)
    nmi: Callable[[], None] | None = None
    command: Callable[[str], str] | None = None
    own_boot_id: str = ""
    preflight: Callable[[], tuple[str, ...]] = lambda: ()
    here: Host | None = None


@dataclass(frozen=True)
class Opening:
    """What a tool said of the dump. ``log``: the words among which the kernel log is, None where they are not all there."""

    tool: str
    opened: Opened
    log: str | None = None

    @classmethod
    def of_crash(cls, text: str) -> Opening:
        opened = of_crash(text)
        return cls("crash", opened, text if opened.log_lines and len(text) < asks.MOST_OPENED else None)


class Crash:
    """:meth:`reach` a step. The host is asked by ``host``, the place where its dumps can be seen by ``place``."""

    def __init__(
        self,
        record: Record,
        setting: Setting,
        *,
        host: Host,
        place: Host,
        console: Callable[[int | None], Console | None],
        store: Store,
        clock: Clock,
    ) -> None:
        self.record, self._setting, self._store, self._clock = record, setting, store, clock
        self._host, self._place, self._open_console = host, place, console
        self._console: Console | None = None
        self._lines = Lines()
        self._heard_at = 0.0
        self._cut_off = ""
        """The line in whose middle the console fell silent."""
        self._said = ""
        """What became of the trigger, where that is known."""
        self._watch: Watch | None = None
        self._results: dict[Step, Result | Exception] = {}
        self._took: dict[Step, float] = {}
        self._dump: Dump | None = None
        self._file: File | None = None
        self._tried = False
        self._opening: Opening | None = None
        self._cannot_open: CouldNotDetermine | None = None
        self.ended: Ended | None = None
        self.tail: list[str] = []
        """The console's last lines of the two kernels."""
        self.resumed = record.pending

    # -- the steps, in order ---------------------------------------------------------------------------------------

    def reach(self, step: Step) -> Result:
        """What became of a step. Raises :class:`NotApplicable` where the crash did not come so far, or nobody could look,
        and :class:`CouldNotDetermine`."""
        for one in list(Step)[: step.order + 1]:
            if one not in self._results:
                self._results[one] = self._try(one)
        outcome = self._results[step]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @property
    def proven(self) -> bool:
        """A whole dump of this very crash lies there."""
        wanted = (self._results.get(step) for step in (Step.FOUND, Step.COMPLETE, Step.OURS))
        opens = self._results.get(Step.OPENS)
        fine = all(isinstance(result, Result) and result.happened for result in wanted)
        return fine and not (isinstance(opens, Result) and not opens.happened)

    def close(self) -> None:
        if self._console is not None:
            self._console.close()
            self._console = None

    def _try(self, step: Step) -> Result | Exception:
        stopped = next((one for one, result in self._results.items() if self._stops(one, result)), None)
        if stopped is not None:
            if self.record.fired is None:
                return NotApplicable("the host was not crashed")
            why = self.ended.dead_end.name if self.ended else f"it could not be told how the step '{stopped}' ended"
            return NotApplicable(f"the crash did not come so far: {why}")
        began = self._clock.now()
        try:
            result: Result = getattr(self, f"_{step.name.lower()}")()
        except (CouldNotDetermine, NotApplicable) as reason:
            return reason
        finally:
            self._took[step] = self._clock.now() - began
            if step is Step.OURS:  # whatever it says, nothing more can be learnt by looking again
                self.record.concluded = True
            if self.record.fired is not None:
                self._save()
        if result.happened:
            self.record.reached.setdefault(step, self._clock.now())
            return result
        self._conclude(result.seen.partition("\n")[0])
        if self.ended is not None and self.ended.dead_end is steps.NEVER_WENT_DOWN:  # it did not crash: nothing is proven
            return CouldNotDetermine(result.seen)
        return result

    @staticmethod
    def _stops(step: Step, result: Result | Exception) -> bool:
        if isinstance(result, Result):
            return not result.happened
        return step in (Step.PREFLIGHT, Step.MARK, Step.TRIGGER, Step.DOWN, Step.BACK, Step.FOUND)

    def _save(self) -> None:
        if self._watch is not None:
            for step, at in self._watch.reached.items():
                self.record.reached[step] = at
        self._store.save(self.record)

    def _conclude(self, end: str) -> None:
        """Followed to its end. A machine that never came back may still hold a dump: that record stays open."""
        self.record.end = end
        self.record.concluded = self.ended is None or self.ended.dead_end not in _MAY_STILL_COME
        if self.record.fired is not None:
            self._save()

    def _dead(self, ended: Ended) -> Result:
        self.ended = ended
        return Result(False, ended.sentence)

    def _dead_end(self, dead_end: DeadEnd, seen: str) -> Result:
        return self._dead(Ended(dead_end, seen, self._clock.now()))

    def _preflight(self) -> Result:
        if self.resumed:
            return Result(True, f"resumed: the crash of {_date(self.record.fired)} is looked for, nothing is crashed")
        reasons = self._setting.preflight()
        if not reasons:
            if self._ask(self._host, asks.BootId) == self._setting.own_boot_id:
                reasons = ("it runs on the very kernel that this suite runs on, which would have to watch it",)
            else:
                trigger = self._setting.trigger
                if trigger.kind == "nmi" and self._setting.nmi is not None:
                    trigger = Trigger("nmi", "console")
                reasons = self._ask(self._host, asks.ready(trigger))
        if reasons:  # what a crash would leave is not known then
            raise CouldNotDetermine("not crashed: " + "; ".join(reasons))
        self._wait_until_loaded()
        return Result(True, "nothing speaks against a crash")

    def _wait_until_loaded(self) -> None:
        """After a crash the host answers before the capture kernel is loaded again."""
        if self.record.cycle == 1:
            return
        until = self._clock.now() + LOADED
        while not self._ask(self._host, asks.Loaded):
            if self._clock.now() > until:
                raise CouldNotDetermine(
                    f"no capture kernel is loaded {LOADED:.0f} s after the machine came back: not crashed again"
                )
            self._clock.sleep(_PAUSE)

    def _mark(self) -> Result:
        record = self.record
        if self.resumed:
            return Result(True, f"resumed: the mark is {record.token}")
        self._console = self._open_console(None)
        folder = self._setting.folder
        of_host: list[Fact[Any]] = [asks.BootId, asks.bootstatus()]
        of_place: list[Fact[Any]] = [asks.listing(folder), asks.space(folder)]
        if self._place is self._host:  # each question is a connection
            said = lies = self._host.ask([*of_host, *of_place], ASK)
        else:
            said, lies = self._host.ask(of_host, ASK), self._place.ask(of_place, ASK)
        record.boot_id, record.bootstatus = asks.BootId.of(said), asks.bootstatus().of(said)
        listed, record.free = asks.listing(folder).of(lies), asks.space(folder).of(lies)
        record.before = {path: [file.size, file.changed, file.born] for path, file in listed.items()}
        record.watchdogs = dict(self._setting.watchdogs)
        marked = self._ask(self._host, asks.mark(record.token), ASK + 60)
        if not marked.kept:
            raise CouldNotDetermine(
                "the kernel log does not keep what is written into /dev/kmsg (printk.devkmsg=off?): not crashed"
            )
        record.host_clock, record.stamp = marked.clock, marked.stamp
        there = f"{len(listed)} files lie where dumps go, {record.free / _MIB:.0f} MiB are free"
        return Result(True, f"{record.token} stands in the kernel log; {there}")

    def _trigger(self) -> Result:
        record, setting = self.record, self._setting
        if self.resumed:
            assert record.fired is not None
            record.end = ""  # of the run that gave up
            self._console = self._open_console(record.console_offset)
            self._begin_watch(record.fired)
            return Result(True, f"resumed: {record.trigger} was fired at {_date(record.fired)}; it is not fired again")
        if self._console is not None:
            while self._console.read():
                pass  # what a command repeats of the past is no story of this crash
            record.console_offset = self._console.offset
        record.fired = began = self._clock.now()
        self._store.save(record)  # from here on the host counts as crashed, whatever happens to us
        said = ""
        if setting.trigger.kind == "nmi" and setting.nmi is not None:
            setting.nmi()
        elif setting.trigger.kind == "command" and setting.command is not None:
            said = setting.command(setting.trigger.argument)
        else:
            said = self._host.fire(asks.fire(record.token, record.boot_id, setting.trigger), ASK)
        self._said = said
        if said.startswith("the host refused"):
            return self._dead_end(steps.NEVER_WENT_DOWN, said)
        self._begin_watch(began)
        return Result(True, f"{setting.trigger}, fired once{f'; {said}' if said else ''}")

    def _begin_watch(self, fired: float) -> None:
        limits = self._setting.limits
        if self.resumed:  # the controller was away: the deadlines count from now
            fired = self._clock.now()
        self._watch = Watch(self.record.boot_id, fired, limits, self._console is not None, self._place is not self._host)
        known = {Step(step): at for step, at in self.record.reached.items()}
        self._watch.reached.update({step: at for step, at in known.items() if step in (Step.DOWN, Step.CAPTURE, Step.DUMPING)})

    def _down(self) -> Result:
        return self._watched(Step.DOWN, "it panicked or stopped answering")

    def _capture(self) -> Result:
        if self._console is None:
            raise NotApplicable("no console is followed (--console=HOST=FILE): what the capture kernel left will tell")
        return self._watched(Step.CAPTURE, "the console shows the capture kernel's command line")

    def _dumping(self) -> Result:
        if self._console is None and self._place is self._host:
            raise NotApplicable(
                "no console is followed, and the dump lies on the machine that is down: nobody can watch it grow "
                "(--console=HOST=FILE, --crash-dumps=HOST=FOLDER)"
            )
        return self._watched(Step.DUMPING, "the dump is being written")

    def _back(self) -> Result:
        return self._watched(Step.BACK, "another boot answers")

    def _watched(self, step: Step, words: str) -> Result:
        watch = self._watch
        assert watch is not None
        while step not in watch.reached and not watch.done:
            watch.see(self._observe(watch))
            if step not in watch.reached and not watch.done:
                self._clock.sleep(_PAUSE)
        if watch.ended is not None and step not in watch.reached:
            said = self._why_it_stayed_up() if watch.ended.dead_end is steps.NEVER_WENT_DOWN else ""
            return self._dead(replace(watch.ended, seen=f"{watch.ended.seen}; {said}" if said else watch.ended.seen))
        if step not in watch.reached:
            raise NotApplicable(f"{self._unseen()}: what was left behind will tell")
        return Result(True, f"{words} {watch.reached[step] - self._fired():.0f} s after the trigger")

    def _why_it_stayed_up(self) -> str:
        """In the trigger's own words, where it left any."""
        with suppress(CouldNotDetermine):
            if words := self._ask(self._host, asks.said(self.record.token)):
                return f"the trigger said: {words}"
        return self._said

    def _unseen(self) -> str:
        if self._console is None:
            return "nothing was seen to grow before the machine was back"
        if self._console.lost:
            return self._console.lost
        return "the console did not show it" if self.tail else "the console said nothing"

    def _observe(self, watch: Watch) -> Observation:
        events, heard = [], False
        now = self._clock.now()
        if self._console is not None:
            while data := self._console.read():
                heard = True
                for line in self._lines.feed(data):
                    if not watch.over:
                        self.tail = [*self.tail[-199:], plain(line)]
                    event = classify(line, now)
                    if event is not None:
                        events.append(event)
            if heard:
                self._heard_at = now
            elif (event := self._said_and_no_more(now)) is not None:
                events.append(event)
            if self._console.lost and watch.console:
                watch.console = False
                self.tail.append(f"[{self._console.lost}]")
        size = None
        if self._place is not self._host and Step.DOWN in watch.reached:
            size = sum(file.size for _, file in self._new_files())
        look = self._host.look(LOOK)
        return Observation(self._clock.now(), look.answer, look.asked, tuple(events), heard, size)

    def _said_and_no_more(self, now: float) -> Event | None:
        """What the line says in whose middle a machine stopped. Not that it boots: the end of that line would tell which
        kernel does."""
        line = self._lines.unfinished
        if line == self._cut_off or now - self._heard_at < _SILENCE:
            return None
        self._cut_off = line
        self.tail.append(plain(line))
        event = classify(line, now)
        return None if event is None or event.kind is Kind.BOOT else event

    def _new_files(self) -> list[tuple[str, File]]:
        """Dumps, finished or not, that were not there at the mark, or changed since."""
        try:
            listed = self._ask(self._place, asks.listing(self._setting.folder))
        except CouldNotDetermine:
            if self._place is self._host:
                raise
            return []
        before = self.record.before
        fresh = [(path, file) for path, file in listed.items() if before.get(path) != [file.size, file.changed, file.born]]
        return [(path, file) for path, file in fresh if _is_dump(path)]

    def _found(self) -> Result:
        self._settle()
        fresh = self._new_files()
        whole = [(path, file) for path, file in fresh if "incomplete" not in path.rpartition("/")[2]]
        if not whole:
            ended = self._without_dump()
            if fresh and ended.dead_end in (steps.NO_DUMP, steps.DUMP_FAILED):
                path, file = max(fresh, key=lambda one: one[1].size)
                ended = Ended(steps.DUMP_UNFINISHED, f"{path} was begun and never finished, {file.size} bytes", ended.at)
            return self._dead(ended)
        whole.sort(key=lambda one: (one[1].changed or 0.0, one[1].size), reverse=True)
        path, self._file = next(filter(self._holds_the_mark, whole[:_MOST_DUMPS]), whole[0]) if len(whole) > 1 else whole[0]
        self.record.dump = path
        others = f"; {len(whole) - 1} more came since the mark" if len(whole) > 1 else ""
        return Result(True, f"{path}, {self._file.size / _MIB:.1f} MiB{others}")

    def _holds_the_mark(self, one: tuple[str, File]) -> bool:
        """Other machines may save their dumps in the same place, and this one may have crashed again since."""
        try:
            said = self._ask(self._place, asks.log(one[0], self.record.token), 180)
        except CouldNotDetermine:
            return False
        return any(kind in ("dump", "beside") for kind, _ in said)

    def _settle(self) -> None:
        """The machine is back, but may still be checking and mounting the disk that dumps go to."""
        began = self._clock.now()
        while not self._seen_fresh():
            waited = self._clock.now() - began
            if waited >= LOADED or (waited >= SETTLED and not self._booting()):
                return
            self._clock.sleep(_PAUSE)

    def _booting(self) -> bool:
        try:
            return self._ask(self._host, asks.Booting)
        except CouldNotDetermine:
            return False

    def _seen_fresh(self) -> bool:
        try:
            return bool(self._new_files())
        except CouldNotDetermine:
            return False

    def _without_dump(self) -> Ended:
        assert self._watch is not None
        flagged = ""
        try:
            for path, flags in self._ask(self._host, asks.bootstatus()).items():
                if flags & _CARD_RESET and not self.record.bootstatus.get(path, 0) & _CARD_RESET:
                    flagged = f"{path} is {flags}: the watchdog says that it reset the machine"
        except CouldNotDetermine:
            pass  # the console and the timers that ran still tell
        ended = self._watch.without_dump(self._clock.now(), flagged, self.record.watchdogs)
        return self._full() or ended if ended.dead_end in (steps.NO_DUMP, steps.DUMP_FAILED) else ended

    def _full(self) -> Ended | None:
        """Whether there is no room left where dumps go: where no console was followed, nothing else tells."""
        try:
            left = self._ask(self._place, asks.space(self._setting.folder))
        except CouldNotDetermine:
            return None
        if left >= _ALMOST_NOTHING:
            return None
        seen = f"{left >> 10} KiB are free where dumps go, and {self.record.free / _MIB:.0f} MiB were before the crash"
        return Ended(steps.DISK_FULL, seen, self._clock.now())

    def _complete(self) -> Result:
        dump = self._dump = self._ask(self._place, asks.evidence(self.record.dump), ASK)
        if dump.complete.state is State.INCOMPLETE:
            ended = self._without_dump()
            if ended.dead_end not in (steps.DISK_FULL, steps.WATCHDOG_RESET, steps.DUMP_FAILED):
                ended = Ended(steps.DUMP_UNFINISHED, "", ended.at)
            why = f"{dump.complete.reason}, {dump.size} bytes on disk"
            seen = f"{self.record.dump}: {why}" + (f" ({ended.seen})" if ended.seen else "")
            return self._dead_end(ended.dead_end, seen)
        if dump.complete.state is State.CANNOT_TELL:
            raise CouldNotDetermine(f"{self.record.dump}: {dump.complete.reason}")
        return Result(True, f"{dump.format}: {dump.complete.reason}")

    def _ours(self) -> Result:
        record, dump = self.record, self._dump
        said = self._ask(self._place, asks.log(record.dump, record.token, record.stamp), 180)
        if (line := _words(said, "dump")) is not None:
            return Result(True, f"the mark is in the dump's own log, read by makedumpfile: {line}")
        crashed = dump.crash_time.timestamp() if dump is not None and dump.crash_time else None
        if crashed is not None and crashed < record.host_clock - _CLOCK_STEP:
            seen = (
                f"{record.dump} says that it crashed at {_date(crashed)}, and the host was marked at {_date(record.host_clock)}"
            )
            return self._dead_end(steps.OTHER_CRASH, seen)
        with suppress(CouldNotDetermine):  # that is for the next step to tell
            opening = self._opened()
            if opening is not None and opening.log is not None:
                if record.token in opening.log:
                    return Result(True, f"the mark is in the dump's own log, read by {opening.tool}")
                if not _begins_after(opening.log, record.stamp):
                    return self._dead_end(steps.OTHER_CRASH, f"the mark {record.token} is not in the log of {record.dump}")
        if _words(said, "unreadable") is not None:
            said = self._read_here(said)
            if (line := _words(said, "dump")) is not None:
                return Result(True, f"the mark is in the dump's own log, read by the makedumpfile of this machine: {line}")
        if ("no-token", "the dump") in said:
            return self._dead_end(steps.OTHER_CRASH, f"the mark {record.token} is not in the log of {record.dump}")
        beside = _words(said, "beside")
        if beside is not None and crashed is not None:
            return Result(
                True,
                f"the mark is in the log that the capture kernel saved with it, and the dump's own time of the crash, "
                f"{_date(crashed)}, fits: {beside}",
            )
        if beside is None and _words(said, "no-token") is not None:
            return self._dead_end(
                steps.OTHER_CRASH, f"the mark {record.token} is not in the log that was saved with {record.dump}"
            )
        reasons = [words for kind, words in said if kind == "unreadable"]
        reasons += [
            f"the log of {words} begins after the mark, what came before was overwritten" for kind, words in said if kind == "cut"
        ]
        why = "; ".join(reasons) or "no log lies beside it"
        raise CouldNotDetermine(f"{record.dump}: whether it is of this crash is unknown: {why}")

    def _read_here(self, said: Said) -> Said:
        """What was said of the dump's log, where the makedumpfile of this machine can read what that of its place cannot."""
        here = self._setting.here
        try:
            if here is None or self._ask(here, asks.Makedumpfile) == "none":
                return said
            with TemporaryDirectory(prefix="kdump-crash-") as folder:
                copy = Path(folder) / "vmcore"
                self._place.copy(self.record.dump, copy, _MOST_COPIED, 600)
                read = self._ask(here, asks.log(str(copy), self.record.token, self.record.stamp), 180)
        except CouldNotDetermine as problem:
            return (*said, ("unreadable", str(problem)))
        if _words(read, "unreadable") is not None:
            return said
        return (*read, *(one for one in said if one[0] != "unreadable"))

    def _opens(self) -> Result:
        opening = self._opened()
        if opening is None:
            raise NotApplicable(
                "crash, or the vmlinux of this kernel, is not on the host; "
                "--crash-vmlinux=PATH, with its debuginfo, opens the dump with the crash or drgn that is installed here"
            )
        tool, opened = opening.tool, opening.opened
        if not opened.readable:
            seen = opened.complaint or f"no panicking task, backtrace and log came out of {tool}"
            return self._dead_end(steps.CANNOT_BE_OPENED, f"{self.record.dump}: {seen}")
        modules = f" and {opened.modules} modules" if tool == "crash" else ""
        return Result(
            True,
            f"{tool} shows the panic ({opened.panic or 'no message'}), task {opened.task}, a backtrace of "
            f"{opened.frames} frames, {opened.log_lines} lines of log{modules}",
        )

    def _opened(self) -> Opening | None:
        """What crash or drgn say of the dump, where it lies or here; None where neither can be tried. Raises
        CouldNotDetermine."""
        if not self._tried:
            self._tried = True
            try:
                self._opening = self._open_there() or self._open_here()
            except CouldNotDetermine as problem:
                self._cannot_open = problem
        if self._cannot_open is not None:
            raise self._cannot_open
        return self._opening

    def _open_there(self) -> Opening | None:
        if self._dump is None or self._ask(self._place, asks.Crash) == "none":
            return None
        for one in self._ask(self._place, asks.Vmlinux):
            if one.image is not None and vmcore.match(self._dump, one.image).matches:
                return Opening.of_crash(self._ask(self._place, asks.opened(self.record.dump, one.path), 300))
        return None

    def _open_here(self) -> Opening | None:
        vmlinux = self._setting.vmlinux
        if vmlinux is None or self._dump is None:
            return None
        with TemporaryDirectory(prefix="kdump-crash-") as folder:
            copy = Path(folder) / "vmcore"
            try:
                with LocalFile(str(vmlinux)) as source:
                    matched = vmcore.match(self._dump, vmcore.read_vmlinux(source, [self._dump]))
                if matched.matches is False:
                    raise CouldNotDetermine(f"{vmlinux} is not of this kernel: {matched.reason}")
                self._place.copy(self.record.dump, copy, _MOST_COPIED, 600)
                tools = open_dump.tools_here()
                opening = Opening.of_crash(open_dump.output_of_crash(copy, vmlinux)) if tools != ["drgn"] else None
                if opening is None or (not opening.opened.readable and "drgn" in tools):  # a crash older than the kernel
                    opening = Opening("drgn", open_dump.open_dump(copy, vmlinux, tool="drgn"))
                return opening
            except (Unreadable, open_dump.CannotOpen) as problem:
                raise CouldNotDetermine(f"{self.record.dump}: {problem}") from problem

    # -- what took how long ----------------------------------------------------------------------------------------

    def durations(self) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """Seconds: since the trigger, of each step that the machine made; and what each step of ours took."""
        fired = self.record.fired
        if fired is None:
            return [], []
        seen = self._watch.reached if self._watch is not None else {}
        theirs = [(step.value, seen[step] - fired) for step in Step if step in seen]
        if self.ended is not None:
            theirs.append((self.ended.dead_end.name, self.ended.at - fired))
        ours = [(step.value, took) for step, took in self._took.items() if step not in _OF_THE_MACHINE]
        return theirs, ours

    def rate(self) -> str:
        """How fast the dump was written, and how that is known."""
        if self._file is None:
            return ""
        begun = self._watch.symptoms.get(Kind.DUMP_BEGINS) if self._watch else None
        saved = self._watch.symptoms.get(Kind.SAVED) if self._watch else None
        if begun and saved and begun.stamp is not None and saved.stamp is not None and saved.stamp > begun.stamp:
            seconds, source = saved.stamp - begun.stamp, "by the console's time stamps"
        elif self._file.born and self._file.changed and self._file.changed > self._file.born:
            seconds, source = self._file.changed - self._file.born, "by the times of the file"
        else:
            return ""
        size = self._file.size / _MIB
        return f"{size:.1f} MiB in {seconds:.1f} s, {size / seconds:.1f} MiB/s ({source})"

    def budget(self) -> str:
        """How often a dump fits into the time-outs of the hardware watchdogs."""
        needed = self._needed()
        if needed is None or not self.record.watchdogs:
            return "" if needed is None else "no hardware watchdog runs"
        return ", ".join(
            f"{name}: {seconds:.0f} s ÷ {needed:.0f} s = {seconds / needed:.1f}"
            for name, seconds in self.record.watchdogs.items()
        )

    def _needed(self) -> float | None:
        """Seconds from the panic until the dump was saved, or else until the machine was back."""
        if self.resumed:  # it was back, or not, before anybody looked
            return None
        if self._watch is None or self._file is None or Step.DOWN not in self._watch.reached:
            return None
        saved = self._watch.symptoms.get(Kind.SAVED)
        end = saved.at if saved else self._watch.reached.get(Step.BACK)
        return None if end is None else max(end - self._watch.reached[Step.DOWN], 1.0)

    def evidence(self) -> tuple[Reading, ...]:
        """The console's last lines."""
        return (Reading("serial console", "\n".join(self.tail[-60:]), "", 0),) if self.tail else ()

    def _fired(self) -> float:
        assert self.record.fired is not None
        return self.record.fired

    @staticmethod
    def _ask(remote: Host, fact: Fact[T], deadline: float = ASK) -> T:
        return fact.of(remote.ask([fact], deadline))


def new_record(host: str, trigger: Trigger, cycle: int) -> Record:
    """With a token that no log holds yet."""
    return Record(host, f"crash-{secrets.token_hex(12)}", str(trigger), cycle)


def _words(said: Said, kind: str) -> str | None:
    return next((words for one, words in said if one == kind), None)


def _begins_after(log: str, stamp: float | None) -> bool:
    """Whether the log has lost its lines of that second of the kernel."""
    first = re.search(r"^\[\s*(\d+\.\d+)\]", log, re.MULTILINE)
    return stamp is not None and first is not None and float(first[1]) > stamp


def _is_dump(path: str) -> bool:
    return "dmesg" not in path.rpartition("/")[2] and not path.endswith((".txt", ".log", ".status"))


def _date(at: float | None) -> str:
    return datetime.fromtimestamp(at or 0, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


_OF_THE_MACHINE = (Step.DOWN, Step.CAPTURE, Step.DUMPING, Step.BACK)
#: the machine stands still, or is still at it: a dump may lie there after somebody reset it
_MAY_STILL_COME = (
    steps.NEVER_CAME_BACK,
    steps.CAPTURE_SILENT,
    steps.OUT_OF_MEMORY,
    steps.DISK_MISSING,
    steps.EMERGENCY_SHELL,
    steps.CAPTURE_PANIC,
    steps.DUMP_STALLED,
)
