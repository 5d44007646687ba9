"""What nbexp keeps besides experiments, how much that is, and letting go of it: nbexp's own collector.

Kinds, in the order they are listed:

    trash      experiments that were removed or replaced      refs/nbexp/trash
    undo       steps that `undo` and `undo --redo` go         refs/nbexp/undo, refs/nbexp/redo, .dvc/tmp/nbexp/undo
    failed     what failed and interrupted runs left          refs/nbexp/failed
    logs       output and scratch files of runs and tasks     .dvc/tmp/nbexp/runs, .dvc/tmp/nbexp/log
    temporary  what killed commands left, and work trees      .dvc/tmp/nbexp

Refs go first and in one transaction, files after: killed in between, the files are rubbish that the next call finds.
What is at work is left alone: nothing is removed but while the workspace is held, and no folder of a worker that lives.
"""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp import filesystem
from nbexp.errors import NbexpError, UsageError
from nbexp.events import Emit, Notice, Phase
from nbexp.experiments import conditions, place, trash, undo, worktrees
from nbexp.formats import ref_names
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.experiments.data import Site

KINDS = ("trash", "undo", "failed", "logs", "temporary")
# What nobody can be at work on any more, when the workspace is ours.
_LEFT_S = 3600.0


@frozen
class Item:
    """One thing that can go: refs, folders, or both; `names` is what people know it by."""

    kind: str
    name: str
    when_s: float
    refs: tuple[tuple[str, str], ...] = ()
    folders: tuple[Path, ...] = ()
    is_worktree: bool = False


@frozen
class Heap:
    """All of one kind that would go, or is gone: how many, how big, and how many stay."""

    kind: str
    items: int
    size_bytes: int
    kept: int
    oldest_s: float | None
    names: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return {
            "items": self.items,
            "size": self.size_bytes,
            "kept": self.kept,
            "oldest": self.oldest_s,
            "names": list(self.names),
        }


@frozen
class Collected(Result):
    """What `gc` would remove, or has removed, by kind.

    `data_bytes` are the objects of the cache that nothing else needs: `data gc` can free them then. None: that
    cannot be told. `in_use` are what was left alone as a process is at work on it.
    """

    heaps: tuple[Heap, ...]
    data_bytes: int | None
    removed: bool = False
    in_use: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Collected: {self.items} items, {self.size_bytes} bytes>"

    @property
    def items(self) -> int:
        return sum(heap.items for heap in self.heaps)

    @property
    def size_bytes(self) -> int:
        return sum(heap.size_bytes for heap in self.heaps)

    def to_json(self) -> dict[str, object]:
        return {
            "removed": self.removed,
            "items": self.items,
            "size": self.size_bytes,
            "data": self.data_bytes,
            "kinds": {heap.kind: heap.to_json() for heap in self.heaps},
            "in_use": list(self.in_use),
        }


