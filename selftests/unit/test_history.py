"""The history file: what goes in comes out, runs are compared, old ones forgotten, foreign files refused."""

import lzma
import os
import signal
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from kdump import fleet
from kdump.history import store as history
from kdump.history.store import BadHistory, Store
from kdump.report.changes import KnownDumps, PastRun, SeenDump, compare
from kdump.report.model import Answer, HostState, Run, State, WaiverReview, WaiverStanding
from kdump.transcript import Reading, Transcript
from selftests.unit.test_report_model import INFO, LOAD, RESERVE, WAIVER, A, N, P, U, finding

OLDER = Path(__file__).with_name("history-of-schema-1.sqlite.xz")
READING = Reading("cat /x", "yes\n<b>", "", 0)
DUMP = SeenDump("db1", "/var/crash/1/vmcore", 5, "2026-01-01T00:00:00+00:00", "Kernel panic - not syncing: sysrq")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "new folder" / "history.sqlite")


def add(store, verdict=P, hosts=("db1",), expected=None, dumps=(), started=INFO.started):
    run = store.begin(replace(INFO, started=started), "selection")
    store.expect(run, expected or hosts, ["tests/test_x.py::test_y"])
    for name in hosts:
        found = [finding(RESERVE, verdict, host=name, evidence=(READING,), waiver=None)]
        store.add_host(run, HostState(name, groups=("web",)), found, Transcript.of([READING]), dumps)
    store.finish(run, 1.5, 1)
    return run


def test_what_goes_in_comes_out(store):
    run = add(store, dumps=[DUMP])
    stored = store.run()
    assert (stored.id, stored.complete, stored.exit_status, stored.expected) == (run, True, 1, ("db1",))
    ((host, findings, transcript, dumps),) = store.hosts(run)
    assert host == HostState("db1", groups=("web",))
    assert findings == [finding(RESERVE, P, evidence=(READING,))]
    assert transcript.readings == {READING.command: READING}
    assert dumps == store.seen_dumps(run) == [DUMP]
    assert store.load(stored).matrix() == {("db1", "no-memory"): State.PRESENT}


def test_a_run_is_complete_when_every_expected_host_is_there(store):
    add(store, expected=["db1", "db2"])
    assert not store.run().complete
    assert store.past("selection", "", 99, 9) == []


def test_a_run_that_was_cut_off_names_whom_it_lacks(store):
    add(store, hosts=("db1", "db2"))
    run = store.load(store.run(add(store, expected=["db1", "db2"])))
    assert (list(run.hosts), run.unfinished) == (["db1", "db2"], ["db2"])
    assert compare(run, store.past("selection", "", 2, 9)).gone == ()  # nobody looked


def test_a_run_that_ended_before_its_hosts_were_known_is_not_complete(store):
    store.finish(store.begin(INFO, "selection"), 1.0, 2)
    assert not store.run().complete
    assert store.past("selection", "", 99, 9) == []


def test_a_run_of_another_process_is_under_way_until_that_ends(store, monkeypatch):
    run = store.begin(INFO, "selection")
    assert not store.run(run).is_running  # it is this process
    monkeypatch.setattr(history.os, "getpid", lambda: 1)
    store.take_up(store.run(run))
    monkeypatch.undo()
    assert store.run(run).is_running
    monkeypatch.setattr(history, "_beginning", lambda pid: "0")
    assert not store.run(run).is_running  # another has its number by now


def test_a_process_that_nobody_collects_is_not_under_way(store, monkeypatch):
    """In a container whose first process is no init, a run that was killed stays a zombie for ever."""
    run = store.begin(INFO, "selection")
    killed = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    monkeypatch.setattr(history.os, "getpid", lambda: killed)
    store.take_up(store.run(run))
    monkeypatch.undo()
    assert store.run(run).is_running
    os.kill(killed, signal.SIGKILL)
    os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)
    try:
        assert not store.run(run).is_running
    finally:
        os.waitpid(killed, 0)


def test_two_cannot_take_up_the_same_run(store):
    stored = store.run(store.begin(INFO, "selection"))
    other = Store(store.path)
    other._connection.execute("UPDATE run SET process = 'another'")
    with pytest.raises(BadHistory, match="resumed a moment ago by somebody else"):
        store.take_up(stored)


def test_retention(store):
    runs = [add(store) for _ in range(5)]
    store.prune("selection", "", keep=3, keep_transcripts=1)
    assert [run.id for run in store.runs()] == runs[:1:-1]
    assert [next(store.hosts(run))[2] is None for run in runs[2:]] == [True, True, False]


