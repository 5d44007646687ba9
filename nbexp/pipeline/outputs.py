"""Outputs of stages: from the cache to their places and back, and Git's ignore rules for them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import ProjectFileError, StageFailed, StoreError
from nbexp.events import Emit, LockUpdated, Notice
from nbexp.formats import dvc_file, dvc_lock, ignore, run_cache
from nbexp.formats.dvc_lock import LockedPath, LockedStage, LockFile
from nbexp.pipeline import kinds
from nbexp.pipeline.context import Context
from nbexp.pipeline.plan import Check, Inspector, hash_of, locked_path
from nbexp.pipeline.stage import Out, Stage
from nbexp.store.cache import Cache, Hash

# ---- from the cache


def bring_back(stages: Iterable[Stage], inspector: Inspector, context: Context) -> None:
    """Make cached outputs of stages that will not run what dvc.lock says, as far as the cache has them.

    What others are to read is then what an experiment can bring back; edits are set aside.
    """
    for stage in stages:
        check = inspector.check(stage)
        for out, wanted in recoverable(check, context):
            _check_out(out, wanted, context)


def bring_back_first(check: Check, context: Context) -> bool:
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


def bring_back_missing(check: Check, context: Context) -> bool:
    """Bring back cached outputs that are not there; edited ones stay."""
    found = [
        (out, wanted)
        for out, wanted in recoverable(check, context)
        if not (context.root / out.path).exists()
    ]
    for out, wanted in found:
        _check_out(out, wanted, context)
    return bool(found)


def restorable_outs(stage: Stage, entry: LockedStage, cache: Cache) -> bool:
    """Whether the cache holds every output of the entry."""
    spelled = {out.spelled for out in stage.outs}
    return {out.path for out in entry.outs} == spelled and all(
        cache.has(hash_of(out)) for out in entry.outs
    )


def are_as(stage: Stage, entry: LockedStage, root: Path, cache: Cache) -> bool:
    """Whether the outputs below `root` are those of the entry."""
    by_path = {out.spelled: out for out in stage.outs}
    for locked in entry.outs:
        found = cache.hash(root / by_path[locked.path].path)
        if found is None or found.md5 != locked.md5:
            return False
    return True


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


def counting(check: Check) -> bool:
    """Whether there is a reason to do something; what a frozen stage reads is none, nor that it always runs."""
    return any(not (check.stage.spec.frozen and one.kind == "always") for one in check.reasons)


def _check_out(out: Out, wanted: Hash, context: Context) -> None:
    target = context.root / out.path
    context.guard.set_aside(out.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    cache = context.cache if out.cache else context.cache.copying
    cache.checkout(wanted, target)
    context.guard.carry_over(out.path)


# ---- the run cache


def restorable(check: Check, context: Context) -> LockedStage | None:
    """An entry under which the stage's outputs can come back without running it."""
    stage = check.stage
    # What a URL held then is in no cache: DVC runs such a stage whenever it changed or lost its outputs.
    if stage.spec.always_changed or stage.sources or any(out.spec.persist for out in stage.outs):
        return None
    if check.only_outs and check.locked is not None and (check.now.deps or check.now.params):
        entry = check.refreshed or check.locked
        if stage.outs and _available(stage, entry, context):
            return entry
    return from_run_cache(check, context)


def from_run_cache(check: Check, context: Context) -> LockedStage | None:
    """The newest finished run of the stage on what it reads now whose outputs are all in the cache."""
    key = _key(check, context)
    if key is None:
        return None
    for data in context.cache.run_cache(key):
        saved = dvc_lock.parse_entry(data)
        # DVC looks at the newest entry only; an older one whose objects are still there will do.
        if saved is not None and _available(check.stage, saved, context):
            return saved
    return None