def collect(
    site: Site,
    emit: Emit,
    *,
    kinds: Sequence[str] = (),
    older_than: str | None = None,
    keep_last: int = 0,
    yes: bool = False,
) -> Collected:
    """What can go, by kind; with `yes` it is gone for good.

    Parameters
    ----------
    kinds
        Some of `KINDS`; none means all.
    older_than
        Only what is older than a time span (`30d`) or a date.
    keep_last
        So many of the newest of each kind stay.

    Raises
    ------
    UsageError
        There is no such kind, or the time cannot be read. Nothing was removed.
    GitError
        Somebody changed what was about to go. Nothing was removed.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UsageError(
            f"There is no kind `{unknown[0]}`. Nothing was removed.", f"kinds: {', '.join(KINDS)}."
        )
    if keep_last < 0:
        raise UsageError(
            f"{keep_last} cannot be kept. Nothing was removed.", "`nbexp gc --keep-last 10`"
        )
    limit_s = float("inf") if older_than is None else _moment(older_than)
    wanted = kinds or KINDS
    if not yes:
        return _listed(site, wanted, limit_s, keep_last, emit)[0]
    with site.workspace().held(emit):
        found, items = _listed(site, wanted, limit_s, keep_last, emit)
        if items:
            emit(Notice(f"Removing {_words(found)}. This is final."))
        _remove(site.git, items, emit)
    return Collected(found.heaps, found.data_bytes, True, found.in_use)


def _listed(
    site: Site, kinds: Sequence[str], limit_s: float, keep_last: int, emit: Emit
) -> tuple[Collected, list[Item]]:
    git, root = site.git, site.root
    busy = _at_work(root)
    chosen: dict[str, list[Item]] = {}
    kept: dict[str, int] = {}
    for kind in KINDS:
        if kind not in kinds:
            continue
        there = sorted(_items(git, root, kind, busy), key=lambda one: -one.when_s)
        chosen[kind] = [one for one in there[keep_last:] if one.when_s < limit_s]
        kept[kind] = len(there) - len(chosen[kind])
    if "trash" in chosen:
        chosen["trash"] = _with_removals(git, chosen["trash"])
    emit(Phase("measuring what can go"))
    sizes = _sizes(git, chosen)
    items = [one for kind in chosen for one in chosen[kind]]
    heaps = tuple(
        Heap(
            kind,
            len(chosen[kind]),
            sizes[kind],
            kept[kind],
            min((one.when_s for one in chosen[kind] if one.when_s), default=None),
            tuple(one.name for one in chosen[kind]),
        )
        for kind in chosen
    )
    refs = {ref for one in items for ref, _ in one.refs}
    return Collected(heaps, _data_bytes(site, refs), in_use=tuple(busy)), items


def _items(git: Git, root: Path, kind: str, busy: Mapping[str, str]) -> Iterator[Item]:
    if kind == "trash":
        for one in trash.entries(git):
            yield Item(kind, one.name, one.since_s, ((one.ref, one.rev),))
    elif kind == "undo":
        yield from _steps(git, root)
    elif kind == "failed":
        refs = git.refs(ref_names.FAILED)
        infos = git.info_many([f"{rev}^{{commit}}" for rev in refs.values()])
        usable = [rev for rev, info in zip(refs.values(), infos, strict=True) if info]
        times = {one.rev: one.time_s for one in git.commits(usable)}
        for ref, rev in refs.items():
            yield Item(kind, ref.rpartition("/")[2], times.get(rev, 0), ((ref, rev),))
    elif busy:
        return
    elif kind == "logs":
        for folder in _entries(place.own_folder(root) / "runs"):
            yield Item(kind, folder.name, _changed_s(folder), (), (folder,))
        # Of a task: what each attempt printed, and how far its stages were.
        for file in _entries(place.own_folder(root) / "log"):
            yield Item(kind, file.name, _changed_s(file), (), (file,))
    else:
        yield from _temporary(git, root)


def _steps(git: Git, root: Path) -> Iterator[Item]:
    """The steps of this workspace, and of those that are gone; other workspaces collect their own."""
    here = place.undo_place(git, root)
    known = [*undo.points(git, None), *undo.points(git, None, undo.REDO)]
    mine = [one for one in known if one.place in (None, here) or _is_gone(git, one.place)]
    folder = place.own_folder(root) / "undo"
    for one in mine:
        kept = tuple(folder / name for name in sorted(undo.folders(git, [one])))
        made_s = _made_s(one.ref)
        yield Item("undo", one.op, made_s, ((one.ref, one.rev),), kept)
    needed = undo.folders(git, known)
    for path in _entries(folder):
        if path.name not in needed:  # a killed gc left it, or a point whose ref is gone
            yield Item("undo", path.name, 0, (), (path,))


def _is_gone(git: Git, where: str) -> bool:
    """Whether the workspace that a step belongs to is there no more."""
    work_tree, _, inner = where.partition(":")
    folder = Path(os.path.normpath(git.common / work_tree))
    if not (folder / "HEAD").exists():
        return True
    return folder == git.folder and not (git.root / inner / ".dvc").is_dir()


def _made_s(ref: str) -> float:
    """When a step's ref was made, from its name."""
    digits = posixpath.basename(ref).partition("-")[0]
    return int(digits) / 1e6 if digits.isascii() and digits.isdigit() else 0.0


def _temporary(git: Git, root: Path) -> Iterator[Item]:
    own = place.own_folder(root)
    now = time.time()
    for path in _entries(own):
        name = path.name
        is_left = filesystem.is_temporary(name) or name.startswith(("apply-", "journal-done-"))
        if is_left and now - _changed_s(path) > _LEFT_S:
            yield Item("temporary", name, _changed_s(path), (), (path,))
    for kept in ("unfinished", "damaged"):
        for path in _entries(own / kept):
            yield Item("temporary", f"{kept}/{path.name}", _changed_s(path), (), (path,))
    for tree in _work_trees(git, own):
        yield Item(
            "temporary", tree.relative_to(own).as_posix(), _changed_s(tree), (), (tree,), True
        )


def _work_trees(git: Git, own: Path) -> Iterator[Path]:
    """The work trees of the repository that are nbexp's own."""
    if not (git.common / "worktrees").is_dir():
        return
    listed = git.worktree("list", "--porcelain", "-z")
    top = own.resolve()
    for part in listed.split(b"\0"):
        if part.startswith(b"worktree "):
            found = Path(os.fsdecode(part.removeprefix(b"worktree ")))
            if found.is_relative_to(top):
                yield own / found.relative_to(top)


def _at_work(root: Path) -> dict[str, str]:
    """The locks of living workers and runs, with who holds each; that of the workspace is waited for instead."""
    own = place.own_folder(root)
    found = {}
    for folder in ("slots", "workers", "locks"):
        for path in (own / folder).glob("*.lock"):
            lock = filesystem.FileLock(path)
            if path.name != "workspace.lock" and lock.held():
                found[path.relative_to(own).as_posix()] = lock.holder()
    lock = place.workspace_lock(root)
    if lock.held() and not _is_ours(lock):
        found["locks/workspace.lock"] = lock.holder()
    return found


