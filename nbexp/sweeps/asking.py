"""From what is asked to a sweep that can be led: its space, its sampler, the frozen state it starts from.

The same line again goes on with the sweep that it made before, or shows it once more if it is over, as long as the
files of the pipeline are as they were.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from nbexp import overrides
from nbexp.errors import NameTaken, UsageError
from nbexp.events import Emit, Notice
from nbexp.experiments import composition, freezing, preflight
from nbexp.experiments.freezing import View
from nbexp.experiments.preflight import Absent
from nbexp.experiments.request import Request
from nbexp.experiments.spec import Spec
from nbexp.formats import ref_names, values
from nbexp.frozen import field, frozen, replace
from nbexp.overrides import Override
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.plan import Disk
from nbexp.queue import asking as queueing
from nbexp.queue import state as states
from nbexp.queue.site import Site
from nbexp.sweeps import course as courses
from nbexp.sweeps import definition, objective, samplers
from nbexp.sweeps import space as spaces
from nbexp.sweeps.definition import Definition
from nbexp.sweeps.space import Point, Space


@frozen
class SweepRequest:
    """What was asked for; see `Project.sweep` for each.

    Attributes
    ----------
    run
        What all trials have in common; its name is theirs without a number, and that of the sweep.
    resume, reset
        The experiment, or the step of one, that every trial goes on from; or that it begins over.
    """

    space: Iterable[str] | Mapping[str, object] | Iterable[Mapping[str, object]] = ()
    items: Sequence[str] = ()
    file: str | None = None
    sampler: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    objective: str | None = None
    trials: int | None = None
    jobs: int = 1
    repeat: int = 1
    seed_param: str | None = None
    seed: int | None = None
    timeout_s: float | None = None
    run: Request = field(default_factory=Request)
    resume: str | None = None
    reset: bool = False
    verb: str = "sweep"


@frozen
class Asked:
    """The sweep that a request means; `known` where there is one already, which is gone on with.

    `missing` are the files that trials need and will not find.
    """

    wanted: Definition
    view: View
    missing: Sequence[Absent]
    known: Definition | None


def understand(site: Site, request: SweepRequest, view: View, emit: Emit) -> Asked:
    """What a request means, started from that state; nothing is written but loose objects.

    Raises
    ------
    UsageError, NotFound, ProjectFileError
        It cannot be met, and nothing was run.
    """
    here = site.here
    space, common, fixed = _space(request, view, site.root, here)
    aim = objective.parse(request.objective, site.settings.better) if request.objective else None
    sampler = request.sampler or "grid"
    kind = samplers.load(sampler)
    if kind.needs_metric and request.repeat != 1:
        raise UsageError(
            f"`--repeat` is for points that are known before; `{sampler}` asks for one after the other. "
            "Nothing was run.",
            "`nbexp sweep --repeat 3` of the best points, when they are found.",
        )
    if request.jobs < 1:
        raise UsageError(f"{request.jobs} experiments at once is none. Nothing was run.", "`-j 2`")
    baseline = view.snapshot.baseline
    refs = site.git.refs("refs/exps/")
    # Checked with the values of one point, as it will be run from: that every key is there.
    one, nameless = [(*fixed, *common)], replace(request.run, name=None)
    if request.resume is None:
        made = queueing.make(
            site, view, one, nameless, refs, emit, untouched="Nothing was run.",
        )  # fmt: skip
    else:
        made, _ = queueing.resume(
            site, request.resume, one, nameless, reset=request.reset, is_sweep=True, emit=emit
        )
    (trial,) = made.specs
    if trial.composed is not None:
        # Trials are composed of what is frozen, which has no configurations that were never added to Git.
        version = composition.Version(site.git, site.prefix, view.snapshot.rev)
        composition.compose_all(site.root, here, [(*fixed, *common)], version)
    spec = replace(trial, name="", edits={}, overrides=tuple(fixed), composed=None)
    direction = aim.direction if aim else None
    metric = aim.metric if aim else None
    seed = request.seed if request.seed is not None else int(uuid4().hex[:8], 16)
    size = space.size
    trials = _count(request, kind.needs_metric, size, sampler)
    wanted = Definition(
        name="",
        batch=uuid4().hex,
        key="",
        baseline=baseline,
        space=space,
        spec=spec,
        sampler=sampler,
        options=dict(request.options),
        metric=metric,
        direction=direction,
        trials=trials,
        jobs=request.jobs,
        seed=seed,
        prefix=request.run.name,
        created_s=definition.now_s(),
        resources=made.resources,
        timeout_s=request.timeout_s,
        mark=site.mark,
    )
    samplers.make(sampler, wanted.study())
    key = definition.key_of(
        baseline, space, replace(spec, new=False), sampler, wanted.options, metric, direction,
        request.seed, request.run.name, None if sampler != "grid" else trials,
        start=view.snapshot.rev if request.resume is not None else None, mark=site.mark,
    )  # fmt: skip
    wanted = replace(wanted, key=key)
    known = None if request.run.new else _known(site, wanted, view, trial, emit)
    if known is None and request.run.name is not None:
        ref_names.check_name(f"{request.run.name}-{trials}")
        _refuse_taken(site, wanted, request, refs)
    return Asked(wanted, view, made.missing, known)


def begin(site: Site, asked: Asked, emit: Emit) -> Definition:
    """Keep the sweep, or go on with the one that is known; `following.start` sets out then."""
    wanted, store = asked.wanted, site.store
    if asked.known is not None:
        sweep = asked.known
        timeout_s = wanted.timeout_s
        go_on(site, sweep, trials=wanted.trials, jobs=wanted.jobs, timeout_s=timeout_s)
        return sweep
    preflight.tell(asked.missing, wanted.spec.here, emit)
    freezing.keep_copies(site.place(emit), [wanted.spec], wanted.batch)
    sweep = definition.keep(site.git, wanted, asked.view.snapshot.rev)
    courses.write(store, sweep, courses.read(store, sweep))
    return sweep


def go_on(
    site: Site,
    sweep: Definition,
    *,
    trials: int | None,
    jobs: int | None,
    timeout_s: float | None = None,
) -> None:
    """Let a sweep that is not over, or was stopped, go on; with more trials, one that is.

    Another time limit holds for the trials that are still to be queued.
    """
    course = courses.read(site.store, sweep)
    if course.stops or course.over == "stopped":
        # What was stopped with it is run after all.
        ended = site.store.tasks("cancelled", "interrupted", batch=sweep.batch)
        site.store.apply_all([task.uid for task in ended], states.Retried())
    more = max(trials or 0, course.trials)
    live = site.store.tasks(*states.LIVE, batch=sweep.batch)
    is_over = course.over == "done" and more == course.trials and not live
    after = replace(
        course,
        trials=more,
        jobs=jobs or course.jobs,
        stops=False,
        over="done" if is_over else None,
        note="",
        timeout_s=timeout_s or course.timeout_s,
    )
    if after != course:
        courses.write(site.store, sweep, after)


def points(sweep: Definition, count: int) -> list[Point]:
    """The first points that it would try, where they do not follow from values."""
    if samplers.load(sweep.sampler).needs_metric:
        return []
    return list(samplers.make(sweep.sampler, sweep.study()).ask(count))


def _space(
    request: SweepRequest, view: View, root: Path, here: str
) -> tuple[Space, list[Override], list[Override]]:
    """The space; the overrides of one of its points; those that all points have."""

    def present(file: str, key: str) -> object:
        data = view.read(posixpath.normpath(posixpath.join(here, file)))
        return values.MISSING if data is None else values.lookup(values.parse(data, file), key)

    asked: Any = request.space
    if request.file is not None:
        asked = spaces.read_points(root / here / request.file, request.file)
    seeds = _seeds(view, here) if request.repeat != 1 and request.seed_param is None else []
    space, common = spaces.of(
        asked,
        request.items,
        present=present,
        repeat=request.repeat,
        seed_param=request.seed_param,
        seeds=seeds,
    )
    if not space.params:
        raise UsageError(
            "Nothing varies: each param has one value. Nothing was run.",
            "`nbexp sweep -S train.lr=0.1,0.2`; one value is for `nbexp run`.",
        )
    fixed = [*overrides.parse(common)[0]]
    # Points may have different params: every one of them is checked.
    example: dict[str, object] = {}
    for point in space.points:
        example.update(point)
    for one in space.dimensions:
        example[one.param] = one.at(0.0)
    return space, [*overrides.parse(example)[0]], fixed


def _seeds(view: View, here: str) -> list[str]:
    """The params of ./params.yaml that are called like a seed."""
    data = view.read(posixpath.normpath(posixpath.join(here, overrides.DEFAULT_FILE)))
    if data is None:
        return []
    leaves = values.flatten(values.parse(data, overrides.DEFAULT_FILE))
    return [key for key in leaves if key.rpartition(".")[2] in spaces.SEED_NAMES]


def _count(request: SweepRequest, needs_metric: bool, size: int | None, sampler: str) -> int:
    """How many trials there will be."""
    if request.trials is not None and request.trials < 1:
        raise UsageError(f"{request.trials} trials are none. Nothing was run.", "`--trials 40`")
    if size is not None and not needs_metric:
        return min(size, request.trials or size)
    if not needs_metric and sampler == "grid":
        return 1  # the sampler says what is wrong with it
    if request.trials is None:
        raise UsageError(
            f"With `{sampler}` there is no end of points, and no number of trials was given. Nothing was run.",
            "`nbexp sweep --random 20`, or `--trials 40` with `--optuna`.",
        )
    return request.trials


def _known(
    site: Site, wanted: Definition, view: View, trial: Spec, emit: Emit
) -> Definition | None:
    """The sweep that the same line made before, if the pipeline's files are as they were."""
    same = [one for one in definition.kept(site.git, site.mark) if one.key == wanted.key]
    if not same or wanted.spec.resumed is not None:
        return same[0] if same else None  # what is gone on from stands in the key
    graph = graphs.load(site.root, read=Disk(site.root, trial.edits).read)
    stages = trial.which.stages(graph, trial.targets, trial.here)
    changed: list[str] = []
    for one in same:
        changed = definition.changed(site.git, site.prefix, one, view.snapshot.rev, graph, stages)
        if not changed:
            return one
    latest = same[0]
    if courses.read(site.store, latest).over is None:
        emit(
            Notice(
                f"{', '.join(changed)} changed since {latest.name} began, so this is a new sweep.",
                f"`nbexp sweep --resume {latest.name}` goes on with the files as they were.",
            )
        )
    return None


def _refuse_taken(
    site: Site, wanted: Definition, request: SweepRequest, refs: Mapping[str, str]
) -> None:
    prefix = f"{wanted.prefix}-".lower()
    numbers = {f"{prefix}{number}" for number in range(1, wanted.trials + 1)}
    names = [
        name
        for _, baseline, name in ref_names.experiments(refs)
        if baseline == wanted.baseline and name.lower() in numbers
    ]
    names += [name for name in site.store.reserved(wanted.baseline) if name in numbers]
    if names:
        raise NameTaken(
            f"Experiment `{names[0]}` already exists on baseline {wanted.baseline[:7]}. Nothing was run.",
            f"another prefix: `nbexp {request.verb} --name {wanted.prefix}-more`.",
        )
