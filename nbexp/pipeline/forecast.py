"""What a run would do to each stage, found out without doing it.

Stages are looked at in the order in which they would run. One that comes back from the cache leaves known
outputs, so what needs them is looked at with those. What a stage that runs will write nobody knows before: what
needs it "may run", and turns out unchanged where the stage writes what it wrote before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from nbexp.errors import NotFound, StoreError
from nbexp.formats import directory
from nbexp.formats.dvc_lock import LockedStage
from nbexp.frozen import frozen
from nbexp.pipeline import durations, outputs
from nbexp.pipeline.context import Context, How
from nbexp.pipeline.graph import Graph, is_inside, overlap
from nbexp.pipeline.plan import (
    Check,
    Files,
    Inspector,
    Meanings,
    Reason,
    hash_of,
    without_missing,
)
from nbexp.pipeline.stage import Stage
from nbexp.store.cache import Cache, Hash

Action = Literal["run", "restore", "take", "skip"]


@frozen
class Foreseen:
    """What would become of one stage; `take` is data that a `.dvc` file tracks and that is kept as it is now.

    Attributes
    ----------
    certain
        False where the only reason is that a stage before it makes a dep anew, which may come out the same.
    seconds
        How long its commands will take, by past runs; None where there was none, or nothing runs.
    size_bytes
        How much comes back from the cache, of a stage that is restored.
    """

    stage: Stage
    action: Action
    check: Check
    reasons: tuple[Reason, ...] = ()
    certain: bool = True
    seconds: float | None = None
    size_bytes: int | None = None


class Foresight(Inspector):
    """Looks at stages as they will be when those before them are up to date."""

    def __init__(self, root: Path, cache: Cache, files: Files, meanings: Meanings) -> None:
        super().__init__(root, cache, _Ahead(files, cache, self), meanings)
        self._known: dict[str, Hash] = {}
        self._made: dict[str, Stage] = {}
        self._around: dict[str, Stage] = {}

    def comes_back(self, path: str, content: Hash, of: Stage) -> None:
        """The output at `path` will have this content."""
        self._known[path] = content
        now = super().hash(path)
        if now is None or now.md5 != content.md5:
            self._around[path] = of  # what a directory around it will be, nobody can tell

    def is_made(self, path: str, by: Stage) -> None:
        """The output at `path` will be made anew."""
        self._made[path] = by

    def maker(self, path: str) -> Stage | None:
        """The stage because of which nobody knows what will be at `path`."""
        made = [by for place, by in self._made.items() if overlap(path, place)]
        made += [by for at, by in self._around.items() if at != path and is_inside(at, path)]
        return made[0] if made else None

    def hash(self, path: str) -> Hash | None:
        if path in self._known:
            return self._known[path]
        for folder, content in self._known.items():
            if is_inside(path, folder):
                return self._below(content, path[len(folder) + 1 :])
        return super().hash(path)

    def _below(self, content: Hash, inner: str) -> Hash | None:
        """What will be at a path inside a directory that comes back."""
        items = self.cache.items(content.md5)
        for item in items:
            if item.relpath == inner:
                return Hash(item.md5, -1)
        below = [
            directory.Item(item.relpath[len(inner) + 1 :], item.md5)
            for item in items
            if item.relpath.startswith(f"{inner}/")
        ]
        return Hash(directory.digest(below), -1, len(below)) if below else None


@frozen
class _Ahead:
    """Files as they will be: outputs that come back are read from the cache."""

    files: Files
    cache: Cache
    foresight: Foresight

    def read(self, path: str) -> bytes | None:
        content = self.foresight._known.get(path)
        if content is not None and not content.is_dir:
            try:
                return self.cache.read(content.md5)
            except StoreError:
                return None
        return self.files.read(path)


def foresee(
    stages: Sequence[Stage], graph: Graph, inspector: Foresight, context: Context, how: How
) -> list[Foreseen]:
    """What `execute` would do to each of the stages, in their order; nothing is changed."""
    found = []
    forced: set[Stage] = set(stages) if how.force else set()
    for stage in stages:
        check = inspector.check(stage, force=stage in forced)
        if how.allow_missing:
            check = without_missing(check, inspector, graph)
        one = _foresee(stage, check, inspector, context, force=stage in forced)
        found.append(one)
        if how.force_downstream and one.action != "skip":
            forced.update(o for o in stages if stage in graph.needs[o] and not o.spec.frozen)
    return found


def _foresee(
    stage: Stage, check: Check, inspector: Foresight, context: Context, *, force: bool
) -> Foreseen:
    if stage.is_data:
        return _data(stage, check, inspector, context)
    waits = {} if stage.spec.frozen else _makers(stage, inspector)
    if waits:
        own = [one for one in check.reasons if one.kind != "out" and one.path not in waits]
        own += [
            Reason(
                "dep", path, "modified", f"is made anew by `{by.address(context.here)}`", path=path
            )
            for path, by in waits.items()
        ]
        certain = len(own) > len(waits)
        return _runs(stage, check, tuple(own), inspector, certain=certain)
    if not outputs.counting(check):
        return Foreseen(stage, "skip", check)
    entry = None if force else _comes_back(check, context)
    if entry is not None or stage.spec.frozen:
        return _restored(stage, check, entry, inspector)
    return _runs(stage, check, check.reasons, inspector)


def _data(stage: Stage, check: Check, inspector: Foresight, context: Context) -> Foreseen:
    """Nothing makes data: what is missing comes back, what was edited is kept."""
    if not check.reasons:
        return Foreseen(stage, "skip", check)
    missing = {out.spelled for out in stage.outs if inspector.hash(out.path) is None}
    back = {out.spelled for out, _ in outputs.recoverable(check, context)}
    if missing - back:
        raise NotFound(
            f"`{stage.outs[0].path}`, which {stage.file} tracks, is not there, and the cache lacks it.",
            f"`nbexp data pull {stage.file}` gets it from a remote.",
        )
    if missing:
        return _restored(stage, check, check.locked, inspector)
    return Foreseen(stage, "take", check, check.reasons)


def _restored(
    stage: Stage, check: Check, entry: LockedStage | None, inspector: Foresight
) -> Foreseen:
    size = 0
    for out in entry.outs if entry is not None else ():
        path, wanted = stage.place(out.path), hash_of(out)
        found = inspector.hash(path)
        size += 0 if found is not None and found.md5 == wanted.md5 else out.size or 0
        inspector.comes_back(path, wanted, stage)
    return Foreseen(stage, "restore", check, check.reasons, size_bytes=size)


def _makers(stage: Stage, inspector: Foresight) -> dict[str, Stage]:
    """What the stage reads and nobody can know yet, with the stage that writes it."""
    read = [dep.path for dep in stage.deps] + [param.path for param in stage.params]
    found = {path: inspector.maker(path) for path in read}
    return {path: by for path, by in found.items() if by is not None}


def _comes_back(check: Check, context: Context) -> LockedStage | None:
    """The entry whose outputs come back without a run: dvc.lock's where only outputs are wrong, else a saved one."""
    entry = check.refreshed or check.locked
    wrong = [reason.subject for reason in check.reasons]
    back = {out.spelled for out, _ in outputs.recoverable(check, context)}
    if check.only_outs and entry is not None and back.issuperset(wrong):
        return entry
    return outputs.restorable(check, context)


def _runs(
    stage: Stage,
    check: Check,
    reasons: tuple[Reason, ...],
    inspector: Foresight,
    *,
    certain: bool = True,
) -> Foreseen:
    for out in stage.outs:
        inspector.is_made(out.path, stage)
    seconds = durations.expected(inspector.cache, stage)
    return Foreseen(stage, "run", check, reasons, certain, seconds)
