"""The process that leads a sweep: it asks the sampler, queues trials, hears what they log, and stops those behind.

    ask -> queue a trial -> its live values -> prune? -> its value -> tell -> ask …

All that it knows is in the queue, in Git and in the sweep's definition, so it may be killed at any moment: the next
one builds the sampler from the trials there are. A trial counts from the moment when it is in the queue, so there
are never more of them than were asked for, and none is forgotten.
"""

from __future__ import annotations

import os
import posixpath
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

from nbexp import filesystem, overrides
from nbexp.errors import NbexpError, NotFound, QueueError, StoreError, UsageError
from nbexp.experiments import composition, environment
from nbexp.experiments import spec as specs
from nbexp.experiments.place import files_of
from nbexp.experiments.reading import Reader
from nbexp.experiments.spec import Spec
from nbexp.filesystem import crash_point
from nbexp.formats import ref_names, values
from nbexp.frozen import replace
from nbexp.git import NewCommit
from nbexp.overrides import Override
from nbexp.queue import owners, recovery, starting
from nbexp.queue import state as states
from nbexp.queue.rows import Happened, NewTask, Task
from nbexp.queue.site import Site
from nbexp.queue.watching import Watcher
from nbexp.sweeps import course as courses
from nbexp.sweeps import definition, objective, samplers
from nbexp.sweeps.course import Course
from nbexp.sweeps.definition import Definition
from nbexp.sweeps.samplers import Trial
from nbexp.sweeps.space import Point

# So many points that are known beforehand are put into the queue at once.
_AT_ONCE = 1_000
_RECOVER_S = 1.0
# Where so many trials fail and none brings a value, all will.
_HOPELESS = 5
# Workers that end so often by an error of their own will not do better.
_BROKEN = 3
# How long a worker waits for the next trial. It may be that of another process than the one that started it.
_IDLE_S = 10.0
# How long they get to go when all is over.
_GOING_S = 10.0


