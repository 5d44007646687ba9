"""The queue on disk: one SQLite file of tasks and of what happened to them.

    .dvc/tmp/nbexp/queue.db

It is the only truth about the state of a task. Every change is one short transaction through `state.step`; what must
outlive a power cut (a task was added, a result is about to get its name) is flushed before the call returns, all else
is found again by `recovery`. Lost or damaged, it is made anew from what `rebuild` finds.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from nbexp import filesystem
from nbexp.errors import NameTaken, QueueError
from nbexp.filesystem import crash_point
from nbexp.frozen import brief, field, frozen
from nbexp.queue import state as states
from nbexp.queue.state import Situation, State, Step

if TYPE_CHECKING:
    import sqlite3

P = ParamSpec("P")
R = TypeVar("R")

_VERSION = 1
_TABLES = """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, batch TEXT NOT NULL, kind TEXT NOT NULL,
    baseline TEXT NOT NULL, name TEXT NOT NULL, snapshot TEXT NOT NULL, spec TEXT NOT NULL, command TEXT NOT NULL,
    position REAL NOT NULL, resources TEXT NOT NULL, timeout REAL, max_attempts INTEGER NOT NULL,
    state TEXT NOT NULL, owner TEXT, attempt INTEGER NOT NULL, stops TEXT, rev TEXT, error TEXT,
    place TEXT, log TEXT, live TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL);
CREATE UNIQUE INDEX reserved ON tasks (baseline, name COLLATE NOCASE)
    WHERE state IN ('queued', 'running', 'committing');
CREATE INDEX by_state ON tasks (state, position);
CREATE INDEX by_batch ON tasks (batch);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL,
    data TEXT NOT NULL);
CREATE TABLE workers (
    id TEXT PRIMARY KEY, slot TEXT NOT NULL, pid INTEGER NOT NULL, since REAL NOT NULL,
    stops INTEGER NOT NULL);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = (
    "uid, batch, kind, baseline, name, snapshot, spec, command, position, resources, timeout, max_attempts,"
    " state, owner, attempt, stops, rev, error, place, log, live, created, started, ended, id"
)
KEPT_EVENTS = 10_000
_KEPT_RUNS = 2_000
_BUSY_MS = 30_000
_ROOM_BYTES = 65_536  # twice what the shared memory of WAL takes at first
_CORRUPT = frozenset({11, 26})  # SQLITE_CORRUPT, SQLITE_NOTADB
# WAL needs memory that all users of the file share: processes of one machine.
_NETWORK = frozenset(
    "nfs nfs4 cifs smb smb2 smb3 smbfs lustre gpfs beegfs ceph afs 9p glusterfs fuse.sshfs fuse.glusterfs".split()
)

Kind = str
"""`queued`: for any worker; `temp`, `place`: run by the process that made it; `detached`: by one of its own."""


@frozen
class NewTask:
    """A task to be added; `max_attempts` deaths of its worker are one too many."""

    uid: str
    batch: str
    baseline: str
    name: str
    snapshot: str
    spec: Mapping[str, object]
    command: Mapping[str, object] = field(default_factory=dict)
    kind: Kind = "queued"
    resources: Mapping[str, float] = field(default_factory=dict)
    timeout_s: float | None = None
    max_attempts: int = 3


