"""From a request to tasks: what it starts from is frozen, names are reserved, and only then is anything queued."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from nbexp import overrides as grammar
from nbexp.errors import NameTaken
from nbexp.events import Emit
from nbexp.experiments import (
    catalogue,
    composition,
    environment,
    freezing,
    isolated,
    preflight,
    resuming,
)
from nbexp.experiments import spec as specs
from nbexp.experiments.freezing import Snapshot, View
from nbexp.experiments.request import Request
from nbexp.experiments.spec import Spec
from nbexp.filesystem import crash_point
from nbexp.formats import ref_names, values
from nbexp.formats.ref_names import ExpRef
from nbexp.frozen import frozen, replace
from nbexp.overrides import Override
from nbexp.pipeline import schedule
from nbexp.pipeline.stage import Stage
from nbexp.queue import batches
from nbexp.queue.batches import SNAPSHOTS
from nbexp.queue.rows import Kind, NewTask, Task
from nbexp.queue.site import Site

Point = tuple[Override, ...]


@frozen
class Made:
    """Specs that can be queued, what they start from, and what they need and will not find there."""

    specs: tuple[Spec, ...]
    view: View
    resources: Mapping[str, float]
    duplicates: int = 0
    missing: tuple[preflight.Absent, ...] = ()


def make(
    site: Site,
    view: View,
    points: Sequence[Point],
    asked: Request,
    refs: Mapping[str, str],
    emit: Emit,
    *,
    is_sweep: bool | None = None,
    version: composition.Version | None = None,
    untouched: str = "Nothing was queued.",
) -> Made:
    """A spec for each point, checked against the frozen state.

    Points that are equal are one. Where Hydra is on, params are composed of the configurations that lie here, new ones
    too, or of those of `version`. Of a thousand that set the same keys, the first is checked by writing its params files;
    of the others the values alone differ.

    Raises
    ------
    NotFound, UsageError, NameTaken, ProjectFileError
        The request cannot be met.
    """
    baseline = view.snapshot.baseline
    different = {_key(point): point for point in reversed(points)}
    kept = [point for point in points if different.pop(_key(point), None) is not None]
    is_sweep = len(points) > 1 if is_sweep is None else is_sweep
    names = _names(site, asked, len(kept), baseline, refs, numbered=is_sweep)
    place = site.place(emit)
    made: list[Spec] = []
    checked: dict[object, Spec] = {}
    parsed: dict[str, object] = {}

    def params_of(file: str) -> object:
        path = posixpath.normpath(posixpath.join(asked.here, file))
        if path not in parsed:
            parsed[path] = values.parse(view.read(path) or b"", file)
        return parsed[path]

    composed: Sequence[str | None] = [None] * len(kept)
    if asked.hydra:
        composed = composition.compose_all(site.root, asked.here, kept, version) or composed
    for name, point, text in zip(names, kept, composed, strict=True):
        keys = tuple((one.file, one.key, one.op, one.has_value) for one in point)
        known = checked.get(keys)
        if known is None:
            first = asked.spec(
                site.root,
                baseline,
                refs,
                point,
                name=name,
                composed=text,
                untouched=untouched,
                read=preflight.reader(place, view),
            )
            checked[keys] = first = replace(first, named=asked.name is not None)
            made.append(first)
            continue
        if any(isinstance(one.value, str) and "${" in one.value for one in point):
            point = (
                grammar.resolve(point, params_of)
                if text is None
                else specs.resolved(view.read, asked.here, point, text)
            )
        replaces = refs.get(ExpRef(baseline, name).ref)
        made.append(
            replace(known, name=name, overrides=point, edits={}, replaces=replaces, composed=text)
        )
    first = made[0]
    graph = isolated.graph_of(place, view, first.edits)
    stages = first.which.stages(graph, first.targets, first.here)
    resources = _resources(site, stages)
    copies = freezing.copied_paths(first, site.root)
    absent = preflight.missing(place, graph, stages, view=view, copies=copies)
    return Made(tuple(made), view, resources, len(points) - len(kept), absent)


def resume(
    site: Site,
    what: str,
    points: Sequence[Point],
    asked: Request,
    *,
    reset: bool,
    is_sweep: bool | None = None,
    emit: Emit,
) -> tuple[Made, str]:
    """Specs that go on from a step of an experiment, one for each point, and the step as it was named.

    One point goes on under the experiment's own name, unless another one is asked for; several become new experiments.

    Raises
    ------
    NotFound, UsageError, NameTaken
        The request cannot be met; nothing was queued.
    """
    start = resuming.begin(site.git, what, reset=reset)
    refs = catalogue.refs(site.git)
    many = len(points) > 1 if is_sweep is None else is_sweep
    is_own = not many and start.step is None and asked.name in {None, start.source.name}
    names: list[str | None] = [None]
    if not is_own:
        baseline = start.source.ref.baseline
        names = [*_names(site, asked, len(points), baseline, refs, numbered=many)]
    found = [
        resuming.of_point(site.place(emit), start, asked, point, refs, name)
        for point, name in zip(points, names, strict=True)
    ]
    view, _, stages = found[0]
    made = tuple(replace(spec, named=asked.name is not None) for _, spec, _ in found)
    return Made(made, view, _resources(site, stages)), start.shown


def _resources(site: Site, stages: Sequence[Stage]) -> dict[str, float]:
    """What a run of the stages needs, of what there is a number of."""
    totals = schedule.amounts(site.settings.resources, "`resources`", "nbexp.toml")
    found: dict[str, float] = {}
    for needs in schedule.demands(stages, totals).values():
        for what, amount in needs.items():
            # Its stages run one after the other, so it needs what the greediest of them does.
            found[what] = max(found.get(what, 0), amount)
    return found


def enqueue(
    site: Site,
    made: Sequence[Spec],
    view: View,
    *,
    resources: Mapping[str, float] | None = None,
    kind: Kind = "queued",
    words: Sequence[str] = ("--queue",),
    timeout_s: float | None = None,
    max_attempts: int = 3,
    emit: Emit,
) -> list[Task]:
    """Freeze what the specs start from, and add a task for each; nothing of it is there without the other.

    Raises
    ------
    NameTaken
        Another request has reserved one of the names meanwhile. Nothing was queued.
    """
    batch = batches.new(site.mark)
    site.store.open()
    snapshot = freezing.freeze(site.place(emit), made, batch=batch, view=view, emit=emit)
    try:
        return add(
            site, made, snapshot, resources=resources, kind=kind, words=words, timeout_s=timeout_s,
            max_attempts=max_attempts,
        )  # fmt: skip
    except BaseException:
        site.git.update_refs([(snapshot.ref, None, None)])
        raise


def add(
    site: Site,
    made: Sequence[Spec],
    snapshot: Snapshot,
    *,
    resources: Mapping[str, float] | None = None,
    kind: Kind = "queued",
    words: Sequence[str] = ("--queue",),
    timeout_s: float | None = None,
    max_attempts: int = 3,
) -> list[Task]:
    """Add a task for each spec, all of which start from a frozen state that is there."""
    is_dvcs = bool(made) and made[0].resumed is None
    first = environment.command_line(made[0], words, is_dvcs=is_dvcs).to_json() if made else {}
    new = [
        NewTask(
            uid=batches.uid_of(snapshot.batch, one.baseline, one.name),
            batch=snapshot.batch,
            baseline=one.baseline,
            name=one.name,
            snapshot=snapshot.rev,
            spec=one.to_json(),
            command=first if len(made) == 1 else {},
            kind=kind,
            resources=resources or {},
            timeout_s=timeout_s,
            max_attempts=1 if kind == "detached" else max_attempts,
        )
        for one in made
    ]
    return site.store.add(new)


def keep_snapshot(site: Site, task: Task) -> bool:
    """See to it that what a task starts from has a ref again; False where Git has collected it."""
    ref = SNAPSHOTS + task.batch
    if ref in site.git.refs(SNAPSHOTS):
        return True
    if site.git.info(f"{task.snapshot}^{{commit}}") is None:
        return False
    crash_point("queue.changing")
    site.git.update_refs([(ref, task.snapshot, None)])
    return True


def _names(
    site: Site,
    asked: Request,
    count: int,
    baseline: str,
    refs: Mapping[str, str],
    *,
    numbered: bool,
) -> list[str]:
    """Names that neither an experiment nor a task has."""
    reserved = site.store.reserved()
    if asked.name is None:
        taken = {ref_names.name_of(ref).lower() for ref in refs} | {*reserved}
        found = []
        for _ in range(count):
            found.append(ref_names.draw(taken))
            taken.add(found[-1])
        return found
    found = [f"{asked.name}-{n}" for n in range(1, count + 1)] if numbered else [asked.name]
    there = {ref_names.name_of(ref).lower(): ref_names.name_of(ref) for ref in refs
             if ref.startswith(ref_names.prefix(baseline))}  # fmt: skip
    here = site.store.reserved(baseline)
    for name in found:
        ref_names.check_name(name)
        holder = there.get(name.lower())
        if holder is not None and (holder != name or not asked.force):
            raise NameTaken(
                f"Experiment `{holder}` already exists on baseline {baseline[:7]}. Nothing was queued.",
                f"`nbexp run --queue -n {asked.name} --force` replaces it; without `-n` a fresh name is drawn.",
            )
        if name.lower() in here:
            raise NameTaken(
                f"A task that is queued or runs has the name `{here[name.lower()]}`. Nothing was queued.",
                f"`nbexp queue remove {here[name.lower()]}` takes it out of the queue; without `-n` a fresh name is drawn.",
            )
    return found


def _key(point: Point) -> object:
    return tuple((one.file, one.key, one.op, type(one.value), repr(one.value)) for one in point)
