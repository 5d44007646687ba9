"""Bringing stages up to date without an experiment: the workspace keeps what came of it, as in DVC.

What fails leaves its mark: finished stages are in dvc.lock, and the one that failed is as it stopped. Only
a command that was killed is rolled back, by the next one; `undo` takes back all of it.
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Mapping, Sequence

from nbexp import filesystem
from nbexp.errors import Interrupted, NbexpError
from nbexp.events import Emit
from nbexp.experiments import run
from nbexp.experiments.place import GitMeanings, home
from nbexp.experiments.run import Place
from nbexp.experiments.workspace import InPlace, uninterrupted
from nbexp.formats import config
from nbexp.frozen import frozen
from nbexp.pipeline import execute
from nbexp.pipeline.context import How
from nbexp.pipeline.execute import Outcome
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.plan import Disk, Inspector
from nbexp.pipeline.stage import Stage


@frozen
class Reproduced:
    """What a repro came to; `own_s` are the seconds that nbexp itself took."""

    outcome: Outcome
    elapsed_s: float
    own_s: float


def repro(
    place: Place,
    graph: Graph,
    stages: Sequence[Stage],
    how: How,
    workspace: InPlace,
    emit: Emit,
    *,
    here: str,
    refs: Mapping[str, str],
) -> Reproduced:
    """Bring `stages` up to date in the workspace, which is held.

    Raises
    ------
    StageFailed
        A stage stopped. Finished stages are in dvc.lock; nothing was put back.
    Interrupted
        The user stopped it; the same holds.
    """
    clock = time.monotonic()
    workspace.begin("repro", keeps_index=False)
    unflushed: set[str] = set()
    try:
        meanings = GitMeanings(place.git, place.prefix, refs)
        inspector = Inspector(place.root, place.cache, Disk(place.root, {}), meanings)
        if how.on_failure == "stop" and not how.allow_missing and place.fetch is None:
            inspector.require_inputs(stages, graph)
        where = run.context(place, workspace, here=here)
        with place.cache.gathering() as unflushed:
            outcome = execute.execute(stages, graph, inspector, where, emit, how)
    except (NbexpError, KeyboardInterrupt) as error:
        _keep(place, workspace, unflushed)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(
                "`repro` was interrupted. Stages that were done are in dvc.lock.",
                "`nbexp undo` puts back all that it changed.",
            ) from None
        raise
    except BaseException:
        workspace.roll_back()
        raise
    _keep(place, workspace, unflushed)
    _stage_in_git(place, outcome)
    took = time.monotonic() - clock
    return Reproduced(outcome, took, took - outcome.running_s)


def _stage_in_git(place: Place, outcome: Outcome) -> None:
    """With `core.autostage`, what was written for Git to keep is in its index."""
    written = sorted(outcome.lock_files | outcome.ignore_files)
    settings = config.read(place.root / ".dvc", home=home())
    if written and settings.is_on("core", "autostage"):
        place.git.run("add", "--", *(posixpath.join(place.prefix, path) for path in written))


def _keep(place: Place, workspace: InPlace, unflushed: set[str]) -> None:
    """Keep what was done, and how it was before."""
    with uninterrupted():
        undo_point = workspace.undo_point()
        filesystem.sync(unflushed | workspace.unflushed())
        if undo_point is not None:
            place.git.commit(undo_point)
        workspace.finish()
