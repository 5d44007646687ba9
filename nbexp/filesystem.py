"""Files as nbexp needs them: whole or not at all, locked, linked, listed, and never outside a folder.

Everything is written under a temporary name beside its target and renamed, so that a process killed at
any instruction leaves the old bytes or the new ones under the final name. What a killed process does
leave, `.nbexp-*.tmp`, is invisible to `walk` and removed by `sweep`.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count as counting
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

if TYPE_CHECKING:
    import threading

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

T = TypeVar("T")

CRASH_POINTS = frozenset(
    {
        "write.written",  # the temporary file is complete, the target still old
        "write.replaced",  # the target is new, its folder not yet flushed
        "place.linked",  # the link or copy stands under its temporary name
        "add.hashed",  # the digest is known, nothing stored
        "add.copied",  # the bytes stand under a temporary name in the cache
        "add.stored",  # one object has its final name
        "add.listed",  # every file of a directory is stored, its `.dir` object not
        "add.linked",  # one workspace file was replaced by a link to its object
        "share.stored",  # a push has moved its data, no ref
        "share.pushed",  # every ref of a push is set, its notes are not sent
        "share.fetched",  # the commits of a pull are here, its data is not
        "share.brought",  # and its data, but nothing has a name yet
        "checkout.checked",  # every object was found good, the path is untouched
        "checkout.built",  # the new tree is complete beside the path
        "checkout.moved",  # the old tree is out of the way, the new one not in place
        "checkout.swapped",  # the new tree is in place, the old one not yet removed
        "remote.copied",  # an object stands in a folder remote under a temporary name
        "remote.stored",  # an object of a folder remote has its final name
        "transfer.arrived",  # objects of a remote are verified, and not yet in the cache
        "transfer.stored",  # some of them are in the cache, the directory that lists them is not
        "data.added",  # one target of `data add` has its `.dvc` file, the journal is still open
        "data.committed",  # one stage of `data commit` has its entry, the journal is still open
        "data.checked_out",  # one output of `data checkout` is in place, the journal is still open
        "gc.removed",  # one object that nothing needs is gone, others are still there
        "site.written",  # the new site is complete beside the folder, which is still as it was
        "site.swapped",  # the new site is in place, the old one not yet removed
        "run.saved",  # a run-cache entry has its final name
        "journal.begun",  # the journal is open, nothing has changed
        "journal.kept",  # a file's old bytes are safe, the file is still old
        "journal.wrote",  # a file is new
        "journal.removed",  # a file is gone
        "journal.moving",  # an output's move is announced, it is still there
        "journal.moved",  # an output is out of the way
        "journal.put_back",  # the rollback has put back one path
        "journal.finishing",  # everything is done, the journal says otherwise
        "journal.finished",  # the journal is out of the way, its rubbish is not removed
        "cell.ended",  # a cell that is an experiment has run, nothing of it is stored
        "cell.stored",  # its executed notebook is in the cache, nothing is committed
        "save.hashed",  # `save` has hashed one stage and written its records
        "record.before",  # stages are done, nothing is recorded
        "record.noted",  # the note of an experiment is there, the experiment has no ref yet
        "record.done",  # the experiment has its ref, the journal is still open
        "checkpoint.asking",  # a stage's process has written its request, which has no name yet
        "checkpoint.asked",  # the request is there
        "checkpoint.taken",  # the engine has taken it up, nothing is done
        "checkpoint.kept",  # the outputs of the step are in the cache and on disk
        "checkpoint.committed",  # the step is the tip of the experiment's ref
        "checkpoint.answering",  # and nobody is told yet
        "checkpoint.answered",  # whoever asked is told
        "apply.wrote",  # some files are those of the experiment
        "apply.checked_out",  # some outputs are those of the experiment
        "undo.back",  # the files are as before, which steps that was is written down and not yet counted
        "undo.counted",  # the steps are counted, the note of it is still there
        "trash.before",  # nothing is removed or brought back
        "trash.done",  # it is
        "gc.dropped",  # what nbexp kept has lost its refs, its files are still there
        "freeze.looking",  # what is to be frozen is known, nothing is written
        "freeze.copied",  # files to be copied are kept, the frozen state has no ref
        "freeze.named",  # it has one
        "slot.taking",  # a slot's lock is held, nothing says what runs there
        "slot.taken",  # something does, nothing runs yet
        "slot.leaving",  # nothing runs any more, the slot's note is still there
        "worktree.forgetting",  # a work tree is about to be made anew, the old one is there
        "worktree.forgotten",  # the repository knows it no more, its files are there
        "worktree.adding",  # its folder is there, Git knows nothing of it
        "worktree.added",  # Git knows it, it has no files
        "worktree.reading",  # its HEAD is the new baseline, its files are the old ones
        "worktree.read",  # tracked files are the new ones, what the run before left is there
        "worktree.cleaned",  # nothing but tracked files is there
        "isolated.ready",  # all that the run needs is there
        "isolated.done",  # the experiment is recorded, the slot still taken
        "sweep.keeping",  # what a sweep starts from is frozen, nothing names it
        "sweep.kept",  # the sweep has its name, nobody leads it
        "sweep.starting",  # the process that leads it is about to be started
        "sweep.started",  # it is, and leads nothing yet
        "sweep.changing",  # how a sweep goes on is about to be written down
        "sweep.changed",  # it is written down, nothing has come of it
        "sweep.pruning",  # a trial is to be stopped, the queue does not know of it
        "sweep.pruned",  # the queue knows of it, the trial still runs
        "sweep.ending",  # all trials are over, the sweep is not
        "state.flush",  # rows are in the transaction, which is not committed
        "queue.adding",  # the snapshot of a batch has its ref, the queue does not know of it
        "queue.added",  # its tasks are in the queue
        "queue.claiming",  # a worker is about to take a task
        "queue.claimed",  # it is the worker's, nothing has run
        "queue.fencing",  # the result's commit is on disk, the queue does not know of it
        "queue.fenced",  # the queue knows of it, it has no name yet
        "queue.finishing",  # it has its name, the queue does not know of that
        "queue.finished",  # the task is done, the snapshot of its batch is still there
        "queue.ending",  # a run has failed, the queue does not know of it
        "queue.ended",  # the queue knows of it, the snapshot of its batch is still there
        "queue.returning",  # a worker that was told to go has ended its run
        "queue.returned",  # the task waits again
        "queue.recovering",  # what a dead worker left is killed, its task is still said to run
        "queue.recovered",  # its task waits again, or is over
        "queue.adopting",  # the result of a dead worker is about to get its name
        "queue.adopted",  # it has it, the task is not said to be done
        "queue.settling",  # the last task of a batch is over, its snapshot has its ref
        "queue.settled",  # the ref is gone
        "queue.spawning",  # a worker is about to be started
        "queue.spawned",  # it is, and has not been waited for
        "queue.changing",  # somebody is about to stop, move, edit, retry or remove tasks
        "queue.changed",  # it is done
        "queue.rebuilding",  # a new database is complete, under a temporary name
        "queue.rebuilt",  # it is in its place
    }
)

_PREFIX, _SUFFIX = ".nbexp-", ".tmp"
# What is copied at a time. Where the kernel does not do it: written in pieces of 1 MiB, 2 GiB take 0.9 s on ext4 where the
# kernel has memory at hand that was used just now, and 5 s where it looks for whole blocks of it; these take 1 s.
_SENT_BYTES = 8 << 20
_BUFFER = 128 << 10
_SCATTERED_FROM, _FOLDERS = 1000, 8
_FICLONE = 0x40049409  # linux/fs.h
_BINARY: int = getattr(os, "O_BINARY", 0)
_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_FLUSHES_AT_ONCE = 8
_no_reflinks: set[int] = set()  # devices that refused one; asking costs as much as a small copy


class Locked(Exception):
    """Another process holds the lock; `holder` is its "pid command", or empty when it did not say."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"held by {holder or 'another process'}")
        self.holder = holder


