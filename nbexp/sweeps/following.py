"""A sweep from outside: starting who leads it, watching until it is over, and what it has come to so far."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from nbexp.errors import QueueError
from nbexp.events import Emit, Phase
from nbexp.experiments.reading import Reader
from nbexp.filesystem import crash_point
from nbexp.formats import ref_names
from nbexp.overrides import spell
from nbexp.queue import recovery, starting
from nbexp.queue import state as states
from nbexp.queue.rows import Task
from nbexp.queue.site import Site
from nbexp.queue.watching import Watcher
from nbexp.sweeps import course as courses
from nbexp.sweeps import definition, objective, samplers
from nbexp.sweeps.course import Course
from nbexp.sweeps.definition import Definition
from nbexp.sweeps.results import Over, Sweep, TrialRow
from nbexp.sweeps.space import Point

_PATIENCE_S = 30.0
_children: list[subprocess.Popen[bytes]] = []


def start(site: Site, sweep: Definition) -> subprocess.Popen[bytes] | None:
    """See to it that a process leads the sweep, which outlives this one; the process, if it had to be started.

    Raises
    ------
    QueueError
        It ended before it began; what it said is in the message.
    """
    if courses.is_led(site, sweep.name):
        return None
    log = _log(site, sweep)
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-P", "-m", "nbexp.sweeps", "--root", os.fspath(site.root), sweep.name]
    crash_point("sweep.starting")
    with open(log, "wb") as said:
        child = subprocess.Popen(
            argv,
            cwd=site.root,
            env=starting.environment(os.environ if site.env is None else site.env),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    crash_point("sweep.started")
    _children[:] = [one for one in _children if one.poll() is None] + [child]
    end = time.monotonic() + _PATIENCE_S
    while not courses.is_led(site, sweep.name):
        code = child.poll()
        if code == 0 or courses.read(site.store, sweep).over is not None:
            break  # all was done before it was looked at
        if code is not None and code < 0:
            break  # killed, which says nothing of the next one
        if code is not None or time.monotonic() > end:
            raise _ended_early(site, sweep, code)
        time.sleep(0.005)
    return child


def _log(site: Site, sweep: Definition) -> Path:
    return site.folder / "workers" / f"lead-{sweep.name}.log"


def _ended_early(site: Site, sweep: Definition, code: int | None) -> QueueError:
    log = _log(site, sweep)
    lines = log.read_text(errors="replace").strip().splitlines()
    what = f"ended with {code}" if code is not None else f"did not begin in {_PATIENCE_S:g} s"
    return QueueError(
        f"The process that leads {sweep.name} {what}{f': {lines[-1]}' if lines else ''}.",
        f"what it said is in .dvc/tmp/nbexp/workers/{log.name}.",
    )


def follow(site: Site, sweep: Definition, emit: Emit) -> None:
    """Watch the sweep until it is over; where the process that leads it dies, start another one."""
    watcher = Watcher(site.store)
    shown = ""
    for course in changes(site, sweep, watcher):
        found = courses.tasks(site.store, sweep)
        over = [task for task in found if task.state in states.OVER]
        text = _line(sweep, found)
        if text != shown:
            shown = text
            emit(Phase(text, len(over), course.trials))


def changes(site: Site, sweep: Definition, watcher: Watcher) -> Iterator[Course]:
    """How it is meant to go on, anew with each change, until it is over; it is led all that time."""
    child: subprocess.Popen[bytes] | None = None
    while True:
        course = courses.read(site.store, sweep)
        yield course
        if course.over is not None:
            end = time.monotonic() + _PATIENCE_S
            while courses.is_led(site, sweep.name) and time.monotonic() < end:
                time.sleep(0.005)  # it has only to go
            return
        if not courses.is_led(site, sweep.name) and courses.read(site.store, sweep).over is None:
            code = child.poll() if child is not None else None
            if code is not None and code > 0:
                # Not killed: it ended by an error of its own, and would again.
                raise _ended_early(site, sweep, code)
            child = start(site, sweep) or child
        watcher.wait(1.0)


def _line(sweep: Definition, found: list[Task]) -> str:
    counts = courses.counts(found)
    running = [task for task in found if task.state in states.ACTIVE]
    parts = [f"{sweep.name}:"]
    parts += [f"{counts[state]} {state}" for state in ("pruned", "failed") if counts.get(state)]
    parts += [_at(task) for task in running[:4]]
    return "  ".join(parts)


def _at(task: Task) -> str:
    """Where a running trial is: `calm-otter cell 2/3 step 7`."""
    words = [task.name]
    if "cell" in task.live:
        words.append(f"cell {task.live['cell']}/{task.live.get('cells', '?')}")
    if task.live.get("step") is not None:
        words.append(f"step {task.live['step']}")
    return " ".join(words)


def result(site: Site, sweep: Definition) -> Sweep:
    """What the sweep has come to."""
    recovery.recover(site.store, lambda: site.git, site.folder)
    course = courses.read(site.store, sweep)
    state: Over = (
        cast("Over", course.over)
        if course.over is not None
        else "running"
        if courses.is_led(site, sweep.name)
        else "waiting"
    )
    found = courses.tasks(site.store, sweep)
    revs = [task.rev for task in found if task.state == "done" and task.rev]
    names = _names(site, revs)
    aim = objective.of(sweep)
    values = _values(site, found, aim)
    metrics = _metrics(site, found) if aim is None else {}
    rows = [
        TrialRow(
            courses.number(task) + 1,
            names.get(
                (task.rev or "", task.name.lower()), names.get((task.rev or "", ""), task.name)
            ),
            task.state,
            values.get(task.uid),
            courses.point(task, sweep),
            task.rev if task.state == "done" else None,
            task.elapsed_s,
            task.error,
            metrics.get(task.uid, {}),
        )
        for task in found
    ]
    ended = [task.ended_s for task in found if task.ended_s is not None]
    last = max(ended, default=sweep.created_s) if course.over else definition.now_s()
    return Sweep(
        name=sweep.name,
        state=state,
        trials=tuple(rows),
        planned=course.trials,
        sampler=sweep.sampler,
        jobs=course.jobs,
        seed=sweep.seed,
        params=sweep.space.params,
        fixed=tuple(one.text for one in sweep.spec.overrides),
        options=sweep.options,
        metric=sweep.metric,
        direction=sweep.direction,
        elapsed_s=max(0.0, last - sweep.created_s),
        note=course.note,
        stops_at_failure=not samplers.load(sweep.sampler).needs_metric,
    )


def _names(site: Site, revs: list[str]) -> dict[tuple[str, str], str]:
    """By rev and the name in small letters, and by rev alone, the names that experiments have now."""
    wanted = set(revs)
    found: dict[tuple[str, str], str] = {}
    for ref, rev in site.git.refs("refs/exps/").items():
        if rev in wanted and ref_names.parse(ref) is not None:
            name = ref_names.name_of(ref)
            found[rev, name.lower()] = name
            found.setdefault((rev, ""), name)
    return found


def _values(site: Site, found: list[Task], aim: objective.Objective | None) -> dict[str, float]:
    """By uid, what trials brought; of those that were pruned or run, what they logged last."""
    if aim is None:
        return {}
    reader = Reader(site.git, site.cache, site.root, site.prefix)
    commits = reader.commits([task.rev for task in found if task.state == "done" and task.rev])
    values: dict[str, float] = {}
    for task in found:
        commit = commits.get(task.rev or "") if task.state == "done" else None
        value = None
        if commit is not None and commit.data is not None:
            value = aim.find(commit.data)
        if value is None:
            value = aim.logged(task.live.get("values", {}))
        if value is not None:
            values[task.uid] = value
    return values


def _metrics(site: Site, found: list[Task]) -> dict[str, dict[str, object]]:
    """By uid, what trials measured that nobody compares: a metric by its key, with its file where two have that."""
    reader = Reader(site.git, site.cache, site.root, site.prefix)
    commits = reader.commits([task.rev for task in found if task.state == "done" and task.rev])
    metrics: dict[str, dict[str, object]] = {}
    for task in found:
        commit = commits.get(task.rev or "")
        if commit is None or commit.data is None:
            continue
        leaves = commit.data.flat("metrics")
        keys = [key for _, key in leaves]
        metrics[task.uid] = {
            key if keys.count(key) == 1 else f"{file}:{key}": value
            for (file, key), value in leaves.items()
        }
    return metrics


def typed(point: Point) -> str:
    """A point as it would be typed: `train.lr=0.1 train.seed=2`."""
    return " ".join(f"{param}={spell(value)}" for param, value in point.items())
