"""A folder, on this disk or a mounted one: `/mnt/data`, `../store`, `file:///mnt/data`.

Objects are read-only, as DVC leaves them. They are copies, by reflink where the file system has that, and never hard
links to the cache: a backup that shares its bytes with what it backs up is none.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nbexp import filesystem
from nbexp.errors import StoreError
from nbexp.filesystem import crash_point
from nbexp.formats.config import Value
from nbexp.store import two_processes
from nbexp.store.remotes import Entry, Moved

SETTINGS = {
    "shared": "`group`: the members of the folder's group may add to it",
    "type": "read and ignored: how files are linked is for `cache.type`",
    "protected": "read and ignored",
    "slow_link_warning": "read and ignored",
}

_READ_ONLY = 0o444
_ENTRY = 0o644  # DVC's, of the run cache: nothing takes it for "verified"
_SMALL = 1 << 20
_STRAY_S = 24 * 3600.0
_BINARY: int = getattr(os, "O_BINARY", 0)


class Remote:
    """A folder; bytes get their name by a rename, when all of them are there."""

    page = 8

    def __init__(self, url: str, settings: Mapping[str, Value]) -> None:
        path = unquote(urlsplit(url).path) if url.startswith("file://") else url
        self.url = path
        self.jobs = 2 if (os.cpu_count() or 1) > 1 else 1
        self._root = os.path.abspath(path)
        # DVC takes every name below `files/md5` for an object.
        self._unfinished = Path(self._root, "files")
        self._shared = settings.get("shared") == "group"
        self._begun = False
        self._lock = threading.Lock()

    def exists(self, key: str) -> Entry | None:
        try:
            status = os.stat(f"{self._root}/{key}")
            return Entry(key, status.st_size) if stat.S_ISREG(status.st_mode) else None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._refused(error) from None

    def get(self, key: str, target: Path, moved: Moved) -> None:
        source = f"{self._root}/{key}"
        try:
            size = os.stat(source).st_size
            self._copy(source, os.fspath(target), size, moved)
        except (FileNotFoundError, NotADirectoryError):
            if os.path.exists(source):
                raise StoreError(f"The folder {target.parent} is not there.") from None
            raise FileNotFoundError(key) from None

    def put(self, source: Path, key: str, moved: Moved) -> None:
        self._begin()
        name = f"{self._root}/{key}"
        fresh = os.fspath(filesystem.temporary(self._unfinished))
        try:
            self._copy(os.fspath(source), fresh, os.stat(source).st_size, moved)
            os.chmod(fresh, _ENTRY if key.startswith("runs/") else _READ_ONLY)
            crash_point("remote.copied")
            try:
                os.replace(fresh, name)
            except FileNotFoundError:
                self._make_folder(os.path.dirname(name))
                os.replace(fresh, name)
        except BaseException as error:
            filesystem.remove(Path(fresh))
            if isinstance(error, OSError):
                raise self._refused(error) from None
            raise
        crash_point("remote.stored")

    def put_small(
        self, asked: Sequence[tuple[str, str, int]], done: Callable[[int], None]
    ) -> list[int]:
        """Store many small files, given by path, key and size, on two processors; those that are left to `put`.

        `done` is called for each that is stored.
        """
        small = [index for index, (_, _, size) in enumerate(asked) if size < _SMALL]
        if len(small) < two_processes.FROM:
            return [*range(len(asked))]
        self._begin()
        try:
            for folder in {key.rpartition("/")[0] for _, key, _ in asked}:
                self._make_folder(f"{self._root}/{folder}")
        except OSError as error:
            raise self._refused(error) from None
        left = {*range(len(asked))}

        def keep(number: int, is_stored: bool | None) -> None:
            if is_stored:
                left.discard(small[number])
                done(small[number])
                crash_point("remote.stored")

        pairs = [
            (asked[index][0], f"{self._root}/{asked[index][1]}", asked[index][2]) for index in small
        ]
        with filesystem.scattered(self._unfinished, len(pairs)) as folders:
            two_processes.each(store_small, folders, pairs, keep)
        return sorted(left)

    def remove(self, key: str) -> None:
        try:
            os.unlink(f"{self._root}/{key}")
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise self._refused(error) from None

    def list(self, prefix: str) -> Iterator[Entry]:
        folder, _, start = prefix.rpartition("/")
        yield from self._listed(folder, start)

    def flush(self) -> None:
        if self._begun and sys.platform == "linux":
            import ctypes

            descriptor = os.open(self._root, os.O_RDONLY)
            try:
                ctypes.CDLL(None).syncfs(descriptor)
            finally:
                os.close(descriptor)
        elif self._begun and sys.platform != "win32":
            os.sync()

    def close(self) -> None:
        """Nothing is kept open."""

    def _listed(self, folder: str, start: str) -> Iterator[Entry]:
        inner = f"{folder}/" if folder else ""
        try:
            entries = list(os.scandir(f"{self._root}/{folder}"))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._refused(error) from None
        for entry in entries:
            if not entry.name.startswith(start) or filesystem.is_temporary(entry.name):
                continue
            if entry.is_dir():
                yield from self._listed(inner + entry.name, "")
            else:
                yield Entry(inner + entry.name, entry.stat().st_size)

    def _begin(self) -> None:
        """Make the folder for what is under way, and remove what was left there long ago."""
        if self._begun:
            return
        with self._lock:
            if not self._begun:
                try:
                    self._make_folder(os.fspath(self._unfinished))
                except OSError as error:
                    raise self._refused(error) from None
                filesystem.sweep(self._unfinished, _STRAY_S)
                self._begun = True

    def _make_folder(self, folder: str) -> None:
        filesystem.make_folders(folder, is_shared=self._shared)

    def _copy(self, source: str, target: str, size: int, moved: Moved) -> None:
        if size < _SMALL:
            _copy_small(source, target, size)
            moved(size)
            return
        try:
            filesystem.link(source, target, ["reflink"])
            moved(size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOENT):
                raise
            filesystem.remove(Path(target))
            _copy_big(source, target, moved)

    def _refused(self, error: OSError) -> StoreError:
        hint = "make room there." if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        return StoreError(f"The folder {self.url} refused: {error.strerror or error}.", hint)


def store_small(folders: tuple[str, ...], asked: tuple[str, str, int]) -> bool | None:
    """Copy a file to a name that it has when all of it is there; None where that cannot be."""
    source, target, size = asked
    fresh = filesystem.temporary_in(folders)
    try:
        _copy_small(source, fresh, size)
        os.chmod(fresh, _READ_ONLY)
        os.replace(fresh, target)
    except OSError:
        try:
            os.unlink(fresh)
        except OSError:
            pass  # it was not made
        return None
    return True


def _copy_small(source: str, target: str, size: int) -> None:
    """One read and one write: of 20,000 files this takes 60 % of the time of a loop."""
    old = os.open(source, os.O_RDONLY | _BINARY)
    try:
        data = os.read(old, size + 1)
    finally:
        os.close(old)
    new = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(new, rest) :]
    finally:
        os.close(new)


def _copy_big(source: str, target: str, moved: Moved) -> None:
    with (
        open(source, "rb", buffering=0) as old,
        open(target, "xb", buffering=0) as new,
    ):
        for count in filesystem.pour(old.fileno(), new.fileno()):
            moved(count)