def lost(key: str, context: Context) -> tuple[str, ...]:
    """The outputs that the cache has lost of the newest run with this key; none where there is no such run."""
    for data in context.cache.run_cache(key):
        saved = dvc_lock.parse_entry(data)
        if saved is not None:
            return tuple(out.path for out in saved.outs if not context.cache.has(hash_of(out)))
    return ()


def signature(check: Check, context: Context) -> str | None:
    """The key under which the run cache will know what the stage is about to do; None if it will not."""
    return _key(check, context) if _is_kept_when_run(check.stage) else None


def _key(check: Check, context: Context) -> str | None:
    if not context.use_run_cache or not _may_be_cached(check.stage, check.now):
        return None
    return run_cache.key(_with_outs(check.stage, check.now).entry())


def fetch_outs(stage: Stage, entry: LockedStage, context: Context) -> None:
    """Bring the outputs of the entry into the cache; raises StoreError when one is not to be had."""
    assert context.fetch is not None
    names = {out.spelled: out.spec.remote for out in stage.outs}
    by_remote: dict[str | None, list[Hash]] = {}
    for out in entry.outs:
        by_remote.setdefault(names.get(out.path), []).append(hash_of(out))
    for remote, hashes in by_remote.items():
        context.fetch.objects(hashes, remote)


def _available(stage: Stage, entry: LockedStage, context: Context) -> bool:
    """Whether the outputs of the entry are in the cache, fetched if need be."""
    if restorable_outs(stage, entry, context.cache):
        return True
    if context.fetch is None:
        return False
    try:
        fetch_outs(stage, entry, context)
    except StoreError:
        return False
    return restorable_outs(stage, entry, context.cache)


def _may_be_cached(stage: Stage, now: LockedStage) -> bool:
    """Whether the run cache may hold runs of this stage: the conditions of formats.md 4.4."""
    return (
        stage.data is None
        and bool(stage.spec.commands)
        and bool(now.deps or now.params)
        and all(now.params.values())  # of an empty file DVC knows no hash
        and bool(stage.outs)
        and not stage.spec.always_changed
        and not stage.sources
        and len(now.deps) == len(stage.deps)
        and not any(out.spec.persist for out in stage.outs)
    )


def _is_kept_when_run(stage: Stage) -> bool:
    """Whether a run of the stage is kept; with outputs that Git has, DVC keeps what is committed alone."""
    return all(out.cache or out.spec.bucket != "outs" for out in stage.outs)


def _with_outs(stage: Stage, now: LockedStage) -> LockedStage:
    """The entry with its outs named and nothing known of them: all that a run-cache key looks at."""
    outs = tuple(
        LockedPath(path=out.spelled, md5="", size=None, nfiles=None, isexec=False)
        for out in sorted(stage.outs, key=lambda out: out.spelled)
    )
    return LockedStage(now.cmd, now.deps, now.params, outs)


# ---- into the cache


def require_untracked(stage: Stage, context: Context) -> None:
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


def make_way(stage: Stage, context: Context) -> None:
    """Take the old outputs away before the stage makes them anew, but for those that persist."""
    for out in stage.outs:
        if out.spec.persist:
            context.guard.remember(out.path)
        else:
            context.guard.set_aside(out.path)
        (context.root / out.path).parent.mkdir(parents=True, exist_ok=True)


def go_on_from(stage: Stage, entry: LockedStage | None, context: Context) -> None:
    """Have the outputs of the entry in place for a stage that goes on from them, each a file that it may write to.

    What a link shares with the cache would be changed there as well: such an output becomes a copy.

    Raises
    ------
    StoreError
        The cache lacks one of them. It was not touched.
    """
    made = {out.path: hash_of(out) for out in entry.outs} if entry is not None else {}
    is_linking = not {"hardlink", "symlink"}.isdisjoint(context.cache.link_types)
    for out in stage.outs:
        target = context.root / out.path
        wanted = made.get(out.spelled)
        context.guard.remember(out.path)
        if out.cache and wanted is not None:
            context.cache.copying.checkout(wanted, target, relink=is_linking)
        target.parent.mkdir(parents=True, exist_ok=True)


