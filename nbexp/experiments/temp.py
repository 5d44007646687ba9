"""`run --temp`: an isolated run that is waited for."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from nbexp import filesystem
from nbexp.errors import NotFound, UsageError
from nbexp.events import Emit
from nbexp.experiments import (
    composition,
    environment,
    freezing,
    isolated,
    preflight,
    worktrees,
)
from nbexp.experiments.environment import CommandLine
from nbexp.experiments.freezing import Snapshot
from nbexp.experiments.request import Request
from nbexp.experiments.run import Place, Ran
from nbexp.experiments.spec import Spec
from nbexp.frozen import frozen, replace
from nbexp.overrides import DEFAULT_FILE, Override
from nbexp.pipeline.stage import Stage

KIND = "temp"
T = TypeVar("T")


@frozen
class Start:
    """What a run starts from: a commit and what the user called it (None: HEAD), and whether edits go along."""

    baseline: str | None = None
    typed: str | None = None
    with_edits: bool = True


def start(
    temp: bool,
    baseline: str | T | None,
    resolve: Callable[[str | T], tuple[str, str]],
    with_edits: bool,
) -> Start:
    """What the options say of it.

    Parameters
    ----------
    resolve
        Gives a name for people and the rev of a commit, branch, tag or experiment.

    Raises
    ------
    UsageError
        The options do not go together. Nothing was run.
    NotFound
        The baseline is nothing.
    """
    if not temp and baseline is not None:
        raise UsageError(
            "`--baseline` is for a run that leaves your files alone. Nothing was run.",
            "`nbexp run --temp --baseline main`.",
        )
    if baseline is None:
        if with_edits:
            raise UsageError(
                "`--with-edits` says that edits go along to another `--baseline`; without one they do anyway. "
                "Nothing was run.",
                "`nbexp run --temp --baseline main --with-edits`.",
            )
        return Start()
    typed, rev = resolve(baseline)
    return Start(rev, typed, with_edits)


def run(
    place: Place,
    refs: Mapping[str, str],
    emit: Emit,
    *,
    request: Request,
    overrides: Sequence[Override],
    start: Start,
) -> tuple[Ran, tuple[Stage, ...]]:
    """Run what was asked for beside the user's files, from how they are now; and the stages it was about.

    Parameters
    ----------
    refs
        Every experiment ref and its rev.

    Raises
    ------
    UsageError, NotFound, NameTaken, ProjectFileError
        The request cannot be met; nothing was run.
    StageFailed, Interrupted
        As for a run in place; no file of the user's has changed.
    """
    here, copies = request.here, request.copies
    worktrees.end_all_left_over(place.root, KIND)
    view = freezing.look(place, with_edits=start.with_edits, baseline=start.baseline, emit=emit)
    snapshot = view.snapshot
    composed = None
    if request.hydra:
        # The configurations of the version that it starts from; else those that lie here, new ones too.
        version = None
        if start.typed is not None:
            version = composition.Version(place.git, place.prefix, snapshot.rev)
        (composed,) = composition.compose_all(place.root, here, [overrides], version) or (None,)
    params = posixpath.normpath(posixpath.join(here, DEFAULT_FILE))
    made = () if composed is None else (params,)
    spec = request.spec(
        place.root,
        snapshot.baseline,
        refs,
        overrides,
        composed=composed,
        read=preflight.reader(place, view, made),
    )
    graph = isolated.graph_of(place, view, spec.edits)
    try:
        stages = request.which.stages(graph, request.targets, here)
    except NotFound:
        for path in preflight.pipelines(place, view):
            raise preflight.absent_file(path) from None
        raise
    absent = preflight.missing(
        place,
        graph,
        stages,
        view=view,
        copies=[*freezing.copied_paths(spec, place.root), *spec.edits],
    )
    preflight.tell(absent, here, emit)
    words = ["--temp"]
    if start.typed is not None:
        words += ["--baseline", start.typed]
        words += ["--with-edits"] if start.with_edits else []
    for path in copies:
        words += ["-C", path]
    command = environment.command_line(spec, words, is_dvcs=start.typed is None)
    snapshot = replace(snapshot, batch=os.urandom(8).hex())
    try:
        freezing.keep_copies(place, [spec], snapshot.batch)
        ran = run_spec(place, spec, snapshot, command, emit)
    finally:
        if copies:
            filesystem.remove(freezing.copies_folder(place.root, snapshot.batch))
    return ran, stages


def run_spec(place: Place, spec: Spec, snapshot: Snapshot, command: CommandLine, emit: Emit) -> Ran:
    """Run the spec from the snapshot in a work tree that is free."""
    worktrees.end_all_left_over(place.root, KIND)
    uid = snapshot.batch or os.urandom(8).hex()
    with worktrees.free_slot(place.root, KIND) as slot:
        return isolated.run(place, spec, snapshot, slot=slot, uid=uid, emit=emit, command=command)
