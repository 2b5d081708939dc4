"""The history file: SQLite, one transaction per finished host.

In write-ahead-log mode a transaction survives the death of the process that made it, at any moment
(https://www.sqlite.org/wal.html); readers and several writers get along, each waiting for the other at most
:data:`BUSY` seconds.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import zstandard

from ..report import wire
from ..report.changes import KnownDumps, PastRun, SeenDump
from ..report.model import Finding, HostState, Run, RunInfo, State, WaiverReview
from ..transcript import Transcript

BUSY = 30.0  # s
SELECTIONS = 200  # that are kept, with all their runs
# Steps from an empty file to the newest schema; a file knows how many it has taken (PRAGMA user_version).
SCHEMA = (
    """
    CREATE TABLE run (
        id INTEGER PRIMARY KEY, started TEXT NOT NULL, who TEXT NOT NULL, suite TEXT NOT NULL, command_line TEXT NOT NULL,
        options TEXT NOT NULL, selection TEXT NOT NULL, shard TEXT NOT NULL, process TEXT NOT NULL,
        expected TEXT NOT NULL DEFAULT '[]', tests TEXT NOT NULL DEFAULT '[]',
        duration REAL NOT NULL DEFAULT 0, exit_status INTEGER, complete INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX run_selection ON run (selection, id);
    CREATE TABLE cause (
        run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, id TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (run, id)
    ) WITHOUT ROWID;
    CREATE TABLE host (
        run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, name TEXT NOT NULL, state TEXT NOT NULL,
        findings BLOB NOT NULL, transcript BLOB, dumps TEXT NOT NULL, PRIMARY KEY (run, name)
    );
    CREATE TABLE verdict (
        run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, host TEXT NOT NULL, cause TEXT NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY (run, host, cause)
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE run ADD COLUMN waivers TEXT NOT NULL DEFAULT '[]'",
)


class BadHistory(ValueError):
    """The file cannot be used; ``str()`` is one sentence that says what to do."""


@dataclass(frozen=True)
class StoredRun:
    """A run's row. ``expected``: the hosts it was to judge; ``tests``: what each was to be asked; ``process``: who ran it;
    ``waivers``: how those of its file stood at its end."""

    id: int
    info: RunInfo
    selection: str
    shard: str
    process: str
    expected: tuple[str, ...]
    tests: tuple[str, ...]
    exit_status: int | None
    complete: bool
    waivers: tuple[WaiverReview, ...]

    @property
    def is_running(self) -> bool:
        """Whether the process that began it is alive, as far as this machine can tell."""
        host, _, rest = self.process.partition(" ")
        pid, _, began = rest.partition(" ")
        if self.exit_status is not None or host != socket.gethostname() or pid == str(os.getpid()):
            return False
        now = _beginning(pid)
        return now == began if began else bool(now)


class Store:
    """The runs in a file. Every method that writes is one transaction; :class:`sqlite3.Error` is :class:`BadHistory`."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open a file, made if there is none; ``read_only``: one that is there, and that nobody need be able to write."""
        self.path = path
        self._causes: set[tuple[int, str]] = set()  # (run, id) of those that are in the file
        if read_only and not path.is_file():
            raise BadHistory(f"there is no history in {path}: name the file of an earlier run with --history=FILE")
        if path.exists() and not path.is_file():  # SQLite would put its log beside it
            raise BadHistory(f"the history {path} is no file: name one with --history=FILE, or do without by --no-history")
        with self._sentences():
            if read_only:
                # without a log beside it the file is all there is, and a read-only folder needs no lock
                how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
                self._connection = sqlite3.connect(
                    f"{path.absolute().as_uri()}?{how}", timeout=BUSY, isolation_level=None, uri=True
                )
                if self._check_version(self._connection) < len(SCHEMA):  # in memory: the file is not ours to change
                    with closing(self._connection) as older:
                        self._connection = sqlite3.connect(":memory:", isolation_level=None)
                        older.backup(self._connection)
                    self._migrate()
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
            self._check_version(self._connection)
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._connection.execute("PRAGMA journal_mode = WAL")
            # a crash of the machine may cost the last hosts, never the file
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate()

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            raise BadHistory(
                f"the history {self.path} cannot be used ({words}): "
                "name another file with --history=FILE, or do without by --no-history"
            ) from error

    def _migrate(self) -> None:
        with self.transaction() as connection:
            version = self._check_version(connection)
            for step in SCHEMA[version:]:
                for statement in filter(str.strip, step.split(";")):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(SCHEMA)}")

    def _check_version(self, connection: sqlite3.Connection) -> int:
        # in this order: another process may be making the tables, and the version with them, at this moment
        holds_any = connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(SCHEMA):
            raise BadHistory(
                f"the history {self.path} was written by a newer suite (schema {version}, this one knows {len(SCHEMA)}): "
                "use that suite, or name another file with --history=FILE"
            )
        if holds_any and not version:
            raise BadHistory(f"{self.path} holds something else: name another file with --history=FILE")
        return version

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. Raises :class:`BadHistory`."""
        with self._sentences():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        with self._sentences():
            self._connection.close()

    # writing

    def begin(self, info: RunInfo, selection: str, shard: str = "") -> int:
        """A new run; returns its number."""
        process = _this_process()
        values = (info.started.isoformat(), info.who, info.suite_version, info.command_line, json.dumps(dict(info.options)))
        with self.transaction() as connection:
            made = connection.execute(
                "INSERT INTO run (started, who, suite, command_line, options, selection, shard, process) "
                "VALUES (?,?,?,?,?,?,?,?)",
                (*values, selection, shard, process),
            )
            return int(made.lastrowid or 0)

    def take_up(self, run: StoredRun) -> None:
        """This process goes on with an unfinished run. Raises :class:`BadHistory` where another was quicker."""
        with self.transaction() as connection:
            values = _this_process(), run.id, run.process
            taken = connection.execute("UPDATE run SET process = ?, exit_status = NULL WHERE id = ? AND process = ?", values)
            if not taken.rowcount:
                raise BadHistory(f"run {run.id} of {self.path} was resumed a moment ago by somebody else: wait for its end")

    def expect(self, run: int, hosts: Sequence[str], tests: Sequence[str]) -> None:
        """What the run is to judge."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE run SET expected = ?, tests = ? WHERE id = ?", (json.dumps(list(hosts)), json.dumps(list(tests)), run)
            )

    def add_host(
        self,
        run: int,
        host: HostState,
        findings: Sequence[Finding],
        transcript: Transcript | None,
        dumps: Sequence[SeenDump] | None,
    ) -> None:
        """A finished host. Its evidence is kept once, as the transcript; findings name their commands. Of one that says very much
        it is what reports show: whoever floods every night must not fill the disk. ``dumps``: None where they
        could not be listed."""
        data = ", ".join(map(wire.to_json, findings))
        causes = {finding.cause.id: finding.cause for finding in findings if finding.cause}
        new = [cause for id, cause in causes.items() if (run, id) not in self._causes]
        worst: dict[str, State] = {}
        for finding in findings:
            if finding.cause:
                id, state = finding.cause.id, finding.state
                worst[id] = min(worst.get(id, state), state, key=lambda state: state.order)
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO host VALUES (?,?,?,?,?,?)",
                (
                    run,
                    host.name,
                    json.dumps(wire.host_to_data(host)),
                    _pack(f"[{data}]"),
                    _pack(transcript.kept().render()) if transcript else None,
                    json.dumps(dumps and [asdict(one) for one in dumps]),
                ),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO cause VALUES (?,?,?)",
                [(run, cause.id, json.dumps(wire.cause_to_data(cause))) for cause in new],
            )
            connection.execute("DELETE FROM verdict WHERE run = ? AND host = ?", (run, host.name))
            if host.reached:
                connection.executemany(
                    "INSERT INTO verdict VALUES (?,?,?,?)", [(run, host.name, id, state.value) for id, state in worst.items()]
                )
        self._causes.update((run, cause.id) for cause in new)

    def finish(self, run: int, duration: float, exit_status: int, waivers: Sequence[WaiverReview] = ()) -> None:
        """The run ended; it is complete when every host that it expected is here, and any: one that ended before its hosts were
        known is nothing to compare with."""
        with self.transaction() as connection:
            (expected,) = connection.execute("SELECT expected FROM run WHERE id = ?", (run,)).fetchone()
            (missing,) = connection.execute(
                "SELECT count(*) FROM json_each(?) WHERE value NOT IN (SELECT name FROM host WHERE run = ?)", (expected, run)
            ).fetchone()
            (finished,) = connection.execute("SELECT count(*) FROM host WHERE run = ?", (run,)).fetchone()
            complete = finished > 0 and not missing
            connection.execute(
                "UPDATE run SET duration = ?, exit_status = ?, complete = ?, waivers = ? WHERE id = ?",
                (duration, exit_status, complete, json.dumps([wire.review_to_data(one) for one in waivers]), run),
            )

    def prune(self, selection: str, shard: str, keep: int, keep_transcripts: int) -> None:
        """Forget all but the newest runs of a selection, the transcripts of all but the newest of these, and the selections that
        nobody has asked for since :data:`SELECTIONS` others.

        The newest complete run stays whatever its age: it is what the next one is compared with.
        """
        runs = [one for one in self.runs(selection) if one.shard == shard]
        last_complete = next((one.id for one in runs if one.complete), None)
        old = [one for one in runs[keep:] if one.id != last_complete and not one.is_running]
        with self.transaction() as connection:
            connection.executemany("DELETE FROM run WHERE id = ?", [(one.id,) for one in old])
            connection.executemany(
                "UPDATE host SET transcript = NULL WHERE run = ? AND transcript IS NOT NULL",
                [(one.id,) for one in runs[keep_transcripts:keep]],
            )
            connection.execute(
                "DELETE FROM run WHERE (selection, shard) IN "
                "(SELECT selection, shard FROM run GROUP BY selection, shard ORDER BY max(id) DESC LIMIT -1 OFFSET ?)",
                (SELECTIONS,),
            )
        with self._sentences(), closing(self._connection.execute("PRAGMA incremental_vacuum")) as vacuum:
            vacuum.fetchall()

    # reading

    def runs(self, selection: str | None = None) -> list[StoredRun]:
        """The runs, the newest first; of one selection, if it is given."""
        with self._sentences():
            rows = self._connection.execute(
                "SELECT id, started, who, suite, command_line, options, duration, selection, shard, process, expected, tests, "
                "exit_status, complete, waivers FROM run WHERE ? IS NULL OR selection = ? ORDER BY id DESC",
                (selection, selection),
            ).fetchall()
        return [_stored(row) for row in rows]

    def run(self, id: int | None = None) -> StoredRun:
        """One run, the newest by default. Raises :class:`BadHistory`."""
        for found in self.runs():
            if id is None or found.id == id:
                return found
        raise BadHistory(f"{self.path} has no run {id}" if id is not None else f"{self.path} has no run yet")

    def finished(self, run: int) -> list[str]:
        """The names of a run's finished hosts."""
        with self._sentences():
            return [name for (name,) in self._connection.execute("SELECT name FROM host WHERE run = ?", (run,))]

    def hosts(self, run: int) -> Iterator[tuple[HostState, list[Finding], Transcript | None, list[SeenDump] | None]]:
        """A run's finished hosts with all that is known of them."""
        with self._sentences():
            rows = self._connection.execute("SELECT id, data FROM cause WHERE run = ?", (run,))
            causes = {id: wire.cause_from_data(json.loads(data)) for id, data in rows}
            hosts = self._connection.execute("SELECT name, state, findings, transcript, dumps FROM host WHERE run = ?", (run,))
        for name, state, findings, packed, dumps in hosts:
            try:
                transcript = Transcript.parse(_unpack(packed)) if packed else None
                readings = transcript.shown() if transcript else {}
                found = [wire.from_data(one, causes, readings) for one in json.loads(_unpack(findings))]
                listed = json.loads(dumps)
                seen = listed and [SeenDump(**one) for one in listed]
                met = wire.host_from_data(json.loads(state))
            except (zlib.error, zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
                raise BadHistory(f"{self.path}: what is kept of {name} in run {run} is damaged: judge that host again") from error
            yield met, found, transcript, seen

    def load(self, stored: StoredRun) -> Run:
        """A run as the reports see it, with the hosts that are not finished."""
        found = {host.name: (host, findings) for host, findings, _, _ in self.hosts(stored.id)}
        names = dict.fromkeys([*stored.expected, *found])
        hosts = {name: found[name][0] if name in found else HostState(name) for name in names}
        findings = [finding for name in names if name in found for finding in found[name][1]]
        left = [name for name in names if name not in found]
        return Run(stored.info, hosts, findings, waivers=list(stored.waivers), unfinished=left)

    def past(self, selection: str, shard: str, before: int, most: int) -> list[PastRun]:
        """The newest complete runs of a selection before a run, the newest first; of the same part of it, where it is sharded."""
        with self._sentences():
            rows = self._connection.execute(
                "SELECT id, started FROM run WHERE selection = ? AND shard = ? AND complete AND id < ? ORDER BY id DESC LIMIT ?",
                (selection, shard, before, most),
            ).fetchall()
            return [
                PastRun(
                    datetime.fromisoformat(started),
                    frozenset(self.finished(id)),
                    {
                        (host, cause): State(state)
                        for host, cause, state in self._connection.execute(
                            "SELECT host, cause, state FROM verdict WHERE run = ?", (id,)
                        )
                    },
                    frozenset(
                        name
                        for (name,) in self._connection.execute(
                            "SELECT name FROM host WHERE run = ? AND NOT json_extract(state, '$.reached')", (id,)
                        )
                    ),
                )
                for id, started in rows
            ]

    def dumps(self, selection: str, before: int) -> KnownDumps:
        """The dumps that the earlier complete runs of a selection saw; what a run saw that was cut off, nobody was told."""
        with self._sentences():
            rows = self._connection.execute(
                "SELECT DISTINCT name, dumps FROM host JOIN run ON run.id = host.run "
                "WHERE selection = ? AND complete AND run.id < ? AND dumps != 'null'",
                (selection, before),
            ).fetchall()
        seen = frozenset(SeenDump(**one).identity for _, dumps in rows for one in json.loads(dumps))
        return KnownDumps(frozenset(name for name, _ in rows), seen)

    def seen_dumps(self, run: int) -> list[SeenDump]:
        """The dumps that were seen on a run's hosts."""
        with self._sentences():
            rows = self._connection.execute("SELECT dumps FROM host WHERE run = ? AND dumps NOT IN ('null', '[]')", (run,))
            return [SeenDump(**one) for (dumps,) in rows for one in json.loads(dumps)]

    def copy_into(self, other: Store, run: int, into: int) -> None:
        """Add a run's hosts to a run of another store."""
        for host, findings, transcript, dumps in self.hosts(run):
            other.add_host(into, host, findings, transcript, dumps)


def _this_process() -> str:
    return f"{socket.gethostname()} {os.getpid()} {_beginning(str(os.getpid()))}"


def _beginning(pid: str) -> str:
    """When a process began, in ticks since the machine did (field 22 of /proc/PID/stat, proc(5)): its number may be another's by
    now. Empty where there is no such process, or only what its parent has yet to collect (state Z; nobody does in a container
    whose first process is no init)."""
    try:
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[19] if fields[0] not in "ZX" else ""


_packer = zstandard.ZstdCompressor(1)


def _pack(text: str) -> bytes:
    return _packer.compress(text.encode("utf-8", "surrogateescape"))


def _unpack(packed: bytes) -> bytes:
    """Raises :class:`ValueError`."""
    if not packed.startswith(zstandard.FRAME_HEADER):  # written before zstd was used
        return zlib.decompress(packed)
    return zstandard.decompress(packed)


def _stored(row: Iterable[Any]) -> StoredRun:
    (id, started, who, suite, command_line, options, duration, *rest) = row
    (selection, shard, process, expected, tests, exit_status, complete, waivers) = rest
    info = RunInfo(datetime.fromisoformat(started), who, suite, command_line, duration, json.loads(options))
    hosts, asked = tuple(json.loads(expected)), tuple(json.loads(tests))
    reviews = tuple(wire.review_from_data(one) for one in json.loads(waivers))
    return StoredRun(id, info, selection, shard, process, hosts, asked, exit_status, bool(complete), reviews)