def so_far(check: Check, context: Context, label: str) -> tuple[LockedStage, dict[str, bytes]]:
    """The entry that a stage would have if it ended now, and what is not at its place yet, by path.

    Outputs are copied into the cache, as the stage goes on writing to them; one that it has not made yet is
    not in the entry. Of a notebook that is being executed there is what was kept of it last.
    """
    stage = check.stage
    outs, files = [], {}
    for out in sorted(stage.outs, key=lambda out: out.spelled):
        path = context.root / out.path
        # First: what is at its place then is the notebook of the step that the stage went on from.
        data = _unfinished_notebook(stage, out, context, label)
        found: Hash | None
        if data is not None:
            found = context.cache.put(data)
            if not out.cache:
                files[out.path] = data
        elif not path.exists():
            continue
        elif out.cache:
            found = context.cache.copying.add(path)
        else:
            found = context.cache.hash(path)
        if found is not None:
            outs.append(locked_path(out.spelled, found))
    now = check.now
    return LockedStage(now.cmd, now.deps, now.params, tuple(outs), now.sources), files


def _unfinished_notebook(stage: Stage, out: Out, context: Context, label: str) -> bytes | None:
    targets = map(kinds.notebook_target, stage.spec.commands)
    if out.path not in (stage.place(target) for target in targets if target is not None):
        return None
    name = posixpath.basename(out.path)
    # Of stages that run at once each has a folder of its own.
    return filesystem.read(context.run_dir / label / name) or filesystem.read(
        context.run_dir / name
    )


def collect(
    check: Check,
    inspector: Inspector,
    context: Context,
    emit: Emit,
    *,
    commit: bool = True,
    is_resumed: bool = False,
    is_asked: bool = False,
) -> LockedStage:
    """Take the outputs into the cache and return the entry that says so; without `commit`, the entry only.

    `is_asked` if it is the user who says that the outputs are made, and no run.

    Of a stage that went on from a step the run cache keeps nothing: what it read is not all that it made them of.
    """
    stage = check.stage
    for out in stage.outs:
        if not (context.root / out.path).exists():
            raise StageFailed(
                f"Stage `{stage.name}` ended without writing its output `{out.path}`.",
                f"correct outs of `{stage.name}` in {stage.file}, or what it writes.",
                stage=stage.address(context.here),
                returncode=0,
            )
    inspector.look_again()
    after = inspector.now(stage)
    moved = (after.deps, after.params, after.sources) != (
        check.now.deps,
        check.now.params,
        check.now.sources,
    )
    if moved:
        emit(
            Notice(
                f"A dep of stage `{stage.name}` changed while it ran, so the run cache does not keep "
                "this run."
            )
        )
    keep = commit and not moved and not is_resumed and _may_be_cached(stage, after)
    keep = keep and (is_asked or _is_kept_when_run(stage))
    outs = []
    for out in sorted(stage.outs, key=lambda out: out.spelled):
        path = context.root / out.path
        if out.cache and commit:
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
    entry = LockedStage(after.cmd, after.deps, after.params, tuple(outs), after.sources)
    if keep:
        plain = entry.entry()
        context.cache.save_run(
            run_cache.key(plain), run_cache.value(plain), dvc_lock.dump_entry(entry)
        )
    return entry


def write_entry(
    stage: Stage,
    entry: LockedStage,
    inspector: Inspector,
    context: Context,
    emit: Emit,
    *,
    joined: Callable[[LockFile], LockFile] | None = None,
) -> None:
    """Put the entry into dvc.lock, or the `.dvc` file, on disk at once; an equal one is left alone.

    `joined` makes the new dvc.lock of the old one; without it the entry is in its old place or the last.
    """
    if stage.data is not None:
        _write_data_file(stage, entry, inspector, context)
        return
    path = stage.lock_file
    before = inspector.reread_lock(path)
    if before.stages.get(stage.name) == entry:
        return
    after = before.with_stage(stage.name, entry) if joined is None else joined(before)
    created = not (context.root / path).exists()
    data = after.dump()
    context.guard.write(path, data)
    inspector.set_lock(path, after, data)
    emit(LockUpdated(posixpath.relpath(path, context.here), created))


