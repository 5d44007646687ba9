"""A run that goes on from a checkpoint, or begins an experiment over.

The workspace becomes what the step left, its outputs and params too, and the stage that made it runs on
in them, in one journal: what stops it puts everything back but for the steps that were recorded, and one
`undo` takes everything back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.errors import UsageError
from nbexp.experiments import (
    again,
    catalogue,
    chains,
    checkpoints,
    environment,
    isolated,
    naming,
    restore,
)
from nbexp.experiments import run as running
from nbexp.experiments import spec as specs
from nbexp.experiments import temp as beside
from nbexp.experiments.again import Source
from nbexp.experiments.freezing import Snapshot, View
from nbexp.experiments.place import files_of
from nbexp.experiments.request import Request
from nbexp.experiments.spec import Resumed, Spec, Which
from nbexp.experiments.workspace import InPlace
from nbexp.formats.interpolation import Read
from nbexp.frozen import frozen, replace
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.plan import Disk

if TYPE_CHECKING:
    from nbexp.events import Emit
    from nbexp.experiments.run import Place, Ran
    from nbexp.git import Git
    from nbexp.overrides import Override
    from nbexp.pipeline.graph import Graph
    from nbexp.pipeline.stage import Stage


@frozen
class From:
    """What is gone on from: the experiment's last commit, or one `step` of it; with `reset` it is begun over instead.

    `number` is that of the commit in either case.
    """

    source: Source
    number: int
    step: int | None = None
    reset: bool = False

    @property
    def rev(self) -> str:
        return self.source.rev

    @property
    def shown(self) -> str:
        return self.source.name if self.step is None else f"{self.source.name}@{self.step}"

    @property
    def beside(self) -> tuple[str, str]:
        """What the result is held against: name and rev."""
        return f"{self.source.name}@{self.number}", self.rev


def begin(git: Git, what: str | naming.Named, *, reset: bool = False) -> From:
    """What a word, or an experiment that is at hand, says is to be gone on from.

    Raises
    ------
    NotFound
        There is no such experiment or step.
    """
    source = again.source(git, what)
    word = what if isinstance(what, str) else what.name
    step = chains.split(naming.name_of(source.ref.ref, word))
    number = len(chains.chain(git, source.ref.baseline, source.rev))
    return From(source, number, None if step is None else step[1], reset)


@frozen
class WentOn:
    """What a run that went on came to.

    Attributes
    ----------
    refs
        Every experiment ref from before.
    beside
        Name and rev of the step, which the result is held against.
    """

    ran: Ran
    stages: Sequence[Stage]
    refs: Mapping[str, str]
    beside: tuple[str, str]


def run(
    place: Place,
    what: str | naming.Named,
    emit: Emit,
    *,
    reset: bool,
    keep: Mapping[str, str],
    request: Request,
    overrides: Sequence[Override],
    temp: bool = False,
) -> WentOn:
    """Go on from a step: under the experiment's name from its last one, as a new experiment from any other.

    Parameters
    ----------
    what
        The experiment, or a step of it: `low-lr@3`.
    reset
        Begin it over instead, with the params and the code of that commit.
    keep
        Files, from the top of the work tree, that must stay as they are: the notebook that asks.
    request
        Its name is that of the new experiment, where it is to be one; with its `force` it goes on over edits, and replaces
        an experiment of the name.
    temp
        Beside the workspace, which stays as it is.

    Raises
    ------
    UsageError
        There is no checkpoint to go on from, or the experiment is running. Nothing was run.
    StoreError
        Edits that nothing holds are in the way, or the cache lacks an output of the step. Nothing was run.
    """
    git, root, here, which = place.git, place.root, request.here, request.which
    targets, name = request.targets, request.name
    start = begin(git, what, reset=reset)  # what there is not is told before anybody waits
    if name is not None:
        naming.refuse_git_names(git, name)

    if temp:
        refs = catalogue.refs(git)
        view, spec, stages = of_point(place, start, request, overrides, refs, request.name)
        line = environment.resume_line(start.shown, spec, reset=reset, temp=True)
        ran = beside.run_spec(place, spec, view.snapshot, line, emit)
        return WentOn(ran, stages, refs, start.beside)
    with InPlace(git, place.cache, root).held(emit) as workspace:
        refs, start = catalogue.refs(git), begin(git, what, reset=reset)
        again.refuse_own_notebook(place, start.source, keep)
        _resumed(git, root, place.prefix, start)
        restore.bring(
            workspace,
            start.rev,
            start.shown,
            emit,
            op=f"run --resume {start.shown}",
            force=request.force,
            keep=keep,
            lost_is_well=reset,
        )
        try:
            there = here if (root / here).is_dir() else "."
            read = partial(graphs.bytes_of, root)
            spec = _spec(place, start, request, overrides, refs, request.name, read, there)
            graph = graphs.load(root, read=Disk(root, spec.edits).read)
            spec, stages = _stages(graph, targets, which, there, spec, start.shown)
        except BaseException:
            workspace.roll_back()
            raise
        line = environment.resume_line(start.shown, spec, reset=reset)
        ran = running.run(spec, place, graph, stages, refs, workspace, emit, line, has_begun=True)
        return WentOn(ran, stages, refs, start.beside)


def view_of(git: Git, prefix: str, start: From) -> View:
    """The state that a run beside the user's files starts from which goes on from there."""
    snapshot = Snapshot(start.rev, start.source.ref.baseline)
    return View(snapshot, (), files_of(git, prefix, start.rev))


