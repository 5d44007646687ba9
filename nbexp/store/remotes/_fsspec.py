"""What the remotes that fsspec speaks to have in common: `Remote` in each file is a few lines onto this.

A kind says which class of fsspec it is, what its settings are called there, and whether the storage makes an object
appear whole (`is_atomic`). Where it does not, bytes are put under a temporary name in `files/` and renamed.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from nbexp import filesystem
from nbexp.errors import StoreError
from nbexp.formats.config import Value
from nbexp.store.remotes import Entry, Moved, without_secrets

_STRAY_S = 24 * 3600.0
# Of this machine, not of the storage: who calls must know them.
_OURS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE})


class FsspecRemote:
    """A storage behind fsspec. Subclasses give `package`, `extra` and `connect`."""

    package = ""  # which has to be installed
    extra = ""  # of `pip install 'nbexp[…]'`
    is_atomic = True
    page = 1000

    def __init__(self, url: str, settings: Mapping[str, Value]) -> None:
        self.url = without_secrets(url)
        self.jobs = min(32, 4 * (os.cpu_count() or 1))
        self._address = url
        self._settings = settings
        self._lock = threading.Lock()
        self._fs: Any = None
        self._folders: set[str] = set()
        self._begun = False

    # What each kind says --------------------------------------------------------------------------

    def connect(self) -> Any:
        """The file system of fsspec, made from `self._address` and `self._settings`."""
        raise NotImplementedError

    def root(self) -> str:
        """What stands before a key in a path of that file system, without a slash at the end."""
        raise NotImplementedError

    def md5_of(self, info: Mapping[str, Any]) -> str | None:
        """The MD5 of the bytes, if what the storage says of an object has it."""
        return None

    # The contract ---------------------------------------------------------------------------------

    def exists(self, key: str) -> Entry | None:
        try:
            info = self._said(lambda: self._open().info(self._path(key)))
        except FileNotFoundError:
            return None
        if info.get("type") == "directory":
            return None
        return Entry(key, int(info["size"]), self.md5_of(info))

    def get(self, key: str, target: Path, moved: Moved) -> None:
        path = self._path(key)

        def fetch() -> None:
            self._open().get_file(path, os.fspath(target), callback=_Told(moved))

        self._said(fetch)
        # Some write an empty file for what is not there; others leave none for an empty one.
        if not target.exists():
            if self.exists(key) is None:
                raise FileNotFoundError(key)
            target.touch()

    def put(self, source: Path, key: str, moved: Moved) -> None:
        name = self._path(key)
        fresh = name
        if not self.is_atomic:
            self._begin()
            fresh = self._path(f"files/{filesystem.temporary(Path()).name}")
            self._make_folder(key.rpartition("/")[0])

        def send() -> None:
            fs = self._open()
            try:
                self.upload(fs, os.fspath(source), fresh, _Told(moved))
                if fresh != name:
                    self.rename(fs, fresh, name)
            except BaseException:
                if fresh != name:
                    _try(lambda: fs.rm_file(fresh))
                raise

        self._said(send)

    def remove(self, key: str) -> None:
        try:
            self._said(lambda: self._open().rm_file(self._path(key)))
        except FileNotFoundError:
            pass

    def list(self, prefix: str) -> Iterator[Entry]:
        folder = prefix.rpartition("/")[0]
        top = self._path(folder) if folder else self.root()
        try:
            found = self._said(lambda: self._find(top))
        except FileNotFoundError:
            return
        top = self.root().strip("/")
        for name, info in found.items():
            key = name.strip("/").removeprefix(top).lstrip("/")
            if key.startswith(prefix) and not filesystem.is_temporary(key.rpartition("/")[2]):
                yield Entry(key, int(info["size"]), self.md5_of(info))

    def flush(self) -> None:
        """What such a storage has acknowledged is its own affair."""

    def close(self) -> None:
        self._fs = None

    # Beside the contract --------------------------------------------------------------------------

    def look(self) -> Mapping[str, object] | None:
        """What the storage says of the object at the address itself; None when none is there."""
        try:
            info: Mapping[str, object] = self._said(lambda: self._open().info(self.itself()))
        except FileNotFoundError:
            return None
        return None if info.get("type") == "directory" else info

    def itself(self) -> str:
        """The address as a path of the file system."""
        return self.root()

    # How it is done -------------------------------------------------------------------------------

    def upload(self, fs: Any, source: str, path: str, told: Any) -> None:
        """Send a file to a path."""
        fs.put_file(source, path, callback=told)

    def rename(self, fs: Any, old: str, new: str) -> None:
        """Give what is complete its name, whatever has it now."""
        fs.mv(old, new)

    def _find(self, top: str) -> dict[str, Any]:
        fs = self._open()
        fs.invalidate_cache()
        found: dict[str, Any] = fs.find(top, detail=True)
        return {name: info for name, info in found.items() if info.get("type") != "directory"}

    def _path(self, key: str) -> str:
        return f"{self.root()}/{key}"

    def _open(self) -> Any:
        if self._fs is None:
            with self._lock:
                if self._fs is None:
                    try:
                        self._fs = self.connect()
                    except ImportError as error:
                        raise self._not_installed(error) from None
        return self._fs

    def _begin(self) -> None:
        """Make the folder of what is under way, and remove what was left in it long ago."""
        if self._begun:
            return
        self._make_folder("files")
        with self._lock:
            if self._begun:
                return
            self._begun = True
        fs = self._open()
        for info in self._said(lambda: fs.ls(self._path("files"), detail=True)):
            name = str(info["name"])
            if filesystem.is_temporary(name.rstrip("/").rpartition("/")[2]):
                age = _age_s(info)
                if age is not None and age > _STRAY_S:
                    _try(partial(fs.rm_file, name))

    def _make_folder(self, folder: str) -> None:
        if folder in self._folders:
            return

        def make() -> None:
            fs = self._open()
            try:
                fs.makedirs(self._path(folder), exist_ok=True)
            except Exception:
                if not fs.isdir(self._path(folder)):
                    raise

        self._said(make)
        self._folders.add(folder)

    def _said(self, work: Callable[[], Any]) -> Any:
        """What `work` gives; what the libraries raise becomes one sentence without secrets."""
        try:
            return work()
        except (StoreError, FileNotFoundError, KeyboardInterrupt, ImportError):
            raise
        except OSError as error:
            if error.errno in _OURS and error.filename is not None:
                raise
            raise self._refused(error) from None
        except Exception as error:
            if type(error).__module__.startswith("nbexp."):
                raise
            if _says_missing(error):
                raise FileNotFoundError(str(error)) from None
            raise self._refused(error) from None

    def _refused(self, error: BaseException) -> StoreError:
        said = " ".join(str(error).split()) or type(error).__name__
        text = without_secrets(said, self._settings)[:300].rstrip(".")
        return StoreError(
            f"The storage {self.url} refused: {text}.",
            "`nbexp remote list` shows where it is said to be; its settings say how to log in.",
        )

    def _not_installed(self, error: ImportError) -> StoreError:
        name = self.package or str(error.name)
        return StoreError(
            f"{self.url} needs the package `{name}`, which is not installed.",
            f"pip install 'nbexp[{self.extra}]'" if self.extra else f"pip install {name}",
        )

    def _text(self, name: str) -> str | None:
        value = self._settings.get(name)
        return None if value is None else str(value)

    def _number(self, name: str) -> float | None:
        value = self._settings.get(name)
        try:
            return None if value is None else float(str(value))
        except ValueError:
            raise StoreError(
                f"The setting `{name}` of {self.url} is `{value}`; a number is expected."
            ) from None

    def _flag(self, name: str, default: bool = False) -> bool:
        value = self._settings.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        raise StoreError(
            f"The setting `{name}` of {self.url} is `{value}`; true or false is expected."
        )

    def _verifying(self) -> bool | str:
        """`ssl_verify`: true, false, or the path of a file of certificates."""
        value = self._settings.get("ssl_verify")
        if value is None or str(value).lower() == "true":
            return True
        return False if str(value).lower() == "false" else str(value)

    def _password(self, name: str = "password") -> str | None:
        """The password, asked for at the terminal where the settings say so."""
        found = self._text(name)
        if found is None and self._flag(f"ask_{name}"):
            import getpass

            found = getpass.getpass(f"{name} for {self.url}: ")
            self._settings = {**self._settings, name: found}
        return found


class _Told:
    """fsspec's callback, as far as transfers use it: told of more bytes, or of how many there are by now."""

    def __init__(self, moved: Moved) -> None:
        self._moved = moved
        self._count = 0
        self.size: int | None = None
        self.value = 0

    def relative_update(self, inc: int = 1) -> None:
        self._count += inc
        self._moved(inc)

    def absolute_update(self, value: int) -> None:
        self._moved(value - self._count)
        self._count = value

    def set_size(self, size: int | None) -> None:
        self.size = size

    def branched(self, *_: object, **__: object) -> _Told:
        return self

    def branch_coro(self, work: Callable[..., Any]) -> Callable[..., Any]:
        return work

    def wrap(self, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self.relative_update()
            yield item

    def wrap_attr(self, file: Any, *_: object, **__: object) -> Any:
        return file

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def settings_given(settings: Mapping[str, object]) -> dict[str, Any]:
    """Those that have a value."""
    return {name: value for name, value in settings.items() if value is not None}


def plain_md5(etag: object) -> str | None:
    """An ETag that is the MD5 of the bytes: 32 hex digits; one with a dash is of several parts."""
    found = re.fullmatch(r'"?([0-9a-f]{32})"?', str(etag))
    return found[1] if found else None


def _says_missing(error: Exception) -> bool:
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return status in (404, "404") or type(error).__name__ in ("ResourceNotFound", "SFTPNoSuchFile")


def _age_s(info: Mapping[str, Any]) -> float | None:
    for name in ("mtime", "modified", "last_modified", "LastModified"):
        found: Any = info.get(name)
        if hasattr(found, "timestamp"):
            return time.time() - float(found.timestamp())
        if isinstance(found, (int, float)):
            return time.time() - found
    return None


def _try(work: Callable[[], object]) -> None:
    """Do what is only for tidiness."""
    try:
        work()
    except Exception:  # noqa: BLE001 - the libraries' own trees of errors
        pass
