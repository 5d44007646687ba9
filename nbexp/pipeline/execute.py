"""Bringing stages up to date: skip, restore, or run and keep what came out.

dvc.lock is written after each stage, so whatever ends a run later, finished stages are known. Who
puts the workspace back when a run fails is the `Guard`: it is told of every path before it changes.
One stage after the other runs here, without a thread; several at once in `parallel`, by the same steps.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Literal

from nbexp.errors import NbexpError, StageFailed, StoreError
from nbexp.events import (
    CommandStarted,
    DataTaken,
    Emit,
    Notice,
    Planned,
    StageFinished,
    StageNotRun,
    StageRestored,
    StageSkipped,
    StageStarted,
    StageStopped,
)
from nbexp.formats import checkpoint as protocol
from nbexp.formats.dvc_lock import LockedStage, LockFile
from nbexp.frozen import frozen
from nbexp.pipeline import durations, kinds, live_tables, outputs, schedule
from nbexp.pipeline.checkpoint import Made, Requests, Step
from nbexp.pipeline.context import Context, How
from nbexp.pipeline.flight import Flight
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.plan import Check, Inspector, without_missing
from nbexp.pipeline.stage import Out, Stage

Action = Literal["skipped", "restored", "taken", "ran", "failed", "not run"]
# What a stage came to if something of it is new.
_NEW = frozenset({"ran", "restored", "taken"})


@frozen
class StageResult:
    """What became of one stage; `entry` is its entry in dvc.lock now.

    `unchanged` is a stage of which only cached outputs were missing or edited. They came back, but DVC,
    which does that before it looks at stages, does not count it as reproduced.
    """

    stage: Stage
    action: Action
    entry: LockedStage | None
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0
    cells: int | None = None
    started: float = 0.0
    ended: float = 0.0
    unchanged: bool = False


class Outcome:
    """What became of each stage, in the order they were asked for."""

    def __init__(self) -> None:
        self.stages: list[StageResult] = []
        self.ignore_files: set[str] = set()
        self.lock_files: set[str] = set()

    @property
    def changed(self) -> list[StageResult]:
        """The stages that count as reproduced: they ran, or came from the run cache."""
        return [
            one for one in self.stages if one.action in {"ran", "restored"} and not one.unchanged
        ]

    @property
    def running_s(self) -> float:
        """For how long commands ran; of several at once the time counts once."""
        total = until = 0.0
        for one in sorted(self.stages, key=lambda one: one.started):
            if one.action == "ran":
                total += max(0.0, one.ended - max(one.started, until))
                until = max(until, one.ended)
        return total


def execute(
    stages: Sequence[Stage],
    graph: Graph,
    inspector: Inspector,
    context: Context,
    emit: Emit,
    how: How | None = None,
) -> Outcome:
    """Bring `stages` up to date, in the order given or, with `how.jobs`, as if in that order.

    Raises
    ------
    StageFailed
        A stage stopped, or did not write an output. Stages that are done are in the run cache. Of several
        that failed, the message has all.
    KeyboardInterrupt
        The user stopped it; the processes of all stages are gone.
    """
    work = Execution(stages, graph, inspector, context, emit, how or How())
    return work.do()


def take_data(
    stages: Sequence[Stage], graph: Graph, inspector: Inspector, context: Context, emit: Emit
) -> None:
    """Keep edits of tracked data that no stage to run reads, as DVC does when an experiment begins."""
    work = Execution(stages, graph, inspector, context, emit, How(checks_out=True))
    for stage in stages:
        if any((context.root / out.path).exists() for out in stage.outs):
            work.take(stage)


@frozen
class Needed:
    """A stage whose commands have to run, and under which key the run cache will know it."""

    stage: Stage
    check: Check
    key: str | None


@frozen
class Done:
    """How the commands of a stage ended."""

    cells: int | None
    started: float
    ended: float
    seconds: float


class Execution:
    """One call of `execute`: the steps of a stage, and what is known of all of them.

    The steps are called by one thread, but for `commands`.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        graph: Graph,
        inspector: Inspector,
        context: Context,
        emit: Emit,
        how: How,
    ) -> None:
        self.stages = stages
        self.graph = graph
        self.context = context
        self.emit = emit
        self.how = how
        self.demands = schedule.require_room(stages, how)
        self.is_stopping = False
        self._inspector = inspector
        self._number = {stage: number for number, stage in enumerate(stages)}
        self._results: dict[Stage, StageResult] = {}
        self._errors: list[tuple[Stage, NbexpError]] = []
        self._forced: set[Stage] = set(stages) if how.force else set()
        # Their outputs are what dvc.lock says, and still they are not done.
        self._forced.update(one for one in stages if one.address() in context.resumed)
        self._locks: dict[str, _Lock] = {}
        self._labels = labels(stages)
        self._ignores = outputs.IgnoreFiles(stages, context)
        self._outcome = Outcome()

    def do(self) -> Outcome:
        here = self.context.here
        is_parallel = self.how.jobs > 1 and len(self.stages) > 1 and self.context.confirm is None
        needs = {
            stage.address(here): tuple(other.address(here) for other in self.graph.needs[stage])
            for stage in self.stages
        }
        expected = durations.expected_of_all(self.context.cache, self.stages)
        seconds = {stage.address(here): taken for stage, taken in expected.items()}
        self.emit(Planned(tuple(needs), needs, self.how.jobs if is_parallel else 1, seconds))
        self._tell_of_hidden_names()
        if self.context.fetch is not None and self.context.use_run_cache:
            self.context.fetch.runs()
        self._ignores.write()
        try:
            if is_parallel:
                from nbexp.pipeline import parallel  # what it takes to have threads

                parallel.run(self)
            else:
                self._one_by_one()
        finally:
            self._settle()
        if self._errors and self.how.on_failure != "ignore":
            raise self._verdict()
        return self._outcome

    # ---- the steps of a stage, in this order

    def begin(self, stage: Stage) -> StageResult | Needed:
        """What has become of the stage if it need not run; else what running it takes."""
        if stage.is_data:
            return self.take(stage)
        context, how = self.context, self.how
        is_forced = stage in self._forced
        check = before = self._inspector.check(stage, force=is_forced)
        came_back = how.checks_out and outputs.bring_back_first(check, context)
        if came_back:
            check = self._inspector.check(stage, force=is_forced)
        if how.allow_missing:
            check = without_missing(check, self._inspector, self.graph)
        if not outputs.counting(check):
            return self._came_back(before) if came_back else self._skip(check)
        if context.fetch is not None and not is_forced and self._pulled(check):
            return self._skip(check)
        self._ask(stage)
        if stage.spec.frozen:
            return self._keep(check)
        if context.fetch is not None and not is_forced:
            check = self._with_deps(check)
        found = None if is_forced else outputs.restorable(check, context)
        restored = self._restore(check, found) if found is not None else None
        return restored or Needed(stage, check, outputs.signature(check, context))

    def flight(self, needed: Needed) -> Flight | None:
        """The lock under which the stage runs, where somebody else may be running the same."""
        if self.context.flights is None or needed.key is None or needed.stage in self._forced:
            return None
        return Flight(self.context.flights, needed.key)

    def again(self, needed: Needed) -> StageResult | None:
        """What has become of the stage if somebody else has run it since `begin`."""
        found = outputs.from_run_cache(needed.check, self.context)
        return None if found is None else self._restore(needed.check, found)

    def start(self, needed: Needed) -> None:
        """Make ready for the commands: old outputs are out of the way."""
        stage, context = needed.stage, self.context
        address = stage.address(context.here)
        if stage.lacks_a_command:
            raise StageFailed(f"Stage `{stage.name}` has no command to run.", stage=address)
        outputs.require_untracked(stage, context)
        if self.is_resumed(stage):
            outputs.go_on_from(stage, needed.check.locked, context)
        else:
            outputs.make_way(stage, context)
        for dep in stage.deps:
            if not (context.root / dep.path).exists():
                raise StageFailed(
                    f"Dep `{dep.path}` of stage `{stage.name}` does not exist after the stages before "
                    "it ran.",
                    f"correct deps of `{stage.name}` in {stage.file}.",
                    stage=address,
                )
        lost = self._inspector.missing_param(stage)
        if lost is not None:
            raise StageFailed(lost.message, lost.hint, stage=address)
        if not (context.root / stage.cwd).is_dir():
            raise StageFailed(
                f"The wdir `{stage.spec.wdir}` of stage `{stage.name}` is no directory. Nothing was run.",
                stage=address,
            )
        gone = outputs.lost(needed.key, context) if needed.key and stage not in self._forced else ()
        if gone:
            self.emit(
                Notice(
                    f"Stage `{stage.name}` has run on the same before, but the cache has lost "
                    f"{', '.join(gone)}; it runs again."
                )
            )
        self.emit(StageStarted(address, stage.spec.commands, _words(needed.check)))

    def commands(
        self,
        needed: Needed,
        emit: Emit,
        stop: threading.Event | None = None,
        step: Callable[[Needed], Made] | None = None,
    ) -> Done:
        """Run the stage's commands; on any thread.

        Parameters
        ----------
        stop
            Ends them as an interrupt would.
        step
            Records a checkpoint, in place of `checkpoint`, which is for the thread that calls the steps.
        """
        context, stage = self.context, needed.stage
        address = stage.address(context.here)
        env = {**context.env, "DVC_STAGE": address, **self._variables(stage)}
        label = self._labels[stage]
        # Stages that run at once would read each other's events.
        run_dir = context.run_dir if stop is None else context.run_dir / label
        log = context.run_dir / f"{label}.log"
        live = live_tables.folders(stage, context.root)
        cells: int | None = None
        with ExitStack() as opened:
            requests: Requests | None = None
            if context.steps is not None:
                signal = context.root / protocol.SIGNAL if _asks_by_signal(stage) else None
                make = step or self.checkpoint
                asked = Requests(run_dir, signal, address, lambda: make(needed), emit)
                requests = opened.enter_context(asked)
            started, clock = time.time(), time.monotonic()
            for command in stage.spec.commands:
                emit(CommandStarted(address, command))
                cwd = context.root / stage.cwd
                job = kinds.Job(
                    address, command, cwd, context.root, env, log, run_dir, live, requests
                )
                counted = kinds.run(job, emit, stop=stop)
                cells = counted if counted is not None else cells
            return Done(cells, started, time.time(), time.monotonic() - clock)

    def checkpoint(self, needed: Needed) -> Made:
        """Record what the stage, which runs, has made so far as a step of the experiment.

        Raises
        ------
        StoreError
            An output changes while it is read, or cannot be stored. Nothing was recorded.
        GitError
            The experiment's ref is not what it was. Nothing was recorded.
        """
        stage, context = needed.stage, self.context
        assert context.steps is not None
        label = self._labels[stage]
        entry, files = outputs.so_far(needed.check, context, label)
        path = stage.lock_file
        files[path] = self._lock(path).with_entry(self._number[stage], stage.name, entry).dump()
        done = [self._results[one] for one in self.stages if one in self._results]
        entries = {
            one.stage.name: one.entry
            for one in done
            if one.entry is not None
            and one.action in {"ran", "restored"}
            and not one.unchanged
            and one.stage.data is None
        }
        return context.steps(Step(stage, entry, files), {**entries, stage.name: entry})

    def is_resumed(self, stage: Stage) -> bool:
        """Whether the stage goes on from a step."""
        return self.context.resumed.get(stage.address(), 0) > 0

    def _variables(self, stage: Stage) -> Mapping[str, str]:
        """What checkpoints add to the environment of a stage."""
        found = {}
        if self.context.steps is not None and _asks_by_signal(stage):
            found[protocol.DVC_VARIABLE] = "1"
            # Where the signal is looked for: that of a run beside the workspace is not in the workspace.
            found["DVC_ROOT"] = str(self.context.root)
        if self.is_resumed(stage):
            found[protocol.RESUME] = str(self.context.resumed[stage.address()])
            found[protocol.DVCLIVE_RESUME] = "1"
        return found

    def finish(self, needed: Needed, done: Done) -> StageResult:
        """Keep what the commands made."""
        stage = needed.stage
        entry = outputs.collect(
            needed.check,
            self._inspector,
            self.context,
            self.emit,
            commit=self.how.commit,
            is_resumed=self.is_resumed(stage),
        )
        self._write_lock(stage, entry)
        self.emit(StageFinished(stage.address(self.context.here), done.seconds, done.cells))
        durations.remember(self.context.cache, stage, done.seconds)
        return StageResult(
            stage,
            "ran",
            entry,
            _words(needed.check),
            done.seconds,
            done.cells,
            done.started,
            done.ended,
        )

    def over(self, result: StageResult) -> None:
        """Nothing more will happen to the stage."""
        self._results[result.stage] = result
        is_new = result.action == "taken" or (result.action in _NEW and not result.unchanged)
        if self.how.force_downstream and (is_new or result.stage in self._forced):
            self._forced.update(self._dependents(result.stage, direct=True))

    def failed(self, stage: Stage, error: NbexpError) -> list[Stage]:
        """The stage ended with an error; the stages that are not run because of it."""
        self._errors.append((stage, error))
        self._results[stage] = StageResult(stage, "failed", None)
        here, on_failure = self.context.here, self.how.on_failure
        left_out: list[Stage] = []
        if on_failure == "keep-going":
            left_out = self._dependents(stage)
        self.is_stopping = on_failure == "stop"
        names = tuple(other.address(here) for other in left_out)
        self.emit(StageStopped(stage.address(here), error.message, names, on_failure != "stop"))
        for other in left_out:
            self.leave_out(other, because=stage)
        return left_out

    def leave_out(self, stage: Stage, because: Stage | None = None) -> None:
        """The stage does not run, because of one that failed or because all was stopped."""
        self._results[stage] = StageResult(stage, "not run", None)
        here = self.context.here
        self.emit(StageNotRun(stage.address(here), because.address(here) if because else None))

    def is_over(self, stage: Stage) -> bool:
        return stage in self._results

    def _tell_of_hidden_names(self) -> None:
        for file, group in dict.fromkeys((stage.file, stage.spec.group) for stage in self.stages):
            hidden = self.graph.files[file].hidden.get(group) if group else None
            if hidden:
                names = " and ".join(f"`{name}`" for name in hidden)
                stand = "stand" if len(hidden) > 1 else "stands"
                self.emit(
                    Notice(
                        f"In the stages of `{group}`, {names} {stand} for what its `foreach` or `matrix` goes "
                        "through, and not for what params.yaml or `vars` has under that name."
                    )
                )

    # ---- one after the other

    def _one_by_one(self) -> None:
        for stage in self.stages:
            if self.is_over(stage):
                continue
            if self.is_stopping:
                self.leave_out(stage)
                continue
            try:
                result = self._alone(stage)
            except NbexpError as error:
                self.failed(stage, error)
            else:
                self.over(result)

    def _alone(self, stage: Stage) -> StageResult:
        needed = self.begin(stage)
        if isinstance(needed, StageResult):
            return needed
        flight = self.flight(needed)
        if flight is None:
            return self._run(needed)
        try:
            if not flight.is_free():
                self.emit(self.waiting_for(stage, flight))
                with self.context.guard.waiting():
                    flight.wait()
            return self.again(needed) or self._run(needed)
        finally:
            flight.release()

    def waiting_for(self, stage: Stage, flight: Flight) -> Notice:
        name = stage.address(self.context.here)
        return Notice(f"Waiting for stage `{name}`, which {flight.holder()} runs.")

    def _run(self, needed: Needed) -> StageResult:
        self.start(needed)
        guard = self.context.guard
        with guard.declared(*self.paths(needed.stage)), guard.waiting():
            done = self.commands(needed, self.emit)
        return self.finish(needed, done)

    def paths(self, stage: Stage) -> tuple[list[str], list[str]]:
        """What the stage reads and writes, absolute."""
        root = self.context.root
        deps = [os.path.normpath(root / dep.path) for dep in stage.deps]
        return deps, [str(root / out.path) for out in stage.outs]

    # ---- the ends of a stage that does not run

    def take(self, stage: Stage) -> StageResult:
        """Nothing makes data: what is missing comes back from the cache, and what was edited is kept from now on."""
        context, name = self.context, stage.address(self.context.here)
        check = self._inspector.check(stage)
        if self.how.checks_out and outputs.bring_back_missing(check, context):
            check = self._inspector.check(stage)
        if self.how.allow_missing:
            check = without_missing(check, self._inspector, self.graph)
        if not check.reasons or (context.fetch is not None and self._pulled(check)):
            self.emit(StageSkipped(name, stage.spec.frozen, is_data=True))
            return StageResult(stage, "skipped", check.locked)
        for out in stage.outs:
            if not (context.root / out.path).exists():
                raise StageFailed(*self._nowhere(stage, out), stage=name)
        self.emit(DataTaken(name))
        entry = outputs.collect(check, self._inspector, context, self.emit, commit=self.how.commit)
        self._write_lock(stage, entry)
        return StageResult(stage, "taken", entry, _words(check), unchanged=True)

    def _nowhere(self, stage: Stage, out: Out) -> tuple[str, str]:
        """What is the case with data that is not there, and what helps."""
        what = f"`{out.path}`, which {stage.file} tracks, is not there"
        entry = self._inspector.locked(stage)
        if entry is not None and outputs.restorable_outs(stage, entry, self.context.cache):
            return f"{what}.", f"`nbexp data checkout {stage.file}` brings it back from the cache."
        return (
            f"{what}, and the cache lacks it.",
            f"`nbexp data pull {stage.file}` gets it from a remote.",
        )

    def _came_back(self, check: Check) -> StageResult:
        self.emit(StageRestored(check.stage.address(self.context.here)))
        return StageResult(check.stage, "restored", check.locked, _words(check), unchanged=True)

    def _skip(self, check: Check) -> StageResult:
        stage = check.stage
        self.emit(StageSkipped(stage.address(self.context.here), stage.spec.frozen))
        entry = check.locked
        if check.refreshed is not None:
            # Only prose or outputs of the notebook changed: the stage is up to date, and so that
            # `dvc status` says so as well, the lock gets the file's md5 of today.
            entry = check.refreshed
            self._write_lock(stage, entry)
        return StageResult(stage, "skipped", entry)

    def _keep(self, check: Check) -> StageResult:
        """A frozen stage is not run: its outputs are taken as they are."""
        stage = check.stage
        for out in stage.outs:
            if not (self.context.root / out.path).exists():
                raise StageFailed(
                    f"The output `{out.path}` of stage `{stage.name}` is not there, and the stage is frozen.",
                    f"take `frozen` out of `{stage.name}` in {stage.file}, or bring the output back: "
                    "`nbexp data checkout`.",
                    stage=stage.address(self.context.here),
                )
        self.emit(Notice(f"Stage `{stage.name}` is frozen: its outputs are taken as they are."))
        entry = outputs.collect(
            check, self._inspector, self.context, self.emit, commit=self.how.commit
        )
        self._write_lock(stage, entry)
        return StageResult(stage, "restored", entry, _words(check))

    def _restore(self, check: Check, entry: LockedStage) -> StageResult | None:
        """Bring the outputs of the entry back; None if an object turns out to be damaged."""
        stage = check.stage
        started = time.time()
        try:
            outputs.checkout_outs(stage, entry, self.context)
        except StoreError as damaged:
            self.emit(Notice(f"{damaged.message} Stage `{stage.name}` runs instead."))
            return None
        self.emit(StageRestored(stage.address(self.context.here)))
        self._write_lock(stage, entry)
        return StageResult(
            stage, "restored", entry, _words(check), started=started, ended=time.time()
        )

    def _pulled(self, check: Check) -> bool:
        """Fetch the outputs of a stage of which nothing but data is missing; whether that is all done."""
        entry = check.refreshed or check.locked
        if entry is None or outputs.counting(without_missing(check, self._inspector, self.graph)):
            return False
        name = check.stage.address(self.context.here)
        self.emit(Notice(f"Pulling data for stage `{name}`."))
        try:
            outputs.fetch_outs(check.stage, entry, self.context)
            outputs.checkout_outs(check.stage, entry, self.context)
        except StoreError:
            self.emit(Notice(f"Unable to pull data for stage `{name}`."))
            return False
        return True

    def _with_deps(self, check: Check) -> Check:
        """Fetch the deps that are missing and that another stage has written before."""
        missing = [dep for dep in check.stage.deps if not (self.context.root / dep.path).exists()]
        owners = dict.fromkeys(filter(None, (self.graph.owner(dep.path) for dep in missing)))
        for owner in owners:
            entry = self._inspector.locked(owner)
            if entry is not None:
                try:
                    outputs.fetch_outs(owner, entry, self.context)
                    outputs.checkout_outs(owner, entry, self.context)
                except StoreError:
                    continue  # `start` says what is missing
        return self._inspector.check(check.stage) if owners else check

    def _ask(self, stage: Stage) -> None:
        confirm = self.context.confirm
        if confirm is None:
            return
        name = stage.address(self.context.here)
        with self.context.guard.waiting():
            is_wanted = confirm(
                f"Going to reproduce stage: '{name}'. Are you sure you want to continue?"
            )
        if not is_wanted:
            raise StageFailed(f"Stage `{name}` was not run, as you said.", stage=name)

    # ---- what is known of all

    def _write_lock(self, stage: Stage, entry: LockedStage) -> None:
        """Put the entry into dvc.lock, at the place it has where stages run one after the other."""

        def joined(before: LockFile) -> LockFile:
            lock = self._lock(stage.lock_file, before)
            return lock.put(self._number[stage], stage.name, entry)

        self._outcome.lock_files.add(stage.lock_file)
        outputs.write_entry(stage, entry, self._inspector, self.context, self.emit, joined=joined)

    def _lock(self, path: str, before: LockFile | None = None) -> _Lock:
        """What is known of a dvc.lock; `before` is what it holds now."""
        if before is None:
            before = self._inspector.reread_lock(path)
        lock = self._locks.get(path)
        if lock is None or before is not lock.after:  # or somebody else has written to it
            lock = self._locks[path] = _Lock(before)
        return lock

    def _dependents(self, stage: Stage, *, direct: bool = False) -> list[Stage]:
        """The stages behind this one that need what it writes; those that are over left out."""
        found = {stage}
        for other in self.stages:
            reads = () if other.spec.frozen else self.graph.needs[other]
            if (stage in reads) if direct else not found.isdisjoint(reads):
                found.add(other)
        return [other for other in self.stages if other in found and not self.is_over(other)]

    def _settle(self) -> None:
        outcome = self._outcome
        outcome.stages = [self._results[stage] for stage in self.stages if stage in self._results]
        made = [
            one.stage
            for one in outcome.stages
            if one.action == "taken" or (one.action in _NEW and not one.unchanged)
        ]
        outcome.ignore_files = self._ignores.settle(made)

    def _verdict(self) -> NbexpError:
        """What to tell of the stages that failed, and of those that did not run because of them."""
        stage, first = self._errors[0]
        left_out = [one.stage for one in self._outcome.stages if one.action == "not run"]
        if len(self._errors) > 1:
            messages = " ".join(error.message for _, error in self._errors)
            first = StageFailed(
                f"{len(self._errors)} stages failed. {messages}",
                first.hint,
                stage=stage.address(self.context.here),
                returncode=first.returncode if isinstance(first, StageFailed) else None,
                log=first.log if isinstance(first, StageFailed) else None,
                tail=first.tail if isinstance(first, StageFailed) else "",
            )
        if left_out and self.how.on_failure == "keep-going":
            names = ", ".join(f"`{stage.address(self.context.here)}`" for stage in left_out)
            first.message += f" Not run because of it: {names}."
            first.args = (first.message,)
        return first


