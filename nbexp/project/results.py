"""What the methods of `Project` return that is not of one family of commands alone: experiments first of all."""

from __future__ import annotations

import builtins
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from nbexp.events import Emit, ignore
from nbexp.experiments.card import RunReport, StageReport, stage_json
from nbexp.formats import dvc_lock
from nbexp.frozen import field, frozen
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.experiments.cells import CellReport
    from nbexp.experiments.labels import Recorded
    from nbexp.experiments.opened import OpenedNotebook
    from nbexp.experiments.opening import Opened
    from nbexp.experiments.restore import Applied
    from nbexp.experiments.selection import Revisions
    from nbexp.experiments.verify import Verified
    from nbexp.pipeline.plan import Reason
    from nbexp.project.project import Project


@frozen
class Reproduced(Result):
    """What `repro` did, stage by stage; `own_s` are the seconds of `elapsed_s` that nbexp itself took."""

    stages: tuple[StageReport, ...]
    elapsed_s: float = field(compare=False)
    own_s: float = field(compare=False)

    def __repr__(self) -> str:
        return f"<Reproduced: {len(self.changed)} of {len(self.stages)} stages>"

    @property
    def changed(self) -> tuple[StageReport, ...]:
        """The stages that ran or came back."""
        return tuple(one for one in self.stages if one.action in {"ran", "restored", "taken"})

    def to_json(self) -> dict[str, object]:
        return {"stages": [stage_json(stage) for stage in self.stages]}


@frozen
class Experiment(Result):
    """A recorded experiment: a commit on its baseline with a name.

    `params` and `metrics` are flat, by dotted key. `report` is there when this run made it, `cell` when a cell did.
    """

    name: str
    rev: str
    baseline: str
    params: Mapping[str, object] = field(compare=False)
    metrics: Mapping[str, object] = field(compare=False)
    status: str = "done"
    created_s: int | None = None
    report: RunReport | None = field(default=None, compare=False, repr=False)
    cell: CellReport | None = field(default=None, compare=False, repr=False)
    root: Path = field(default=Path(), compare=False, repr=False)

    def __repr__(self) -> str:
        return f"<Experiment {self.name} {self.rev[:7]} {self.status}>"

    @property
    def commit(self) -> object:
        """Its commit as GitPython's `Commit`."""
        repo: Any = _project(self).repo
        return repo.commit(self.rev)

    def read(self, path: str) -> bytes:
        """The bytes of a file of the experiment, from Git or the cache; the workspace is untouched."""
        return _project(self).read(self, path)

    def apply(self, *, force: bool = False) -> Applied:
        """Make the workspace what this experiment left."""
        return _project(self).apply(self, force=force)

    def open(self, path: str | None = None, *, limit: int | None = None) -> OpenedNotebook | Opened:
        """The executed notebook of this experiment, or what is at a path of it; the workspace is untouched."""
        return _project(self).open(self, path, limit=limit)

    def verify(
        self,
        *,
        rtol: float | None = None,
        atol: float | None = None,
        jobs: int = 1,
        emit: Emit = ignore,
    ) -> Verified:
        """Run it again from scratch and compare every output; the workspace is untouched."""
        return _project(self).verify(self, rtol=rtol, atol=atol, jobs=jobs, emit=emit)

    def path(self, path: str) -> Path:
        """A file or directory of the experiment, to read: under its own name, outside of the workspace."""
        return _project(self).path(self, path)

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags as they are now; `project.tag` changes them."""
        return self.recorded.tags

    @property
    def star(self) -> bool:
        """Whether it has a star."""
        return self.recorded.star

    @property
    def note(self) -> str:
        """Its note, "" if it has none; `project.note` writes it."""
        return self.recorded.note

    @property
    def recorded(self) -> Recorded:
        """All that is recorded about it: note, tags, command line, stages' times, machine, packages."""
        project = _project(self)
        try:
            return project.note(self)
        finally:
            project.close()

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {
            "name": self.name,
            "rev": self.rev,
            "baseline": self.baseline,
            "status": self.status,
            "params": dict(self.params),
            "metrics": dict(self.metrics),
        }
        if self.cell is not None:
            found["cell"] = self.cell.to_json()
            found["not_recorded"] = [left.to_json() for left in self.cell.not_recorded]
        if self.report is not None:
            report = self.report
            found["identical"] = report.identical
            found["stages"] = [stage_json(stage) for stage in report.stages]
            found["not_recorded"] = [left.to_json() for left in report.not_recorded]
            found["unlisted_modules"] = {
                stage: list(paths) for stage, paths in report.unlisted.items()
            }
            if report.steps:
                found["steps"] = report.steps
            if report.folder is not None:
                found["directory"] = report.folder
            if report.differs is not None:
                found["differs"] = list(report.differs)
            found["changed"] = {
                "code": [patch.to_json() for patch in report.code],
                "data": [change.to_json() for change in report.data],
                "environment": report.environment.to_json() if report.environment else None,
            }
        return found


