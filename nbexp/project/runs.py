"""The runs of a project: in place, beside its files, from a checkpoint, and again.

`Project` has the signatures and says what each does; what it keeps for itself is used here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from nbexp.errors import UsageError
from nbexp.experiments import card, naming, place
from nbexp.experiments import run as running
from nbexp.experiments import spec as specs
from nbexp.experiments.workspace import InPlace
from nbexp.formats import config
from nbexp.frozen import frozen, replace
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.plan import Disk
from nbexp.project.results import Experiment, Reproduced

if TYPE_CHECKING:
    from nbexp.events import Emit
    from nbexp.experiments import again
    from nbexp.experiments.request import Request
    from nbexp.experiments.spec import Spec, Which
    from nbexp.overrides import Override
    from nbexp.pipeline.context import How
    from nbexp.pipeline.stage import Stage
    from nbexp.project.project import Project


@frozen
class Asked:
    """A run as it was asked for: values, request, where, whom to tell, and when that was, on the monotonic clock."""

    points: Sequence[tuple[Override, ...]]
    request: Request
    where: running.Place
    emit: Emit
    started_s: float


def in_place(project: Project, asked: Asked) -> Experiment:
    """Run in the user's own files."""
    from nbexp.experiments import chains, environment

    request, name = asked.request, asked.request.name
    workspaces = InPlace(project.git, project.cache, project.root)
    with _watched(project, asked.emit) as tell, workspaces.held(tell) as workspace:
        head, refs = project._head(), project._refs()
        if name is not None:
            naming.refuse_git_names(project.git, name)
        with chains.hinted(project.git, refs, head, name):
            # In place the files are where they are.
            spec = replace(request, copies=()).spec(
                project.root, head, _taken(project, refs, name), specs.one_point(asked.points)
            )
        # Templates are filled in from the params as the run will have them.
        graph = graphs.load(project.root, read=Disk(project.root, spec.edits).read)
        stages = request.which.stages(graph, request.targets, project.here)
        line = environment.command_line(spec)
        ran = running.run(spec, asked.where, graph, stages, refs, workspace, tell, line)
    return _recorded(project, asked, ran, stages, refs)


def beside(
    project: Project,
    asked: Asked,
    *,
    temp: bool,
    baseline: str | Experiment | None,
    with_edits: bool,
) -> Experiment:
    """Run in a work tree of its own, from how the files are now or from another version."""
    from nbexp.experiments import temp as temporary

    name = asked.request.name
    if name is not None:
        naming.refuse_git_names(project.git, name)
    refs = project._refs()
    with _watched(project, asked.emit) as tell:
        ran, stages = temporary.run(
            asked.where,
            _taken(project, refs, name),
            tell,
            request=asked.request,
            overrides=specs.one_point(asked.points),
            start=temporary.start(temp, baseline, project._resolve, with_edits),
        )
    return _recorded(project, asked, ran, stages, refs)


def resume(
    project: Project, asked: Asked, experiment: str | Experiment, *, reset: bool, temp: bool
) -> Experiment:
    """Go on from a checkpoint of an experiment, or begin it over."""
    from nbexp.experiments import resuming

    # What was killed still has its name in the queue until somebody looks whether it lives.
    project.queue.recover(asked.emit)
    with _watched(project, asked.emit) as tell:
        found = resuming.run(
            asked.where,
            experiment,
            tell,
            reset=reset,
            keep=project._open_notebooks(),
            request=asked.request,
            overrides=specs.one_point(asked.points),
            temp=temp,
        )
    return _recorded(project, asked, found.ran, found.stages, found.refs, found.beside)


def repeat(
    project: Project, asked: again.Asked, experiment: str | Experiment, jobs: int, emit: Emit
) -> Experiment:
    """Run an experiment's own state: all of its stages, or the cell alone that it is of."""
    from nbexp.experiments import again, cell_again, cells
    from nbexp.experiments import request as requests

    source = again.source(project.git, experiment)
    folder = cells.folder_at(project.git, project.prefix, source.rev)
    started = time.monotonic()
    refs = project._refs()
    with _watched(project, emit) as tell:
        use_run_cache = asked.use_run_cache and folder is None
        where = place_of(project, emit, run_cache=use_run_cache)
        how = requests.how(project.settings.resources, jobs=jobs)
        if folder is None:
            ran, stages = again.run(
                where,
                source,
                asked,
                refs,
                tell,
                here=project.here,
                keep=project._open_notebooks(),
                how=how,
            )
        else:
            lacking = cells.lacking(project._site(), source.rev, folder)
            taken = _taken(project, refs, asked.name)
            ran, stages = cell_again.run(
                where, source, folder, lacking, asked, taken, tell, how=how
            )
    differs = None
    if asked.verb == "rerun":
        differs = again.differences(project.git, project._reader, source.rev, ran.rev)
    return _experiment(project, ran, stages, refs, started, (source.name, source.rev), differs)


