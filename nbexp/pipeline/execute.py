"""Bringing stages up to date, one after the other: skip, restore, or run and keep what came out.

dvc.lock is written after each stage, so whatever ends a run later, finished stages are known. Who
puts the workspace back when a run fails is the `Guard`: it is told of every path before it changes.
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol

from nbexp.errors import ProjectFileError, StageFailed, StoreError
from nbexp.events import (
    CommandStarted,
    DataTaken,
    Emit,
    LockUpdated,
    Notice,
    StageFinished,
    StageRestored,
    StageSkipped,
    StageStarted,
)
from nbexp.formats import dvc_file, dvc_lock, ignore, run_cache
from nbexp.formats.dvc_lock import LockedStage
from nbexp.frozen import frozen
from nbexp.pipeline import durations, kinds
from nbexp.pipeline.plan import Check, Inspector, hash_of, locked_path
from nbexp.pipeline.stage import Out, Stage
from nbexp.store.cache import Cache, Hash


class Guard(Protocol):
    """Told before anything of the user's changes, so that it can be put back."""

    def write(self, path: str, data: bytes) -> None:
        """Write the file at `path` (relative to the root) in one step, the old bytes kept."""

    def remember(self, path: str) -> None:
        """The output at `path` is about to be changed in place; a copy of it is kept."""

    def set_aside(self, path: str) -> None:
        """The output at `path` is about to be made anew; afterwards nothing is there."""

    def carry_over(self, path: str) -> None:
        """The output at `path` came back from the cache; it gets what ignore rules hid in the old one."""

    def busy(self, reads: Sequence[str], writes: Sequence[str]) -> AbstractContextManager[None]:
        """While a stage's command runs: other tools may work, except on these paths."""


class IgnoreRules(Protocol):
    """What Git ignores."""

    def ignored(self, paths: Sequence[str]) -> set[str]:
        """Those of the paths (relative to the root) that Git ignores."""

    def tracked(self, paths: Sequence[str]) -> set[str]:
        """Those of the paths that the present commit holds."""


@frozen
class Context:
    """Where and how stages run.

    Attributes
    ----------
    env
        The environment of every command, without the name of the stage.
    run_dir
        A private folder of this run: logs, events, the notebook of a stage that failed.
    here
        The user's directory relative to the root; stages are named as seen from there.
    use_run_cache
        Whether a stage may be restored from an earlier run with the same key.
    """

    root: Path
    cache: Cache
    guard: Guard
    ignores: IgnoreRules
    env: Mapping[str, str]
    run_dir: Path
    here: str = "."
    use_run_cache: bool = True


@frozen
class StageResult:
    """What became of one stage; `entry` is its entry in dvc.lock now.

    `unchanged` is a stage of which only cached outputs were missing or edited. They came back, but DVC,
    which does that before it looks at stages, does not count it as reproduced.
    """

    stage: Stage
    action: Literal["skipped", "restored", "taken", "ran"]
    entry: LockedStage | None
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0
    cells: int | None = None
    started: float = 0.0
    ended: float = 0.0
    unchanged: bool = False


class Outcome:
    """What became of each stage, in the order they were brought up to date."""

    def __init__(self) -> None:
        self.stages: list[StageResult] = []
        self.ignore_files: set[str] = set()
        self.lock_files: set[str] = set()

    @property
    def changed(self) -> list[StageResult]:
        """The stages that count as reproduced: they ran, or came from the run cache."""
        return [one for one in self.stages if one.action != "skipped" and not one.unchanged]


