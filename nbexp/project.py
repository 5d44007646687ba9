"""Project: the object users hold. Each method is a few lines onto the layers below."""

from __future__ import annotations

import builtins
import os
import posixpath
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack, overload

from nbexp import settings
from nbexp.errors import (
    GitError,
    NameTaken,
    NotFound,
    ProjectFileError,
    StoreError,
    UsageError,
    nearest,
)
from nbexp.events import Emit, Notice, ignore
from nbexp.experiments import place
from nbexp.formats import dvc_lock, ref_names
from nbexp.frozen import field, frozen, replace
from nbexp.git import CommitInfo, Git
from nbexp.results import Result

# Each method loads what it needs when called: `list` has no use for what takes `run` 60 ms to load.
if TYPE_CHECKING:
    from nbexp.experiments import authoring, compare, detecting, guided
    from nbexp.experiments import run as running
    from nbexp.experiments.collect import Collected
    from nbexp.experiments.columns import Groups
    from nbexp.experiments.compare import Diff, Side
    from nbexp.experiments.data import Site, TrackedData
    from nbexp.experiments.data.getting import Got
    from nbexp.experiments.data.located import Contents
    from nbexp.experiments.differences import DataChange, EnvironmentChange, Patch
    from nbexp.experiments.doctor import Health
    from nbexp.experiments.explore import RunCache
    from nbexp.experiments.fetching import FromRemotes
    from nbexp.experiments.importing import Home, Imported
    from nbexp.experiments.labels import Recorded, Tagged
    from nbexp.experiments.measures import Metrics, Params
    from nbexp.experiments.opened import OpenedNotebook
    from nbexp.experiments.opening import Opened
    from nbexp.experiments.planning import Plan
    from nbexp.experiments.reading import Reader
    from nbexp.experiments.record import NotRecorded
    from nbexp.experiments.ref_changes import Renamed
    from nbexp.experiments.report import Report
    from nbexp.experiments.report import making as report
    from nbexp.experiments.restore import Applied
    from nbexp.experiments.save import Saved
    from nbexp.experiments.script import Script
    from nbexp.experiments.selection import Revisions
    from nbexp.experiments.series import Curves
    from nbexp.experiments.share import PulledExperiments, Pushed
    from nbexp.experiments.site import Published
    from nbexp.experiments.stages import Stages
    from nbexp.experiments.steps import Steps, Undone
    from nbexp.experiments.table import Data, Row, Table
    from nbexp.experiments.trash import Trash
    from nbexp.experiments.verify import Verified
    from nbexp.experiments.why import Commit, Why
    from nbexp.pipeline.context import How, OnFailure
    from nbexp.pipeline.dag import Dag
    from nbexp.pipeline.execute import Outcome
    from nbexp.pipeline.plan import Reason
    from nbexp.pipeline.stage import Stage
    from nbexp.store.cache import Cache
    from nbexp.store.config_files import Configuration
    from nbexp.store.configured import Remotes


@frozen
class StageReport:
    """What became of one stage in a run; `cells` is the number of code cells of a notebook stage."""

    name: str
    action: Literal["skipped", "restored", "taken", "ran", "failed", "not run"]
    seconds: float = 0.0
    cells: int | None = None
    reasons: tuple[str, ...] = ()


@frozen
class RunReport:
    """What a run came to, for its card.

    Attributes
    ----------
    versus
        The experiment that the changes are measured against; None: the baseline.
    own_s
        Seconds of `elapsed_s` that nbexp itself took.
    unlisted
        Project modules that a stage imports without listing them as deps.
    differs
        Of `rerun`: files and outputs that are not as in `versus`. None: nothing was compared.
    code, data, environment
        What else changed since `versus`: files of the code, tracked data, packages.
    """

    identical: bool
    stages: tuple[StageReport, ...]
    params: tuple[compare.Change, ...]
    metrics: tuple[compare.Change, ...]
    versus: str | None
    not_recorded: tuple[NotRecorded, ...]
    unlisted: Mapping[str, tuple[str, ...]]
    notebooks: tuple[str, ...]
    elapsed_s: float
    own_s: float
    hints: bool = True
    foreign_author: str | None = None
    differs: tuple[str, ...] | None = None
    code: tuple[Patch, ...] = ()
    data: tuple[DataChange, ...] = ()
    environment: EnvironmentChange | None = None


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
        return {"stages": [_stage_json(stage) for stage in self.stages]}


