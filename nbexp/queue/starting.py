"""Starting workers, so that they outlive the cell or the shell that asked for them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbexp.errors import QueueError
from nbexp.filesystem import crash_point
from nbexp.queue import owners
from nbexp.queue.site import Site

# Python starts in 0.1 s; on a machine that is busy with everything else, in a second.
_PATIENCE_S = 30.0
# What belongs to the stage of a run that starts workers, not to the workers.
_OF_A_STAGE = (
    "NBEXP_ITEM",
    "NBEXP_EVENTS",
    "NBEXP_RUN_DIR",
    "DVC_EXP_NAME",
    "DVC_EXP_BASELINE_REV",
)


def start(site: Site, workers: int, *, idle_s: float | None = None) -> int:
    """See to it that there is a worker in each of the first slots, and say how many had to be started.

    A worker that is there already, busy or not, is one of them; one that was told to stop stays after all.

    Raises
    ------
    QueueError
        One ended before it began; what it said is in the message.
    """
    slots = [str(number) for number in range(1, workers + 1)]
    store = site.store
    store.stop_workers(stops=False, slots=slots)
    started: list[tuple[subprocess.Popen[bytes], Path]] = []
    for slot in slots:
        if not owners.slot_lock(site.folder, slot).held():
            words = ["--slot", slot]
            if idle_s is not None:
                words += ["--idle", str(idle_s)]
            started.append(_spawn(site, words, f"slot-{slot}"))
    for child, log in started:
        _await(site, child, log)
    return len(started)


def start_one(site: Site, uid: str) -> None:
    """Start a process that runs this task alone; it is said to run when this returns.

    Raises
    ------
    QueueError
        It ended before it began.
    """
    child, log = _spawn(site, ["--only", uid], f"only-{uid}")
    end = time.monotonic() + _PATIENCE_S
    while (task := site.store.task(uid)) is not None and task.state == "queued":
        if child.poll() is not None or time.monotonic() > end:
            raise _ended_early(child, log)
        time.sleep(0.01)


def start_for(site: Site, batch: str, slot: str, *, idle_s: float) -> subprocess.Popen[bytes]:
    """Start a worker that is there for one batch, where no other has the slot; the caller sees to its end."""
    words = ["--slot", slot, "--batch", batch, "--idle", str(idle_s)]
    child, _ = _spawn(site, words, f"slot-{slot}")
    return child


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """What workers inherit: all but what tells a stage whose it is."""
    return {name: value for name, value in env.items() if name not in _OF_A_STAGE}


def _spawn(site: Site, words: Sequence[str], name: str) -> tuple[subprocess.Popen[bytes], Path]:
    log = site.folder / "workers" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # Not `-I`: the user's packages are those of stages too. But no `queue.py` of the project in place of Python's own.
    argv = [sys.executable, "-P", "-m", "nbexp.queue.worker", "--root", os.fspath(site.root)]
    crash_point("queue.spawning")
    with open(log, "wb") as said:
        child = subprocess.Popen(
            [*argv, *words],
            cwd=site.root,
            env=environment(os.environ if site.env is None else site.env),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    crash_point("queue.spawned")
    # Nobody waits for it: a `Popen` that is collected while its child lives warns of that.
    _children[:] = [one for one in _children if one.poll() is None] + [child]
    return child, log


def _await(site: Site, child: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the worker has signed on, which it does when it is about to take its first task."""
    end = time.monotonic() + _PATIENCE_S
    while not any(one.pid == child.pid for one in site.store.workers()):
        if child.poll() is not None:
            if child.returncode == 0:
                return  # another one was faster, or it has done all there was to do
            raise _ended_early(child, log)
        if time.monotonic() > end:
            raise _ended_early(child, log)
        time.sleep(0.005)


def _ended_early(child: subprocess.Popen[bytes], log: Path) -> QueueError:
    try:
        said = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        said = []
    code = child.poll()
    what = f"ended with {code}" if code is not None else f"did not begin in {_PATIENCE_S:g} s"
    return QueueError(
        f"A worker {what} before it took a task{f': {said[-1]}' if said else ''}.",
        f"what it said is in {log.name} in .dvc/tmp/nbexp/workers.",
    )


_children: list[subprocess.Popen[bytes]] = []
