"""Pictures and pages of a project: its plots, reports and published sites.

`Project` has the signatures and says what each does; what it keeps for itself is used here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.events import Emit
from nbexp.frozen import replace

if TYPE_CHECKING:
    from nbexp.experiments import naming
    from nbexp.experiments.plotting import Plot, asking
    from nbexp.experiments.report import Report, making
    from nbexp.experiments.site import Published
    from nbexp.experiments.table import Table
    from nbexp.project.project import Project
    from nbexp.project.results import Experiment


def plot(project: Project, request: asking.Request, emit: Emit) -> Plot:
    """What `Project.plot` draws."""
    from nbexp.experiments import catalogue, naming, ongoing
    from nbexp.experiments.plotting import asking
    from nbexp.experiments.row import Row
    from nbexp.experiments.selection import Revisions
    from nbexp.experiments.table import Table

    going = ongoing.read(project.root)

    def recent() -> list[asking.State]:
        head = project._head()
        runs = [(one.name, None) for one in going if one.baseline == head]
        recorded = catalogue.of_baseline(project.git, head)
        # As many as may be drawn: in a sweep, hundreds are of one second.
        seconds = {row.created_s for row in recorded[: asking.MAX_LINES]}
        recorded = catalogue.as_begun(project.git, recorded, seconds)
        return [*runs, *((row.name or row.rev[:7], row.rev) for row in recorded)]

    def rows(asked: asking.Request) -> Table:
        return project.show(
            asked.where,
            sort=asked.sort,
            descending=asked.descending,
            revisions=asked.revisions or (None if asked.sweep else Revisions()),
            all_states=asked.all_states,
            flat=bool(asked.sort),
            hide_workspace=True,
            hide_queued=True,
            emit=emit,
        )

    def of(states: Sequence[asking.State]) -> Table:
        read = project._reader.commits([rev for _, rev in states if rev is not None])
        found = []
        for name, rev in states:
            known = read.get(rev) if rev is not None else None
            data = project._reader.workspace() if rev is None else known and known.data
            created_s = known.time_s if known else None
            found.append(Row(rev or "workspace", name, "experiment", data, created_s=created_s))
        return Table(tuple(found))

    def resolve(what: str | naming.Named) -> asking.State:
        if what == "workspace":
            return "workspace", None
        return naming.commit(project.git, what, failed=True)

    home = asking.Home(
        project.git,
        project.cache,
        project.root,
        project.prefix,
        {one.name: one.folder for one in going},
        project.settings.better,
        recent,
        rows,
        of,
        resolve,
        lambda rev: project._contents(rev, emit),
        lambda name: [one.name for one in project.sweeps.show(name).trials],
    )
    return asking.make(home, request)


def report(
    project: Project,
    experiment: str | Experiment,
    others: Sequence[str | Experiment],
    title: str | None,
    fail_under: making.Limits | None,
    fail_over: making.Limits | None,
) -> Report:
    """What `Project.report` tells."""
    from nbexp.experiments import naming, sides
    from nbexp.experiments.report import making

    bars = [*making.bars(fail_under, "under"), *making.bars(fail_over, "over")]
    first = naming.state(project.git, experiment)
    beside = [one for what in others if (one := naming.state(project.git, what))[0] != first[0]]
    if not beside:
        beside = [naming.state(project.git, naming.before(project.git, *first))]
    named = [*dict.fromkeys([first, *beside])]
    site = project._site()
    new, old = (sides.of(site, name if rev is None else rev) for name, rev in named[:2])
    data = [new.data, old.data, *(project._reader.read(rev) for _, rev in named[2:])]
    return making.make(
        making.Files(project.git, project.cache, project.root, project.prefix),
        [making.Source(*one, found) for one, found in zip(named, data, strict=True)],
        (replace(old, name=named[1][0]), replace(new, name=named[0][0])),
        bars,
        title,
    )


def publish(
    project: Project,
    folder: str | os.PathLike[str],
    experiments: Sequence[str | Experiment],
    title: str | None,
    max_size_mb: float | None,
    emit: Emit,
) -> Published:
    """What `Project.publish` writes."""
    from nbexp.experiments import catalogue, contents, opening, sides, site
    from nbexp.experiments.report import making

    revs = {project._resolve(one)[1] for one in experiments}
    rows = [
        row
        for row in project.show().rows
        if row.kind == "baseline"
        or (row.kind == "experiment" and row.state != "running" and (not revs or row.rev in revs))
    ]
    used = {row.baseline for row in rows if row.kind == "experiment"}
    rows = [row for row in rows if row.kind == "experiment" or row.rev in used]
    infos = catalogue.infos(project.git, [row.rev for row in rows])
    names = catalogue.baseline_names(project.git)
    return site.publish(
        project.root / project.here / folder,
        rows,
        site.Source(
            making.Files(project.git, project.cache, project.root, project.prefix),
            partial(sides.of_commit, project._site()),
            partial(opening.executed, project._site()),
            partial(contents.read, project.git, project.cache, project.prefix),
            {rev: info.author.partition(" <")[0] for rev, info in infos.items()},
            {row.rev: names.get(row.rev, row.rev[:7]) for row in rows},
            project.root.name,
        ),
        title=title or project.root.name,
        shown_as=Path(os.path.normpath(folder)).as_posix(),
        max_size_mb=max_size_mb,
        emit=emit,
    )