@frozen
class Experiment(Result):
    """A recorded experiment: a commit on its baseline with a name.

    `params` and `metrics` are flat, by dotted key. `report` is there when this run made it.
    """

    name: str
    rev: str
    baseline: str
    params: Mapping[str, object] = field(compare=False)
    metrics: Mapping[str, object] = field(compare=False)
    status: str = "done"
    created_s: int | None = None
    report: RunReport | None = field(default=None, compare=False, repr=False)
    root: Path = field(default=Path(), compare=False, repr=False)

    def __repr__(self) -> str:
        return f"<Experiment {self.name} {self.rev[:7]} {self.status}>"

    def read(self, path: str) -> bytes:
        """The bytes of a file of the experiment, from Git or the cache; the workspace is untouched."""
        return open(self.root).read(self, path)

    def apply(self, *, force: bool = False) -> Applied:
        """Make the workspace what this experiment left."""
        return open(self.root).apply(self, force=force)

    def open(self, path: str | None = None, *, limit: int | None = None) -> OpenedNotebook | Opened:
        """The executed notebook of this experiment, or what is at a path of it; the workspace is untouched."""
        return open(self.root).open(self, path, limit=limit)

    def verify(
        self,
        *,
        rtol: float | None = None,
        atol: float | None = None,
        jobs: int = 1,
        emit: Emit = ignore,
    ) -> Verified:
        """Run it again from scratch and compare every output; the workspace is untouched."""
        return open(self.root).verify(self, rtol=rtol, atol=atol, jobs=jobs, emit=emit)

    def path(self, path: str) -> Path:
        """A file or directory of the experiment, to read: under its own name, outside of the workspace."""
        return open(self.root).path(self, path)

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
        project = open(self.root)
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
        if self.report is not None:
            report = self.report
            found["identical"] = report.identical
            found["stages"] = [_stage_json(stage) for stage in report.stages]
            found["not_recorded"] = [left.to_json() for left in report.not_recorded]
            found["unlisted_modules"] = {
                stage: list(paths) for stage, paths in report.unlisted.items()
            }
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

    `remote` is the Git remote whose experiments they are, None: they are here.
    """

    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    remote: str | None = None

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


@frozen
class Removed(Result):
    """The experiments that were taken out of the list; `remote` is the Git remote whose list it is."""

    names: tuple[str, ...]
    remote: str | None = None

    def to_json(self) -> dict[str, object]:
        return {"removed": list(self.names), "remote": self.remote}


@frozen
class Branched(Result):
    """A branch that was made of an experiment; `publish` are the commands that share it."""

    experiment: str
    branch: str
    rev: str
    publish: tuple[str, ...] = ()

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


class Project:
    """A project on disk: the folder with `.dvc`, in a Git repository.

    Get one with `nbexp.open()`. Every command takes `emit`, a consumer of events, for progress.
    """

    def __init__(self, root: Path, git: Git, here: Path) -> None:
        self.root = root
        self.git = git
        self.here = _relative(here, root)
        self.prefix = place.prefix(git, root)
        self.stage_env: Mapping[str, str] | None = None
        self.asking_notebook: Path | None = None
        self.confirm: Callable[[str], bool] | None = None
        self._fetching: FromRemotes | None = None

    def __repr__(self) -> str:
        return f"<Project {self.root}>"

    def close(self) -> None:
        """Let go of Git's reading process and of the database; the next command opens them again."""
        self.git.close()
        self.__dict__.pop("data", None)
        if self._fetching is not None:
            self._fetching.close()
            self._fetching = None
        cache = self.__dict__.pop("cache", None)
        if cache is not None:
            cache.close()

    @property
    def repo(self) -> object:
        """The Git repository as GitPython's `Repo`."""
        return self.git.repo

    @cached_property
    def settings(self) -> settings.Settings:
        return settings.read(self.root)

    @cached_property
    def cache(self) -> Cache:
        from nbexp.formats import config
        from nbexp.store.cache import Cache

        found = config.read(self.root / ".dvc", home=place.home())
        own = place.own_folder(self.root)
        return Cache(
            found.cache_dir,
            link_types=found.cache_types,
            state=own / "state.db",
            skip=place.DvcIgnores(self.root).below,
            shared=found.shared_cache,
        )

    @cached_property
    def data(self) -> TrackedData:
        """Tracked data: `project.data.add("data")`, `checkout()`, `push()`, `pull()`, `status()`, …"""
        from nbexp.experiments.data import TrackedData

        return TrackedData(self._site())

    def _site(self) -> Site:
        from nbexp.experiments.data import Site

        def rev_of(name: str) -> str:
            return self._resolve(name)[1]

        return Site(
            self.git, self.cache, self.root, self.here, self.prefix, rev_of, self._open_notebooks
        )

    @cached_property
    def stage(self) -> Stages:
        """The stages of the pipelines: `project.stage.list()`."""
        from nbexp.experiments.stages import Stages

        return Stages(self.root, self.here, self.git, self.cache)

    @cached_property
    def params(self) -> Params:
        """The params of any revision: `project.params.diff("main", "low-lr")`."""
        from nbexp.experiments.measures import Params

        return Params(self.git, self._reader, self.root, self.here, self._resolve)

    @cached_property
    def metrics(self) -> Metrics:
        """The metrics of any revision: `project.metrics.show(all_branches=True)`."""
        from nbexp.experiments.measures import Metrics

        return Metrics(self.git, self._reader, self.root, self.here, self._resolve)

    @cached_property
    def config(self) -> Configuration:
        """DVC's settings: `project.config.set("core.autostage", "true")`."""
        from nbexp.store.config_files import Configuration

        return Configuration(self.root / ".dvc", place.home(), self.root / self.here)

    @cached_property
    def remote(self) -> Remotes:
        """Where objects are kept besides this machine: `project.remote.add("store", "/mnt/data")`."""
        from nbexp.store.configured import Remotes

        return Remotes(self.root / ".dvc", place.home(), self.root / self.here)

    @property
    def run_cache(self) -> RunCache:
        """Every stage run ever made: `project.run_cache.list()`."""
        from nbexp.experiments.explore import RunCache

        return RunCache(
            self.git, self.cache, self.root, self.prefix, self.here, self._open_notebooks
        )

    def __getitem__(self, name: str) -> Experiment:
        return self.experiment(name)

    def run(
        self,
        set_params: Mapping[str, object] | Iterable[str] | None = None,
        *,
        targets: Sequence[str] = (),
        name: str | None = None,
        message: str | None = None,
        force: bool = False,
        single_item: bool = False,
        new: bool = False,
        pipeline: bool = False,
        all_pipelines: bool = False,
        recursive: bool = False,
        downstream: bool = False,
        force_downstream: bool = False,
        pull: bool = False,
        allow_missing: bool = False,
        on_failure: OnFailure = "stop",
        run_cache: bool = True,
        jobs: int = 1,
        interactive: bool = False,
        emit: Emit = ignore,
    ) -> Experiment:
        """Run what changed and record it as an experiment on the present commit.

        Parameters
        ----------
        set_params
            `{"train.lr": 0.01}`, or override texts as after `-S`.
        targets
            Stages to bring up to date with all they need; none means the dvc.yaml of this directory.
        name
            The experiment's name; two words are drawn when None.
        force
            Run every stage even if it did not change, and replace an experiment of that name.
        single_item
            Run the targets alone, without what they need.
        new
            Run and record even what an experiment holds already.
        pipeline, all_pipelines, recursive, downstream
            Which stages: the whole pipelines of the targets; every stage of the project; those of
            the files below a target that is a directory; the targets and what needs them.
        force_downstream
            Run what needs a stage that ran, changed or not.
        pull
            Fetch data that is missing from the remote instead of making it.
        allow_missing
            A dep or output that is merely absent is no reason to run.
        on_failure
            When a stage fails: `stop`, `keep-going` with what does not need it, or `ignore` it.
        run_cache
            Restore a stage that ran before under the same conditions.
        jobs
            How many stages run at once.
        interactive
            Ask `confirm` before each stage.

        Raises
        ------
        NotFound, UsageError, NameTaken, ProjectFileError
            The request cannot be met; nothing was run and nothing changed.
        StageFailed
            A stage stopped; the workspace is as it was before.
        Interrupted
            It was stopped; the workspace is as it was before.
        """
        from nbexp import overrides as grammar
        from nbexp.experiments import environment
        from nbexp.experiments import run as running
        from nbexp.experiments import spec as specs
        from nbexp.experiments.workspace import InPlace
        from nbexp.pipeline import graph as graphs
        from nbexp.pipeline.plan import Disk

        started = time.monotonic()
        points = grammar.parse(set_params or [])
        how = self._how(
            force_downstream=force_downstream,
            allow_missing=allow_missing,
            on_failure=on_failure,
            jobs=jobs,
        )
        where = self._place(emit, run_cache=run_cache, pull=pull, interactive=interactive)
        self._head()  # a repository without a commit is told so before anybody waits
        with InPlace(self.git, self.cache, self.root).held(emit) as workspace:
            baseline = self._head()
            which = specs.Which(
                pipeline, all_pipelines, recursive, downstream=downstream, single=single_item
            )
            refs = self._refs()
            if name is not None:
                self._refuse_git_names(name)
            spec = specs.make(
                self.root,
                baseline,
                refs,
                here=self.here,
                targets=targets,
                overrides=specs.one_point(points),
                name=name,
                message=message,
                force=force,
                new=new,
                how=how,
                which=which,
                pull=pull,
                run_cache=run_cache,
            )
            # Templates are filled in from the params as the run will have them.
            graph = graphs.load(self.root, read=Disk(self.root, spec.edits).read)
            stages = which.stages(graph, targets, self.here)
            asked = environment.command_line(spec)
            ran = running.run(spec, where, graph, stages, refs, workspace, emit, asked)
        experiment = self._experiment(ran.ref, ran.rev)
        report = self._report(ran, experiment, refs, stages, time.monotonic() - started)
        self._auto_push(ran.ref, emit)
        return _with_report(experiment, report)

    def clone(
        self,
        experiment: str | Experiment,
        set_params: Mapping[str, object] | Iterable[str] | None = None,
        *,
        name: str | None = None,
        message: str | None = None,
        force: bool = False,
        jobs: int = 1,
        run_cache: bool = True,
        emit: Emit = ignore,
    ) -> Experiment:
        """Run an experiment's code, params and data with other values, as an experiment on its baseline.

        The workspace becomes what the experiment left, the values are set, and what they concern runs. One
        `undo` puts all of it back; a run that fails puts it back by itself.

        Parameters
        ----------
        set_params
            `{"train.lr": 0.01}`, or override texts as after `-S`; without any, the experiment is brought back.
        name
            The new experiment's name; two words are drawn when None.
        force
            Go on over edits that nothing holds, which `undo` brings back, and replace an experiment of the name.

        Raises
        ------
        StoreError
            Edits that no commit or experiment holds are in the way. Nothing was run.
        """
        return self._again(
            "clone", experiment, set_params, name, message, force, jobs, run_cache, emit
        )

    def rerun(
        self,
        experiment: str | Experiment,
        *,
        name: str | None = None,
        message: str | None = None,
        force: bool = False,
        jobs: int = 1,
        emit: Emit = ignore,
    ) -> Experiment:
        """Run every stage of an experiment again, from exactly its files, and record that beside it.

        `report.differs` names the files and outputs that came out otherwise. The workspace is as after `clone`.

        Raises
        ------
        StoreError
            Edits that no commit or experiment holds are in the way. Nothing was run.
        """
        return self._again("rerun", experiment, None, name, message, force, jobs, False, emit)

    def save(
        self,
        targets: Sequence[str] = (),
        *,
        name: str | None = None,
        message: str | None = None,
        force: bool = False,
        include_untracked: Sequence[str] = (),
        recursive: bool = False,
        emit: Emit = ignore,
    ) -> Saved:
        """Record the workspace as it is as an experiment on the present commit; nothing runs.

        Outputs and data are hashed and stored, dvc.lock and `.dvc` files are brought up to date.

        Parameters
        ----------
        targets
            Stages and `.dvc` files whose data is looked at; none means all of the project.
        force
            Replace an experiment of that name; the old one goes to the trash.
        include_untracked
            Untracked files and folders, relative to the user's directory, that are to be part of it.
        recursive
            A target may be a folder: all stages in and below it.

        Raises
        ------
        NotFound, UsageError, NameTaken, StoreError
            The request cannot be met; nothing was recorded and nothing changed.
        """
        from nbexp.experiments import save as saving

        self._head()
        if name is not None:
            self._refuse_git_names(name, "Nothing was saved.", "save")
        saved = saving.save(
            self._site(),
            targets,
            emit,
            name=name,
            message=message,
            force=force,
            include_untracked=include_untracked,
            recursive=recursive,
        )
        self._auto_push(ref_names.ExpRef(saved.baseline, saved.name).ref, emit)
        return saved

    def _auto_push(self, ref: str, emit: Emit) -> None:
        """Push an experiment that was recorded just now, where `exp.auto_push` is on; no push is no failure of it."""
        settings = self._site().config()
        if settings.exp_auto_push:
            from nbexp.experiments import share

            share.automatically(self._site(), ref, settings.exp_git_remote, emit)

    def import_mlflow(
        self, folder: str | os.PathLike[str] = "mlruns", *, emit: Emit = ignore
    ) -> Imported:
        """Make experiments on the present commit of the runs that MLflow kept in a folder.

        Params, metrics and their series, tags and notes are taken; files that a run logged are not. What is there
        already is not imported again. Nothing in the workspace changes.

        Raises
        ------
        NotFound, ProjectFileError
            It is no folder of MLflow, or a file in it cannot be read. Nothing was imported.
        """
        from nbexp.experiments import importing

        runs = importing.from_mlflow(self.root / self.here / folder, os.fspath(folder))
        return importing.record(self._home(), runs, os.fspath(folder), emit)

    def import_csv(
        self,
        file: str | os.PathLike[str],
        *,
        params: Sequence[str] = (),
        metrics: Sequence[str] = (),
        emit: Emit = ignore,
    ) -> Imported:
        """Make experiments on the present commit of the rows of a table; of `show --csv`, those with a name.

        Parameters
        ----------
        params, metrics
            Columns, or patterns of their names. For others the files of this project tell which they are, else
            their names.

        Raises
        ------
        NotFound, ProjectFileError
            There is no such file or column, or it is no table. Nothing was imported.
        """
        from nbexp.experiments import importing

        place, shown = self.root / self.here / file, os.fspath(file)
        try:
            data = place.read_bytes()
        except OSError as error:
            raise NotFound(
                f"`{shown}` cannot be read: {error.strerror}. Nothing was imported.",
                "`nbexp import csv table.csv` takes a path from here.",
            ) from None
        home = self._home()
        runs = importing.from_csv(data, shown, home, params=params, metrics=metrics, emit=emit)
        return importing.record(home, runs, shown, emit)

    def _home(self) -> Home:
        from nbexp.experiments.importing import Home

        return Home(self.git, self._reader, self.root, self.prefix, self._head())

    def script(self, *experiments: str | Experiment, as_dvc: bool = False) -> Script:
        """A shell script that makes experiments again in a clean clone: these, else those of the present commit.

        Parameters
        ----------
        as_dvc
            Lines of `dvc exp`, where it can do the same.

        Raises
        ------
        NotFound
            There is no such experiment, or none at all.
        """
        from nbexp.experiments import notes, script

        refs = self._refs()
        found = dict(self._ref_of(one) for one in experiments) or {
            ref: rev
            for ref, rev in refs.items()
            if (parsed := ref_names.parse(ref)) is not None and parsed.baseline == self._head()
        }
        infos = self._infos([*found.values()])
        members = [
            script.Member(parsed.name, rev, parsed.baseline, infos[rev].time_s)
            for ref, rev in found.items()
            if (parsed := ref_names.parse(ref)) is not None and rev in infos
        ]
        if not members:
            raise NotFound(
                "The present commit has no experiment, so there is nothing to write.",
                "`nbexp run` makes one; `nbexp list -A` shows those of other commits.",
            )
        recorded = notes.read(self.git, [member.rev for member in members])

        def made(member: script.Member) -> tuple[int, str, str]:
            run = recorded.get(member.rev, {}).get("run")
            started = run.get("started") if isinstance(run, Mapping) else None
            return member.time_s, str(started or ""), member.name

        members.sort(key=made)
        return script.write(self.git, self.root, self.prefix, members, as_dvc=as_dvc)

    def repro(
        self,
        targets: Sequence[str] = (),
        *,
        force: bool = False,
        single_item: bool = False,
        pipeline: bool = False,
        all_pipelines: bool = False,
        recursive: bool = False,
        glob: bool = False,
        downstream: bool = False,
        force_downstream: bool = False,
        pull: bool = False,
        allow_missing: bool = False,
        on_failure: OnFailure = "stop",
        run_cache: bool = True,
        commit: bool = True,
        jobs: int = 1,
        interactive: bool = False,
        emit: Emit = ignore,
    ) -> Reproduced:
        """Run what changed in the workspace, without recording an experiment.

        Parameters
        ----------
        targets
            Stages to bring up to date with all they need; none means the dvc.yaml of this directory.
        glob
            The targets are patterns.
        commit
            Put outputs into the cache; off, dvc.lock alone says what they are.

        The others are those of `run`.

        Raises
        ------
        NotFound, UsageError, ProjectFileError
            The request cannot be met; nothing was run and nothing changed.
        StageFailed
            A stage stopped. Finished stages are in dvc.lock, and nothing was put back: `undo` does.
        Interrupted
            It was stopped; the same holds.
        """
        from nbexp.experiments import repro as reproducing
        from nbexp.experiments import spec as specs
        from nbexp.experiments.workspace import InPlace
        from nbexp.pipeline import graph as graphs

        how = self._how(
            force=force,
            force_downstream=force_downstream,
            allow_missing=allow_missing,
            on_failure=on_failure,
            jobs=jobs,
            commit=commit,
        )
        where = self._place(emit, run_cache=run_cache, pull=pull, interactive=interactive)
        with InPlace(self.git, self.cache, self.root).held(emit) as workspace:
            graph = graphs.load(self.root)
            which = specs.Which(
                pipeline, all_pipelines, recursive, glob, downstream=downstream, single=single_item
            )
            stages = which.stages(graph, targets, self.here)
            done = reproducing.repro(
                where, graph, stages, how, workspace, emit, here=self.here, refs=self._refs()
            )
        return Reproduced(self._stage_reports(done.outcome), done.elapsed_s, done.own_s)

    @overload
    def show(self, where: str | None = None, **options: Unpack[ShowOptions]) -> Table: ...

    @overload
    def show(
        self,
        where: str | None = None,
        *,
        group_by: str | Sequence[str],
        **options: Unpack[ShowOptions],
    ) -> Groups: ...

    def show(
        self,
        where: str | None = None,
        *,
        sort: str | Sequence[str] = (),
        descending: bool = False,
        group_by: str | Sequence[str] = (),
        revisions: Revisions | None = None,
        all_states: bool = False,
        only_changed: bool = False,
        drop: Sequence[str] = (),
        keep: Sequence[str] = (),
        reference: str | Experiment | None = None,
        precision: int | None = None,
        flat: bool = False,
        param_deps: bool = False,
        sha: bool = False,
        hide_workspace: bool = False,
        hide_queued: bool = False,
        hide_failed: bool = False,
        force: bool = False,
    ) -> Table | Groups:
        """Every experiment below its baseline, newest first, with the workspace on top.

        Parameters
        ----------
        where
            Show the rows for which this holds: `"acc > 0.9 and train.lr < 0.05"`.
        sort, descending
            The columns by which the experiments of each baseline are sorted; one with a minus before it is
            sorted the other way round.
        group_by
            Columns whose equal values make a group, with mean and deviation of each metric: `Groups`.
        revisions
            The baselines; None means every commit that has experiments.
        all_states
            Failed, interrupted and pruned runs as well.
        only_changed, drop, keep
            Leave out the columns that are equal in all rows, or those whose title matches a pattern; `keep` has
            patterns of columns that stay.
        reference
            The experiment, or any revision, from which the differences of metrics are shown.
        precision
            Significant digits of floats.
        flat
            Not below their baselines: one list, sorted as a whole.
        param_deps
            Of params, only those that stages read.
        sha
            Commits instead of the names of branches and tags.
        force
            Read all commits again, whatever is remembered of them.
        """
        from nbexp.experiments import columns, showing
        from nbexp.experiments.table import View

        asked = showing.Asked(
            revisions,
            all_states=all_states,
            hide_workspace=hide_workspace,
            hide_queued=hide_queued,
            hide_failed=hide_failed,
            sha=sha,
            param_deps=param_deps,
            force=force,
        )
        view = View(
            tuple(drop),
            tuple(keep),
            only_changed,
            precision,
            None if reference is None else self._reference(reference),
            self.settings.better,  # type: ignore[arg-type]  # checked when the settings were read
            flat,
        )
        rows = showing.rows(
            self.git, self._reader, self.root, asked, self._baseline_names(), self._labels
        )
        return columns.arranged(
            rows,
            view,
            where,
            sort=columns.listed(sort),
            descending=descending,
            group_by=columns.listed(group_by),
        )

    def _labels(self, revs: Sequence[str]) -> dict[str, dict[str, object]]:
        """Tags, star and note of those of the commits that have any."""
        from nbexp.experiments import labels

        return labels.of_many(self.git, self.cache, revs)

    def _reference(self, what: str | Experiment) -> Row:
        """The row that the others of a table are compared with."""
        from nbexp.experiments.table import Row

        if what == "workspace":
            return Row("workspace", None, "workspace", self._reader.workspace())
        name, rev = self._resolve(what)
        return Row(rev, name, "experiment", self._reader.data(rev))

    def diff(
        self,
        old: str | Experiment | None = None,
        new: str | Experiment | None = None,
        *,
        all_values: bool = False,
        param_deps: bool = False,
        no_path: bool = False,
        precision: int | None = None,
    ) -> Diff:
        """What changed from `old` (HEAD when None) to `new` (the workspace when None).

        Parameters
        ----------
        all_values
            Equal params and metrics as well.
        param_deps
            Of params, only those that stages read.
        no_path, precision
            How it is written for people: without the column of files, with that many significant digits.
        """
        from nbexp.experiments import compare, details

        sides = (
            self._side(old if old is not None else "HEAD", param_deps=param_deps),
            self._side(new if new is not None else "workspace", param_deps=param_deps),
        )
        found = compare.compare(*sides, all_values=all_values, better=self.settings.better)
        found = details.add(found, *sides, self._site(), self._environment)
        return replace(found, no_path=no_path, precision=precision)

    def apply(
        self, experiment: str | Experiment, *, force: bool = False, emit: Emit = ignore
    ) -> Applied:
        """Make the workspace what the experiment left: files, outputs, params and metrics.

        Raises
        ------
        StoreError
            Edits that no commit or experiment holds are in the way and `force` is off, or the cache
            lacks an output. Nothing was changed.
        """
        from nbexp.experiments import restore

        name, rev = self._resolve(experiment)
        return restore.apply(
            self.git,
            self.cache,
            self.root,
            self.prefix,
            rev,
            name,
            emit,
            force=force,
            keep=self._open_notebooks(),
        )

    def get(
        self,
        source: str | Experiment,
        path: str,
        *,
        repo: str | None = None,
        rev: str | None = None,
        out: str | os.PathLike[str] | None = None,
        remote: str | None = None,
        force: bool = False,
        jobs: int | None = None,
        emit: Emit = ignore,
    ) -> Got:
        """Bring a file, directory or artifact of any revision to `out`; the workspace stays as it is otherwise.

        It comes from Git, the cache or a remote, of this repository or another.

        Parameters
        ----------
        source
            An experiment, branch, tag or commit; or the URL or path of another repository.
        path
            A path in the project, or the name of an artifact of dvc.yaml.
        repo
            The URL or path of another repository, `source` being a revision of it.
        rev
            The revision, where `source` is a repository; its HEAD by default.
        out
            Where to put it, relative to the user's directory; by default its own name there.
        remote
            The remote that has the data.
        force
            Replace what is at `out`.

        Raises
        ------
        NotFound
            There is no such revision, path or artifact.
        UsageError
            Something is at `out` already. Nothing was written.
        StoreError
            Neither cache nor remote has the data. Nothing was written.
        """
        if isinstance(source, Experiment):
            source = source.rev
        return get(
            source,
            path,
            repo=repo,
            rev=rev,
            out=None if out is None else os.fspath(out),
            remote=remote,
            force=force,
            jobs=jobs,
            path_of_project=os.fspath(self.root / self.here),
            emit=emit,
        )

    def undo(
        self,
        num: int | None = None,
        *,
        to: str | None = None,
        redo: bool = False,
        force: bool = False,
        emit: Emit = ignore,
    ) -> Undone:
        """Put back what the last commands changed in the workspace, byte for byte; all of the steps or none.

        Parameters
        ----------
        num
            How many steps; one by default.
        to
            The id of a step, from `steps()`: all steps down to that one.
        redo
            Forward again: what was undone last.
        force
            Even over files that were edited since; the edits become a step of their own.

        Raises
        ------
        NotFound
            There are no such steps.
        StoreError, NameTaken
            A file or an experiment was changed since, or what was kept is gone. Nothing was changed.
        """
        from nbexp.experiments import steps

        return steps.undo_steps(
            self.git,
            self.cache,
            self.root,
            emit,
            num=num,
            to=to,
            redo=redo,
            force=force,
            keep=self._open_notebooks(),
        )

    def steps(self) -> Steps:
        """What `undo` would bring back, step by step, and what it would redo."""
        from nbexp.experiments import steps

        return steps.listed(self.git, self.root)

    @property
    def trash(self) -> Trash:
        """Experiments that were removed or replaced: `project.trash.list()`, `restore("low-lr")`."""
        from nbexp.experiments.trash import Trash

        return Trash(self.git, self.root)

    def remove(
        self,
        *experiments: str | Experiment,
        git_remote: str | None = None,
        revisions: Revisions | None = None,
        keep: bool = False,
    ) -> Removed:
        """Take experiments out of the list; nothing of them is deleted.

        Parameters
        ----------
        experiments
            Names, patterns or commits.
        git_remote
            Take them out of the list of this Git remote, and leave those here.
        revisions
            The experiments of these commits as well.
        keep
            All others instead.

        Raises
        ------
        NotFound
            There is no such experiment or remote. Nothing was removed.
        """
        from nbexp.experiments import ref_changes
        from nbexp.experiments.selection import Revisions

        words, which = self._words(experiments), revisions or Revisions()
        return Removed(
            *ref_changes.remove(self._site(), words, which, keep=keep, git_remote=git_remote)
        )

    def rename(
        self,
        experiment: str | Experiment,
        name: str,
        *,
        force: bool = False,
        git_remote: str | None = None,
    ) -> Renamed:
        """Give an experiment another name; what is recorded about it stays.

        Parameters
        ----------
        force
            Replace an experiment that has the name; it goes to the trash.
        git_remote
            Rename it on this Git remote, and here if it is the same here.

        Raises
        ------
        NameTaken
            An experiment, branch or tag has the name. Nothing was renamed.
        NotFound
            There is no such experiment or remote.
        """
        from nbexp.experiments import ref_changes

        old = self._words([experiment])[0]
        return ref_changes.rename(self._site(), old, name, force=force, git_remote=git_remote)

    def gc(
        self,
        *kinds: str,
        older_than: str | None = None,
        keep_last: int = 0,
        yes: bool = False,
        emit: Emit = ignore,
    ) -> Collected:
        """What nbexp keeps besides experiments: the trash, undo steps, failed runs, logs; gone for good with `yes`.

        Parameters
        ----------
        kinds
            Of `trash`, `undo`, `failed`, `logs` and `temporary`; none means all.
        older_than
            Only what is older than a time span (`30d`) or a date.
        keep_last
            So many of the newest of each kind stay.
        """
        from nbexp.experiments import collect

        return collect.collect(
            self._site(), emit, kinds=kinds, older_than=older_than, keep_last=keep_last, yes=yes
        )

    def doctor(
        self, *, fix: bool = False, rebuild: bool = False, full: bool = False, emit: Emit = ignore
    ) -> Health:
        """Whether all is as it should be: Git, refs, notes, locks, files, the cache; one finding a line.

        Parameters
        ----------
        fix
            Mend what is derived, and what a killed command left; nothing of the record is changed.
        rebuild
            Make all that is derived anew, sound or not.
        full
            Read every object of the cache and follow every ref.
        """
        from nbexp.experiments import doctor

        health = doctor.examine(self._site(), emit, fix=fix, rebuild=rebuild, full=full)
        if rebuild:
            self.__dict__.pop("data", None)
            self.show(all_states=True)  # learns of every experiment again
        return health

    def branch(self, experiment: str | Experiment, branch: str | None = None) -> Branched:
        """Make a Git branch of an experiment; it is not switched to."""
        from nbexp.experiments import ref_changes

        name, rev = self._resolve(experiment)
        wanted = branch or f"{name}-branch"
        self._create_branches({wanted: (name, rev)})
        return Branched(name, wanted, rev, ref_changes.publishing(self._site(), wanted))

    def branches(self, *experiments: str | Experiment) -> Branches:
        """Make a Git branch of each of several experiments, all or none, named as by `branch`.

        Experiments may be named by patterns.
        """
        from nbexp.experiments import naming, ref_changes

        found = naming.chosen(self._words(experiments), self._refs(), self.git.head())
        wanted = {
            f"{ref_names.name_of(ref)}-branch": (ref_names.name_of(ref), rev)
            for ref, rev in found.items()
        }
        self._create_branches(wanted)
        made = tuple(Branched(name, branch, rev) for branch, (name, rev) in wanted.items())
        return Branches(made, ref_changes.publishing(self._site(), *wanted))

    def _create_branches(self, wanted: Mapping[str, tuple[str, str]]) -> None:
        """Make branches of (experiment, rev), all or none."""
        for branch, (name, _) in wanted.items():
            if not self.git.is_branch_name(branch):
                raise UsageError(
                    f"`{branch}` is not a name that Git gives a branch.",
                    f"`nbexp branch {name} better-lr`",
                )
            if self.git.resolve(f"refs/heads/{branch}") is not None:
                raise NameTaken(
                    f"Branch `{branch}` already exists.", f"`nbexp branch {name} another-name`"
                )
        self.git.update_refs(
            [(f"refs/heads/{branch}", rev, None) for branch, (_, rev) in wanted.items()]
        )

    def push(
        self,
        *experiments: str | Experiment,
        git_remote: str | None = None,
        revisions: Revisions | None = None,
        everything: bool = False,
        force: bool = False,
        cache: bool = True,
        remote: str | None = None,
        jobs: int | None = None,
        run_cache: bool = False,
        emit: Emit = ignore,
    ) -> Pushed:
        """Share experiments through a Git remote: their data first, then their refs; only what is missing moves.

        Stopped or killed, what has arrived stays, and the next call moves the rest.

        Parameters
        ----------
        experiments
            Names, patterns or commits; the first may be the Git remote. Without any: the starred ones and the
            one that the workspace equals.
        git_remote
            A name, URL or path; None is `exp.git_remote` of the configuration, else `origin`.
        revisions
            The experiments of these commits; those of HEAD where only the remote is named.
        everything
            All experiments.
        force
            Replace experiments of the same name on the remote; the old ones go to the trash here.
        cache
            Off: no data.
        remote
            The data remote; None is the default one.
        jobs
            How many objects move at once.
        run_cache
            The entries of finished stages as well, with their outputs.

        Raises
        ------
        UsageError
            Nothing was named, and nothing is starred or in the workspace.
        NotFound
            There is no such remote or experiment. Nothing was pushed.
        GitError, StoreError
            Something did not arrive; all else did.
        """
        from nbexp.experiments import selection, share, shared_data

        which = revisions or selection.Revisions()
        data = shared_data.Wanted(cache, remote, jobs, run_cache)
        asked = share.Asked(self._words(experiments), git_remote, which, everything, force, data)
        with share.stopping("push"):
            return share.push(self._site(), asked, emit)

    def pull(
        self,
        *experiments: str | Experiment,
        git_remote: str | None = None,
        revisions: Revisions | None = None,
        everything: bool = False,
        force: bool = False,
        cache: bool = True,
        remote: str | None = None,
        jobs: int | None = None,
        run_cache: bool = False,
        emit: Emit = ignore,
    ) -> PulledExperiments:
        """Bring experiments of a Git remote here, with their data in the cache; the workspace is not touched.

        Parameters as of `push`. Without experiments: those of the present commit.

        Raises
        ------
        NotFound
            There is no such remote or experiment. Nothing was pulled.
        GitError, StoreError
            Something did not arrive, or another experiment of the name is here; all else was pulled.
        """
        from nbexp.experiments import selection, share, shared_data

        which = revisions or selection.Revisions()
        data = shared_data.Wanted(cache, remote, jobs, run_cache)
        asked = share.Asked(self._words(experiments), git_remote, which, everything, force, data)
        with share.stopping("pull"):
            return share.pull(self._site(), asked, emit)

    def _words(self, experiments: Sequence[str | Experiment]) -> tuple[str, ...]:
        """Experiments as words that name them."""
        return tuple(
            one if isinstance(one, str) else ref_names.ExpRef(one.baseline, one.name).ref
            for one in experiments
        )

    def list_remote(self, git_remote: str, *, revisions: Revisions | None = None) -> Listing:
        """The experiments of the present commit, or of others, that a Git remote has."""
        from nbexp.experiments import ref_changes
        from nbexp.experiments.selection import Revisions

        asked = revisions or Revisions()
        remote, found = ref_changes.on_remote(self._site(), git_remote, asked)
        names = self._baseline_names()
        groups = ((names.get(b, b[:7]), tuple(members.items())) for b, members in found.items())
        return Listing(tuple(groups), remote)

    def list(self, *, everywhere: bool = False, revisions: Revisions | None = None) -> Listing:
        """The experiments of the present commit, newest first; of others as `revisions` says.

        Parameters
        ----------
        everywhere
            Those of every commit, also of one that no branch leads to any more.
        """
        from nbexp.experiments import showing
        from nbexp.experiments.selection import Revisions

        self._head()
        asked = Revisions(all_commits=True) if everywhere else revisions or Revisions()
        refs = asked.experiments(self.git, self._refs())
        names = self._baseline_names()
        return Listing(
            tuple(
                (names.get(baseline, baseline[:7]), members)
                for baseline, members in showing.listed(self.git, self.cache, refs).items()
            )
        )

    def tag(
        self,
        experiment: str | Experiment,
        *tags: str,
        remove: bool = False,
        star: bool | None = None,
    ) -> Tagged:
        """Add tags to an experiment, or take them away, and give it a star; with neither, those it has.

        Raises
        ------
        NotFound
            There is no such experiment.
        UsageError
            It cannot be a tag, or is to be taken away and not there. Nothing was changed.
        """
        from nbexp.experiments import labels

        name, rev = self._resolve(experiment, failed=True)
        return labels.tag(self.git, name, rev, tags, remove=remove, star=star)

    def note(self, experiment: str | Experiment, text: str | None = None) -> Recorded:
        """Write a note about an experiment (an empty text takes it away); what is recorded about it then.

        Raises
        ------
        NotFound
            There is no such experiment.
        """
        from nbexp.experiments import labels

        name, rev = self._resolve(experiment, failed=True)
        if text is None:
            return labels.read(self.git, name, rev)
        return labels.write(self.git, name, rev, text)

    def status(
        self, targets: Sequence[str] = (), *, with_deps: bool = False, recursive: bool = False
    ) -> Status:
        """Which stages are not up to date, and why; with targets, those stages alone.

        Parameters
        ----------
        targets
            Stages, dvc.yaml or `.dvc` files, or paths of outputs, of which only that one is then looked at.
        with_deps
            What the targets need as well.
        recursive
            A target may be a folder: all stages in and below it.
        """
        from nbexp.pipeline import graph as graphs
        from nbexp.pipeline.plan import Disk, Inspector

        graph = graphs.load(self.root)
        asked = graph.look_at(targets, self.here, with_deps=with_deps, recursive=recursive)
        meanings = place.GitMeanings(self.git, self.prefix, self._refs())
        inspector = Inspector(self.root, self.cache, Disk(self.root, {}), meanings)
        found = {}
        for stage, out in asked.items():
            reasons = tuple(
                reason
                for reason in inspector.check(stage).reasons
                if out is None or reason.kind != "out" or graphs.overlap(reason.path, out)
            )
            if reasons:
                found[stage.address(self.here)] = reasons
        return Status(found, len(asked), place.unfinished(self.root), self.here)

    def plan(
        self,
        set_params: Mapping[str, object] | Iterable[str] | None = None,
        *,
        targets: Sequence[str] = (),
        force: bool = False,
        single_item: bool = False,
        pipeline: bool = False,
        all_pipelines: bool = False,
        recursive: bool = False,
        glob: bool = False,
        downstream: bool = False,
        force_downstream: bool = False,
        allow_missing: bool = False,
        run_cache: bool = True,
        new: bool = False,
    ) -> Plan:
        """What a run with these arguments would do to each stage, why, and what it costs; nothing is changed.

        The arguments are those of `run` and `repro`.

        Raises
        ------
        NotFound, UsageError, ProjectFileError
            As the run would.
        """
        from nbexp import overrides as grammar
        from nbexp.experiments import planning
        from nbexp.experiments import spec as specs
        from nbexp.pipeline import graph as graphs
        from nbexp.pipeline.plan import Disk

        point = specs.one_point(grammar.parse(set_params or []))
        head, refs = self.git.head(), self._refs()
        spec = specs.make(self.root, head or "", {}, here=self.here, overrides=point)
        graph = graphs.load(self.root, read=Disk(self.root, spec.edits).read)
        which = specs.Which(
            pipeline, all_pipelines, recursive, glob, downstream=downstream, single=single_item
        )
        is_for_execution = new or force or single_item or downstream or force_downstream
        return planning.make(
            self.git,
            self.cache,
            self.root,
            self.prefix,
            refs,
            graph,
            which.stages(graph, targets, self.here),
            spec.edits,
            here=self.here,
            baseline=None if is_for_execution else head,
            how=self._how(
                force=force, force_downstream=force_downstream, allow_missing=allow_missing
            ),
            use_run_cache=run_cache and self.settings.run_cache,
        )

    def why(self, stage: str, experiment: str | Experiment | None = None) -> Why:
        """Why a stage ran in an experiment: what it read that its baseline's dvc.lock did not have.

        Without an experiment, in the newest of the present commit; if it has none, in the last commit that
        changed the stage's entry. It reads Git alone, so it says the same in a fresh clone.

        Raises
        ------
        NotFound
            There is no such experiment or stage, or the stage never ran.
        """
        from nbexp.experiments import why as reasons

        recent = self._of_baseline(self._head())
        if experiment is None and not recent:
            sides = reasons.last_change(self.git, self.root, self.prefix, stage, self.here)
        else:
            asked = experiment if experiment is not None else recent[0].rev
            sides = self._with_those_before(*self._resolve(asked, failed=True))
        return reasons.look_back(
            self.git, self.cache, self.root, self.prefix, stage, self.here, *sides
        )

    def dag(
        self,
        target: str | None = None,
        *,
        full: bool = False,
        outs: bool = False,
        collapse: bool = False,
    ) -> Dag:
        """The pipelines: every stage, and which it needs.

        Parameters
        ----------
        target
            A stage, a file of stages or an output: it and what it needs, with `full` all that is connected.
        outs
            Outputs instead of stages.
        collapse
            One node for all stages that a `foreach` or `matrix` makes.
        """
        from nbexp.pipeline import dag
        from nbexp.pipeline import graph as graphs

        graph = graphs.load(self.root)
        return dag.build(graph, self.here, target, full=full, outs=outs, collapse=collapse)

    def plot(self, metric: str, *experiments: str | Experiment) -> Curves:
        """A metric over its steps: of the experiments named, else of those of the present commit."""
        from nbexp.experiments import series

        sources: builtins.list[tuple[str, str | None]]
        if experiments:
            sources = [self._resolve(one, failed=True) for one in experiments]
        else:
            recorded = self._of_baseline(self._head())
            sources = [(row.name or row.rev[:7], row.rev) for row in reversed(recorded)]
            if not recorded:
                sources = [("workspace", None)]
        finder = series.Finder(self.git, self.cache, self.root, self.prefix)
        return finder.read(metric, sources)

    def open(
        self,
        experiment: str | Experiment,
        path: str | None = None,
        *,
        limit: int | None = None,
        out: str | os.PathLike[str] | None = None,
        git_remote: str | None = None,
        repo: str | None = None,
        emit: Emit = ignore,
    ) -> OpenedNotebook | Opened:
        """What is at a path of an experiment, branch, tag or commit; the workspace is untouched.

        A notebook with its outputs, a picture, the first rows of a table, the first lines of a text, the
        listing of a directory, or the size and md5 of other bytes; from Git, the cache or a remote.

        Parameters
        ----------
        path
            As typed in the user's directory, else as the project has it; None is the executed notebook.
        limit
            How many rows, lines or entries.
        out
            Write the file or directory there as well, where nothing is yet.
        git_remote
            The Git remote that has the experiment, by name or URL; its commit is fetched, and nothing else.
        repo
            The URL or path of another repository that has it.

        Raises
        ------
        NotFound
            There is no such experiment, or no such path in it.
        StoreError
            Neither cache nor remote has the data, or something is at `out` already.
        """
        name = experiment.name if isinstance(experiment, Experiment) else experiment
        here = self.root / self.here
        if repo is not None:
            return open_elsewhere(repo, name, path, limit=limit, out=out, here=here, emit=emit)
        name, rev = self._found(experiment, git_remote)
        return _opened(self._contents(rev, emit), name, path, limit, out, here)

    def report(
        self,
        experiment: str | Experiment,
        *others: str | Experiment,
        title: str | None = None,
        fail_under: report.Limits | None = None,
        fail_over: report.Limits | None = None,
    ) -> Report:
        """An experiment against the first of the others, or its baseline, with plots and pictures.

        `fail_under={"acc": 0.9}` holds metrics against bars; `failure` of the report says which were missed.

        Raises
        ------
        NotFound
            There is no such experiment, or no metric that a bar is about.
        """
        from nbexp.experiments.report import making

        bars = [*making.bars(fail_under, "under"), *making.bars(fail_over, "over")]
        first = self._source(experiment)
        beside = [found for found in map(self._source, others) if found[0] != first[0]]
        named = [*dict.fromkeys([first, *(beside or [self._source(self._before(*first))])])]
        new, old = (self._side(name if rev is None else rev) for name, rev in named[:2])
        data = [new.data, old.data, *(self._reader.read(rev) for _, rev in named[2:])]
        return making.make(
            making.Files(self.git, self.cache, self.root, self.prefix),
            [making.Source(*one, found) for one, found in zip(named, data, strict=True)],
            (replace(old, name=named[1][0]), replace(new, name=named[0][0])),
            bars,
            title,
        )

    def publish(
        self,
        folder: str | os.PathLike[str],
        *experiments: str | Experiment,
        title: str | None = None,
        max_size_mb: float | None = None,
        emit: Emit = ignore,
    ) -> Published:
        """A site of static pages in a folder: the table of the experiments (all, or those named), a page for each.

        What `publish` wrote there before is replaced as one; other files in the folder stay.

        Raises
        ------
        StoreError
            The folder holds what `publish` did not make, or a page was edited since. Nothing was written.
        """
        from nbexp.experiments import site
        from nbexp.experiments.report import making

        revs = {self._resolve(one)[1] for one in experiments}
        rows = [
            row
            for row in self.show().rows
            if row.kind == "baseline"
            or (row.kind == "experiment" and (not revs or row.rev in revs))
        ]
        used = {row.baseline for row in rows if row.kind == "experiment"}
        rows = [row for row in rows if row.kind == "experiment" or row.rev in used]
        infos = self._infos([row.rev for row in rows])
        names = self._baseline_names()
        return site.publish(
            self.root / self.here / folder,
            rows,
            site.Source(
                making.Files(self.git, self.cache, self.root, self.prefix),
                lambda rev: self._side_of(rev[:7], rev),
                self._executed_notebooks,
                self._read,
                {rev: info.author.partition(" <")[0] for rev, info in infos.items()},
                {row.rev: names.get(row.rev, row.rev[:7]) for row in rows},
                self.root.name,
            ),
            title=title or self.root.name,
            shown_as=Path(os.path.normpath(folder)).as_posix(),
            max_size_mb=max_size_mb,
            emit=emit,
        )

    def read(self, experiment: str | Experiment, path: str) -> bytes:
        """The bytes of a file of an experiment, from Git, the cache or a remote; the workspace is untouched."""
        rev = self._found(experiment)[1]
        try:
            return self._read(rev, path)
        except StoreError:
            contents = self._contents(rev)
            located = contents.locate(path)
            contents.bring(located)
            return contents.read(located.files[""])

    def path(self, experiment: str | Experiment, path: str, *, emit: Emit = ignore) -> Path:
        """A file or directory of an experiment, to read: under its own name, outside of the workspace.

        What the cache has is linked, what Git has is written; asked for again, it is there already.

        Raises
        ------
        NotFound
            There is no such experiment, or no such path in it.
        StoreError
            Neither cache nor remote has the data.
        """
        from nbexp.experiments import materialised

        contents = self._contents(self._found(experiment)[1], emit)
        located = contents.locate(contents.resolved(path))
        return materialised.path(contents, located, self.root)

    def verify(
        self,
        experiment: str | Experiment,
        *,
        rtol: float | None = None,
        atol: float | None = None,
        jobs: int = 1,
        emit: Emit = ignore,
    ) -> Verified:
        """Run an experiment again from scratch in a fresh clone with a cold cache, and compare every output.

        The verdict is kept in the experiment's note, under `verified`. Workspace, HEAD, index and cache are
        left alone.

        Parameters
        ----------
        rtol, atol
            Numbers are close when they differ by no more than `atol + rtol * |the recorded one|`; None is
            what NumPy's `allclose` has, 1e-5 and 1e-8.
        jobs
            How many stages run at once.

        Raises
        ------
        NotFound
            There is no such experiment, or no stage ran in it.
        StoreError
            Data that no stage makes is neither in the cache nor at a remote. Nothing was run.
        Interrupted
            It was stopped; nothing of it is left.
        """
        from nbexp.experiments import authors, notes
        from nbexp.experiments import verify as proving
        from nbexp.experiments.agreement import ATOL, RTOL, Tolerance
        from nbexp.version import __version__

        name, rev = self._resolve(experiment)
        authors.check(self.git, self.root, rev, name, self.confirm, emit)
        result = proving.verify(
            self._site(),
            rev,
            name,
            tolerance=Tolerance(RTOL if rtol is None else rtol, ATOL if atol is None else atol),
            env=self.stage_env,
            how=self._how(jobs=jobs),
            emit=emit,
        )
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        said = proving.certificate(result, at=at, version=__version__)
        notes.change(self.git, {rev: {"verified": said}})
        return result

    def experiment(self, name: str, *, git_remote: str | None = None) -> Experiment:
        """The experiment of that name; the one of the present commit when several have it.

        With `git_remote` it is one of that remote: its commit is fetched, and it is not listed here.
        """
        if git_remote is None:
            return self._experiment(*self._ref_of(name))
        from nbexp.experiments import elsewhere

        ref, rev = elsewhere.fetch(self.git, git_remote, name)
        if ref_names.parse(ref) is None:
            raise NotFound(f"`{name}` of {git_remote} is {ref}, and no experiment.")
        return self._experiment(ref, rev)

    @property
    def names(self) -> builtins.list[str]:
        """The names of all experiments, for completion."""
        return sorted(ref_names.name_of(ref) for ref in self._refs())

    @property
    def _reader(self) -> Reader:
        from nbexp.experiments.reading import Reader

        return Reader(self.git, self.cache, self.root, self.prefix)

    def _head(self) -> str:
        head = self.git.head()
        if head is None:
            raise NotFound(
                "This repository has no commit yet, so an experiment has nothing to start from.",
                "`nbexp init train.ipynb` makes the first one, or `git commit`.",
            )
        return head

    def _refs(self) -> dict[str, str]:
        """Every experiment ref; what lies below `refs/exps` for DVC's own use is left out."""
        refs = self.git.refs(ref_names.PREFIX)
        return {ref: refs[ref] for ref, _, _ in ref_names.experiments(refs)}

    def _of_baseline(
        self, baseline: str, refs: Mapping[str, str] | None = None
    ) -> builtins.list[Row]:
        """The experiments of a commit, newest first, without what they say."""
        from nbexp.experiments.table import Row

        listed = self.git.refs(ref_names.prefix(baseline)) if refs is None else refs
        found = [
            (name, listed[ref]) for ref, of, name in ref_names.experiments(listed) if of == baseline
        ]
        infos = self._infos([rev for _, rev in found])
        rows = [
            Row(rev, name, "experiment", None, baseline, infos[rev].time_s)
            for name, rev in found
            if rev in infos
        ]
        rows.sort(key=lambda row: row.name or "")
        rows.sort(key=lambda row: row.created_s or 0, reverse=True)
        return rows

    def _with_those_before(self, name: str, rev: str) -> builtins.list[Commit]:
        """A commit, its baseline, and the experiments that were made on that before, newest first."""
        from nbexp.experiments.why import Commit

        found = [Commit(name, rev)]
        for baseline in self.git.commits([rev])[0].parents[:1]:
            found.append(Commit(self._baseline_names().get(baseline, baseline[:7]), baseline))
            members = [Commit(row.name or "", row.rev) for row in self._of_baseline(baseline)]
            revs = [one.rev for one in members]
            found += members[revs.index(rev) + 1 :] if rev in revs else members
        return found

    def _refuse_git_names(
        self, name: str, untouched: str = "Nothing was run.", verb: str = "run"
    ) -> None:
        """A branch or tag comes before an experiment of its name, for DVC as well: it could not be meant."""
        for kind, prefix in (("branch", "refs/heads/"), ("tag", "refs/tags/")):
            if self.git.resolve(prefix + name) is not None:
                raise NameTaken(
                    f"`{name}` is a {kind} of this repository, so an experiment of that name could "
                    f"not be told from it. {untouched}",
                    f"for example `nbexp {verb} -n {name}-1`.",
                )

    def _infos(self, revs: Sequence[str]) -> dict[str, CommitInfo]:
        """The commits by rev; what is no commit, or is gone, is left out.

        A ref may hold anything, or what a shallow clone lacks: it must not hide all the others.
        """
        try:
            return dict(zip(revs, self.git.commits(revs), strict=True))
        except GitError:
            found = self.git.info_many([f"{rev}^{{commit}}" for rev in revs])
            usable = [rev for rev, info in zip(revs, found, strict=True) if info is not None]
            return dict(zip(usable, self.git.commits(usable), strict=True))

    def _baseline_names(self) -> dict[str, str]:
        """Tag, else branch, of each commit that has one; the current branch before all others."""
        names: dict[str, str] = {}
        for prefix in ("refs/heads/", "refs/tags/"):
            for ref, rev in sorted(self.git.refs(prefix).items(), reverse=True):
                names[rev] = ref.removeprefix(prefix)
        branch, head = self.git.branch(), self.git.head()
        if branch is not None and head is not None:
            names[head] = branch
        return names

    def _ref_of(self, experiment: str | Experiment) -> tuple[str, str]:
        """The ref and rev of an experiment, by name, rev or start of a rev."""
        if isinstance(experiment, Experiment):
            ref = ref_names.ExpRef(experiment.baseline, experiment.name).ref
            return ref, experiment.rev
        refs = self._refs()
        head = self.git.head()
        named = [
            (ref, rev)
            for ref, rev in refs.items()
            if ref_names.name_of(ref) == experiment or ref == experiment
        ]
        here = [
            found for found in named if head and found[0] == ref_names.ExpRef(head, experiment).ref
        ]
        if not named and len(experiment) >= 4:
            named = [(ref, rev) for ref, rev in refs.items() if rev.startswith(experiment.lower())]
        if here or len(named) == 1:
            return (here or named)[0]
        if named:
            revs = ", ".join(rev[:7] for _, rev in named)
            raise NotFound(
                f"{len(named)} experiments are called `{experiment}`: {revs}.",
                f"name one by its commit: `{named[0][1][:7]}`.",
            )
        known = [ref_names.name_of(ref) for ref in refs]
        near = nearest(experiment, known)
        if near:
            hint = f"did you mean `{near}`?"
        else:
            hint = "`nbexp list` shows those there are." if known else "`nbexp run` makes one."
        raise NotFound(f"There is no experiment `{experiment}`.", hint)

    def _resolve(self, experiment: str | Experiment, *, failed: bool = False) -> tuple[str, str]:
        """A name for people, and the rev, of an experiment or any commit."""
        from nbexp.experiments import record as recording

        if isinstance(experiment, Experiment):
            return experiment.name, experiment.rev
        for prefix in ("refs/heads/", "refs/tags/"):
            rev = self.git.resolve(prefix + experiment)
            if rev is not None:
                return experiment, rev
        try:
            ref, rev = self._ref_of(experiment)
            return ref_names.name_of(ref), rev
        except NotFound:
            if failed:
                for ref, rev in sorted(self.git.refs(recording.FAILED).items()):
                    if ref_names.name_of(ref) == experiment:
                        return experiment, rev
            found = self.git.resolve(experiment)
            if found is None:
                raise
            return experiment, found

    def _found(
        self, experiment: str | Experiment, git_remote: str | None = None
    ) -> tuple[str, str]:
        """As `_resolve`, for what only looks: failed runs as well, and the experiments of a Git remote."""
        if git_remote is not None:
            from nbexp.experiments import elsewhere

            name = experiment.name if isinstance(experiment, Experiment) else experiment
            return name, elsewhere.fetch(self.git, git_remote, name)[1]
        try:
            return self._resolve(experiment, failed=True)
        except NotFound as error:
            known = [
                key[7:-4] for key in self.git.config() if re.fullmatch(r"remote\..+\.url", key)
            ]
            if known and "did you mean" not in (error.hint or ""):
                remote = "origin" if "origin" in known else known[0]
                error.hint = f"`nbexp open {experiment} --git-remote {remote}` asks that remote."
            raise

    def _contents(self, rev: str, emit: Emit = ignore) -> Contents:
        from nbexp.experiments.data.located import Contents

        site = self._site()
        return Contents(site, rev, site.config, emit=emit)

    def _experiment(self, ref: str, rev: str) -> Experiment:
        from nbexp.experiments.table import Row

        parsed = ref_names.parse(ref)
        assert parsed is not None, ref
        data = self._reader.data(rev)
        info = self.git.commits([rev])[0]
        row = Row(rev, parsed.name, "experiment", data)
        return Experiment(
            parsed.name,
            rev,
            parsed.baseline,
            row.params,
            row.metrics,
            created_s=info.time_s,
            root=self.root,
        )

    def _again(
        self,
        verb: Literal["clone", "rerun"],
        experiment: str | Experiment,
        set_params: Mapping[str, object] | Iterable[str] | None,
        name: str | None,
        message: str | None,
        force: bool,
        jobs: int,
        run_cache: bool,
        emit: Emit,
    ) -> Experiment:
        from nbexp import overrides as grammar
        from nbexp.experiments import again
        from nbexp.experiments import spec as specs

        started = time.monotonic()
        ref, rev = self._ref_of(experiment)
        parsed = ref_names.parse(ref)
        assert parsed is not None, ref
        source = again.Source(parsed, rev)
        point = specs.one_point(grammar.parse(set_params or []))
        if name is not None:
            self._refuse_git_names(name, verb=verb)
        refs = self._refs()
        ran, stages = again.run(
            self._place(emit, run_cache=run_cache, pull=False, interactive=False),
            source,
            refs,
            emit,
            verb=verb,
            here=self.here,
            keep=self._open_notebooks(),
            overrides=point,
            name=name,
            message=message,
            force=force,
            how=self._how(jobs=jobs),
        )
        made = self._experiment(ran.ref, ran.rev)
        elapsed_s = time.monotonic() - started
        report = self._report(ran, made, refs, stages, elapsed_s, (source.name, source.rev))
        if verb == "rerun":
            report = replace(
                report, differs=again.differences(self.git, self._reader, rev, ran.rev)
            )
        return _with_report(made, report)

    def _report(
        self,
        ran: running.Ran,
        experiment: Experiment,
        refs: Mapping[str, str],
        stages: Sequence[Stage],
        elapsed_s: float,
        beside: tuple[str, str] | None = None,
    ) -> RunReport:
        """The card's content; the changes are measured against `beside`, else the experiment before."""
        from nbexp.experiments import compare, details
        from nbexp.experiments import record as recording
        from nbexp.experiments.table import Data
        from nbexp.formats import values

        # `refs` is from before the run: its newest experiment is the previous one.
        before = [row for row in self._of_baseline(experiment.baseline, refs) if row.rev != ran.rev]
        if beside is None and before:
            beside = (before[0].name or "", before[0].rev)
        versus = experiment.baseline if beside is None else beside[1]
        # A baseline whose dvc.yaml is broken says nothing; the run has mended it.
        data = {rev: one.data for rev, one in self._reader.commits([versus, ran.rev]).items()}
        old, new = data.get(versus) or Data(), data.get(ran.rev) or Data()
        params = compare.changes(old, new, "params")
        metrics = compare.changes(old, new, "metrics", all_values=True, better=self.settings.better)
        patches: tuple[Patch, ...] = ()
        tracked: tuple[DataChange, ...] = ()
        environment: EnvironmentChange | None = None
        if not ran.identical:
            outs = [out.path for stage in stages for out in stage.outs]
            patches, tracked, environment = details.between_runs(
                self.git, self.prefix, (versus, old), (ran.rev, new), outs
            )
        return RunReport(
            identical=ran.identical,
            stages=self._stage_reports(ran.outcome),
            params=params,
            metrics=tuple(c for c in metrics if c.new is not values.MISSING),
            versus=None if beside is None else beside[0],
            not_recorded=ran.not_recorded,
            unlisted={stage: tuple(paths) for stage, paths in ran.unlisted.items()},
            notebooks=tuple(recording.notebook_targets(stages)),
            elapsed_s=elapsed_s,
            own_s=ran.own_s + elapsed_s - ran.elapsed_s,
            hints=self.settings.hints,
            code=patches,
            data=tracked,
            environment=environment,
        )

    def _stage_reports(self, outcome: Outcome) -> tuple[StageReport, ...]:
        return tuple(
            StageReport(
                result.stage.address(self.here),
                result.action,
                result.seconds,
                result.cells,
                result.reasons,
            )
            for result in outcome.stages
        )

    def _how(
        self,
        *,
        force: bool = False,
        force_downstream: bool = False,
        pull: bool = False,
        allow_missing: bool = False,
        on_failure: OnFailure = "stop",
        jobs: int = 1,
        commit: bool = True,
    ) -> How:
        from nbexp.pipeline import schedule
        from nbexp.pipeline.context import How

        if jobs < 1:
            raise UsageError(f"{jobs} stages at once is none. Nothing was run.", "`nbexp run -j 2`")
        totals = schedule.amounts(self.settings.resources, "`resources`", "nbexp.toml")
        return How(
            force=force,
            force_downstream=force_downstream,
            allow_missing=allow_missing,
            commit=commit,
            on_failure=on_failure,
            jobs=jobs,
            totals=totals,
        )

    def _place(
        self, emit: Emit, *, run_cache: bool, pull: bool, interactive: bool
    ) -> running.Place:
        """This project for a command that runs stages."""
        from nbexp.experiments import run as running
        from nbexp.formats import config

        fetch = None
        if pull:
            from nbexp.experiments.fetching import FromRemotes

            self._fetching = fetch = FromRemotes(self.root, self.cache, emit)
        if interactive and self.confirm is None:
            raise UsageError(
                "`-i` asks before each stage, and there is no terminal to ask on. Nothing was run.",
                "`nbexp run --dry` says what would run.",
            )
        asks = interactive or (
            self.confirm is not None
            and config.read(self.root / ".dvc", home=place.home()).is_on("core", "interactive")
        )
        return running.Place(
            self.git,
            self.cache,
            self.root,
            self.prefix,
            run_cache and self.settings.run_cache,
            self.stage_env,
            self.confirm if asks else None,
            fetch,
        )

    def _source(self, what: str | Experiment) -> tuple[str, str | None]:
        """A name for people, and the rev, None of the workspace."""
        if what == "workspace":
            return "workspace", None
        if what == "HEAD":
            return "HEAD", self._head()
        return self._resolve(what)

    def _before(self, name: str, rev: str | None) -> str:
        """What a state is held against where nothing is named: the baseline, or the commit before."""
        if rev is None:
            return "HEAD"
        found = [
            parsed.baseline
            for ref, at in self._refs().items()
            if at == rev and (parsed := ref_names.parse(ref)) is not None
        ]
        found += self.git.commits([rev])[0].parents[:1]
        if not found:
            raise UsageError(
                f"`{name}` has no commit before it to be held against. Nothing was written.",
                f"name something: `nbexp report {name} workspace`.",
            )
        return self._baseline_names().get(found[0], found[0][:7])

    def _side(self, what: str | Experiment, *, param_deps: bool = False) -> Side:
        """One side of a diff: what it says, its other files, its executed notebooks."""
        if what == "workspace":
            return self._workspace_side(param_deps=param_deps)
        if what == "HEAD":
            self._head()  # a repository without a commit is told as such
        return self._side_of(*self._resolve(what, failed=True), param_deps=param_deps)

    def _side_of(self, name: str, rev: str, *, param_deps: bool = False) -> Side:
        """The same of a commit."""
        from nbexp.experiments.compare import Side

        try:
            data = self._reader.data(rev, deps_only=param_deps)
            executed = self._executed_notebooks(rev)
        except ProjectFileError as error:
            error.message = f"{name}: {error.message}"
            raise
        files = {path: entry.oid for path, entry in self.git.tree(rev).items()}
        notebooks = {}
        for path in executed:
            try:
                notebooks[path] = self._read(rev, path)
            except (NotFound, StoreError):
                continue
        return Side(name, data, self._code(files, data), notebooks, rev)

    def _environment(self) -> dict[str, object]:
        """What a run made now would tell of its environment."""
        from nbexp.experiments import environment
        from nbexp.pipeline import graph as graphs

        env = self.stage_env if self.stage_env is not None else os.environ
        return environment.present(graphs.load(self.root).stages, env, self.cache)

    def _workspace_side(self, *, param_deps: bool) -> Side:
        from nbexp.experiments import record as recording
        from nbexp.experiments.compare import Side
        from nbexp.pipeline import graph as graphs

        data = self._reader.read(None, deps_only=param_deps)
        files = {path: entry.oid for path, entry in self.git.tree("HEAD").items()}
        status = self.git.status()
        changed = [
            change.path for change in status.changes if (self.git.root / change.path).is_file()
        ]
        for change in status.changes:
            files.pop(change.path, None)
        files.update(zip(changed, self.git.hash_files(changed, write=False), strict=True))
        graph = graphs.load(self.root)
        deps = {
            f"{self.prefix}/{dep.path}" if self.prefix else dep.path
            for stage in graph.stages
            for dep in stage.deps
        }
        new = [path for path in status.untracked if path in deps]
        files.update(zip(new, self.git.hash_files(new, write=False), strict=True))
        notebooks = {
            path: (self.root / path).read_bytes()
            for path in recording.notebook_targets(graph.stages)
            if (self.root / path).is_file()
        }
        return Side("workspace", data, self._code(files, data), notebooks)

    def _code(self, files: Mapping[str, str], data: Data) -> dict[str, str]:
        """The files that are neither params, metrics, outputs nor DVC's own records."""
        from nbexp.pipeline import graph as graphs

        top = f"{self.prefix}/" if self.prefix else ""
        known = {top + path for path in (*data.params, *data.metrics, *data.outs)}
        try:
            outs = [top + out.path for _, out in graphs.load(self.root).outs]
        except ProjectFileError:
            outs = []  # the workspace may be no part of the comparison
        return {
            path: oid
            for path, oid in files.items()
            if path not in known
            and not path.endswith(("dvc.lock", ".gitignore"))
            and not any(graphs.is_inside(path, out) for out in outs)
        }

    def _executed_notebooks(self, rev: str) -> builtins.list[str]:
        from nbexp.experiments import opening

        return opening.executed(self._site(), rev)

    def _read(self, rev: str, path: str) -> bytes:
        from nbexp.experiments import contents

        return contents.read(self.git, self.cache, self.prefix, rev, path)

    def _open_notebooks(self) -> dict[str, str]:
        """The notebooks that must not be rewritten, from the top of the work tree, and in what way each is open.

        One that a stage writes and that somebody looks at is no work of theirs.
        """
        from nbexp.experiments import open_notebooks
        from nbexp.pipeline import graph as graphs

        found = open_notebooks.found(self.git.root, self.asking_notebook)
        if open_notebooks.SERVED in found.values():
            try:
                made = [posixpath.join(self.prefix, o.path) for _, o in graphs.load(self.root).outs]
            except ProjectFileError:
                made = []
            found = {
                path: way
                for path, way in found.items()
                if way == open_notebooks.ASKING or not any(graphs.is_inside(path, o) for o in made)
            }
        return found


