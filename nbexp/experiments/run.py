"""From a spec to an experiment: the one path for cell, command line and Python.

    spec -> is it recorded already? -> params written -> stages -> commit and ref -> report

Whatever ends it early, the workspace is as it was before; what there was is kept under
`refs/nbexp/failed`.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Literal

from nbexp import filesystem
from nbexp.errors import GitError, Interrupted, NbexpError, StageFailed, StoreError
from nbexp.events import Emit, Notice, Phase, RunFinished, RunStarted, ignore
from nbexp.experiments import identity, ongoing
from nbexp.experiments import record as recording
from nbexp.experiments.checkpoints import Growing
from nbexp.experiments.environment import CommandLine, Recorder
from nbexp.experiments.place import GitIgnores, GitMeanings, own_folder, shared_locks
from nbexp.experiments.record import NotRecorded
from nbexp.experiments.spec import Spec
from nbexp.experiments.workspace import Workspace, explain_rollback, uninterrupted
from nbexp.formats import ref_names, secrets
from nbexp.formats.dvc_lock import LockedStage
from nbexp.frozen import frozen, replace
from nbexp.git import Git
from nbexp.git.process import FOREIGN
from nbexp.pipeline import execute, outputs, schedule
from nbexp.pipeline.checkpoint import Made, Step
from nbexp.pipeline.context import Context, Fetch
from nbexp.pipeline.execute import Outcome
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.plan import Disk, Inspector
from nbexp.pipeline.stage import Stage
from nbexp.store.cache import Cache


@frozen
class Ran:
    """What a run came to.

    Attributes
    ----------
    identical
        The experiment was there already; no stage ran, and the workspace is as after it.
    own_s
        Seconds that nbexp itself took: all but the stages.
    steps
        How many checkpoints the experiment has by now; 0 where the run made none.
    folder
        Where it ran, if not in the user's own workspace.
    """

    ref: str
    rev: str
    outcome: Outcome
    identical: bool
    not_recorded: tuple[NotRecorded, ...]
    unlisted: Mapping[str, list[str]]
    elapsed_s: float
    own_s: float
    steps: int = 0
    folder: Path | None = None


Attend = Callable[[Spec, str, "Place"], AbstractContextManager[Callable[[str], None]]]
"""Given the spec, the uid that marks its processes, and where it runs."""


class Stopped(KeyboardInterrupt):
    """An interrupt that knows what the run counts as: somebody stopped it, or it was behind all others."""

    def __init__(self, state: Literal["interrupted", "pruned"] = "interrupted") -> None:
        super().__init__()
        self.state = state


@frozen
class Place:
    """The project a run works on, and whom it asks: see `Context` for `confirm` and `fetch`.

    `home` is the user's own project, where this one is a copy made for the run. `attend` is told of a run that its
    maker waits for: it is entered before the run begins, and called with the rev of what came of it.
    """

    git: Git
    cache: Cache
    root: Path
    prefix: str
    use_run_cache: bool = True
    env: Mapping[str, str] | None = None
    confirm: Callable[[str], bool] | None = None
    fetch: Fetch | None = None
    home: Place | None = None
    attend: Attend | None = None


def run(
    spec: Spec,
    place: Place,
    graph: Graph,
    stages: Sequence[Stage],
    refs: Mapping[str, str],
    workspace: Workspace,
    emit: Emit,
    command: CommandLine,
    *,
    has_begun: bool = False,
    fence: Callable[[str], None] | None = None,
) -> Ran:
    """Run the spec in a workspace that is this run's alone meanwhile, and record it.

    Parameters
    ----------
    stages
        What to bring up to date, in order.
    refs
        Every experiment ref and its rev, as `spec` was checked against.
    command
        What would be typed for it, to be told in its note.
    has_begun
        The caller has begun to change the workspace; what it did is part of this run, and is put back with it.
    fence
        Called with the rev when all that the experiment is made of is on disk and it has no name yet; where
        it raises, it gets none.

    Raises
    ------
    StageFailed
        A stage stopped; the workspace is as it was, and what there was is under `refs/nbexp/failed`.
    Interrupted
        The user stopped it; the same holds.
    """
    clock = time.monotonic()
    looked: _Looked | None = None
    if not has_begun and workspace.is_users:
        try:
            looked = _look(spec, place, graph, stages, refs)
            same = looked.same
            # Where it is to have another name as well, who waits for that name is asked first: `attend`.
            is_named = spec.named and (same is None or spec.ref != same[0])
            if same is not None and not is_named and _is_there(same[1], spec, place, stages):
                if fence is not None:
                    fence(same[1])
                took = time.monotonic() - clock
                return Ran(*same, Outcome(), True, (), looked.unlisted, took, took)
        except KeyboardInterrupt:
            raise Interrupted(f"Run `{spec.name}` was interrupted. Nothing was changed.") from None
    with ExitStack() as stack:
        done: Callable[[str], None] | None = None
        if place.attend is not None:
            try:
                done = stack.enter_context(place.attend(spec, workspace.uid, place))
            except BaseException:
                if has_begun:
                    workspace.roll_back()
                raise
        ran = _run(
            spec, place, graph, stages, refs, workspace, emit, command,
            has_begun=has_begun, fence=fence, looked=looked, clock=clock,
        )  # fmt: skip
        if done is not None:
            done(ran.rev)
        return ran


def stages_file(root: Path, uid: str) -> Path:
    """Where a run that its maker waits for writes what its stages are at."""
    return own_folder(root) / "runs" / uid / "stages.jsonl"


def _run(
    spec: Spec,
    place: Place,
    graph: Graph,
    stages: Sequence[Stage],
    refs: Mapping[str, str],
    workspace: Workspace,
    emit: Emit,
    command: CommandLine,
    *,
    has_begun: bool,
    fence: Callable[[str], None] | None,
    looked: _Looked | None,
    clock: float,
) -> Ran:
    git, root = place.git, place.root
    recorder: Recorder | None = None
    growing: Growing | None = None
    if not has_begun:
        # What is recorded already, people know by that name; the one that was drawn is not heard of again.
        same = None if looked is None or spec.named else looked.same
        workspace.begin(f"run {spec.name if same is None else ref_names.name_of(same[0])}")
    began_at = git.head()
    try:
        looked = looked or _look(spec, place, graph, stages, refs)
        # dvclive decides by them (formats.md 1.9).
        variables = {"DVC_EXP_NAME": spec.name, "DVC_EXP_BASELINE_REV": spec.baseline}
        where = context(place, workspace, here=spec.here, variables=variables)
        same = looked.same
        if same is not None and _bring_back(same[1], spec, place, stages, workspace, where):
            if fence is not None:
                fence(same[1])
            ref, rev = _also_named(same, spec, git)
            undo_point = workspace.undo_point()
            if undo_point is not None:
                git.commit(undo_point)
            workspace.finish()
            took = time.monotonic() - clock
            return Ran(ref, rev, Outcome(), True, (), looked.unlisted, took, took)
        for path, data in spec.edits.items():
            workspace.write(path, data)
        emit(RunStarted(spec.name, spec.baseline, tuple(s.address(spec.here) for s in stages)))
        _warn_of_secrets(spec, emit)
        started_s = workspace.started()
        recorder = Recorder(git, place.cache, command, stages, where.env, spec.here)
        assert where.flights is not None
        growing = Growing(git, root, place.prefix, spec, where.flights, recorder)
        if spec.resumed is not None:
            growing.hold()
        inspector = Inspector(root, place.cache, Disk(root, {}), looked.meanings)
        if spec.single or spec.downstream:
            above = [stage for stage in graph.order(stages) if stage not in stages]
            outputs.bring_back(above, inspector, where)
        with place.cache.gathering() as unflushed:
            where = _with_steps(where, spec, growing, graph, stages, unflushed)
            if not spec.targets:
                others = [one for one in graph.stages if one.is_data and one not in stages]
                execute.take_data(others, graph, inspector, where, ignore)
            how = replace(spec.how, force=spec.force, checks_out=True)
            home = (place.home or place).root
            going = ongoing.new(workspace.uid, spec, root)
            # Of a task that a worker runs, the worker writes it.
            lines = None if place.attend is None else stages_file(home, workspace.uid)
            with ongoing.told(home, going, emit, stages=lines) as heard:
                outcome = execute.execute(stages, graph, inspector, where, heard, how)
            emit(Phase("recording"))
            undo_point = workspace.undo_point()
        # All that the experiment needs is on disk before its ref is; Git looks at the files meanwhile.
        flushed = filesystem.sync_soon(unflushed | workspace.unflushed())
        note = growing.carried(recorder.beside(outcome))
        with uninterrupted() as came:
            recorded = recording.record(
                git,
                root,
                place.prefix,
                spec,
                graph,
                stages,
                outcome,
                started_s=started_s,
                undo_point=undo_point,
                flushed=flushed,
                note=note,
                growing=growing,
                fence=fence,
            )
            workspace.finish()
        head = git.head()
        if head != began_at:
            emit(
                Notice(
                    f"HEAD moved to {(head or 'no commit')[:7]} while this ran; the experiment is on "
                    f"{spec.baseline[:7]}, where it began."
                )
            )
        emit(RunFinished(spec.name, recorded.rev))
        if note.error is not None:
            emit(
                Notice(
                    f"The experiment is recorded, its command line and environment are not: {note.error}",
                    note.error.hint,
                )
            )
        for path in recorded.ignored:
            emit(
                Notice(
                    f"Git ignores {path}, so the experiment does not hold it.",
                    "take it out of .gitignore.",
                )
            )
        for path in recorded.repositories:
            emit(
                Notice(
                    f"{path} is a Git repository of its own, so the experiment does not hold what stages read there.",
                    f"`git submodule add URL {shlex.quote(path)}` makes it a part of this one.",
                )
            )
    except (NbexpError, KeyboardInterrupt) as error:
        with uninterrupted():
            raised = _undone(error, spec, place, graph, stages, workspace, emit, recorder, growing)
        raise raised from None
    except BaseException:
        workspace.roll_back()
        raise
    finally:
        if growing is not None:
            growing.release()
    if came:
        hint = f"`nbexp remove {spec.name}` takes it out of the list"
        raise Interrupted(
            f"Run `{spec.name}` was done and is recorded when the interrupt came.",
            f"{hint}; `nbexp undo` puts the files back." if workspace.is_users else f"{hint}.",
        )
    took = time.monotonic() - clock
    own = took - outcome.running_s
    return Ran(
        recorded.ref,
        recorded.rev,
        outcome,
        False,
        recorded.not_recorded,
        looked.unlisted,
        took,
        own,
        growing.step if growing.tip is not None or spec.resumed is not None else 0,
    )


@frozen
class _Looked:
    """What is known before anything changes.

    Attributes
    ----------
    same
        The ref and rev of the experiment that this run would repeat; None where it is to be made, or there is none.
    unlisted
        The project's modules that each stage imports without listing them.
    """

    meanings: GitMeanings
    same: tuple[str, str] | None
    unlisted: Mapping[str, list[str]]


def _look(
    spec: Spec,
    place: Place,
    graph: Graph,
    stages: Sequence[Stage],
    refs: Mapping[str, str],
) -> _Looked:
    """Look whether the run can be made, and whether there is an experiment like it; nothing is changed."""
    git, root = place.git, place.root
    meanings = GitMeanings(git, place.prefix, refs)
    inspector = Inspector(root, place.cache, Disk(root, spec.edits), meanings)
    if not spec.how.allow_missing and place.fetch is None:
        inspector.require_inputs(stages, graph)
    schedule.require_room(stages, spec.how)
    same = None
    if not spec.asks_to_execute:
        same = identity.find(
            git, place.cache, root, place.prefix, spec.baseline, refs, stages, graph, inspector
        )
    return _Looked(meanings, same, identity.unlisted_modules(root, stages))


def context(
    place: Place, workspace: Workspace, *, here: str, variables: Mapping[str, str] | None = None
) -> Context:
    """Where the stages of a command run; `variables` are set for them."""
    folder = run_dir(place, workspace)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    home = place.home or place
    around = place.env if place.env is not None else os.environ
    env = {
        # Where a Git hook started us, `git` in a stage would write the index of the commit that is being made.
        **{name: value for name, value in around.items() if name not in FOREIGN},
        # What DVC sets for every stage (formats.md 1.9).
        "DVC_ROOT": str(home.root),
        **(variables or {}),
        "NBEXP_ITEM": workspace.marker,
    }
    return Context(
        root=place.root,
        cache=place.cache,
        guard=workspace,
        ignores=GitIgnores(place.git, place.prefix),
        env=env,
        run_dir=folder,
        here=here,
        use_run_cache=place.use_run_cache,
        flights=shared_locks(home.git, home.root, home.prefix, home.cache.folder),
        confirm=place.confirm,
        fetch=place.fetch,
    )


def _with_steps(
    where: Context,
    spec: Spec,
    growing: Growing,
    graph: Graph,
    stages: Sequence[Stage],
    unflushed: set[str],
) -> Context:
    """The same, for stages that make checkpoints or go on from one."""

    def flush() -> None:
        names = {*unflushed}
        filesystem.sync(names)
        unflushed.difference_update(names)

    def record(step: Step, entries: Mapping[str, LockedStage]) -> Made:
        return growing.add(step, entries, graph, stages, flush)

    resumed = spec.resumed
    goes_on = {} if resumed is None else dict.fromkeys(resumed.stages, resumed.step)
    return replace(where, steps=record, resumed=goes_on)


def run_dir(place: Place, workspace: Workspace) -> Path:
    """The private folder of a command: logs, events, the notebook of a stage that failed."""
    return own_folder((place.home or place).root) / "runs" / workspace.uid


@frozen
class _Kept:
    """What an experiment's dvc.lock files say of some stages; the bytes of each file by its path, None where there is none."""

    entries: tuple[tuple[Stage, LockedStage], ...]
    locks: Mapping[str, bytes | None]