@frozen
class Task:
    """A run of an experiment that was asked for: what, in which state, and where it is.

    Attributes
    ----------
    uid
        Names the task for good, as names of experiments can come again.
    kind
        `queued`, `temp`, `detached`, or `place` for a run in the workspace.
    spec
        What was asked, as `Spec.to_json` tells it.
    state
        `queued`, `running`, `committing` (done, and being recorded), `done`, `failed`, `cancelled`,
        `interrupted`, or `pruned`.
    error
        One line: why it failed, or why it waits again.
    place
        The folder where it runs.
    live
        What it told last: stage, cell, step, metrics.
    """

    __repr__ = brief

    uid: str
    batch: str
    kind: Kind
    baseline: str
    name: str
    snapshot: str
    spec: Mapping[str, Any] = field(hash=False)
    command: Mapping[str, Any] = field(hash=False)
    position: float
    resources: Mapping[str, float] = field(hash=False)
    timeout_s: float | None
    max_attempts: int
    state: State
    owner: str | None
    attempt: int
    stops: Literal["cancelled", "pruned"] | None
    rev: str | None
    error: str | None
    place: str | None
    log: str | None
    live: Mapping[str, Any] = field(hash=False)
    created_s: float
    started_s: float | None
    ended_s: float | None
    number: int

    @property
    def is_attended(self) -> bool:
        return self.kind in ("place", "temp")

    @property
    def marker(self) -> str:
        """What the processes of the present attempt carry in their environment."""
        return f"{self.uid}-{self.attempt}"

    @property
    def overrides(self) -> tuple[str, ...]:
        """What was typed after `-S`."""
        return tuple(str(one.get("text", "")) for one in self.spec.get("overrides", ()))

    @property
    def elapsed_s(self) -> float | None:
        """Seconds since it began, or that it took; None before."""
        if self.started_s is None:
            return None
        return max(0.0, (time.time() if self.ended_s is None else self.ended_s) - self.started_s)

    def situation(self) -> Situation:
        return Situation(
            self.state, self.owner, self.attempt, self.max_attempts, self.stops, self.is_attended,
            self.rev, self.error,
        )  # fmt: skip


@frozen
class Happened:
    """A line of the queue's history; `seq` grows, `kind` is a state or what a run tells of itself."""

    seq: int
    uid: str
    time_s: float
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)


@frozen
class WorkerRow:
    """A worker as it signed on; that it is alive its lock alone can tell."""

    id: str
    slot: str
    pid: int
    since_s: float
    stops: bool


class _Damaged(Exception):
    """The database was found damaged within a transaction, and is set aside: the call is made again."""


def _mended(method: Callable[P, R]) -> Callable[P, R]:
    """Once more after the database was set aside and made anew."""

    @functools.wraps(method)
    def again(*args: P.args, **named: P.kwargs) -> R:
        try:
            return method(*args, **named)
        except _Damaged:
            return method(*args, **named)

    return again


