"""What one does with the run cache: list it, look at one run, bring its outputs back, make an experiment of it."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nbexp.errors import NotFound, StoreError, UsageError
from nbexp.events import Emit, Phase, ignore
from nbexp.experiments import conditions, fitting, locked, restore, run_cache
from nbexp.experiments.place import GitIgnores, GitMeanings, own_folder
from nbexp.experiments.promote import Promoted
from nbexp.experiments.run_cache import CachedRun, RunTable
from nbexp.experiments.workspace import InPlace
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline import graph as graphs
from nbexp.pipeline import outputs
from nbexp.pipeline.context import Context
from nbexp.pipeline.plan import Disk, Inspector
from nbexp.pipeline.stage import Stage
from nbexp.results import Result
from nbexp.store.cache import Cache


@frozen
class RestoredRun(Result):
    """What `cache restore` did.

    Attributes
    ----------
    outs
        The outputs that changed, relative to the project's root.
    saved
        The edits that `force` overwrote and `undo` brings back.
    differing
        What still makes the stage run: its deps, params or command here are not those of the run.
    """

    short: str
    stage: str
    outs: tuple[str, ...]
    saved: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "restored": self.short,
            "stage": self.stage,
            "outs": list(self.outs),
            "saved": list(self.saved),
            "differing": list(self.differing),
        }


class RunCache:
    """The run cache of a project; get it as `project.run_cache`."""

    def __init__(
        self,
        git: Git,
        cache: Cache,
        root: Path,
        prefix: str,
        here: str,
        open_notebooks: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._open_notebooks = open_notebooks
        self._git, self._cache = git, cache
        self._root, self._prefix, self._here = root, prefix, here

    def list(
        self,
        *,
        stage: str | None = None,
        params: Sequence[str] = (),
        since: str | None = None,
        orphans: bool = False,
        stale: bool = False,
        sort: str | None = None,
        num: int | None = None,
        emit: Emit = ignore,
    ) -> RunTable:
        """Every stage run that there is, newest first.

        Parameters
        ----------
        stage
            Runs of this stage only.
        params
            Conditions that all have to hold: `lr>0.01`, `train.epochs=3`, `data.yaml:rows!=10`. A key may be
            the last parts of a longer one.
        since
            A time span (`90m`, `2h`, `3d`, `1w`) or a date or time (`2026-11-20`, `2026-11-20T14:00`).
        orphans
            Only runs that no experiment, branch or tag holds. `stale`: only those with lost outputs.
        sort
            `when`, `size` (both largest first), `stage`, or a param.
        num
            At most this many.

        Raises
        ------
        UsageError
            A condition or a time cannot be read.
        NotFound
            There is no such stage or param.
        """
        tests = [*map(conditions.condition, params)]
        earliest = None if since is None else conditions.moment(since)
        found, unreadable = run_cache.read(self._cache, emit)
        total = len(found) + len(unreadable)
        runs = [
            run
            for run in found
            if (earliest is None or run.saved_s >= earliest) and all(test(run) for test in tests)
        ]
        if runs:
            emit(Phase("looking up who holds them"))
        known = locked.read(self._git, self._cache, self._root, self._prefix)
        runs = run_cache.named(runs, known, self._here)
        if stage is not None:
            runs = conditions.of_stage(runs, stage, known.names(self._here))
        if orphans:
            runs = [run for run in runs if run.is_orphan]
        if sort is not None:
            runs = conditions.ordered(runs, sort)
        if not stale:
            return RunTable(
                tuple(run_cache.checked(runs[:num], self._cache)), total, tuple(unreadable)
            )
        runs = [run for run in run_cache.checked(runs, self._cache) if run.is_stale]
        return RunTable(tuple(runs[:num]), total, tuple(unreadable))

    def show(self, key: str, *, emit: Emit = ignore) -> CachedRun:
        """One run, by the start of its key."""
        return self._found(key, emit)[0]

    def restore(
        self, key: str, *, stage: str | None = None, force: bool = False, emit: Emit = ignore
    ) -> RestoredRun:
        """Bring the outputs of a run back into the workspace, and its entry into dvc.lock.

        Parameters
        ----------
        stage
            Which stage it is for, where several have these outputs.

        Raises
        ------
        NotFound
            No such run, or no stage of today's dvc.yaml files has its outputs.
        StoreError
            Its outputs are gone from the cache; or edits that nothing holds are in the way and `force` is off.
            Nothing was changed.
        """
        git, cache, root = self._git, self._cache, self._root
        with InPlace(git, cache, root).held(emit) as workspace:
            run = self._found(key, emit)[0]
            run_cache.refuse_stale(run, "Nothing was restored.")
            graph = graphs.load(root)
            target = self._target(run, graph.stages, stage)
            changed = self._changed(run, target)
            self._refuse_open(changed, run)
            in_the_way = [path for path in changed if self._is_held_nowhere(path)]
            if in_the_way and not force:
                raise _in_the_way(in_the_way, run)
            meanings = GitMeanings(git, self._prefix, git.refs("refs/exps/"))
            inspector = Inspector(root, cache, Disk(root, {}), meanings)
            context = Context(
                root=root,
                cache=cache,
                guard=workspace,
                ignores=GitIgnores(git, self._prefix),
                env={},
                run_dir=own_folder(root) / "runs" / workspace.uid,
                here=self._here,
            )
            with workspace.changing(f"cache restore {run.short}"):
                outputs.checkout_outs(target, run.entry, context)
                outputs.write_entry(target, run.entry, inspector, context, emit)
                undo_point = workspace.undo_point()
                if undo_point is not None:
                    git.commit(undo_point)
            differing = tuple(str(reason) for reason in inspector.check(target).reasons)
        return RestoredRun(
            run.short, target.address(self._here), changed, tuple(in_the_way), differing
        )

    def promote(
        self,
        key: str,
        *,
        name: str | None = None,
        message: str | None = None,
        stage: str | None = None,
        using: Sequence[str] = (),
        emit: Emit = ignore,
    ) -> Promoted:
        """Make an experiment of a run that none holds; the workspace is left as it is.

        Its commit has the code that the run read, params files with the run's values, its entry in dvc.lock,
        and its metrics; so have the runs of stages before and after it that fit and are the only ones.

        Parameters
        ----------
        using
            Runs of other stages to take, by key, where several fit.

        Raises
        ------
        NotFound
            No such run; or no commit, and not the workspace either, has the code and data that it read.
        StoreError
            Outputs of it are gone from the cache.
        UsageError
            Several runs of a stage before it fit; the hint names them.
        NameTaken
            There is an experiment of that name.
        """
        from nbexp.experiments import promote

        run, runs = self._found(key, emit)
        wanted = [run_cache.pick(runs, one) for one in using]
        return promote.promote(
            fitting.Place(self._git, self._cache, self._root, self._prefix, self._here),
            run,
            runs,
            name=name,
            message=message,
            stage=stage,
            using=wanted,
            emit=emit,
        )

    def _found(self, key: str, emit: Emit) -> tuple[CachedRun, builtins.list[CachedRun]]:
        """The run that a key names, with all that is known of it, and every run."""
        runs, _ = run_cache.read(self._cache, emit)
        picked = run_cache.pick(runs, key)
        known = locked.read(self._git, self._cache, self._root, self._prefix)
        named = run_cache.named([picked], known, self._here)
        return run_cache.checked(named, self._cache)[0], runs

    def _target(self, run: CachedRun, stages: Sequence[Stage], asked: str | None) -> Stage:
        outs = {out.path for out in run.entry.outs}
        made = [one for one in stages if one.data is None]
        found = [one for one in made if {out.spelled for out in one.outs} == outs]
        if asked is not None:
            found = [one for one in found if one.address(self._here) == asked]
        exact = [one for one in found if one.spec.cmd == run.entry.cmd]
        if len(found) > 1 and len(exact) == 1:
            found = exact
        if not found:
            spelled = ", ".join(sorted(outs))
            who = "no stage here makes" if asked is None else f"stage `{asked}` does not make"
            raise NotFound(
                f"Run `{run.short}` made {spelled}, which {who}. Nothing was restored.",
                f"`nbexp cache show {run.short}` shows who holds it.",
            )
        if len(found) > 1:
            names = [one.address(self._here) for one in found]
            raise UsageError(
                f"Run `{run.short}` may be of each of the stages {', '.join(names)}. Nothing was restored.",
                f"say which: `nbexp cache restore {run.short} --stage {names[0]}`.",
            )
        return found[0]

    def _changed(self, run: CachedRun, target: Stage) -> tuple[str, ...]:
        """The outputs that are not as the run left them."""
        places = {out.spelled: out.path for out in target.outs}
        found = []
        for out in run.entry.outs:
            there = self._cache.hash(self._root / places[out.path])
            if there is None or there.md5 != out.md5:
                found.append(places[out.path])
        return tuple(sorted(found))

    def _refuse_open(self, paths: Sequence[str], run: CachedRun) -> None:
        """The outputs belong together, so that none is written where one is a notebook that is open."""
        keep = self._open_notebooks()
        for path in paths:
            for one, way in keep.items():
                top = f"{self._prefix}/{path}" if self._prefix else path
                if graphs.is_inside(one, top):
                    raise StoreError(
                        f"{path} {way}, and run `{run.short}` would rewrite it. Nothing was restored.",
                        "close it, or ask from a terminal.",
                    )

    def _is_held_nowhere(self, path: str) -> bool:
        there = self._cache.hash(self._root / path)
        if there is None or self._cache.has(there):
            return False
        from_top = f"{self._prefix}/{path}" if self._prefix else path
        return not restore.is_held(self._git, from_top)


def _in_the_way(paths: Sequence[str], run: CachedRun) -> StoreError:
    have = "1 output has" if len(paths) == 1 else f"{len(paths)} outputs have"
    return StoreError(
        f"{have} edits that no commit, experiment or cache holds: {', '.join(paths)}. Nothing was restored.",
        f"keep them as an undo point and go on: `nbexp cache restore {run.short} --force` "
        "(then `nbexp undo` brings them back).",
    )
