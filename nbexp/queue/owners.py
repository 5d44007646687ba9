"""Who runs tasks, and whether they are alive: each process that does has a lock of its own for as long as it lives.

    .dvc/tmp/nbexp/workers/<id>.lock    never used again, so whoever can take it knows that its process is dead
    .dvc/tmp/nbexp/slots/<slot>.lock    one per worker slot: caps the number of workers

No clock and no process id decides: a suspended process is alive, and one whose id came again is dead.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

from nbexp import filesystem

_FATAL = rb"Fatal Python error: ([^\n]+)"
_ERROR = rb"(?m)^(?:\w+\.)*(\w+(?:Error|Exception): [^\n]+)"


class Owner:
    """This process as an owner of tasks; the lock is taken on the first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = 0
        self._id = ""
        self._lock: filesystem.FileLock | None = None

    @property
    def id(self) -> str:
        """What tasks name their owner by; from here on this process is known to be alive."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._id = f"{boot()}-{os.getpid():x}-{os.urandom(5).hex()}"
            self._lock = filesystem.FileLock(lock_path(self._folder, self._id))
            self._lock.acquire(blocking=False)
        return self._id

    def close(self) -> None:
        """Own nothing any more."""
        lock, self._lock = self._lock, None
        if lock is not None and self._process == os.getpid():
            filesystem.remove(lock.path)  # while it is held, so that nobody takes a file that goes
            lock.release()
        self._process = 0


def lock_path(folder: Path, id: str) -> Path:
    """The lock that says whether an owner is alive."""
    return folder / "workers" / f"{id}.lock"


def log_path(folder: Path, id: str) -> Path:
    """Where a worker's own words go, as a rule none."""
    return folder / "workers" / f"{id}.log"


def slot_lock(folder: Path, slot: str) -> filesystem.FileLock:
    """The lock of whoever works in a slot."""
    return filesystem.FileLock(folder / "slots" / f"{slot}.lock")


def is_alive(folder: Path, id: str) -> bool:
    """Whether the owner of that name is there, which its lock proves; suspended is alive."""
    return filesystem.FileLock(lock_path(folder, id)).held()


def pid(folder: Path, id: str) -> int | None:
    """The process of an owner that is alive."""
    lock = filesystem.FileLock(lock_path(folder, id))
    if not lock.held():
        return None
    word = lock.holder().partition(" ")[0]
    found = int(word) if word.isdigit() else None
    return found if found is not None and id.startswith(boot()) and _has(found, lock.path) else None


def kill(folder: Path, id: str | None) -> None:
    """End an owner at once, suspended or not; what it ran is for `recovery` to settle."""
    found = pid(folder, id) if id is not None else None
    if found is not None and found != os.getpid():
        with suppress(OSError):
            os.kill(found, signal.SIGKILL)


def _has(pid: int, path: Path) -> bool:
    """Whether the process has the file open: of another machine or container, the number is somebody else's here."""
    folder = Path("/proc") / str(pid) / "fd"
    if not Path("/proc/self/fd").is_dir():
        return True  # not Linux: there is no way to tell
    try:
        return any(os.path.realpath(one) == os.path.realpath(path) for one in folder.iterdir())
    except OSError:
        return False


def boot() -> str:
    """Which start of the machine this is, in eight digits; zeros where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return "00000000"


def how_it_died(folder: Path, id: str, what: str = "worker") -> str:
    """Why an owner is gone that could not say so itself.

    A worker that is told to go gives its task back first, an error of its own is written down, and a crash leaves
    its name in the worker's log; what is left is the signal that nobody can answer, or the power.
    """
    if not id.startswith(boot()):
        return f"{what} died (the machine was started anew)"
    try:
        said = log_path(folder, id).read_bytes()
    except OSError:
        said = b""
    traceback = said.rpartition(b"Traceback (most recent call last)")
    found = re.search(_FATAL, said) or (re.search(_ERROR, traceback[2]) if traceback[1] else None)
    if found is not None:
        return f"{what} died ({found[1].decode(errors='replace')})"
    return f"{what} died (signal 9)"


def sweep(folder: Path, known: set[str]) -> None:
    """Remove the files of owners that are dead and own nothing."""
    try:
        entries = list(os.scandir(folder / "workers"))
    except OSError:
        return
    now = time.time()
    for entry in entries:
        owner, _, kind = entry.name.rpartition(".")
        try:
            # One that is being made is young, and not locked for an instant.
            if owner in known or now - entry.stat().st_mtime < 60:
                continue
            if kind == "lock":
                lock = filesystem.FileLock(Path(entry.path))
                lock.acquire(blocking=False)
                filesystem.remove(lock.path)
                lock.release()
            elif now - entry.stat().st_mtime > 86_400 and not is_alive(folder, owner):
                filesystem.remove(Path(entry.path))
        except (OSError, filesystem.Locked):
            continue
