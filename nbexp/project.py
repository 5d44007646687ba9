"""Project: the object users hold. Each method is a few lines onto the layers below."""

from __future__ import annotations

import builtins
import os
import posixpath
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
from nbexp.formats import ref_names
from nbexp.frozen import field, frozen, replace
from nbexp.git import CommitInfo, Git
from nbexp.results import Result

# Each method loads what it needs when called: `list` has no use for what takes `run` 60 ms to load.
if TYPE_CHECKING:
    from nbexp.experiments import authoring, compare, detecting, guided, table
    from nbexp.experiments import run as running
    from nbexp.experiments.compare import Diff, Side
    from nbexp.experiments.data import Site, TrackedData
    from nbexp.experiments.data.getting import Got
    from nbexp.experiments.explore import RunCache
    from nbexp.experiments.fetching import FromRemotes
    from nbexp.experiments.measures import Metrics, Params
    from nbexp.experiments.planning import Plan
    from nbexp.experiments.record import NotRecorded
    from nbexp.experiments.ref_changes import Renamed
    from nbexp.experiments.restore import Applied
    from nbexp.experiments.selection import Revisions
    from nbexp.experiments.series import Curves
    from nbexp.experiments.share import PulledExperiments, Pushed
    from nbexp.experiments.stages import Stages
    from nbexp.experiments.table import Data, Row, Table
    from nbexp.experiments.undo import Undone
    from nbexp.experiments.why import Commit, Why
    from nbexp.pipeline.context import How, OnFailure
    from nbexp.pipeline.dag import Dag
    from nbexp.pipeline.execute import Outcome
    from nbexp.pipeline.graph import Graph
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

    def open(self, path: str | None = None) -> OpenedNotebook:
        """The executed notebook of this experiment."""
        return open(self.root).open_notebook(self, path)

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
        return found