class Store:
    """The tasks of a project, shared by all its processes.

    Parameters
    ----------
    folder
        Where `queue.db` is; made on the first write.
    rebuild
        Asked for the tasks of a database that is being made: what Git still knows of a lost one.
    damaged
        Told, in a sentence, that a database was set aside.
    """

    def __init__(
        self,
        folder: Path,
        rebuild: Callable[[], Sequence[tuple[NewTask, State, str | None]]] = lambda: (),
        damaged: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path = folder / "queue.db"
        self._rebuild = rebuild
        self._damaged = damaged
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._is_full = True

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None and self._process == os.getpid():
                connection.close()

    def open(self) -> None:
        """Make the database if there is none; before a snapshot is made that a lost one would be made of."""
        self._guarded(lambda db: db.execute("SELECT 1"))

    @property
    def exists(self) -> bool:
        """Whether anything was ever queued or run here."""
        return self.path.exists()

    # ---- reading

    def tasks(
        self,
        *of_states: State,
        uids: Sequence[str] | None = None,
        batch: str | None = None,
    ) -> list[Task]:
        """Tasks in the order they are to run; those of states, uids or a batch alone where given."""
        where, values = ["1"], list[object]()
        if of_states:
            where.append(f"state IN ({_marks(of_states)})")
            values += of_states
        if batch is not None:
            where.append("batch = ?")
            values.append(batch)
        if uids is not None and len(uids) <= 500:
            where.append(f"uid IN ({_marks(uids)})")
            values += uids
        found = self._select(" AND ".join(where), values)
        if uids is not None and len(uids) > 500:
            wanted = set(uids)
            return [task for task in found if task.uid in wanted]
        return found

    def task(self, uid: str) -> Task | None:
        found = self._select("uid = ?", [uid])
        return found[0] if found else None

    def named(self, word: str) -> list[Task]:
        """The tasks of that name, newest first; else those whose uid begins so."""
        found = self._select("name = ?", [word])
        if not found and len(word) >= 4 and word.isalnum():
            found = self._select("uid GLOB ?", [f"{word}*"])
        return sorted(found, key=lambda task: -task.number)

    def has_waiting(self, batch: str | None = None) -> bool:
        """Whether any worker, or those of the batch, have something to take."""
        where, values = _for_worker(batch)
        return bool(
            self._ask(f"SELECT 1 FROM tasks WHERE state = 'queued' AND {where} LIMIT 1", values)  # noqa: S608
        )

    def counts(self) -> dict[str, int]:
        """How many tasks are in each state."""
        return {
            str(state): int(number)
            for state, number in self._ask("SELECT state, count(*) FROM tasks GROUP BY state")
        }

    def reserved(self, baseline: str | None = None) -> dict[str, str]:
        """The names that tasks have taken which are not over, by the same in small letters."""
        where, values = "", list[object]()
        if baseline is not None:
            where, values = " AND baseline = ?", [baseline]
        rows = self._ask(
            f"SELECT name FROM tasks WHERE state IN ('queued', 'running', 'committing'){where}",  # noqa: S608
            values,
        )
        return {str(name).lower(): str(name) for (name,) in rows}

    def sequence(self) -> dict[tuple[str | None, str | None], int]:
        """In which order runs were asked for, by baseline and name."""
        rows = self._ask("SELECT baseline, name, id FROM tasks ORDER BY id")
        return {(str(baseline), str(name)): int(number) for baseline, name, number in rows}

    def events(self, since: int = 0, limit: int = KEPT_EVENTS) -> list[Happened]:
        """What happened after the line `since`, oldest first."""
        rows = self._ask(
            "SELECT seq, uid, time, kind, data FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
            [since, limit],
        )
        return [Happened(seq, uid, at, kind, json.loads(data)) for seq, uid, at, kind, data in rows]

    def last_position(self) -> float:
        """Where the last task of the queue stands."""
        rows = self._ask("SELECT max(position) FROM tasks")
        return float(rows[0][0] or 0) if rows else 0.0

    def last_event(self) -> int:
        """The number of the newest line of the history; 0 where there is none."""
        rows = self._ask("SELECT max(seq) FROM events")
        return int(rows[0][0] or 0) if rows else 0

    def data_version(self) -> int:
        """A number that changes when another process has changed the database; costs microseconds."""
        rows = self._ask("PRAGMA data_version")
        # A file made anew counts from 1 again, so what file it is belongs to the number.
        return hash((self._inode, int(rows[0][0]))) if rows else 0

    # ---- tasks

    @_mended
    def add(self, new: Sequence[NewTask]) -> list[Task]:
        """Add tasks behind all others, all or none; on disk when it returns.

        Raises
        ------
        NameTaken
            A task that is not over has the name on that baseline.
        """
        crash_point("queue.adding")
        if not new:
            return []
        with self._transaction(durable=True) as db:
            # A database that was made anew in this moment has them from their snapshot already.
            there = {
                uid
                for (uid,) in db.execute("SELECT uid FROM tasks WHERE batch = ?", (new[0].batch,))
            }
            self._insert(db, [(one, "queued", None) for one in new if one.uid not in there])
        crash_point("queue.added")
        return self.tasks(uids=[one.uid for one in new])

    @_mended
    def begin(self, new: NewTask, owner: str, *, place: str | None = None) -> None:
        """Add a task that its maker runs now, itself."""
        with self._transaction(durable=False) as db:
            self._insert(db, [(new, "running", None)])
            db.execute(
                "UPDATE tasks SET owner = ?, attempt = 1, started = created, place = ? WHERE uid = ?",
                (owner, place, new.uid),
            )

    @_mended
    def claim(
        self,
        owner: str,
        *,
        uid: str | None = None,
        batch: str | None = None,
        totals: Mapping[str, float] | None = None,
        **columns: object,
    ) -> Task | None:
        """Take the first task that waits and for which there is room; None: there is none.

        Parameters
        ----------
        uid
            That one, whatever is before it.
        batch
            One of that batch, of whatever kind; None: one for any worker.
        totals
            What there is of each resource, of which running tasks use some. A task alone gets what it needs.
        columns
            What to note about the task as well.
        """
        if uid is None and not self.has_waiting(batch):
            return None
        crash_point("queue.claiming")
        with self._transaction(durable=False) as db:
            if uid is not None:
                found = self._rows(db, "uid = ? AND state = 'queued'", [uid])
            elif self._setting(db, "paused"):
                found = []
            else:
                # Only the first of those that wait can be given out, however many there are.
                where, values = _for_worker(batch)
                found = self._rows(db, f"state = 'queued' AND {where}", values, limit=1)
                if totals:
                    found = _with_room(found, self._rows(db, "state = 'running'", []), totals)
            if not found:
                return None
            task = found[0]
            self._step(db, task, states.Claimed(owner), started=time.time(), ended=None, **columns)
        crash_point("queue.claimed")
        return self.task(task.uid)

    @_mended
    def apply(
        self, uid: str, event: states.Event, *, durable: bool = False, **columns: object
    ) -> Step | None:
        """Let an event happen to a task, and say what follows; None: there is no such task.

        A `Fenced` is on disk when this returns, whatever `durable` says.
        """
        with self._transaction(durable=durable or isinstance(event, states.Fenced)) as db:
            found = self._rows(db, "uid = ?", [uid])
            return self._step(db, found[0], event, **columns) if found else None

    @_mended
    def apply_all(self, uids: Sequence[str], event: states.Event) -> dict[str, Step]:
        """Let an event happen to several tasks at once; those that refuse stay as they are."""
        with self._transaction(durable=True) as db:
            found = {
                task.uid: task
                for part in range(0, len(uids), 500)
                for task in self._rows(
                    db, f"uid IN ({_marks(uids[part : part + 500])})", uids[part : part + 500]
                )
            }
            return {uid: self._step(db, found[uid], event) for uid in uids if uid in found}

    @_mended
    def edit(self, uid: str, spec: Mapping[str, object], **columns: object) -> Step | None:
        """Give a task that waits another spec."""
        with self._transaction(durable=True) as db:
            found = self._rows(db, "uid = ?", [uid])
            if not found:
                return None
            return self._step(db, found[0], states.Changed(), spec=json.dumps(spec), **columns)

    @_mended
    def arrange(self, uids: Sequence[str], *, before: str | None, first: bool = False) -> None:
        """Put tasks that wait, in this order, first, last, or before another one that waits.

        Raises
        ------
        QueueError
            One of them does not wait any more.
        """
        with self._transaction(durable=True) as db:
            waiting = self._rows(db, "state = 'queued'", [])
            known = {task.uid: task for task in waiting}
            for uid in (*uids, *([before] if before else [])):
                if uid not in known:
                    raise QueueError(
                        "A task that is to move has begun meanwhile. Nothing was moved.",
                        "`nbexp queue` lists what waits.",
                    )
            rest = [task.uid for task in waiting if task.uid not in uids]
            at = rest.index(before) if before else 0 if first else len(rest)
            order = [*rest[:at], *uids, *rest[at:]]
            places = [task.position for task in waiting]
            db.executemany(
                "UPDATE tasks SET position = ? WHERE uid = ?", list(zip(places, order, strict=True))
            )
            for uid in uids:
                self._log(db, uid, "moved", {})

    def is_needed(self, batch: str) -> bool:
        """Whether a task of the batch is not over, so that its snapshot has to stay."""
        return bool(
            self._ask(
                "SELECT 1 FROM tasks WHERE batch = ? AND state IN ('queued', 'running', 'committing') LIMIT 1",
                [batch],
            )
        )

    def batches(self) -> dict[str, bool]:
        """Every batch that a task is of, and whether one of them is not over."""
        rows = self._ask(
            "SELECT batch, max(state IN ('queued', 'running', 'committing')) FROM tasks GROUP BY batch"
        )
        return {str(batch): bool(is_live) for batch, is_live in rows}

    # ---- what runs tell of themselves

    @_mended
    def tell(
        self, uid: str, kind: str, data: Mapping[str, object], live: Mapping[str, object]
    ) -> None:
        """Add a line to the history and note the latest; costs no flush, a power cut may take it."""
        with self._transaction(durable=False) as db:
            db.execute("UPDATE tasks SET live = ? WHERE uid = ?", (json.dumps(live), uid))
            self._log(db, uid, kind, data)

    # ---- workers

    @_mended
    def sign_on(self, worker: WorkerRow) -> None:
        with self._transaction(durable=False) as db:
            db.execute(
                "INSERT OR REPLACE INTO workers VALUES (?, ?, ?, ?, ?)",
                (worker.id, worker.slot, worker.pid, worker.since_s, worker.stops),
            )

    @_mended
    def sign_off(self, owner: str) -> None:
        if self._ask("SELECT 1 FROM workers WHERE id = ?", [owner]):
            with self._transaction(durable=False) as db:
                db.execute("DELETE FROM workers WHERE id = ?", (owner,))

    def workers(self) -> list[WorkerRow]:
        rows = self._ask("SELECT id, slot, pid, since, stops FROM workers ORDER BY since")
        return [
            WorkerRow(owner, slot, pid, since, bool(stops))
            for owner, slot, pid, since, stops in rows
        ]

    @_mended
    def stop_workers(self, *, stops: bool, slots: Sequence[str] | None = None) -> None:
        """Tell workers to go once their task is done, or not to after all."""
        with self._transaction(durable=False) as db:
            if slots is None:
                db.execute("UPDATE workers SET stops = ?", (stops,))
            else:
                db.executemany(
                    "UPDATE workers SET stops = ? WHERE slot = ?", [(stops, slot) for slot in slots]
                )

    def is_told_to_stop(self, owner: str) -> bool:
        rows = self._ask("SELECT stops FROM workers WHERE id = ?", [owner])
        return not rows or bool(rows[0][0])

    def setting(self, name: str) -> str | None:
        rows = self._ask("SELECT value FROM settings WHERE name = ?", [name])
        return str(rows[0][0]) if rows else None

    @_mended
    def set(self, name: str, value: str | None) -> None:
        with self._transaction(durable=True) as db:
            db.execute("DELETE FROM settings WHERE name = ?", (name,))
            if value is not None:
                db.execute("INSERT INTO settings VALUES (?, ?)", (name, value))

    # ---- rows

    def _insert(
        self, db: sqlite3.Connection, new: Sequence[tuple[NewTask, State, str | None]]
    ) -> None:
        import sqlite3

        now = time.time()
        (last,) = db.execute("SELECT coalesce(max(position), 0) FROM tasks").fetchone()
        rows = [
            (
                one.uid, one.batch, one.kind, one.baseline, one.name, one.snapshot, json.dumps(one.spec),
                json.dumps(one.command), last + number, json.dumps(one.resources), one.timeout_s,
                one.max_attempts, state, rev, now,
            )
            for number, (one, state, rev) in enumerate(new, 1)
        ]  # fmt: skip
        try:
            db.executemany(
                "INSERT INTO tasks (uid, batch, kind, baseline, name, snapshot, spec, command, position,"
                " resources, timeout, max_attempts, state, rev, created, attempt, stops, live)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, NULL, '{}')",
                rows,
            )
        except sqlite3.IntegrityError:
            own = {one.uid for one, _, _ in new}
            taken = {
                (str(baseline), str(name).lower()): str(name)
                for uid, baseline, name in db.execute(
                    "SELECT uid, baseline, name FROM tasks"
                    " WHERE state IN ('queued', 'running', 'committing')"
                )
                if uid not in own
            }
            keys = [(one.baseline, one.name.lower()) for one, _, _ in new]
            name = next((taken[key] for key in keys if key in taken), new[0][0].name)
            raise NameTaken(
                f"A task that is queued or runs has the name `{name}`. Nothing was queued.",
                f"`nbexp queue remove {name}` takes one that waits out of the queue.",
            ) from None
        db.executemany(
            "INSERT INTO events (uid, time, kind, data) VALUES (?, ?, ?, '{}')",
            [(one.uid, now, state) for one, state, _ in new],
        )

    def _step(
        self, db: sqlite3.Connection, task: Task, event: states.Event, **columns: object
    ) -> Step:
        done = states.step(task.situation(), event)
        if done.refused is not None:
            return done
        if done.task is None:
            db.execute("DELETE FROM tasks WHERE uid = ?", (task.uid,))
            self._log(db, task.uid, "removed", {})
            return done
        after = done.task
        if after == task.situation() and not columns:
            return done
        if after.state in states.OVER and task.state not in states.OVER:
            columns = {"ended": time.time(), **columns}
        if after.state == "queued" and task.state != "queued":
            columns = {"started": None, "ended": None, "live": "{}", **columns}
        changed = {
            "state": after.state, "owner": after.owner, "attempt": after.attempt, "stops": after.stops,
            "rev": after.rev, "error": after.error, **columns,
        }  # fmt: skip
        import sqlite3

        try:
            db.execute(
                f"UPDATE tasks SET {', '.join(f'{name} = ?' for name in changed)} WHERE uid = ?",  # noqa: S608
                (*changed.values(), task.uid),
            )
        except sqlite3.IntegrityError:
            raise NameTaken(
                f"Another task that is queued or runs has the name `{task.name}`. Nothing was changed.",
                "`nbexp queue` lists the tasks.",
            ) from None
        said: dict[str, object] = {"error": after.error} if after.error else {}
        if after.state != task.state:
            self._log(db, task.uid, after.state, said)
        elif after.stops != task.stops:
            self._log(db, task.uid, "stopping", said)
        elif "spec" in columns:
            self._log(db, task.uid, "edited", said)
        return done

    def _log(self, db: sqlite3.Connection, uid: str, kind: str, data: Mapping[str, object]) -> None:
        cursor = db.execute(
            "INSERT INTO events (uid, time, kind, data) VALUES (?, ?, ?, ?)",
            (uid, time.time(), kind, json.dumps(data)),
        )
        if cursor.lastrowid and cursor.lastrowid % 1000 == 0:
            db.execute("DELETE FROM events WHERE seq <= ?", (cursor.lastrowid - KEPT_EVENTS,))
            # Of runs in the workspace, which may be ten thousand, nobody removes the rows.
            db.execute(
                "DELETE FROM tasks WHERE kind IN ('place', 'temp') AND ended IS NOT NULL AND id <="
                " (SELECT max(id) FROM tasks) - ?",
                (_KEPT_RUNS,),
            )

    def _rows(
        self, db: sqlite3.Connection, where: str, values: Sequence[object], *, limit: int = -1
    ) -> list[Task]:
        found = db.execute(
            f"SELECT {_COLUMNS} FROM tasks WHERE {where} ORDER BY position, id LIMIT ?",  # noqa: S608 - own words
            [*values, limit],
        )
        return [_task(row) for row in found]

    def _select(self, where: str, values: Sequence[object]) -> list[Task]:
        rows = self._ask(
            f"SELECT {_COLUMNS} FROM tasks WHERE {where} ORDER BY position, id",  # noqa: S608 - own words
            values,
        )
        return [_task(row) for row in rows]

    def _setting(self, db: sqlite3.Connection, name: str) -> str | None:
        row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    # ---- the file

    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Rows; none where nothing was ever written, for looking makes no file."""
        if not self.exists and self._connection is None:
            return []
        found: list[Any] = self._guarded(lambda db: db.execute(sql, list(values)).fetchall())
        return found

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """All that is inside happens, or nothing of it."""
        import sqlite3

        with self._lock:
            db: sqlite3.Connection = self._guarded(lambda db: self._begun(db, durable=durable))
            is_over = False
            try:
                yield db
                db.execute("COMMIT")
                is_over = True
            except sqlite3.Error as error:
                if self._is_damage(error):
                    self._set_aside()
                    raise _Damaged(str(error)) from None
                raise self._explained(error) from None
            finally:
                if not is_over and self._connection is db and db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")

    def _begun(self, db: sqlite3.Connection, *, durable: bool) -> sqlite3.Connection:
        if durable != self._is_full:
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._is_full = durable
        db.execute("BEGIN IMMEDIATE")
        # A page that is damaged is seen when it is read; a write would only make it worse.
        db.execute("SELECT count(*) FROM settings").fetchone()
        return db

    def _guarded(self, use: Callable[[sqlite3.Connection], Any]) -> Any:
        """What `use` makes of the database; one that is damaged is set aside and made anew first."""
        import sqlite3

        with self._lock:
            for attempt in (1, 2, 3):
                try:
                    return use(self._opened())
                except sqlite3.Error as error:
                    db = self._connection
                    if db is not None and db.in_transaction:
                        with suppress(sqlite3.Error):
                            db.execute("ROLLBACK")
                    if attempt == 3 or not self._is_damage(error):
                        raise self._explained(error) from None
                    self._set_aside()
            raise AssertionError

    def _is_damage(self, error: BaseException) -> bool:
        import sqlite3

        return isinstance(error, sqlite3.DatabaseError) and (
            getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT
            or ("no such table" in str(error) or "no such column" in str(error))
        )

    def _explained(self, error: BaseException) -> BaseException:
        import sqlite3

        if not isinstance(error, sqlite3.Error):
            return error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (5, 6):
            return QueueError(
                f"Another process kept {self._shown} busy for {_BUSY_MS // 1000} s. Nothing was changed.",
                "`nbexp queue status` shows who works.",
            )
        # On a full disk the memory that WAL shares cannot grow, which SQLite calls an I/O error.
        if code == 13 or (code == 10 and _is_full(self.path.parent)):
            return QueueError(
                f"The disk is full, so {self._shown} could not be written. Nothing was changed.",
                "make room on the disk; `nbexp gc` says what nbexp keeps.",
            )
        if code in (8, 14, 10):
            return QueueError(
                f"{self._shown} cannot be written: {error}. Nothing was changed.",
                "see who may write into .dvc/tmp, and whether its file system has room and locks.",
            )
        return error

    @property
    def _shown(self) -> str:
        return "the queue (.dvc/tmp/nbexp/queue.db)"

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._process != os.getpid():
            _abandoned.append(self._connection)
            self._connection = None
        if self._connection is not None:
            if self._is_the_file():
                return self._connection
            # Somebody has set it aside: this connection is of a file that nobody reads any more.
            self._connection.close()
            self._connection = None
        self._process = os.getpid()
        if not self.path.exists() or self.path.stat().st_size < 512 or self._is_cut():
            self._make()
        self._connection = self._connect(self.path)
        self._inode = _inode_of(self.path)
        _stores.add(self)
        self._is_full = True
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            self._connection.close()
            self._connection = None
            raise QueueError(
                f"{self._shown} was written by a newer nbexp. Nothing was changed.",
                "upgrade: `pip install -U nbexp`",
            )
        return self._connection

    def _is_cut(self) -> bool:
        """Whether the file is damaged so; not looked at where another store of this process has it open.

        That one has looked, and to close the file here would end its locks: POSIX drops all of a process's at the first
        `close` (sqlite.org/howtocorrupt.html, 2.2), and other processes would then take the log away from under it.
        """
        inode = _inode_of(self.path)
        is_open = any(
            one._connection is not None and one._inode == inode and one._process == os.getpid()
            for one in tuple(_stores)
        )
        return not is_open and _is_cut(self.path)

    def _is_the_file(self) -> bool:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False
        return self._inode == (found.st_dev, found.st_ino)

    def _connect(self, path: Path) -> sqlite3.Connection:
        import sqlite3

        db = sqlite3.connect(
            path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            (mode,) = db.execute("PRAGMA journal_mode").fetchone()
            if mode != "wal":
                db.execute("PRAGMA journal_mode = TRUNCATE")
            db.execute("PRAGMA synchronous = FULL")
        except BaseException:
            db.close()
            raise
        return db

    def _make(self) -> None:
        """Make the database, complete with what Git knows of a lost one, and put it in its place in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with filesystem.FileLock(self.path.parent / "locks" / "queue-made.lock"):
            # Another process may have been faster.
            if self.path.exists() and self.path.stat().st_size >= 512 and not self._is_cut():
                return
            if self.path.exists():
                self._put_away("it was cut short")
            for rest in _beside(self.path):
                filesystem.remove(rest)  # of no file any more; a new one would take it for its own
            # Always the same one: what a killed process left of it goes.
            new = self.path.with_name(".nbexp-queue.tmp")
            for rest in (new, *_beside(new)):
                filesystem.remove(rest)
            try:
                db = self._fresh(new)
                try:
                    tasks = self._rebuild()
                    if tasks:
                        db.execute("BEGIN IMMEDIATE")
                        self._insert(db, tasks)
                        db.execute("COMMIT")
                    if db.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    db.close()
                crash_point("queue.rebuilding")
                os.replace(new, self.path)
                crash_point("queue.rebuilt")
                filesystem.sync_folder(self.path.parent)
            finally:
                for rest in (new, *_beside(new)):
                    filesystem.remove(rest)
        lost = sum(state == "queued" for _, state, _ in tasks)
        if tasks:
            self._damaged(
                f"The queue was made anew from Git: {lost} task{'s' * (lost != 1)} wait"
                f"{'s' * (lost == 1)}, {len(tasks) - lost} were over."
            )

    def _fresh(self, path: Path) -> sqlite3.Connection:
        """A database with its tables; that it works with its journal is found out by writing it."""
        import sqlite3

        modes = ("TRUNCATE",) if is_network(path.parent) else ("WAL", "TRUNCATE")
        for mode in modes:
            db = sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None)
            try:
                # Some file systems take WAL, and fail on the first write.
                db.execute(f"PRAGMA journal_mode = {mode}")
                db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
                return db
            except sqlite3.OperationalError:
                db.close()
                if mode == modes[-1]:
                    raise
                for rest in (path, *_beside(path)):
                    filesystem.remove(rest)
            except BaseException:
                db.close()
                raise
        raise AssertionError

    def _set_aside(self) -> None:
        """Move the damaged database out of the way, unless another process has just done so."""
        damaged = self._inode
        self.close()
        with filesystem.FileLock(self.path.parent / "locks" / "queue-made.lock"):
            try:
                found = os.stat(self.path)
            except FileNotFoundError:
                return
            if damaged is not None and damaged != (found.st_dev, found.st_ino):
                return
            self._put_away("it is damaged")

    def _put_away(self, why: str) -> None:
        number = 1
        while (kept := self.path.with_name(f"queue.db.damaged-{number}")).exists():
            number += 1
        for rest in _beside(self.path):
            with suppress(FileNotFoundError):
                os.replace(rest, f"{kept}{rest.name.removeprefix(self.path.name)}")
        os.replace(self.path, kept)
        self._damaged(
            f"{self._shown[0].upper()}{self._shown[1:]} is set aside as {kept.name}: {why}."
        )