@pytest.fixture
def parts(tmp_path):
    """Two shards of one run."""
    paths = [tmp_path / "1.sqlite", tmp_path / "2.sqlite"]
    for number, path in enumerate(paths, 1):
        part = Store(path)
        run = part.begin(INFO, "selection", f"{number}/2")
        part.expect(run, [f"db{number}"], ["test_y"])
        part.add_host(run, HostState(f"db{number}"), [finding(RESERVE, A, host=f"db{number}")], None, ())
        part.finish(run, 1.5, 0)
    return paths


@pytest.mark.hostility(34)
def test_a_shard_that_is_under_way_is_waited_for(parts, monkeypatch, capsys):
    part = Store(parts[1])
    monkeypatch.setattr(history.os, "getpid", lambda: 1)
    part.take_up(part.run())
    monkeypatch.undo()
    assert fleet.main(["merge", *map(str, parts), f"--history={parts[0].with_name('all.sqlite')}"]) == 4
    assert "2.sqlite: shard 2/2 is still under way (process 1): wait for its end" in capsys.readouterr().err


def test_a_history_of_merged_shards_is_bounded(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(fleet, "KEEP", 2)
    whole = tmp_path / "all.sqlite"
    assert [fleet.main(["merge", *map(str, parts), f"--history={whole}"]) for _ in range(4)] == [0] * 4
    assert [len(run.expected) for run in Store(whole).runs()] == [2, 2]


def test_the_fleets_program_is_interrupted_without_a_traceback(store, monkeypatch, capsys):
    def interrupted(*arguments, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(fleet, "Store", interrupted)
    assert (fleet.main(["runs"]), capsys.readouterr().err) == (2, "interrupted\n")


def test_the_last_complete_run_is_never_forgotten_nor_one_under_way(store, monkeypatch):
    complete = add(store)
    running = store.begin(INFO, "selection")
    monkeypatch.setattr(history.os, "getpid", lambda: 1)
    store.take_up(store.run(running))
    monkeypatch.undo()
    for _ in range(3):
        add(store, expected=["db1", "db2"])
    store.prune("selection", "", keep=1, keep_transcripts=1)
    assert {complete, running} < {run.id for run in store.runs()}


def test_a_database_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "cookies.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE cookie (id)")
    for how in ({}, {"read_only": True}):
        with pytest.raises(BadHistory, match=r"cookies\.sqlite holds something else: name another file with --history=FILE"):
            Store(path, **how)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("cookie",)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_file_that_cannot_be_written_can_be_read(store):
    add(store)
    store.close()
    store.path.chmod(0o444)
    assert Store(store.path, read_only=True).run().complete


@pytest.mark.hostility(33)
def test_a_damaged_row_is_named(store):
    run = add(store)
    store._connection.execute("UPDATE host SET findings = x'00'")
    with pytest.raises(BadHistory, match="what is kept of db1 in run 1 is damaged"):
        list(store.hosts(run))


@pytest.mark.hostility(33)
def test_two_at_once(store):
    other = Store(store.path)
    mine, theirs = store.begin(INFO, "selection"), other.begin(INFO, "selection")
    for number in range(20):
        store.add_host(mine, HostState(f"a{number}"), [], None, [])
        other.add_host(theirs, HostState(f"b{number}"), [], None, [])
    assert len(store.finished(mine)) == len(store.finished(theirs)) == 20


@pytest.mark.hostility(33)
@pytest.mark.parametrize("read_only", [True, False])
def test_an_older_file_is_brought_up_to_date(tmp_path, read_only):
    """A real one of two hosts, which the first suite with a history wrote: schema 1, findings packed by zlib, no waivers."""
    path = tmp_path / "history.sqlite"
    path.write_bytes(lzma.decompress(OLDER.read_bytes()))
    older = Store(path, read_only=read_only)
    run = older.load(older.run())
    assert {report.host.name: report.answer for report in run.reports()} == {
        "debian12-healthy": Answer.WOULD_DUMP,
        "debian12-kptr-restrict": Answer.WOULD_NOT_DUMP,
    }
    assert all(finding.evidence for finding in run.findings)
    assert run.waivers == []
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1 if read_only else 2,)
    if not read_only:
        before = add(older, hosts=["debian12-healthy"])
        assert older.past(older.runs()[-1].selection, "", before, 9)[0].hosts == {"debian12-healthy", "debian12-kptr-restrict"}


