"""A worker: one process that takes task after task until none is left.

    python -m nbexp.queue.worker --root ROOT --slot 1         any task that waits, in order
    python -m nbexp.queue.worker --root ROOT --only UID       that one, in a slot that is free
    python -m nbexp.queue.worker --root ROOT --slot sweep-1.0 --batch BATCH
                                                              those of the batch, for which it is there

It leads a session of its own, so neither the cell nor the shell that started it takes it along. SIGTERM sends it
away: what it runs is ended and waits again. Nothing heavy is loaded here; notebooks have processes of their own.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Literal

from nbexp import filesystem
from nbexp.queue import owners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nbexp.queue.carrying import Why
    from nbexp.queue.rows import Task
    from nbexp.queue.site import Site

IDLE_S = 10.0
# How often a worker that has nothing to do looks for tasks of others that have died.
_RECOVER_S = 1.0
# What a stage gets to end itself when its task is stopped; Ctrl-C is more hurried.
GRACE_S = 10.0


def main(argv: list[str] | None = None) -> int:
    """Work until there is nothing left to do; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m nbexp.queue.worker")
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--slot")
    parser.add_argument("--batch")
    parser.add_argument("--only", metavar="UID")
    parser.add_argument("--idle", type=float, default=IDLE_S)
    args = parser.parse_args(argv)
    folder: Path = args.root / ".dvc" / "tmp" / "nbexp"
    if args.only is None:
        lock = owners.slot_lock(folder, args.slot)
        try:
            # First of all: whoever started it waits for that.
            lock.acquire(blocking=False)
        except filesystem.Locked:
            return 0
    from nbexp.queue.site import Site

    site = Site.at(args.root)
    _ = site.settings  # what is wrong with them is said to whoever starts it
    _redirect(owners.log_path(folder, site.owner.id))
    if args.only is not None:
        from nbexp.experiments import worktrees

        with worktrees.free_slot(args.root, "detached") as slot:
            worker = Worker(site, slot, None)
            worker.run_one(args.only)
    elif args.batch is not None:
        from nbexp.experiments import worktrees

        # Work trees are for whatever sweep comes next as well.
        with worktrees.free_slot(args.root, "sweep") as slot:
            worker = Worker(site, slot, lock, idle_s=args.idle, batch=args.batch)
            worker.run()
    else:
        worker = Worker(site, args.slot, lock, idle_s=args.idle)
        worker.run()
    return 0