def _is_full(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM_BYTES


_stores: weakref.WeakSet[Store] = weakref.WeakSet()
_abandoned: list[object] = []  # connections of a parent process: closing them here would harm it


def is_network(folder: Path, mounts: str = "/proc/self/mounts") -> bool:
    """Whether the folder is on a file system that other machines may share."""
    try:
        lines = Path(mounts).read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    place = f"{os.path.realpath(folder)}/"
    best = ("", "")
    for line in lines:
        words = line.split(" ")
        if len(words) < 3:
            continue
        mounted = words[1].replace("\\040", " ").rstrip("/") + "/"
        if place.startswith(mounted) and len(mounted) >= len(best[0]):
            best = (mounted, words[2])
    return best[1] in _NETWORK


def _beside(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm", "-journal"))


def _inode_of(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _is_cut(path: Path) -> bool:
    """Whether the file is shorter than it says itself (sqlite.org/fileformat.html, 1.3), and no log mends that."""
    try:
        log = os.path.getsize(f"{path}-wal")
    except OSError:
        log = 0
    if log:
        return False
    with open(path, "rb") as file:
        header = file.read(100)
        size = os.fstat(file.fileno()).st_size
    if not header.startswith(b"SQLite format 3\0"):
        return True
    page = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    is_current = header[24:28] == header[92:96]
    return is_current and size < pages * (65536 if page == 1 else page)


def _with_room(
    waiting: Sequence[Task], running: Sequence[Task], totals: Mapping[str, float]
) -> list[Task]:
    """The first of the tasks that wait, if it fits; one that is too large for all there is runs alone."""
    free = dict(totals)
    for task in running:
        for name, amount in task.resources.items():
            free[name] = free.get(name, 0) - amount
    for task in waiting:
        needs = {name: amount for name, amount in task.resources.items() if name in totals}
        if all(free[name] >= amount for name, amount in needs.items()):
            return [task]
        used = {name for other in running for name in other.resources}
        if not used.intersection(needs):
            return [task]
        # What comes later does not overtake one that waits for room: it would wait for ever.
        return []
    return []


def _for_worker(batch: str | None) -> tuple[str, list[object]]:
    """Which tasks a worker may take, in SQL: those for any, or those of the one batch that it is there for."""
    return ("kind = 'queued'", []) if batch is None else ("batch = ?", [batch])


def _task(row: Sequence[Any]) -> Task:
    values = list(row)
    for at in (6, 7, 9, 20):
        values[at] = json.loads(values[at])
    return Task(*values)


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
