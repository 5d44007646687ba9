"""The sweeps of a project, as Python, the command line and cells use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Unpack, cast

from nbexp.errors import Interrupted, UsageError
from nbexp.events import Emit, Notice, ignore
from nbexp.experiments import catalogue, composition, identity, planning, resuming
from nbexp.experiments import request as requests
from nbexp.experiments import spec as specs
from nbexp.experiments.place import GitMeanings
from nbexp.experiments.reading import Reader
from nbexp.experiments.request import RunOptions
from nbexp.formats import ref_names
from nbexp.overrides import parse
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.forecast import Foresight
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.plan import Disk
from nbexp.pipeline.stage import Stage
from nbexp.queue import Queue
from nbexp.queue.site import Site
from nbexp.queue.watching import Watcher
from nbexp.sweeps import asking, definition, following, samplers
from nbexp.sweeps import course as courses
from nbexp.sweeps.asking import Asked, SweepRequest
from nbexp.sweeps.definition import Definition
from nbexp.sweeps.form import Answers, Picker, SweepForm, fields
from nbexp.sweeps.results import Sweep, SweepPlan, Sweeps
from nbexp.sweeps.samplers import optuna
from nbexp.sweeps.space import Point

_SHOWN = 4
# Of more points than this nobody waits to hear which are recorded; each takes some milliseconds.
_LOOKED_AT = 200
_LAST = 1 - 1e-9
# Enough of the past to know what values a param takes.
_READ = 1000


Space = Iterable[str] | Mapping[str, object] | Iterable[Mapping[str, object]]


class SweepOptions(RunOptions, total=False):
    """What `Project.sweep` takes beside the space; see there.

    `jobs` is how many experiments run at once; `resume` and `reset` are those of a run with several values.
    """

    set_params: Sequence[str]
    file: str | None
    sampler: str | None
    options: Mapping[str, str] | None
    minimize: str | None
    maximize: str | None
    trials: int | None
    jobs: int
    repeat: int
    seed_param: str | None
    seed: int | None
    timeout_s: float | None
    baseline: str | None
    with_edits: bool | None
    resume: str | None
    reset: bool


def options(named: Mapping[str, object]) -> SweepOptions:
    """Those of the named values that are options of a sweep."""
    known = SweepOptions.__annotations__
    return cast("SweepOptions", {name: value for name, value in named.items() if name in known})


class KeptSweeps:
    """`project.sweeps`: those there are, gone on with, stopped, and foreseen."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._site = queue.site

    def __contains__(self, name: str) -> bool:
        is_there = definition.PREFIX + name in self._site.git.refs(definition.PREFIX)
        return is_there and any(one.name == name for one in self._kept())

    def list(self) -> Sweeps:
        """The sweeps of the project, the newest first."""
        return Sweeps(tuple(following.result(self._site, one) for one in self._kept()))

    def show(self, name: str) -> Sweep:
        """What a sweep has come to so far.

        Raises
        ------
        NotFound
            There is no sweep of that name.
        """
        return following.result(self._site, definition.load(self._site.git, name, self._site.mark))

    def resume(
        self,
        name: str,
        *,
        trials: int | None = None,
        jobs: int | None = None,
        timeout_s: float | None = None,
        detach: bool = False,
        emit: Emit = ignore,
    ) -> Sweep:
        """Go on with a sweep from the state it was asked for in, and watch it until it is over.

        Parameters
        ----------
        trials
            How many there shall be in all; None: as many as were asked for.
        jobs
            How many run at once.
        timeout_s
            Seconds after which a trial that is still to be queued is stopped, and has failed.
        detach
            Do not watch.

        Raises
        ------
        NotFound
            There is no sweep of that name.
        Interrupted
            Only the watching was: the sweep goes on.
        """
        sweep = definition.load(self._site.git, name, self._site.mark)
        asking.go_on(self._site, sweep, trials=trials, jobs=jobs, timeout_s=timeout_s)
        return self._lead(sweep, detach=detach, emit=emit)

    def watch(self, name: str) -> Iterator[Sweep]:
        """What a sweep has come to, anew whenever something changed, until it is over; where its leader died, another one leads.

        Raises
        ------
        NotFound
            There is no sweep of that name.
        QueueError
            Nobody can lead it.
        """
        sweep = definition.load(self._site.git, name, self._site.mark)
        for _ in following.changes(self._site, sweep, Watcher(self._site.store)):
            yield following.result(self._site, sweep)

    def stop(self, name: str) -> Sweep:
        """Let no new trial of a sweep begin, and end those that run; what is recorded stays.

        Raises
        ------
        NotFound
            There is no sweep of that name.
        """
        sweep = definition.load(self._site.git, name, self._site.mark)
        courses.stop(self._site, sweep)
        if courses.read(self._site.store, sweep).over is None:
            # Who leads it sees the last trials end, and closes it.
            self._lead(sweep, detach=False, emit=ignore)
        return following.result(self._site, sweep)

    def plan(
        self, space: Space = (), *, emit: Emit = ignore, **options: Unpack[SweepOptions]
    ) -> SweepPlan:
        """What `Project.sweep` would run with these arguments, and how long by past runs; nothing is changed.

        Raises
        ------
        NotFound, UsageError, NameTaken, ProjectFileError
            As `Project.sweep`.
        """
        site = self._site
        asked = self._understood(space, "sweep", options, emit)
        known, wanted = asked.known, asked.wanted
        done = len(courses.tasks(site.store, known)) if known is not None else 0
        first = asking.points(wanted, _SHOWN)
        has_run = known is not None and done >= wanted.trials
        return SweepPlan(
            trials=max(0, wanted.trials - done),
            jobs=wanted.jobs,
            sampler=wanted.sampler,
            seconds=None if has_run else self._seconds(wanted),
            first=tuple(following.typed(point) for point in first),
            goes_on=known.name if known is not None else None,
            recorded=0 if has_run else self._recorded(wanted, done, options),
        )

    def form(self, answers: Answers | None = None) -> SweepForm:
        """What a sweep can vary here, with what is known of each param, as a form that waits for answers.

        Parameters
        ----------
        answers
            What it holds at first; None: every param is kept.
        """
        site = self._site
        reader = Reader(site.git, site.cache, site.root, site.prefix)
        present = reader.workspace()
        revs = [*catalogue.refs(site.git).values()][:_READ]
        past = [one.data for one in reader.commits(revs).values() if one.data is not None]
        return SweepForm(
            fields=fields.params(present, past, site.here),
            metrics=fields.metrics([present, *past], site.settings.better),
            pickers=tuple(_picker(name) for name in _in_order(samplers.names())),
            optuna_samplers=optuna.SAMPLERS,
            pruners=optuna.PRUNERS,
            answers=answers or Answers(),
        )

    # ---- for the project

    def begin(
        self,
        space: Space,
        *,
        detach: bool = False,
        verb: str = "sweep",
        emit: Emit = ignore,
        **options: Unpack[SweepOptions],
    ) -> Sweep:
        """What `Project.sweep` does; see there."""
        asked = self._understood(space, verb, options, emit)
        known = asked.known
        sweep = asking.begin(self._site, asked, emit)
        if known is not None and courses.read(self._site.store, sweep).over == "done":
            emit(
                Notice(
                    f"{sweep.name} has run this already.", f"`nbexp {verb} --new …` runs it anew."
                )
            )
            return following.result(self._site, sweep)
        _say(asked, sweep, emit, verb=verb)
        return self._lead(sweep, detach=detach, emit=emit, stops=verb == "run")

    def _understood(
        self, space: Space, verb: str, options: SweepOptions, emit: Emit
    ) -> asking.Asked:
        site, resume = self._site, options.get("resume")
        if resume is None:
            view = self._queue.look(
                baseline=options.get("baseline"), with_edits=options.get("with_edits"), emit=emit
            )
        else:
            # What was killed still has its name in the queue until somebody looks whether it lives.
            self._queue.recover(emit)
            start = resuming.begin(site.git, resume, reset=options.get("reset", False))
            view = resuming.view_of(site.git, site.prefix, start)
        found = asking.understand(self._site, self._request(space, verb, options), view, emit)
        self._site.tell(emit)
        return found

    def _request(self, space: Space, verb: str, options: SweepOptions) -> SweepRequest:
        return SweepRequest(
            space=space,
            items=tuple(options.get("set_params", ())),
            file=options.get("file"),
            sampler=options.get("sampler"),
            options=options.get("options") or {},
            objective=_objective(options.get("minimize"), options.get("maximize")),
            trials=options.get("trials"),
            jobs=options.get("jobs", 1),
            repeat=options.get("repeat", 1),
            seed_param=options.get("seed_param"),
            seed=options.get("seed"),
            timeout_s=options.get("timeout_s"),
            run=requests.of(
                self._site.here, self._site.settings.resources, **requests.options(options)
            ),
            resume=options.get("resume"),
            reset=options.get("reset", False),
            verb=verb,
        )

    def _seconds(self, sweep: Definition) -> float | None:
        """How long the stages take that a point makes run, by past runs; of the first and the last the longer."""
        space = sweep.space
        ends = [
            {**space.points[at], **{one.param: one.at(share) for one in space.dimensions}}
            # The values that are in place now make nothing run, and are often the first ones.
            for at, share in ((0, 0.0), (-1, _LAST))
        ]
        found = [self._foreseen(sweep, point).seconds() for point in ends]
        known = [one for one in found if one is not None]
        return max(known) if len(known) == len(found) else None

    def _recorded(self, sweep: Definition, done: int, options: SweepOptions) -> int | None:
        """How many of the points that are still to be run an experiment has already; None: nobody can tell."""
        is_drawn = sweep.sampler != "grid" and options.get("seed") is None
        if is_drawn or sweep.spec.composed is not None or options.get("baseline") is not None:
            return None
        if options.get("new") or options.get("force"):
            return 0
        points = asking.points(sweep, sweep.trials)[done:] if sweep.trials <= _LOOKED_AT else []
        if len(points) != sweep.trials - done:
            return None
        refs = catalogue.refs(self._site.git)
        if not any(of == sweep.baseline for _, of, _ in ref_names.experiments(refs)):
            return 0
        return sum(self._foreseen(sweep, point).is_recorded(refs) for point in points)

    def _foreseen(self, sweep: Definition, point: Point) -> _Foreseen:
        site, spec = self._site, sweep.spec
        typed = [*spec.overrides, *parse(point)[0]]
        composed = None
        if spec.composed is not None:
            composed = composition.compose(site.root, spec.here, typed)
        edits = specs.params_edits(site.root, spec.here, typed, composed=composed)
        graph = graphs.load(site.root, read=Disk(site.root, edits).read)
        stages = spec.which.stages(graph, spec.targets, spec.here)
        return _Foreseen(site, sweep, edits, graph, stages)

    def _kept(self) -> Sequence[definition.Definition]:
        return definition.kept(self._site.git, self._site.mark)

    def _lead(self, sweep: Definition, *, detach: bool, emit: Emit, stops: bool = False) -> Sweep:
        site = self._site
        try:
            if courses.read(site.store, sweep).over is None:
                following.start(site, sweep)
            if not detach:
                following.follow(site, sweep, emit)
        except KeyboardInterrupt:
            if stops:
                courses.stop(site, sweep)
                following.follow(site, sweep, ignore)
            raise _interrupted(following.result(site, sweep), stopped=stops) from None
        return following.result(site, sweep)