def open(path: str | os.PathLike[str] = ".") -> Project:  # noqa: A001  (`nbexp.open()` is the API)
    """The project around `path`.

    Raises
    ------
    NotFound
        `path` is in no Git repository, or the repository has no `.dvc`.
    """
    here = Path(path).absolute()
    if here.is_file():
        here = here.parent
    git = Git.find(here)
    if git is None:
        raise NotFound(
            f"{here} is in no Git repository.",
            "`nbexp init train.ipynb` makes one around a notebook.",
        )
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return Project(folder, git, here)
        if folder == git.root:
            break
    raise NotFound(
        f"The repository {git.root} is no project yet: it has no .dvc folder.",
        "`nbexp init train.ipynb` makes it one.",
    )


def init(
    notebook: str | None = None,
    *,
    path: str = ".",
    untagged: bool = False,
    emit: Emit = ignore,
) -> authoring.InitReport:
    """Make a project of the directory, and a stage of the notebook.

    An existing DVC project is left as it is; the report says what was found. With `untagged` the first
    code cell's plain assignments are the parameters where no cell is tagged so.
    """
    from nbexp.experiments import authoring

    return authoring.init(Path(path).absolute(), notebook, emit, untagged=untagged)


def detect(
    path: str = ".",
    *,
    traced: bool = False,
    timeout_s: float = 300.0,
    emit: Emit = ignore,
) -> detecting.Detected:
    """The stages that the scripts and notebooks of a directory make; `.write()` writes them.

    With `traced`, each runs once in a copy of the directory, at most `timeout_s` seconds.
    """
    from nbexp.experiments import detecting

    return detecting.detect(Path(path).absolute(), emit, traced=traced, timeout_s=timeout_s)


