"""Why a stage runs or ran, to the key, the line and the cell: before it does, and after, from Git.

A reason of the pipeline says that a file or a value is another one. Here the two are laid side by side: where in
its file the value stands, which cells of a notebook changed, which files of a directory.
"""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from nbexp.errors import NotFound, UsageError
from nbexp.experiments import catalogue
from nbexp.experiments.restore import graph_at
from nbexp.formats import dvc_yaml, editing, notebook
from nbexp.formats.dvc_lock import LockedStage
from nbexp.frozen import brief, frozen
from nbexp.git import Git
from nbexp.pipeline.graph import Graph, overlap
from nbexp.pipeline.plan import Reason, notebook_sources, params_reasons
from nbexp.pipeline.stage import Stage
from nbexp.results import Result
from nbexp.store.cache import Cache

# The bytes of a file (relative to the root) as they are now; and as they were when their md5 was this.
Now = Callable[[str], bytes | None]
Then = Callable[[str, str], bytes | None]

_LONGEST = 60
_LARGEST_BYTES = 1_000_000  # what one reads and edits is smaller


@frozen
class CellChange:
    """A code cell that is not as it was; `number` is that of now, of one that is gone that of then."""

    number: int
    change: Literal["changed", "new", "removed"]
    first_line: str

    def __str__(self) -> str:
        return f"cell {self.number} {self.change}: {self.first_line}"

    def to_json(self) -> dict[str, object]:
        return {"cell": self.number, "change": self.change, "first_line": self.first_line}


@frozen
class Because:
    """One reason with its place.

    Attributes
    ----------
    subject
        What changed: a path, or `file:key`; empty where it is the command or what was asked for.
    text
        The reason in words, without its place.
    file, line
        Where that stands: the params file with the key, dvc.yaml with the command or the new dep, the script
        with its first changed line.
    cells
        The code cells of a notebook that changed.
    files
        The files of a directory that changed, as far as that is known.
    """

    __repr__ = brief

    kind: str
    subject: str
    state: str
    text: str
    file: str = ""
    line: int | None = None
    cells: tuple[CellChange, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """`params.yaml, line 2`, or as much of it as is known."""
        return f"{self.file}, line {self.line}" if self.line is not None else self.file

    def to_json(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "subject": self.subject,
            "state": self.state,
            "text": self.text,
            "file": self.file or None,
            "line": self.line,
            "cells": [cell.to_json() for cell in self.cells],
            "files": list(self.files),
        }


@frozen
class Why(Result):
    """Why a stage's entry in dvc.lock became another one.

    Attributes
    ----------
    what, versus
        The two sides as people call them: an experiment and its baseline, a commit and the one before.
    changed
        Whether the stage ran or was restored between the two at all.
    """

    stage: str
    what: str
    versus: str
    changed: bool
    reasons: tuple[Because, ...]
    outs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "stage": self.stage,
            "experiment": self.what,
            "versus": self.versus,
            "changed": self.changed,
            "reasons": [reason.to_json() for reason in self.reasons],
            "outs": list(self.outs),
        }