def _is_ours(lock: filesystem.FileLock) -> bool:
    return lock.holder().split(" ")[0] == str(os.getpid())


def _with_removals(git: Git, items: Sequence[Item]) -> list[Item]:
    """The removals that could not be undone any more go along with what they removed."""
    gone = {rev for one in items for _, rev in one.refs}
    held = set(git.refs("refs/exps/", "refs/heads/", "refs/tags/").values())
    steps = [*undo.points(git, None), *undo.points(git, None, undo.REDO)]
    pointless = [
        (one.ref, one.rev)
        for one in steps
        if not one.paths
        and any(rev in gone - held for _, old, new in one.refs for rev in (old, new))
    ]
    if not items or not pointless:
        return [*items]
    first, *rest = items
    return [Item(first.kind, first.name, first.when_s, (*first.refs, *pointless)), *rest]


def _sizes(git: Git, chosen: Mapping[str, Sequence[Item]]) -> dict[str, int]:
    """What each kind takes on the disk: objects that Git keeps for it alone, and files."""
    going = {ref: rev for items in chosen.values() for one in items for ref, rev in one.refs}
    stays = {rev for ref, rev in git.refs().items() if ref not in going}
    head = git.head()
    if head is not None:
        stays.add(head)
    found = {}
    for kind, items in chosen.items():
        revs = list(dict.fromkeys(rev for one in items for _, rev in one.refs))
        found[kind] = _git_bytes(git, revs, stays)
        stays.update(revs)
        found[kind] += sum(_size(folder) for one in items for folder in one.folders)
    return found


def _git_bytes(git: Git, revs: Sequence[str], stays: Iterable[str]) -> int:
    if not revs:
        return 0
    asked = "".join([*(f"{rev}\n" for rev in revs), *(f"^{rev}\n" for rev in stays)])
    listed = git.run("rev-list", "--objects", "--ignore-missing", "--stdin", stdin=asked.encode())
    oids = b"".join(line.partition(b" ")[0] + b"\n" for line in listed.splitlines())
    sizes = git.run("cat-file", "--batch-check=%(objectsize:disk)", stdin=oids)
    return sum(int(line) for line in sizes.split() if line.isdigit())


def _data_bytes(site: Site, refs: set[str]) -> int | None:
    """How much of the cache is needed by these refs and by nothing that `data gc -a -T` keeps."""
    from nbexp.experiments.data.needed import Keeper, Selection

    if not refs:
        return 0
    needed = []
    try:
        for without in ((), refs):
            keeper = Keeper(site.git, True, lambda _event: None, site, without=without)
            selection = Selection(workspace=True, all_branches=True, all_tags=True)
            keeper.keep_project(site.root, site.prefix, selection)
            keeper.keep_listed()
            needed.append(keeper.kept)
    except NbexpError:
        return None
    alone = needed[0] - needed[1]
    return sum(one.size for one in site.cache.objects() if one.md5 in alone) if alone else 0


def _remove(git: Git, items: Sequence[Item], emit: Emit) -> None:
    refs = {ref: rev for one in items for ref, rev in one.refs}
    git.update_refs([(ref, None, rev) for ref, rev in refs.items()])
    filesystem.crash_point("gc.dropped")
    folders = [(one, folder) for one in items for folder in one.folders]
    for number, (one, folder) in enumerate(folders):
        emit(Phase("removing files", number, len(folders)))
        if one.is_worktree:
            worktrees.forget(git, folder)
        else:
            filesystem.remove(folder)


def _moment(text: str) -> float:
    try:
        return conditions.moment(text)
    except UsageError:
        raise UsageError(
            f"`{text}` is no time. Nothing was removed.",
            "`--older-than 30d`, `12h`, or a date: `--older-than 2026-11-20`.",
        ) from None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _changed_s(path: Path) -> float:
    try:
        return os.lstat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    """The bytes of files at and below a path; one that has other names as well frees nothing."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            total += _own_bytes(os.path.join(folder, name))
    return total + (_own_bytes(path) if not path.is_dir() or path.is_symlink() else 0)


def _own_bytes(path: str | Path) -> int:
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return status.st_size if status.st_nlink == 1 else 0


_ONE = {
    "trash": "experiment in the trash",
    "undo": "undo step",
    "failed": "failed run",
    "logs": "log folder",
    "temporary": "temporary item",
}
_MANY = {**{kind: f"{word}s" for kind, word in _ONE.items()}, "trash": "experiments in the trash"}


def _words(found: Collected) -> str:
    parts = [
        f"{heap.items} {_ONE[heap.kind] if heap.items == 1 else _MANY[heap.kind]}"
        for heap in found.heaps
        if heap.items
    ]
    return " and ".join([*([", ".join(parts[:-1])] if parts[:-1] else []), *parts[-1:]])
