"""The queue: experiments that wait, and workers that run them beside the user's files."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nbexp.errors import NotFound, QueueError, UsageError, nearest
from nbexp.events import Emit, Notice, OutputWritten, TaskQueued, ignore
from nbexp.formats import ref_names
from nbexp.frozen import frozen, replace
from nbexp.queue import state as states
from nbexp.queue.state import ACTIVE, LIVE, OVER, Do, State

if TYPE_CHECKING:
    from nbexp.experiments import composition
    from nbexp.experiments.freezing import View
    from nbexp.experiments.request import Request
    from nbexp.experiments.spec import Spec
    from nbexp.pipeline.context import OnFailure
    from nbexp.queue.asking import Made, Point
    from nbexp.queue.reports import (
        Queued,
        QueuePaused,
        QueueStatus,
        RunOver,
        TaskLog,
        TasksChanged,
        WorkersStarted,
        WorkersStopped,
        WorkerState,
    )
    from nbexp.queue.rows import Happened, Kind, Task
    from nbexp.queue.site import Site

# How long `kill` and `stop` wait: stages get ten seconds to end themselves, then they are killed.
_KILL_S = 20.0
# What `kill --force` gives a worker whose stage is gone already, before it is killed as well: one that is suspended, say.
_FORCE_S = 5.0
_LISTED = 8


@frozen
class TaskChange:
    """Something happened to a task: `kind` is its new state, or `stage`, `cell`, `metric`, `edited`, `moved`, …"""

    task: Task
    kind: str
    data: Mapping[str, object]


class Queue:
    """`project.queue`: what waits and what runs.

    Nothing here touches the workspace, HEAD, the index or a branch.

    Parameters
    ----------
    rev_of
        The commit that a name of the user's stands for.
    """

    def __init__(self, site: Site, rev_of: Callable[[str], str] | None = None) -> None:
        self.site = site
        self._rev_of = rev_of or (lambda name: site.git.resolve(name) or name)

    # ---- asking for runs

    def add(
        self,
        set_params: Mapping[str, object] | Iterable[str] | None = None,
        *,
        targets: Sequence[str] = (),
        name: str | None = None,
        message: str | None = None,
        force: bool = False,
        new: bool = False,
        single_item: bool = False,
        pipeline: bool = False,
        all_pipelines: bool = False,
        recursive: bool = False,
        downstream: bool = False,
        force_downstream: bool = False,
        pull: bool = False,
        allow_missing: bool = False,
        on_failure: OnFailure = "stop",
        run_cache: bool = True,
        jobs: int = 1,
        copy_paths: Sequence[str] = (),
        baseline: str | None = None,
        with_edits: bool | None = None,
        hydra: bool = True,
        resume: str | None = None,
        reset: bool = False,
        timeout_s: float | None = None,
        in_detail: bool = False,
        detached: bool = False,
        emit: Emit = ignore,
    ) -> Queued:
        """Queue experiments: one for each combination of the values.

        What they start from is frozen now: edits that come later are not in them. Their names are reserved.

        Parameters
        ----------
        set_params
            `{"train.lr": 0.01}`, or override texts as after `-S`, where lists (`lr=0.1,0.2`) multiply.
        name
            Of one experiment; of several, `name-1`, `name-2`, …
        jobs
            How many stages of one experiment run at once.
        baseline
            The commit they start from: a branch, tag, commit or experiment; None is the present one.
        with_edits
            Whether uncommitted edits go along; None: they do on the present commit, else not.
        hydra
            Compose params.yaml where the project's config has `hydra.enabled`.
        resume
            The experiment that they go on with from its last checkpoint, or a step of it (`low-lr@3`); several become new
            experiments.
        reset
            With `resume`: begin it over.
        timeout_s
            Seconds after which a task is stopped and has failed.
        in_detail
            Say each experiment in the result.
        detached
            Run it at once, in a process of its own that nobody waits for, instead of queueing it.

        Raises
        ------
        NotFound, UsageError, NameTaken, ProjectFileError
            The request cannot be met; nothing was queued.
        """
        from nbexp import overrides as grammar
        from nbexp.experiments import composition
        from nbexp.experiments import request as requests
        from nbexp.queue import asking

        points = grammar.parse(set_params or [])
        if detached and len(points) > 1:
            raise UsageError(
                f"`--detach` runs one experiment, and {len(points)} are asked for. Nothing was run.",
                "`nbexp run --queue` takes them all; `nbexp queue start` runs them.",
            )
        asked = requests.of(
            self.site.here,
            self.site.settings.resources,
            jobs=jobs,
            **requests.options(locals()),
        )
        words = ["--temp", "--detach"] if detached else ["--queue"]
        kind: Kind = "detached" if detached else "queued"
        if resume is not None:
            self._recover(emit)
            made, shown = asking.resume(self.site, resume, points, asked, reset=reset, emit=emit)
            words += ["--resume", shown, *(["--reset"] if reset else [])]
            return self.enqueue(
                made, kind=kind, words=words, timeout_s=timeout_s, in_detail=in_detail, emit=emit
            )
        if baseline is not None:
            words += ["--baseline", baseline]
        for path in copy_paths:
            words += ["-C", path]
        view = self.look(baseline=baseline, with_edits=with_edits, emit=emit)
        version = None
        if baseline is not None:
            version = composition.Version(self.site.git, self.site.prefix, view.snapshot.rev)
        made = self.make(points, asked, view=view, version=version, emit=emit)
        return self.enqueue(
            made,
            kind=kind,
            words=words,
            timeout_s=timeout_s,
            in_detail=in_detail,
            emit=emit,
        )

    def look(
        self, *, baseline: str | None = None, with_edits: bool | None = None, emit: Emit = ignore
    ) -> View:
        """What experiments would start from: the workspace as it is now, or a commit."""
        from nbexp.experiments import freezing

        rev = None if baseline is None else self._rev_of(baseline)
        edits = baseline is None if with_edits is None else with_edits
        return freezing.look(self.site.place(emit), with_edits=edits, baseline=rev, emit=emit)

    def make(
        self,
        points: Sequence[Point],
        asked: Request,
        *,
        view: View,
        is_sweep: bool | None = None,
        version: composition.Version | None = None,
        emit: Emit = ignore,
    ) -> Made:
        """The specs of a request, checked against what they start from; nothing is queued.

        `version`: that is another version, whose own configurations are composed where Hydra is on.
        """
        from nbexp.experiments import preflight
        from nbexp.queue import asking

        refs = self.site.git.refs(ref_names.PREFIX)
        made = asking.make(
            self.site, view, points, asked, refs, emit, is_sweep=is_sweep, version=version
        )
        preflight.tell(made.missing, self.site.here, emit)
        return made

    def enqueue(
        self,
        made: Made,
        *,
        kind: Kind = "queued",
        words: Sequence[str] = ("--queue",),
        timeout_s: float | None = None,
        in_detail: bool = False,
        emit: Emit = ignore,
    ) -> Queued:
        """Queue what `make` made, all of it or nothing.

        Raises
        ------
        NameTaken
            Another request has reserved one of the names meanwhile.
        """
        from nbexp.queue import asking, starting
        from nbexp.queue.reports import Queued

        tasks = asking.enqueue(
            self.site,
            made.specs,
            made.view,
            resources=made.resources,
            kind=kind,
            words=words,
            timeout_s=timeout_s,
            emit=emit,
        )
        self.site.tell(emit)
        if kind == "detached":
            starting.start_one(self.site, tasks[0].uid)
            tasks = [self._now(task) for task in tasks]
        elif not in_detail:
            for spec in made.specs:
                emit(TaskQueued(spec.name, _by_file(spec)))
        missing = tuple(f"{one.path} ({one.why}, {one.wanted})" for one in made.missing)
        alive = 0 if kind == "detached" else len(self.workers())
        return Queued(tuple(tasks), made.duplicates, missing, alive, in_detail)

    def clone(
        self,
        experiment: str,
        rev: str,
        baseline: str,
        set_params: Mapping[str, object] | Iterable[str] | None = None,
        *,
        name: str | None = None,
        message: str | None = None,
        force: bool = False,
        jobs: int = 1,
        run_cache: bool = True,
        in_detail: bool = False,
        emit: Emit = ignore,
    ) -> Queued:
        """Queue an experiment's own code, params and data with other values, on its baseline."""
        from nbexp import overrides as grammar
        from nbexp.experiments import composition
        from nbexp.experiments.freezing import Snapshot, View
        from nbexp.experiments.place import files_of
        from nbexp.experiments.request import Request
        from nbexp.pipeline.context import How

        points = grammar.parse(set_params or [])
        for point in points:
            composition.refuse_choices(self.site.root, point, "Nothing was queued.")
        # It goes on from values that were composed: they are not composed again.
        hydra = composition.source(self.site.root) is None
        read = files_of(self.site.git, self.site.prefix, rev)
        view = View(Snapshot(rev, baseline), (), read)
        asked = Request(
            ".", (), name, message, force, how=How(jobs=jobs), run_cache=run_cache, hydra=hydra
        )
        made = self.make(points, asked, view=view, emit=emit)
        words = ["--queue", "--baseline", experiment]
        return self.enqueue(made, words=words, in_detail=in_detail, emit=emit)

    # ---- workers

    def start(
        self, workers: int = 1, *, idle_s: float | None = None, emit: Emit = ignore
    ) -> WorkersStarted:
        """See to it that so many workers are at work; they outlive this process.

        Those that are there count, so that starting twice starts nothing; a queue that was paused goes on.

        Raises
        ------
        UsageError
            None are asked for.
        QueueError
            A worker could not be started.
        """
        from nbexp.queue.executors import local
        from nbexp.queue.reports import WorkersStarted

        if workers < 1:
            raise UsageError(
                f"{workers} workers is none. Nothing was started.", "`nbexp queue start -j 2`"
            )
        cores = _cores()
        if workers > cores:
            emit(
                Notice(
                    f"{workers} workers are more than the {cores} core{'s' * (cores != 1)} there are; "
                    "each of them gets slower for it.",
                    f"`nbexp queue start -j {cores}`",
                )
            )
        self._recover(emit)
        if self.site.store.setting("paused"):
            self.site.store.set("paused", None)
        started = local.Executor(self.site, workers).ensure(idle_s=idle_s)
        self.site.tell(emit)
        waiting = self.site.store.counts().get("queued", 0)
        return WorkersStarted(started, len(self.workers()), cores, waiting)

    def stop(self, *, kill: bool = False, emit: Emit = ignore) -> WorkersStopped:
        """Tell the workers to go: once their tasks are done, or with `kill`, once these are stopped."""
        from nbexp.queue.reports import WorkersStopped

        self._recover(emit)
        store = self.site.store
        if not store.exists:
            return WorkersStopped(0, is_killed=kill)
        alive = self.workers()
        store.stop_workers(stops=True)
        killed: tuple[str, ...] = ()
        left: tuple[str, ...] = ()
        if kill:
            running = [task for task in store.tasks("running") if not task.is_attended]
            killed = self._stopped(running, force=False, emit=emit)
            now = store.tasks(*ACTIVE, uids=[task.uid for task in running])
            left = tuple(task.name for task in now)
        return WorkersStopped(len(alive), killed, kill, left)

    def pause(self, *, emit: Emit = ignore) -> QueuePaused:
        """Give out no task any more until `start`; those that run go on."""
        from nbexp.queue.reports import QueuePaused

        self._recover(emit)
        self.site.store.set("paused", "1")
        counts = self.site.store.counts()
        running = sum(counts.get(state, 0) for state in ACTIVE)
        return QueuePaused(running, counts.get("queued", 0))

    def run(self, task: str, *, emit: Emit = ignore) -> RunOver:
        """Run a task that waits, now, in this process; whoever is before it in the queue stays there.

        Raises
        ------
        QueueError
            It does not wait.
        StageFailed, Interrupted
            As for any run; the queue knows.
        """
        from nbexp.experiments import worktrees
        from nbexp.queue import carrying
        from nbexp.queue.reports import RunOver

        self._recover(emit)
        found = self.find(task)
        with worktrees.free_slot(self.site.root, "front") as slot:
            folder = Path(worktrees.folder_of(self.site.root, slot), self.site.prefix)
            taken = self.site.store.claim(self.site.owner.id, uid=found.uid, place=str(folder))
            if taken is None:
                raise QueueError(
                    f"Task `{found.name}` does not wait: {_state(self._now(found))}. Nothing was run.",
                    f"`nbexp queue retry {found.name}` lets one that failed wait again.",
                )
            error: BaseException | None = None
            try:
                carrying.carry_out(self.site, taken, slot=slot, emit=emit, env={"NBEXP_SLOT": slot})
            except BaseException as ended:
                error = ended
                raise
            finally:
                carrying.settle(self.site, taken, error, "")
                self.site.owner.close()
        return RunOver((self._now(found),))

    def run_all(self, workers: int = 1, *, emit: Emit = ignore) -> RunOver:
        """Start workers and wait until all that waits now is over; Ctrl-C only stops the waiting.

        Raises
        ------
        UsageError
            Nothing waits.
        """
        from nbexp.queue.reports import RunOver

        self._recover(emit)
        uids = [task.uid for task in self.site.store.tasks(*LIVE) if task.kind == "queued"]
        if not uids:
            return RunOver(())
        # Who asks for all that waits now has not asked for what comes later.
        self.start(workers, idle_s=0.05, emit=emit)
        with suppress(KeyboardInterrupt):
            for change in self.wait(uids):
                if change.kind in OVER:
                    emit(Notice(f"{change.task.name}: {_state(change.task)}"))
        return RunOver(tuple(self.site.store.tasks(uids=uids)))

    # ---- looking

    def status(self, *, in_detail: bool = False, emit: Emit = ignore) -> QueueStatus:
        """What waits, runs and is over, and who works.

        Tasks whose worker is dead are settled first, so that what is said to run does run.
        """
        from nbexp.experiments import dvc_queue
        from nbexp.queue.reports import QueueStatus

        self._recover(emit)
        tasks = [
            task
            for task in self.site.store.tasks()
            if task.state in LIVE or task.kind in ("queued", "detached")
        ]
        order = {"running": 0, "committing": 0, "queued": 1}
        tasks.sort(key=lambda task: -(task.ended_s or 0) if task.state in OVER else 0)
        tasks.sort(key=lambda task: order.get(task.state, 2))
        return QueueStatus(
            tuple(tasks),
            self.workers(),
            dvc_queue.read(self.site.git, self.site.root).open,
            bool(self.site.store.setting("paused")),
            in_detail,
        )

    def find(self, word: str, *of_states: State) -> Task:
        """The task of that name or id; of several the one that is not over, else the newest.

        Raises
        ------
        NotFound
            There is none; the nearest name is in the hint.
        """
        found = [t for t in self.site.store.named(word) if not of_states or t.state in of_states]
        if not found:
            known = [task.name for task in self.site.store.tasks(*of_states)]
            near = nearest(word, known)
            hint = f"did you mean `{near}`?" if near else "`nbexp queue` lists those there are."
            raise NotFound(f"There is no task `{word}`. Nothing was changed.", hint)
        return next((task for task in found if task.state in LIVE), found[0])

    def logs(
        self, name: str, *, follow: bool = False, encoding: str | None = None, emit: Emit = ignore
    ) -> TaskLog:
        """What a run has written: queued, temporary or in the workspace, at work or over.

        Parameters
        ----------
        follow
            Hand on what it writes as it comes, until it is over; Ctrl-C only ends the following.

        Raises
        ------
        NotFound
            There is no such run, or it has not begun.
        UsageError
            There is no such encoding.
        """
        import codecs

        from nbexp.queue.reports import TaskLog
        from nbexp.queue.watching import ACTIVE_S

        try:
            codecs.lookup(encoding or "utf-8")
        except LookupError:
            raise UsageError(
                f"There is no text encoding `{encoding}`.", "for example `nbexp logs NAME -e utf-8`"
            ) from None
        self._recover(emit)
        task = self.find(name)
        if task.state == "queued" and not follow:
            raise NotFound(
                f"Task `{task.name}` has not begun, so it has written nothing.",
                f"`nbexp logs {task.name} -f` waits for it.",
            )
        data = b""
        if follow:
            if task.state == "queued" and task.kind == "queued" and not self.workers():
                emit(Notice(f"{task.name} waits, and no worker is at work.", "`nbexp queue start`"))
            with suppress(KeyboardInterrupt):
                followed: dict[Path, int] = {}
                while True:
                    task = self._now(task)
                    is_over = task.state not in LIVE
                    for part in map(_without_secrets, self._written(task, followed)):
                        data += part
                        emit(OutputWritten(task.name, part, is_log=True))
                    if is_over:
                        break
                    time.sleep(ACTIVE_S)
                    self._recover(emit)
        else:
            data = _without_secrets(b"".join(self._written(task, {})))
        return TaskLog(
            task.name, task.state, data, task.place, encoding or "utf-8", was_followed=follow
        )

    def events(self, since: int = 0) -> list[Happened]:
        """The history after the line `since`: states of tasks, and what runs told; oldest first."""
        return self.site.store.events(since)

    def wait(
        self, uids: Sequence[str] | None = None, *, timeout_s: float | None = None
    ) -> Iterator[TaskChange]:
        """Each change of these tasks as it comes, until all of them are over; of all that are not over, if None.

        Parameters
        ----------
        timeout_s
            Seconds after which it ends all the same.
        """
        from nbexp.queue.watching import Watcher

        store = self.site.store
        watcher = Watcher(store)
        self._recover(ignore)
        known = store.tasks(uids=uids) if uids is not None else store.tasks(*LIVE)
        left = {task.uid for task in known if task.state not in OVER}
        for task in known:
            if task.state in OVER:
                yield TaskChange(task, task.state, {})
        end = None if timeout_s is None else time.monotonic() + timeout_s
        looked = time.monotonic()
        while left and (end is None or time.monotonic() < end):
            for happened in watcher.poll():
                if happened.uid not in left:
                    continue
                found = store.task(happened.uid)
                if found is None:
                    left.discard(happened.uid)
                    continue
                if happened.kind in OVER and found.state in OVER:
                    left.discard(happened.uid)
                yield TaskChange(found, happened.kind, happened.data)
            if time.monotonic() - looked > 1:
                looked = time.monotonic()
                self._recover(ignore)
                # A database that was made anew has no history of before.
                gone = left - {task.uid for task in store.tasks(*LIVE)}
                for uid in gone if not watcher.poll() else ():
                    left.discard(uid)
                    found = store.task(uid)
                    if found is not None:
                        yield TaskChange(found, found.state, {})
            watcher.pause()

    # ---- changing what waits or is over

    def kill(self, *names: str, force: bool = False, emit: Emit = ignore) -> TasksChanged:
        """Stop tasks that run: as by Ctrl-C, or with `force` at once. They are cancelled then.

        Raises
        ------
        NotFound
            There is no task of a name.
        """
        from nbexp.queue.reports import TasksChanged

        self._recover(emit)
        tasks = [self.find(name) for name in names]
        refused = {t.name: _state(t) for t in tasks if t.state not in ("running", "committing")}
        running = [task for task in tasks if task.name not in refused]
        killed = self._stopped(running, force=force, emit=emit)
        for task in running:
            if task.name not in killed:
                refused[task.name] = _state(self._now(task))
        return TasksChanged("killed", killed, refused)

    def stop_run(
        self,
        name: str,
        *,
        becomes: Literal["cancelled", "pruned"] = "cancelled",
        emit: Emit = ignore,
    ) -> TasksChanged:
        """Stop a run wherever it is: one that waits does not begin, one that runs is interrupted.

        Raises
        ------
        NotFound
            There is no such run.
        """
        from nbexp.queue.reports import TasksChanged

        self._recover(emit)
        task = self.find(name)
        if task.state not in LIVE:
            return TasksChanged("stopped", (), {task.name: _state(task)})
        stopped = self._stopped([task], force=False, becomes=becomes, emit=emit)
        refused = {} if stopped else {task.name: _state(self._now(task))}
        return TasksChanged("stopped", stopped, refused)

    def remove(
        self,
        *names: str,
        queued: bool = False,
        success: bool = False,
        failed: bool = False,
        everything: bool = False,
        emit: Emit = ignore,
    ) -> TasksChanged:
        """Take tasks out of the list: those that wait do not run; experiments that are recorded stay.

        Parameters
        ----------
        queued, success, failed
            All that wait; all that are done; all that failed or were stopped.
        everything
            All but those that run.

        Raises
        ------
        NotFound
            There is no task of a name. Nothing was removed.
        """
        from nbexp.queue import recovery
        from nbexp.queue.reports import TasksChanged

        self._recover(emit)
        wanted: list[State] = []
        if queued or everything:
            wanted.append("queued")
        if success or everything:
            wanted.append("done")
        if failed or everything:
            wanted += ["failed", "cancelled", "interrupted", "pruned"]
        store = self.site.store
        tasks = [self.find(name) for name in names]
        if wanted:
            tasks += [t for t in store.tasks(*wanted) if t.kind in ("queued", "detached")]
        tasks = [*{task.uid: task for task in tasks}.values()]
        if not tasks:
            return TasksChanged("removed", ())
        done = store.apply_all([task.uid for task in tasks], states.Removed())
        recovery.let_go(store, self.site.git, [task.batch for task in tasks if task.snapshot])
        refused = {
            task.name: str(done[task.uid].refused)
            for task in tasks
            if task.uid in done and done[task.uid].refused
        }
        removed = tuple(task.name for task in tasks if task.name not in refused)
        return TasksChanged("removed", removed, refused)

    def waiting_among(self, words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The words without those that name a task which waits and no experiment, and these."""
        waiting = {task.name for task in self.site.store.tasks("queued")}
        if waiting.isdisjoint(words):
            return tuple(words), ()
        refs = self.site.git.refs(ref_names.PREFIX)
        there = {ref_names.name_of(ref) for ref in refs}
        tasks = tuple(word for word in words if word in waiting - there)
        return tuple(word for word in words if word not in tasks), tasks

    def retry(self, *names: str, failed: bool = False, emit: Emit = ignore) -> TasksChanged:
        """Let tasks that failed, or were stopped, wait again, behind all others; what they start from is the same.

        Parameters
        ----------
        failed
            All that failed.

        Raises
        ------
        NotFound
            There is no task of a name. Nothing was changed.
        """
        from nbexp.queue import asking
        from nbexp.queue.reports import TasksChanged

        self._recover(emit)
        tasks = [self.find(name) for name in names]
        if failed:
            tasks += [t for t in self.site.store.tasks("failed") if t.kind == "queued"]
        refused: dict[str, str] = {}
        retried: list[str] = []
        for task in {task.uid: task for task in tasks}.values():
            if not task.snapshot:
                refused[task.name] = "ran in the workspace or was waited for: run it again there"
                continue
            if task.state in OVER and not asking.keep_snapshot(self.site, task):
                refused[task.name] = "is too old: Git has collected what it started from"
                continue
            done = self.site.store.apply(
                task.uid, states.Retried(), durable=True, kind="queued",
                position=self.site.store.last_position() + 1,
            )  # fmt: skip
            if done is not None and done.refused:
                refused[task.name] = done.refused
            else:
                retried.append(task.name)
        return TasksChanged("retried", tuple(retried), refused)

    def move(
        self,
        *names: str,
        first: bool = False,
        last: bool = False,
        before: str | None = None,
        emit: Emit = ignore,
    ) -> TasksChanged:
        """Put tasks that wait first, last, or before another one.

        Raises
        ------
        UsageError
            Not exactly one place is named.
        NotFound, QueueError
            There is no such task, or it does not wait any more. Nothing was moved.
        """
        from nbexp.queue.reports import TasksChanged

        if first + last + (before is not None) != 1:
            raise UsageError(
                "Where to is one of first, last, and before another task. Nothing was moved.",
                "`nbexp queue move NAME --first`",
            )
        self._recover(emit)
        tasks = [self._waiting(name) for name in names]
        ahead = self._waiting(before) if before is not None else None
        if ahead is not None and any(task.uid == ahead.uid for task in tasks):
            raise UsageError(f"`{before}` cannot be before itself. Nothing was moved.")
        self.site.store.arrange(
            [task.uid for task in tasks], before=ahead.uid if ahead else None, first=first
        )
        return TasksChanged("moved", tuple(task.name for task in tasks))

    def edit(
        self,
        name: str,
        set_params: Mapping[str, object] | Iterable[str],
        *,
        emit: Emit = ignore,
    ) -> TasksChanged:
        """Give a task that waits other values; those it has and that are not named stay.

        Raises
        ------
        UsageError, NotFound
            The values cannot be set. The task is as it was.
        QueueError
            It does not wait any more.
        """
        from nbexp import overrides as grammar
        from nbexp.experiments import composition, freezing
        from nbexp.experiments import spec as specs
        from nbexp.experiments.freezing import Snapshot, View
        from nbexp.experiments.place import files_of
        from nbexp.experiments.spec import Spec
        from nbexp.queue import batches, recovery
        from nbexp.queue.reports import TasksChanged

        self._recover(emit)
        task = self._waiting(name)
        old = Spec.from_json(task.spec)
        points = grammar.parse(set_params)
        if len(points) > 1:
            raise UsageError(
                f"A task has one value of each param, and {len(points)} tasks' are given. The task is as it was.",
                f"`nbexp queue edit {task.name} -S {points[0][0].text}`",
            )
        changes = specs.one_point(points)
        if not changes:
            raise UsageError("There is no value to set.", f"`nbexp queue edit {name} -S key=value`")
        changed = {(one.file, one.key): one for one in (*old.overrides, *changes)}
        read = files_of(self.site.git, self.site.prefix, task.snapshot)
        overrides = tuple(changed.values())
        composed = None
        if old.composed is not None:
            # Of the configurations as they were frozen with it.
            version = composition.Version(self.site.git, self.site.prefix, task.snapshot)
            texts = composition.compose_all(self.site.root, old.here, [overrides], version)
            composed = texts[0] if texts is not None else None
        made = specs.make(
            self.site.root,
            old.baseline,
            {},
            here=old.here,
            overrides=overrides,
            name=old.name,
            hydra=composed is not None,
            composed=composed,
            untouched="The task is as it was.",
            read=read,
        )
        new = replace(old, overrides=made.overrides, composed=composed)
        columns: dict[str, object] = {}
        if not old.copies:
            # What a lost database is made of again says the new values too.
            view = View(Snapshot(task.snapshot, task.baseline), (), read)
            batch = batches.new(self.site.mark)
            kept = freezing.freeze(self.site.place(emit), [new], batch=batch, view=view)
            columns = {"batch": kept.batch, "snapshot": kept.rev}
        done = self.site.store.edit(task.uid, new.to_json(), **columns)
        recovery.let_go(
            self.site.store, self.site.git, [task.batch, *map(str, columns.values())][:2]
        )
        if done is None or done.refused:
            raise QueueError(
                f"Task `{task.name}` {done.refused if done else 'is gone'}, so it is as it was.",
                f"`nbexp clone {task.name} -S …` makes another one once it is done.",
            )
        return TasksChanged(
            "edited", (task.name,), note=", ".join(one.text for one in new.overrides)
        )

    # ---- runs that somebody waits for

    @contextmanager
    def attended(
        self, kind: Kind, spec: Spec, uid: str, *, place: str | None = None
    ) -> Iterator[Callable[[str], None]]:
        """While inside, a run of this process is a row of the queue, and its name reserved.

        What is given is to be called with the rev of what came of it. That the queue cannot be written is no reason
        not to run.

        Raises
        ------
        NameTaken
            A task that waits or runs has the name. Nothing was run.
        """
        from nbexp.errors import NameTaken, NbexpError
        from nbexp.queue.rows import NewTask

        owner = self.site.owner.id
        told = spec.to_json()
        new = NewTask(uid, "", spec.baseline, spec.name, "", told, kind=kind, max_attempts=1)
        revs: list[str] = []
        with suppress(QueueError):
            try:
                self.site.store.begin(new, owner, place=place)
            except NameTaken:
                self._recover(ignore)  # maybe by a run that was killed, which holds no name
                self.site.store.begin(new, owner, place=place)
        event: states.Event
        try:
            yield revs.append
        except BaseException as error:
            if isinstance(error, NbexpError):
                event = states.Ended(owner, 1, "failed", error.message)
            elif isinstance(error, KeyboardInterrupt):
                event = states.Ended(owner, 1, "interrupted", "stopped by the user")
            else:
                event = states.Ended(owner, 1, "failed", f"{type(error).__name__}: {error}")
            with suppress(QueueError):
                self.site.store.apply(uid, event)
            raise
        else:
            if revs:
                with suppress(QueueError):
                    self.site.store.apply(uid, states.Finished(owner, 1, revs[0]))
        finally:
            # A kernel lives on for days; while it owns nothing it is in nobody's way, `gc`'s for one.
            self.site.owner.close()

    def with_reserved(self, refs: Mapping[str, str]) -> dict[str, str]:
        """The refs, and those that tasks which wait or run have reserved: names to be drawn are not among them."""
        from nbexp.formats.ref_names import ExpRef

        return {**refs, **{ExpRef("0" * 40, name).ref: "" for name in self.site.store.reserved()}}

    # ---- inside

    def recover(self, emit: Emit) -> None:
        """See which of the tasks that run are dead, and settle them."""
        self._recover(emit)

    def _recover(self, emit: Emit) -> None:
        from nbexp.queue import batches, recovery

        site = self.site
        if not site.store.exists:
            # One that is lost, and not only never made, is made anew of what Git has.
            if not batches.own(site.git, site.mark):
                return
            site.store.set("paused", None)
        for task in recovery.recover(site.store, lambda: site.git, site.folder):
            if task.error:
                again = " It waits again." if task.state == "queued" else ""
                emit(Notice(f"{task.name}: {task.error}.{again}"))
        site.tell(emit)

    def _stopped(
        self,
        tasks: Sequence[Task],
        *,
        force: bool,
        becomes: Literal["cancelled", "pruned"] = "cancelled",
        emit: Emit,
    ) -> tuple[str, ...]:
        """Ask that these are stopped, and wait until they are; the names of those that were."""
        from nbexp.filesystem import crash_point
        from nbexp.pipeline import process
        from nbexp.queue import owners, recovery

        store = self.site.store
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
            pid = (
                None
                if is_watched or task.owner is None
                else owners.pid(self.site.folder, task.owner)
            )
            if pid is not None and pid != os.getpid():
                with suppress(OSError):
                    os.kill(pid, signal.SIGINT)
        recovery.let_go(store, self.site.git, [task.batch for task in tasks if task.snapshot])
        waits_for = [task.uid for task in tasks]
        began = time.monotonic()
        while time.monotonic() < began + _KILL_S:
            now = store.tasks(uids=waits_for)
            if all(task.state not in ACTIVE for task in now):
                break
            if force and time.monotonic() > began + _FORCE_S:
                for task in now:
                    if task.state == "running" and task.stops and not task.is_attended:
                        owners.kill(self.site.folder, task.owner)
            time.sleep(0.02)
            self._recover(emit)
        now = store.tasks(uids=waits_for)
        return tuple(
            task.name for task in now if task.state in ("cancelled", "pruned", "interrupted")
        )

    def workers(self) -> tuple[WorkerState, ...]:
        """Those who work: whose slots are locked."""
        from nbexp.filesystem import FileLock
        from nbexp.queue.reports import WorkerState

        store = self.site.store
        busy = {task.owner: task.name for task in store.tasks(*ACTIVE)}
        known = {one.slot: one for one in store.workers()}
        found = []
        for path in (self.site.folder / "slots").glob("*.lock"):
            lock = FileLock(path)
            if not path.stem.isdigit() or not lock.held():
                continue
            word = lock.holder().partition(" ")[0]
            row = known.get(path.stem)
            is_its = row is not None and str(row.pid) == word
            task = busy.get(row.id) if row is not None and is_its else None
            stops = row is not None and is_its and row.stops
            found.append(WorkerState(path.stem, int(word) if word.isdigit() else 0, task, stops))
        return tuple(sorted(found, key=lambda one: int(one.slot)))

    def _waiting(self, name: str) -> Task:
        task = self.find(name)
        if task.state != "queued":
            raise QueueError(
                f"Task `{task.name}` does not wait: {_state(task)}. Nothing was changed.",
                "`nbexp queue` lists what waits.",
            )
        return task

    def _now(self, task: Task) -> Task:
        return self.site.store.task(task.uid) or task

    def _written(self, task: Task, read: dict[Path, int]) -> Iterator[bytes]:
        """What the logs of a run have more than was read."""
        if task.snapshot:
            paths = [self.site.folder / "log" / f"{task.uid}-{task.attempt}.log"]
            if task.attempt == 0 or (task.state == "queued" and not paths[0].exists()):
                paths = []
        else:
            folder = self.site.folder / "runs" / task.uid
            paths = sorted(folder.glob("*.log"), key=_began)
        for path in paths:
            try:
                with open(path, "rb") as file:
                    file.seek(read.get(path, 0))
                    data = file.read()
            except OSError:
                continue
            if data:
                read[path] = read.get(path, 0) + len(data)
                yield data


def _by_file(spec: Spec) -> dict[str, tuple[str, ...]]:
    """The overrides as DVC says them: by params file, without its name."""
    found: dict[str, list[str]] = {}
    for one in spec.overrides:
        text = one.text.removeprefix(f"{one.file}:")
        found.setdefault(one.file, []).append(text)
    return {file: tuple(texts) for file, texts in found.items()}


def _state(task: Task) -> str:
    if task.state == "running" and task.stops:
        return "it is being stopped, and whoever runs it has not answered yet"
    words = {"committing": "it is done, and being recorded", "queued": "it waits"}
    said = words.get(task.state, f"it is {task.state}" if task.state != "failed" else "it failed")
    return f"{said} ({task.error})" if task.error else said


def _began(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except OSError:
        return 0.0, path.name


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _without_secrets(data: bytes) -> bytes:
    """What was written as it may be shown; the file itself stays as it is."""
    from nbexp.formats import secrets

    text = data.decode("utf-8", "surrogateescape")
    return secrets.in_output(text, os.environ).encode("utf-8", "surrogateescape")
