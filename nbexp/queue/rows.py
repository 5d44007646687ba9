"""What the queue's database holds: its tables, and their rows as those who read them see them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from nbexp.frozen import brief, field, frozen
from nbexp.queue.state import Situation, State

VERSION = 1
TABLES = """
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
COLUMNS = (
    "uid, batch, kind, baseline, name, snapshot, spec, command, position, resources, timeout, max_attempts,"
    " state, owner, attempt, stops, rev, error, place, log, live, created, started, ended, id"
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


def task_of(row: Sequence[Any]) -> Task:
    """The task of a row of `COLUMNS`."""
    values = list(row)
    for at in (6, 7, 9, 20):
        values[at] = json.loads(values[at])
    return Task(*values)
