"""Project: the object users hold. Each method is a few lines onto the layers below."""

from __future__ import annotations

import builtins
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, overload

from nbexp import settings
from nbexp.errors import NotFound, StoreError, UsageError
from nbexp.events import Emit, ignore
from nbexp.experiments import place
from nbexp.formats import ref_names
from nbexp.frozen import replace
from nbexp.git import Git
from nbexp.project.results import (
    Branched,
    Branches,
    Experiment,
    Listing,
    Removed,
    Reproduced,
    Status,
)

# Each method loads what it needs when called: `list` has no use for what takes `run` 60 ms to load.
if TYPE_CHECKING:
    from nbexp.experiments import cells
    from nbexp.experiments.alerts import Alerts
    from nbexp.experiments.collect import Collected
    from nbexp.experiments.columns import Groups
    from nbexp.experiments.compare import Diff
    from nbexp.experiments.data import Site, TrackedData
    from nbexp.experiments.data.getting import Got
    from nbexp.experiments.data.located import Contents
    from nbexp.experiments.doctor import Health
    from nbexp.experiments.explore import RunCache
    from nbexp.experiments.fetching import FromRemotes
    from nbexp.experiments.importing import Home, Imported
    from nbexp.experiments.labels import Recorded, Tagged
    from nbexp.experiments.measures import Metrics, Params
    from nbexp.experiments.notebook_diff import NotebookDiff
    from nbexp.experiments.opened import OpenedNotebook
    from nbexp.experiments.opening import Opened
    from nbexp.experiments.planning import Plan
    from nbexp.experiments.plots import Plots
    from nbexp.experiments.plotting import Plot
    from nbexp.experiments.reading import Reader
    from nbexp.experiments.ref_changes import Renamed
    from nbexp.experiments.report import Report
    from nbexp.experiments.report import making as report
    from nbexp.experiments.restore import Applied
    from nbexp.experiments.save import Saved
    from nbexp.experiments.script import Script
    from nbexp.experiments.selection import Revisions
    from nbexp.experiments.share import PulledExperiments, Pushed
    from nbexp.experiments.site import Published
    from nbexp.experiments.stages import Stages
    from nbexp.experiments.steps import Steps, Undone
    from nbexp.experiments.table import Table
    from nbexp.experiments.trash import Trash
    from nbexp.experiments.verify import Verified
    from nbexp.experiments.why import Why
    from nbexp.experiments.worktrees import Cleaned
    from nbexp.pipeline.context import OnFailure
    from nbexp.pipeline.dag import Dag
    from nbexp.project.results import ShowOptions
    from nbexp.queue import Queue
    from nbexp.queue.reports import Queued
    from nbexp.store.cache import Cache
    from nbexp.store.config_files import Configuration
    from nbexp.store.configured import Remotes
    from nbexp.sweeps.family import KeptSweeps
    from nbexp.sweeps.results import Sweep


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
        self.session_history: Sequence[str] = ()
        self.confirm: Callable[[str], bool] | None = None
        # Whether results are drawn where they are asked for, so that drawings need no page of their own.
        self.draws = False
        self._fetching: FromRemotes | None = None
        self._queue: Queue | None = None

    def __repr__(self) -> str:
        return f"<Project {self.root}>"

    def __reduce__(self) -> tuple[object, ...]:
        # Another process opens it anew: neither a Git process nor a database connection can travel.
        return type(self), (self.root, self.git, self.root / self.here)

    def close(self) -> None:
        """Let go of Git's reading process and of the database; the next command opens them again."""
        if self._queue is not None:
            self._queue.site.close()
            self._queue = None
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

    # ---- the families of commands, an object each

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

    @property
    def queue(self) -> Queue:
        """What waits and runs: `project.queue.add({"train.lr": 0.02})`, `start(workers=2)`, `status()`, …"""
        from nbexp.queue import Queue
        from nbexp.queue.site import Site as QueueSite

        if self._queue is None:
            site = QueueSite(self.git, self.root, self.here, cache=lambda: self.cache)
            self._queue = Queue(site, lambda name: self._resolve(name)[1])
        self._queue.site.env = self.stage_env
        return self._queue

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

    @property
    def plots(self) -> Plots:
        """The plots of any revision: `project.plots.diff("main", "low-lr")`."""
        from nbexp.experiments import naming, ongoing
        from nbexp.experiments.plots import Plots

        return Plots(
            self._site(),
            lambda name: naming.commit(self.git, name, failed=True)[1],
            lambda: {one.name: one.folder for one in ongoing.read(self.root)},
            lambda name: naming.baseline(self.git, name),
        )

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

    @property
    def sweeps(self) -> KeptSweeps:
        """The sweeps there are: `project.sweeps.list()`, `project.sweeps.resume("sweep-1")`."""
        from nbexp.sweeps.family import KeptSweeps

        return KeptSweeps(self.queue)

    def __getitem__(self, name: str) -> Experiment:
        return self.experiment(name)

    def __contains__(self, name: object) -> bool:
        """Whether an experiment is called so, or is the commit."""
        if not isinstance(name, str):
            return False
        try:
            self.experiment(name)
        except NotFound:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        """The names of experiments, as of a mapping; `list()` and `show()` tell more."""
        return iter(self.names)

    # ---- runs, and what else becomes an experiment

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
        resume: str | Experiment | None = None,
        reset: bool = False,
        hydra: bool = True,
        temp: bool = False,
        copy_paths: Sequence[str] = (),
        baseline: str | Experiment | None = None,
        with_edits: bool = False,
        emit: Emit = ignore,
    ) -> Experiment:
        """Run what changed and record it as an experiment on the present commit.

        Parameters
        ----------
        set_params
            `{"train.lr": 0.01}`, or override texts as after `-S`, or one of them.
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
        resume
            The experiment that the run goes on with from its last checkpoint, or a step of it (`low-lr@3`), from
            which a new experiment goes on. The workspace first becomes what that step left.
        reset
            Begin over: with `resume`, the experiment's code and params from the start; else as `force`.
        hydra
            Compose params.yaml where the project's config has `hydra.enabled`.
        temp
            Run beside the workspace, from how it is now: its files may be edited meanwhile, and none changes.
            Untracked and ignored files are not there.
        copy_paths
            With `temp`: untracked or ignored files and folders of which the run gets a copy.
        baseline
            With `temp`: the branch, tag, commit or experiment to start from instead of HEAD.
        with_edits
            With `baseline`: uncommitted edits go along to it.

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
        from nbexp.experiments import request as requests
        from nbexp.project import runs

        started = time.monotonic()
        points = grammar.parse(set_params or [])
        request = requests.of(
            self.here, self.settings.resources, jobs=jobs, **requests.options(locals())
        )
        where = runs.place_of(self, emit, run_cache=run_cache, pull=pull, interactive=interactive)
        self._head()  # a repository without a commit is told so before anybody waits
        asked = runs.Asked(points, request, where, emit, started)
        if resume is not None:
            return runs.resume(self, asked, resume, reset=reset, temp=temp)
        asked = replace(asked, request=replace(request, force=force or reset))
        if temp or baseline is not None or with_edits:
            return runs.beside(self, asked, temp=temp, baseline=baseline, with_edits=with_edits)
        return runs.in_place(self, asked)

    def sweep(
        self,
        space: Iterable[str] | Mapping[str, object] | Iterable[Mapping[str, object]] = (),
        *,
        set_params: Sequence[str] = (),
        file: str | None = None,
        sampler: str | None = None,
        options: Mapping[str, str] | None = None,
        minimize: str | None = None,
        maximize: str | None = None,
        trials: int | None = None,
        jobs: int = 1,
        repeat: int = 1,
        seed_param: str | None = None,
        seed: int | None = None,
        timeout_s: float | None = None,
        name: str | None = None,
        new: bool = False,
        detach: bool = False,
        message: str | None = None,
        force: bool = False,
        targets: Sequence[str] = (),
        single_item: bool = False,
        pipeline: bool = False,
        all_pipelines: bool = False,
        recursive: bool = False,
        downstream: bool = False,
        force_downstream: bool = False,
        pull: bool = False,
        allow_missing: bool = False,
        on_failure: OnFailure = "stop",
        run_cache: bool = True,
        copy_paths: Sequence[str] = (),
        baseline: str | None = None,
        with_edits: bool | None = None,
        hydra: bool = True,
        emit: Emit = ignore,
    ) -> Sweep:
        """Run many experiments beside your files, and watch them until all are over.

        Each is an experiment on the present commit; what they start from is frozen now, and nothing of the workspace
        changes. A process of its own leads the sweep, so it outlives this one; the same call again goes on with it.

        Parameters
        ----------
        space
            What they differ in: `{"train.lr": [0.1, 0.2]}`, where a list is a choice and a text has the grammar of
            `-S` (`"interval(1e-4,1e-1)"`); override texts; or points one by one, `[{"train.lr": 0.1}, …]`, also
            as a DataFrame.
        set_params
            More override texts; each combination of them is combined with every point.
        file
            A file of points: CSV, TSV, YAML or JSON.
        sampler
            Who picks points: `grid`, which is all of them, `random`, `optuna`, or that of another package.
        options
            The sampler's own: `{"sampler": "tpe", "pruner": "median"}` are Optuna's.
        minimize, maximize
            The metric that counts; needed for `optuna`.
        trials
            How many; needed where the points have no end.
        jobs
            How many run at once.
        repeat, seed_param
            Run each point so often, with the seeds 0, 1, … of this param, which is found where one is called `seed`.
        seed
            Of the sampler; one is drawn when None.
        timeout_s
            Seconds after which a trial is stopped, and has failed.
        name
            Names the sweep, and its experiments `name-1`, `name-2`, ….
        new
            Begin anew even if the same call began a sweep, and run what is recorded already.
        detach
            Do not watch.
        targets
            With the other names, as in `run`.
        copy_paths
            Files and folders that trials need and Git does not have.
        baseline, with_edits
            As in `queue.add`: what they start from, and whether uncommitted edits go along.
        hydra
            Compose params.yaml of configurations, where the config says so.

        Raises
        ------
        NotFound, UsageError, NameTaken, ProjectFileError
            The request cannot be met; nothing was run.
        Interrupted
            Only the watching was: the sweep goes on.
        """
        from nbexp.sweeps import family

        self._head()
        return self.sweeps.begin(space, detach=detach, emit=emit, **family.options(locals()))

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
        `undo` puts all of it back; a run that fails puts it back by itself. Of a cell (`%%exp`) the cell alone runs, in
        a fresh kernel, and the workspace stays as it is.

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
        from nbexp import overrides as grammar
        from nbexp.experiments import again
        from nbexp.experiments import spec as specs
        from nbexp.project import runs

        point = specs.one_point(grammar.parse(set_params or []))
        asked = again.Asked("clone", point, name, message, force, run_cache)
        return runs.repeat(self, asked, experiment, jobs, emit)

    def clone_to_queue(
        self,
        experiment: str | Experiment,
        set_params: Mapping[str, object] | Iterable[str] | None = None,
        *,
        name: str | None = None,
        message: str | None = None,
        force: bool = False,
        jobs: int = 1,
        run_cache: bool = True,
        in_detail: bool = False,
        emit: Emit = ignore,
    ) -> Queued:
        """`clone`, queued: an experiment's own code, params and data with other values; the workspace stays as it is."""
        ref, rev = self._ref_of(experiment)
        parsed = ref_names.parse(ref)
        assert parsed is not None, ref
        return self.queue.clone(
            parsed.name,
            rev,
            parsed.baseline,
            set_params,
            name=name,
            message=message,
            force=force,
            jobs=jobs,
            run_cache=run_cache,
            in_detail=in_detail,
            emit=emit,
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

        `report.differs` names the files and outputs that came out otherwise. The workspace is as after `clone`; of a
        cell (`%%exp`) it stays as it is, and the cell alone runs, in a fresh kernel.

        Raises
        ------
        StoreError
            Edits that no commit or experiment holds are in the way. Nothing was run.
        NotFound
            A cell read what nothing recorded gives; its names are told. Nothing was run.
        """
        from nbexp.experiments import again
        from nbexp.project import runs

        asked = again.Asked("rerun", (), name, message, force, use_run_cache=False)
        return runs.repeat(self, asked, experiment, jobs, emit)

    def cell(
        self,
        source: str,
        *,
        params: Sequence[str] = (),
        name: str | None = None,
        message: str | None = None,
        force: bool = False,
        namespace: Mapping[str, object] | None = None,
        history: Sequence[str] = (),
        cwd: Path | None = None,
    ) -> cells.Cell:
        """A cell of Python that is about to run as an experiment on the present commit, as `%%exp` does it.

        What it reads is found now; whoever runs it then calls `record` of what is returned, with its outputs and last
        value, and gets the `Experiment`. The workspace, HEAD and the index stay as they are.

        Parameters
        ----------
        source
            The code, which may have magics in it.
        params
            Names of the session, or keys of params.yaml, that the experiment shall have as params.
        name
            The experiment's name; two words are drawn when None.
        force
            Replace an experiment of that name; the old one goes to the trash.
        namespace
            The names of the session, by which its values are recorded.
        history
            The cells that ran before in it, oldest first: imports and functions that the cell uses are taken from them.
        cwd
            Where the code runs; None is the current directory.

        Raises
        ------
        UsageError
            The cell is empty or no Python, or a param is not there or may be several. Nothing was recorded.
        NameTaken
            The present commit has an experiment of that name and `force` is off.

        Examples
        --------
            cell = project.cell("{'acc': 0.95 - abs(lr - 0.03)}", name="by-hand")
            cell.lent                                       # {'lr': 0.1}, from params.yaml
            cell.record(last={"acc": 0.88})                 # the Experiment
        """
        from nbexp.experiments import cells, naming

        self._head()
        if name is not None:
            naming.refuse_git_names(self.git, name)
        refs = self._refs()
        return cells.Cell(
            self._site(),
            source,
            params=params,
            name=name,
            message=message,
            force=force,
            namespace=namespace,
            history=history,
            env=self.stage_env,
            cwd=cwd,
            taken=refs if name is not None else self.queue.with_reserved(refs),
            finish=self._of_cell,
        )

    def _of_cell(self, recorded: cells.Recorded) -> Experiment:
        """The experiment that a cell came to."""
        report = recorded.report
        if report.state != "done":
            ref = recorded.ref.replace(ref_names.FAILED, ref_names.PREFIX, 1)
            return replace(self._experiment(ref, recorded.rev), status=report.state, cell=report)
        made = self._experiment(recorded.ref, recorded.rev)
        self._auto_push(recorded.ref, ignore)
        return replace(made, cell=report, metrics={**made.metrics, **report.metrics})

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
        from nbexp.experiments import naming
        from nbexp.experiments import save as saving

        self._head()
        if name is not None:
            naming.refuse_git_names(self.git, name, "Nothing was saved.", "save")
        self._tell_of_session(emit)
        saved = saving.save(
            self._site(),
            targets,
            emit,
            name=name,
            message=message,
            force=force,
            include_untracked=include_untracked,
            recursive=recursive,
            env=self.stage_env if self.stage_env is not None else os.environ,
        )
        self._auto_push(ref_names.ExpRef(saved.baseline, saved.name).ref, emit)
        return saved

    def _tell_of_session(self, emit: Emit) -> None:
        """In a notebook: what of its session the file does not say."""
        if self.asking_notebook is None or not self.session_history:
            return
        from nbexp.experiments import session

        with contextlib.suppress(OSError):
            data = self.asking_notebook.read_bytes()
            for notice in session.notices(data, self.asking_notebook.name, self.session_history):
                emit(notice)

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
        from nbexp.experiments import script

        refs = self._refs()
        found = dict(self._ref_of(one) for one in experiments) or {
            ref: rev
            for ref, rev in refs.items()
            if (parsed := ref_names.parse(ref)) is not None and parsed.baseline == self._head()
        }
        members = script.members(self.git, found)
        if not members:
            raise NotFound(
                "The present commit has no experiment, so there is nothing to write.",
                "`nbexp run` makes one; `nbexp list -A` shows those of other commits.",
            )
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
        from nbexp.experiments import request as requests
        from nbexp.experiments import spec as specs
        from nbexp.project import runs

        how = requests.how(
            self.settings.resources,
            force=force,
            force_downstream=force_downstream,
            allow_missing=allow_missing,
            on_failure=on_failure,
            jobs=jobs,
            commit=commit,
        )
        where = runs.place_of(self, emit, run_cache=run_cache, pull=pull, interactive=interactive)
        which = specs.Which(
            pipeline, all_pipelines, recursive, glob, downstream=downstream, single=single_item
        )
        return runs.repro(self, targets, which, how, where, emit)

    # ---- tables and differences

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
        steps: bool = False,
        emit: Emit = ignore,
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
        steps
            Below each experiment, a row of each of its checkpoints.
        """
        from nbexp.experiments import catalogue, chains, columns, showing
        from nbexp.experiments.table import View
        from nbexp.experiments.value_text import checked_precision

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
            (drop,) if isinstance(drop, str) else tuple(drop),
            (keep,) if isinstance(keep, str) else tuple(keep),
            only_changed,
            checked_precision(precision),
            None if reference is None else showing.reference(self.git, self._reader, reference),
            self.settings.better,  # type: ignore[arg-type]  # checked when the settings were read
            flat,
            shows_steps=steps,
        )
        locks = place.shared_locks(self.git, self.root, self.prefix, self.cache.folder)
        names = catalogue.baseline_names(self.git)
        rows = showing.rows(
            self.git,
            self._reader,
            self.root,
            asked,
            names,
            self._labels,
            emit,
            lambda ref: chains.lock_of(locks, ref).held(),
        )
        if self.queue.site.store.exists:
            from nbexp.queue import showing as tasks

            rows = tasks.with_tasks(
                rows,
                self.queue.site,
                self._reader,
                names,
                hide_queued=hide_queued,
                every_baseline=revisions is None,
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
        from nbexp.experiments import compare, details, sides
        from nbexp.experiments.value_text import checked_precision

        digits = checked_precision(precision)
        site = self._site()
        both = (
            sides.of(site, old if old is not None else "HEAD", param_deps=param_deps),
            sides.of(site, new if new is not None else "workspace", param_deps=param_deps),
        )
        found = compare.compare(*both, all_values=all_values, better=self.settings.better)
        found = details.add(found, *both, site, self._environment)
        return replace(found, no_path=no_path, precision=digits)

    def diff_notebooks(
        self, old: str | Experiment | None = None, new: str | Experiment | None = None
    ) -> NotebookDiff:
        """What changed in executed notebooks from `old` (HEAD when None) to `new` (the workspace when None).

        Cells are paired by what they say; of each pair the source, the text and the pictures are compared, pictures
        pixel by pixel.

        Raises
        ------
        NotFound
            Neither has an executed notebook.
        """
        from nbexp.experiments import notebook_diff, sides

        site = self._site()
        return notebook_diff.compare(
            sides.of(site, old if old is not None else "HEAD"),
            sides.of(site, new if new is not None else "workspace"),
        )

    # ---- into the workspace, and back

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
        from nbexp.experiments.data import getting

        if isinstance(source, Experiment):
            source = source.rev
        here = self.root / self.here
        repo, revision = getting.asked(source, repo, rev, here)
        target = None if out is None else os.fspath(out)
        wish = getting.Wish(path, revision, target, remote, force, jobs)
        return getting.get(self._site() if repo is None else None, repo, wish, here, emit)

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

    # ---- which experiments there are

    def remove(
        self,
        *experiments: str | Experiment,
        git_remote: str | None = None,
        revisions: Revisions | None = None,
        keep: bool = False,
        queued: bool = False,
    ) -> Removed:
        """Take experiments out of the list; nothing of them is deleted.

        Parameters
        ----------
        experiments
            Names, patterns or commits.
        git_remote
            Take them out of the list of this Git remote, and leave those here.
        revisions
            The experiments of these commits as well; `num` only with a `rev` to count from.
        keep
            All others instead.
        queued
            All that waits in the queue as well. A name that only a task which waits has is that task's.

        Raises
        ------
        UsageError
            Nothing was named. Nothing was removed.
        NotFound
            There is no such experiment or remote. Nothing was removed.
        """
        from nbexp.experiments import naming, ref_changes
        from nbexp.experiments.selection import Revisions

        words, which = naming.words(experiments), revisions or Revisions()
        if keep and queued:
            raise UsageError(
                "`--keep` and `--queue` do not go together. Nothing was removed.",
                "`nbexp queue remove --queued`",
            )
        if which.num is not None and not (which.rev or which.all_commits):
            # For DVC `-n` alone names nothing; as "of HEAD", which it is to `list`, it would remove what nobody named.
            raise UsageError(
                "`-n` counts commits from `--rev` back, and there is no `--rev`. Nothing was removed.",
                f"`nbexp remove --rev HEAD -n {which.num}`",
            )
        tasks: tuple[str, ...] = ()
        if not keep and git_remote is None:
            left, tasks = self.queue.waiting_among(words)
            if tasks or queued:
                self.queue.remove(*tasks, queued=queued)
            asked, words = bool(words), left
            if (queued or asked) and not words and which.is_default:
                return Removed(tasks)
        names, remote = ref_changes.remove(
            self._site(), words, which, keep=keep, git_remote=git_remote
        )
        return Removed((*tasks, *names), remote)

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
        from nbexp.experiments import naming, ref_changes

        old = naming.words([experiment])[0]
        return ref_changes.rename(self._site(), old, name, force=force, git_remote=git_remote)

    # ---- what is kept, and whether it is sound

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

    def clean(self, *, emit: Emit = ignore) -> Cleaned:
        """Remove the work trees that nothing runs in, and what killed commands left; what is recorded stays."""
        from nbexp.experiments import worktrees
        from nbexp.project import runs

        return worktrees.clean(runs.place_of(self, emit))

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

    def alerts(self, *, trust: bool = False, test: str | None = None) -> Alerts:
        """The alerts that are set up, and those that were due last.

        Parameters
        ----------
        trust
            Agree to the commands and webhooks of this project's settings, as they are now.
        test
            Carry this one out now.

        Raises
        ------
        ProjectFileError
            One is not set up as it should be.
        NotFound
            There is no alert of the name in `test`.
        """
        from nbexp.experiments import alerts

        listed = alerts.listing(self.root, trust=trust)
        return listed if test is None else alerts.try_out(self.root, test, self.stage_env)

    # ---- branches, and Git remotes

    def branch(self, experiment: str | Experiment, branch: str | None = None) -> Branched:
        """Make a Git branch of an experiment; it is not switched to."""
        from nbexp.experiments import alike, ref_changes

        name, rev = self._resolve(experiment)
        wanted = branch or f"{name.replace('@', '-')}-branch"
        ref_changes.create_branches(self.git, {wanted: (name, rev)})
        site = self._site()
        is_here = rev != self.git.head() and bool(alike.equal_to_workspace(site, {name: rev}))
        return Branched(name, wanted, rev, ref_changes.publishing(site, wanted), is_here)

    def branches(self, *experiments: str | Experiment) -> Branches:
        """Make a Git branch of each of several experiments, all or none, named as by `branch`.

        Experiments may be named by patterns.
        """
        from nbexp.experiments import naming, ref_changes

        found = naming.chosen(naming.words(experiments), self._refs(), self.git.head())
        for ref, rev in found.items():
            naming.require_commit(self.git, ref, rev, "Nothing was made.")
        wanted = {
            f"{ref_names.name_of(ref)}-branch": (ref_names.name_of(ref), rev)
            for ref, rev in found.items()
        }
        ref_changes.create_branches(self.git, wanted)
        made = tuple(Branched(name, branch, rev) for branch, (name, rev) in wanted.items())
        return Branches(made, ref_changes.publishing(self._site(), *wanted))

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
        from nbexp.experiments import naming, share

        asked = share.Asked.of(
            naming.words(experiments),
            git_remote,
            revisions,
            everything=everything,
            force=force,
            cache=cache,
            remote=remote,
            jobs=jobs,
            run_cache=run_cache,
        )
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
        from nbexp.experiments import naming, share

        asked = share.Asked.of(
            naming.words(experiments),
            git_remote,
            revisions,
            everything=everything,
            force=force,
            cache=cache,
            remote=remote,
            jobs=jobs,
            run_cache=run_cache,
        )
        with share.stopping("pull"):
            return share.pull(self._site(), asked, emit)

    def list_remote(self, git_remote: str, *, revisions: Revisions | None = None) -> Listing:
        """The experiments of the present commit, or of others, that a Git remote has."""
        from nbexp.experiments import catalogue, ref_changes
        from nbexp.experiments.selection import Revisions

        asked = revisions or Revisions()
        remote, found = ref_changes.on_remote(self._site(), git_remote, asked)
        names = catalogue.baseline_names(self.git)
        groups = ((names.get(b, b[:7]), tuple(members.items())) for b, members in found.items())
        return Listing(tuple(groups), remote)

    def list(self, *, everywhere: bool = False, revisions: Revisions | None = None) -> Listing:
        """The experiments of the present commit, newest first; of others as `revisions` says.

        Parameters
        ----------
        everywhere
            Those of every commit, also of one that no branch leads to any more.
        """
        from nbexp.experiments import catalogue
        from nbexp.experiments.selection import Revisions

        self._head()
        asked = Revisions(all_commits=True) if everywhere else revisions or Revisions()
        known = self._refs()
        refs = asked.experiments(self.git, known)
        names = catalogue.baseline_names(self.git)
        groups = tuple(
            (names.get(baseline, baseline[:7]), members)
            for baseline, members in catalogue.listed(self.git, self.cache, refs).items()
        )
        return Listing(groups, elsewhere=len(known) - len(refs))

    # ---- what is written beside an experiment

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

    # ---- pipelines

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
        hydra: bool = True,
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
        from nbexp.experiments import request as requests
        from nbexp.experiments import spec as specs
        from nbexp.pipeline import graph as graphs
        from nbexp.pipeline.plan import Disk

        point = specs.one_point(grammar.parse(set_params or []))
        head, refs = self.git.head(), self._refs()
        spec = specs.make(self.root, head or "", {}, here=self.here, overrides=point, hydra=hydra)
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
            how=requests.how(
                self.settings.resources,
                force=force,
                force_downstream=force_downstream,
                allow_missing=allow_missing,
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
        from nbexp.experiments import catalogue
        from nbexp.experiments import why as reasons

        recent = catalogue.of_baseline(self.git, self._head())
        if experiment is None and not recent:
            commits = reasons.last_change(self.git, self.root, self.prefix, stage, self.here)
        else:
            asked = experiment if experiment is not None else recent[0].rev
            commits = reasons.with_those_before(self.git, *self._resolve(asked, failed=True))
        return reasons.look_back(
            self.git, self.cache, self.root, self.prefix, stage, self.here, *commits
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

    # ---- pictures, pages and files

    def plot(
        self,
        *words: str | Experiment,
        kind: str | Sequence[str] = (),
        where: str | None = None,
        sort: str | Sequence[str] = (),
        descending: bool = False,
        group_by: str | Sequence[str] = (),
        revisions: Revisions | None = None,
        all_states: bool = False,
        sweep: str | None = None,
        log_x: bool = False,
        log_y: bool = False,
        limit: int | None = None,
        title: str | None = None,
        emit: Emit = ignore,
    ) -> Plot:
        """A picture of experiments: a metric over its steps, params against a metric, and others.

        `plot("acc")` draws curves, `plot("train.lr", "acc")` points, with a third column a map. A run that goes on
        is in it, as far as it has come.

        Parameters
        ----------
        words
            A metric, or params and then a metric; and experiments, where not all of the present commit are meant.
        kind
            Plot types, one or several that are linked: `"parallel"`, `["scatter", "line"]`. A type may also be
            the first word.
        where, sort, descending, revisions, all_states
            Which experiments, and their order: as `show` has them.
        group_by
            Columns whose equal values make a group: it has a mean and a deviation, or a colour.
        sweep
            The trials of this sweep.
        log_x, log_y
            Logarithmic axes.
        limit
            How many experiments, or points, are drawn; 0 draws all.

        Raises
        ------
        NotFound
            There is no such metric, param or experiment.
        UsageError
            There is no such plot type, or it needs other columns.
        """
        from nbexp.experiments import columns
        from nbexp.experiments.plotting import asking
        from nbexp.project import pictures

        request = asking.Request(
            words,
            columns.listed(kind),
            where,
            columns.listed(sort),
            descending,
            columns.listed(group_by),
            revisions,
            all_states,
            sweep,
            log_x,
            log_y,
            limit,
            title,
        )
        return pictures.plot(self, request, emit)

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
        from nbexp.experiments import naming, opening

        name = experiment.name if isinstance(experiment, Experiment) else experiment
        here = self.root / self.here
        if repo is not None:
            return opening.elsewhere(repo, name, path, limit=limit, out=out, here=here, emit=emit)
        name, rev = naming.looked_at(self.git, experiment, git_remote)
        contents = self._contents(rev, emit)
        return opening.opened(contents, name, path, limit=limit, out=out, here=here)

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
        from nbexp.project import pictures

        return pictures.report(self, experiment, others, title, fail_under, fail_over)

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
        from nbexp.project import pictures

        return pictures.publish(self, folder, experiments, title, max_size_mb, emit)

    def read(self, experiment: str | Experiment, path: str) -> bytes:
        """The bytes of a file of an experiment, from Git, the cache or a remote; the workspace is untouched."""
        from nbexp.experiments import contents, naming

        rev = naming.looked_at(self.git, experiment)[1]
        try:
            return contents.read(self.git, self.cache, self.prefix, rev, path)
        except StoreError:
            whole = self._contents(rev)
            located = whole.locate(path)
            whole.bring(located)
            return whole.read(located.files[""])

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
        from nbexp.experiments import materialised, naming

        contents = self._contents(naming.looked_at(self.git, experiment)[1], emit)
        located = contents.locate(contents.resolved(path))
        return materialised.path(contents, located, self.root)

    # ---- one experiment

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
        from nbexp.experiments import request as requests
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
            how=requests.how(self.settings.resources, jobs=jobs),
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
            from nbexp.experiments import naming

            ref, rev = self._ref_of(name)
            return replace(self._experiment(ref, rev), name=naming.name_of(ref, name))
        from nbexp.experiments import elsewhere

        ref, rev = elsewhere.fetch(self.git, git_remote, name)
        if ref_names.parse(ref) is None:
            raise NotFound(f"`{name}` of {git_remote} is {ref}, and no experiment.")
        return self._experiment(ref, rev)

    @property
    def names(self) -> builtins.list[str]:
        """The names of all experiments, for completion."""
        return sorted(ref_names.name_of(ref) for ref in self._refs())

    # ---- what the methods share

    @property
    def _reader(self) -> Reader:
        from nbexp.experiments.reading import Reader

        return Reader(self.git, self.cache, self.root, self.prefix)

    def _head(self) -> str:
        from nbexp.experiments import catalogue

        return catalogue.head(self.git)

    def _refs(self) -> dict[str, str]:
        """Every experiment ref; what lies below `refs/exps` for DVC's own use is left out."""
        from nbexp.experiments import catalogue

        return catalogue.refs(self.git)

    def _ref_of(self, experiment: str | Experiment) -> tuple[str, str]:
        """The ref and rev of an experiment, by name, rev or start of a rev."""
        from nbexp.experiments import naming

        return naming.experiment(self.git, experiment)

    def _resolve(self, experiment: str | Experiment, *, failed: bool = False) -> tuple[str, str]:
        """A name for people, and the rev, of an experiment or any commit."""
        from nbexp.experiments import naming

        return naming.commit(self.git, experiment, failed=failed)

    def _contents(self, rev: str, emit: Emit = ignore) -> Contents:
        from nbexp.experiments.data.located import Contents

        site = self._site()
        return Contents(site, rev, site.config, emit=emit)

    def _experiment(self, ref: str, rev: str) -> Experiment:
        from nbexp.experiments.row import Row

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

    def _environment(self) -> dict[str, object]:
        """What a run made now would tell of its environment."""
        from nbexp.experiments import environment
        from nbexp.pipeline import graph as graphs

        env = self.stage_env if self.stage_env is not None else os.environ
        return environment.present(graphs.load(self.root).stages, env, self.cache)

    def _open_notebooks(self) -> dict[str, str]:
        """The notebooks that must not be rewritten, from the top of the work tree, and in what way each is open."""
        from nbexp.experiments import open_notebooks

        return open_notebooks.to_keep(self.git, self.root, self.prefix, self.asking_notebook)


def _relative(here: Path, root: Path) -> str:
    relative = os.path.relpath(here.resolve(), root.resolve())
    return Path(relative).as_posix()