def _kept(rev: str, place: Place, stages: Sequence[Stage]) -> _Kept | None:
    """What the experiment says of the stages, if every output can be had."""
    git, cache = place.git, place.cache
    top = f"{place.prefix}/" if place.prefix else ""
    paths = sorted({stage.lock_file for stage in stages})
    locks = dict(zip(paths, git.read_many([f"{rev}:{top}{path}" for path in paths]), strict=True))
    entries: list[tuple[Stage, LockedStage]] = []
    for stage in stages:
        entry = stage.entry_in(locks[stage.lock_file])
        if entry is None:
            return None
        if not outputs.restorable_outs(stage, entry, cache) and not _from_git(
            stage, entry, rev, top, git, cache
        ):
            return None
        entries.append((stage, entry))
    return _Kept(tuple(entries), locks)


def _is_there(rev: str, spec: Spec, place: Place, stages: Sequence[Stage]) -> bool:
    """Whether the workspace is what it was after that experiment, so that nothing is to be done at all."""
    root = place.root
    if any(filesystem.read(root / path) != data for path, data in spec.edits.items()):
        return False
    kept = _kept(rev, place, stages)
    return (
        kept is not None
        and all(
            data is None or filesystem.read(root / path) == data
            for path, data in kept.locks.items()
        )
        and all(outputs.are_as(stage, entry, root, place.cache) for stage, entry in kept.entries)
    )