def setup(
    path: str = ".",
    given: Mapping[str, str] | None = None,
    *,
    explicit: bool = False,
    name: str = "train",
    kind: str = "default",
    force: bool = False,
) -> guided.Setup:
    """A stage of a command in the layout that DVC 2 assumed; `.answer({…})` writes it."""
    from nbexp.experiments import guided

    here = Path(path).absolute()
    return guided.prepare(here, given or {}, explicit=explicit, name=name, kind=kind, force=force)


def user_configuration(cwd: Path) -> Configuration:
    """DVC's settings where there is no project: those of the user and of the machine."""
    from nbexp.store.config_files import Configuration

    return Configuration(None, place.home(), cwd)


def get(
    source: str,
    path: str,
    *,
    repo: str | None = None,
    rev: str | None = None,
    out: str | None = None,
    remote: str | None = None,
    force: bool = False,
    jobs: int | None = None,
    show_url: bool = False,
    config: str | None = None,
    remote_config: Mapping[str, str] | None = None,
    path_of_project: str = ".",
    emit: Emit = ignore,
) -> Got:
    """`Project.get`, also where there is no project: then of another repository alone."""
    from nbexp.experiments.data import getting

    here = Path(path_of_project).absolute()
    if repo is None and getting.is_repository(source, here):
        repo, source = source, rev or "HEAD"
    wish = getting.Wish(
        path, source, out, remote, force, jobs, show_url, config, remote_config or {}
    )
    if repo is not None:
        return getting.get(None, repo, wish, here, emit)
    project = open(here)
    try:
        return getting.get(project._site(), None, wish, here, emit)
    finally:
        project.close()


