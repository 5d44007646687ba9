"""Bringing an experiment back into the workspace.

`apply` makes the workspace what the experiment's commit says: every file of its tree, every output
from the cache, and no file that the present commit tracks and the experiment does not. It stops,
before anything changes, at edits that no commit and no experiment holds.
"""

from __future__ import annotations

import os
import posixpath
import shlex
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import NbexpError, StoreError
from nbexp.events import Emit, Notice, Phase
from nbexp.experiments import open_notebooks
from nbexp.experiments.open_notebooks import ASKING
from nbexp.experiments.place import files_of, own_folder
from nbexp.experiments.workspace import InPlace
from nbexp.frozen import frozen
from nbexp.git import Entry, Git, snapshot
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.graph import STAGE_FILES, Graph
from nbexp.pipeline.plan import hash_of
from nbexp.results import Result
from nbexp.store.cache import Cache, Hash


@frozen
class Applied(Result):
    """What `apply` did; `kept` are files left alone because they are open in the asking notebook.

    `saved` are the edits that `force` overwrote and `undo` brings back.
    """

    name: str
    rev: str
    written: tuple[str, ...]
    removed: tuple[str, ...]
    outs: tuple[str, ...]
    kept: tuple[str, ...] = ()
    saved: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "applied": self.name,
            "rev": self.rev,
            "written": list(self.written),
            "removed": list(self.removed),
            "outs": list(self.outs),
            "kept": list(self.kept),
            "saved": list(self.saved),
        }


@frozen
class _Changes:
    """What has to change: files by their entry in the tree, files to remove, outputs by content.

    `left_over` are outputs of today's stages that the experiment has no stage for, `submodules` the commits that
    it has of submodules, by path.
    """

    files: Mapping[str, Entry]
    removals: tuple[str, ...]
    outs: dict[str, Hash]
    left_over: tuple[str, ...]
    in_the_way: tuple[str, ...]
    submodules: Mapping[str, str] = {}


def apply(
    git: Git,
    cache: Cache,
    root: Path,
    prefix: str,
    rev: str,
    name: str,
    emit: Emit,
    *,
    force: bool = False,
    keep: Mapping[str, str] = {},
) -> Applied:
    """Make the workspace what the commit `rev` says; killed half-way, it is rolled back.

    Parameters
    ----------
    keep
        Notebooks, from the top of the work tree, that must stay as they are, and in what way each is open.

    Raises
    ------
    StoreError
        Edits are in the way and `force` is off, or the cache lacks an output. Nothing was changed.
    """
    with InPlace(git, cache, root).held(emit) as workspace:
        changes = _changes(git, cache, root, prefix, rev, name, keep)
        if changes.in_the_way and not force:
            raise _in_the_way(changes.in_the_way, name)
        asking = [out for out in changes.outs if keep.get(posixpath.join(prefix, out)) == ASKING]
        for out in asking:
            del changes.outs[out]
        with workspace.changing(f"apply {name}"):
            kept = _write(git, cache, root, rev, changes, workspace, keep, emit)
            undo_point = workspace.undo_point()
            if undo_point is not None:
                git.commit(undo_point)
    kept = (*kept, *(posixpath.join(prefix, out) for out in asking))
    for path in kept:
        emit(open_notebooks.left_alone(path, keep, rev, prefix, label=name))
    return Applied(
        name,
        rev,
        written=tuple(path for path in sorted(changes.files) if path not in keep),
        removed=(*changes.removals, *(posixpath.join(prefix, out) for out in changes.left_over)),
        outs=tuple(sorted(changes.outs)),
        kept=kept,
        saved=changes.in_the_way,
    )