class Explainer:
    """Finds the place of reasons.

    Parameters
    ----------
    locked
        The entry of the stage that the reasons were found against.
    changed_below
        The files below a directory that are not as they were, where somebody knows.
    """

    def __init__(
        self,
        stage: Stage,
        locked: LockedStage | None,
        now: Now,
        then: Then,
        changed_below: Callable[[str, str], Sequence[str]] = lambda _path, _md5: (),
    ) -> None:
        self._stage = stage
        self._locked = locked
        self._now = now
        self._then = then
        self._changed_below = changed_below

    def explain(self, reason: Reason) -> Because:
        """The reason with its place."""
        plain = Because(reason.kind, reason.subject, reason.state, str(reason))
        if reason.kind == "param":
            return self._param(reason, plain)
        if reason.kind == "command":
            return self._command(plain)
        if reason.kind == "always":
            return self._in_stage(plain, "always_changed")
        return self._dep(reason, plain) if reason.kind == "dep" and not reason.detail else plain

    def _param(self, reason: Reason, plain: Because) -> Because:
        data = self._now(reason.path)
        key = reason.subject.removeprefix(f"{reason.declared[0]}:")
        line = editing.line_of(data, reason.path, key) if data is not None else None
        return _placed(plain, plain.text, reason.path, line)

    def _command(self, plain: Because) -> Because:
        old = self._locked.cmd if self._locked is not None else ""
        text = f"its command changed: {_short(old)} -> {_short(self._stage.spec.cmd)}"
        return self._in_stage(_placed(plain, text, "", None), "cmd")

    def _in_stage(self, plain: Because, *at: str | int) -> Because:
        """With the line of dvc.yaml that says so."""
        data = self._now(self._stage.file)
        line = None
        if data is not None:
            name = self._stage.spec.group or self._stage.name
            # A template's fields are below `do`, or beside `matrix`.
            roads = [("stages", name, *at), ("stages", name, "do", *at)]
            found = [dvc_yaml.line_of(data, road) for road in roads]
            line = max((one for one in found if one is not None), default=None)
        return _placed(plain, plain.text, self._stage.file, line)

    def _dep(self, reason: Reason, plain: Because) -> Because:
        spelled = [dep.spelled for dep in self._stage.deps]
        if reason.state == "new" and self._locked is not None and reason.subject in spelled:
            text = f"{reason.subject} is a new dep"
            return self._in_stage(
                _placed(plain, text, "", None), "deps", spelled.index(reason.subject)
            )
        old = next(
            (
                dep
                for dep in (self._locked.deps if self._locked else ())
                if dep.path == reason.subject
            ),
            None,
        )
        if old is None or reason.state != "modified":
            return plain
        if old.md5.endswith(".dir"):
            files = tuple(self._changed_below(reason.path, old.md5))
            return Because(
                plain.kind, plain.subject, plain.state, plain.text, reason.path, files=files
            )
        before = self._then(reason.path, old.md5) if (old.size or 0) < _LARGEST_BYTES else None
        after = self._now(reason.path) if before is not None else None
        if before is None or after is None:
            return _placed(plain, plain.text, reason.path, None)
        if reason.path in notebook_sources(self._stage):
            cells = changed_cells(before, after, reason.path)
            text = plain.text if cells else f"{plain.text}: its kernel, or the tags of its cells"
            return Because(plain.kind, plain.subject, plain.state, text, reason.path, cells=cells)
        return _placed(plain, plain.text, reason.path, first_changed_line(before, after))


def changed_cells(before: bytes, after: bytes, path: str) -> tuple[CellChange, ...]:
    """The code cells in which two states of a notebook differ, in their order."""
    old, new = notebook.read(before, path).cells, notebook.read(after, path).cells
    before_code, after_code = ([cell.source.rstrip() for cell in cells] for cells in (old, new))
    found: list[CellChange] = []
    matcher = difflib.SequenceMatcher(None, before_code, after_code, autojunk=False)
    for action, i, j, k, m in matcher.get_opcodes():
        if action == "equal":
            continue
        pairs = min(j - i, m - k)
        found += [_cell(cell, "changed") for cell in new[k : k + pairs]]
        found += [_cell(cell, "new") for cell in new[k + pairs : m]]
        found += [_cell(cell, "removed") for cell in old[i + pairs : j]]
    return tuple(found)


def first_changed_line(before: bytes, after: bytes) -> int | None:
    """The number of the first line that is not as it was; None where that is no text."""
    if b"\0" in before[:8000] or b"\0" in after[:8000]:
        return None
    old, new = before.split(b"\n"), after.split(b"\n")
    for number, (one, other) in enumerate(zip(old, new, strict=False), 1):
        if one != other:
            return number
    return min(len(old), len(new)) + 1


@frozen
class Commit:
    """A commit, as people call it."""

    name: str
    rev: str


