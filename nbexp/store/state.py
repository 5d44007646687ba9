"""The memo: what files, objects and directories were found to hold, and other derived facts.

One SQLite file that may vanish at any time: lost or damaged, it costs time and nothing else.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from nbexp.filesystem import crash_point
from nbexp.store.reading import Stamp

if TYPE_CHECKING:
    import sqlite3

R = TypeVar("R")

_VERSION = 1
_TABLES = """
CREATE TABLE files (path BLOB PRIMARY KEY, inode INTEGER, mtime INTEGER, size INTEGER, md5 TEXT) WITHOUT ROWID;
CREATE TABLE objects (md5 TEXT PRIMARY KEY, inode INTEGER, mtime INTEGER, size INTEGER) WITHOUT ROWID;
CREATE TABLE trees (path BLOB PRIMARY KEY, stamps TEXT, md5 TEXT, kind TEXT) WITHOUT ROWID;
CREATE TABLE facts (kind TEXT, key BLOB, value BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""
_BEGIN_ANEW_BYTES = (
    1 << 29
)  # rows of paths that are gone are never looked for; this many are dropped at once
_CORRUPT = (11, 26)  # SQLITE_CORRUPT, SQLITE_NOTADB
_BUSY = (5, 6)  # SQLITE_BUSY, SQLITE_LOCKED
_BUSY_S = 2.0
_abandoned: list[object] = []  # connections of a parent process: closing them here would harm it


class State:
    """Digests by path and stamp, and other derived facts, in one SQLite file that may vanish at any time.

    Keys are bytes, since a path need not be valid text. Rows wait in memory for `flush`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._files: dict[str, tuple[Stamp, str]] = {}
        self._objects: dict[str, Stamp] = {}
        self._trees: dict[str, tuple[str, str, str]] = {}
        self._facts: dict[tuple[str, str], str] = {}

    def get(self, name: str) -> tuple[Stamp, str] | None:
        row = self._files.get(name)
        if row is not None:
            return row
        rows = self._ask("SELECT inode, mtime, size, md5 FROM files WHERE path = ?", (_key(name),))
        return ((rows[0][0], rows[0][1], rows[0][2]), rows[0][3]) if rows else None

    def objects(self, md5s: Sequence[str]) -> dict[str, Stamp]:
        """The stamps under which these objects were found to have the digest of their name."""
        found: dict[str, Stamp] = {}
        for part in _parts_of(md5s):
            marks = ",".join("?" * len(part))
            found.update(
                (md5, (inode, mtime, size))
                for md5, inode, mtime, size in self._ask(
                    f"SELECT md5, inode, mtime, size FROM objects WHERE md5 IN ({marks})",  # noqa: S608 - marks
                    part,
                )
            )
        for md5 in md5s if self._objects else ():
            if md5 in self._objects:
                found[md5] = self._objects[md5]
        return found

    def below(self, prefix: str) -> dict[str, tuple[Stamp, str]]:
        """All rows of paths that start with `prefix`."""
        start = _key(prefix)
        rows = self._ask(
            "SELECT path, inode, mtime, size, md5 FROM files WHERE path >= ? AND path < ?",
            (start, start[:-1] + bytes([start[-1] + 1])),
        )
        found: dict[str, tuple[Stamp, str]] = {
            _text(path): ((inode, mtime, size), md5) for path, inode, mtime, size, md5 in rows
        }
        with self._lock:
            found.update((n, row) for n, row in self._files.items() if n.startswith(prefix))
        return found

    def get_tree(self, name: str) -> tuple[str, str, str] | None:
        """The digest of a directory's stat data, its hash then, and the link type it was stored or restored by."""
        row = self._trees.get(name)
        if row is not None:
            return row
        rows = self._ask("SELECT stamps, md5, kind FROM trees WHERE path = ?", (_key(name),))
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def memos(self, kind: str, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        if len(keys) > _MANY:
            # One walk over all of the kind is cheaper than to look up most of it.
            found = self._all_memos(kind)
            if len(found) != len(keys) or not found.keys() >= set(keys):
                wanted = set(keys)
                found = {key: value for key, value in found.items() if key in wanted}
        for part in _parts_of(keys) if len(keys) <= _MANY else ():
            marks = ",".join("?" * len(part))
            rows = self._ask(
                f"SELECT key, value FROM facts WHERE kind = ? AND key IN ({marks})",  # noqa: S608 - marks
                [kind, *(_key(key) for key in part)],
            )
            found.update((_text(key), _text(value)) for key, value in rows)
        for key in keys if self._facts else ():
            value = self._facts.get((kind, key))
            if value is not None:
                found[key] = value
        return found

    def _all_memos(self, kind: str) -> dict[str, str]:
        """Every memo of a kind, as text that SQLite itself decodes: a third of the time, where all is UTF-8."""
        import sqlite3

        asked = "SELECT {} FROM facts WHERE kind = ?"

        def read(connection: sqlite3.Connection) -> dict[str, str]:
            try:
                rows = connection.execute(
                    asked.format("CAST(key AS TEXT), CAST(value AS TEXT)"), [kind]
                )
                return dict(rows.fetchall())
            except (sqlite3.OperationalError, UnicodeDecodeError):  # an odd path, or worse
                rows = connection.execute(asked.format("key, value"), [kind])
                return {_text(key): _text(value) for key, value in rows}

        with self._lock:
            return self._try(read) or {}

    def put(self, name: str, stamp: Stamp, md5: str) -> None:
        with self._lock:
            self._files[name] = (stamp, md5)

    def put_object(self, md5: str, stamp: Stamp) -> None:
        with self._lock:
            self._objects[md5] = stamp

    def put_many(
        self, files: Mapping[str, tuple[Stamp, str]], objects: Mapping[str, Stamp]
    ) -> None:
        """As `put` and `put_object` for each."""
        with self._lock:
            self._files.update(files)
            self._objects.update(objects)

    def put_tree(self, name: str, stamps: str, md5: str, kind: str) -> None:
        with self._lock:
            self._trees[name] = (stamps, md5, kind)

    def remember(self, kind: str, facts: Mapping[str, str]) -> None:
        with self._lock:
            self._facts.update(((kind, key), value) for key, value in facts.items())

    def flush(self) -> None:
        with self._lock:
            rows = _Rows(self._files, self._objects, self._trees, self._facts)
            if not any(rows):
                return
            self._files, self._objects, self._trees, self._facts = {}, {}, {}, {}
            self._try(lambda connection: _write_rows(connection, rows))

    def close(self) -> None:
        self.flush()
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
                self._connection = None

    def _ask(self, question: str, values: Sequence[object]) -> list[Any]:
        with self._lock:
            rows = self._try(lambda connection: connection.execute(question, values).fetchall())
        return rows or []

    def _try(self, work: Callable[[sqlite3.Connection], R]) -> R | None:
        """What `work` gives; a damaged database is begun anew, an unusable one replaced by memory, a busy one left."""
        import sqlite3

        for place in (self._path, None, None):
            try:
                return work(self._open())
            except (sqlite3.Error, OSError) as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code in _BUSY:
                    return None
                self._drop()
                if place is not None and code in _CORRUPT:
                    self._begin_anew()
                else:
                    self._connection = _connect(None)
        return None

    def _open(self) -> sqlite3.Connection:
        if self._process != os.getpid():  # SQLite must not be carried over a fork
            _abandoned.append(self._connection)
            self._connection, self._process = None, os.getpid()
        if self._connection is None:
            self._connection = _connect(self._path)
        return self._connection

    def _drop(self) -> None:
        import sqlite3

        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                pass

    def _begin_anew(self) -> None:
        remove_database(self._path)


_MANY = 2_000  # keys of one question


def _connect(path: Path | None) -> sqlite3.Connection:
    """A database with our tables; in memory without a path."""
    import sqlite3

    if path is not None:
        try:
            if path.stat().st_size > _BEGIN_ANEW_BYTES:
                remove_database(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        ":memory:" if path is None else path,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # Losing the last rows in a power cut is fine, and saves a flush per transaction.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                for (table,) in connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table'"
                ).fetchall():
                    connection.execute(f'DROP TABLE "{table}"')
                for statement in filter(str.strip, _TABLES.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def digest_in(rows: Mapping[str, tuple[Stamp, str]], key: str, stamp: Stamp) -> str:
    """The digest that rows, as `State.below` gives them, have for a file with this stamp; "" for none."""
    row = rows.get(key)
    return row[1] if row is not None and row[0] == stamp else ""


def remove_database(path: Path) -> None:
    """Remove a database with the files beside it that SQLite keeps; missing is fine."""
    for end in ("", "-wal", "-shm", "-journal"):
        try:
            os.unlink(f"{path}{end}")
        except OSError:
            pass


class _Rows(NamedTuple):
    """What waits to be written."""

    files: dict[str, tuple[Stamp, str]]
    objects: dict[str, Stamp]
    trees: dict[str, tuple[str, str, str]]
    facts: dict[tuple[str, str], str]


def _write_rows(connection: sqlite3.Connection, rows: _Rows) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
            [
                (name.encode("utf-8", "surrogateescape"), *stamp, md5)
                for name, (stamp, md5) in rows.files.items()
            ],
        )
        connection.executemany(  # sorted, so that pages of the tree are filled one after the other
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
            [(md5, *stamp) for md5, stamp in sorted(rows.objects.items())],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO trees VALUES (?, ?, ?, ?)",
            [(_key(name), *row) for name, row in rows.trees.items()],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO facts VALUES (?, ?, ?)",
            [(kind, _key(key), _key(value)) for (kind, key), value in rows.facts.items()],
        )
        crash_point("state.flush")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def _parts_of(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), 500):  # SQLite before 3.32 takes 999 values at most
        yield names[start : start + 500]
