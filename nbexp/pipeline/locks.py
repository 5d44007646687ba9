"""Keeping real `dvc` and nbexp out of each other's way on one clone.

DVC takes `.dvc/tmp/lock` (a `flock`, content ` <pid>`) for most commands and lets go of it while a
stage's command runs; meanwhile `.dvc/tmp/rwlock` says which paths are being read and written. Both
are honoured here in the same way (DVC 3.67.1, formats.md 4.6). Everything else nbexp locks, it locks
with files of its own. `by_link` is DVC's setting `core.hardlink_lock`: both files are then locked by a name.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nbexp import filesystem, pids
from nbexp.errors import StoreError
from nbexp.pipeline.graph import overlap
from nbexp.pipeline.link_lock import LinkLock

WAIT_S = 30.0


class DvcLock:
    """DVC's repository lock, held by this process between `take` and `release`."""

    def __init__(self, dvc_tmp: Path, *, by_link: bool = False) -> None:
        self._by_link = by_link
        self._lock = _lock(dvc_tmp / "lock", by_link=by_link)

    def take(self, *, patient: bool = False, on_wait: Callable[[str], None] | None = None) -> None:
        """Wait for the lock, up to `WAIT_S` seconds; `patient` waits as long as it takes.

        Raises
        ------
        StoreError
            Another command held it all that time; it is named.
        """
        try:
            self._lock.acquire(timeout_s=None if patient else WAIT_S, on_wait=on_wait)
        except filesystem.Locked as locked:
            raise StoreError(
                f"A dvc command ({locked.holder or 'unknown'}) holds .dvc/tmp/lock. "
                "Nothing was changed.",
                "wait until it is done and try again."
                if not self._by_link
                else "wait until it is done; if none runs, it was killed: remove .dvc/tmp/lock.",
            ) from None

    def release(self) -> None:
        """Let go; harmless when not held."""
        self._lock.release()


def others(
    dvc_tmp: Path,
    reads: Sequence[str] | None = None,
    writes: Sequence[str] | None = None,
    *,
    by_link: bool = False,
) -> list[str]:
    """The living commands ("pid command") whose declared paths these would clash with.

    Without paths: all that have declared any. Left out are commands that this process is a part of
    (a stage of DVC may call nbexp), and those that were killed with their declarations standing.
    """
    with _of_declarations(dvc_tmp, by_link=by_link):
        lock = _load(dvc_tmp / "rwlock")
    entries: list[object] = []
    for path, holder in lock["write"].items():
        if reads is None or any(overlap(path, other) for other in (*reads, *(writes or ()))):
            entries.append(holder)
    for path, holders in lock["read"].items():
        if isinstance(holders, list) and (
            reads is None or any(overlap(path, other) for other in writes or ())
        ):
            entries += holders
    own = _own_line()
    found: dict[str, None] = {}
    for entry in entries:
        pid = entry.get("pid") if isinstance(entry, dict) else None
        if isinstance(entry, dict) and isinstance(pid, int) and pid not in own:
            command = str(entry.get("cmd", ""))
            if _runs(pid, command):
                found[f"{pid} {command}"] = None
    return list(found)


def left_by_the_dead(dvc_tmp: Path, *, mend: bool = False, by_link: bool = False) -> list[str]:
    """What `rwlock` declares for commands ("pid command") that do not run any more; with `mend` it is taken out.

    `"(damaged)"` stands for a file that cannot be read: DVC stops at it, and `mend` begins it anew.
    """
    path = dvc_tmp / "rwlock"
    if not path.exists():
        return []
    dead: dict[str, None] = {}

    def clean(lock: _Rwlock) -> None:
        for holders in (lock["write"], lock["read"]):
            for place, entries in list(holders.items()):
                listed = entries if isinstance(entries, list) else [entries]
                alive = [entry for entry in listed if not _is_dead(entry, dead)]
                if isinstance(entries, list) and alive:
                    holders[place] = alive
                elif not alive:
                    del holders[place]

    if not _is_readable(path):
        dead["(damaged)"] = None
    if mend:
        _edit(dvc_tmp, clean, by_link=by_link)
    else:
        clean(_load(path))
    return list(dead)


