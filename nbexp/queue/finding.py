"""Which task a word names, and how it stands with it; those whose owners are dead are settled first."""

from __future__ import annotations

from nbexp.errors import NotFound, QueueError, nearest
from nbexp.events import Emit, Notice
from nbexp.queue import batches, recovery
from nbexp.queue.rows import Task
from nbexp.queue.site import Site
from nbexp.queue.state import LIVE, State


def recover(site: Site, emit: Emit) -> int:
    """See which of the tasks that run are dead, and settle them; how many were."""
    if not site.store.exists:
        # One that is lost, and not only never made, is made anew of what Git has.
        if not batches.own(site.git, site.mark):
            return 0
        site.store.set("paused", None)
    settled = recovery.recover(site.store, lambda: site.git, site.folder)
    for task in settled:
        if task.error:
            again = " It waits again." if task.state == "queued" else ""
            emit(Notice(f"{task.name}: {task.error}.{again}"))
    site.tell(emit)
    return len(settled)


def find(site: Site, word: str, *of_states: State) -> Task:
    """The task of that name or id; of several the one that is not over, else the newest.

    Raises
    ------
    NotFound
        There is none; the nearest name is in the hint.
    """
    found = [t for t in site.store.named(word) if not of_states or t.state in of_states]
    if not found:
        known = [task.name for task in site.store.tasks(*of_states)]
        near = nearest(word, known)
        hint = f"did you mean `{near}`?" if near else "`nbexp queue` lists those there are."
        raise NotFound(f"There is no task `{word}`. Nothing was changed.", hint)
    return next((task for task in found if task.state in LIVE), found[0])


def waiting(site: Site, name: str) -> Task:
    """The task of that name, which waits.

    Raises
    ------
    NotFound, QueueError
        There is none, or it does not wait any more.
    """
    task = find(site, name)
    if task.state != "queued":
        raise QueueError(
            f"Task `{task.name}` does not wait: {said(task)}. Nothing was changed.",
            "`nbexp queue` lists what waits.",
        )
    return task


def now(site: Site, task: Task) -> Task:
    """The task as it is now."""
    return site.store.task(task.uid) or task


def said(task: Task) -> str:
    """How it stands with a task, in words."""
    if task.state == "running" and task.stops:
        return "it is being stopped, and whoever runs it has not answered yet"
    words = {"committing": "it is done, and being recorded", "queued": "it waits"}
    said = words.get(task.state, f"it is {task.state}" if task.state != "failed" else "it failed")
    return f"{said} ({task.error})" if task.error else said
