"""A plan for people: what a run would do to each stage, why, and what that costs. Nothing is changed by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from nbexp import filesystem
from nbexp.experiments import identity
from nbexp.experiments.place import DvcIgnores, GitIgnores, GitMeanings, own_folder
from nbexp.experiments.why import Because, Explainer
from nbexp.frozen import brief, frozen
from nbexp.git import Git
from nbexp.pipeline import forecast
from nbexp.pipeline.context import Context, Guard, How
from nbexp.pipeline.forecast import Action, Foreseen
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.plan import Disk
from nbexp.pipeline.stage import Stage
from nbexp.results import Result
from nbexp.store.cache import Cache


@frozen
class PlannedStage:
    """What a run would do to one stage.

    Attributes
    ----------
    certain
        False for a stage that may run: it is skipped if what is made anew before it comes out as it was.
    seconds
        What it will take by past runs; None where none is known, or where nothing runs.
    size_bytes
        How much comes back from the cache, of a stage that is restored.
    """

    __repr__ = brief

    name: str
    action: Action
    certain: bool = True
    reasons: tuple[Because, ...] = ()
    seconds: float | None = None
    size_bytes: int | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "action": self.action,
            "certain": self.certain,
            "reasons": [reason.to_json() for reason in self.reasons],
            "seconds": self.seconds,
            "size_bytes": self.size_bytes,
        }


@frozen
class Plan(Result):
    """What a run would do, stage by stage, in the order in which they would be looked at.

    `identical` is the experiment that such a run would repeat: it would be the answer, and no stage would run.
    """

    stages: tuple[PlannedStage, ...]
    identical: str | None = None

    def __repr__(self) -> str:
        return f"<Plan: {len(self.running)} of {len(self.stages)} stages to run>"

    @property
    def running(self) -> tuple[PlannedStage, ...]:
        """The stages that run, or may."""
        return tuple(stage for stage in self.stages if stage.action == "run")

    @property
    def seconds(self) -> float | None:
        """What all that run will take, one after the other; None where nothing is known of one of them."""
        known = [stage.seconds for stage in self.running]
        found = [one for one in known if one is not None]
        return sum(found) if len(found) == len(known) else None

    @property
    def size_bytes(self) -> int:
        """How much comes back from the cache."""
        return sum(stage.size_bytes or 0 for stage in self.stages)

    def to_json(self) -> dict[str, object]:
        return {
            "stages": [stage.to_json() for stage in self.stages],
            "identical": self.identical,
            "seconds": self.seconds,
            "size_bytes": self.size_bytes,
        }


def make(
    git: Git,
    cache: Cache,
    root: Path,
    prefix: str,
    refs: Mapping[str, str],
    graph: Graph,
    stages: Sequence[Stage],
    edits: Mapping[str, bytes],
    *,
    here: str = ".",
    baseline: str | None = None,
    how: How | None = None,
    use_run_cache: bool = True,
) -> Plan:
    """What a run of `stages` with these edits would do.

    Parameters
    ----------
    baseline
        The commit on which it would be recorded; None where it may not be answered by what is recorded already.

    Raises
    ------
    NotFound, ProjectFileError
        As the run would: a file or key is missing.
    """
    meanings = GitMeanings(git, prefix, refs)
    inspector = forecast.Foresight(root, cache, Disk(root, edits), meanings)
    how = how or How()
    if not how.allow_missing:
        inspector.require_inputs(stages, graph)
    context = Context(
        root=root,
        cache=cache,
        guard=cast("Guard", None),  # nothing is written
        ignores=GitIgnores(git, prefix),
        env={},
        run_dir=own_folder(root),
        here=here,
        use_run_cache=use_run_cache,
    )
    foreseen = forecast.foresee(stages, graph, inspector, context, how)
    identical = None
    if baseline is not None and not how.force:
        looking = forecast.Foresight(root, cache, Disk(root, edits), meanings)
        found = identity.find(git, cache, root, prefix, baseline, refs, stages, graph, looking)
        identical = found and found[0].rpartition("/")[2]
    changed = _ChangedBelow(git, cache, root, prefix)
    planned = []
    for one in foreseen:
        explainer = Explainer(
            one.stage, one.check.locked, Disk(root, edits).read, meanings.notebook, changed.files
        )
        planned.append(_planned(one, explainer, here, identical))
    return Plan(tuple(planned), identical)


def _planned(one: Foreseen, explainer: Explainer, here: str, identical: str | None) -> PlannedStage:
    action, name = one.action, one.stage.address(here)
    if one.check.locked is None and one.reasons:
        # All that it reads and writes is new: that is one reason, not one for each.
        reasons: tuple[Because, ...] = (Because("new", "", "new", "it has not run yet"),)
    else:
        reasons = tuple(map(explainer.explain, one.reasons))
    if identical is not None and action == "run":
        return PlannedStage(name, "restore", reasons=reasons)
    return PlannedStage(name, action, one.certain, reasons, one.seconds, one.size_bytes)


class _ChangedBelow:
    """Which files of a directory are not those it had."""

    def __init__(self, git: Git, cache: Cache, root: Path, prefix: str) -> None:
        self._git = git
        self._cache = cache
        self._root = root
        self._top = f"{prefix}/" if prefix else ""

    def files(self, path: str, md5: str) -> list[str]:
        """The files below `path` that differ from the directory object; without it, from the present commit."""
        if self._cache.has_object(md5):
            then = {item.relpath: item.md5 for item in self._cache.items(md5)}
            now = self._present(self._root / path)
            return sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
        below = f"{self._top}{path}/"
        found = self._git.status()
        changed = [one.path for one in found.changes] + list(found.untracked)
        return sorted(one[len(below) :] for one in changed if one.startswith(below))

    def _present(self, folder: Path) -> dict[str, str]:
        found = {}
        skip = DvcIgnores(self._root).below(folder)
        for relpath, _ in filesystem.walk(folder, skip):
            content = self._cache.hash(folder / relpath)
            if content is not None:
                found[relpath] = content.md5
        return found
