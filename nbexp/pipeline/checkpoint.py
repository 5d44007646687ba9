"""Checkpoints of a stage that runs: requests of its processes are met while its command goes on.

The one that follows the command looks for requests between two looks at its output (`process`), so
there is neither a thread nor a process for it. What a step is made of is the caller's to say.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, Self

from nbexp.errors import NbexpError
from nbexp.events import CheckpointMade, Emit, Notice
from nbexp.filesystem import FileLock, atomic_write, crash_point
from nbexp.formats import checkpoint as protocol
from nbexp.formats.dvc_lock import LockedStage
from nbexp.frozen import frozen
from nbexp.pipeline.stage import Stage


@frozen
class Made:
    """A step that is recorded: its number in the chain, its commit, and the experiment."""

    step: int
    rev: str
    name: str


@frozen
class Step:
    """What is to be recorded of a stage that runs: its entry as it would be, and the files that say so.

    `files` are lock files, and outputs that are not at their place yet, by path relative to the root.
    """

    stage: Stage
    entry: LockedStage
    files: dict[str, bytes]


class Recorder(Protocol):
    """Records steps."""

    def __call__(self, step: Step, entries: Mapping[str, LockedStage], /) -> Made:
        """Record the step; `entries` are those of all stages that are new, this one's too, by name."""


class Requests:
    """What the processes of one stage ask for, from `__enter__` to `__exit__`.

    Parameters
    ----------
    run_dir
        Of the stage; the processes find it as `$NBEXP_RUN_DIR`.
    signal
        The file of DVC 2.x; None where the stage has no output that asks for it.
    make
        Records a step. What it raises of nbexp's own is the answer; all else ends the stage.
    """

    def __init__(
        self, run_dir: Path, signal: Path | None, stage: str, make: Callable[[], Made], emit: Emit
    ) -> None:
        self._folder = run_dir / protocol.FOLDER
        self._signal = signal
        self._stage = stage
        self._make = make
        self._emit = emit
        self._alive = FileLock(self._folder / protocol.ALIVE)

    def __enter__(self) -> Self:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._alive.acquire()
        if self._signal is not None:
            self._signal.parent.mkdir(parents=True, exist_ok=True)
            self._signal.unlink(missing_ok=True)  # of a run that was killed
        return self

    def __exit__(self, *_: object) -> None:
        self._asked()  # of a process that outlives the stage: it is told by the lock
        self._alive.release()

    def serve(self, so_far: Callable[[], object]) -> None:
        """Meet what is asked for now. Who asks at the same moment gets the same step.

        Who asks waits for the answer: `so_far` is to tell what the stage had written and logged until then.
        """
        asked = self._asked()
        has_signal = self._signal is not None and self._signal.exists()
        if not asked and not has_signal:
            return
        so_far()
        crash_point("checkpoint.taken")
        try:
            made = self._make()
        except (NbexpError, OSError) as error:
            message = error.message if isinstance(error, NbexpError) else f"{error}."
            hint = error.hint if isinstance(error, NbexpError) else None
            told = protocol.refusal(f"No checkpoint was made: {message}", hint)
            self._emit(Notice(f"No checkpoint of `{self._stage}` was made: {message}", hint))
        else:
            told = protocol.answer(made.step, made.rev, made.name)
            self._emit(CheckpointMade(self._stage, made.step, made.name, made.rev))
        crash_point("checkpoint.answering")
        for name in asked:
            # Nobody waits any more where the request is gone.
            atomic_write(self._folder / (name + protocol.ANSWER), told, durable=False)
        if has_signal and self._signal is not None:
            self._signal.unlink(missing_ok=True)
        crash_point("checkpoint.answered")

    def _asked(self) -> list[str]:
        """The requests there are; they are taken up with that."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []  # somebody cleaned up; whoever asks next is told that it cannot be
        found = []
        for name in names:
            if name.endswith(protocol.REQUEST):
                with contextlib.suppress(OSError):
                    os.unlink(self._folder / name)
                    found.append(name.removesuffix(protocol.REQUEST))
        return found
