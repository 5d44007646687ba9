"""Tasks as rows of the table of experiments: those that run with what they have so far, those that wait with their values."""

from __future__ import annotations

import copy
import itertools
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nbexp.errors import NbexpError
from nbexp.experiments.reading import Reader
from nbexp.experiments.row import Data, Row
from nbexp.queue import owners, recovery
from nbexp.queue.rows import Task
from nbexp.queue.site import Site
from nbexp.queue.state import ACTIVE
from nbexp.queue.store import Store


def with_tasks(
    rows: Sequence[Row],
    site: Site,
    reader: Reader,
    names: Mapping[str, str],
    *,
    hide_queued: bool = False,
    every_baseline: bool = True,
) -> tuple[Row, ...]:
    """The rows, and below each baseline its tasks: what runs before the experiments, what waits behind them.

    A run in the workspace is the workspace's row, and a run that is among the rows already, with its values, comes
    once. Costs one look into the database where nothing waits or runs.
    """
    store = site.store
    recovery.recover(store, lambda: site.git, site.folder)
    rows = _in_sequence(rows, store)
    found = [task for task in store.tasks("queued", *ACTIVE) if task.kind != "place"]
    shown = {(row.baseline, row.name) for row in rows if row.state == "running"}
    found = [task for task in found if (task.baseline, task.name) not in shown]
    if hide_queued:
        found = [task for task in found if task.state != "queued"]
    if not found:
        return tuple(rows)
    of_baseline: dict[str, list[Task]] = {}
    for task in found:
        of_baseline.setdefault(task.baseline, []).append(task)
    commits = reader.commits([*of_baseline, *{task.snapshot for task in found if task.snapshot}])
    said = {rev: one.data for rev, one in commits.items()}

    def below(baseline: str, own: Iterable[Row]) -> list[Row]:
        tasks = of_baseline.pop(baseline, [])
        running = [_running(one, site, said) for one in tasks if one.state in ACTIVE]
        waiting = [_waiting(one, said) for one in tasks if one.state == "queued"]
        return [*running, *own, *waiting]

    made: list[Row] = []
    own: list[Row] = []
    baseline: str | None = None
    for row in [*rows, None]:
        if row is not None and row.kind == "experiment":
            own.append(row)
            continue
        made += below(baseline, own) if baseline is not None else own
        own, baseline = [], None
        if row is not None:
            made.append(row)
            baseline = row.rev if row.kind == "baseline" else None
    for rev in [*of_baseline] if every_baseline else []:
        if rev in commits:
            time_s = commits[rev].time_s
            made.append(Row(rev, names.get(rev), "baseline", said[rev], created_s=time_s))
            made += below(rev, ())
    return tuple(made)


def _in_sequence(rows: Sequence[Row], store: Store) -> Sequence[Row]:
    """The rows, with those of one second as their runs were begun, the last one first: Git's clock has whole seconds."""

    def second(row: Row) -> object:
        return (row.baseline, row.created_s) if row.kind == "experiment" else row

    groups = [[*group] for _, group in itertools.groupby(rows, second)]
    if len(groups) == len(rows):
        return rows
    begun = store.sequence()
    for group in groups:
        group.sort(key=lambda row: begun.get((row.baseline, row.name), 0), reverse=True)
    return [row for group in groups for row in group]


def _running(task: Task, site: Site, said: Mapping[str, Data | None]) -> Row:
    data: Data | None = None
    if task.place is not None and Path(task.place, ".dvc").is_dir():
        there = Reader(site.git, site.cache, Path(task.place), site.prefix)
        try:
            data = there.workspace()
        except (NbexpError, OSError):
            data = None  # it is being made ready
    return _row(task, data or _asked(task, said), "running", site)


def _waiting(task: Task, said: Mapping[str, Data | None]) -> Row:
    return _row(task, _asked(task, said), "queued", None)


def _row(task: Task, data: Data, state: str, site: Site | None) -> Row:
    pid = None if site is None or task.owner is None else owners.pid(site.folder, task.owner)
    # As DVC's JSON has it of its own tasks (formats.md 6.2).
    local = {"root": task.place, "log": None, "pid": pid, "returncode": None, "task_id": task.uid}
    executor: dict[str, object] = {"state": state, "name": "nbexp", "local": local}
    return Row(
        task.uid,
        task.name,
        "experiment",
        data,
        task.baseline,
        int(task.created_s),
        state,
        executor=executor,
    )


def _asked(task: Task, said: Mapping[str, Data | None]) -> Data:
    """What the task starts from, with its own values and no results."""
    start = said.get(task.snapshot) or said.get(task.baseline) or Data()
    params = {file: copy.deepcopy(tree) for file, tree in start.params.items()}
    for one in task.spec.get("overrides", ()):
        here = str(task.spec.get("here", "."))
        file = posixpath.normpath(posixpath.join(here, str(one["file"])))
        _set(params.setdefault(file, {}), str(one["key"]).split("."), one)
    return Data(params, {}, start.deps, start.outs)


def _set(tree: object, keys: Sequence[str], one: Mapping[str, object]) -> None:
    for key in keys[:-1]:
        if not isinstance(tree, dict):
            return
        tree = tree.setdefault(key, {})
    if not isinstance(tree, dict):
        return
    if one.get("op") == "delete":
        tree.pop(keys[-1], None)
    else:
        tree[keys[-1]] = one.get("value")
