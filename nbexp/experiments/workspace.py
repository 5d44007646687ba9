"""Where a run happens: the user's own files, with every change undoable and DVC kept out meanwhile.

`InPlace` is the guard that the pipeline tells before anything changes. What kills a command between
`begin` and `finish` or `roll_back`, the next writing command puts right (`recover`).
"""

from __future__ import annotations

import os
import posixpath
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Protocol

from nbexp import filesystem
from nbexp.errors import NbexpError, ProjectFileError, UsageError
from nbexp.events import Emit, Notice, ignore
from nbexp.experiments import pending, undo
from nbexp.experiments.journal import Journal
from nbexp.experiments.place import (
    DvcIgnores,
    home,
    journal_folder,
    prefix,
    undo_place,
    workspace_lock,
)
from nbexp.git import Git, NewCommit
from nbexp.pipeline import process
from nbexp.pipeline.context import Guard
from nbexp.pipeline.graph import is_inside
from nbexp.pipeline.locks import DvcLock, declared, others
from nbexp.store.cache import Cache, Hash

# How often a stage that DVC runs is looked at; DVC leaves no lock to wait for meanwhile.
_LOOK_S = 0.2


class Workspace(Guard, Protocol):
    """Where a run happens: what of it is undone, and what stays, is its own to know.

    Attributes
    ----------
    uid
        Names the private folder of the run.
    marker
        Marks its processes (`NBEXP_ITEM`): the uid, or what begins with it and a dot.
    is_users
        Whether the files are the user's own, who may be editing them, rather than made for the run.
    """

    uid: str
    marker: str
    is_users: bool

    def begin(self, op: str) -> None:
        """From here to `finish` or `roll_back` files may change; `op` is the command, for messages."""

    def undo_point(self) -> NewCommit | None:
        """The commit by which `undo` goes back to how it was; None where nobody wants to."""

    def unflushed(self) -> set[str]:
        """The files that what is recorded needs and that are not flushed to disk yet, and their folders."""

    def started(self) -> float:
        """Note that stages begin now; the time, by the clock of the file system."""

    def edited(self, changed: Sequence[str]) -> list[str]:
        """Those of `changed` (from the top of the Git work tree) that `roll_back` will not put back."""

    def finish(self) -> None:
        """Keep what was done."""

    def roll_back(self) -> list[str]:
        """Put everything back; paths the user edited meanwhile stay and are named."""