class Worker:
    """One slot's process.

    Parameters
    ----------
    lock
        The slot's, held; None where the caller keeps it.
    batch
        Takes tasks of that batch alone.
    """

    def __init__(
        self,
        site: Site,
        slot: str,
        lock: filesystem.FileLock | None,
        *,
        idle_s: float = IDLE_S,
        batch: str | None = None,
    ) -> None:
        from nbexp.pipeline import schedule

        self._site = site
        self._slot = slot
        self._lock = lock
        self._idle_s = idle_s
        self._batch = batch
        self._totals = schedule.amounts(site.settings.resources, "`resources`", "nbexp.toml")
        self._current: Task | None = None
        self._since_s = 0.0
        self._why: Why = ""
        self.stopped_as: Literal["interrupted", "pruned"] = "interrupted"
        self._leaves = False
        self._over = threading.Event()

    def run(self) -> None:
        """Take tasks until there are none for a while, or somebody says stop."""
        from nbexp.queue.rows import WorkerRow

        site, store = self._site, self._site.store
        own = site.owner.id
        with _Signals(self):
            store.sign_on(WorkerRow(own, self._slot, os.getpid(), time.time(), False))
            self._recover(sweeps=True)
            while not self._leaves:
                told = store.is_told_to_stop(own)
                task = None if told else self._claim()
                if task is not None:
                    self._carry(task)
                elif (told or not self._wait()) and self._goes(told):
                    break
            store.sign_off(own)
        self._end()

    def run_one(self, uid: str) -> None:
        """Run this task, whatever else waits."""
        with _Signals(self):
            task = self._site.store.claim(self._site.owner.id, uid=uid, place=self._place())
            if task is not None:
                self._carry(task)
        self._end()

    def leave(self) -> None:
        """Go: what runs is ended and waits again."""
        self._leaves = True
        self.interrupt("leave")

    def interrupt(self, why: Why) -> None:
        """End what runs, for that reason; the main thread is told as by Ctrl-C, so that what must not be cut is not."""
        if self._current is not None and not self._why:
            self._why = why
            os.kill(os.getpid(), signal.SIGINT)

    def interrupted(self) -> bool:
        """Whether an interrupt is meant for what runs now."""
        if not self._why and self._current is not None:
            self._leaves, self._why = (
                True,
                "leave",
            )  # Ctrl-C, where somebody started it in a terminal
        return self._current is not None

    def watch(self) -> None:
        """Look whether the task that runs is to be stopped; a thread, with a connection of its own."""
        import sqlite3

        from nbexp.errors import NbexpError
        from nbexp.queue.site import Site
        from nbexp.queue.watching import ACTIVE_S

        store = Site.at(self._site.root).store
        known: object = None
        while not self._over.wait(ACTIVE_S):
            task = self._current
            if task is None or self._why:
                continue
            if task.timeout_s is not None and time.monotonic() - self._since_s > task.timeout_s:
                self.interrupt("timeout")
                continue
            try:
                now = (store.data_version(), task.uid, task.attempt)
                if now == known:
                    continue
                known = now
                found = store.task(task.uid)
            except (NbexpError, sqlite3.Error):
                continue  # busy, or being made anew: another look comes
            is_ours = found is not None and (found.owner, found.attempt) == (
                task.owner, task.attempt,
            )  # fmt: skip
            if self._current is task and found is not None and (found.stops or not is_ours):
                from nbexp.pipeline import process

                process.grace_s = GRACE_S
                self.stopped_as = "pruned" if found.stops == "pruned" else "interrupted"
                self.interrupt("stop")
        store.close()

    def _claim(self) -> Task | None:
        return self._site.store.claim(
            self._site.owner.id, batch=self._batch, totals=self._totals, place=self._place()
        )

    def _place(self) -> str:
        from nbexp.experiments import worktrees

        return os.fspath(Path(worktrees.folder_of(self._site.root, self._slot), self._site.prefix))

    def _carry(self, task: Task) -> None:
        import traceback

        from nbexp.errors import NbexpError
        from nbexp.pipeline import process
        from nbexp.queue import carrying

        self._why, self._since_s, self.stopped_as = "", time.monotonic(), "interrupted"
        self._current = task
        error: BaseException | None = None
        try:
            carrying.carry_out(
                self._site, task, slot=self._slot, env=self._env(task), why=lambda: self._why
            )
        except (NbexpError, KeyboardInterrupt) as ended:
            error = ended
        except Exception as bug:  # noqa: BLE001 - the next task is not to suffer from it
            error = bug
            traceback.print_exc()
        finally:
            self._current = None
        process.grace_s = process.AFTER_INT_S
        carrying.settle(self._site, task, error, self._why)
        for line in self._site.said:
            sys.stderr.write(f"{line}\n")
        self._site.said.clear()

    def _env(self, task: Task) -> dict[str, str]:
        env = {"NBEXP_SLOT": self._slot}
        found = devices(self._site.settings.resources, task.resources, self._slot)
        if found is not None:
            env["CUDA_VISIBLE_DEVICES"] = found
        return env

    def _wait(self) -> bool:
        """Wait for a change of the queue; False when there was none for long enough."""
        from nbexp.queue.watching import Watcher

        watcher = Watcher(self._site.store)
        end = time.monotonic() + self._idle_s
        recovered = time.monotonic()
        while not self._leaves and time.monotonic() < end:
            if self._is_work() or watcher.poll():
                return True
            if time.monotonic() - recovered > _RECOVER_S:
                recovered = time.monotonic()
                self._recover()
            watcher.pause()
        return False

    def _is_work(self) -> bool:
        store = self._site.store
        return (
            bool(
                store.is_told_to_stop(self._site.owner.id)
                or (not store.setting("paused") and store.has_waiting(self._batch))
            )
            and not self._is_full()
        )

    def _is_full(self) -> bool:
        """Whether what waits waits for room, which only the end of another task makes."""
        return bool(self._totals) and bool(self._site.store.tasks("running"))

    def _goes(self, was_told: bool) -> bool:
        """Give the slot up; False where work came in the last moment, and no successor has the slot.

        Who queues and then starts workers finds the slot taken until here; so it is looked at once more after. One that
        `was_told` to stop, and is not any more, goes on.
        """
        assert self._lock is not None
        store, own = self._site.store, self._site.owner.id
        self._lock.release()
        # Who starts workers takes the word to stop back first and looks at the slot then: either that is seen here, or
        # they see the slot free.
        if store.is_told_to_stop(own) or self._leaves or store.setting("paused"):
            return True
        if not (was_told or store.has_waiting(self._batch)):
            return True
        try:
            self._lock.acquire(blocking=False)
        except filesystem.Locked:
            return True
        return False

    def _recover(self, *, sweeps: bool = False) -> None:
        from nbexp.queue import recovery

        site = self._site
        recovery.recover(site.store, lambda: site.git, site.folder)
        if sweeps:
            recovery.sweep(site.store, site.git, site.folder, site.mark)

    def _end(self) -> None:
        self._over.set()
        log = owners.log_path(self._site.folder, self._site.owner.id)
        with suppress(OSError):
            if log.stat().st_size == 0:
                filesystem.remove(log)
        self._site.close()
        if self._lock is not None:
            self._lock.release()


class _Signals:
    """SIGTERM sends the worker away, SIGINT ends what runs; and the thread that looks for what is to be stopped."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __enter__(self) -> None:
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, self._interrupt)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        threading.Thread(target=self._worker.watch, daemon=True).start()

    def __exit__(self, *exc: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _leave(self, _number: int, _frame: FrameType | None) -> None:
        self._worker.leave()

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        from nbexp.experiments.run import Stopped

        if self._worker.interrupted():
            raise Stopped(self._worker.stopped_as)


def devices(resources: Mapping[str, object], needs: Mapping[str, float], slot: str) -> str | None:
    """`CUDA_VISIBLE_DEVICES` for a slot, where the setting names the devices; None where it does not.

    Examples
    --------
    >>> devices({"gpu": ["0", "1", "2", "3"]}, {"gpu": 2}, "2")
    '2,3'
    >>> devices({"gpu": 2}, {"gpu": 1}, "1")
    """
    listed = resources.get("gpu")
    if not isinstance(listed, list) or not listed:
        return None
    count = max(1, int(needs.get("gpu", 1)))
    number = int("".join(filter(str.isdigit, slot)) or 1) - 1
    start = number * count
    return ",".join(str(listed[(start + n) % len(listed)]) for n in range(min(count, len(listed))))


def _redirect(log: Path) -> None:
    """What this process says goes to its own log from here, the last words of a crash too."""
    import faulthandler

    log.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    faulthandler.enable(2)


if __name__ == "__main__":
    sys.exit(main())