class Coordinator:
    """Leads one sweep until it is over; `run` returns then."""

    def __init__(self, site: Site, sweep: Definition) -> None:
        self._site = site
        self._sweep = sweep
        self._store = site.store
        self._reader = Reader(site.git, site.cache, site.root, site.prefix)
        self._objective = objective.of(sweep)
        self._kind = samplers.load(sweep.sampler)
        self._live: dict[str, int] = {}  # uid -> number, of trials that are not over
        self._steps: dict[str, list[tuple[float, float]]] = {}
        self._failed = self._valued = 0
        self._problem = ""
        self._is_exhausted = False
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._most = sweep.jobs
        self._broken = 0
        self._recovered_s = 0.0

    def run(self) -> None:
        """Lead it to its end."""
        watcher = Watcher(self._store)  # before the past is read, so that nothing falls in between
        recovery.recover(self._store, lambda: self._site.git, self._site.folder)
        self._begin()
        while True:
            course = courses.read(self._store, self._sweep)
            if course.stops:
                courses.stop(self._site, self._sweep)
            elif course.over is None:
                self._fill(course)
            ended = self._how_it_ended(course)
            if ended is not None:
                self._dismiss()
                crash_point("sweep.ending")
                courses.write(self._store, self._sweep, ended)
                return
            self._staff(course)
            self._hear(watcher.wait(_RECOVER_S))
            if time.monotonic() - self._recovered_s > _RECOVER_S:
                self._recovered_s = time.monotonic()
                recovery.recover(self._store, lambda: self._site.git, self._site.folder)
                self._look(list(self._live))

    # ---- the past

    def _begin(self) -> None:
        """Make the sampler from the trials that there are."""
        found = courses.tasks(self._store, self._sweep)
        logged = self._logged({task.uid for task in found})
        past: list[Trial] = []
        for task in found:
            state = courses.state(task)
            value = self._value(task) if state == "done" else None
            if state == "done" and value is None and self._objective is not None:
                state = "failed"
            self._steps[task.uid] = logged.get(task.uid, [])
            past.append(
                Trial(
                    courses.number(task),
                    courses.point(task, self._sweep),
                    state,
                    value,
                    tuple(self._steps[task.uid]),
                )
            )
            if state == "running":
                self._live[task.uid] = courses.number(task)
            elif state == "pruned":
                self._keep_pruned(task)
            self._valued += value is not None or state == "pruned"
        self._next = past[-1].number + 1 if past else 0
        self._sampler = self._kind.Sampler(self._sweep.study(past))

    def _logged(self, uids: set[str]) -> dict[str, list[tuple[float, float]]]:
        found: dict[str, list[tuple[float, float]]] = {}
        if self._objective is None:
            return found
        for event in self._store.events():
            if event.uid in uids and (step := self._step(event)) is not None:
                found.setdefault(event.uid, []).append(step)
        return found

    # ---- what is to come

    def _fill(self, course: Course) -> None:
        """Queue as many trials as there is room for."""
        if self._is_exhausted or self._is_hopeless:
            return
        left = course.trials - self._next
        # Who learns from values asks as late as possible.
        at_once = course.jobs if self._kind.needs_metric else _AT_ONCE
        wanted = min(left, at_once - len(self._live))
        if wanted <= 0:
            return
        points = self._sampler.ask(wanted)
        self._is_exhausted = len(points) < wanted
        if not points:
            return
        new = self._tasks(points, course.timeout_s)
        self._next += len(new)
        self._store.add(new)
        for number, task in enumerate(new, self._next - len(new)):
            self._live[task.uid] = number

    def _tasks(self, points: Sequence[Point], timeout_s: float | None) -> list[NewTask]:
        sweep = self._sweep
        taken = {
            name.lower() for _, _, name in ref_names.experiments(self._site.git.refs("refs/exps/"))
        } | {*self._store.reserved()}
        found = []
        composed = self._composed(points)
        for number, point in enumerate(points, self._next):
            text = composed[number - self._next] if composed is not None else None
            spec = self._spec(number, point, taken, text)
            taken.add(spec.name.lower())
            found.append(
                NewTask(
                    uid=uuid4().hex,
                    batch=sweep.batch,
                    baseline=sweep.baseline,
                    name=spec.name,
                    snapshot=sweep.snapshot,
                    spec=spec.to_json(),
                    command={
                        **environment.command_line(spec).to_json(),
                        "sweep": sweep.name,
                        "trial": number,
                    },
                    kind=courses.KIND,
                    resources=sweep.resources,
                    timeout_s=timeout_s,
                )
            )
        return found

    def _composed(self, points: Sequence[Point]) -> Sequence[str] | None:
        """The params.yaml of each point, where it is composed of configurations; None where it is not."""
        sweep, site = self._sweep, self._site
        if not sweep.spec.hydra:
            return None
        version = composition.Version(site.git, site.prefix, sweep.snapshot)
        asked = [self._typed(point) for point in points]
        return composition.compose_all(site.root, sweep.spec.here, asked, version)

    def _typed(self, point: Point) -> tuple[Override, ...]:
        return (*self._sweep.spec.overrides, *overrides.parse(point)[0])

    def _spec(self, number: int, point: Point, taken: set[str], composed: str | None) -> Spec:
        sweep = self._sweep
        prefix = sweep.prefix
        name = ref_names.draw(taken) if prefix is None else f"{prefix}-{number + 1}"
        typed = self._typed(point)
        plain = [one for one in typed if composed is None or not composition.is_composed(one)]
        found = iter(overrides.resolve(plain, self._params_file))
        return replace(
            sweep.spec,
            name=name,
            named=prefix is not None,
            # What goes into a composition is resolved there.
            overrides=tuple(next(found) if one in plain else one for one in typed),
            composed=composed,
        )

    def _params_file(self, file: str) -> object:
        """The tree of a params file as trials find it."""
        path = posixpath.normpath(posixpath.join(self._sweep.spec.here, file))
        data = files_of(self._site.git, self._site.prefix, self._sweep.snapshot)(path)
        return values.parse(data, file) if data is not None else {}

    # ---- what happens

    def _hear(self, events: Sequence[Happened]) -> None:
        changed: dict[str, None] = {}
        for event in events:
            if event.uid not in self._live:
                if event.kind == "queued":
                    self._take_again(event.uid)
                continue
            changed[event.uid] = None
            step = self._step(event)
            if step is not None:
                self._logged_step(event.uid, step)
        self._look([*changed])

    def _take_again(self, uid: str) -> None:
        """A trial that was over waits again: somebody wants it to be retried."""
        task = self._store.task(uid)
        if task is not None and task.batch == self._sweep.batch and task.state in states.LIVE:
            self._live[uid] = courses.number(task)

    def _step(self, event: Happened) -> tuple[float, float] | None:
        """The step and value of the metric that a line of the history tells."""
        if self._objective is None or event.kind != "metric":
            return None
        value = self._objective.logged(event.data.get("values", {}))
        step = event.data.get("step")
        if value is None or not isinstance(step, int | float):
            return None
        return float(step), value

    def _logged_step(self, uid: str, step: tuple[float, float]) -> None:
        self._steps.setdefault(uid, []).append(step)
        if self._sampler.prune(self._live[uid], *step):
            crash_point("sweep.pruning")
            self._store.apply(uid, states.StopAsked("pruned"), durable=True)
            crash_point("sweep.pruned")

    def _look(self, uids: Sequence[str]) -> None:
        """See which trials are over, and tell the sampler."""
        if not uids:
            return
        there = {task.uid: task for task in self._store.tasks(uids=uids)}
        for uid in uids:
            task = there.get(uid)
            state = "failed" if task is None else courses.state(task)
            if state == "running":
                continue
            value = self._value(task) if task is not None and state == "done" else None
            if task is not None and state == "pruned":
                self._keep_pruned(task)
            self._sampler.tell(self._live.pop(uid), value)
            if value is not None or state == "pruned":
                self._valued += 1
                continue
            self._failed += 1
            if state == "done":
                self._failed += _HOPELESS  # it ended well, and so will the others: without a value
            elif task is not None and task.error:
                self._problem = f"{task.name}: {task.error}"

    def _keep_pruned(self, task: Task) -> None:
        """See to it that a pruned trial has its record, with its values at least.

        As a rule its worker has kept what there was of it; one that was killed when it was about to stop could not.
        """
        git, spec = self._site.git, Spec.from_json(task.spec)
        ref = ref_names.FAILED + spec.ref.removeprefix(ref_names.PREFIX)
        if ref in git.refs(ref):
            return
        read = files_of(git, self._site.prefix, task.snapshot)
        edits = specs.params_edits(
            self._site.root, spec.here, spec.overrides, read, composed=spec.composed
        )
        message = (
            f"nbexp: pruned experiment {spec.name}\n\nStopped because other trials did better.\n\n"
            "Nbexp-State: pruned\nNbexp-Stage: \n"
        )
        commit = NewCommit(
            ref=ref,
            parent=task.baseline,
            message=message.encode(),
            base=task.snapshot,
            files={posixpath.join(self._site.prefix, path): data for path, data in edits.items()},
            expect="any",
        )
        git.commit(commit)

    def _value(self, task: Task) -> float | None:
        """What the trial brought: what its commit says, else what it logged last."""
        if self._objective is None or task.rev is None:
            return None
        problem: NbexpError
        try:
            return self._objective.value(self._reader.data(task.rev))
        except UsageError as error:
            self._problem = error.message
            return None
        except (NotFound, StoreError) as error:
            problem = error
        steps = self._steps.get(task.uid)
        if steps:
            return steps[-1][1]
        self._problem = f"{problem.message.rstrip('.')} in {task.name}."
        return None

    @property
    def _is_hopeless(self) -> bool:
        """Whether trials end without a value, one like the other, where values are all that counts."""
        return self._kind.needs_metric and self._valued == 0 and self._failed >= _HOPELESS

    def _how_it_ended(self, course: Course) -> Course | None:
        """The course of a sweep that is over; None where it goes on."""
        if self._live:
            return None
        if course.stops:
            return replace(course, stops=False, over="stopped")
        if self._next >= course.trials or self._is_exhausted:
            return replace(course, over="done")
        if self._is_hopeless:
            return replace(course, over="failed", note=self._problem)
        return None

    # ---- workers

    def _staff(self, course: Course) -> None:
        """See to it that there are workers for the trials that wait or run.

        Raises
        ------
        QueueError
            They end before they take a trial.
        """
        self._most = max(self._most, course.jobs)
        for number in range(min(course.jobs, len(self._live))):
            slot = f"{self._sweep.name}.{number}"
            child = self._workers.get(number)
            if child is not None and child.poll() is None:
                continue
            if child is not None and child.returncode > 0:
                self._broken += 1
                if self._broken >= _BROKEN:
                    raise QueueError(
                        f"The workers of {self._sweep.name} end with {child.returncode} before they take a trial.",
                        f"what one said is in .dvc/tmp/nbexp/workers/slot-{slot}.log.",
                    )
            if not owners.slot_lock(self._site.folder, slot).held():
                self._workers[number] = starting.start_for(
                    self._site, self._sweep.batch, slot, idle_s=_IDLE_S
                )

    def _dismiss(self) -> None:
        """Send the workers away, whoever started them: nothing of a sweep that is over runs any more."""
        end = time.monotonic() + _GOING_S
        for number in range(self._most):
            lock = owners.slot_lock(self._site.folder, f"{self._sweep.name}.{number}")
            asked = False
            while lock.held() and time.monotonic() < end:
                pid = lock.holder().partition(" ")[0]
                if not asked and pid.isdigit():
                    asked = True
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGTERM)
                time.sleep(0.01)


def lead(site: Site, name: str) -> int:
    """Lead the sweep of that name, unless a process does; the exit code of this one."""
    lock = courses.lock(site, name)
    try:
        lock.acquire(blocking=False)
    except filesystem.Locked:
        return 0
    try:
        return _led(site, definition.load(site.git, name, site.mark))
    finally:
        lock.release()


def _led(site: Site, sweep: Definition) -> int:
    try:
        Coordinator(site, sweep).run()
    except Exception as error:
        # Whoever follows the sweep is told; nobody reads this process's own words.
        said = (
            error.message if isinstance(error, NbexpError) else f"{type(error).__name__}: {error}"
        )
        courses.stop(site, sweep)
        course = courses.read(site.store, sweep)
        courses.write(site.store, sweep, replace(course, stops=False, over="failed", note=said))
        if isinstance(error, NbexpError):
            return error.exit_code
        raise
    return 0