class Outside(Exception):
    """A path that must not be written; the text is a sentence that names it and says why."""


def crash_point(name: str) -> None:
    """Kill this process when `NBEXP_CRASH` is `name`, or `name@n` on the n-th call; else do nothing.

    The signal is SIGKILL: no handler, no `finally`, as a power cut would be. Names are listed in `CRASH_POINTS`.
    """
    assert name in CRASH_POINTS, name
    if not _crash:
        return
    point, _, nth = _crash.partition("@")
    if point != name:
        return
    if next(_hits.setdefault(name, counting(1))) == int(nth or 1):  # no call of any thread is lost
        if sys.platform == "win32":
            os._exit(137)
        import signal

        os.kill(os.getpid(), signal.SIGKILL)


_crash = os.environ.get("NBEXP_CRASH")  # asked once: some points are passed for each of many files
_hits: dict[str, Iterator[int]] = {}


def make_folders(folder: str, *, is_shared: bool) -> None:
    """Make a folder and those above it; what is made in shared ones belongs to the group, as DVC has it."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for one in reversed(missing):
        try:
            os.mkdir(one)
        except FileExistsError:
            if not os.path.isdir(one):
                raise
            continue  # another thread or process was first
        if is_shared:
            os.chmod(one, 0o2775)  # noqa: S103 - DVC's


def temporary(folder: Path) -> Path:
    """A fresh name in `folder` that `walk` leaves out and `sweep` removes; nothing is created."""
    return folder / _fresh()


@contextmanager
def scattered(folder: Path, count: int) -> Iterator[tuple[str, ...]]:
    """Folders to make `count` temporary files in: `folder`, or several inside it that are removed in the end.

    Two processes that make 20,000 files in one folder of ext4 stand in each other's way: 4.4 s, in eight folders 1.5 s.
    """
    if count < _SCATTERED_FROM:
        yield (os.fspath(folder),)
        return
    top = temporary(folder)
    try:
        os.mkdir(top)
        folders = tuple(os.fspath(top / str(number)) for number in range(_FOLDERS))
        for each in folders:
            os.mkdir(each)
        yield folders
    finally:
        remove(top)


def temporary_in(folders: Sequence[str]) -> str:
    """As `temporary`, in one of `scattered` folders."""
    return f"{folders[next(_turns) % len(folders)]}{os.sep}{_fresh()}"


_turns = counting()


def _fresh() -> str:
    return f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"


def is_temporary(name: str) -> bool:
    """Whether a file of that name is one of nbexp's own unfinished ones."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def read(path: Path) -> bytes | None:
    """The bytes of a file; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def atomic_write(path: Path, data: bytes, *, mode: int | None = None, durable: bool = True) -> None:
    """Make `path` hold exactly `data`, or leave it as it was.

    Parameters
    ----------
    path
        Replaced even when it is a symbolic link: the link goes, what it pointed to stays. Missing parent
        folders are made.
    mode
        Permission bits; None keeps those of an existing file and otherwise follows the umask.
    durable
        Flush the file and its folder to disk, so that the new bytes survive a power cut (0.7 ms).
    """
    target = os.fspath(path)
    folder = os.path.dirname(target)
    fresh = os.path.join(folder, _fresh())
    if mode is None:
        mode = _mode_of(target)
    try:
        descriptor = _create(fresh, mode)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        descriptor = _create(fresh, mode)
    try:
        _fill(descriptor, data, mode, durable=durable)
        crash_point("write.written")
        os.replace(fresh, target)
    except BaseException:
        _unlink(fresh)
        raise
    crash_point("write.replaced")
    if durable:
        sync_folder(Path(folder))


def sync_folder(folder: Path) -> None:
    """Flush the names in `folder` to disk, where the system has such a call."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(names: Iterable[str]) -> None:
    """Flush files and folders to disk, all at once; those that are gone are left out.

    Flushes that wait side by side share the disk's work: six take little longer than one.
    """
    wanted = set(names)
    if len(wanted) == 1:
        errors: list[OSError] = []
        _sync_each([*wanted], errors)
        if errors:
            raise errors[0]
    else:
        sync_soon(wanted)()