def _bring_back(
    rev: str,
    spec: Spec,
    place: Place,
    stages: Sequence[Stage],
    workspace: Workspace,
    context: Context,
) -> bool:
    """Make the user's workspace what it was after that experiment; False if an output is nowhere any more."""
    kept = _kept(rev, place, stages)
    if kept is None:
        return False
    if not workspace.is_users:
        return True  # nobody looks at the files
    for path, data in spec.edits.items():
        workspace.write(path, data)
    for stage, entry in kept.entries:
        try:
            outputs.checkout_outs(stage, entry, context)
        except StoreError:
            return False  # damaged, which nobody knew before it was to be used
    for path, recorded in kept.locks.items():
        if recorded is not None and filesystem.read(place.root / path) != recorded:
            workspace.write(path, recorded)
    return True


def _from_git(stage: Stage, entry: LockedStage, rev: str, top: str, git: Git, cache: Cache) -> bool:
    """Whether every output is in the cache once the Git-tracked ones were taken from the commit."""
    kept_in_git = {out.spelled: out for out in stage.outs if not out.cache}
    for locked in entry.outs:
        if cache.has(locked.md5) or locked.path not in kept_in_git:
            continue
        data = git.read(f"{rev}:{top}{kept_in_git[locked.path].path}")
        if data is None or locked.md5.endswith(".dir"):
            return False
        cache.put(data)
    return outputs.restorable_outs(stage, entry, cache)