class InPlace:
    """The user's files, exclusively this command's while they are `held`.

    Parameters
    ----------
    root
        The project's root; `git.root` is it or above it.
    """

    def __init__(self, git: Git, cache: Cache, root: Path) -> None:
        self.git = git
        self.cache = cache
        self.root = root
        self.uid = self.marker = os.urandom(8).hex()
        self.is_users = True
        self.prefix = prefix(git, root)
        self.journal = Journal(git.root, journal_folder(root))
        self._dvc_tmp = root / ".dvc" / "tmp"
        self._lock = workspace_lock(root)
        self._hashes: dict[str, Hash | None] = {}
        self._index: bytes | None = None
        self._keeps_index = True
        self._emit: Emit = ignore
        self.settled: pending.Settled | None = None
        self._head: tuple[str | None, str | None] = (None, None)

    @cached_property
    def _by_link(self) -> bool:
        from nbexp.formats import config

        try:
            return config.read(self.root / ".dvc", home=home()).is_on("core", "hardlink_lock")
        except ProjectFileError:
            return False  # DVC does not get as far as its lock either

    @cached_property
    def _dvc_lock(self) -> DvcLock:
        return DvcLock(self._dvc_tmp, by_link=self._by_link)

    @contextmanager
    def held(self, emit: Emit) -> Iterator[InPlace]:
        """Wait for other commands and put right what a killed one left; others wait until it ends.

        What the command asks for is to be looked at inside only: before, another command's
        half-written files may be there.

        Raises
        ------
        UsageError
            This is a stage of the command that holds the workspace: it would wait for itself. Or it is no
            workspace of the user's, but that of an isolated run.
        StoreError
            A dvc command held its lock for half a minute.
        """
        self._emit = emit
        self._refuse_nesting()
        self._lock.acquire(on_wait=lambda holder: self._waiting("another nbexp command", holder))
        try:
            self._take_dvc_lock()
            if self.journal.is_open:
                pending.drop(self.root)  # first: what it belongs to is rolled back
            recover(self.journal, emit)
            self.settled = pending.complete(self.git, self.root)
            yield self
        finally:
            self._dvc_lock.release()
            self._lock.release()

    def begin(self, op: str, *, keeps_index: bool = True) -> None:
        """Open the journal: from here to `finish` or `roll_back` files may change.

        `op` is the command as the user knows it, for messages: "run low-lr", "apply low-lr". With
        `keeps_index` the user's index ends with the bytes it has now, whatever stages put into it.
        """
        self._keeps_index = keeps_index
        self._index = filesystem.read(self.git.folder / "index")
        self._head = (self.git.branch(), self.git.head())
        self.journal.begin(op, self.uid)

    @contextmanager
    def changing(self, op: str) -> Iterator[None]:
        """From `begin` to `finish`; rolled back when what is inside fails."""
        self.begin(op)
        try:
            yield
        except BaseException:
            self.roll_back()
            raise
        self.finish()

    def write(self, path: str, data: bytes) -> None:
        self.journal.write(self._from_top(path), data)

    def remember(self, path: str) -> None:
        self._note_hash(path)
        self.journal.copy_aside(self._from_top(path))

    def set_aside(self, path: str) -> None:
        self._note_hash(path)
        self.journal.set_aside(self._from_top(path))

    def carry_over(self, path: str) -> None:
        self.carry_over_below_top(self._from_top(path))

    def carry_over_below_top(self, path: str) -> None:
        """`carry_over` for a path from the top of the Git work tree."""
        old, new = self.journal.aside(path), self.git.root / path
        if old is not None and old.is_dir() and not old.is_symlink():
            hides = DvcIgnores(self.root).below(new)
            _copy_hidden(old, new, "", hides or (lambda _path, _is_dir: False))

    @contextmanager
    def declared(self, reads: Sequence[str], writes: Sequence[str]) -> Iterator[None]:
        self._dvc_lock.release()
        self._take_dvc_lock(reads, writes)
        with declared(self._dvc_tmp, reads, writes, by_link=self._by_link):
            yield

    @contextmanager
    def waiting(self) -> Iterator[None]:
        # DVC lets go of its lock while a command runs, and a command may call `dvc` itself.
        self._dvc_lock.release()
        try:
            yield
        finally:
            # However long a `dvc push` takes: what the command has made is not given up for it.
            self._dvc_lock.take(patient=True, on_wait=lambda by: self._waiting("dvc", by))

    def undo_point(self, made: Mapping[str, str] = {}) -> NewCommit | None:
        """The commit that lets `undo` go back to how it was when this opened.

        `made` are the hashes of paths (relative to the project's root) that have just been made so.
        """
        return undo.point(
            self.journal,
            self.cache,
            root=self.git.root,
            place=undo_place(self.git, self.root),
            hashes=self._hashes,
            made={self._from_top(path): md5 for path, md5 in made.items()},
        )

    def unflushed(self) -> set[str]:
        """The files that were written and are not flushed to disk yet, and their folders."""
        return self.journal.unflushed()

    def started(self) -> float:
        """Note that stages begin now; the time, by the clock of the file system, which may not be this machine's."""
        marker = self.journal.folder / _STARTED
        filesystem.atomic_write(marker, b"", durable=False)
        return marker.stat().st_mtime

    def edited(self, changed: Sequence[str]) -> list[str]:
        """Those of the paths that changed since stages began and that the journal will not put back.

        A stage that edits what it does not list as an output, or the user meanwhile.
        """
        try:
            began_s = (self.journal.folder / _STARTED).stat().st_mtime
        except OSError:
            return []
        known = [line.path for line in self.journal.lines]
        left = [path for path in changed if not any(is_inside(path, one) for one in known)]
        return [path for path in left if _changed_s(self.git.root / path) >= began_s]

    def restore_index(self) -> None:
        """Give the user's index the bytes it had: tools in a stage may have staged files.

        Not when somebody committed or changed branches: the old index would undo that in the next commit.
        """
        if not self._keeps_index:
            return
        path = self.git.folder / "index"
        if (
            filesystem.read(path) != self._index
            and (self.git.branch(), self.git.head()) == self._head
        ):
            if self._index is None:
                filesystem.remove(path)
            else:
                filesystem.atomic_write(path, self._index)

    def finish(self) -> None:
        """Keep what was done."""
        with uninterrupted():
            self.restore_index()
            self.journal.finish()

    def roll_back(self) -> list[str]:
        """Put everything back; paths the user edited meanwhile stay and are named."""
        with uninterrupted():
            self.restore_index()
            return self.journal.roll_back()

    def _take_dvc_lock(
        self, reads: Sequence[str] | None = None, writes: Sequence[str] | None = None
    ) -> None:
        """Take DVC's lock once no stage that DVC runs clashes with the paths (None: with any)."""
        has_said = False
        while True:
            self._dvc_lock.take(
                patient=reads is not None, on_wait=lambda by: self._waiting("dvc", by)
            )
            found = others(self._dvc_tmp, reads, writes, by_link=self._by_link)
            if not found:
                return
            self._dvc_lock.release()
            if not has_said:
                has_said = True
                self._waiting("a command that works on these files", found[0])
            time.sleep(_LOOK_S)

    def _waiting(self, what: str, holder: str) -> None:
        self._emit(Notice(f"Waiting for {what} ({holder or 'unknown'})."))

    def _refuse_nesting(self) -> None:
        if "/.dvc/tmp/nbexp/wt/" in f"{self.root.as_posix()}/":
            raise UsageError(
                "These are the files of a run beside a project's own, which the next run makes anew. "
                "Nothing was changed.",
                "a stage may read (`nbexp show`), but not run, apply or undo.",
            )
        uid = os.environ.get(process.MARKER, "").partition(".")[0]
        if uid and self._lock.held() and uid == self.journal.peek_uid():
            raise UsageError(
                "This is a stage of a run that holds the workspace. Nothing was changed.",
                "a stage may read (`nbexp show`), but not run, apply or undo.",
            )

    def _from_top(self, path: str) -> str:
        place = posixpath.join(self.prefix, path)
        # A params file of the repository that a project in a folder of it reads.
        return posixpath.normpath(place) if path.startswith("../") else place

    def _note_hash(self, path: str) -> None:
        key = self._from_top(path)
        if key not in self._hashes:
            self._hashes[key] = self.cache.hash(self.root / path)


