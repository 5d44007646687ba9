"""Following what other processes do, without asking all the time: a number tells that something was written.

SQLite's `data_version` changes with every write of another process and costs a few microseconds, so asking it twenty
times a second is a third of a percent of a core. Logs are files: what was written since is read from where one was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from nbexp.queue.rows import Happened
from nbexp.queue.store import Store

ACTIVE_S, SILENT_S = 0.05, 0.25
_SILENCE_S = 5.0
_BUFFER = 1 << 18


class Watcher:
    """Waits for changes of a queue; `poll` never waits.

    Parameters
    ----------
    since
        The last line of the history that is known already; None: the newest.
    """

    def __init__(self, store: Store, since: int | None = None) -> None:
        self._store = store
        self._version: int | None = None
        self.seq = store.last_event() if since is None else since
        self._last_news = time.monotonic()

    def poll(self) -> list[Happened]:
        """What happened since the last time, oldest first."""
        version = self._store.data_version()
        # This process's own writes do not change the number.
        if version == self._version and self._store.last_event() <= self.seq:
            return []
        self._version = version
        found = self._store.events(self.seq)
        if not found and self._store.last_event() < self.seq:
            self.seq = 0  # the database was made anew
            found = self._store.events(0)
        if found:
            self.seq = found[-1].seq
            self._last_news = time.monotonic()
        return found

    def pause(self) -> None:
        """Sleep as long as it is right: shorter while something goes on."""
        is_silent = time.monotonic() - self._last_news > _SILENCE_S
        time.sleep(SILENT_S if is_silent else ACTIVE_S)

    def wait(self, timeout_s: float | None = None) -> list[Happened]:
        """What happened, once something has; nothing after `timeout_s`."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            found = self.poll()
            if found or (end is not None and time.monotonic() >= end):
                return found
            self.pause()


class Follower:
    """A file that grows, read from where one was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read(self) -> Iterator[bytes]:
        """What was written since; nothing while there is no such file."""
        try:
            file = open(self.path, "rb")  # noqa: SIM115 - closed below, an iterator may be left early
        except OSError:
            return
        try:
            if os.fstat(file.fileno()).st_size < self._offset:
                self._offset = 0  # it was begun anew
            file.seek(self._offset)
            while data := file.read(_BUFFER):
                self._offset += len(data)
                yield data
        finally:
            file.close()