def look_back(
    git: Git,
    cache: Cache,
    root: Path,
    prefix: str,
    stage_name: str,
    here: str,
    new: Commit,
    *olds: Commit,
) -> Why:
    """Why the stage's entry in the dvc.lock of `new` is not that of the first of `olds` that has one.

    The cache is asked only which files of a tracked directory changed; without its objects, the directory is named.

    Raises
    ------
    NotFound
        `new` has no such stage, or its dvc.lock has no entry of it.
    """
    graph = graph_at(git, root, prefix, new.rev)
    stage = _one(graph, stage_name, here)
    known = ((one, _entry(git, prefix, one.rev, stage)) for one in olds)
    nothing = (olds[0] if olds else None, None)
    old, before = next((one for one in known if one[1] is not None), nothing)
    after = _entry(git, prefix, new.rev, stage)
    if after is None:
        raise NotFound(
            f"Stage `{stage_name}` has not run in {new.name}: its dvc.lock has no entry of it.",
            "`nbexp plan` says what a run would do.",
        )
    makers = {
        dep.spelled: other.address(here)
        for dep in stage.deps
        for other in graph.needs[stage]
        if other.data is None  # nobody made what a .dvc file tracks
        and any(overlap(dep.path, out.path) for out in other.outs)
    }
    top = f"{prefix}/" if prefix else ""
    present = {
        posixpath.normpath(posixpath.join(stage.cwd, dep.path)): dep.md5 for dep in after.deps
    }

    def changed_below(path: str, md5: str) -> Sequence[str]:
        return _changed_between(git, old, new, f"{top}{path}/") or _changed_items(
            cache, md5, present.get(path, "")
        )

    explainer = Explainer(
        stage,
        before,
        lambda path: git.read(f"{new.rev}:{top}{path}"),
        lambda path, _md5: git.read(f"{old.rev}:{top}{path}") if old is not None else None,
        changed_below,
    )
    reasons = [*map(explainer.explain, compared(stage, before, after, makers))]
    outs = _changed_outs(before, after)
    if before is None:
        nowhere = f": the dvc.lock of {old.name} has no entry of it" if old is not None else ""
        text = f"it had not run before{nowhere}"
        reasons.append(Because("new", "", "new", text))
    elif not reasons and outs:
        text = "it was asked for, or always runs: command, deps and params are the same"
        reasons.append(Because("always", "", "modified", text))
    versus = old.name if old is not None else ""
    return Why(stage.address(here), new.name, versus, bool(reasons), tuple(reasons), outs)


def with_those_before(git: Git, name: str, rev: str) -> list[Commit]:
    """A commit, its baseline, and the experiments that were made on that before, newest first."""
    found = [Commit(name, rev)]
    baseline = catalogue.baseline_of(git, rev)
    if baseline is not None:
        names = catalogue.baseline_names(git)
        found.append(Commit(names.get(baseline, baseline[:7]), baseline))
        rows = catalogue.of_baseline(git, baseline)
        mine = next((row for row in rows if row.rev == rev), None)
        if mine is not None:
            rows = catalogue.as_begun(git, rows, {mine.created_s})
        members = [Commit(row.name or "", row.rev) for row in rows]
        revs = [one.rev for one in members]
        found += members[revs.index(rev) + 1 :] if rev in revs else members
    return found


def last_change(git: Git, root: Path, prefix: str, stage_name: str, here: str) -> list[Commit]:
    """The last commit of the present branch in which the stage's entry changed, and the one before it."""
    head = git.head() or ""
    stage = _one(graph_at(git, root, prefix, head), stage_name, here)
    top = f"{prefix}/" if prefix else ""
    asked = ("log", "--first-parent", "--format=%H", "HEAD", "--", f":(top){top}{stage.lock_file}")
    for info in git.commits(git.run(*asked).decode().split()):
        parent = info.parents[0] if info.parents else None
        before = _entry(git, prefix, parent, stage) if parent is not None else None
        if _entry(git, prefix, info.rev, stage) != before:
            return [Commit(rev[:7], rev) for rev in (info.rev, *info.parents[:1])]
    raise NotFound(
        f"Stage `{stage_name}` has not run yet: no commit has an entry of it in dvc.lock.",
        "`nbexp plan` says what a run would do.",
    )