def bring(
    workspace: InPlace,
    rev: str,
    name: str,
    emit: Emit,
    *,
    op: str,
    force: bool,
    keep: Mapping[str, str],
    lost_is_well: bool = True,
) -> None:
    """Begin `op` in the workspace, which is held, with what the commit `rev` says; the caller ends it.

    With `lost_is_well`, outputs that the cache has lost stay as they are, for the stages that make them to run.

    Parameters
    ----------
    op
        The command and what it is about, as a user knows it: `clone low-lr`.

    Raises
    ------
    StoreError
        As of `apply`. Nothing was changed, nothing has begun.
    """
    git, cache, root, prefix = workspace.git, workspace.cache, workspace.root, workspace.prefix
    changes = _changes(git, cache, root, prefix, rev, name, keep, lost_is_well=lost_is_well)
    if changes.in_the_way and not force:
        paths = changes.in_the_way
        raise StoreError(
            f"{_files_have(paths)} edits that no commit or experiment holds: {', '.join(paths)}. Nothing was run.",
            f"keep them as an undo point and go on: `nbexp {op} --force` "
            "(then `nbexp undo` brings them back).",
        )
    workspace.begin(op)
    try:
        _write(git, cache, root, rev, changes, workspace, keep, emit)
    except BaseException:
        workspace.roll_back()
        raise


def _changes(
    git: Git,
    cache: Cache,
    root: Path,
    prefix: str,
    rev: str,
    name: str,
    keep: Mapping[str, str],
    *,
    lost_is_well: bool = False,
) -> _Changes:
    tree = git.tree(rev)
    wanted = {
        path: entry
        for path, entry in tree.items()
        # `dvc exp save` commits a pickle of its own there, by mistake.
        if entry.mode != "160000" and "/.dvc/tmp/" not in f"/{path}"
    }
    head = git.tree("HEAD")
    present = _present(git, wanted, head)
    files = {path: entry for path, entry in wanted.items() if present.get(path) != entry}
    removals = tuple(
        path
        for path in sorted(head)
        if path not in wanted and path in present and head[path].mode != "160000"
    )
    graph = graph_at(git, root, prefix, rev)
    outs = _outs(git, cache, root, prefix, rev, name, graph, lost_is_well=lost_is_well)
    left_over = _left_over(cache, root, prefix, graph, wanted)
    touched = [path for path in (*files, *removals) if path in present and path not in keep]
    edited = [path for path in touched if head.get(path) != present[path]]
    in_the_way = _held_nowhere(git, edited, present)
    in_the_way += _blocking(git, files, present)
    for path in outs:
        found = cache.hash(root / path)
        if found is not None and not cache.has(found):
            in_the_way.append(posixpath.join(prefix, path))
    submodules = {path: entry.oid for path, entry in tree.items() if entry.mode == "160000"}
    return _Changes(files, removals, outs, left_over, tuple(in_the_way), submodules)


def _present(git: Git, wanted: Mapping[str, Entry], head: Mapping[str, Entry]) -> dict[str, Entry]:
    """What is on disk at each path of either tree, as Git would store it."""
    present = dict(head)
    to_hash: list[str] = []
    for change in git.status(untracked=False).changes:
        present.pop(change.path, None)
        to_hash.append(change.path)
    # What is about to change is looked at itself: `git update-index --assume-unchanged` hides edits.
    to_hash += [path for path, entry in wanted.items() if head.get(path) != entry]
    to_hash += [path for path, entry in head.items() if path not in wanted]
    regular = []
    for path in dict.fromkeys(to_hash):
        place = git.root / path
        if path in head and head[path].mode == "160000":
            continue
        try:
            found = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            present.pop(path, None)
            continue
        if stat.S_ISREG(found.st_mode):
            regular.append((path, "100755" if found.st_mode & 0o100 else "100644"))
        elif stat.S_ISLNK(found.st_mode):
            present[path] = Entry("120000", git.hash_bytes(os.fsencode(os.readlink(place))))
    oids = git.hash_files([path for path, _ in regular], write=False)
    for (path, mode), oid in zip(regular, oids, strict=True):
        present[path] = Entry(mode, oid)
    return present


def _blocking(git: Git, files: Iterable[str], present: Mapping[str, Entry]) -> list[str]:
    """What stands where a file or a folder on its way has to be, and is held nowhere."""
    root = git.root
    found: dict[str, None] = {}
    for path in files:
        for place in _with_parents(path):
            if place in present or not os.path.lexists(root / place):
                continue
            is_folder = (root / place).is_dir()
            if (place == path) == is_folder and not is_held(git, place):
                found[place] = None
    return list(found)


