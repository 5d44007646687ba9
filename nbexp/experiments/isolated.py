"""A run beside the user's files: in a work tree of its own, with the same steps as a run in place.

Nothing of the user's is there, so there is nothing to put back: no journal, no undo point, no lock that others
wait for. Objects, run cache, memo of hashes and the locks of stages that run are the project's, shared by all.
"""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import NbexpError, StoreError
from nbexp.events import Emit
from nbexp.experiments import freezing, restore, worktrees
from nbexp.experiments import run as running
from nbexp.experiments import spec as specs
from nbexp.experiments.environment import CommandLine
from nbexp.experiments.freezing import Snapshot
from nbexp.experiments.place import DvcIgnores, own_folder
from nbexp.experiments.spec import Spec
from nbexp.frozen import replace
from nbexp.git import NewCommit
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.plan import Disk, hash_of
from nbexp.store.cache import Cache, Hash


class Isolated:
    """The guard of files that are made for one run: whatever it does to them is done."""

    def __init__(self, root: Path, uid: str, marker: str, scratch: Path) -> None:
        self.root = root
        self.uid = uid
        self.marker = marker
        self.is_users = False
        self._scratch = scratch

    def begin(self, op: str) -> None:
        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, path: str, data: bytes) -> None:
        target = self._allowed(path)
        filesystem.atomic_write(target, data, durable=False)

    def remember(self, path: str) -> None:
        self._allowed(path)

    def set_aside(self, path: str) -> None:
        filesystem.remove(self._allowed(path))

    def carry_over(self, path: str) -> None:
        pass  # nothing of the user's was there

    def declared(
        self, reads: Sequence[str], writes: Sequence[str]
    ) -> AbstractContextManager[object]:
        return nullcontext()

    def waiting(self) -> AbstractContextManager[object]:
        return nullcontext()

    def undo_point(self) -> NewCommit | None:
        return None

    def unflushed(self) -> set[str]:
        return set()  # what lasts is in Git and in the cache

    def started(self) -> float:
        marker = self._scratch / "started"
        filesystem.atomic_write(marker, b"", durable=False)
        return marker.stat().st_mtime

    def edited(self, changed: Sequence[str]) -> list[str]:
        return []

    def finish(self) -> None:
        pass

    def roll_back(self) -> list[str]:
        return []

    def _allowed(self, path: str) -> Path:
        try:
            return filesystem.check_inside(self.root, path)
        except filesystem.Outside as outside:
            raise StoreError(f"{outside} Nothing was changed.") from None


def run(
    place: running.Place,
    spec: Spec,
    snapshot: Snapshot,
    *,
    slot: str,
    uid: str,
    emit: Emit,
    command: CommandLine,
    fence: Callable[[str], None] | None = None,
    env: Mapping[str, str] | None = None,
) -> running.Ran:
    """Run the spec from the snapshot in the slot's work tree, and record it in the user's repository.

    Parameters
    ----------
    place
        The user's project, which is read and whose workspace is not touched.
    slot
        Its lock (`worktrees.lock_of`) is held by the caller.
    uid
        Marks the processes of the run (`NBEXP_ITEM` begins with it), and names its folder of logs.
    fence
        Called with the rev when all of the experiment is on disk and it has no name yet; what it raises
        drops the result.
    env
        Set for stages, beside their usual environment.

    Raises
    ------
    StageFailed, Interrupted
        As for a run in place; what there was is kept under `refs/nbexp/failed`.
    NotFound, UsageError, ProjectFileError
        The spec cannot be met there.

    Notes
    -----
    Three Git processes: `read-tree`, `clean` and `status`; reading goes through the one of `place`.
    """
    clock = time.monotonic()
    # Whoever ends what was killed in this slot must not end another attempt at the same, in another slot.
    marker = f"{uid}.{os.urandom(4).hex()}"
    with worktrees.occupied(place.root, slot, marker):
        tree = worktrees.prepare(
            place, slot, snapshot, lambda root: _up_to_date(place, spec, snapshot, root)
        )
        _bring_copies(place, spec, snapshot, tree)
        there = replace(
            place,
            git=tree.git,
            cache=place.cache.without(DvcIgnores(tree.root).below),
            root=tree.root,
            env={**(os.environ if place.env is None else place.env), **(env or {})},
            use_run_cache=place.use_run_cache and spec.run_cache,
            home=place,
        )
        edits = specs.params_edits(tree.root, spec.here, spec.overrides, composed=spec.composed)
        spec = replace(spec, edits=edits)
        graph = _graph(place, spec, snapshot, tree.root)
        stages = spec.which.stages(graph, spec.targets, spec.here)
        workspace = Isolated(tree.root, uid, marker, own_folder(place.root) / "runs" / uid)
        refs = place.git.refs("refs/exps/")
        filesystem.crash_point("isolated.ready")
        ran = running.run(spec, there, graph, stages, refs, workspace, emit, command, fence=fence)
        filesystem.crash_point("isolated.done")
    took = time.monotonic() - clock
    # What was made ready is nbexp's time as well.
    own = ran.own_s + took - ran.elapsed_s
    return replace(ran, folder=tree.root, elapsed_s=took, own_s=own)