def of_point(
    place: Place,
    start: From,
    request: Request,
    overrides: Sequence[Override],
    refs: Mapping[str, str],
    name: str | None,
) -> tuple[View, Spec, tuple[Stage, ...]]:
    """What a run beside the user's files starts from that goes on from there, its spec, and its stages.

    Parameters
    ----------
    name
        Of the experiment that it becomes; None, or the one's own: that one goes on.
    """
    view = view_of(place.git, place.prefix, start)
    spec = _spec(place, start, request, overrides, refs, name, view.read, request.here)
    graph = isolated.graph_of(place, view, spec.edits)
    spec, stages = _stages(graph, request.targets, request.which, request.here, spec, start.shown)
    return view, spec, stages


def _spec(
    place: Place,
    start: From,
    request: Request,
    overrides: Sequence[Override],
    refs: Mapping[str, str],
    name: str | None,
    read: Read,
    here: str,
) -> Spec:
    source = start.source
    goes_on = start.step is None and name in {None, source.name}
    spec = specs.make(
        place.root,
        source.ref.baseline,
        refs,
        here=here,
        targets=request.targets,
        overrides=overrides,
        name=source.name if goes_on else name,
        message=request.message,
        force=request.force or goes_on,
        how=request.how,
        which=request.which,
        verb=f"run --resume {start.shown}",
        read=read,
        hydra=False,
    )
    resumed = _resumed(place.git, place.root, place.prefix, start)
    carries = again.carried(place.git, start.rev)
    return replace(spec, force=False, carries=carries, resumed=resumed)


def continued(place: Place, spec: Spec, snapshot: Snapshot) -> tuple[Spec, Snapshot]:
    """A task whose run was killed, as it is run again: from its last checkpoint, if it made any.

    Whoever calls it knows that the run is dead, and that the experiment of the name is this task's own.
    """
    git = place.git
    rev = git.refs(spec.ref).get(spec.ref)
    if rev is None or rev == spec.replaces or not chains.is_unfinished(git, rev):
        return spec, snapshot
    graph = restore.graph_at(git, place.root, place.prefix, rev)
    resumed = checkpoints.resumed(git, spec.baseline, rev, graph, spec.name)
    carries = tuple(dict.fromkeys((*spec.carries, *again.carried(git, rev))))
    spec = replace(spec, replaces=rev, carries=carries, resumed=resumed)
    return spec, replace(snapshot, rev=rev)


def _resumed(git: Git, root: Path, prefix: str, start: From) -> Resumed:
    baseline = start.source.ref.baseline
    graph = restore.graph_at(git, root, prefix, start.rev)
    found = checkpoints.resumed(git, baseline, start.rev, graph, start.shown)
    return Resumed(baseline, 0, found.stages) if start.reset else found


def _stages(
    graph: Graph,
    targets: Sequence[str],
    which: Which,
    here: str,
    spec: Spec,
    shown: str,
) -> tuple[Spec, tuple[Stage, ...]]:
    """Those that are asked for, with the one that goes on; without targets its whole dvc.yaml, wherever one is."""
    resumed = spec.resumed
    assert resumed is not None
    going_on = [stage for stage in graph.stages if stage.address() in resumed.stages]
    if not targets and not which.is_whole and all(stage.folder != here for stage in going_on):
        folder = going_on[0].folder if going_on else here
        spec = replace(spec, targets=tuple(s.address(here) for s in graph.targets((), folder)))
    found = which.stages(graph, spec.targets, here)
    if not any(stage in found for stage in going_on):
        raise UsageError(
            f"{' '.join(targets)} does not come to {' '.join(resumed.stages)}, which goes on from `{shown}`. "
            "Nothing was run.",
            f"`nbexp run --resume {shown}` runs all that is left.",
        )
    return spec, found