def _one(graph: Graph, name: str, here: str) -> Stage:
    found = graph.targets([name], here)
    if len(found) == 1:
        return found[0]
    names = ", ".join(stage.address(here) for stage in found)
    raise UsageError(
        f"`{name}` is {len(found)} stages: {names}.",
        f"name one: `nbexp why {found[0].address(here)}`." if found else None,
    )


def _entry(git: Git, prefix: str, rev: str, stage: Stage) -> LockedStage | None:
    top = f"{prefix}/" if prefix else ""
    return stage.entry_in(git.read(f"{rev}:{top}{stage.lock_file}"))


def _changed_between(git: Git, old: Commit | None, new: Commit, below: str) -> list[str]:
    """The files below a folder that two commits do not agree on."""
    trees = (git.tree(one.rev) if one is not None else {} for one in (old, new))
    then, now = ({path: entry.oid for path, entry in tree.items()} for tree in trees)
    changed = [path for path in {*then, *now} if then.get(path) != now.get(path)]
    return sorted(path[len(below) :] for path in changed if path.startswith(below))


def _changed_items(cache: Cache, then: str, now: str) -> list[str]:
    """The files that two directory objects do not agree on, where the cache has both."""
    if not all(md5.endswith(".dir") and cache.has_object(md5) for md5 in (then, now)):
        return []
    old, new = ({item.relpath: item.md5 for item in cache.items(md5)} for md5 in (then, now))
    return sorted(path for path in {*old, *new} if old.get(path) != new.get(path))


def _changed_outs(before: LockedStage | None, after: LockedStage) -> tuple[str, ...]:
    then = {out.path: out.md5 for out in before.outs} if before is not None else {}
    return tuple(out.path for out in after.outs if then.get(out.path) != out.md5)


def compared(
    stage: Stage,
    old: LockedStage | None,
    new: LockedStage,
    makers: Mapping[str, str],
) -> list[Reason]:
    """What differs between two entries of a stage in what it ran with.

    Parameters
    ----------
    makers
        Dep (as spelled) -> the stage that writes it.
    """
    if old is None:
        return []
    reasons = [Reason("command")] if old.cmd != new.cmd else []
    then = {dep.path: dep for dep in old.deps}
    for dep in new.deps:
        path = posixpath.normpath(posixpath.join(stage.cwd, dep.path))
        before = then.pop(dep.path, None)
        if before is None:
            reasons.append(Reason("dep", dep.path, "new", path=path))
        elif before.md5 != dep.md5:
            by = makers.get(dep.path)
            detail = f"was made anew by `{by}`" if by else ""
            reasons.append(Reason("dep", dep.path, "modified", detail, path=path))
    reasons += [Reason("dep", path, "deleted", "is no dep any more") for path in then]
    elsewhere = {source.path: source.state for source in old.sources}
    for source in new.sources:
        was = elsewhere.get(source.path)
        if was != source.state:
            reasons.append(Reason("dep", source.path, "new" if was is None else "modified"))
    return reasons + params_reasons(stage, new, old)


def _cell(cell: notebook.Cell, change: Literal["changed", "new", "removed"]) -> CellChange:
    lines = [line for line in cell.source.splitlines() if line.strip()]
    return CellChange(cell.number, change, _cut(lines[0]) if lines else "")


def _placed(one: Because, text: str, file: str, line: int | None) -> Because:
    return Because(one.kind, one.subject, one.state, text, file, line)


def _short(cmd: str | tuple[str, ...]) -> str:
    text = cmd if isinstance(cmd, str) else " && ".join(cmd)
    return f"`{_cut(' '.join(text.split()))}`"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
