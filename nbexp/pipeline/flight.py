"""Single flight: of all processes that are about to do the same, one does it and the others take its result.

A stage is the same where its run-cache key is. Whoever runs it holds `stage-<key>.lock`, which ends with
its process however that ends; whoever waited looks into the run cache before it runs the stage itself.
"""

from __future__ import annotations

from pathlib import Path

from nbexp import filesystem


class Flight:
    """The lock of whoever runs the stage of this key; the file is there only while somebody does."""

    def __init__(self, folder: Path, key: str) -> None:
        self._lock = filesystem.FileLock(folder / f"stage-{key}.lock")

    def is_free(self) -> bool:
        """Take the lock if nobody has it; whether it is held now."""
        try:
            self._acquire(blocking=False)
        except filesystem.Locked:
            return False
        return True

    def wait(self) -> None:
        """Take the lock once whoever has it is done."""
        self._acquire(blocking=True)

    def holder(self) -> str:
        """The process that has it, for a message: "process 4711"."""
        pid = self._lock.holder().partition(" ")[0]
        return f"process {pid}" if pid else "another process"

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._lock.is_mine:
            # While it is held: nobody can have taken it in between, and who waits will notice.
            filesystem.remove(self._lock.path)
        self._lock.release()

    def _acquire(self, *, blocking: bool) -> None:
        while True:
            self._lock.acquire(blocking)
            if self._lock.is_at_its_path():
                return
            # The one before took the file away when it was done: this lock is of nothing.
            self._lock.release()