@frozen
class OpenedNotebook(Result):
    """An executed notebook, read from Git or the cache: `data` is the file's bytes."""

    experiment: str
    path: str
    data: bytes = field(repr=False)

    def to_json(self) -> dict[str, object]:
        import json

        return {"experiment": self.experiment, "path": self.path, "notebook": json.loads(self.data)}


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

        return Site(self.git, self.cache, self.root, self.here, self.prefix, rev_of)

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

        return RunCache(self.git, self.cache, self.root, self.prefix, self.here)

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
            which = _Which(
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
                single=which.is_single,
                new=new,
                downstream=which.is_downstream,
                how=how,
            )
            # Templates are filled in from the params as the run will have them.
            graph = graphs.load(self.root, read=Disk(self.root, spec.edits).read)
            stages = which.stages(graph, targets, self.here)
            ran = running.run(spec, where, graph, stages, refs, workspace, emit)
        experiment = self._experiment(ran.ref, ran.rev)
        report = self._report(ran, experiment, refs, stages, time.monotonic() - started)
        self._auto_push(ran.ref, emit)
        return _with_report(experiment, report)

    def _auto_push(self, ref: str, emit: Emit) -> None:
        """Push an experiment that was recorded just now, where `exp.auto_push` is on; no push is no failure of it."""
        settings = self._site().config()
        if settings.exp_auto_push:
            from nbexp.experiments import share

            share.automatically(self._site(), ref, settings.exp_git_remote, emit)

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
            which = _Which(
                pipeline, all_pipelines, recursive, glob, downstream=downstream, single=single_item
            )
            stages = which.stages(graph, targets, self.here)
            done = reproducing.repro(
                where, graph, stages, how, workspace, emit, here=self.here, refs=self._refs()
            )
        return Reproduced(self._stage_reports(done.outcome), done.elapsed_s, done.own_s)

    def show(self, *, all_states: bool = False) -> Table:
        """Every experiment below its baseline, newest first, with the workspace on top.

        Parameters
        ----------
        all_states
            Failed and interrupted runs as well.
        """
        from nbexp.experiments import record as recording
        from nbexp.experiments.table import Row, Table

        head = self.git.head()
        reader = self._reader
        try:
            workspace_row = Row("workspace", None, "workspace", reader.workspace())
        except ProjectFileError as error:
            workspace_row = Row("workspace", None, "workspace", None, error=error.message)
        if head is None:
            return Table((workspace_row,))
        found = [
            (parsed, rev, "done")
            for ref, rev in self._refs().items()
            if (parsed := ref_names.parse(ref)) is not None
        ]
        if all_states:
            found += [
                (recording.parse_failed(ref), rev, "failed")
                for ref, rev in self.git.refs(recording.FAILED).items()
            ]
        baselines = list(dict.fromkeys([head, *sorted({ref.baseline for ref, _, _ in found})]))
        infos = self._infos([*baselines, *(rev for _, rev, _ in found)])
        present = [rev for rev in baselines if rev in infos]
        found = [one for one in found if one[1] in infos]
        broken: dict[str, str] = {}
        data = reader.commits(list(infos), broken)
        names = self._baseline_names()
        rows = [workspace_row]
        for baseline in sorted(present, key=lambda rev: (rev != head, -infos[rev].time_s, rev)):
            rows.append(
                Row(
                    baseline,
                    names.get(baseline),
                    "baseline",
                    data.get(baseline),
                    created_s=infos[baseline].time_s,
                    error=broken.get(baseline),
                )
            )
            members = [one for one in found if one[0].baseline == baseline]
            members.sort(key=lambda one: one[0].name)
            members.sort(key=lambda one: infos[one[1]].time_s, reverse=True)
            for ref, rev, state in members:
                if state != "done":
                    state = _state_of(infos[rev].message)
                rows.append(
                    Row(
                        rev,
                        ref.name,
                        "experiment",
                        data.get(rev),
                        baseline=baseline,
                        created_s=infos[rev].time_s,
                        state=state,
                        error=broken.get(rev),
                    )
                )
        return Table(tuple(rows))

    def diff(
        self,
        old: str | Experiment | None = None,
        new: str | Experiment | None = None,
        *,
        all_values: bool = False,
    ) -> Diff:
        """What changed from `old` (HEAD when None) to `new` (the workspace when None)."""
        from nbexp.experiments import compare

        return compare.compare(
            self._side(old if old is not None else "HEAD"),
            self._side(new if new is not None else "workspace"),
            all_values=all_values,
        )

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

    def undo(self, *, force: bool = False, emit: Emit = ignore) -> Undone:
        """Put back what the last run, apply or undo changed in the workspace, byte for byte."""
        from nbexp.experiments import restore

        return restore.undo_last(self.git, self.cache, self.root, emit, force=force)

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
        from nbexp.experiments.selection import Revisions

        self._head()
        asked = Revisions(all_commits=True) if everywhere else revisions or Revisions()
        if asked.all_commits:
            found = [*self.show().experiments]
        else:
            refs = self._refs()
            baselines = asked.baselines(self.git)
            found = [row for one in baselines for row in self._of_baseline(one, refs)]
        names = self._baseline_names()
        groups: dict[str, list[tuple[str, str]]] = {}
        for row in found:
            groups.setdefault(row.baseline or "", []).append((row.name or "", row.rev))
        return Listing(
            tuple((names.get(rev, rev[:7]), tuple(members)) for rev, members in groups.items())
        )

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
        which = _Which(
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
        return reasons.look_back(self.git, self.root, self.prefix, stage, self.here, *sides)

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
            sources = [*map(self._resolve, experiments)]
        else:
            recorded = self._of_baseline(self._head())
            sources = [(row.name or row.rev[:7], row.rev) for row in reversed(recorded)]
            if not recorded:
                sources = [("workspace", None)]
        finder = series.Finder(self.git, self.cache, self.root, self.prefix)
        return finder.read(metric, sources)

    def open_notebook(
        self, experiment: str | Experiment, path: str | None = None
    ) -> OpenedNotebook:
        """The executed notebook of an experiment, a failed one too; the workspace is untouched."""
        name, rev = self._resolve(experiment, failed=True)
        paths = self._executed_notebooks(rev)
        if path is not None:
            return self._opened(name, rev, path, paths)
        for found in paths:
            try:
                return self._opened(name, rev, found, paths)
            except NotFound:
                continue
        raise NotFound(
            f"Experiment `{name}` has no executed notebook.",
            "a stage `nbexp notebook IN OUT` writes one; `nbexp init train.ipynb` makes such a stage.",
        )

    def read(self, experiment: str | Experiment, path: str) -> bytes:
        """The bytes of a file of an experiment, from Git or the cache; the workspace is untouched."""
        return self._read(self._resolve(experiment, failed=True)[1], path)

    def experiment(self, name: str) -> Experiment:
        """The experiment of that name; the one of the present commit when several have it."""
        ref, rev = self._ref_of(name)
        return self._experiment(ref, rev)

    @property
    def names(self) -> builtins.list[str]:
        """The names of all experiments, for completion."""
        return sorted(ref_names.name_of(ref) for ref in self._refs())

    @property
    def _reader(self) -> table.Reader:
        from nbexp.experiments import table

        return table.Reader(self.git, self.cache, self.root, self.prefix)

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
        return {
            ref: rev for ref, rev in self.git.refs("refs/exps/").items() if ref_names.parse(ref)
        }

    def _of_baseline(
        self, baseline: str, refs: Mapping[str, str] | None = None
    ) -> builtins.list[Row]:
        """The experiments of a commit, newest first, without what they say."""
        from nbexp.experiments.table import Row

        found = [
            (parsed.name, rev)
            for ref, rev in (self._refs() if refs is None else refs).items()
            if (parsed := ref_names.parse(ref)) is not None and parsed.baseline == baseline
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

    def _refuse_git_names(self, name: str) -> None:
        """A branch or tag comes before an experiment of its name, for DVC as well: it could not be meant."""
        for kind, prefix in (("branch", "refs/heads/"), ("tag", "refs/tags/")):
            if self.git.resolve(prefix + name) is not None:
                raise NameTaken(
                    f"`{name}` is a {kind} of this repository, so an experiment of that name could "
                    "not be told from it. Nothing was run.",
                    f"for example `nbexp run -n {name}-1`.",
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

    def _experiment(self, ref: str, rev: str) -> Experiment:
        from nbexp.experiments.table import Row

        parsed = ref_names.parse(ref)
        assert parsed is not None, ref
        data = self._reader.commits([rev])[rev]
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

    def _report(
        self,
        ran: running.Ran,
        experiment: Experiment,
        refs: Mapping[str, str],
        stages: Sequence[Stage],
        elapsed_s: float,
    ) -> RunReport:
        from nbexp.experiments import compare, table
        from nbexp.experiments import record as recording
        from nbexp.formats import values

        # `refs` is from before the run: its newest experiment is the previous one.
        before = [row for row in self._of_baseline(experiment.baseline, refs) if row.rev != ran.rev]
        previous = before[0] if before else None
        versus = previous.rev if previous is not None else experiment.baseline
        # A baseline whose dvc.yaml is broken says nothing; the run has mended it.
        data = self._reader.commits([versus, ran.rev], broken={})
        old = data.get(versus, table.Data())
        params = compare.changes(old, data[ran.rev], "params")
        metrics = compare.changes(old, data[ran.rev], "metrics", all_values=True)
        return RunReport(
            identical=ran.identical,
            stages=self._stage_reports(ran.outcome),
            params=params,
            metrics=tuple(c for c in metrics if c.new is not values.MISSING),
            versus=previous.name if previous is not None else None,
            not_recorded=ran.not_recorded,
            unlisted={stage: tuple(paths) for stage, paths in ran.unlisted.items()},
            notebooks=tuple(recording.notebook_targets(stages)),
            elapsed_s=elapsed_s,
            own_s=ran.own_s + elapsed_s - ran.elapsed_s,
            hints=self.settings.hints,
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

    def _side(self, what: str | Experiment) -> Side:
        """One side of a diff: what it says, its other files, its executed notebooks."""
        from nbexp.experiments.compare import Side

        if what == "workspace":
            return self._workspace_side()
        if what == "HEAD":
            self._head()  # a repository without a commit is told as such
        name, rev = self._resolve(what)
        try:
            data = self._reader.commits([rev])[rev]
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
        return Side(name, data, self._code(files, data), notebooks)

    def _workspace_side(self) -> Side:
        from nbexp.experiments import record as recording
        from nbexp.experiments.compare import Side
        from nbexp.pipeline import graph as graphs

        data = self._reader.workspace()
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
        from nbexp.experiments import record as recording
        from nbexp.pipeline import graph as graphs

        top = f"{self.prefix}/" if self.prefix else ""
        texts = {}
        for path in self.git.paths_named([rev], "dvc.yaml")[rev]:
            data = self.git.read(f"{rev}:{path}")
            if path.startswith(top) and data is not None:
                texts[path[len(top) :]] = data
        read = place.files_of(self.git, self.prefix, rev)
        return recording.notebook_targets(graphs.load(self.root, texts, read).stages)

    def _read(self, rev: str, path: str) -> bytes:
        from nbexp.experiments import contents

        return contents.read(self.git, self.cache, self.prefix, rev, path)

    def _opened(self, name: str, rev: str, path: str, known: Sequence[str]) -> OpenedNotebook:
        from nbexp.formats import notebook

        others = f"it has {', '.join(known)}." if known else None
        try:
            data = self._read(rev, path)
        except NotFound:
            raise NotFound(f"Experiment `{name}` has no {path}.", others) from None
        try:
            notebook.read(data, path)
        except ProjectFileError as error:
            error.hint = error.hint or others or f"`git show {rev[:7]}:{path}` prints a file."
            raise
        return OpenedNotebook(name, path, data)

    def _open_notebooks(self) -> tuple[str, ...]:
        if self.asking_notebook is None:
            return ()
        try:
            return (self.asking_notebook.resolve().relative_to(self.git.root).as_posix(),)
        except ValueError:
            return ()


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


@frozen
class _Which:
    """Which stages a request is about: DVC's words for them, of which some go before others."""

    pipeline: bool
    all_pipelines: bool
    recursive: bool
    glob: bool = False
    downstream: bool = False
    single: bool = False

    @property
    def is_whole(self) -> bool:
        return self.pipeline or self.all_pipelines

    @property
    def is_single(self) -> bool:
        return self.single and not self.is_whole

    @property
    def is_downstream(self) -> bool:
        return self.downstream and not self.is_whole and not self.single

    def stages(self, graph: Graph, targets: Sequence[str], here: str) -> tuple[Stage, ...]:
        found = graph.targets(
            tuple(targets),
            here,
            recursive=self.recursive,
            glob=self.glob,
            whole_pipeline=self.pipeline,
            all_pipelines=self.all_pipelines,
        )
        if self.is_downstream:
            return graph.downstream(found)
        return graph.order(found, single=self.is_single)


def _stage_json(stage: StageReport) -> dict[str, object]:
    return {
        "name": stage.name,
        "action": stage.action,
        "reasons": list(stage.reasons),
        "seconds": stage.seconds,
    }


def _with_report(experiment: Experiment, report: RunReport) -> Experiment:
    return replace(experiment, report=report)


def _state_of(message: str) -> str:
    for line in message.splitlines():
        if line.startswith("Nbexp-State: "):
            return line.removeprefix("Nbexp-State: ")
    return "failed"


def _status_entries(reasons: Sequence[Reason], here: str) -> builtins.list[object]:
    deps: dict[str, object] = {}
    outs: dict[str, str] = {}
    entries: builtins.list[object] = []
    for reason in reasons:
        path = posixpath.relpath(reason.path or ".", here)
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
