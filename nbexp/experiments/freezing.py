"""The state that isolated runs start from, frozen at the moment of asking: one commit that nobody's branch shows.

Its tree is the baseline's with the edits of tracked files and the files that are `git add`ed; untracked files
are not in it. It is built beside HEAD, index, stash and reflogs, none of which move. What was asked for stands
in its message, so that a queue can be rebuilt from refs alone:

    refs/nbexp/queue/<batch>  ->  nbexp: 2 experiments asked for
                                                                         (an empty line)
                                  {"version": 1, "name": "low-lr", …}    (one spec a line)
                                  {"version": 1, "name": "high-lr", …}

Edits that a command is just making in the workspace (an in-place run writes params files and dvc.lock) are no
edits of the user's: its journal tells what was there before, and that is what is frozen.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import GitError, NotFound, StoreError, UsageError
from nbexp.events import Emit, ignore
from nbexp.experiments.journal import Journal, Line
from nbexp.experiments.place import files_of, journal_folder, own_folder, workspace_lock
from nbexp.experiments.run import Place
from nbexp.experiments.spec import Spec
from nbexp.experiments.workspace import InPlace
from nbexp.frozen import frozen, replace
from nbexp.git import Entry, FileContent, Git, NewCommit, Status
from nbexp.pipeline.graph import is_inside

PREFIX = "refs/nbexp/queue/"

# How often a workspace is looked at that changes under the look, and the pause in between.
_LOOKS, _PAUSE_S = 100, 0.05


@frozen
class Snapshot:
    """A frozen state: the commit `rev`, which is `baseline` or has it as its parent.

    `batch` names it where it has a ref.
    """

    rev: str
    baseline: str
    batch: str = ""

    @property
    def ref(self) -> str:
        return PREFIX + self.batch


@frozen
class View:
    """A frozen state that nothing is asked of yet.

    Attributes
    ----------
    untracked
        The files, from the top of the work tree, that are in the user's workspace and not in it.
    read
        The bytes of a file of it, by its path relative to the project's root; None where there is none.
    """

    snapshot: Snapshot
    untracked: tuple[str, ...]
    read: Callable[[str], bytes | None]


def look(
    place: Place, *, with_edits: bool = True, baseline: str | None = None, emit: Emit = ignore
) -> View:
    """Freeze the workspace, or `baseline` with or without the edits in the workspace.

    Parameters
    ----------
    baseline
        The commit to start from; None is HEAD.

    Raises
    ------
    UsageError
        The edits do not fit on the baseline; the files are named. Nothing was written but loose objects.

    Notes
    -----
    One Git process, `git status`, and one more where filters are to be applied or many files were edited. No
    lock is held afterwards, and none is waited for.
    """
    git = place.git
    status, edits = _edits(place, with_edits, emit)
    head = status.head
    if head is None:
        raise GitError("The repository has no commit yet.", "`git commit` the project first.")
    base = baseline or head
    files: Mapping[str, FileContent] = edits
    if files and base != head:
        files = _carried_over(git, files, head, base)
    filesystem.crash_point("freeze.looking")
    rev = base
    if files:
        new = NewCommit(ref=None, parent=base, message=b"nbexp: asked for", base=base, files=files)
        rev = git.commit(new)[0]
    return View(Snapshot(rev, base), status.untracked, files_of(git, place.prefix, rev))


def freeze(
    place: Place,
    specs: Sequence[Spec],
    *,
    batch: str,
    with_edits: bool = True,
    baseline: str | None = None,
    view: View | None = None,
    emit: Emit = ignore,
) -> Snapshot:
    """Freeze the state that these specs start from, under a ref, and the files that they want copied.

    Parameters
    ----------
    batch
        Names the request: letters, digits and dashes; no other has that name.
    view
        What `look` found, where the specs were made of it; None: look now.

    Raises
    ------
    UsageError
        As `look`.
    NotFound
        A file to be copied is not there. No ref was set.
    """
    view = view or look(place, with_edits=with_edits, baseline=baseline, emit=emit)
    keep_copies(place, specs, batch)
    filesystem.crash_point("freeze.copied")
    start = view.snapshot
    count = f"{len(specs)} experiment{'' if len(specs) == 1 else 's'}"
    lines = "".join(json.dumps(one.to_json(), allow_nan=False) + "\n" for one in specs)
    named = Snapshot(start.rev, start.baseline, batch)
    commit = NewCommit(
        ref=named.ref,
        parent=start.baseline,
        message=f"nbexp: {count} asked for\n\n{lines}".encode(),
        base=start.rev,
    )
    rev = place.git.commit(commit)[0]
    filesystem.crash_point("freeze.named")
    return replace(named, rev=rev)


def thaw(git: Git, ref: str) -> list[Spec]:
    """What was asked for under a ref of `freeze`, in order; the edits are made where the specs run.

    Raises
    ------
    UsageError
        Another version of nbexp made it.
    """
    info = git.commits([ref])[0]
    return [
        Spec.from_json(json.loads(line))
        for line in info.message.splitlines()
        if line.startswith("{")
    ]


def snapshot_at(git: Git, ref: str) -> Snapshot:
    """The frozen state under a ref of `freeze`."""
    info = git.commits([ref])[0]
    return Snapshot(info.rev, info.parents[0], ref.removeprefix(PREFIX))


# ---- files that are copied


def sweep_copies(git: Git, root: Path, in_use: Collection[str], older_than_s: float) -> int:
    """Remove the copies of batches that are no more, and say of how many; those `in_use` stay."""
    count = 0
    try:
        kept = sorted((own_folder(root) / "copies").iterdir())
    except FileNotFoundError:
        return 0
    known = {ref.removeprefix(PREFIX) for ref in git.refs(PREFIX)}
    for folder in kept:
        # A batch that is being frozen has its copies before it has its ref.
        age_s = time.time() - folder.lstat().st_mtime
        if folder.name not in known and folder.name not in in_use and age_s > older_than_s:
            filesystem.remove(folder)
            count += 1
    return count


def copies_folder(root: Path, batch: str) -> Path:
    """Where the files wait that the runs of a batch want copied."""
    return own_folder(root) / "copies" / batch


def copied_paths(spec: Spec, root: Path) -> list[str]:
    """What the spec wants copied, relative to the project's root.

    Raises
    ------
    UsageError
        A path leads out of the project, or into what Git and DVC keep for themselves.
    """
    found: dict[str, None] = {}
    for spelled in spec.copies:
        asked = Path(os.path.abspath(root / spec.here / spelled))
        path = Path(os.path.relpath(asked, root)).as_posix()
        if path.split("/")[0] in ("..", ".") or {".git", ".dvc"}.intersection(path.split("/")):
            raise UsageError(
                f"`{spelled}` is no file of the project that could be copied. Nothing was run.",
                "`-C` takes files and folders below the project's root.",
            )
        found[path] = None
    return list(found)


def keep_copies(place: Place, specs: Sequence[Spec], batch: str) -> None:
    """Copy what the specs want copied to where the runs of the batch find it, as it is now.

    Raises
    ------
    NotFound, UsageError
        Nothing is there, or it is not the project's. Nothing was copied.
    """
    wanted = dict.fromkeys(path for spec in specs for path in copied_paths(spec, place.root))
    for path in wanted:
        if not (place.root / path).exists():
            raise NotFound(
                f"There is no {path} to copy. Nothing was run.",
                "`-C` takes files and folders, relative to here.",
            )
    folder = copies_folder(place.root, batch)
    if wanted:  # often what nobody else is to read
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.chmod(folder.parent, 0o700)
    for path in wanted:
        copy(place.root / path, folder / path)


def copy(source: Path, target: Path, *, overwrites: bool = True) -> None:
    """A file or folder under a second name, its bytes shared where the file system can; modes and times stay."""
    import shutil

    def one(old: str, new: str) -> str:
        if not overwrites and os.path.lexists(new):
            return new
        if os.path.islink(old):
            filesystem.remove(Path(new))
            os.symlink(os.readlink(old), new)
        else:
            filesystem.place(Path(old), Path(new), ("reflink", "copy"))
            shutil.copystat(old, new)
        return new

    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(
            source,
            target,
            symlinks=True,
            dirs_exist_ok=True,
            copy_function=one,
            ignore=shutil.ignore_patterns(".git", ".dvc"),
        )
    else:
        one(os.fspath(source), os.fspath(target))


# ---- what is the user's, and what a command is just writing


def _edits(place: Place, with_edits: bool, emit: Emit) -> tuple[Status, dict[str, FileContent]]:
    """What differs from HEAD for the user, whatever a command is doing to the workspace just now."""
    git = place.git
    if not workspace_lock(place.root).held():
        # What a killed command left half done is put right first, as by any command that writes.
        with InPlace(git, place.cache, place.root).held(emit):
            status = git.status()
            return status, dict(git.snapshot(status)) if with_edits else {}
    journal = Journal(git.root, journal_folder(place.root))
    for _ in range(_LOOKS):
        before = filesystem.read(journal.folder / "lines")
        with suppress(FileNotFoundError):  # a journal that is finished meanwhile
            if before is not None:
                journal.read()
            status = git.status()
            files: dict[str, FileContent] = dict(git.snapshot(status)) if with_edits else {}
            if with_edits and before is not None:
                files = _as_before(git, journal, status, files)
            if filesystem.read(journal.folder / "lines") == before:
                return status, files
        time.sleep(_PAUSE_S)
    raise StoreError(
        "Another command is changing the workspace all the time. Nothing was run.",
        "wait until it is done and try again.",
    )


def _as_before(
    git: Git, journal: Journal, status: Status, files: Mapping[str, FileContent]
) -> dict[str, FileContent]:
    """The edits without those of the command whose journal this is, and with what it wrote over."""
    found = dict(files)
    heads: dict[str, Entry | None] = {change.path: change.head for change in status.changes}
    for line in journal.lines:
        if journal.is_edited(line):
            continue
        for path in [path for path in found if is_inside(path, line.path)]:
            del found[path]
        old = dict(_old_files(journal, line))
        unknown = [path for path in old if path not in heads]
        for path, info in zip(
            unknown, git.info_many([f"HEAD:{path}" for path in unknown]), strict=True
        ):
            heads[path] = None if info is None else Entry("", info[0])
        staged = {change.path for change in status.changes if change.index is not None}
        for path, (mode, data) in old.items():
            head = heads[path]
            if head is None and path not in staged:
                continue  # untracked before as well
            if head is None or head.oid != git.hash_bytes(data):
                found[path] = (mode, data)
        for change in status.changes:
            if is_inside(change.path, line.path) and change.head and change.path not in old:
                found[change.path] = None
    return found


def _old_files(journal: Journal, line: Line) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """What was at the path of a line, file by file: mode and bytes."""
    saved = journal.saved(line)
    if saved is None:
        return
    if saved.is_symlink():
        yield line.path, ("120000", os.fsencode(os.readlink(saved)))
    elif saved.is_dir():
        for inner, info in filesystem.walk(saved):
            yield f"{line.path}/{inner}", (_mode(info.st_mode), (saved / inner).read_bytes())
    else:
        mode = line.mode if line.mode is not None else saved.stat().st_mode
        yield line.path, (_mode(mode), line.old if line.old is not None else saved.read_bytes())


def _mode(mode: int) -> str:
    return "100755" if mode & 0o100 else "100644"


# ---- edits on another commit


def _carried_over(
    git: Git, files: Mapping[str, FileContent], head: str, base: str
) -> dict[str, FileContent]:
    """Edits of HEAD's files as edits of the baseline's, merged where the two differ elsewhere in the file.

    Raises
    ------
    UsageError
        Baseline and edits differ in the same place.
    """
    paths = [*files]
    old = git.read_many([f"{head}:{path}" for path in paths])
    there = git.read_many([f"{base}:{path}" for path in paths])
    found: dict[str, FileContent] = {}
    in_conflict = []
    for path, before, then in zip(paths, old, there, strict=True):
        edit = files[path]
        if then == before:
            found[path] = edit
            continue
        now = _content(git, edit)
        if now == then:
            continue
        merged = None
        if before is not None and then is not None and now is not None:
            merged = _merged(git, now, before, then)
        if merged is None:
            in_conflict.append(path)
        else:
            found[path] = (_mode_of(edit), merged)
    if in_conflict:
        names = ", ".join(sorted(in_conflict))
        raise UsageError(
            f"Your edits of {names} do not fit on {base[:7]}. Nothing was run.",
            "without `--with-edits` the run has that version's own files.",
        )
    return found


def _content(git: Git, content: FileContent) -> bytes | None:
    if isinstance(content, Entry):
        return git.read(content.oid)
    return content[1] if isinstance(content, tuple) else content


def _mode_of(content: FileContent) -> str:
    if isinstance(content, Entry):
        return content.mode
    return content[0] if isinstance(content, tuple) else "100644"


def _merged(git: Git, ours: bytes, old: bytes, theirs: bytes) -> bytes | None:
    """The three as one, None where they are in conflict or no text."""
    import tempfile

    if any(b"\0" in data[:8000] for data in (ours, old, theirs)):
        return None
    with tempfile.TemporaryDirectory(prefix="nbexp-", dir=git.folder) as folder:
        names = [Path(folder) / name for name in ("ours", "old", "theirs")]
        for name, data in zip(names, (ours, old, theirs), strict=True):
            name.write_bytes(data)
        try:
            return git.run("merge-file", "--stdout", "--", *map(os.fspath, names))
        except GitError:
            return None