def execute(
    stages: Sequence[Stage],
    inspector: Inspector,
    context: Context,
    emit: Emit,
    *,
    force: bool = False,
) -> Outcome:
    """Bring `stages` up to date in the order given.

    Raises
    ------
    StageFailed
        A stage stopped, or did not write an output. Stages before it are done and in the run cache.
    KeyboardInterrupt
        The user stopped it; the stage's processes are gone.
    """
    outcome = Outcome()
    for path in _write_ignores(stages, context):
        outcome.ignore_files.add(path)
    for stage in stages:
        if stage.is_data:
            outcome.stages.append(_take(stage, inspector, context, emit, outcome))
            continue
        check = inspector.check(stage, force=force)
        came_back = _bring_back(check, context)
        before = check
        if came_back:
            check = inspector.check(stage, force=force)
        if not counting(check):
            if came_back:
                result = _came_back(before, context, emit)
            else:
                result = _skip(check, inspector, context, emit, outcome)
        elif stage.spec.frozen:
            result = _keep(check, inspector, context, emit, outcome)
        else:
            found = None if force else restorable(check, context)
            restored = found and _restore(check, found, inspector, context, emit, outcome)
            result = restored or _run(check, inspector, context, emit, outcome)
        outcome.stages.append(result)
    return outcome


def bring_back(stages: Iterable[Stage], inspector: Inspector, context: Context) -> None:
    """Make cached outputs of stages that will not run what dvc.lock says, as far as the cache has them.

    What others are to read is then what an experiment can bring back; edits are set aside.
    """
    for stage in stages:
        check = inspector.check(stage)
        for out, wanted in recoverable(check, context):
            _check_out(out, wanted, context)


def restorable_outs(stage: Stage, entry: LockedStage, cache: Cache) -> bool:
    """Whether the cache holds every output of the entry."""
    spelled = {out.spelled for out in stage.outs}
    return {out.path for out in entry.outs} == spelled and all(
        cache.has(hash_of(out)) for out in entry.outs
    )


def checkout_outs(stage: Stage, entry: LockedStage, context: Context) -> None:
    """Make the stage's outputs those of the entry; what differed before is set aside."""
    by_path = {out.spelled: out for out in stage.outs}
    for locked in entry.outs:
        out = by_path[locked.path]
        target = context.root / out.path
        wanted = hash_of(locked)
        found = context.cache.hash(target)
        if found is not None and found.md5 == wanted.md5:
            continue
        _check_out(out, wanted, context)


def write_lock(
    stage: Stage, entry: LockedStage, inspector: Inspector, context: Context, emit: Emit
) -> None:
    """Put the entry into dvc.lock, on disk at once; an equal one is left alone."""
    path = stage.lock_file
    if stage.data is not None:
        _write_data_file(stage, entry, inspector, context)
        return
    before = inspector.lock(path)
    if before.stages.get(stage.name) == entry:
        return
    after = before.with_stage(stage.name, entry)
    target = context.root / path
    created = not target.exists()
    context.guard.write(path, after.dump())
    inspector.set_lock(path, after)
    emit(LockUpdated(posixpath.relpath(path, context.here), created))


def commit(check: Check, inspector: Inspector, context: Context, emit: Emit) -> LockedStage:
    """Take the stage as it is now for what it made: outputs into the cache, hashes into its lock file."""
    _write_ignores([check.stage], context)
    entry = _collect(check, inspector, context, emit)
    write_lock(check.stage, entry, inspector, context, emit)
    return entry


def take_data(stages: Iterable[Stage], inspector: Inspector, context: Context, emit: Emit) -> None:
    """Keep edits of tracked data that no stage to run reads, as DVC does when an experiment begins."""
    for stage in stages:
        if any((context.root / out.path).exists() for out in stage.outs):
            _take(stage, inspector, context, emit, Outcome())


def _take(
    stage: Stage, inspector: Inspector, context: Context, emit: Emit, outcome: Outcome
) -> StageResult:
    """Nothing makes data: what is missing comes back from the cache, and what was edited is kept from now on."""
    check = inspector.check(stage)
    came_back = False
    for out, wanted in recoverable(check, context):
        if not (context.root / out.path).exists():
            _check_out(out, wanted, context)
            came_back = True
    if came_back:
        check = inspector.check(stage)
    if not check.reasons:
        emit(StageSkipped(stage.address(context.here), stage.spec.frozen, is_data=True))
        return StageResult(stage, "skipped", check.locked)
    for out in stage.outs:
        if not (context.root / out.path).exists():
            raise StageFailed(
                f"`{out.path}`, which {stage.file} tracks, is not there, and the cache lacks it.",
                f"`nbexp data pull {stage.file}` gets it from a remote.",
                stage=stage.address(context.here),
            )
    reasons = tuple(str(reason) for reason in check.reasons)
    emit(DataTaken(stage.address(context.here)))
    entry = _collect(check, inspector, context, emit)
    write_lock(stage, entry, inspector, context, emit)
    outcome.lock_files.add(stage.lock_file)
    return StageResult(stage, "taken", entry, reasons, unchanged=True)


