"""Runs that go on now, and the last values they logged, for every process that looks.

    .dvc/tmp/nbexp/ongoing/<uid>.jsonl    {"name": "low-lr", "baseline": …, "folder": …, "pid": 4711, "started_s": …}
                                          {"stage": "train"}
                                          {"stage": "train", "step": 3, "values": {"acc": 0.5}}
    .dvc/tmp/nbexp/ongoing/<uid>.lock     held for as long as the run goes on

The process that runs the stages writes a line for each event as it comes, so that a value is there within the 50 ms
in which that process looks. A file that nobody holds is left by a run that was killed; it counts for nothing, and the
next run takes it away. All of it is derived, and never flushed to disk.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp import filesystem, pids
from nbexp.events import Emit, Event, MetricLogged, StageStarted
from nbexp.experiments.place import own_folder
from nbexp.frozen import field, frozen
from nbexp.pipeline import stage_lines

if TYPE_CHECKING:
    from nbexp.experiments.spec import Spec

# Of a file that grows beyond it, only the last value of each name is kept.
_MOST = 1 << 18


@frozen
class Ongoing:
    """A run that goes on.

    Attributes
    ----------
    folder
        The root of the files it works on: the project's own in place, else a work tree.
    stage, step
        What it told of last; None before the first stage, or step.
    values
        The last value of each name that was logged.
    """

    uid: str
    name: str
    baseline: str
    folder: Path
    pid: int
    started_s: float
    stage: str | None = None
    step: float | None = None
    values: Mapping[str, float | int | str] = field(default_factory=dict, hash=False)


def new(uid: str, spec: Spec, folder: Path) -> Ongoing:
    """A run of this process that begins now, on the files in `folder`."""
    return Ongoing(uid, spec.name, spec.baseline, folder, os.getpid(), time.time())


@contextmanager
def told(root: Path, one: Ongoing, emit: Emit, *, stages: Path | None = None) -> Iterator[Emit]:
    """While inside, other processes see the run, and what the events given to the yielded `emit` say of it.

    Parameters
    ----------
    root
        The project's root, where others look; not that of a work tree.
    stages
        A file that gets a line for each event of a stage (`pipeline.stage_lines`), and stays.
    """
    folder = _folder(root)
    _sweep(folder)
    lock = filesystem.FileLock(folder / f"{one.uid}.lock")
    lock.acquire()
    while not lock.is_at_its_path():
        # Somebody took it for one that was left behind, between its making and the lock.
        lock.release()
        lock.acquire()
    writer = _Writer(folder / f"{one.uid}.jsonl", one)
    lines = _opened(stages)

    def emit_and_tell(event: Event) -> None:
        writer.hear(event)
        line = stage_lines.line_of(event, time.time()) if lines >= 0 else None
        if line is not None:
            with suppress(OSError):  # a full disk does not stop the run
                os.write(lines, line)
        emit(event)

    try:
        yield emit_and_tell
    finally:
        if lines >= 0:
            os.close(lines)
        writer.close()
        filesystem.remove(writer.path)
        filesystem.remove(lock.path)
        lock.release()


def read(root: Path) -> tuple[Ongoing, ...]:
    """The runs of the project that go on now, those that began first before others. Starts no process."""
    folder = _folder(root)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".jsonl"))
    except OSError:
        return ()
    found = (_read(folder / name) for name in names)
    known = [one for one in found if one is not None]
    return tuple(sorted(known, key=lambda one: (one.started_s, one.uid)))


def tree(values: Mapping[str, object]) -> dict[str, object]:
    """The values as a metrics file has them: names with slashes below one another."""
    found: dict[str, object] = {}
    for name, value in values.items():
        *above, last = name.split("/")
        here = found
        for part in above:
            below = here.setdefault(part, {})
            if not isinstance(below, dict):
                break  # a value has the name already; what is below it has no place in a tree
            here = below
        else:
            if not isinstance(here.get(last), dict):
                here[last] = value
    return found


class _Writer:
    """Adds lines to the file of one run."""

    def __init__(self, path: Path, one: Ongoing) -> None:
        self.path = path
        self._head = {
            "name": one.name,
            "baseline": one.baseline,
            "folder": str(one.folder),
            "pid": one.pid,
            "started_s": one.started_s,
        }
        self._stage: str | None = None
        self._step: float | None = None
        self._values: dict[str, float | int | str] = {}
        self._file = -1
        self._size = 0
        self._begin()

    def hear(self, event: Event) -> None:
        """Write down what other processes want to know of the event; a full disk does not stop the run."""
        if isinstance(event, StageStarted):
            self._stage = event.stage
            self._add({"stage": event.stage})
        elif isinstance(event, MetricLogged):
            self._stage, self._step = event.stage, event.step
            self._values.update(event.values)
            self._add({"stage": event.stage, "step": event.step, "values": dict(event.values)})

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def _add(self, line: Mapping[str, object]) -> None:
        data = _line(line)
        if self._size + len(data) > _MOST:
            self._begin()
            return
        try:
            os.write(self._file, data)
        except OSError:
            return
        self._size += len(data)

    def _begin(self) -> None:
        """Write the file anew, in one step for those who read it."""
        data = _line(self._head)
        if self._stage is not None:
            data += _line({"stage": self._stage, "step": self._step, "values": self._values})
        self.close()
        try:
            if self._size:
                filesystem.atomic_write(self.path, data, durable=False)
            else:
                self.path.write_bytes(data)
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        except OSError:
            self._file = -1
        self._size = len(data)


def _opened(path: Path | None) -> int:
    """The file, to be written at its end; -1 where there is none."""
    if path is None:
        return -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        return -1


def _line(said: Mapping[str, object]) -> bytes:
    return json.dumps(said).encode() + b"\n"


def _folder(root: Path) -> Path:
    return own_folder(root) / "ongoing"


def _read(path: Path) -> Ongoing | None:
    try:
        head, *lines = path.read_bytes().split(b"\n")
        begun = json.loads(head)
        one = Ongoing(
            path.stem,
            str(begun["name"]),
            str(begun["baseline"]),
            Path(begun["folder"]),
            int(begun["pid"]),
            float(begun["started_s"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # After the reading: a run that ended meanwhile is one that is recorded. The process is asked for as well,
    # because another reader's look at the lock of a dead one is like a lock that is held.
    lock = filesystem.FileLock(path.with_suffix(".lock"))
    if not pids.is_there(one.pid) or not lock.held():
        return None
    stage, step = one.stage, one.step
    values: dict[str, float | int | str] = {}
    for line in lines[:-1]:
        said = json.loads(line)
        stage, step = said["stage"], said.get("step", step)
        values.update(said.get("values", {}))
    return Ongoing(
        one.uid, one.name, one.baseline, one.folder, one.pid, one.started_s, stage, step, values
    )


def _sweep(folder: Path) -> None:
    """Take away what killed runs left."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        lock = filesystem.FileLock(folder / f"{Path(name).stem}.lock")
        if name.endswith((".jsonl", ".lock")) and not lock.held():
            filesystem.remove(folder / name)
