"""One task from being taken to being over: by a worker, or by whoever runs it in the foreground.

    claimed -> isolated.run -> fenced -> named -> done

Wherever this process is killed, `recovery` goes on from what the queue and Git say.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

from nbexp import events
from nbexp.errors import NbexpError, QueueError
from nbexp.events import Emit, Event
from nbexp.experiments import alerting, environment, freezing, isolated, resuming
from nbexp.experiments.environment import CommandLine
from nbexp.experiments.reading import Reader
from nbexp.experiments.run import Ran
from nbexp.experiments.spec import Spec
from nbexp.experiments.workspace import uninterrupted
from nbexp.filesystem import crash_point
from nbexp.formats import ref_names
from nbexp.pipeline import process, stage_lines
from nbexp.queue import recovery, state
from nbexp.queue.rows import Task
from nbexp.queue.site import Site
from nbexp.queue.state import Do
from nbexp.queue.store import Store

Why = Literal["", "stop", "leave", "timeout"]

# What a run tells of itself is written down at most so often.
_PAUSE_S = 0.1


class Superseded(Exception):
    """The task is not this owner's any more: what it made is not wanted."""


def carry_out(
    site: Site,
    task: Task,
    *,
    slot: str,
    emit: Emit = events.ignore,
    env: Mapping[str, str] | None = None,
    why: Callable[[], Why] = lambda: "",
) -> Ran | None:
    """Run a task that this process has claimed, and say in the queue how it ended.

    Parameters
    ----------
    slot
        Whose work tree it runs in.
    why
        Why it was interrupted, once it is: to be stopped, to be given back, or because its time was up.

    Returns
    -------
    Ran or None
        None where the task is somebody else's by now.

    Raises
    ------
    NbexpError, Interrupted
        The run ended so; the queue knows.
    """
    store, owner, attempt = site.store, site.owner.id, task.attempt
    log = site.folder / "log" / f"{task.uid}-{attempt}.log"
    spec = Spec.from_json(task.spec)
    snapshot = freezing.Snapshot(task.snapshot, task.baseline, task.batch)

    def fence(rev: str) -> None:
        # What a stage left in the background would go on in the work tree of the next task. While the task runs, that
        # is done by whoever finds this process dead; of one that is over nobody looks any more.
        process.kill_marked(task.marker)
        crash_point("queue.fencing")
        told.flush()
        done = store.apply(task.uid, state.Fenced(owner, attempt, rev))
        if done is None or Do.DISCARD in done.do:
            raise Superseded
        crash_point("queue.fenced")

    def reader() -> Reader:
        return Reader(site.git, site.cache, site.root, site.prefix)

    def is_end(error: BaseException) -> bool:
        # Given back, or somebody else's by now: it goes on.
        return not isinstance(error, Superseded) and why() != "leave"

    with Told(store, task, log, emit) as told:
        try:
            place = site.place(told, pull=spec.pull, run_cache=spec.run_cache)
            # Of an attempt that was killed, the checkpoints are there: nothing before the last is done again.
            going_on, start = resuming.continued(place, spec, snapshot)
            with alerting.watched(site.root, site.settings, told, reader, site.env, is_end) as tell:
                ran = isolated.run(
                    place,
                    going_on,
                    start,
                    slot=slot,
                    uid=task.marker,
                    emit=tell,
                    command=_command(spec),
                    fence=fence,
                    env=env or {},
                )
        except Superseded:
            process.kill_marked(task.marker)
            told.say("The task was stopped or given to another worker; this result is not kept.")
            return None
        except BaseException as error:
            told.flush()
            process.kill_marked(task.marker)
            if not _is_named(site, task):
                told.say(_last_words(error, told.stopped))
                if why() == "leave":
                    _forget(site, spec)
                _over(store, task, owner, error, why())
                recovery.let_go(store, site.git, [task.batch])
            raise
        told.flush()
    crash_point("queue.finishing")
    # It is done: who sends the worker away, or stops what takes too long, waits for this.
    with uninterrupted() as came:
        store.apply(task.uid, state.Finished(owner, attempt, ran.rev))
        crash_point("queue.finished")
        recovery.let_go(store, site.git, [task.batch])
    if came:
        signal.raise_signal(signal.SIGINT)
    return ran


def _last_words(error: BaseException, said: str) -> str:
    """What the log says of an error at its end; what a stage said when it stopped is not said twice."""
    text = str(error) or type(error).__name__
    return text.removeprefix(said).lstrip("\n") or text if said else text


def _command(spec: Spec) -> CommandLine:
    """The command line that the experiment is recorded with."""
    resumed = spec.resumed
    if resumed is None:
        return environment.command_line(spec)
    goes_on = spec.replaces is not None
    return environment.resume_line(
        spec.name if goes_on else resumed.rev[:7], spec, reset=resumed.step == 0
    )


def settle(site: Site, task: Task, error: BaseException | None, why: Why) -> None:
    """See to it that a task which this process ran is not said to run any more, wherever its end came."""
    now = site.store.task(task.uid)
    is_ours = now is not None and (now.owner, now.attempt) == (site.owner.id, task.attempt)
    if now is None or not is_ours or now.state not in state.ACTIVE:
        return
    if now.state == "committing" and _is_named(site, task):
        return
    _over(site.store, task, site.owner.id, error or RuntimeError("it ended without a word"), why)
    recovery.let_go(site.store, site.git, [task.batch])