def _also_named(found: tuple[str, str], spec: Spec, git: Git) -> tuple[str, str]:
    """With `-n other`, the same commit gets that name as well."""
    ref, rev = found
    if not spec.named or ref == spec.ref:
        return found
    git.update_refs([(spec.ref, rev, None)])
    return spec.ref, rev


_STOPPED = {
    "interrupted": "Stopped by the user.",
    "pruned": "Stopped because other trials did better.",
}


def _undone(
    error: NbexpError | KeyboardInterrupt,
    spec: Spec,
    place: Place,
    graph: Graph,
    stages: Sequence[Stage],
    workspace: Workspace,
    emit: Emit,
    recorder: Recorder | None,
    growing: Growing | None,
) -> BaseException:
    """Keep what the run left, put the workspace back, and return what to raise."""
    interrupted = isinstance(error, KeyboardInterrupt)
    started = interrupted or isinstance(error, StageFailed)
    state = "interrupted" if interrupted else "failed"
    if isinstance(error, Stopped):
        state = error.state
    kept = False
    stopped: Path | None = None
    if started:
        try:
            recording.record_failed(
                place.git,
                place.root,
                place.prefix,
                spec,
                graph,
                stages,
                state=state,
                stage=error.stage if isinstance(error, StageFailed) else "",
                error=error.message if isinstance(error, NbexpError) else _STOPPED[state],
                run_dir=run_dir(place, workspace),
                note=recorder.beside(None) if recorder is not None else None,
            )
            kept = True
            stopped = recording.stopped_notebook(place.root, stages, run_dir(place, workspace))
        except (GitError, OSError) as failure:
            emit(Notice(f"What the run left could not be kept: {failure}."))
    touched = _edited_by_stages(place.git, workspace) if started else []
    edited = [*workspace.roll_back(), *touched]
    if interrupted:
        raised = Interrupted(
            f"Run `{spec.name}` was interrupted. Your workspace is as it was before it.",
            _where_it_is(spec, stopped) if kept else None,
        )
        if edited:
            raised.message += f" Edited meanwhile, and so left as it is: {', '.join(edited)}."
        _tell_of_steps(raised, spec, growing)
        return raised
    assert isinstance(error, NbexpError)
    explain_rollback(error, edited)
    if isinstance(error, StageFailed):
        error.experiment = spec.name
        if kept and error.cell is not None:
            error.hint = (
                f"`nbexp open {spec.name}` shows the notebook as it stopped. "
                "Your workspace is as it was."
            )
    if started:
        _tell_of_steps(error, spec, growing)
    return error


