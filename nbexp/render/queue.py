"""What waits and runs: the queue, its workers, and the logs of runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, counted, duration, shown

if TYPE_CHECKING:
    from nbexp.queue.reports import (
        Queued,
        QueuePaused,
        QueueStatus,
        RunOver,
        TaskLog,
        TasksChanged,
        WorkersStarted,
        WorkersStopped,
    )
    from nbexp.queue.rows import Task

# Tasks that are over and that a table shows; the JSON has all.
MAX_OVER = 20
_NAMES = 8
HEADS = ("task", "name", "state", "stage", "progress", "values", "elapsed")


def _queued(result: Queued) -> str:
    if result.tasks and result.tasks[0].kind == "detached":
        task = result.tasks[0]
        return (
            f"{task.name} runs beside your files, and goes on without this process\n"
            f"follow it: nbexp logs {task.name} -f   stop it: nbexp stop {task.name}"
        )
    lines = []
    if result.in_detail:
        for task in result.tasks:
            if task.overrides:
                lines.append(f"Queueing with overrides '{by_file(task)}'.")
            lines.append(f"Queued experiment '{task.name}' for future execution.")
    lines.append(summary(result))
    lines += [f"not there when they run: {one}" for one in result.missing]
    if not result.missing:
        lines.append("pre-flight: all inputs tracked")
    lines.append(next_step(result))
    return "\n".join(lines)


def by_file(task: Task) -> dict[str, list[str]]:
    """The overrides of a task as DVC says them: by params file, without its name."""
    found: dict[str, list[str]] = {}
    for one in task.spec.get("overrides", ()):
        file = str(one.get("file", ""))
        found.setdefault(file, []).append(str(one.get("text", "")).removeprefix(f"{file}:"))
    return found


def summary(result: Queued) -> str:
    """How many were queued, and the first of them."""
    said = f"queued {len(result.tasks)}   duplicates {result.duplicates}"
    if len(result.tasks) == 1:
        task = result.tasks[0]
        return f"queued {task.name}{f': {values_of(task)}' if task.overrides else ''}"
    first = ", ".join(values_of(task) for task in result.tasks[:3])
    more = " …" if len(result.tasks) > 3 else ""
    return f"{said}   first key slowest: {first}{more}" if first else said


def values_of(task: Task) -> str:
    """The values a task sets, with the last part of each key; what it takes away keeps its `~`."""
    shown = []
    for text in task.overrides:
        address, sign, value = text.partition("=")  # a value may have colons and dots as well
        last = re.split(r"[.:+~]", address)[-1]
        shown.append(f"{'~' * ('~' in address)}{last}{sign}{value}")
    return " ".join(shown)


def next_step(result: Queued) -> str:
    """What to type now."""
    if result.workers:
        return f"{counted(result.workers, 'worker')} will take {'it' if len(result) == 1 else 'them'}: nbexp queue"
    return f"start: nbexp queue start{' -j 2' if len(result.tasks) > 1 else ''}"


def _status(result: QueueStatus) -> str:
    tasks = listed(result)
    lines = aligned([HEADS, *(cells(task) for task in tasks)]) if tasks else []
    if result.in_detail:
        lines = []
        for task in tasks:
            lines += [*aligned([cells(task)]), *(f"    {line}" for line in details(task))]
    if result.of_dvc:
        rows = [[one.rev[:7], one.name or "", one.state, "queued by DVC"] for one in result.of_dvc]
        lines += aligned(rows)
    if not lines:
        lines.append("No experiment tasks in the queue.")
    left = len(result.tasks) - len(tasks)
    if left:
        lines.append(f"and {left:,} more that are over: nbexp queue --json")
    lines.append(workers_line(result))
    return "\n".join(lines)


def listed(result: QueueStatus) -> list[Task]:
    """The tasks that a table shows: all that are not over, and the newest that are."""
    over = [task for task in result.tasks if task.ended_s is not None]
    hidden = {task.uid for task in over[MAX_OVER:]}
    return [task for task in result.tasks if task.uid not in hidden]


def cells(task: Task) -> list[str]:
    """A task as a row."""
    is_at_work = task.state in ("running", "committing")
    live = task.live if is_at_work else {}
    # What it logged last stays of one that is done; of all others, and of one that logs nothing, what it was given.
    values = task.live.get("values", {}) if is_at_work or task.state == "done" else {}
    told = " ".join(f"{name} {shown(value)}" for name, value in list(values.items())[:3])
    elapsed = task.elapsed_s
    return [
        task.uid[:7],
        task.name,
        state_of(task),
        str(live.get("stage", "")),
        progress(live),
        told or values_of(task),
        "" if elapsed is None else duration(elapsed),
    ]


def state_of(task: Task) -> str:
    """Its state in one word, or two where it is on its way to another one."""
    if task.state == "committing":
        return "recording"
    if task.stops:
        return "stopping"
    return task.state


def progress(live: Mapping[str, Any]) -> str:
    """How far it is: `cell 2/3 step 7`."""
    said = []
    if "cell" in live:
        said.append(f"cell {live['cell']}/{live.get('cells', '?')}")
    if live.get("step") is not None:
        said.append(f"step {live['step']}")
    return " ".join(said)


def details(task: Task) -> list[str]:
    """What else there is to know of a task."""
    found = []
    if task.overrides:
        found.append(f"values: {' '.join(task.overrides)}")
    if task.place:
        found.append(f"folder: {task.place}")
    if task.error:
        found.append(
            f"because: {task.error}" if task.state != "queued" else f"before: {task.error}"
        )
    if task.attempt > 1:
        found.append(f"attempt: {task.attempt}")
    if task.rev:
        found.append(f"experiment: {task.rev[:7]}")
    return found


def workers_line(result: QueueStatus) -> str:
    """Who works, and how much there is to do."""
    busy = sum(worker.task is not None for worker in result.workers)
    idle = len(result.workers) - busy
    counts = result.counts
    waiting, failed = counts.get("queued", 0), counts.get("failed", 0)
    said = [
        f"Worker status: {busy} active, {idle} idle",
        f"waiting {waiting}",
        f"done {counts.get('done', 0)}",
        f"failed {failed}",
    ]
    if result.is_paused:
        said.append("paused: nbexp queue start")
    elif waiting and not result.workers:
        said.append("start: nbexp queue start")
    elif failed and not waiting:
        said.append("again: nbexp queue retry --failed")
    return "   ".join(said)


def _started(result: WorkersStarted) -> str:
    said = (
        f"Started '{result.started}' new experiments task queue worker{'s' * (result.started > 1)}."
    )
    there = result.running - result.started
    if there > 0:
        said += f" {counted(there, 'worker')} {'was' if there == 1 else 'were'} at work already."
    return said


def _stopped(result: WorkersStopped) -> str:
    if not result.workers:
        return "No worker is at work."
    if not result.is_killed:
        return "Queue workers will stop after running tasks finish."
    if result.left:
        names, many = ", ".join(result.left), len(result.left) != 1
        return (
            f"{names} {'are' if many else 'is'} told to stop, but the worker{'s have' if many else ' has'} not answered.\n"
            f"end {'them' if many else 'it'} at once: nbexp queue kill --force {' '.join(result.left)}"
        )
    names = f" ({', '.join(result.killed)})" if result.killed else ""
    return f"All running tasks in the queue have been killed{names}. Queue workers are stopping."


def _paused(result: QueuePaused) -> str:
    runs = (
        f"{counted(result.running, 'task')} that run{'s' * (result.running == 1)} will be finished"
    )
    return (
        f"paused: {counted(result.waiting, 'task')} wait{'s' * (result.waiting == 1)}, {runs}\n"
        "go on: nbexp queue start"
    )


def _changed(result: TasksChanged) -> str:
    lines = []
    if result.names or not result.refused:
        lines.append(_done(result))
    lines += [f"{name} stays as it was: it {_why(why)}" for name, why in result.refused.items()]
    return "\n".join(lines)


def _why(why: str) -> str:
    return why.removeprefix("it ")


def _done(result: TasksChanged) -> str:
    names = ", ".join(result.names)
    if not names:
        return f"no task was {result.what}"
    if result.what == "removed":
        return f"Removed tasks in queue: {names}"
    if result.what == "retried":
        wait = "waits" if len(result.names) == 1 else "wait"
        return f"{names} {wait} again   (nbexp queue start runs what waits)"
    if result.what == "edited":
        return f"{names} has other values: {result.note}"
    return f"{result.what} {names}"


def _log(result: TaskLog) -> str:
    end = f"{result.name}: {result.state}"
    if result.place and result.state in ("running", "committing"):
        end += f" in {result.place}"
    if result.was_followed:
        return end
    return f"{result.text.rstrip() or silence(result)}\n{end}"


def silence(result: TaskLog) -> str:
    """What stands where a run has written nothing."""
    is_going_on = result.state in ("queued", "running", "committing")
    return "(nothing yet)" if is_going_on else "(it wrote nothing)"


def _over(result: RunOver) -> str:
    if not result.tasks:
        return "No experiment tasks in the queue."
    lines = [f"{task.name}: {state_of(task)}{f', {task.error}' if task.error else ''}"
             for task in result.tasks[:_NAMES] if task.state != "done"]  # fmt: skip
    done = [task.name for task in result.tasks if task.state == "done"]
    if done:
        more = f" and {len(done) - _NAMES:,} more" if len(done) > _NAMES else ""
        lines.append(f"Ran experiment(s): {', '.join(done[:_NAMES])}{more}")
    left = sum(task.state in ("queued", "running", "committing") for task in result.tasks)
    if left:
        lines.append(
            f"{counted(left, 'task')} go{'es' * (left == 1)} on: nbexp queue; stop: nbexp queue stop --kill"
        )
    return "\n".join(lines)


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Queued": _queued,
    "QueueStatus": _status,
    "WorkersStarted": _started,
    "WorkersStopped": _stopped,
    "QueuePaused": _paused,
    "TasksChanged": _changed,
    "TaskLog": _log,
    "RunOver": _over,
}
