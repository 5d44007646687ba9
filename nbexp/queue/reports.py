"""What the commands of the queue come to, for every face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbexp.experiments.dvc_queue import Task as DvcTask
from nbexp.frozen import field, frozen
from nbexp.queue.rows import Task
from nbexp.results import Result


@frozen
class Queued(Result):
    """What was queued: the tasks, and what will be missing where they run.

    Attributes
    ----------
    duplicates
        How many points were left out because another one of the same request is equal.
    missing
        What will not be there, in words: path, and why.
    workers
        How many workers are at work already.
    in_detail
        Say each experiment, as dvc does.
    """

    tasks: tuple[Task, ...]
    duplicates: int = 0
    missing: tuple[str, ...] = ()
    workers: int = 0
    in_detail: bool = False

    def __repr__(self) -> str:
        return f"<Queued: {', '.join(task.name for task in self.tasks[:8])}>"

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    @property
    def uids(self) -> tuple[str, ...]:
        return tuple(task.uid for task in self.tasks)

    def to_json(self) -> dict[str, object]:
        return {
            "queued": [
                {"task": task.uid, "name": task.name, "overrides": list(task.overrides)}
                for task in self.tasks
            ],
            "duplicates": self.duplicates,
            "missing": list(self.missing),
        }


@frozen
class WorkerState:
    """A worker that is alive: its slot, its process, and the task it runs."""

    slot: str
    pid: int
    task: str | None = None
    stops: bool = False

    def to_json(self) -> dict[str, object]:
        return {"slot": self.slot, "pid": self.pid, "task": self.task, "stops": self.stops}


@frozen
class QueueStatus(Result):
    """What waits, runs and is over, and who works; each word of it is true at the moment it is asked.

    `tasks` that run come first, then those that wait, in order, then those that are over, the newest first.
    """

    tasks: tuple[Task, ...] = ()
    workers: tuple[WorkerState, ...] = ()
    of_dvc: tuple[DvcTask, ...] = ()
    is_paused: bool = False
    in_detail: bool = False
    is_interactive: bool = False

    def __repr__(self) -> str:
        return (
            f"<Queue: {', '.join(f'{n} {state}' for state, n in self.counts.items()) or 'empty'}>"
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many tasks are in each state that any is in."""
        found: dict[str, int] = {}
        for task in self.tasks:
            found[task.state] = found.get(task.state, 0) + 1
        return found

    def to_json(self) -> dict[str, object]:
        return {
            "tasks": [task_json(task) for task in self.tasks],
            "workers": [worker.to_json() for worker in self.workers],
            "paused": self.is_paused,
            "dvc": [
                {"task": one.rev, "name": one.name, "state": one.state, "baseline": one.baseline}
                for one in self.of_dvc
            ],
        }


@frozen
class WorkersStarted(Result):
    """How many workers were started, how many there are now, and how many cores."""

    started: int
    running: int
    cores: int
    waiting: int = 0

    def to_json(self) -> dict[str, object]:
        return {"started": self.started, "running": self.running, "waiting": self.waiting}


@frozen
class WorkersStopped(Result):
    """How many workers go once they are done; with `killed`, the tasks that were stopped for it.

    `left` are those that were to be stopped, and whose workers have not answered.
    """

    workers: int
    killed: tuple[str, ...] = ()
    is_killed: bool = False
    left: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {"workers": self.workers, "killed": list(self.killed), "left": list(self.left)}


@frozen
class QueuePaused(Result):
    """The queue gives out no task any more; those that run go on."""

    running: int = 0
    waiting: int = 0

    def to_json(self) -> dict[str, object]:
        return {"paused": True, "running": self.running, "waiting": self.waiting}


@frozen
class TasksChanged(Result):
    """Tasks to which something was done, by name.

    Attributes
    ----------
    what
        `removed`, `killed`, `stopped`, `retried`, `moved` or `edited`.
    refused
        Of those that were meant and stay as they are, why.
    """

    what: str
    names: tuple[str, ...]
    refused: Mapping[str, str] = field(default_factory=dict, hash=False)
    note: str = ""

    def to_json(self) -> dict[str, object]:
        return {self.what: list(self.names), "refused": dict(self.refused)}


@frozen
class TaskLog(Result):
    """What a run has written so far, and where it runs or ran; `data` is as it was written."""

    name: str
    state: str
    data: bytes = field(repr=False)
    place: str | None = None
    encoding: str = "utf-8"
    was_followed: bool = False

    @property
    def text(self) -> str:
        return self.data.decode(self.encoding, "replace")

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "state": self.state, "place": self.place, "log": self.text}


@frozen
class RunOver(Result):
    """Tasks that were waited for, as they ended."""

    tasks: tuple[Task, ...]

    @property
    def exit_code(self) -> int:
        return 0 if all(task.state == "done" for task in self.tasks) else 1

    def to_json(self) -> dict[str, object]:
        return {"tasks": [task_json(task) for task in self.tasks]}


def task_json(task: Task) -> dict[str, Any]:
    """A task as JSON has it everywhere; times are seconds since 1970."""
    return {
        "task": task.uid,
        "name": task.name,
        "state": task.state,
        "kind": task.kind,
        "baseline": task.baseline,
        "overrides": list(task.overrides),
        "rev": task.rev,
        "error": task.error,
        "attempt": task.attempt,
        "created": task.created_s,
        "started": task.started_s,
        "ended": task.ended_s,
        "place": task.place,
        "log": task.log,
        "resources": dict(task.resources),
        "live": dict(task.live),
    }