def _write_data_file(
    stage: Stage, entry: LockedStage, inspector: Inspector, context: Context
) -> None:
    before = inspector.files.read(stage.file)
    file = stage.data if before is None else dvc_file.parse(before, stage.file)
    assert file is not None
    if entry != file.entry:
        after = file.with_contents(entry.outs, () if stage.spec.frozen else entry.deps)
        context.guard.write(stage.file, after.dump())


def counting(check: Check) -> bool:
    """Whether there is a reason to do something; what a frozen stage reads is none, nor that it always runs."""
    return any(not (check.stage.spec.frozen and one.kind == "always") for one in check.reasons)


def _bring_back(check: Check, context: Context) -> bool:
    """Bring back cached outputs that are missing or edited, as DVC does before it looks at stages.

    Where the stage will run anyway they are made anew, so then only those that persist are worth it.
    """
    only_outs = all(reason.kind == "out" for reason in check.reasons)
    found = [
        (out, wanted)
        for out, wanted in recoverable(check, context)
        if only_outs or out.spec.persist
    ]
    for out, wanted in found:
        try:
            _check_out(out, wanted, context)
        except StoreError:
            if out.spec.persist:
                raise
            return False  # damaged, which nobody knew; the next look finds the output missing
    return bool(found)


def recoverable(check: Check, context: Context) -> list[tuple[Out, Hash]]:
    """The cached outputs that are not as dvc.lock says and of which the cache has what it says."""
    entry = check.refreshed or check.locked
    if entry is None:
        return []
    wrong = {reason.subject for reason in check.reasons if reason.kind == "out"}
    locked = {out.path: hash_of(out) for out in entry.outs}
    return [
        (out, locked[out.spelled])
        for out in check.stage.outs
        if out.cache
        and out.spelled in wrong
        and out.spelled in locked
        and context.cache.has(locked[out.spelled])
    ]