@frozen
class Listing(Result):
    """Experiments below their baselines; `groups` are (baseline's name or short rev, members).

    `remote` is the Git remote whose experiments they are, None: they are here; `elsewhere` how many more are here.
    """

    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    remote: str | None = None
    elsewhere: int = 0

    def __repr__(self) -> str:
        return f"<Listing: {sum(len(members) for _, members in self.groups)} experiments>"

    def to_json(self) -> dict[str, object]:
        return {
            baseline: [{"name": name, "rev": rev} for name, rev in members]
            for baseline, members in self.groups
        }


class ShowOptions(TypedDict, total=False):
    """What `Project.show` takes besides its filter and groups, for type checkers."""

    sort: str | Sequence[str]
    descending: bool
    revisions: Revisions | None
    all_states: bool
    only_changed: bool
    drop: Sequence[str]
    keep: Sequence[str]
    reference: str | Experiment | None
    precision: int | None
    flat: bool
    param_deps: bool
    sha: bool
    hide_workspace: bool
    hide_queued: bool
    hide_failed: bool
    force: bool
    steps: bool
    emit: Emit


@frozen
class Removed(Result):
    """The experiments that were taken out of the list; `remote` is the Git remote whose list it is."""

    names: tuple[str, ...]
    remote: str | None = None

    def to_json(self) -> dict[str, object]:
        return {"removed": list(self.names), "remote": self.remote}


@frozen
class Branched(Result):
    """A branch that was made of an experiment.

    Attributes
    ----------
    publish
        The commands that share it.
    is_here
        The workspace has the experiment's files already, without a commit: `git switch` would refuse to overwrite them.
    """

    experiment: str
    branch: str
    rev: str
    publish: tuple[str, ...] = ()
    is_here: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "experiment": self.experiment,
            "branch": self.branch,
            "rev": self.rev,
            "publish": list(self.publish),
        }


@frozen
class Branches(Result):
    """Branches that were made of several experiments; `publish` are the commands that share them."""

    branches: tuple[Branched, ...]
    publish: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Branches: {len(self.branches)}>"

    def to_json(self) -> dict[str, object]:
        return {
            "branches": [one.to_json() for one in self.branches],
            "publish": list(self.publish),
        }


@frozen
class Status(Result):
    """Which stages are not up to date, and why; nothing in it: all are.

    `experiment` is the one that the workspace equals, `unfinished` a command that was killed.
    """

    stages: Mapping[str, tuple[Reason, ...]]
    count: int
    unfinished: str | None = None
    here: str = "."

    def __repr__(self) -> str:
        return f"<Status: {len(self.stages)} of {self.count} stages changed>"

    def __hash__(self) -> int:
        return hash((tuple(self.stages), self.count, self.unfinished))

    @property
    def is_clean(self) -> bool:
        return not self.stages

    def to_json(self) -> dict[str, object]:
        """DVC's `status --json` (formats.md 6.3)."""
        return {name: _status_entries(reasons, self.here) for name, reasons in self.stages.items()}


def _project(experiment: Experiment) -> Project:
    """The project that an experiment is of: what one does with an experiment, its project does."""
    from nbexp.project import opening

    return opening.open(experiment.root)


def _status_entries(reasons: Sequence[Reason], here: str) -> builtins.list[object]:
    deps: dict[str, object] = {}
    outs: dict[str, str] = {}
    entries: builtins.list[object] = []
    for reason in reasons:
        path = reason.path
        if not dvc_lock.is_source(path) and not path.startswith("/"):
            path = posixpath.relpath(path or ".", here)
        # What has no entry in dvc.lock yet is "modified" to DVC as well; only params are "new".
        state = "modified" if reason.state == "new" else reason.state
        if reason.kind == "dep":
            deps[path] = state
        elif reason.kind == "param" and reason.file_state:
            deps[path] = reason.file_state
        elif reason.kind == "param":
            section = deps.setdefault(path, {})
            assert isinstance(section, dict)
            section[reason.declared[1]] = reason.state
        elif reason.kind == "out":
            outs[path] = state
    if deps:
        entries.append({"changed deps": deps})
    if outs:
        entries.append({"changed outs": outs})
    if any(reason.kind == "always" for reason in reasons):
        entries.append("always changed")
    if any(reason.kind == "command" for reason in reasons):
        entries.append("changed command")
    return entries