def _is_dead(entry: object, dead: dict[str, None]) -> bool:
    pid = entry.get("pid") if isinstance(entry, dict) else None
    if isinstance(entry, dict) and isinstance(pid, int) and _runs(pid, str(entry.get("cmd", ""))):
        return False
    dead[f"{pid} {entry.get('cmd', '')}" if isinstance(entry, dict) else "(damaged)"] = None
    return True


def _is_readable(path: Path) -> bool:
    try:
        stored = json.loads(path.read_bytes())
    except ValueError:
        return False
    return isinstance(stored, dict) and all(
        isinstance(stored.get(kind, {}), dict) for kind in ("read", "write")
    )


@contextmanager
def declared(
    dvc_tmp: Path, reads: Sequence[str], writes: Sequence[str], *, by_link: bool = False
) -> Iterator[None]:
    """While inside, DVC's `rwlock` says that this process reads and writes these absolute paths."""
    entry = {"pid": os.getpid(), "cmd": "nbexp run"}
    _edit(dvc_tmp, lambda lock: _enter(lock, entry, reads, writes), by_link=by_link)
    try:
        yield
    finally:
        _edit(dvc_tmp, lambda lock: _leave(lock, entry, reads, writes), by_link=by_link)


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


def _lock(path: Path, *, by_link: bool) -> filesystem.FileLock | LinkLock:
    return LinkLock(path) if by_link else filesystem.FileLock(path)


@contextmanager
def _of_declarations(dvc_tmp: Path, *, by_link: bool) -> Iterator[None]:
    """The lock of `rwlock`, which is held for milliseconds.

    Raises
    ------
    StoreError
        It is a name, and stays: whoever held it was killed.
    """
    lock = _lock(dvc_tmp / "rwlock.lock", by_link=by_link)
    try:
        # A `flock` goes with its holder.
        lock.acquire(timeout_s=WAIT_S if by_link else None)
    except filesystem.Locked as locked:
        raise StoreError(
            f"A command ({locked.holder or 'unknown'}) has held .dvc/tmp/rwlock.lock for {WAIT_S:.0f} seconds.",
            "if it does not run any more, remove .dvc/tmp/rwlock.lock.",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _edit(dvc_tmp: Path, change: object, *, by_link: bool) -> None:
    assert callable(change)
    dvc_tmp.mkdir(parents=True, exist_ok=True)
    with _of_declarations(dvc_tmp, by_link=by_link):
        path = dvc_tmp / "rwlock"
        lock = _load(path)
        change(lock)
        _store(path, json.dumps(lock).encode())


# A write of no more than a page cannot be cut in two by a signal.
_ONE_PAGE = 4096


def _store(path: Path, data: bytes) -> None:
    """Write in place, as DVC does: a new file for each stage's beginning and end costs ten times as much."""
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        filesystem.atomic_write(path, data, durable=False)
        return
    try:
        size = os.fstat(descriptor).st_size
        if max(size, len(data)) > _ONE_PAGE or sys.platform == "win32":
            filesystem.atomic_write(path, data, durable=False)
            return
        # Killed between these two, it is followed by blanks, which JSON allows.
        os.pwrite(descriptor, data.ljust(size), 0)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def _own_line() -> set[int]:
    """This process and those it descends from, as far as `/proc` tells."""
    line, pid = {os.getpid()}, os.getppid()
    while pid > 1 and pid not in line:
        line.add(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            break
        pid = int(stat[stat.rindex(b")") + 2 :].split()[1])
    return line


def _runs(pid: int, command: str) -> bool:
    """Whether the process is that command still; process ids are used again."""
    if not pids.is_there(pid):
        return False
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
    program = os.path.basename(command.split(" ", 1)[0])
    return bool(words) and os.fsencode(program) in words


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