def graph_of(place: running.Place, view: freezing.View, edits: Mapping[str, bytes]) -> Graph:
    """The stages of a frozen state, templates filled in from it and from `edits`."""

    def read(path: str) -> bytes | None:
        return edits[path] if path in edits else view.read(path)

    listed = restore.stage_files_at(place.git, place.prefix, view.snapshot.rev)
    texts = {path: view.read(path) or b"" for path in listed}
    return graphs.load(place.root, texts, read)


def _graph(place: running.Place, spec: Spec, snapshot: Snapshot, root: Path) -> Graph:
    """The stages in a work tree that is as the snapshot, which knows its files: it is not searched."""
    read = Disk(root, spec.edits).read
    if spec.copies:
        return graphs.load(root, read=read)
    listed = restore.stage_files_at(place.git, place.prefix, snapshot.rev)
    found = graphs.stage_files_among(root, listed)
    return graphs.load(root, {path: read(path) or b"" for path in found}, read)


def _up_to_date(place: running.Place, spec: Spec, snapshot: Snapshot, root: Path) -> list[str]:
    """The outputs that the run before left and that are, to the byte, what the snapshot wants there.

    So data is not copied from the cache for each run. What has no entry in the snapshot's own dvc.lock
    and `.dvc` files is no output of it, whoever made it.
    """
    if spec.copies:
        return []  # which may be outputs, and come from the user
    listed = restore.stage_files_at(place.git, place.prefix, snapshot.rev)
    recorded = [path for path in listed if (root / _record_of(path)).is_file()]
    if not recorded:
        return []
    read = Disk(root, {}).read
    try:
        graph = graphs.load(root, {path: read(path) or b"" for path in listed}, read)
        cache = place.cache.without(DvcIgnores(root).below)
        found = []
        for stage in graph.stages:
            entry = stage.entry_in(read(stage.lock_file if stage.data is None else stage.file))
            outs = {out.spelled: out for out in stage.outs if out.cache}
            for locked in entry.outs if entry is not None else ():
                out = outs.get(locked.path)
                if out is not None and _is_as(root, out.path, hash_of(locked), cache):
                    found.append(out.path)
    except (NbexpError, OSError):
        return []  # told when the run looks at it
    return found


def _record_of(path: str) -> str:
    """The file that says what the stages of a dvc.yaml, or a `.dvc` file, made."""
    return path if path.endswith(".dvc") else posixpath.join(posixpath.dirname(path), "dvc.lock")


def _is_as(root: Path, path: str, wanted: Hash, cache: Cache) -> bool:
    """Whether this is there and nothing else: no ignored file, and no link but to an object.

    What the cache has lost is not as wanted: a run in another slot would not have it either.
    """
    target = filesystem.check_inside(root, path)
    if (
        not os.path.lexists(target)
        or not _is_own(target, cache)
        or not cache.has_object(wanted.md5)
    ):
        return False
    if target.is_dir() != wanted.is_dir:
        return False
    count = 0
    for folder, folders, names in os.walk(target):
        if not folders and not names:
            return False
        if not all(_is_own(Path(folder, name), cache) for name in (*folders, *names)):
            return False
        count += len(names)
    found = cache.hash(target)
    return (
        found is not None
        and (found.md5, found.isexec) == (wanted.md5, wanted.isexec)
        and (not found.is_dir or found.nfiles == count)
    )


def _is_own(path: Path, cache: Cache) -> bool:
    """Whether the path is no link, or one to an object of the cache."""
    return not path.is_symlink() or path.resolve().is_relative_to(cache.folder.resolve())


def _bring_copies(
    place: running.Place, spec: Spec, snapshot: Snapshot, tree: worktrees.Tree
) -> None:
    """Put the files to be copied there, but for those that the snapshot has."""
    if not spec.copies:
        return
    kept = freezing.copies_folder(place.root, snapshot.batch)
    for path in freezing.copied_paths(spec, place.root):
        freezing.copy(kept / path, tree.root / path, overwrites=False)
