"""Putting right what dead owners left: by any process, at any time, as often as one likes.

    committing   the result's commit is on disk: it gets its name, and the task is done; nothing runs again
    running      what the owner left running is killed; the task waits again, or is over

Nothing here waits: what belongs to an owner that is alive is not touched, suspended or slow as it may be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import GitError
from nbexp.filesystem import crash_point
from nbexp.formats import ref_names
from nbexp.formats.ref_names import ExpRef
from nbexp.git import Git
from nbexp.queue import batches, owners
from nbexp.queue import state as states
from nbexp.queue.batches import SNAPSHOTS
from nbexp.queue.rows import Task
from nbexp.queue.state import Do
from nbexp.queue.store import Store

# How old the snapshot of a batch is that the queue does not know of, and that nobody is about to add.
_ABANDONED_S = 3600


def recover(store: Store, git: Callable[[], Git], folder: Path) -> tuple[Task, ...]:
    """Settle the tasks whose owners are dead; those that had to be, as they are now.

    Parameters
    ----------
    git
        Gives the repository; asked only if there is something to do.
    folder
        Where the locks of owners are.

    Notes
    -----
    Costs one look into the database, and one at a lock for each task that is said to run.
    """
    lost = [
        task
        for task in store.tasks(*states.ACTIVE)
        if task.owner is not None and not owners.is_alive(folder, task.owner)
    ]
    for task in lost:
        _settle(task, store, git(), folder)
    if lost:
        for worker in store.workers():
            if not owners.is_alive(folder, worker.id):
                store.sign_off(worker.id)
    return tuple(found for task in lost if (found := store.task(task.uid)) is not None)


def let_go(store: Store, git: Git, of: Sequence[str]) -> None:
    """Drop the snapshots of those batches of which no task waits or runs."""
    present = git.refs(SNAPSHOTS)
    for batch in dict.fromkeys(of):
        ref = SNAPSHOTS + batch
        if batch and ref in present and not store.is_needed(batch):
            crash_point("queue.settling")
            git.update_refs([(ref, None, None)])
            crash_point("queue.settled")


def sweep(store: Store, git: Git, folder: Path, mark: str) -> None:
    """Drop snapshots that killed commands of the project of that mark left behind, and the files of owners that are gone."""
    known = store.batches()
    stale = [
        batch
        for batch in batches.own(git, mark)
        if not known.get(batch, _is_young(git, SNAPSHOTS + batch))
    ]
    let_go(store, git, stale)
    used = {task.owner for task in store.tasks(*states.ACTIVE)} | {w.id for w in store.workers()}
    owners.sweep(folder, {owner for owner in used if owner is not None})
    for place in (folder, folder / "slots", folder / "workers"):
        filesystem.sweep(place, _ABANDONED_S)


def adopt(task: Task, store: Store, git: Git) -> None:
    """Give the fenced result of a dead owner its name; the task is done then, or waits again."""
    assert task.owner is not None
    assert task.rev is not None
    if git.info(f"{task.rev}^{{commit}}") is None:
        store.apply(task.uid, states.ResultLost(task.owner, task.attempt), durable=True)
        return
    crash_point("queue.adopting")
    problem = name_result(git, task)
    crash_point("queue.adopted")
    if problem is None:
        store.apply(task.uid, states.Adopted(task.owner, task.attempt), durable=True)
    else:
        event = states.Ended(task.owner, task.attempt, "failed", problem)
        store.apply(task.uid, event, durable=True)


def name_result(git: Git, task: Task) -> str | None:
    """Set the ref of a task's result; that it is set already is fine. Else what is in the way."""
    assert task.rev is not None
    ref = ExpRef(task.baseline, task.name).ref
    replaces = task.spec.get("replaces")
    present = git.refs(ref).get(ref)
    if present == task.rev:
        return None
    try:
        from nbexp.experiments import trash

        resets: list[tuple[str, str | None, str | None]] = []
        # The result of a run that made checkpoints comes on top of its last one.
        follows = present is not None and present in git.commits([task.rev])[0].parents
        if replaces is not None and present == replaces and not follows:
            resets.append((trash.ref_of(ref, replaces), replaces, "any"))
        expected = present if follows or present == replaces else None
        git.update_refs([*resets, (ref, task.rev, expected)])
    except GitError as error:
        if git.refs(ref).get(ref) == task.rev:
            return None  # another process was faster
        return f"its result {task.rev[:7]} could not be named: {error.message}"
    return None


def _settle(task: Task, store: Store, git: Git, folder: Path) -> None:
    from nbexp.pipeline import process

    assert task.owner is not None
    # Before anybody takes the task again: nothing of this attempt may be left that writes where the next works.
    process.kill_marked(task.marker)
    process.kill_marked(task.uid)
    # Killed while it gave its result a name, it has left the lock of that name, which would be in everybody's way.
    ref = ExpRef(task.baseline, task.name).ref
    failed = ref_names.FAILED + ref.removeprefix(ref_names.PREFIX)
    for own in (ref, failed, SNAPSHOTS + task.batch):
        from nbexp.git import loose

        loose.release_dead(git.common, own)
    crash_point("queue.recovering")
    if task.state == "running" and task.kind == "place" and (rev := _recorded(task, git)):
        store.apply(task.uid, states.Finished(task.owner, task.attempt, rev))
        return
    what = "worker" if task.kind in ("queued", "detached") else "process"
    error = owners.how_it_died(folder, task.owner, what)
    done = store.apply(task.uid, states.OwnerLost(task.owner, task.attempt, error), durable=True)
    crash_point("queue.recovered")
    if done is None:
        return
    if Do.ADOPT in done.do:
        adopt(task, store, git)
    if task.snapshot:
        let_go(store, git, [task.batch])


def _recorded(task: Task, git: Git) -> str | None:
    """The experiment that a run in the workspace had recorded before its process died."""
    ref = ExpRef(task.baseline, task.name).ref
    rev = git.refs(ref).get(ref)
    if rev is None or rev == task.spec.get("replaces"):
        return None
    from nbexp.experiments import chains

    # What it had recorded may be checkpoints alone.
    return None if chains.is_unfinished(git, rev) else rev


def _is_young(git: Git, ref: str) -> bool:
    import time

    rev = git.refs(ref).get(ref)
    if rev is None:
        return False
    return time.time() - git.commits([rev])[0].time_s < _ABANDONED_S
