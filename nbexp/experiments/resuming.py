"""A run that goes on from a checkpoint, or begins an experiment over.

The workspace becomes what the step left, its outputs and params too, and the stage that made it runs on
in them, in one journal: what stops it puts everything back but for the steps that were recorded, and one
`undo` takes everything back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nbexp.errors import NameTaken, UsageError
from nbexp.experiments import (
    again,
    catalogue,
    chains,
    checkpoints,
    environment,
    naming,
    restore,
)
from nbexp.experiments import run as running
from nbexp.experiments import spec as specs
from nbexp.experiments.again import Source
from nbexp.experiments.spec import Resumed, Which
from nbexp.experiments.workspace import InPlace
from nbexp.formats.ref_names import ExpRef
from nbexp.frozen import frozen, replace
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.plan import Disk

if TYPE_CHECKING:
    from nbexp.events import Emit
    from nbexp.experiments.run import Place, Ran
    from nbexp.git import Git
    from nbexp.overrides import Override
    from nbexp.pipeline.context import How
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


@contextmanager
def hinted(git: Git, refs: Mapping[str, str], baseline: str, name: str | None) -> Iterator[None]:
    """Where the name inside is taken by an experiment that was stopped, the hint is to go on with it."""
    try:
        yield
    except NameTaken as taken:
        rev = refs.get(ExpRef(baseline, name or "").ref)
        if rev is not None and chains.is_unfinished(git, rev):
            taken.hint = f"`nbexp run --resume {name}` goes on from its last step, `-n {name} --force` replaces it."
        raise


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
    here: str,
    keep: Mapping[str, str],
    targets: Sequence[str],
    which: Which,
    overrides: Sequence[Override],
    name: str | None,
    message: str | None,
    force: bool,
    how: How,
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
    name
        Of the new experiment, where it is to be one; two words are drawn.
    force
        Go on over edits, and replace an experiment of the name.

    Raises
    ------
    UsageError
        There is no checkpoint to go on from, or the experiment is running. Nothing was run.
    StoreError
        Edits that nothing holds are in the way, or the cache lacks an output of the step. Nothing was run.
    """
    git, root = place.git, place.root
    begin(git, what, reset=reset)  # what there is not is told before anybody waits
    if name is not None:
        naming.refuse_git_names(git, name)
    with InPlace(git, place.cache, root).held(emit) as workspace:
        refs, start = catalogue.refs(git), begin(git, what, reset=reset)
        source, op = start.source, f"run --resume {start.shown}"
        goes_on = start.step is None and name in {None, source.name}
        again.refuse_own_notebook(place, source, keep)
        graph = restore.graph_at(git, root, place.prefix, start.rev)
        resumed = checkpoints.resumed(git, source.ref.baseline, start.rev, graph, start.shown)
        if start.reset:
            resumed = Resumed(source.ref.baseline, 0, resumed.stages)
        restore.bring(
            workspace,
            start.rev,
            start.shown,
            emit,
            op=op,
            force=force,
            keep=keep,
            lost_is_well=start.reset,
        )
        try:
            spec = specs.make(
                root,
                source.ref.baseline,
                refs,
                here=here if (root / here).is_dir() else ".",
                targets=targets,
                overrides=overrides,
                name=source.name if goes_on else name,
                message=message,
                force=force or goes_on,
                how=how,
                which=which,
                verb=op,
            )
            carries = again.carried(git, start.rev)
            spec = replace(spec, force=False, carries=carries, resumed=resumed)
            graph = graphs.load(root, read=Disk(root, spec.edits).read)
            stages = _stages(graph, spec.targets, which, spec.here, resumed, start.shown)
        except BaseException:
            workspace.roll_back()
            raise
        asked = environment.resume_line(start.shown, spec, reset=start.reset)
        ran = running.run(spec, place, graph, stages, refs, workspace, emit, asked, has_begun=True)
        return WentOn(ran, stages, refs, start.beside)


def _stages(
    graph: Graph,
    targets: Sequence[str],
    which: Which,
    here: str,
    resumed: Resumed,
    shown: str,
) -> tuple[Stage, ...]:
    """Those that are asked for, which must be with the one that goes on."""
    found = which.stages(graph, targets, here)
    if any(stage.address() in resumed.stages for stage in found):
        return found
    if targets:
        raise UsageError(
            f"{' '.join(targets)} does not come to {' '.join(resumed.stages)}, which goes on from `{shown}`. "
            "Nothing was run.",
            f"`nbexp run --resume {shown}` runs all that is left.",
        )
    return graph.order(graph.stages)