class _Lock:
    """A dvc.lock while stages end in any order: entries stand as if they had ended in file order."""

    def __init__(self, before: LockFile) -> None:
        self.after = before
        self._before = before
        self._entries: dict[int, tuple[str, LockedStage]] = {}

    def put(self, number: int, name: str, entry: LockedStage) -> LockFile:
        self.after = self.with_entry(number, name, entry)
        self._entries[number] = name, entry
        return self.after

    def with_entry(self, number: int, name: str, entry: LockedStage) -> LockFile:
        """As it would be with the entry."""
        if number > max(self._entries, default=-1):
            return self.after.with_stages({name: entry})
        entries = {**self._entries, number: (name, entry)}
        return self._before.with_stages(dict(entries[other] for other in sorted(entries)))


def _asks_by_signal(stage: Stage) -> bool:
    """Whether its processes may ask for checkpoints as under DVC 2.x."""
    return any(out.spec.checkpoint for out in stage.outs)


def labels(stages: Sequence[Stage]) -> dict[Stage, str]:
    """What the log of each stage is called: its name, with its folder before it where two share it."""
    seen: dict[str, int] = {}
    for stage in stages:
        seen[stage.name] = seen.get(stage.name, 0) + 1
    return {
        stage: stage.name
        if seen[stage.name] == 1
        else f"{stage.folder.replace('/', '_')}_{stage.name}"
        for stage in stages
    }


def _words(check: Check) -> tuple[str, ...]:
    return tuple(str(reason) for reason in check.reasons)