def _write_data_file(
    stage: Stage, entry: LockedStage, inspector: Inspector, context: Context
) -> None:
    before = inspector.files.read(stage.file)
    file = stage.data if before is None else dvc_file.parse(before, stage.file)
    assert file is not None
    if entry != file.entry:
        # Of an import too, which is frozen: whoever takes its data as it is takes it for that of its source.
        found = ((path, inspector.hash(stage.place(path))) for path in file.outside)
        outside = tuple(locked_path(path, now) for path, now in found if now is not None)
        after = file.with_contents(entry.outs, (*entry.deps, *outside))
        context.guard.write(stage.file, after.dump())


def commit(check: Check, inspector: Inspector, context: Context, emit: Emit) -> LockedStage:
    """Take the stage as it is now for what it made: outputs into the cache, hashes into its lock file.

    Entries of DVC 2.x stay as they are while nothing changed.
    """
    then = check.locked
    if then is not None and not check.reasons and any(out.legacy for out in then.outs):
        return then
    IgnoreFiles([check.stage], context).write()
    entry = collect(check, inspector, context, emit, is_asked=True)
    write_entry(check.stage, entry, inspector, context, emit)
    return entry


# ---- what Git ignores


class IgnoreFiles:
    """The .gitignore lines of cached outputs: all at once before stages run, and true afterwards.

    Asking Git what it ignores already costs a process, so it is asked once.
    """

    def __init__(self, stages: Sequence[Stage], context: Context) -> None:
        self._stages = stages
        self._context = context
        self._before: dict[str, bytes | None] = {}
        self._written: dict[str, bytes] = {}
        self._already: set[str] = set()

    def write(self) -> None:
        """Have Git ignore every cached output, as DVC does."""
        wanted = self._lines(self._stages)
        read = {path: filesystem.read(self._context.root / path) for path in wanted}
        missing = {
            path: [name for name in names if ignore.add_line(read[path], name) is not None]
            for path, names in wanted.items()
        }
        outs = [_beside(path, name) for path, names in missing.items() for name in names]
        if not outs:
            return
        self._already = self._context.ignores.ignored(outs)
        for path, names in missing.items():
            data = self._with_lines(read[path], path, names)
            if data != read[path] and data is not None:
                self._before[path], self._written[path] = read[path], data
                self._context.guard.write(path, data)

    def settle(self, made: Sequence[Stage]) -> set[str]:
        """Leave the lines of stages that made their outputs only; the files that are not as before."""
        wanted = self._lines(made)
        changed = set()
        for path, before in self._before.items():
            data = self._with_lines(before, path, wanted.get(path, ()))
            if data != before:
                changed.add(path)
            present = filesystem.read(self._context.root / path)
            if data == present or present != self._written[path]:
                continue  # as it is to be; or somebody else wrote to it meanwhile, and has the last word
            if data is None:
                self._context.guard.set_aside(path)
            else:
                self._context.guard.write(path, data)
        return changed

    def _lines(self, stages: Iterable[Stage]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for stage in stages:
            for out in stage.outs:
                if out.cache:
                    folder, name = posixpath.split(out.path)
                    found.setdefault(posixpath.join(folder, ".gitignore"), []).append(name)
        return found

    def _with_lines(self, data: bytes | None, path: str, names: Iterable[str]) -> bytes | None:
        for name in names:
            if _beside(path, name) not in self._already:
                data = ignore.add_line(data, name) or data
        return data


def _beside(path: str, name: str) -> str:
    return posixpath.join(posixpath.dirname(path), name)