def _warn_of_secrets(spec: Spec, emit: Emit) -> None:
    """Say of a param that looks like a secret that it goes into a commit, which others may be sent."""
    for one in spec.overrides:
        if secrets.is_secret(one.key, one.value):
            emit(
                Notice(
                    f"`{one.key}` looks like a secret, and {one.file} is recorded with it.",
                    "give the name of an environment variable instead, and let the code read that.",
                )
            )


def _tell_of_steps(error: NbexpError | Interrupted, spec: Spec, growing: Growing | None) -> None:
    """Say that the checkpoints are there, and how to go on from the last one."""
    if growing is None or (growing.tip is None and spec.resumed is None):
        return
    if growing.tip is None and spec.resumed is not None and spec.replaces != spec.resumed.rev:
        return  # a branch of a chain that has got no step of its own
    error.message += f" `{spec.name}` is kept up to step {growing.step}."
    error.args = (error.message,)
    error.hint = f"`nbexp run --resume {spec.name}` goes on from there."


def _where_it_is(spec: Spec, stopped: Path | None) -> str:
    if stopped is not None:
        return f"`nbexp open {spec.name}` shows the notebook as it stopped."
    return "`nbexp show --all-states` lists it."


def _edited_by_stages(git: Git, workspace: Workspace) -> list[str]:
    """Tracked files that changed while stages ran and that are not put back."""
    if not workspace.is_users:
        return []
    try:
        changes = git.status(untracked=False).changes
    except (OSError, GitError):
        return []
    return workspace.edited([change.path for change in changes])