class _Foreseen:
    """One point, as its run would find the project."""

    def __init__(
        self,
        site: Site,
        sweep: Definition,
        edits: Mapping[str, bytes],
        graph: Graph,
        stages: Sequence[Stage],
    ) -> None:
        self._site, self._sweep, self._edits = site, sweep, edits
        self._graph, self._stages = graph, stages

    def seconds(self) -> float | None:
        site, spec = self._site, self._sweep.spec
        plan = planning.make(
            site.git, site.cache, site.root, site.prefix, {}, self._graph, self._stages, self._edits,
            here=spec.here, how=spec.how, use_run_cache=False,
        )  # fmt: skip
        return plan.seconds

    def is_recorded(self, refs: Mapping[str, str]) -> bool:
        site = self._site
        disk = Disk(site.root, self._edits)
        looking = Foresight(site.root, site.cache, disk, GitMeanings(site.git, site.prefix, refs))
        found = identity.find(
            site.git, site.cache, site.root, site.prefix, self._sweep.baseline, refs,
            self._stages, self._graph, looking,
        )  # fmt: skip
        return found is not None


def _say(asked: Asked, sweep: Definition, emit: Emit, *, verb: str) -> None:
    if asked.known is not None:
        emit(Notice(f"Going on with {sweep.name}, which the same line began.", as_asked=True))
        return
    count, jobs = sweep.trials, min(sweep.jobs, sweep.trials)
    at_once = f"{jobs} at a time" if jobs > 1 else "one after the other"
    what = "experiments" if verb == "run" else "trials"
    what = what if count != 1 else what[:-1]
    said = f"{sweep.name}: {count} {what}, {at_once}, beside your files."
    emit(Notice(said, as_asked=True))