def _is_named(site: Site, task: Task) -> bool:
    """Whether the result was fenced before the error came: then it stands, and gets its name if it has none."""
    now = site.store.task(task.uid)
    if now is None or now.state != "committing" or now.owner != site.owner.id:
        return False
    if site.git.info(f"{now.rev}^{{commit}}") is None:
        return False
    if recovery.name_result(site.git, now) is not None:
        return False
    assert now.rev is not None
    site.store.apply(task.uid, state.Finished(site.owner.id, task.attempt, now.rev))
    recovery.let_go(site.store, site.git, [task.batch])
    return True


def _forget(site: Site, spec: Spec) -> None:
    """An attempt that is given back has not failed: what it left is not kept."""
    ref = ref_names.FAILED + spec.ref.removeprefix("refs/exps/")
    if ref in site.git.refs(ref_names.FAILED):
        site.git.update_refs([(ref, None, None)])


def _over(store: Store, task: Task, owner: str, error: BaseException, why: Why) -> None:
    """Say how a run ended that has no result."""
    attempt = task.attempt
    event: state.Event
    if isinstance(error, KeyboardInterrupt):
        if why == "leave":
            crash_point("queue.returning")
            store.apply(task.uid, state.HandedBack(owner, attempt), durable=True)
            crash_point("queue.returned")
            return
        if why == "timeout":
            event = state.Ended(
                owner, attempt, "failed", f"it took longer than {task.timeout_s:g} s"
            )
        else:
            event = state.Ended(owner, attempt, "interrupted", "stopped by the user")
    elif isinstance(error, NbexpError):
        event = state.Ended(owner, attempt, "failed", error.message)
    else:
        event = state.Ended(owner, attempt, "failed", f"{type(error).__name__}: {error}")
    crash_point("queue.ending")
    store.apply(task.uid, event, durable=True)
    crash_point("queue.ended")


class Told:
    """Hears what a run tells: its words go to the log, what it is at to the queue, all of it to `emit`.

    Beside the log, `*.jsonl` has a line for each event of a stage, as it came: whoever looks on follows that, and sees each
    value that was logged and the stages as they stand (`pipeline.stage_lines`).
    """

    def __init__(self, store: Store, task: Task, log: os.PathLike[str], emit: Emit) -> None:
        self._store = store
        self._uid = task.uid
        self._path = log
        self._emit = emit
        self._live: dict[str, object] = {}
        self._waiting: tuple[str, dict[str, object]] | None = None
        self._last_s = 0.0
        self.stopped = ""  # what the stage that stopped last said of it
        self._file = self._lines = -1
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(self._path, flags, 0o600)
        self._lines = os.open(Path(self._path).with_suffix(".jsonl"), flags, 0o600)
        return self

    def __exit__(self, *exc: object) -> None:
        self.flush()
        os.close(self._file)
        os.close(self._lines)

    def __call__(self, event: Event) -> None:
        line = stage_lines.line_of(event, time.time())
        if line is not None:
            self._write(line, self._lines)
        match event:
            case events.OutputWritten(data=data):
                self._write(data)
            case events.CommandStarted(command=command):
                self.say(f"> {command}")
            case events.StageStarted(stage=stage):
                self.say(f"Running stage '{stage}':")
                self._live = {"stage": stage}
                self._note("stage", {"stage": stage})
            case events.StageSkipped(stage=stage):
                self.say(f"Stage '{stage}' didn't change, skipping")
            case events.StageRestored(stage=stage):
                self.say(f"Stage '{stage}' is cached - skipping run, checking out outputs")
            case events.CellStarted(stage=stage, cell=cell, total=total):
                self._live |= {"stage": stage, "cell": cell, "cells": total}
                self._note("cell", {"stage": stage, "cell": cell, "cells": total})
            case events.MetricLogged(stage=stage, step=step, values=values):
                known = self._live.get("values")
                merged = {**(known if isinstance(known, dict) else {}), **values}
                self._live |= {"stage": stage, "step": step, "values": merged}
                self._note("metric", {"stage": stage, "step": step, "values": dict(values)})
            case events.StageStopped(message=message):
                self.stopped = message
                self.say(message)
            case events.Notice(message=message):
                self.say(message)
            case events.Alert(message=message):
                self.say(f"alert: {message}")
        self._emit(event)

    def say(self, line: str) -> None:
        """A line of the log."""
        self._write(f"{line}\n".encode())

    def flush(self) -> None:
        """Write down what was told last."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._waiting is None:
                return
            (kind, data), self._waiting = self._waiting, None
            self._last_s = time.monotonic()
            # Told before another thread may go on: nothing comes behind the end of the run.
            with suppress(QueueError):  # what a run is at is no reason to end it
                self._store.tell(self._uid, kind, data, dict(self._live))

    def _note(self, kind: str, data: dict[str, object]) -> None:
        # A stage may log a thousand values a second; the latest are what one looks at, the files have them all.
        with self._lock:
            self._waiting = (kind, data)
            is_soon = kind != "stage" and time.monotonic() - self._last_s < _PAUSE_S
            if is_soon and self._timer is None:
                # What was told last must not wait for what is told next.
                self._timer = threading.Timer(_PAUSE_S, self.flush)
                self._timer.daemon = True
                self._timer.start()
        if not is_soon:
            self.flush()

    def _write(self, data: bytes, file: int | None = None) -> None:
        try:
            while data:
                data = data[os.write(self._file if file is None else file, data) :]
        except OSError:
            pass  # a full disk does not stop the run