def repro(
    project: Project,
    targets: Sequence[str],
    which: Which,
    how: How,
    where: running.Place,
    emit: Emit,
) -> Reproduced:
    """Run in the user's own files, and record nothing."""
    from nbexp.experiments import repro as reproducing

    with InPlace(project.git, project.cache, project.root).held(emit) as workspace:
        graph = graphs.load(project.root)
        stages = which.stages(graph, targets, project.here)
        done = reproducing.repro(
            where, graph, stages, how, workspace, emit, here=project.here, refs=project._refs()
        )
    return Reproduced(card.stages(done.outcome, project.here), done.elapsed_s, done.own_s)


def place_of(
    project: Project,
    emit: Emit,
    *,
    run_cache: bool = True,
    pull: bool = False,
    interactive: bool = False,
) -> running.Place:
    """The project for a command that runs stages.

    Raises
    ------
    UsageError
        It is to ask before each stage, and there is nobody to ask.
    """
    fetch = None
    if pull:
        from nbexp.experiments.fetching import FromRemotes

        project._fetching = fetch = FromRemotes(project.root, project.cache, emit)
    if interactive and project.confirm is None:
        raise UsageError(
            "`-i` asks before each stage, and there is no terminal to ask on. Nothing was run.",
            "`nbexp run --dry` says what would run.",
        )
    asks = interactive or (
        project.confirm is not None
        and config.read(project.root / ".dvc", home=place.home()).is_on("core", "interactive")
    )

    def attended(
        spec: Spec, uid: str, where: running.Place
    ) -> AbstractContextManager[Callable[[str], None]]:
        # While a run goes on that this process waits for, the queue knows of it.
        kind = "place" if where.home is None else "temp"
        return project.queue.attended(kind, spec, uid, place=os.fspath(where.root))

    return running.Place(
        project.git,
        project.cache,
        project.root,
        project.prefix,
        run_cache and project.settings.run_cache,
        project.stage_env,
        project.confirm if asks else None,
        fetch,
        attend=attended,
    )


def _taken(project: Project, refs: Mapping[str, str], name: str | None) -> Mapping[str, str]:
    """The experiment refs that a name must not be among; one that is drawn, not among those of the queue either."""
    return refs if name is not None else project.queue.with_reserved(refs)


def _watched(project: Project, emit: Emit) -> AbstractContextManager[Emit]:
    """The consumer of a run's events, with the alerts that are set up carried out."""
    from nbexp.experiments import alerting

    return alerting.watched(
        project.root, project.settings, emit, lambda: project._reader, project.stage_env
    )


def _recorded(
    project: Project,
    asked: Asked,
    ran: running.Ran,
    stages: Sequence[Stage],
    refs: Mapping[str, str],
    beside: tuple[str, str] | None = None,
) -> Experiment:
    """The experiment that a run came to, which is pushed where the settings say so."""
    experiment = _experiment(project, ran, stages, refs, asked.started_s, beside)
    project._auto_push(ran.ref, asked.emit)
    return experiment


def _experiment(
    project: Project,
    ran: running.Ran,
    stages: Sequence[Stage],
    refs: Mapping[str, str],
    started_s: float,
    beside: tuple[str, str] | None = None,
    differs: tuple[str, ...] | None = None,
) -> Experiment:
    """The experiment that a run came to, with its card; `refs` are those from before."""
    made = project._experiment(ran.ref, ran.rev)
    report = card.of_run(
        project.git,
        project._reader,
        project.settings,
        ran,
        stages,
        baseline=made.baseline,
        refs=refs,
        beside=beside,
        prefix=project.prefix,
        here=project.here,
        elapsed_s=time.monotonic() - started_s,
        differs=differs,
    )
    return replace(made, report=report)