def _interrupted(so_far: Sweep, *, stopped: bool) -> Interrupted:
    over = sum(one.state in ("done", "pruned", "failed") for one in so_far.trials)
    if stopped:
        done = so_far.counts.get("done", 0)
        return Interrupted(
            f"Stopped: {done} of {so_far.planned} experiments {'is' if done == 1 else 'are'} recorded, "
            "the others were ended. Your workspace is as it was.",
            f"`nbexp sweep --resume {so_far.name}` runs what is left.",
        )
    return Interrupted(
        f"{so_far.name} goes on without you: {over} of {so_far.planned} trials are over.",
        f"`nbexp sweep --resume {so_far.name}` watches again; `nbexp stop {so_far.name}` ends it.",
    )


def _in_order(names: Sequence[str]) -> list[str]:
    """Those that come with nbexp first, the plainest of them before all."""
    own = [name for name in ("grid", "random", "optuna") if name in names]
    return [*own, *(name for name in names if name not in own)]


def _picker(name: str) -> Picker:
    kind = samplers.load(name)
    missing = name == "optuna" and not optuna.is_installed()
    problem = "The package optuna is not installed: `python -m pip install 'nbexp[optuna]'`."
    return Picker(name, kind.needs_metric, problem if missing else None)


def _objective(minimize: str | None, maximize: str | None) -> str | None:
    """The one that was given, with its way.

    Raises
    ------
    UsageError
        Both were.
    """
    if minimize is not None and maximize is not None:
        raise UsageError(
            f"`{minimize}` is to be minimized and `{maximize}` maximized; one metric is expected. "
            "Nothing was run.",
            f'`nbexp sweep --optuna "minimize {minimize}"`.',
        )
    if minimize is not None:
        return f"minimize {minimize}"
    return None if maximize is None else f"maximize {maximize}"