def is_held(git: Git, place: str) -> bool:
    """Whether all files at or below a place are held by a branch, tag or experiment."""
    paths = [place]
    if (git.root / place).is_dir():
        paths = [
            (Path(folder) / name).relative_to(git.root).as_posix()
            for folder, folders, names in os.walk(git.root / place)
            for name in (*names, *(n for n in folders if Path(folder, n).is_symlink()))
        ]
    if not all(stat.S_ISREG(os.lstat(git.root / path).st_mode) for path in paths):
        return False
    oids = git.hash_files(paths, write=False)
    present = {path: Entry("", oid) for path, oid in zip(paths, oids, strict=True)}
    return not _held_nowhere(git, paths, present)


def _with_parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _held_nowhere(git: Git, paths: Sequence[str], present: Mapping[str, Entry]) -> list[str]:
    """Those of the paths whose present bytes no branch, tag or experiment, removed or not, has there."""
    if not paths:
        return []
    refs = git.refs("refs/heads/", "refs/tags/", "refs/remotes/", "refs/exps/", "refs/nbexp/trash/")
    left = _not_in(git, paths, present, list(dict.fromkeys(refs.values())))
    if not left:
        return []
    # Of a chain of checkpoints every step holds what it has; to list them costs a process.
    chains = ("--glob=refs/exps", "--glob=refs/nbexp/trash", "--not", "--branches", "--tags")
    return _not_in(git, left, present, git.run("rev-list", *chains).decode().split())


def _not_in(
    git: Git, paths: Sequence[str], present: Mapping[str, Entry], revs: Sequence[str]
) -> list[str]:
    specs = [f"{rev}:{path}" for path in paths for rev in revs]
    infos = git.info_many(specs)
    found = []
    for number, path in enumerate(paths):
        oids = {info[0] for info in infos[number * len(revs) : (number + 1) * len(revs)] if info}
        if present[path].oid not in oids:
            found.append(path)
    return found


def graph_at(git: Git, root: Path, prefix: str, rev: str) -> Graph:
    """The stages as the commit has them."""
    top = f"{prefix}/" if prefix else ""
    paths = stage_files_at(git, prefix, rev)
    texts = git.read_many([f"{rev}:{top}{path}" for path in paths])
    found = {p: t for p, t in zip(paths, texts, strict=True) if t is not None}
    return graphs.load(root, found, files_of(git, prefix, rev))


def stage_files_at(git: Git, prefix: str, rev: str) -> list[str]:
    """Every dvc.yaml and `.dvc` file of the commit below the project's root, as seen from there."""
    top = f"{prefix}/" if prefix else ""
    listed = [path for name in STAGE_FILES for path in git.paths_named([rev], name)[rev]]
    return [path[len(top) :] for path in listed if path.startswith(top)]


def _left_over(
    cache: Cache, root: Path, prefix: str, graph: Graph, wanted: Mapping[str, Entry]
) -> tuple[str, ...]:
    """Cached outputs of today's stages that have no place in the experiment; edited ones stay.

    Its ignore files would not hide them, so that they looked like files of the user's.
    """
    try:
        today = graphs.load(root)
    except NbexpError:
        # What nobody can read is replaced; whose outputs lie about cannot be told then.
        return ()
    theirs = [posixpath.join(prefix, out.path) for _, out in graph.outs]
    found = []
    for _, out in today.outs:
        path = posixpath.join(prefix, out.path)
        if not out.cache or any(graphs.overlap(path, other) for other in (*theirs, *wanted)):
            continue
        there = cache.hash(root / out.path)
        if there is not None and cache.has(there):
            found.append(out.path)
    return tuple(found)