def sync_soon(names: Iterable[str]) -> Callable[[], None]:
    """Begin to flush files and folders; what is returned waits until they are on disk, or raises OSError."""
    left = list(set(names))
    errors: list[OSError] = []
    threads: list[threading.Thread] = []
    if left:
        import threading

        count = min(len(left), _FLUSHES_AT_ONCE)
        threads = [
            threading.Thread(target=_sync_each, args=(left, errors), daemon=True)
            for _ in range(count)
        ]
    for thread in threads:
        thread.start()

    def wait() -> None:
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    return wait


def _sync_each(left: list[str], errors: list[OSError]) -> None:
    """Flush names until none is left; several threads may do it."""
    while left and sys.platform != "win32":
        try:
            name = left.pop()
        except IndexError:
            return
        try:
            descriptor = os.open(name or ".", os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            continue
        except OSError as error:
            errors.append(error)


def _create(path: str, mode: int | None, folder: int | None = None) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | _NOFOLLOW
    return os.open(path, flags, 0o666 if mode is None else mode | 0o200, dir_fd=folder)


def _fill(descriptor: int, data: bytes, mode: int | None, *, durable: bool) -> None:
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if mode is not None and sys.platform != "win32":
            os.fchmod(descriptor, mode)  # what O_CREAT was given is cut by the umask
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mode_of(path: str, folder: int | None = None) -> int | None:
    try:
        found = os.stat(path, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    return stat.S_IMODE(found.st_mode) if stat.S_ISREG(found.st_mode) else None


def _unlink(path: str, folder: int | None = None) -> None:
    try:
        os.unlink(path, dir_fd=folder)
    except OSError:
        pass


# Paths that come from a file of the project -------------------------------------------------------


def check_inside(root: Path, relpath: str) -> Path:
    """The path of `relpath` below `root`, when it is one that a project's file may name.

    Raises
    ------
    Outside
        It is absolute, leaves `root` by `..` or through a symbolic link, lies in `.git` or `.dvc`, or has a name
        that another system cannot hold. Nothing was created.

    Notes
    -----
    The last component may be a symbolic link: writers replace it, they do not follow it.
    """
    parts = _parts(relpath)
    _resolved_folder(root, relpath, parts)
    return root.joinpath(*parts)


def write_inside(
    root: Path, relpath: str, data: bytes, mode: int | None = None, *, durable: bool = True
) -> None:
    """`atomic_write` below `root`, for a path that somebody else may have chosen.

    Folders are opened one by one without following links, each relative to the one before, so that
    a link slipped in between the check and the write is refused as well.

    Raises
    ------
    Outside
        As `check_inside`. Nothing was written.
    """
    parts = _parts(relpath)
    base, inner = _resolved_folder(root, relpath, parts)
    if sys.platform == "win32":
        atomic_write(Path(base, *inner, parts[-1]), data, mode=mode, durable=durable)
        return
    folder = _open_folder(base, inner, relpath)
    try:
        if mode is None:
            mode = _mode_of(parts[-1], folder)
        fresh = _fresh()
        descriptor = _create(fresh, mode, folder)
        try:
            _fill(descriptor, data, mode, durable=durable)
            crash_point("write.written")
            os.replace(fresh, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            _unlink(fresh, folder)
            raise
        crash_point("write.replaced")
        if durable:
            os.fsync(folder)
    finally:
        os.close(folder)


_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)}
)


