"""The pool of work trees in which isolated runs happen: made once for each slot, then only brought up to date.

    .dvc/tmp/nbexp/slots/<slot>.lock      locked by whoever uses the slot, for as long as it lives
    .dvc/tmp/nbexp/slots/<slot>.json      what runs in it: there while something does, or was killed there
    .dvc/tmp/nbexp/wt/<slot>/             the work tree, linked to the repository: `git` works in it

A work tree's HEAD is the baseline of its run, detached, and its index is the frozen state. Two Git processes
bring it from one state to the next, and write only what differs (26 ms for 10,000 files, where a new tree takes
half a second). One that is damaged is made anew; what was killed in a slot is ended by the next to use it.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import GitError, StoreError, UsageError
from nbexp.experiments import freezing
from nbexp.experiments.freezing import Snapshot
from nbexp.experiments.place import own_folder
from nbexp.experiments.run import Place
from nbexp.formats import config
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.git.linked import Linked
from nbexp.pipeline import process
from nbexp.results import Result

# No machine has as many cores; somebody who starts more at once has made a mistake.
_MOST_SLOTS = 1000
_GITLINK = b"\0\0\xe0\0"


@frozen
class Tree:
    """A work tree that is as a frozen state says: its top, and the project's root in it."""

    top: Path
    root: Path
    git: Git


@frozen
class Cleaned(Result):
    """What `clean` took away: work trees that nothing runs in, and what killed commands left."""

    work_trees: tuple[str, ...]
    leftovers: int
    in_use: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return {
            "work_trees": list(self.work_trees),
            "leftovers": self.leftovers,
            "in_use": list(self.in_use),
        }


def folder_of(root: Path, slot: str) -> Path:
    """The top of a slot's work tree."""
    return own_folder(root) / "wt" / slot


def lock_of(root: Path, slot: str) -> filesystem.FileLock:
    """The lock of whoever uses the slot."""
    return filesystem.FileLock(own_folder(root) / "slots" / f"{slot}.lock")


@contextmanager
def free_slot(root: Path, kind: str) -> Iterator[str]:
    """A slot of this kind that nobody uses, this process's until the end."""
    for number in range(_MOST_SLOTS):
        lock = lock_of(root, f"{kind}-{number}")
        try:
            lock.acquire(blocking=False)
        except filesystem.Locked:
            continue
        with lock_released(lock):
            yield f"{kind}-{number}"
        return
    raise StoreError(
        f"{_MOST_SLOTS} runs are under way beside each other. Nothing was run.",
        "wait until some are done.",
    )


@contextmanager
def lock_released(lock: filesystem.FileLock) -> Iterator[None]:
    """Let go of a held lock at the end."""
    try:
        yield
    finally:
        lock.release()


@contextmanager
def occupied(root: Path, slot: str, marker: str) -> Iterator[None]:
    """While inside, the run whose processes have this marker is known to be in the slot, which the caller has locked.

    What was killed there before is ended first.
    """
    note = _note_of(root, slot)
    end_left_over(root, slot)
    filesystem.crash_point("slot.taking")
    filesystem.atomic_write(note, json.dumps({"marker": marker, "pid": os.getpid()}).encode())
    filesystem.crash_point("slot.taken")
    try:
        yield
    finally:
        filesystem.crash_point("slot.leaving")
        filesystem.remove(note)


def end_left_over(root: Path, slot: str) -> None:
    """End the processes of a run that was killed in the slot, which the caller has locked."""
    marker = _marker_in(root, slot)
    if marker:
        folder = own_folder(root) / "runs" / marker.partition(".")[0]  # `isolated.run`
        process.kill_run(marker, folder)
    filesystem.remove(_note_of(root, slot))


def _note_of(root: Path, slot: str) -> Path:
    return own_folder(root) / "slots" / f"{slot}.json"