def test_waivers_are_kept(store):
    run = store.begin(INFO, "selection")
    review = WaiverReview("strings-missing", ("db*",), WAIVER, ("db1",), WaiverStanding.EXPIRES_SOON)
    store.finish(run, 1.0, 0, [review])
    assert store.load(store.run(run)).waivers == [review]


def test_parts_of_a_fleet_are_compared_with_their_own_past(store):
    for shard in ("1/2", "2/2"):
        run = store.begin(INFO, "selection", shard)
        store.add_host(run, HostState(f"of {shard}"), [], None, [])
        store.finish(run, 1.0, 0)
    (one,) = store.past("selection", "1/2", 99, 9)
    assert one.hosts == {"of 1/2"}


def test_selections_that_nobody_asks_for_are_forgotten(store, monkeypatch):
    monkeypatch.setattr(history, "SELECTIONS", 3)
    for number in range(5):
        store.finish(store.begin(INFO, f"selection {number}"), 1.0, 0)
    store.prune("selection 4", "", keep=9, keep_transcripts=9)
    assert [run.selection for run in store.runs()] == ["selection 4", "selection 3", "selection 2"]


@pytest.mark.hostility(33)
def test_a_newer_file_is_refused(store):
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(BadHistory, match="written by a newer suite"):
        Store(store.path)


