"""Looking on at a queue: what changed since the last look, as little as that is.

What tasks are is in the database, and a number tells when to read it. What their stages are at, and what they log, each run
writes to a file beside its log (`pipeline.stage_lines`), so that no value is lost between two looks, and one who comes late
sees all of it.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.events import Event, MetricLogged
from nbexp.pipeline import stage_lines
from nbexp.pipeline.standing import Standing
from nbexp.queue.state import ACTIVE, LIVE
from nbexp.queue.watching import Follower, Watcher

if TYPE_CHECKING:
    from nbexp.queue import Queue
    from nbexp.queue.reports import WorkerState
    from nbexp.queue.rows import Task

# Of tasks that are over, so many of the newest are followed back: their stages, curves and logs.
_KEPT_OVER = 6
# What does not change the database, a worker's death for one, is looked at so often.
_ROUND_S = 1.0
_MOST_LOG = 8_192

Points = Mapping[tuple[str, str], list[tuple[float, float]]]
"""By stage and name: steps and values."""


@dataclass
class Change:
    """What is new since the last look.

    Attributes
    ----------
    tasks
        Those that came, or changed.
    gone
        Those that were taken out of the list.
    is_moved
        Tasks that wait are in another order.
    staged
        Those of which a stage began, went on to another cell, or ended.
    points
        What was logged, by task.
    logs
        What was written, by task; of much, the end.
    is_other
        Workers came or went, or the queue was paused or goes on.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    is_moved: bool = False
    staged: set[str] = field(default_factory=set)
    points: dict[str, Points] = field(default_factory=dict)
    logs: dict[str, bytes] = field(default_factory=dict)
    is_other: bool = False

    def __bool__(self) -> bool:
        return bool(
            self.tasks or self.gone or self.is_moved or self.staged or self.points or self.logs
            or self.is_other
        )  # fmt: skip


