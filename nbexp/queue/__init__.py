"""The queue: experiments that wait, and workers that run them beside the user's files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nbexp.errors import NotFound, QueueError, UsageError, nearest
from nbexp.events import Emit, Notice, TaskQueued, ignore
from nbexp.frozen import frozen, replace

if TYPE_CHECKING:
    from nbexp.experiments.freezing import Snapshot
    from nbexp.experiments.run import Ran
    from nbexp.experiments.spec import Spec
    from nbexp.overrides import Override
    from nbexp.pipeline.context import OnFailure
    from nbexp.queue.reports import (
        Queued,
        QueuePaused,
        QueueStatus,
        RunOver,
        TaskLog,
        TasksChanged,
        WorkersStarted,
        WorkersStopped,
    )
    from nbexp.queue.site import Site
    from nbexp.queue.state import Situation, State
    from nbexp.queue.store import Happened, Kind, Task

KILL_S = 15.0
"""How long `kill` waits for a task to end: its stages get ten seconds, then they are killed."""


@frozen
class TaskChange:
    """Something happened to a task: `kind` is its new state, or `stage`, `cell`, `metric`, `edited`, `moved`, …"""

    task: Task
    kind: str
    data: Mapping[str, object]


class Queue:
    """`project.queue`: what waits and what runs.

    Nothing here touches the workspace, HEAD, the index or a branch.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    # ---- asking for runs

    def add(
        self,
        set_params: Mapping[str, object] | Iterable[str] | None = None,
        *,
        targets: Sequence[str] = (),
        name: str | None = None,
        message: str | None = None,
        force: bool = False,
        new: bool = False,
        single_item: bool = False,
        pipeline: bool = False,
        all_pipelines: bool = False,
        recursive: bool = False,
        downstream: bool = False,
        force_downstream: bool = False,
        pull: bool = False,
        allow_missing: bool = False,
        on_failure: OnFailure = "stop",
        run_cache: bool = True,
        jobs: int = 1,
        copy_paths: Sequence[str] = (),
        baseline: str | None = None,
        with_edits: bool | None = None,
        timeout_s: float | None = None,
        in_detail: bool = False,
        emit: Emit = ignore,
    ) -> Queued:
        """Queue experiments: one for each combination of the values.

        What they start from is frozen now: edits that come later are not in them. Their names are reserved.

        Parameters
        ----------
        set_params
            `{"train.lr": 0.01}`, or override texts as after `-S`, where lists (`lr=0.1,0.2`) multiply.
        name
            Of one experiment; of several, `name-1`, `name-2`, …
        baseline
            The commit they start from: a branch, tag, commit or experiment; None is the present one.
        with_edits
            Whether uncommitted edits go along; None: they do on the present commit, else not.
        timeout_s
            Seconds after which a task is stopped and has failed.

        Raises
        ------
        NotFound, UsageError, NameTaken, ProjectFileError
            The request cannot be met; nothing was queued.
        """
        raise NotImplementedError