def _check_out(out: Out, wanted: Hash, context: Context) -> None:
    target = context.root / out.path
    context.guard.set_aside(out.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    cache = context.cache if out.cache else context.cache.copying
    cache.checkout(wanted, target)
    context.guard.carry_over(out.path)


def _came_back(check: Check, context: Context, emit: Emit) -> StageResult:
    emit(StageRestored(check.stage.address(context.here)))
    reasons = tuple(str(reason) for reason in check.reasons)
    return StageResult(check.stage, "restored", check.locked, reasons, unchanged=True)


def _keep(
    check: Check, inspector: Inspector, context: Context, emit: Emit, outcome: Outcome
) -> StageResult:
    """A frozen stage is not run: its outputs are taken as they are."""
    stage = check.stage
    reasons = tuple(str(reason) for reason in check.reasons)
    emit(Notice(f"Stage `{stage.name}` is frozen: its outputs are taken as they are."))
    entry = _collect(check, inspector, context, emit)
    write_lock(stage, entry, inspector, context, emit)
    outcome.lock_files.add(stage.lock_file)
    return StageResult(stage, "restored", entry, reasons)


def _skip(
    check: Check, inspector: Inspector, context: Context, emit: Emit, outcome: Outcome
) -> StageResult:
    stage = check.stage
    emit(StageSkipped(stage.address(context.here), stage.spec.frozen))
    entry = check.locked
    if check.refreshed is not None:
        # Only prose or outputs of the notebook changed: the stage is up to date, and so that
        # `dvc status` says so as well, the lock gets the file's md5 of today.
        entry = check.refreshed
        write_lock(stage, entry, inspector, context, emit)
        outcome.lock_files.add(stage.lock_file)
    return StageResult(stage, "skipped", entry)


def restorable(check: Check, context: Context) -> LockedStage | None:
    """An entry under which the stage's outputs can come back without running it."""
    stage = check.stage
    if stage.spec.always_changed or any(out.spec.persist for out in stage.outs):
        return None
    if check.only_outs and check.locked is not None:
        entry = check.refreshed or check.locked
        if stage.outs and restorable_outs(stage, entry, context.cache):
            return entry
    if not context.use_run_cache or not _may_be_cached(stage, check.now):
        return None
    key = run_cache.key(_with_outs(stage, check.now).entry())
    for data in context.cache.run_cache(key):
        saved = dvc_lock.parse_entry(data)
        # DVC looks at the newest entry only; an older one whose objects are still there will do.
        if saved is not None and restorable_outs(stage, saved, context.cache):
            return saved
    return None


def _restore(
    check: Check,
    entry: LockedStage,
    inspector: Inspector,
    context: Context,
    emit: Emit,
    outcome: Outcome,
) -> StageResult | None:
    """Bring the outputs of the entry back; None if an object turns out to be damaged."""
    stage = check.stage
    started = time.time()
    try:
        checkout_outs(stage, entry, context)
    except StoreError as damaged:
        emit(Notice(f"{damaged.message} Stage `{stage.name}` runs instead."))
        return None
    emit(StageRestored(stage.address(context.here)))
    write_lock(stage, entry, inspector, context, emit)
    outcome.lock_files.add(stage.lock_file)
    return StageResult(
        stage,
        "restored",
        entry,
        tuple(str(reason) for reason in check.reasons),
        started=started,
        ended=time.time(),
    )


def _run(
    check: Check, inspector: Inspector, context: Context, emit: Emit, outcome: Outcome
) -> StageResult:
    stage, address = check.stage, check.stage.address(context.here)
    reasons = tuple(str(reason) for reason in check.reasons)
    for dep in stage.deps:
        if not (context.root / dep.path).exists():
            raise StageFailed(
                f"Dep `{dep.path}` of stage `{stage.name}` does not exist after the stages before it ran.",
                f"correct deps of `{stage.name}` in {stage.file}.",
                stage=address,
            )
    _require_untracked(stage, context)
    emit(StageStarted(address, stage.spec.commands, reasons))
    for out in stage.outs:
        if out.spec.persist:
            context.guard.remember(out.path)
        else:
            context.guard.set_aside(out.path)
        (context.root / out.path).parent.mkdir(parents=True, exist_ok=True)
    started, clock = time.time(), time.monotonic()
    cells = _run_commands(stage, address, context, emit)
    ended, seconds = time.time(), time.monotonic() - clock
    entry = _collect(check, inspector, context, emit)
    write_lock(stage, entry, inspector, context, emit)
    outcome.lock_files.add(stage.lock_file)
    emit(StageFinished(address, seconds, cells))
    durations.remember(context.cache, stage, seconds)
    return StageResult(stage, "ran", entry, reasons, seconds, cells, started, ended)


def _require_untracked(stage: Stage, context: Context) -> None:
    """One tool keeps an output, Git or the cache; DVC refuses both as well."""
    tracked = context.ignores.tracked([out.path for out in stage.outs if out.cache])
    for out in stage.outs:
        if out.path in tracked:
            raise ProjectFileError(
                f"the output `{out.spelled}` of stage `{stage.name}` is tracked by Git.",
                f"`git rm --cached -r {out.path}`, and commit; or give it `cache: false`.",
                path=stage.file,
                line=stage.spec.line,
            )


def _run_commands(stage: Stage, address: str, context: Context, emit: Emit) -> int | None:
    env = {**context.env, "DVC_STAGE": address}
    log = context.run_dir / f"{stage.name}.log"
    cells: int | None = None
    cwd = context.root / stage.cwd
    if not cwd.is_dir():
        raise StageFailed(
            f"The wdir `{stage.spec.wdir}` of stage `{stage.name}` is no directory. Nothing was run.",
            stage=address,
        )
    reads = [str(context.root / dep.path) for dep in stage.deps]
    writes = [str(context.root / out.path) for out in stage.outs]
    with context.guard.busy(reads, writes):
        for command in stage.spec.commands:
            emit(CommandStarted(address, command))
            job = kinds.Job(address, command, cwd, context.root, env, log, context.run_dir)
            counted = kinds.run(job, emit)
            cells = counted if counted is not None else cells
    return cells


def _collect(check: Check, inspector: Inspector, context: Context, emit: Emit) -> LockedStage:
    """Take the outputs into the cache and return the entry that says so."""
    stage = check.stage
    for out in stage.outs:
        if not (context.root / out.path).exists():
            raise StageFailed(
                f"Stage `{stage.name}` ended without writing its output `{out.path}`.",
                f"correct outs of `{stage.name}` in {stage.file}, or what it writes.",
                stage=stage.address(context.here),
                returncode=0,
            )
    after = inspector.now(stage)
    moved = after.deps != check.now.deps or after.params != check.now.params
    if moved:
        emit(
            Notice(
                f"A dep of stage `{stage.name}` changed while it ran, so the run cache does not keep "
                "this run."
            )
        )
    keep = not moved and _may_be_cached(stage, after)
    outs = []
    for out in sorted(stage.outs, key=lambda out: out.spelled):
        path = context.root / out.path
        if out.cache:
            found = context.cache.add(path)
        elif keep:
            # DVC copies Git-tracked metrics into its cache as well, so that the run cache can
            # bring them back (formats.md 4.4).
            found = context.cache.copying.add(path)
        else:
            hashed = context.cache.hash(path)
            assert hashed is not None
            found = hashed
        outs.append(locked_path(out.spelled, found))
    entry = LockedStage(after.cmd, after.deps, after.params, tuple(outs))
    if keep:
        plain = entry.entry()
        context.cache.save_run(
            run_cache.key(plain), run_cache.value(plain), dvc_lock.dump_entry(entry)
        )
    return entry


def _may_be_cached(stage: Stage, now: LockedStage) -> bool:
    """Whether the run cache holds runs of this stage: the conditions of formats.md 4.4."""
    return (
        stage.data is None
        and bool(stage.spec.commands)
        and bool(now.deps or now.params)
        and bool(stage.outs)
        and not stage.spec.always_changed
        and len(now.deps) == len(stage.deps)
        and all(_may_be_kept(out) for out in stage.outs)
    )


def _may_be_kept(out: Out) -> bool:
    return not out.spec.persist and (out.cache or out.spec.bucket != "outs")


def _with_outs(stage: Stage, now: LockedStage) -> LockedStage:
    """The entry with its outs named and nothing known of them: all that a run-cache key looks at."""
    outs = tuple(
        dvc_lock.LockedPath(path=out.spelled, md5="", size=None, nfiles=None, isexec=False)
        for out in sorted(stage.outs, key=lambda out: out.spelled)
    )
    return LockedStage(now.cmd, now.deps, now.params, outs)


def _write_ignores(stages: Iterable[Stage], context: Context) -> list[str]:
    """Have Git ignore every cached output, as DVC does; the .gitignore files that changed."""
    wanted: dict[str, list[str]] = {}
    for stage in stages:
        for out in stage.outs:
            if not out.cache:
                continue
            folder, name = posixpath.split(out.path)
            path = posixpath.join(folder, ".gitignore")
            present = _read(context.root / path)
            if ignore.add_line(present, name) is not None:
                wanted.setdefault(path, []).append(name)
    if not wanted:
        return []
    outs = [
        posixpath.join(posixpath.dirname(path), name)
        for path, names in wanted.items()
        for name in names
    ]
    already = context.ignores.ignored(outs)
    written = []
    for path, names in wanted.items():
        data = _read(context.root / path)
        changed = data
        for name in names:
            if posixpath.join(posixpath.dirname(path), name) not in already:
                changed = ignore.add_line(changed, name) or changed
        if changed != data and changed is not None:
            context.guard.write(path, changed)
            written.append(path)
    return written


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
