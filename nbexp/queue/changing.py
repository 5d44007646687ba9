"""Changing what waits or is over: taking it out of the list, letting it wait again, its place, its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbexp import overrides as grammar
from nbexp.errors import NameTaken, NbexpError, QueueError, UsageError
from nbexp.events import Emit
from nbexp.experiments import composition, freezing
from nbexp.experiments import spec as specs
from nbexp.experiments.freezing import Snapshot, View
from nbexp.experiments.place import files_of
from nbexp.experiments.spec import Spec
from nbexp.frozen import replace
from nbexp.queue import asking, batches, finding, recovery
from nbexp.queue import state as states
from nbexp.queue.reports import TasksChanged
from nbexp.queue.site import Site
from nbexp.queue.state import OVER, State


def remove(
    site: Site,
    *names: str,
    queued: bool = False,
    success: bool = False,
    failed: bool = False,
    everything: bool = False,
    emit: Emit,
) -> TasksChanged:
    """Take tasks out of the list: those that wait do not run; experiments that are recorded stay."""
    finding.recover(site, emit)
    wanted: list[State] = []
    if queued or everything:
        wanted.append("queued")
    if success or everything:
        wanted.append("done")
    if failed or everything:
        wanted += ["failed", "cancelled", "interrupted", "pruned"]
    store = site.store
    tasks = [finding.find(site, name) for name in names]
    if wanted:
        tasks += [t for t in store.tasks(*wanted) if t.kind in ("queued", "detached")]
    tasks = [*{task.uid: task for task in tasks}.values()]
    if not tasks:
        return TasksChanged("removed", ())
    done = store.apply_all([task.uid for task in tasks], states.Removed())
    recovery.let_go(store, site.git, [task.batch for task in tasks if task.snapshot])
    refused = {
        task.name: str(done[task.uid].refused)
        for task in tasks
        if task.uid in done and done[task.uid].refused
    }
    removed = tuple(task.name for task in tasks if task.name not in refused)
    return TasksChanged("removed", removed, refused)


def retry(site: Site, *names: str, failed: bool = False, emit: Emit) -> TasksChanged:
    """Let tasks that failed, or were stopped, wait again, behind all others; what they start from is the same."""
    finding.recover(site, emit)
    tasks = [finding.find(site, name) for name in names]
    if failed:
        tasks += [t for t in site.store.tasks("failed") if t.kind == "queued"]
    refused: dict[str, str] = {}
    retried: list[str] = []
    for task in {task.uid: task for task in tasks}.values():
        if not task.snapshot:
            refused[task.name] = "ran in the workspace or was waited for: run it again there"
            continue
        if task.state in OVER and not asking.keep_snapshot(site, task):
            refused[task.name] = "is too old: Git has collected what it started from"
            continue
        try:
            done = site.store.apply(
                task.uid, states.Retried(), durable=True, kind="queued",
                position=site.store.last_position() + 1,
            )  # fmt: skip
        except NameTaken:
            refused[f"{task.name} ({task.uid[:7]})"] = (
                "another task that waits or runs has its name"
            )
            recovery.let_go(site.store, site.git, [task.batch])
            continue
        if done is not None and done.refused:
            refused[task.name] = done.refused
        else:
            retried.append(task.name)
    return TasksChanged("retried", tuple(retried), refused)


def move(
    site: Site,
    *names: str,
    first: bool = False,
    last: bool = False,
    before: str | None = None,
    emit: Emit,
) -> TasksChanged:
    """Put tasks that wait first, last, or before another one."""
    if first + last + (before is not None) != 1:
        raise UsageError(
            "Where to is one of first, last, and before another task. Nothing was moved.",
            "`nbexp queue move NAME --first`",
        )
    finding.recover(site, emit)
    tasks = [finding.waiting(site, name) for name in names]
    ahead = finding.waiting(site, before) if before is not None else None
    if ahead is not None and any(task.uid == ahead.uid for task in tasks):
        raise UsageError(f"`{before}` cannot be before itself. Nothing was moved.")
    site.store.arrange(
        [task.uid for task in tasks], before=ahead.uid if ahead else None, first=first
    )
    return TasksChanged("moved", tuple(task.name for task in tasks))


def edit(
    site: Site,
    name: str,
    set_params: Mapping[str, object] | Iterable[str],
    *,
    emit: Emit,
) -> TasksChanged:
    """Give a task that waits other values; those it has and that are not named stay."""
    finding.recover(site, emit)
    task = finding.waiting(site, name)
    old = Spec.from_json(task.spec)
    points = grammar.parse(set_params)
    if len(points) > 1:
        raise UsageError(
            f"A task has one value of each param, and these are the values of {len(points)}. The task is as it was.",
            f"`nbexp queue edit {task.name} -S {points[0][0].text}`",
        )
    changes = specs.one_point(points)
    if not changes:
        raise UsageError("There is no value to set.", f"`nbexp queue edit {name} -S key=value`")
    changed = {(one.file, one.key): one for one in (*old.overrides, *changes)}
    read = files_of(site.git, site.prefix, task.snapshot)
    overrides = tuple(changed.values())
    composed = None
    if old.composed is not None:
        # Of the configurations as they were frozen with it.
        version = composition.Version(site.git, site.prefix, task.snapshot)
        texts = composition.compose_all(site.root, old.here, [overrides], version)
        composed = texts[0] if texts is not None else None
    try:
        made = specs.make(
            site.root,
            old.baseline,
            {},
            here=old.here,
            overrides=overrides,
            name=old.name,
            hydra=composed is not None,
            composed=composed,
            read=read,
        )
    except NbexpError as error:
        error.retell("The task is as it was.", f"nbexp queue edit {task.name} -S")
        raise
    new = replace(old, overrides=made.overrides, composed=composed)
    columns: dict[str, object] = {}
    if not old.copies:
        # What a lost database is made of again says the new values too.
        view = View(Snapshot(task.snapshot, task.baseline), (), read)
        batch = batches.new(site.mark)
        kept = freezing.freeze(site.place(emit), [new], batch=batch, view=view)
        columns = {"batch": kept.batch, "snapshot": kept.rev}
    done = site.store.edit(task.uid, new.to_json(), **columns)
    recovery.let_go(site.store, site.git, [task.batch, *map(str, columns.values())][:2])
    if done is None or done.refused:
        raise QueueError(
            f"Task `{task.name}` {done.refused if done else 'is gone'}, so it is as it was.",
            f"`nbexp clone {task.name} -S …` makes another one once it is done.",
        )
    return TasksChanged("edited", (task.name,), note=", ".join(one.text for one in new.overrides))
