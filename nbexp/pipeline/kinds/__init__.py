"""How a stage's command runs: one module per kind, each with the three functions of `Kind`.

`shell` takes whatever no other kind claims. A new kind is a new file here, or an entry point of the
group `nbexp.pipeline.kinds` in another package.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from nbexp.errors import StageFailed
from nbexp.events import CellFinished, Emit, Event, OutputWritten
from nbexp.frozen import frozen
from nbexp.pipeline.checkpoint import Requests
from nbexp.pipeline.kinds import shell

_TAIL_BYTES, _TAIL_LINES = 16_384, 20


@frozen
class Job:
    """One command of a stage, with everything that running it takes.

    Attributes
    ----------
    stage
        The stage's address, for events and messages.
    root
        The project's root; in a temporary workspace, the root there.
    env
        The whole environment of the command.
    log
        Gets the raw output, behind what it holds already.
    run_dir
        A private folder of this run: events, and the notebook of a stage that failed.
    live
        Folders in which tables of logged values are followed, as dvclive writes them.
    checkpoints
        What the command's processes ask for; to be served while it runs. None: nobody records steps.
    """

    stage: str
    command: str
    cwd: Path
    root: Path
    env: Mapping[str, str]
    log: Path
    run_dir: Path
    live: tuple[Path, ...] = ()
    checkpoints: Requests | None = None


class Kind(Protocol):
    """What a module of this folder holds. No function starts anything or writes a file.

    A kind may have a fourth function, `start` (`process.Start`), which starts what `argv` names in a way of
    its own.
    """

    def claims(self, command: str) -> bool:
        """Whether a command of this text is of this kind; asked often, so it answers from the text."""

    def argv(self, job: Job) -> list[str]:
        """The program and its arguments, to be run in `job.cwd`; exit code 0 means success."""

    def failure(self, job: Job, returncode: int, tail: str) -> StageFailed:
        """What to tell the user of a command that ended otherwise; `tail` is its last output."""


def run(job: Job, emit: Emit, *, stop: threading.Event | None = None) -> int | None:
    """Run the job's command; the number of notebook cells that it ran, or None if it is no notebook.

    Raises
    ------
    StageFailed
        The command could not be started or did not end with exit code 0.
    KeyboardInterrupt
        The user stopped it, or `stop` was set; nothing of it is left running.
    """
    from nbexp.pipeline import (
        process,
    )  # brings what starting programs takes; looking at stages does not

    kind = of(job.command)
    tail = b""
    cells: int | None = None

    def listen(event: Event) -> None:
        nonlocal tail, cells
        if isinstance(event, OutputWritten):
            tail = (tail + event.data)[-_TAIL_BYTES:]
        elif isinstance(event, CellFinished):
            cells = (cells or 0) + 1
        emit(event)

    try:
        start = getattr(kind, "start", None)
        returncode = process.run_process(
            kind.argv(job), job=job, emit=listen, stop=stop, start=start
        )
    except OSError as error:
        raise StageFailed(
            f"Stage `{job.stage}` could not be started: {error.strerror}: {error.filename}.",
            stage=job.stage,
            log=job.log,
        ) from None
    if returncode:
        raise kind.failure(job, returncode, _last_lines(tail))
    return cells


def of(command: str) -> Kind:
    """The kind that a command is of."""
    if _may_be_notebook(command):
        from nbexp.pipeline.kinds import notebook

        if notebook.claims(command):
            return cast("Kind", notebook)
    from nbexp import plugins  # looks at every installed package: asked last

    for name in plugins.names(__name__):
        if name not in {"notebook", "shell"}:
            kind = cast("Kind", plugins.load(__name__, name))
            if kind.claims(command):
                return kind
    return cast("Kind", shell)


def notebook_source(command: str) -> str | None:
    """The notebook that a command executes, as the command spells it; None if it executes none."""
    if not _may_be_notebook(command):
        return None
    from nbexp.pipeline.kinds import notebook

    return notebook.source(command)


def notebook_target(command: str) -> str | None:
    """The executed notebook that a command writes, as the command spells it."""
    if not _may_be_notebook(command):
        return None
    from nbexp.pipeline.kinds import notebook

    return notebook.target(command)


def _may_be_notebook(command: str) -> bool:
    """Whether a closer look, which loads more, is worth it."""
    return any(word in command for word in ("notebook", "papermill", "jupyter"))


def _last_lines(tail: bytes) -> str:
    lines = tail.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    return "\n".join(shown[-_TAIL_LINES:]).strip("\n")
