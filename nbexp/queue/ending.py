"""Stopping what waits or runs, wherever it does, and waiting until it has stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from nbexp.events import Emit
from nbexp.filesystem import crash_point
from nbexp.pipeline import process
from nbexp.queue import finding, owners, recovery
from nbexp.queue import state as states
from nbexp.queue.reports import TasksChanged
from nbexp.queue.rows import Task
from nbexp.queue.site import Site
from nbexp.queue.state import ACTIVE, LIVE, Do

# How long `kill` and `stop` wait: stages get ten seconds to end themselves, then they are killed.
_KILL_S = 20.0
# What `kill --force` gives a worker whose stage is gone already, before it is killed as well: one that is suspended, say.
_FORCE_S = 5.0


def kill(site: Site, *names: str, force: bool = False, emit: Emit) -> TasksChanged:
    """Stop tasks that run: as by Ctrl-C, or with `force` at once. They are cancelled then."""
    finding.recover(site, emit)
    tasks = [finding.find(site, name) for name in names]
    refused = {t.name: finding.said(t) for t in tasks if t.state not in ("running", "committing")}
    running = [task for task in tasks if task.name not in refused]
    killed = stop_tasks(site, running, force=force, emit=emit)
    for task in running:
        if task.name not in killed:
            refused[task.name] = finding.said(finding.now(site, task))
    return TasksChanged("killed", killed, refused)


def stop_run(
    site: Site,
    name: str,
    *,
    becomes: Literal["cancelled", "pruned"] = "cancelled",
    emit: Emit,
) -> TasksChanged:
    """Stop a run wherever it is: one that waits does not begin, one that runs is interrupted."""
    finding.recover(site, emit)
    task = finding.find(site, name)
    if task.state not in LIVE:
        return TasksChanged("stopped", (), {task.name: finding.said(task)})
    stopped = stop_tasks(site, [task], force=False, becomes=becomes, emit=emit)
    refused = {} if stopped else {task.name: finding.said(finding.now(site, task))}
    return TasksChanged("stopped", stopped, refused)


def stop_tasks(
    site: Site,
    tasks: Sequence[Task],
    *,
    force: bool,
    becomes: Literal["cancelled", "pruned"] = "cancelled",
    emit: Emit,
) -> tuple[str, ...]:
    """Ask that these are stopped, and wait until they are; the names of those that were."""
    store = site.store
    workers = {worker.id for worker in store.workers()}
    crash_point("queue.changing")
    asked = store.apply_all([task.uid for task in tasks], states.StopAsked(becomes))
    crash_point("queue.changed")
    for task in tasks:
        if task.uid not in asked or Do.WAKE not in asked[task.uid].do:
            continue
        if force:
            process.kill_marked(task.marker if task.snapshot else task.uid)
        is_watched = task.owner in workers or task.kind == "detached"
        pid = None if is_watched or task.owner is None else owners.pid(site.folder, task.owner)
        if pid is not None and pid != os.getpid():
            with suppress(OSError):
                os.kill(pid, signal.SIGINT)
    recovery.let_go(store, site.git, [task.batch for task in tasks if task.snapshot])
    waits_for = [task.uid for task in tasks]
    began = time.monotonic()
    while time.monotonic() < began + _KILL_S:
        now = store.tasks(uids=waits_for)
        if all(task.state not in ACTIVE for task in now):
            break
        if force and time.monotonic() > began + _FORCE_S:
            for task in now:
                is_worked_on = task.owner in workers or task.kind == "detached"
                if task.state == "running" and task.stops and is_worked_on:
                    owners.kill(site.folder, task.owner)
        time.sleep(0.02)
        finding.recover(site, emit)
    now = store.tasks(uids=waits_for)
    return tuple(task.name for task in now if task.state in ("cancelled", "pruned", "interrupted"))
