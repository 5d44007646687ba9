"""How far a sweep is: its trials in the queue, how many there shall be, whether it is over, who leads it.

A trial is a task of the sweep's batch; its number stands in its `command`. What can change of a sweep after it was
asked for is one setting in the queue's database. A lock says whether a process leads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import cast

from nbexp import filesystem, overrides
from nbexp.frozen import frozen, replace
from nbexp.queue import owners
from nbexp.queue import state as states
from nbexp.queue.rows import Task
from nbexp.queue.site import Site
from nbexp.queue.store import Store
from nbexp.sweeps.definition import Definition
from nbexp.sweeps.samplers import State
from nbexp.sweeps.space import Point

KIND = "sweep"
"""Of the tasks of sweeps: no worker takes them but those of the sweep."""


@frozen
class Course:
    """What can change of a sweep.

    Attributes
    ----------
    trials, jobs
        How many trials there shall be, and how many run at once.
    stops
        Somebody wants it stopped.
    over
        "done", "stopped" by somebody, or "failed": it makes no sense to go on. None: it is not over.
    note
        Why it is over, where that is not plain; one line.
    timeout_s
        Seconds after which a trial is stopped and has failed.
    """

    trials: int
    jobs: int
    stops: bool = False
    over: str | None = None
    note: str = ""
    timeout_s: float | None = None


def read(store: Store, sweep: Definition) -> Course:
    """How it is meant to go on."""
    stored = store.setting(_setting(sweep.name))
    if stored is None:
        return Course(sweep.trials, sweep.jobs, timeout_s=sweep.timeout_s)
    return Course(**json.loads(stored))


def write(store: Store, sweep: Definition, course: Course) -> None:
    """Change how it is to go on."""
    filesystem.crash_point("sweep.changing")
    store.set(_setting(sweep.name), json.dumps(vars(course)))
    filesystem.crash_point("sweep.changed")


def lock(site: Site, name: str) -> filesystem.FileLock:
    """Held by the process that leads the sweep."""
    return owners.slot_lock(site.folder, f"lead-{name}")


def is_led(site: Site, name: str) -> bool:
    """Whether a process leads it."""
    return lock(site, name).held()


def tasks(store: Store, sweep: Definition) -> list[Task]:
    """The trials there are, by number."""
    return sorted(store.tasks(batch=sweep.batch), key=number)


def number(task: Task) -> int:
    """The trial's."""
    return int(task.command.get("trial", 0))


def point(task: Task, sweep: Definition) -> Point:
    """The values that the trial has of what the sweep varies."""
    by_key = {
        (one["file"], one["key"]): one["value"]
        for one in cast("list[dict[str, object]]", task.spec["overrides"])
    }
    found: dict[str, object] = {}
    for param in sweep.space.params:
        ((one,),) = overrides.parse({param: None})
        if (one.file, one.key) in by_key:
            found[param] = by_key[one.file, one.key]
    return found


def state(task: Task) -> State:
    """In the words of samplers."""
    if task.state in states.LIVE:
        return "running"
    if task.state in ("done", "pruned"):
        return task.state
    return "failed"


def stop(site: Site, sweep: Definition) -> int:
    """Let no new trial begin, and end those that run; how many those were."""
    store = site.store
    course = read(store, sweep)
    if course.over is None:
        write(store, sweep, replace(course, stops=True))
    live = [task.uid for task in store.tasks(*states.LIVE, batch=sweep.batch)]
    store.apply_all(live, states.StopAsked())
    return len(live)


def counts(found: Iterable[Task]) -> Mapping[str, int]:
    """How many trials are in each state of the queue."""
    numbers: dict[str, int] = {}
    for task in found:
        numbers[task.state] = numbers.get(task.state, 0) + 1
    return numbers


def _setting(name: str) -> str:
    return f"sweep/{name}"