def _parts(relpath: str) -> tuple[str, ...]:
    """The components of a relative posix path, when each may be created on any system."""
    if not relpath or "\0" in relpath:
        raise Outside(f"`{relpath!r}` is not a path.")
    if relpath.startswith("/") or (len(relpath) > 1 and relpath[1] == ":"):
        raise Outside(f"`{relpath}` is an absolute path; one inside the project is expected.")
    parts = tuple(part for part in relpath.split("/") if part not in ("", "."))
    if not parts:
        raise Outside(f"`{relpath}` is the project's folder itself; a path inside it is expected.")
    _check_parts(parts, relpath)
    return parts


def _check_parts(parts: Sequence[str], relpath: str) -> None:
    for part in parts:
        if part == "..":
            raise Outside(f"`{relpath}` leaves the project.")
        if part.lower() in (".git", ".dvc"):
            raise Outside(f"`{relpath}` lies in `{part}`, which holds the project's records.")
        if part[-1] in ". " or part.split(".")[0].lower() in _DEVICES:
            raise Outside(f"`{relpath}` has a component, `{part}`, that not every system can hold.")


def _resolved_folder(root: Path, relpath: str, parts: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The true place of `root`, and of the path's folder below it, with links followed."""
    base = os.path.realpath(root)
    folder = os.path.realpath(os.path.join(base, *parts[:-1]))
    if folder == base:
        return base, ()
    if not folder.startswith(os.path.join(base, "")):
        raise Outside(f"`{relpath}` leads out of the project through a symbolic link.")
    inner = tuple(folder[len(os.path.join(base, "")) :].split(os.sep))
    if inner != tuple(parts[:-1]):
        _check_parts(inner, relpath)
    return base, inner


def _open_folder(base: str, parts: Sequence[str], relpath: str) -> int:
    """A descriptor of the folder, made where it is missing; no component may be a link by now."""
    flags = os.O_RDONLY | os.O_DIRECTORY | _NOFOLLOW
    folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    for part in parts:
        try:
            try:
                inner = os.open(part, flags, dir_fd=folder)
            except FileNotFoundError:
                try:
                    os.mkdir(part, dir_fd=folder)
                except FileExistsError:
                    pass
                inner = os.open(part, flags, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Outside(
                    f"`{relpath}` passes through `{part}`, which is not a folder."
                ) from None
            raise
        finally:
            os.close(folder)
        folder = inner
    return folder


# Locks --------------------------------------------------------------------------------------------


class FileLock:
    """An exclusive lock that vanishes with its process; the file itself stays and means nothing.

    `flock` excludes real DVC too, whose lock file starts with a space and the pid; so does this one.
    Two objects of one process exclude each other; one object is not taken twice. A forked child
    does not hold what its parent holds, so a zygote's children cannot keep a dead worker's lock alive.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None

    def acquire(
        self,
        blocking: bool = True,
        timeout_s: float | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        """Take the lock, waiting for another holder if there is one.

        Parameters
        ----------
        blocking
            Off: do not wait.
        timeout_s
            Seconds to wait at most; None is for ever.
        on_wait
            Called once, with "pid command" of the holder, before the wait begins.

        Raises
        ------
        Locked
            Not waiting, or waited long enough.
        """
        if self._descriptor is not None:
            raise RuntimeError(f"{self.path} is held by this object already")
        descriptor = self._open()
        try:
            if not _try_patiently(descriptor):
                if not blocking:
                    raise Locked(self.holder())
                if on_wait is not None:
                    on_wait(self.holder())
                self._wait(descriptor, timeout_s)
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, f" {os.getpid()} {_command()}\n".encode())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _held.add(self)

    def release(self) -> None:
        """Let go; not holding it is fine."""
        descriptor, self._descriptor = self._descriptor, None
        _held.discard(self)
        if descriptor is not None:
            try:
                os.ftruncate(descriptor, 0)
            finally:
                _unlock(descriptor)
                os.close(descriptor)

    def held(self) -> bool:
        """Whether another process, or another object of this one, holds the lock now."""
        if self._descriptor is not None or not self.path.exists():
            return False
        descriptor = self._open()
        try:
            if not _try_lock(descriptor, shared=True):
                return True
            _unlock(descriptor)
            return False
        finally:
            os.close(descriptor)

    @property
    def is_mine(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def is_at_its_path(self) -> bool:
        """Whether the file that this object has locked is still the one at the path."""
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def holder(self) -> str:
        """What the last holder wrote: "pid command", or empty."""
        try:
            return self.path.read_bytes()[:500].decode(errors="replace").strip()
        except OSError:
            return ""

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | _BINARY
        try:
            return os.open(self.path, flags, 0o666)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, flags, 0o666)

    def _wait(self, descriptor: int, timeout_s: float | None) -> None:
        if timeout_s is None and sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not _try_lock(descriptor):
            if end is not None and time.monotonic() >= end:
                raise Locked(self.holder())
            time.sleep(0.02)


_held: set[FileLock] = set()


def _let_go_in_child() -> None:
    for lock in list(_held):
        descriptor, lock._descriptor = lock._descriptor, None
        if descriptor is not None:
            os.close(descriptor)  # closes a copy: the parent's lock stands
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def _try_patiently(descriptor: int) -> bool:
    """`_try_lock`, again while others merely look: `held()` takes the lock, shared, for microseconds."""
    end = time.monotonic() + 1  # one that is suspended while it looks
    refused = 0
    while not _try_lock(descriptor):
        if _try_lock(descriptor, shared=True):
            _unlock(descriptor)
        else:
            # On Windows, whoever looks has the lock for itself, too.
            refused += 1
        if refused > 3 or time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def _command() -> str:
    words = [os.path.basename(sys.argv[0]), *sys.argv[1:3]] if sys.argv else []
    return " ".join(words).replace("\n", " ")[:200] or "python"


if sys.platform == "win32":

    def _try_lock(descriptor: int, *, shared: bool = False) -> bool:  # noqa: ARG001 - Windows has none
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # past the holder's text, which others must read
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


# Links, lists, removal ----------------------------------------------------------------------------


def place(source: Path, target: Path, kinds: Sequence[str]) -> str:
    """Make `target` the content of `source` by the first of `kinds` that works, and say which.

    Whatever file or link stood at `target` is replaced in one step; its folder must exist.

    Parameters
    ----------
    kinds
        Of "reflink", "hardlink", "symlink" and "copy", in the order to try. A copy or reflink is an own file
        with the mode that the umask gives; a hard link shares mode and bytes; a symbolic link is absolute.

    Raises
    ------
    OSError
        No kind worked; the last one's error. The target is as it was.
    """
    fresh = temporary(target.parent)
    try:
        kind = link(source, fresh, kinds)
        crash_point("place.linked")
        os.replace(fresh, target)
        if kind == "hardlink":
            # POSIX: renaming one name of a file onto another name of the same file does nothing.
            _unlink(os.fspath(fresh))
    except BaseException:
        _unlink(os.fspath(fresh))
        raise
    return kind


def link(source: Path | str, target: Path | str, kinds: Sequence[str]) -> str:
    """As `place` for a target that does not exist yet and that nobody looks at; a third cheaper."""
    error: OSError | None = None
    for kind in kinds:
        try:
            _LINKS[kind](source, target)
        except OSError as refused:
            if refused.errno in (errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EEXIST):
                raise
            error = refused
        else:
            return kind
    raise error or OSError(errno.EINVAL, "no kind of link was given", os.fspath(target))


def _reflink(source: Path | str, target: Path | str) -> None:
    with open(source, "rb") as old:
        device = os.fstat(old.fileno()).st_dev
        if device in _no_reflinks:
            raise OSError(errno.EOPNOTSUPP, "reflinks are not supported here", os.fspath(target))
        if sys.platform == "darwin":
            _clone_file(source, target)
            return
        if sys.platform != "linux":
            raise OSError(errno.EOPNOTSUPP, "reflinks are not supported here", os.fspath(target))
        with open(target, "xb") as new:
            try:
                fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
                return
            except OSError as error:
                _unlink(os.fspath(target))
                if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS):
                    _no_reflinks.add(device)
                raise


def _clone_file(source: Path | str, target: Path | str) -> None:
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.clonefile(os.fsencode(source), os.fsencode(target), 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fspath(target))
    os.chmod(target, 0o666 & ~umask())


def _hardlink(source: Path | str, target: Path | str) -> None:
    os.link(source, target)


def _symlink(source: Path | str, target: Path | str) -> None:
    os.symlink(os.path.abspath(source), target)


def _copy(source: Path | str, target: Path | str) -> None:
    old = os.open(source, os.O_RDONLY | _BINARY)
    try:
        new = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        try:
            for _ in pour(old, new):
                pass
        except BaseException:
            _unlink(os.fspath(target))
            raise
        finally:
            os.close(new)
    finally:
        os.close(old)


def pour(source: int, target: int) -> Iterator[int]:
    """Write what is left of one open file to another, piece by piece; how many bytes each piece had.

    Small files at once; the rest of a big one goes from file to file in the kernel where that can be.
    """
    in_kernel = hasattr(os, "copy_file_range")
    while data := os.read(source, _BUFFER):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(target, rest) :]
        yield len(data)
        if not in_kernel or len(data) < _BUFFER:
            continue
        try:
            while count := os.copy_file_range(source, target, _SENT_BYTES):
                yield count
        except OSError as error:
            # Not between two file systems, or not in this sandbox; what is really wrong comes up again above.
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            in_kernel = False


_LINKS: dict[str, Callable[[Path | str, Path | str], None]] = {
    "reflink": _reflink,
    "hardlink": _hardlink,
    "symlink": _symlink,
    "copy": _copy,
}


def umask() -> int:
    """This process's umask, read once: asking for it means setting it, which other threads would see."""
    global _umask
    if _umask is None:
        _umask = os.umask(0o022)
        os.umask(_umask)
    return _umask


_umask: int | None = None


_NETWORK = frozenset(
    "nfs nfs4 cifs smb smb2 smb3 smbfs lustre gpfs beegfs ceph afs 9p glusterfs fuse.sshfs fuse.glusterfs".split()
)


def is_network(folder: Path, mounts: str = "/proc/self/mounts") -> bool:
    """Whether the folder is on a file system that other machines may share."""
    try:
        lines = Path(mounts).read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    place = f"{os.path.realpath(folder)}/"
    best = ("", "")
    for line in lines:
        words = line.split(" ")
        if len(words) < 3:
            continue
        mounted = words[1].replace("\\040", " ").rstrip("/") + "/"
        if place.startswith(mounted) and len(mounted) >= len(best[0]):
            best = (mounted, words[2])
    return best[1] in _NETWORK


@overload
def walk(
    folder: Path, skip: Callable[[str, bool], bool] | None = None
) -> Iterator[tuple[str, os.stat_result]]: ...


@overload
def walk(
    folder: Path,
    skip: Callable[[str, bool], bool] | None = None,
    *,
    keep: Callable[[os.stat_result], T],
) -> Iterator[tuple[str, T]]: ...


def walk(
    folder: Path,
    skip: Callable[[str, bool], bool] | None = None,
    *,
    keep: Callable[[os.stat_result], Any] = lambda status: status,
) -> Iterator[tuple[str, Any]]:
    """The files below `folder` as posix paths relative to it, with their stat, sorted by code points.

    A link to a file counts as that file; a link to a folder is not entered (DVC does the same). What is neither file
    nor folder is left out, and so are nbexp's own temporary files. Costs one `scandir` per folder, one `stat` per file.

    Parameters
    ----------
    skip
        Told each relative path and whether it is a folder, links to folders too; a folder it wants skipped is not
        entered. Where it has a method `frees`, that is asked once whether no file of a folder can be skipped but
        for being called `.git`; then it is not told of the others.
    keep
        Makes of each stat what is wanted of it: a whole one takes 1 kB, which of 20,000 files is felt.

    Raises
    ------
    OSError
        A folder cannot be read, a link points nowhere (ENOENT) or to itself (ELOOP).
    """
    found: list[tuple[str, Any]] = []
    _collect(os.fspath(folder), "", skip, keep, found)
    found.sort(key=itemgetter(0))
    yield from found


def _collect(
    folder: str,
    prefix: str,
    skip: Callable[[str, bool], bool] | None,
    keep: Callable[[os.stat_result], Any],
    found: list[tuple[str, Any]],
) -> None:
    folders: list[tuple[str, str]] = []
    frees: Callable[[str], bool] | None = getattr(skip, "frees", None)
    is_free = skip is None or (frees is not None and frees(prefix[:-1]))
    regular = stat.S_IFREG
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                continue
            relpath = prefix + name
            if entry.is_dir():
                if (skip is None or not skip(relpath, True)) and not entry.is_symlink():
                    folders.append((entry.path, relpath + "/"))
            elif (is_free and name != ".git") or skip is None or not skip(relpath, False):
                status = entry.stat()
                if status.st_mode & 0o170000 == regular:
                    found.append((relpath, keep(status)))
    for path, relpath in folders:
        _collect(path, relpath, skip, keep, found)


def remove(path: Path) -> None:
    """Remove a file, a link (not what it points to) or a whole tree, read-only ones too; missing is fine."""
    try:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode):
            _unlink_read_only(os.fspath(path))
            return
    except (FileNotFoundError, NotADirectoryError):
        return
    import shutil  # brings three compression libraries along: 4 ms

    def allow(_function: Callable[..., object], failed: str, _problem: object) -> None:
        """What could not be listed or deleted gets its permissions, and its folder too, and another try."""
        if not os.path.lexists(failed):
            return
        os.chmod(os.path.dirname(failed), 0o700)
        if os.path.islink(failed) or not os.path.isdir(failed):
            _unlink_read_only(failed)
        else:
            os.chmod(failed, 0o700)
            shutil.rmtree(failed)

    shutil.rmtree(path, onerror=allow)


def _unlink_read_only(path: str) -> None:
    try:
        os.unlink(path)
    except PermissionError:
        if sys.platform != "win32":
            raise
        os.chmod(path, stat.S_IWRITE)
        os.unlink(path)


def sweep(folder: Path, older_than_s: float, *, recursive: bool = False) -> int:
    """Remove what killed processes left in `folder`, and say how many; never fails.

    Parameters
    ----------
    older_than_s
        Seconds since the last change; younger ones may belong to a process at work.
    recursive
        Look into the folders below as well, links not followed.
    """
    limit = time.time() - older_than_s
    count = 0
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return 0
    for entry in entries:
        try:
            if is_temporary(entry.name):
                if _last_change(entry) <= limit:
                    remove(Path(entry.path))
                    count += 1
            elif recursive and entry.is_dir(follow_symlinks=False):
                count += sweep(Path(entry.path), older_than_s, recursive=True)
        except OSError:
            continue
    return count


def _last_change(entry: os.DirEntry[str]) -> float:
    """When a file was written, or something last put into a folder or one of those in it."""
    times = [entry.stat(follow_symlinks=False).st_mtime]
    if entry.is_dir(follow_symlinks=False):
        with os.scandir(entry.path) as inner:
            folders = [one for one in inner if one.is_dir(follow_symlinks=False)]
        times += [one.stat(follow_symlinks=False).st_mtime for one in folders]
    return max(times)