def bare(folder: Path) -> str | None:
    """The folder, if it is a repository without a work tree: it can be looked at, but is no project."""
    return None if Git.bare(folder) is None else os.fspath(folder)


def open_elsewhere(
    repo: str,
    experiment: str,
    path: str | None = None,
    *,
    limit: int | None = None,
    out: str | os.PathLike[str] | None = None,
    here: Path,
    emit: Emit = ignore,
) -> OpenedNotebook | Opened:
    """`Project.open` of another repository: one on this disk, a bare one too, or of a URL, without cloning it."""
    from nbexp.experiments.data import getting
    from nbexp.experiments.data.located import Contents

    wish = getting.Wish(path or ".", experiment)
    with getting.opened(None, repo, wish, here) as (site, rev, config):
        return _opened(Contents(site, rev, config, emit=emit), experiment, path, limit, out, here)


def _opened(
    contents: Contents,
    name: str,
    path: str | None,
    limit: int | None,
    out: str | os.PathLike[str] | None,
    here: Path,
) -> OpenedNotebook | Opened:
    from nbexp.experiments import opening

    target = None if out is None else here / out
    if target is not None and os.path.lexists(target):
        raise StoreError(
            f"{os.fspath(out or '')} exists already. Nothing was written.", "choose another name."
        )
    opened, located = (
        opening.notebook_of(contents, name)
        if path is None
        else opening.look(contents, path, name, limit)
    )
    if target is not None:
        contents.bring(located)
        contents.write(located, target)
    return opened


def warn_unfinished(project: Project, emit: Emit) -> None:
    """What a read-only command says when a killed one left files half changed."""

    op = place.unfinished(project.root)
    if op is not None:
        emit(
            Notice(
                f"A `{op}` was killed half-way; files may be half changed.",
                "the next command that writes puts them back: `nbexp run`, or `nbexp undo`.",
            )
        )


def _stage_json(stage: StageReport) -> dict[str, object]:
    return {
        "name": stage.name,
        "action": stage.action,
        "reasons": list(stage.reasons),
        "seconds": stage.seconds,
    }


def _with_report(experiment: Experiment, report: RunReport) -> Experiment:
    return replace(experiment, report=report)


def _status_entries(reasons: Sequence[Reason], here: str) -> builtins.list[object]:
    deps: dict[str, object] = {}
    outs: dict[str, str] = {}
    entries: builtins.list[object] = []
    for reason in reasons:
        path = reason.path
        if not dvc_lock.is_source(path):
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


def _relative(here: Path, root: Path) -> str:
    relative = os.path.relpath(here.resolve(), root.resolve())
    return Path(relative).as_posix()
