"""The queue: experiments that wait, and workers that run them beside the user's files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nbexp.errors import QueueError, UsageError
from nbexp.events import Emit, Notice, TaskQueued, ignore
from nbexp.formats import ref_names
from nbexp.frozen import frozen
from nbexp.queue.state import ACTIVE, LIVE, OVER, State

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
            self.recover(emit)
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
        from nbexp.queue import asking, finding, starting
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
            tasks = [finding.now(self.site, task) for task in tasks]
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
        from nbexp.queue import roster
        from nbexp.queue.executors import local
        from nbexp.queue.reports import WorkersStarted

        if workers < 1:
            raise UsageError(
                f"{workers} workers is none. Nothing was started.", "`nbexp queue start -j 2`"
            )
        cores = roster.cores()
        if workers > cores:
            emit(
                Notice(
                    f"{workers} workers are more than the {cores} core{'s' * (cores != 1)} there are; "
                    "each of them gets slower for it.",
                    f"`nbexp queue start -j {cores}`",
                )
            )
        self.recover(emit)
        if self.site.store.setting("paused"):
            self.site.store.set("paused", None)
        waiting = self.site.store.counts().get("queued", 0)  # before a worker takes one
        started = local.Executor(self.site, workers).ensure(idle_s=idle_s)
        self.site.tell(emit)
        return WorkersStarted(started, len(self.workers()), cores, waiting)

    def stop(self, *, kill: bool = False, emit: Emit = ignore) -> WorkersStopped:
        """Tell the workers to go: once their tasks are done, or with `kill`, once these are stopped."""
        from nbexp.queue import ending
        from nbexp.queue.reports import WorkersStopped

        self.recover(emit)
        store = self.site.store
        if not store.exists:
            return WorkersStopped(0, is_killed=kill)
        alive = self.workers()
        store.stop_workers(stops=True)
        killed: tuple[str, ...] = ()
        left: tuple[str, ...] = ()
        if kill:
            running = [task for task in store.tasks("running") if not task.is_attended]
            killed = ending.stop_tasks(self.site, running, force=False, emit=emit)
            now = store.tasks(*ACTIVE, uids=[task.uid for task in running])
            left = tuple(task.name for task in now)
        return WorkersStopped(len(alive), killed, kill, left)

    def pause(self, *, emit: Emit = ignore) -> QueuePaused:
        """Give out no task any more until `start`; those that run go on."""
        from nbexp.queue.reports import QueuePaused

        self.recover(emit)
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
        from nbexp.queue import carrying, finding
        from nbexp.queue.reports import RunOver

        self.recover(emit)
        found = self.find(task)
        with worktrees.free_slot(self.site.root, "front") as slot:
            folder = Path(worktrees.folder_of(self.site.root, slot), self.site.prefix)
            taken = self.site.store.claim(self.site.owner.id, uid=found.uid, place=str(folder))
            if taken is None:
                raise QueueError(
                    f"Task `{found.name}` does not wait: {finding.said(finding.now(self.site, found))}. Nothing was run.",
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
        return RunOver((finding.now(self.site, found),))

    def run_all(self, workers: int = 1, *, emit: Emit = ignore) -> RunOver:
        """Start workers and wait until all that waits now is over; Ctrl-C only stops the waiting.

        Raises
        ------
        UsageError
            Nothing waits.
        """
        from nbexp.queue import finding
        from nbexp.queue.reports import RunOver

        self.recover(emit)
        uids = [task.uid for task in self.site.store.tasks(*LIVE) if task.kind == "queued"]
        if not uids:
            return RunOver(())
        # Who asks for all that waits now has not asked for what comes later.
        self.start(workers, idle_s=0.05, emit=emit)
        with suppress(KeyboardInterrupt):
            for change in self.wait(uids):
                if change.kind in OVER:
                    emit(Notice(f"{change.task.name}: {finding.said(change.task)}"))
        return RunOver(tuple(self.site.store.tasks(uids=uids)))

    # ---- looking

    def status(self, *, in_detail: bool = False, emit: Emit = ignore) -> QueueStatus:
        """What waits, runs and is over, and who works.

        Tasks whose worker is dead are settled first, so that what is said to run does run.
        """
        from nbexp.experiments import dvc_queue
        from nbexp.queue.reports import QueueStatus

        workers = self.roll_call(emit)
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
            workers,
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
        from nbexp.queue import finding

        return finding.find(self.site, word, *of_states)

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
        from nbexp.queue import logs

        return logs.read(self.site, name, follow=follow, encoding=encoding, emit=emit)

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
        self.recover(ignore)
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
                self.recover(ignore)
                # A database that was made anew has no history of before.
                gone = left - {task.uid for task in store.tasks(*LIVE)}
                for uid in gone if store.last_event() <= watcher.seq else ():
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
        from nbexp.queue import ending

        return ending.kill(self.site, *names, force=force, emit=emit)

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
        from nbexp.queue import ending

        return ending.stop_run(self.site, name, becomes=becomes, emit=emit)

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
        from nbexp.queue import changing

        return changing.remove(
            self.site,
            *names,
            queued=queued,
            success=success,
            failed=failed,
            everything=everything,
            emit=emit,
        )

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
        from nbexp.queue import changing

        return changing.retry(self.site, *names, failed=failed, emit=emit)

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
        from nbexp.queue import changing

        return changing.move(self.site, *names, first=first, last=last, before=before, emit=emit)

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
        from nbexp.queue import changing

        return changing.edit(self.site, name, set_params, emit=emit)

    # ---- runs that somebody waits for

    def attended(
        self, kind: Kind, spec: Spec, uid: str, *, place: str | None = None
    ) -> AbstractContextManager[Callable[[str], None]]:
        """While inside, a run of this process is a row of the queue, and its name reserved.

        What is given is to be called with the rev of what came of it. That the queue cannot be written is no reason
        not to run.

        Raises
        ------
        NameTaken
            A task that waits or runs has the name. Nothing was run.
        """
        from nbexp.queue import attending

        return attending.attended(self.site, kind, spec, uid, place=place)

    def with_reserved(self, refs: Mapping[str, str]) -> dict[str, str]:
        """The refs, and those that tasks which wait or run have reserved: names to be drawn are not among them."""
        from nbexp.formats.ref_names import ExpRef

        return {**refs, **{ExpRef("0" * 40, name).ref: "" for name in self.site.store.reserved()}}

    # ---- inside

    def recover(self, emit: Emit) -> int:
        """See which of the tasks that run are dead, and settle them; how many were."""
        from nbexp.queue import finding

        return finding.recover(self.site, emit)

    def roll_call(self, emit: Emit) -> tuple[WorkerState, ...]:
        """Those who work, once the tasks of the dead are settled."""
        # They are seen first: one that dies in between is not missing while its task still runs.
        workers = self.workers()
        while self.recover(emit):
            workers = self.workers()
        return workers

    def workers(self) -> tuple[WorkerState, ...]:
        """Those who work; see `roster.workers`."""
        from nbexp.queue import roster

        return roster.workers(self.site)


def _by_file(spec: Spec) -> dict[str, tuple[str, ...]]:
    """The overrides as DVC says them: by params file, without its name."""
    found: dict[str, list[str]] = {}
    for one in spec.overrides:
        text = one.text.removeprefix(f"{one.file}:")
        found.setdefault(one.file, []).append(text)
    return {file: tuple(texts) for file, texts in found.items()}
