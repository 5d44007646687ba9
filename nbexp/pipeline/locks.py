"""Keeping real `dvc` and nbexp out of each other's way on one clone.

DVC takes `.dvc/tmp/lock` (a `flock`, content ` <pid>`) for most commands and lets go of it while a
stage's command runs; meanwhile `.dvc/tmp/rwlock` says which paths are being read and written. Both
are honoured here in the same way (DVC 3.67.1, formats.md 4.6). Everything else nbexp locks, it locks
with files of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import StoreError

WAIT_S = 30.0


class DvcLock:
    """DVC's repository lock, held by this process between `take` and `release`."""

    def __init__(self, dvc_tmp: Path) -> None:
        self._lock = filesystem.FileLock(dvc_tmp / "lock")

    def take(self) -> None:
        """Wait for the lock, up to `WAIT_S` seconds.

        Raises
        ------
        StoreError
            Another command held it all that time; it is named.
        """
        try:
            self._lock.acquire(timeout_s=WAIT_S)
        except filesystem.Locked as locked:
            raise StoreError(
                f"A dvc command ({locked.holder or 'unknown'}) holds .dvc/tmp/lock. "
                "Nothing was changed.",
                "wait until it is done and try again.",
            ) from None

    def release(self) -> None:
        """Let go; harmless when not held."""
        self._lock.release()


@contextmanager
def declared(dvc_tmp: Path, reads: Sequence[str], writes: Sequence[str]) -> Iterator[None]:
    """While inside, DVC's `rwlock` says that this process reads and writes these absolute paths."""
    entry = {"pid": os.getpid(), "cmd": "nbexp run"}
    _edit(dvc_tmp, lambda lock: _enter(lock, entry, reads, writes))
    try:
        yield
    finally:
        _edit(dvc_tmp, lambda lock: _leave(lock, entry, reads, writes))


class _Rwlock(dict[str, dict[str, object]]):
    pass


def _enter(
    lock: _Rwlock, entry: dict[str, object], reads: Sequence[str], writes: Sequence[str]
) -> None:
    for path in writes:
        lock["write"][path] = entry
    for path in reads:
        holders = lock["read"].setdefault(path, [])
        assert isinstance(holders, list)
        holders.append(entry)


def _leave(
    lock: _Rwlock, entry: dict[str, object], reads: Sequence[str], writes: Sequence[str]
) -> None:
    for path in writes:
        if lock["write"].get(path) == entry:
            del lock["write"][path]
    for path in reads:
        holders = lock["read"].get(path)
        if isinstance(holders, list):
            if entry in holders:
                holders.remove(entry)
            if not holders:
                del lock["read"][path]


def _edit(dvc_tmp: Path, change: object) -> None:
    assert callable(change)
    dvc_tmp.mkdir(parents=True, exist_ok=True)
    with filesystem.FileLock(dvc_tmp / "rwlock.lock"):
        path = dvc_tmp / "rwlock"
        lock = _load(path)
        change(lock)
        filesystem.atomic_write(path, json.dumps(lock).encode(), durable=False)


def _load(path: Path) -> _Rwlock:
    """What is declared; nothing if the file is absent, or was left broken by a killed dvc."""
    try:
        stored = json.loads(path.read_bytes())
        read, write = dict(stored.get("read", {})), dict(stored.get("write", {}))
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        return _Rwlock(read={}, write={})
    return _Rwlock(
        read={place: holders for place, holders in read.items() if isinstance(holders, list)},
        write={place: holder for place, holder in write.items() if isinstance(holder, dict)},
    )
