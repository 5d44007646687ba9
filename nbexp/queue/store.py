"""The queue on disk: one SQLite file of tasks and of what happened to them.

    .dvc/tmp/nbexp/queue.db

It is the only truth about the state of a task. Every change is one short transaction through `state.step`; what must
outlive a power cut (a task was added, a result is about to get its name) is flushed before the call returns, all else
is found again by `recovery`. Lost or damaged, it is made anew from what `rebuild` finds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.errors import NameTaken, QueueError
from nbexp.filesystem import crash_point
from nbexp.queue import state as states
from nbexp.queue.database import Database, mended
from nbexp.queue.rows import COLUMNS, Happened, NewTask, Task, WorkerRow, task_of
from nbexp.queue.state import State, Step

if TYPE_CHECKING:
    import sqlite3

KEPT_EVENTS = 10_000
_KEPT_RUNS = 2_000


class Store(Database):
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
        super().__init__(folder / "queue.db", damaged)
        self._rebuild = rebuild

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

    @mended
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

    @mended
    def begin(self, new: NewTask, owner: str, *, place: str | None = None) -> None:
        """Add a task that its maker runs now, itself."""
        with self._transaction(durable=False) as db:
            self._insert(db, [(new, "running", None)])
            db.execute(
                "UPDATE tasks SET owner = ?, attempt = 1, started = created, place = ? WHERE uid = ?",
                (owner, place, new.uid),
            )

    @mended
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

    @mended
    def apply(
        self, uid: str, event: states.Event, *, durable: bool = False, **columns: object
    ) -> Step | None:
        """Let an event happen to a task, and say what follows; None: there is no such task.

        A `Fenced` is on disk when this returns, whatever `durable` says.
        """
        with self._transaction(durable=durable or isinstance(event, states.Fenced)) as db:
            found = self._rows(db, "uid = ?", [uid])
            return self._step(db, found[0], event, **columns) if found else None

    @mended
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

    @mended
    def edit(self, uid: str, spec: Mapping[str, object], **columns: object) -> Step | None:
        """Give a task that waits another spec."""
        with self._transaction(durable=True) as db:
            found = self._rows(db, "uid = ?", [uid])
            if not found:
                return None
            return self._step(db, found[0], states.Changed(), spec=json.dumps(spec), **columns)

    @mended
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

    @mended
    def tell(
        self, uid: str, kind: str, data: Mapping[str, object], live: Mapping[str, object]
    ) -> None:
        """Add a line to the history and note the latest; costs no flush, a power cut may take it."""
        with self._transaction(durable=False) as db:
            db.execute("UPDATE tasks SET live = ? WHERE uid = ?", (json.dumps(live), uid))
            self._log(db, uid, kind, data)

    # ---- workers

    @mended
    def sign_on(self, worker: WorkerRow) -> None:
        with self._transaction(durable=False) as db:
            db.execute(
                "INSERT OR REPLACE INTO workers VALUES (?, ?, ?, ?, ?)",
                (worker.id, worker.slot, worker.pid, worker.since_s, worker.stops),
            )

    @mended
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

    @mended
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

    @mended
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
            f"SELECT {COLUMNS} FROM tasks WHERE {where} ORDER BY position, id LIMIT ?",  # noqa: S608 - own words
            [*values, limit],
        )
        return [task_of(row) for row in found]

    def _select(self, where: str, values: Sequence[object]) -> list[Task]:
        rows = self._ask(
            f"SELECT {COLUMNS} FROM tasks WHERE {where} ORDER BY position, id",  # noqa: S608 - own words
            values,
        )
        return [task_of(row) for row in rows]

    def _setting(self, db: sqlite3.Connection, name: str) -> str | None:
        row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def _fill(self, db: sqlite3.Connection) -> str | None:
        tasks = self._rebuild()
        if not tasks:
            return None
        db.execute("BEGIN IMMEDIATE")
        self._insert(db, tasks)
        db.execute("COMMIT")
        lost = sum(state == "queued" for _, state, _ in tasks)
        return (
            f"The queue was made anew from Git: {lost} task{'s' * (lost != 1)} wait"
            f"{'s' * (lost == 1)}, {len(tasks) - lost} were over."
        )


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


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