class Lookout:
    """Follows a queue for one who looks on. Nothing here waits, and all of it is one thread's."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._store = queue.site.store
        self._watcher = Watcher(self._store)
        self._followed: dict[str, _Followed] = {}
        self._round_s = 0.0
        self._wanted: dict[str, Task] = {}
        self.tasks: dict[str, Task] = {}
        self.workers: tuple[WorkerState, ...] = ()
        self.is_paused = False
        self._read_all()
        self._look_around()
        self._follow(Change())

    def look(self) -> Change:
        """What is new; nothing, most of the time, for a few microseconds."""
        change = Change()
        happened = self._watcher.poll()
        if any(one.kind == "moved" for one in happened):
            change.is_moved = True
            self._read_all()
        uids = {one.uid for one in happened}
        if uids:
            found = {task.uid: task for task in self._store.tasks(uids=[*uids])}
            # A run that somebody waited for leaves the list when it is over.
            listed = {uid for uid, task in found.items() if _is_listed(task)}
            change.gone = (uids - listed) & self.tasks.keys()
            for uid in change.gone:
                del self.tasks[uid]
                self._followed.pop(uid, None)
            change.tasks = {uid: found[uid] for uid in listed}
            self.tasks.update(change.tasks)
            self._choose()
        if time.monotonic() - self._round_s > _ROUND_S or uids:
            change.is_other = self._look_around()
        self._follow(change)
        return change

    def standing(self, uid: str) -> Standing | None:
        """Where the stages of a task stand; None where it has not begun, or is over for long."""
        found = self._followed.get(uid)
        return found.standing if found is not None else None

    def back(self, task: Task) -> tuple[Standing, bytes]:
        """Where the stages of a task stood, and the end of its log, however long it is over."""
        found = self._followed.get(task.uid)
        if found is None:
            found = _Followed(self._queue.site.folder, task)
            found.read(task.uid, Change())
            if task.state not in LIVE:
                found.standing.end(_END_OF.get(task.state, "stopped"), task.ended_s)
        return found.standing, found.tail

    def log_tail(self, uid: str) -> bytes:
        """The end of what a task has written."""
        found = self._followed.get(uid)
        return found.tail if found is not None else b""

    @property
    def followed(self) -> tuple[str, ...]:
        """The tasks of which more is known than their state: those that run, and the newest that are over."""
        return tuple(self._followed)

    def ordered(self) -> list[Task]:
        """The tasks as a table has them: those that run, those that wait, in order, and those that are over, newest first."""
        tasks = sorted(self.tasks.values(), key=lambda one: (one.position, one.number))
        running = [one for one in tasks if one.state in ACTIVE]
        waiting = [one for one in tasks if one.state == "queued"]
        over = [one for one in tasks if one.state not in LIVE]
        over.sort(key=lambda one: -(one.ended_s or 0))
        return [*running, *waiting, *over]

    def _read_all(self) -> None:
        self.tasks = {task.uid: task for task in self._store.tasks() if _is_listed(task)}
        self._choose()

    def _choose(self) -> None:
        """The tasks that are followed: of thousands that wait, none."""
        over = [task for task in self.tasks.values() if task.state not in LIVE]
        newest = heapq.nlargest(_KEPT_OVER, over, key=lambda one: one.ended_s or 0)
        running = [task for task in self.tasks.values() if task.state in ACTIVE]
        self._wanted = {task.uid: task for task in (*running, *newest)}

    def _look_around(self) -> bool:
        """Settle what is dead, and see who works; whether that is other than before."""
        from nbexp.events import ignore

        self._round_s = time.monotonic()
        before = (self.workers, self.is_paused)
        queue = self._queue
        self.workers = queue.roll_call(ignore) if self._store.exists else queue.workers()
        self.is_paused = bool(self._store.setting("paused"))
        return before != (self.workers, self.is_paused)

    def _follow(self, change: Change) -> None:
        wanted = self._wanted
        for uid in [*self._followed]:
            if uid not in wanted:
                del self._followed[uid]
        for uid, task in wanted.items():
            known = self._followed.get(uid)
            if known is None or known.attempt != task.attempt:
                known = self._followed[uid] = _Followed(self._queue.site.folder, task)
                change.staged.add(uid)
            elif known.is_over:
                continue
            # Asked before it is read: what came before its end is read, too.
            known.is_over = task.state not in LIVE
            known.read(uid, change)
            if known.is_over:
                known.standing.end(_END_OF.get(task.state, "stopped"), task.ended_s)
                change.staged.add(uid)


_END_OF = {"failed": "failed", "interrupted": "interrupted", "cancelled": "interrupted"}


class _Followed:
    """One attempt at a task: its log, and what it told of its stages."""

    def __init__(self, folder: Path, task: Task) -> None:
        self.attempt = task.attempt
        self.standing = Standing()
        self.tail = b""
        self.is_over = False
        # A run that its maker waits for has a folder of its own, with a log for each stage.
        self._folder = None if task.snapshot else folder / "runs" / task.uid
        name = folder / "log" / f"{task.uid}-{task.attempt}"
        lines = self._folder / "stages.jsonl" if self._folder else name.with_suffix(".jsonl")
        self._lines = Follower(lines)
        self._logs = {} if self._folder else {"": Follower(name.with_suffix(".log"))}
        self._rest = b""

    def read(self, uid: str, change: Change) -> None:
        for path in () if self._folder is None else sorted(self._folder.glob("*.log")):
            self._logs.setdefault(path.name, Follower(path))
        said = b"".join(part for log in self._logs.values() for part in log.read())
        if said:
            self.tail = (self.tail + said)[-_MOST_LOG:]
            change.logs[uid] = said[-_MOST_LOG:]
        told = self._rest + b"".join(self._lines.read())
        whole, _, self._rest = told.rpartition(b"\n")
        found: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for line in stage_lines.read(whole):
            event = stage_lines.event_of(line)
            if event is None:
                continue
            names = [*event.values] if isinstance(event, MetricLogged) else []
            before = [self._count(event, name) for name in names]
            self.standing.take(event, float(line.get("at", 0.0)))
            if not isinstance(event, MetricLogged):
                change.staged.add(uid)
                continue
            for name, count in zip(names, before, strict=True):
                if self._count(event, name) != count:  # a text, or no number, is no point
                    curve = self.standing.curves[event.stage, name]
                    point = (curve.steps[-1], curve.values[-1])
                    found.setdefault((event.stage, name), []).append(point)
        if found:
            change.points[uid] = found

    def _count(self, event: Event, name: str) -> int:
        assert isinstance(event, MetricLogged)
        curve = self.standing.curves.get((event.stage, name))
        return 0 if curve is None else len(curve.steps)


def _is_listed(task: Task) -> bool:
    return task.state in LIVE or task.kind in ("queued", "detached")
