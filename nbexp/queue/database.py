"""The queue's SQLite file: opened by many processes at once, and set aside and made anew where it is damaged.

Nothing here knows what stands in it but for its tables. A file that is cut short or damaged is kept beside the new one; one
that is replaced by another process is noticed by its inode; on file systems without shared memory a plain journal is used.
"""

from __future__ import annotations

import abc
import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from nbexp import filesystem
from nbexp.errors import QueueError
from nbexp.filesystem import crash_point
from nbexp.queue import rows

if TYPE_CHECKING:
    import sqlite3

P = ParamSpec("P")
R = TypeVar("R")

_BUSY_MS = 30_000
_ROOM_BYTES = 65_536  # twice what the shared memory of WAL takes at first
_CORRUPT = frozenset({11, 26})  # SQLITE_CORRUPT, SQLITE_NOTADB


class _Damaged(Exception):
    """The database was found damaged within a transaction, and is set aside: the call is made again."""


def mended(method: Callable[P, R]) -> Callable[P, R]:
    """Once more after the database was set aside and made anew."""

    @functools.wraps(method)
    def again(*args: P.args, **named: P.kwargs) -> R:
        try:
            return method(*args, **named)
        except _Damaged:
            return method(*args, **named)

    return again


class Database(abc.ABC):
    """The file, made on the first write.

    Parameters
    ----------
    path
        Where it is.
    damaged
        Told, in a sentence, that one was set aside, or what a new one was made of.
    """

    def __init__(self, path: Path, damaged: Callable[[str], None]) -> None:
        self.path = path
        self._damaged = damaged
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._is_full = True

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None and self._process == os.getpid():
                connection.close()

    def open(self) -> None:
        """Make the database if there is none; before a snapshot is made that a lost one would be made of."""
        self._guarded(lambda db: db.execute("SELECT 1"))

    @property
    def exists(self) -> bool:
        """Whether anything was ever queued or run here."""
        return self.path.exists()

    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Rows; none where nothing was ever written, for looking makes no file."""
        if not self.exists and self._connection is None:
            return []
        found: list[Any] = self._guarded(lambda db: db.execute(sql, list(values)).fetchall())
        return found

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """All that is inside happens, or nothing of it."""
        import sqlite3

        with self._lock:
            db: sqlite3.Connection = self._guarded(lambda db: self._begun(db, durable=durable))
            is_over = False
            try:
                yield db
                db.execute("COMMIT")
                is_over = True
            except sqlite3.Error as error:
                if self._is_damage(error):
                    self._set_aside()
                    raise _Damaged(str(error)) from None
                raise self._explained(error) from None
            finally:
                if not is_over and self._connection is db and db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")

    def _begun(self, db: sqlite3.Connection, *, durable: bool) -> sqlite3.Connection:
        if durable != self._is_full:
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._is_full = durable
        db.execute("BEGIN IMMEDIATE")
        # A page that is damaged is seen when it is read; a write would only make it worse.
        db.execute("SELECT count(*) FROM settings").fetchone()
        return db

    def _guarded(self, use: Callable[[sqlite3.Connection], Any]) -> Any:
        """What `use` makes of the database; one that is damaged is set aside and made anew first."""
        import sqlite3

        with self._lock:
            for attempt in (1, 2, 3):
                try:
                    return use(self._opened())
                except sqlite3.Error as error:
                    db = self._connection
                    if db is not None and db.in_transaction:
                        with suppress(sqlite3.Error):
                            db.execute("ROLLBACK")
                    if attempt == 3 or not self._is_damage(error):
                        raise self._explained(error) from None
                    self._set_aside()
            raise AssertionError

    def _is_damage(self, error: BaseException) -> bool:
        import sqlite3

        return isinstance(error, sqlite3.DatabaseError) and (
            getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT
            or ("no such table" in str(error) or "no such column" in str(error))
        )

    def _explained(self, error: BaseException) -> BaseException:
        import sqlite3

        if not isinstance(error, sqlite3.Error):
            return error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (5, 6):
            return QueueError(
                f"Another process kept {self._shown} busy for {_BUSY_MS // 1000} s. Nothing was changed.",
                "`nbexp queue status` shows who works.",
            )
        # On a full disk the memory that WAL shares cannot grow, which SQLite calls an I/O error.
        if code == 13 or (code == 10 and _is_full(self.path.parent)):
            return QueueError(
                f"The disk is full, so {self._shown} could not be written. Nothing was changed.",
                "make room on the disk; `nbexp gc` says what nbexp keeps.",
            )
        if code in (8, 14, 10):
            return QueueError(
                f"{self._shown} cannot be written: {error}. Nothing was changed.",
                "see who may write into .dvc/tmp, and whether its file system has room and locks.",
            )
        return error

    @property
    def _shown(self) -> str:
        return "the queue (.dvc/tmp/nbexp/queue.db)"

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._process != os.getpid():
            _abandoned.append(self._connection)
            self._connection = None
        if self._connection is not None:
            if self._is_the_file():
                return self._connection
            # Somebody has set it aside: this connection is of a file that nobody reads any more.
            self._connection.close()
            self._connection = None
        self._process = os.getpid()
        if not self.path.exists() or self.path.stat().st_size < 512 or self._is_cut():
            self._make()
        self._connection = self._connect(self.path)
        self._inode = _inode_of(self.path)
        _stores.add(self)
        self._is_full = True
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > rows.VERSION:
            self._connection.close()
            self._connection = None
            raise QueueError(
                f"{self._shown} was written by a newer nbexp. Nothing was changed.",
                "upgrade: `pip install -U nbexp`",
            )
        return self._connection

    def _is_cut(self) -> bool:
        """Whether the file is damaged so; not looked at where another store of this process has it open.

        That one has looked, and to close the file here would end its locks: POSIX drops all of a process's at the first
        `close` (sqlite.org/howtocorrupt.html, 2.2), and other processes would then take the log away from under it.
        """
        inode = _inode_of(self.path)
        is_open = any(
            one._connection is not None and one._inode == inode and one._process == os.getpid()
            for one in tuple(_stores)
        )
        return not is_open and _is_cut(self.path)

    def _is_the_file(self) -> bool:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False
        return self._inode == (found.st_dev, found.st_ino)

    def _connect(self, path: Path) -> sqlite3.Connection:
        import sqlite3

        db = sqlite3.connect(
            path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            (mode,) = db.execute("PRAGMA journal_mode").fetchone()
            if mode != "wal":
                db.execute("PRAGMA journal_mode = TRUNCATE")
            db.execute("PRAGMA synchronous = FULL")
        except BaseException:
            db.close()
            raise
        return db

    def _make(self) -> None:
        """Make the database, complete with what Git knows of a lost one, and put it in its place in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with filesystem.FileLock(self.path.parent / "locks" / "queue-made.lock"):
            # Another process may have been faster.
            if self.path.exists() and self.path.stat().st_size >= 512 and not self._is_cut():
                return
            if self.path.exists():
                self._put_away("it was cut short")
            for rest in _beside(self.path):
                filesystem.remove(rest)  # of no file any more; a new one would take it for its own
            # Always the same one: what a killed process left of it goes.
            new = self.path.with_name(".nbexp-queue.tmp")
            for rest in (new, *_beside(new)):
                filesystem.remove(rest)
            try:
                db = self._fresh(new)
                try:
                    found = self._fill(db)
                    if db.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    db.close()
                crash_point("queue.rebuilding")
                os.replace(new, self.path)
                crash_point("queue.rebuilt")
                filesystem.sync_folder(self.path.parent)
            finally:
                for rest in (new, *_beside(new)):
                    filesystem.remove(rest)
        if found is not None:
            self._damaged(found)

    @abc.abstractmethod
    def _fill(self, db: sqlite3.Connection) -> str | None:
        """Put into a database that is being made what of a lost one is known elsewhere, and say what that is."""

    def _fresh(self, path: Path) -> sqlite3.Connection:
        """A database with its tables; that it works with its journal is found out by writing it."""
        import sqlite3

        # WAL needs memory that all users of the file share: processes of one machine.
        modes = ("TRUNCATE",) if filesystem.is_network(path.parent) else ("WAL", "TRUNCATE")
        for mode in modes:
            db = sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None)
            try:
                # Some file systems take WAL, and fail on the first write.
                db.execute(f"PRAGMA journal_mode = {mode}")
                db.executescript(
                    f"BEGIN; {rows.TABLES} PRAGMA user_version = {rows.VERSION}; COMMIT;"
                )
                return db
            except sqlite3.OperationalError:
                db.close()
                if mode == modes[-1]:
                    raise
                for rest in (path, *_beside(path)):
                    filesystem.remove(rest)
            except BaseException:
                db.close()
                raise
        raise AssertionError

    def _set_aside(self) -> None:
        """Move the damaged database out of the way, unless another process has just done so."""
        damaged = self._inode
        self.close()
        with filesystem.FileLock(self.path.parent / "locks" / "queue-made.lock"):
            try:
                found = os.stat(self.path)
            except FileNotFoundError:
                return
            if damaged is not None and damaged != (found.st_dev, found.st_ino):
                return
            self._put_away("it is damaged")

    def _put_away(self, why: str) -> None:
        number = 1
        while (kept := self.path.with_name(f"queue.db.damaged-{number}")).exists():
            number += 1
        for rest in _beside(self.path):
            with suppress(FileNotFoundError):
                os.replace(rest, f"{kept}{rest.name.removeprefix(self.path.name)}")
        os.replace(self.path, kept)
        self._damaged(
            f"{self._shown[0].upper()}{self._shown[1:]} is set aside as {kept.name}: {why}."
        )


def _is_full(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM_BYTES


_stores: weakref.WeakSet[Database] = weakref.WeakSet()
_abandoned: list[object] = []  # connections of a parent process: closing them here would harm it


def _beside(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm", "-journal"))


def _inode_of(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _is_cut(path: Path) -> bool:
    """Whether the file is shorter than it says itself (sqlite.org/fileformat.html, 1.3), and no log mends that."""
    try:
        log = os.path.getsize(f"{path}-wal")
    except OSError:
        log = 0
    if log:
        return False
    with open(path, "rb") as file:
        header = file.read(100)
        size = os.fstat(file.fileno()).st_size
    if not header.startswith(b"SQLite format 3\0"):
        return True
    page = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    is_current = header[24:28] == header[92:96]
    return is_current and size < pages * (65536 if page == 1 else page)