def _outs(
    git: Git,
    cache: Cache,
    root: Path,
    prefix: str,
    rev: str,
    name: str,
    graph: Graph,
    *,
    lost_is_well: bool = False,
) -> dict[str, Hash]:
    """The outputs whose content has to change, by path relative to the project's root.

    With `lost_is_well`, not those that the cache has lost and a stage would make again.
    """
    top = f"{prefix}/" if prefix else ""
    found: dict[str, Hash] = {}
    missing = []
    paths = sorted({stage.lock_file for stage in graph.stages})
    locks = dict(zip(paths, git.read_many([f"{rev}:{top}{p}" for p in paths]), strict=True))
    for stage in graph.stages:
        entry = stage.entry_in(locks[stage.lock_file])
        if entry is None:
            continue
        made = {out.path: out for out in entry.outs}
        for out in stage.outs:
            if not out.cache or out.spelled not in made:
                continue
            wanted = hash_of(made[out.spelled])
            there = cache.hash(root / out.path)
            if there is not None and there.md5 == wanted.md5:
                continue
            if not cache.has(wanted):
                if lost_is_well and not stage.is_data:
                    continue
                missing.append(out.path)
            found[out.path] = wanted
    if missing:
        raise StoreError(
            f"The cache lacks {', '.join(missing)} of experiment `{name}`. Nothing was applied.",
            "`nbexp data fetch` brings them when a remote has them; running the experiment again makes them.",
        )
    return found


def _write(
    git: Git,
    cache: Cache,
    root: Path,
    rev: str,
    changes: _Changes,
    workspace: InPlace,
    keep: Mapping[str, str],
    emit: Emit,
) -> tuple[str, ...]:
    total = len(changes.files) + len(changes.removals) + len(changes.outs)
    emit(Phase(f"restoring {total} files", 0, total))
    kept = tuple(path for path in (*changes.files, *changes.removals) if path in keep)
    for path in changes.left_over:
        workspace.set_aside(path)
    # First, as a file may have become a folder.
    for path in changes.removals:
        if path not in keep:
            workspace.journal.remove(path)
    import tempfile

    with tempfile.TemporaryDirectory(dir=_scratch(root), prefix="apply-") as scratch:
        exported = Path(scratch)
        git.export(rev, [path for path in changes.files if path not in keep], exported)
        for path, entry in changes.files.items():
            if path in keep:
                continue
            if entry.mode == "120000":
                workspace.journal.link(path, os.readlink(exported / path))
            else:
                mode = _mode(git.root / path, is_program=entry.mode == "100755")
                workspace.journal.write(path, (exported / path).read_bytes(), mode=mode)
            filesystem.crash_point("apply.wrote")
    for done, (path, wanted) in enumerate(changes.outs.items()):
        emit(Phase(f"restoring {path}", done, len(changes.outs)))
        workspace.set_aside(path)
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        cache.checkout(wanted, target)
        workspace.carry_over(path)
        filesystem.crash_point("apply.checked_out")
    for path, wanted_rev in changes.submodules.items():
        there = snapshot.submodule(git, path)
        if there is not None and there.oid != wanted_rev:
            shown = posixpath.relpath(path, workspace.prefix or ".")
            emit(
                Notice(
                    f"The submodule {shown} stays at {there.oid[:7]}; {rev[:7]} has it at {wanted_rev[:7]}.",
                    f"`git -C {shlex.quote(shown)} checkout {wanted_rev[:7]}`",
                )
            )
    return kept


def _mode(path: Path, *, is_program: bool) -> int:
    """The mode of a file that is written: as it is, or as Git would make it, but for who may run it."""
    try:
        found = stat.S_IMODE(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        found = 0o666 & ~filesystem.umask()
    if path.is_symlink() or path.is_dir():
        found = 0o666 & ~filesystem.umask()
    readable = (found & 0o444) >> 2
    return (found & ~0o111) | (readable if is_program else 0)


def _scratch(root: Path) -> Path:
    folder = own_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    for stray in folder.glob("apply-*"):  # of one that was killed; the workspace is held
        filesystem.remove(stray)
    return folder


def _in_the_way(paths: Sequence[str], name: str) -> NbexpError:
    return StoreError(
        f"{_files_have(paths)} edits that no commit or experiment holds: {', '.join(paths)}. Nothing was applied.",
        f"keep them as an undo point and go on: `nbexp apply {name} --force` "
        "(then `nbexp undo` brings them back).",
    )


def _files_have(paths: Sequence[str]) -> str:
    return "1 file has" if len(paths) == 1 else f"{len(paths)} files have"
