"""Who works in the slots."""

from __future__ import annotations

import os

from nbexp.filesystem import FileLock
from nbexp.queue import owners
from nbexp.queue.reports import WorkerState
from nbexp.queue.site import Site
from nbexp.queue.state import ACTIVE


def workers(
    site: Site,
) -> tuple[WorkerState, ...]:
    """Those who work: whose slots are locked, or who own tasks still; one that dies lets go of one after the other."""
    store = site.store
    busy = {task.owner: task.name for task in store.tasks(*ACTIVE)}
    known = {one.slot: one for one in store.workers()}
    found = []
    for path in (site.folder / "slots").glob("*.lock"):
        if not path.stem.isdigit():
            continue
        lock, row = FileLock(path), known.get(path.stem)
        is_owner = row is not None and row.id in busy and owners.is_alive(site.folder, row.id)
        if not (lock.held() or is_owner):
            continue
        word = lock.holder().partition(" ")[0] or (str(row.pid) if row is not None else "")
        is_its = row is not None and str(row.pid) == word
        task = busy.get(row.id) if row is not None and is_its else None
        stops = row is not None and is_its and row.stops
        found.append(WorkerState(path.stem, int(word) if word.isdigit() else 0, task, stops))
    return tuple(sorted(found, key=lambda one: int(one.slot)))


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