@pytest.mark.hostility(33)
@pytest.mark.parametrize("content", [b"this is no history" * 100, b""])
def test_another_file(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    if content:
        with pytest.raises(BadHistory, match="cannot be used"):
            Store(path)
    else:  # what sqlite itself makes
        assert Store(path).runs() == []


@pytest.mark.hostility(32)
def test_a_full_disk_is_said_and_loses_nothing_older(store):
    add(store)
    store._connection.execute("PRAGMA max_page_count = 1")  # as many as there are now
    big = Transcript.of([Reading("cat /x", Random(1).randbytes(100_000).hex(), "", 0)])
    with pytest.raises(BadHistory, match="full"):
        store.add_host(store.begin(INFO, "other"), HostState("db2"), [], big, [])
    assert store.runs("selection")[0].complete


DAY = timedelta(1)


def test_a_host_that_floods_does_not_fill_the_disk(store):
    """Night after night it may say 4 MiB; the page that is made later shows what that of the run showed."""
    flood = Transcript.of([replace(READING, text=Random(1).randbytes(2_000_000).hex()), Reading("cat /y", "1", "", 0)])
    found = finding(RESERVE, P, evidence=tuple(flood.shown().values()))
    run = store.begin(INFO, "all")
    store.add_host(run, HostState("db1"), [found], flood, ())
    before = store.path.stat().st_size
    ((host, kept, transcript, dumps),) = store.hosts(run)
    assert kept == [found]
    store.add_host(run, host, kept, transcript, dumps)
    ((_, again, _, _),) = store.hosts(run)
    assert again == [found]
    store.close()
    assert before < 1 << 20 and store.path.stat().st_size < 1 << 20


def past(*states, hosts=("db1", "db2"), cause="no-memory"):
    """Complete runs with these states of db1's cause, the newest first."""
    when = datetime(2026, 1, 30, tzinfo=UTC)
    return [
        PastRun(when - day * DAY, frozenset(hosts), {("db1", cause): state} if state else {}) for day, state in enumerate(states)
    ]


def now(verdict, waiver=None):
    hosts = {"db1": HostState("db1"), "db2": HostState("db2")}
    return Run(INFO, hosts, [finding(RESERVE, verdict, waiver=waiver), finding(LOAD, A, host="db2")])


PAIR = (("db1", "no-memory"),)


@pytest.mark.parametrize(
    ("verdict", "before", "name"),
    [
        (P, [State.ABSENT], "newly_present"),
        (P, [State.UNDETERMINED], "first_judged"),
        (P, [None], "first_judged"),  # new to the suite, or the host was never reached
        (P, [State.NOT_APPLICABLE], "newly_present"),
        (N, [State.PRESENT], "inapplicable"),
        (P, [None, State.ABSENT], "newly_present"),  # the host was dead last night
        (A, [State.PRESENT], "fixed"),
        (A, [State.UNDETERMINED, State.PRESENT], "fixed"),
        (A, [State.WAIVED], "fixed"),
        (U, [State.PRESENT], "unseen"),
        (P, [State.ABSENT, State.PRESENT, State.ABSENT], "flapping"),
        (P, [State.PRESENT], None),
        (P, [State.UNDETERMINED, State.PRESENT], None),
        (A, [State.UNDETERMINED], None),
        (U, [State.ABSENT], None),
    ],
)
def test_what_changed(verdict, before, name):
    changes = compare(now(verdict), past(*before))
    found = {key for key in vars(changes) if getattr(changes, key) == PAIR}
    assert found >= {name} if name else not found


def test_a_cause_of_a_host_that_is_new_itself_is_not_told_twice():
    changes = compare(now(P), past(None, hosts=("db2",)))
    assert (changes.first_seen, changes.first_judged) == (("db1",), ())


def test_a_host_that_was_judged_in_part_has_mended_nothing():
    """The run was stopped between two tests of a cause: the one that would have failed was not run."""
    run = now(A)
    run.unfinished = ["db1"]
    assert compare(run, past(State.PRESENT)).lines() == []
    run = now(P)
    run.unfinished = ["db1"]
    assert compare(run, past(State.ABSENT)).newly_present == PAIR


def test_a_waived_cause_is_still_there():
    assert not compare(now(P, WAIVER), past(State.PRESENT)).fixed


def test_a_dead_host_has_not_been_mended():
    run = now(U)
    run.hosts["db1"] = HostState("db1", reached=False)
    assert compare(run, past(State.PRESENT)).unseen == PAIR


def test_hosts_come_and_go():
    changes = compare(now(A), past(State.ABSENT, hosts=("db1", "db0")))
    assert (changes.first_seen, changes.gone) == (("db2",), ("db0",))
    assert compare(now(A), []) is None


def test_hosts_are_lost_and_back(store):
    def night(dead):
        run = now(A)
        run.hosts = {name: HostState(name, reached=name != dead) for name in run.hosts}
        return run

    id = store.begin(INFO, "selection")
    for host in night("db2").hosts.values():
        store.add_host(id, host, [], None, [])
    store.finish(id, 1.0, 6)
    before = store.past("selection", "", id + 1, 9)
    changes = compare(night("db1"), before)
    assert (changes.lost, changes.back) == (("db1",), ("db2",))
    assert changes.lines() == ["no longer reached: db1", "reached again: db2"]
    still = compare(night("db2"), before)
    assert (still.lost, still.back) == ((), ())


def test_hosts_that_a_stopped_run_did_not_come_to_are_neither_lost_nor_back():
    run = now(A)
    run.hosts |= {"db3": HostState("db3"), "db4": HostState("db4")}
    (last,) = past(State.ABSENT, hosts=("db1", "db2", "db3", "db4"))
    changes = compare(run, [replace(last, unreached=frozenset({"db3"}))])
    assert changes.lines() == []


def test_new_dumps():
    seen = [DUMP, replace(DUMP, path="/var/crash/2/vmcore"), replace(DUMP, host="db9")]
    known = KnownDumps(frozenset({"db1"}), frozenset({DUMP.identity}))
    changes = compare(now(A), past(State.ABSENT), seen, known)
    assert [dump.path for dump in changes.new_dumps] == ["/var/crash/2/vmcore"]
    assert "sysrq" in changes.lines()[-1]


def test_a_dump_is_not_new_where_nobody_could_look_before(store):
    """The host was dead, or the user might not list the folder."""
    run = store.begin(INFO, "selection")
    store.add_host(run, HostState("db1", reached=False), [], None, None)
    store.add_host(run, HostState("db2"), [], None, [])
    store.finish(run, 1.0, 6)
    known = store.dumps("selection", 99)
    assert known == KnownDumps(frozenset({"db2"}))
    assert not compare(now(A), store.past("selection", "", 99, 9), [DUMP], known).new_dumps
    assert [found for _, _, _, found in store.hosts(run)] == [None, []]


def test_a_dump_that_only_a_run_that_was_cut_off_saw_is_still_new(store):
    add(store, dumps=[])
    add(store, dumps=[DUMP], expected=["db1", "db2"])
    known = store.dumps("selection", 99)
    assert compare(now(A), store.past("selection", "", 99, 9), [DUMP], known).new_dumps == (DUMP,)


def test_trends():
    changes = compare(now(P), past(State.ABSENT, State.PRESENT))
    assert changes.trends[0].hosts == (1, 0, 1)
