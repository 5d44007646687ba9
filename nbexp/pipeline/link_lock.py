"""DVC's lock where `core.hardlink_lock` is on: for shared folders (NFS) whose `flock` cannot be relied on.

Who holds it has made the lock's path a second name of a file of its own, which only one can; the path is gone
again when it lets go. The file says `<path>|<host>|<pid>|<number>` and has a time of change in the future, until when
nobody may break the lock: a year, in DVC 3.67.1. An nbexp that died on this machine is found by its pid.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from nbexp import filesystem, hashing, pids

_LIFETIME_S = 365 * 24 * 3600
_SLOP_S = 10  # what clocks may differ by, as others assume it
_LOOK_S = 0.1


class LinkLock:
    """As `filesystem.FileLock`, for those who lock by a name instead of `flock`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._claim: Path | None = None

    def acquire(
        self, timeout_s: float | None = None, on_wait: Callable[[str], None] | None = None
    ) -> None:
        """Take the lock, waiting for another holder if there is one; see `filesystem.FileLock.acquire`."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        claim = self._new_claim()
        try:
            has_said = False
            while not self._taken(claim):
                if self._clear():
                    continue
                if on_wait is not None and not has_said:
                    has_said = True
                    on_wait(self.holder())
                if until is not None and time.monotonic() > until:
                    raise filesystem.Locked(self.holder())
                time.sleep(_LOOK_S)
        except BaseException:
            self._let_go(claim)
            raise
        self._claim = claim

    def release(self) -> None:
        """Let go; not holding it is fine."""
        claim, self._claim = self._claim, None
        if claim is not None:
            self._let_go(claim)

    def _let_go(self, claim: Path) -> None:
        if self._is_at_path(claim):
            filesystem.remove(self.path)
        filesystem.remove(claim)

    def _is_at_path(self, claim: Path) -> bool:
        try:
            return os.path.samefile(claim, self.path)
        except OSError:
            return False

    def holder(self) -> str:
        """The process that holds it: "pid on host", or empty."""
        try:
            _, host, pid, _ = self.path.read_text(errors="replace").strip().split("|")
        except (OSError, ValueError):
            return ""
        return pid if host == _host() else f"{pid} on {host}"

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

    def _new_claim(self) -> Path:
        """A file that says who asks; its name is DVC's, below the same folder."""
        number = int.from_bytes(os.urandom(8)) >> 1
        text = f"{self.path}|{_host()}|{os.getpid()}|{number}"
        name = hashing.md5(text.encode())
        claim = self.path.parent / f"{name}.lock"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        claim.write_text(text)
        later = time.time() + _LIFETIME_S
        os.utime(claim, (later, later))
        return claim

    def _taken(self, claim: Path) -> bool:
        try:
            os.link(claim, self.path)
        except FileExistsError:
            # NFS says so as well where an answer was lost and the question was put again.
            return self._is_at_path(claim)
        return True

    def _clear(self) -> bool:
        """Take away what is at the path and holds nobody off; whether it did.

        That is the lock of a dead nbexp of this machine, one that has expired, or the file of `flock`, which stays
        where the setting was off, and which nobody holds.
        """
        try:
            status = os.lstat(self.path)
            words = self.path.read_text(errors="replace")
        except OSError:
            return False
        parts = words.split("|")
        if len(parts) == 4 and parts[1] == _host() and parts[2].isdigit():
            is_over = not pids.is_there(int(parts[2]))
        elif not words.strip("\0\n") or words.startswith(" "):
            is_over = not filesystem.FileLock(self.path).held()
        else:
            is_over = False  # DVC's, which does not say whose it is
        if not is_over and status.st_mtime + _SLOP_S >= time.time():
            return False
        if not is_over and status.st_nlink == 1:
            return False
        # One at a time, or a second one would take away the lock of who came after the first.
        turn = filesystem.FileLock(self.path.with_name(f"{self.path.name}.clearing"))
        try:
            turn.acquire(blocking=False)
        except (filesystem.Locked, OSError):
            return (
                False  # somebody does it; or there is no `flock` here, and it is for a person to do
            )
        try:
            if os.path.samestat(status, os.lstat(self.path)):
                os.unlink(self.path)
        except FileNotFoundError:
            pass
        except OSError:
            return False  # not ours to take away
        finally:
            turn.release()
        return True


def _host() -> str:
    import socket  # 2 ms, and few have this lock

    return socket.gethostname()