@contextmanager
def uninterrupted() -> Iterator[list[int]]:
    """Hold interrupts back while inside, from Git's processes too; the list tells of those that came.

    For what is short and must not be left half done. On another thread than the main one, which gets
    no interrupts, it does nothing.
    """
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield came
        return
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    # A terminal interrupts the whole process group; what is started now inherits the mask.
    masks = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield came
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)


def recover(journal: Journal, emit: Emit) -> None:
    """Roll back what a killed command left half done; the caller holds the workspace's lock."""
    if not journal.is_open:
        journal.sweep()
        return
    journal.read()
    process.kill_run(journal.uid, journal.folder.parent / "runs" / journal.uid)
    folders = journal.folders
    edited = journal.roll_back()
    journal.sweep()
    for folder in folders:
        # The lock is ours: whatever was being written there belongs to the command that is dead.
        filesystem.sweep(folder, 0)
    what = journal.op or "command"
    kept = f" Edited since, and so left alone: {', '.join(edited)}." if edited else ""
    emit(Notice(f"A `{what}` that was killed half-way has been rolled back.{kept}"))


def explain_rollback(error: NbexpError, edited: Sequence[str]) -> None:
    """Say in the error which paths could not be put back because they were edited meanwhile."""
    if edited:
        error.message += f" Edited meanwhile, and so left as it is: {', '.join(edited)}."
        error.args = (error.message,)


def _copy_hidden(old: Path, new: Path, inner: str, hides: Callable[[str, bool], bool]) -> None:
    """Copy what is no part of an output (ignored files, links to folders) unless the new one has it."""
    import shutil

    for entry in os.scandir(old / inner):
        path, is_link = posixpath.join(inner, entry.name), entry.is_symlink()
        if not hides(path, entry.is_dir()) and not (is_link and entry.is_dir()):
            if entry.is_dir():
                _copy_hidden(old, new, path, hides)
            continue
        target = new / path
        if os.path.lexists(target) or (new.exists() and not new.is_dir()):
            continue
        leads = is_link and os.path.exists(entry.path)
        if leads and not os.path.exists(target.parent / os.readlink(entry.path)):
            continue  # what it led to is of the old output: here it would lead nowhere
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.is_dir() and not is_link:
            shutil.copytree(entry.path, target, symlinks=True)
        else:
            shutil.copy2(entry.path, target, follow_symlinks=False)


_STARTED = "started"


def _changed_s(path: Path) -> float:
    """When the file was last changed; nobody knows of one that is gone, so it counts as long ago."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