def _marker_in(root: Path, slot: str) -> str:
    """What marks the run that is in the slot, or was killed there; empty where there is none."""
    try:
        return str(json.loads(_note_of(root, slot).read_bytes())["marker"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def end_all_left_over(root: Path, kind: str) -> None:
    """End the processes of every run that was killed in a slot of this kind."""
    for note in (own_folder(root) / "slots").glob(f"{kind}-*.json"):
        lock = lock_of(root, note.stem)
        try:
            lock.acquire(blocking=False)
        except filesystem.Locked:
            continue
        with lock_released(lock):
            end_left_over(root, note.stem)


# The paths, from the project's root, that may stay in a work tree (its root is given) beside tracked files.
Keep = Callable[[Path], Sequence[str]]


def prepare(place: Place, slot: str, snapshot: Snapshot, keep: Keep | None = None) -> Tree:
    """The slot's work tree, exactly as the snapshot: nothing else is in it, ignored files neither.

    Parameters
    ----------
    keep
        Asked when tracked files are those of the snapshot, and what the run before left is still there.

    Raises
    ------
    UsageError
        A submodule of the snapshot is not here at the commit that it names.
    GitError
        Git could not write the files: the disk is full, or a filter stopped.
    """
    top = folder_of(place.root, slot)
    folder = _sound(place.git, top)
    if folder is not None:
        try:
            return _brought(place, top, folder, snapshot, keep)
        except GitError:
            pass  # a damaged index, for one
    folder = _made(place.git, top, snapshot.baseline)
    return _brought(place, top, folder, snapshot, None)


def clean(place: Place) -> Cleaned:
    """Remove work trees that nothing runs in, with what else killed commands left in the project's own folder.

    Their processes are ended. What runs is left alone.
    """
    own = own_folder(place.root)
    gone: list[str] = []
    busy: list[str] = []
    names = {path.name for path in _entries(own / "wt")}
    names |= {path.stem for path in (own / "slots").glob("*.json")}
    for slot in sorted(names):
        lock = lock_of(place.root, slot)
        try:
            lock.acquire(blocking=False)
        except filesystem.Locked:
            busy.append(slot)
            continue
        with lock_released(lock):
            end_left_over(place.root, slot)
            top = folder_of(place.root, slot)
            if os.path.lexists(top):
                gone.append(slot)
            forget(place.git, top)
    stray = _forget_lost(place.git, own / "wt")
    uids = {_marker_in(place.root, slot).partition(".")[0] for slot in busy}
    stray += freezing.sweep_copies(place.git, place.root, uids, _STRAY_S)
    for folder in (own, own / "slots", own / "locks", own / "wt"):
        stray += filesystem.sweep(folder, _STRAY_S)
    return Cleaned(tuple(gone), stray, tuple(busy))


# Older ones belong to nobody who is at work.
_STRAY_S = 3600.0


# ---- one work tree


def _made(git: Git, top: Path, baseline: str) -> Path:
    """A new work tree without files; its Git directory."""
    forget(git, top)
    top.parent.mkdir(parents=True, exist_ok=True)
    os.chmod(top.parent, 0o700)
    filesystem.crash_point("worktree.adding")
    git.worktree(
        "add", "--quiet", "--force", "--detach", "--no-checkout", "--lock", "--", os.fspath(top), baseline,
        before=lambda: top.mkdir(mode=0o700, exist_ok=True),
    )  # fmt: skip
    filesystem.crash_point("worktree.added")
    folder = _linked(top)
    _note_sparse(git, folder)
    return folder


def _linked(top: Path) -> Path:
    """The Git directory of a work tree, as its link says."""
    return Path((top / ".git").read_text().strip().removeprefix("gitdir: "))


def _sound(git: Git, top: Path) -> Path | None:
    """The Git directory of the work tree; None where there is none, or one of another repository."""
    try:
        folder = _linked(top)
        back = Path((folder / "gitdir").read_text().strip())
        is_ours = os.path.samefile(folder.parent.parent, git.common)
        if not is_ours or not os.path.samefile(back, top / ".git"):
            return None
        if not (folder / "HEAD").is_file() or not (folder / "commondir").is_file():
            return None
        if _sparse(git) != _known_sparse(folder):
            return None
    except (OSError, ValueError):
        return None
    if top.stat().st_mode & 0o077:
        os.chmod(top, 0o700)
    return folder


def _brought(place: Place, top: Path, folder: Path, snapshot: Snapshot, keep: Keep | None) -> Tree:
    """Make a sound work tree what the snapshot says."""
    main = place.git
    # Whoever held it is dead: the slot is ours.
    for left in folder.glob("*.lock"):
        filesystem.remove(left)
    is_fresh = not (folder / "index").exists()
    _set_head(main, top, folder, snapshot.baseline)
    tree = Linked(top, folder, main)
    filesystem.crash_point("worktree.reading")
    tree.run("read-tree", "-u", "--reset", snapshot.rev)
    filesystem.crash_point("worktree.read")
    if not is_fresh:
        kept = keep(top / place.prefix) if keep is not None else ()
        rules = [f"--exclude={_rule(posixpath.join(place.prefix, path))}" for path in kept]
        if sum(map(len, rules)) > _MOST_RULES_BYTES:
            rules = []
        tree.run("clean", "-ffdxq", *rules)
        filesystem.crash_point("worktree.cleaned")
    _bring_submodules(place.git, tree, folder)
    root = top / place.prefix
    (root / ".dvc").mkdir(parents=True, exist_ok=True)
    # Nothing of the user's own: what `.dvc/config.local` holds is often a password.
    local = config.set_value(b"", "cache", "dir", os.fspath(place.cache.folder))
    filesystem.atomic_write(root / ".dvc" / "config.local", local, durable=False)
    return Tree(top, root, tree)


# A command line has a limit.
_MOST_RULES_BYTES = 50_000


def _rule(path: str) -> str:
    """The ignore rule that means this path alone."""
    return "/" + re.sub(r"([\\*?\[\]!#\s])", r"\\\1", path)


def _set_head(git: Git, top: Path, folder: Path, baseline: str) -> None:
    if (git.common / "reftable").is_dir():
        Linked(top, folder, git).run("update-ref", "--no-deref", "HEAD", baseline)
        return
    text = baseline.encode() + b"\n"
    head = folder / "HEAD"
    if head.is_symlink() or head.read_bytes() != text:
        filesystem.atomic_write(head, text, durable=False)
    # What a stage of the run before left off in the middle.
    for left in ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"):
        filesystem.remove(folder / left)


def forget(git: Git, top: Path) -> None:
    """Remove a work tree, sound or not, with what the repository knows of it, and of no other.

    Not `git worktree prune`: it forgets the user's own work trees as well, with what only they have, when their disk
    is not mounted just now.
    """
    filesystem.crash_point("worktree.forgetting")
    for known in _entries(git.common / "worktrees"):
        try:
            back = (known / "gitdir").read_text().strip()
        except OSError:
            continue
        if os.path.realpath(back) == os.path.realpath(top / ".git"):
            filesystem.remove(known)
    filesystem.crash_point("worktree.forgotten")
    filesystem.remove(top)


def _forget_lost(git: Git, pool: Path) -> int:
    """Have the repository forget work trees of pools whose folders are gone; Git keeps those it thinks locked."""
    count = 0
    own = f"/{Path(*pool.parts[-4:]).as_posix()}/"
    for known in _entries(git.common / "worktrees"):
        try:
            back = (known / "gitdir").read_text().strip()
        except OSError:
            continue
        if own in back and not os.path.lexists(back):
            filesystem.remove(known)
            count += 1
    return count


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


# ---- sparse checkouts


def _sparse(git: Git) -> bytes:
    """Which files the user's own work tree is limited to; empty where it has all."""
    if git.config().get("core.sparsecheckout") != "true":
        return b""
    try:
        return (git.folder / "info" / "sparse-checkout").read_bytes()
    except OSError:
        return b""


def _known_sparse(folder: Path) -> bytes:
    try:
        return (folder / "nbexp-sparse").read_bytes()
    except FileNotFoundError:
        return b""


def _note_sparse(git: Git, folder: Path) -> None:
    """Limit a new work tree as the user's is; Git does so itself from 2.36 on."""
    rules = _sparse(git)
    if rules:
        (folder / "info").mkdir(exist_ok=True)
        filesystem.atomic_write(folder / "info" / "sparse-checkout", rules, durable=False)
        filesystem.atomic_write(folder / "nbexp-sparse", rules, durable=False)


# ---- submodules


def _bring_submodules(main: Git, tree: Git, folder: Path) -> None:
    """Have the files of submodules there as well, from the clones that the user's own work tree has of them.

    One that the user's work tree has not either is left empty, as it is there.
    """
    if _GITLINK not in (folder / "index").read_bytes():
        return  # no entry of the index can have the mode of a submodule
    listed = tree.run("ls-files", "--stage", "-z")
    for line in os.fsdecode(listed).split("\0")[:-1]:
        meta, _, path = line.partition("\t")
        mode, rev, _ = meta.split(" ")
        if mode != "160000":
            continue
        source = Git.find(main.root / path) if (main.root / path / ".git").exists() else None
        if source is None:
            if (main.common / "modules" / path).is_dir():
                raise _no_submodule(path, rev)
            continue
        try:
            if source.resolve(rev) != rev:
                raise _no_submodule(path, rev)
            _bring_submodule(source, tree.root / path, rev)
        finally:
            source.close()


def _bring_submodule(source: Git, top: Path, rev: str) -> None:
    folder = _sound(source, top)
    if folder is None:
        folder = _made(source, top, rev)
    for left in folder.glob("*.lock"):
        filesystem.remove(left)
    _set_head(source, top, folder, rev)
    inner = Linked(top, folder, source)
    inner.run("read-tree", "-u", "--reset", rev)
    inner.run("clean", "-ffdxq")
    _bring_submodules(source, inner, folder)


def _no_submodule(path: str, rev: str) -> UsageError:
    return UsageError(
        f"The submodule {path} is not here at commit {rev[:7]}, which the run needs. Nothing was run.",
        f"`git submodule update --init {path}`",
    )
