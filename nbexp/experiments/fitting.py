"""Which commit and which runs of other stages belong to a run: what it read, found again by digests.

An entry of the run cache has the digest of all that its stage read, so whether a file of a commit is the one it
read is known, not guessed. Where several answers fit, or none, that is said.
"""

from __future__ import annotations

import itertools
import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nbexp import hashing
from nbexp.errors import NotFound, ProjectFileError, UsageError
from nbexp.events import Emit, Notice
from nbexp.experiments import run_cache
from nbexp.experiments.run_cache import CachedRun
from nbexp.formats import directory, dvc_file, dvc_lock, editing, values
from nbexp.formats.directory import Item
from nbexp.formats.dvc_lock import LockedPath, LockedStage
from nbexp.frozen import frozen
from nbexp.git import FileContent, Git, Status
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.graph import Graph, is_inside
from nbexp.pipeline.stage import Stage
from nbexp.store.cache import Cache


@frozen
class Place:
    """The project, and the user's directory in it."""

    git: Git
    cache: Cache
    root: Path
    prefix: str
    here: str

    @property
    def top(self) -> str:
        """What stands before a path of the project in the repository."""
        return f"{self.prefix}/" if self.prefix else ""


@frozen
class Member:
    """A stage, and the run of it that the experiment holds."""

    stage: Stage
    run: CachedRun


# ---- the baseline


class Base:
    """A commit as the possible baseline: what is at each of its paths, relative to the project's root.

    `status`, which is for HEAD alone, says what the workspace has instead; what a run read is taken from there.
    With `edited` the dvc.yaml files are as well.
    """

    def __init__(
        self, place: Place, rev: str, *, status: Status | None = None, edited: bool = False
    ) -> None:
        self.place, self.rev = place, rev
        self.taken: set[str] = set()
        top = place.top
        self._files = {
            path[len(top) :]: entry.oid
            for path, entry in place.git.tree(rev).items()
            if path.startswith(top)
        }
        self._status = status
        changed = [] if status is None else [change.path for change in status.changes]
        self._untracked = frozenset() if status is None else frozenset(status.untracked)
        self._dirty = [
            path[len(top) :] for path in (*changed, *self._untracked) if path.startswith(top)
        ]
        pipelines = {path for path in self._files if _is_pipeline(path)}
        if edited:
            self.taken = {path for path in self._dirty if _is_pipeline(path)}
        texts = {path: self.read(path) for path in pipelines | self.taken}
        self._pipelines = {path: text for path, text in texts.items() if text is not None}
        self._graphs: dict[str, Graph] = {}
        self.graph = self.graph_with({})

    def graph_with(self, params: Mapping[tuple[str, str], object]) -> Graph:
        """The stages as templates make them of these params, by file and key, and of all others as they are."""
        sections: dict[str, dict[str, object]] = {}
        for (path, key), value in params.items():
            sections.setdefault(path, {})[key] = value
        key = json.dumps(sections, sort_keys=True, default=str)
        if key not in self._graphs:
            texts = {}
            for path, section in sections.items():
                text = self.read(path)
                texts[path] = text and with_params(text, path, section)
            self._graphs[key] = graphs.load(
                self.place.root, self._pipelines, lambda path: texts.get(path) or self.read(path)
            )
        return self._graphs[key]

    def read(self, path: str) -> bytes | None:
        """A file of the commit, or of the workspace where it is taken from there."""
        if path in self.taken:
            place = self.place.root / path
            return place.read_bytes() if place.is_file() else None
        oid = self._files.get(path)
        return None if oid is None else self.place.git.read(oid)

    def lacks(self, dep: LockedPath, path: str) -> list[str] | None:
        """What has to be taken from the workspace so that a path is what a run read as `dep`; None: it is nowhere."""
        if self._md5(path) == dep.md5 or self._tracked(path) == dep.md5:
            return []
        if self._status is None:
            return None
        there = self.place.cache.hash(self.place.root / path)
        if there is None or there.md5 != dep.md5:
            return None
        pointers = {f"{folder}.dvc" for folder in (path, *map(str, Path(path).parents))}
        changed = [one for one in self._dirty if is_inside(one, path) or one in pointers]
        # Nothing changed: what is committed is this file in another form, by one of Git's filters.
        return changed if changed or path in self._files else None

    def from_workspace(self) -> dict[str, FileContent]:
        """What is taken from the workspace, as Git would commit it."""
        if not self.taken or self._status is None:
            return {}
        top = self.place.top
        extra = [top + path for path in self.taken if top + path in self._untracked]
        found = self.place.git.snapshot(self._status, extra)
        return {path: found[top + path] for path in self.taken if top + path in found}

    def _md5(self, path: str) -> str | None:
        """The digest of a file or folder as Git has it."""
        oid = self._files.get(path)
        if oid is not None:
            return self._blob_md5(oid)
        inner = [one for one in self._files if one.startswith(f"{path}/")]
        if not inner:
            return None
        return directory.digest(
            Item(one[len(path) + 1 :], self._blob_md5(self._files[one])) for one in inner
        )

    def _blob_md5(self, oid: str) -> str:
        known = self.place.cache.memo("blob-md5", oid)
        if known is None:
            data = self.place.git.read(oid) or b""
            known = hashing.md5(data)
            self.place.cache.remember("blob-md5", oid, known)
        return known

    def _tracked(self, path: str) -> str | None:
        """The digest of data that a `.dvc` file of the commit tracks, at the path or above it."""
        for folder in (path, *map(str, Path(path).parents)):
            text = self.read(f"{folder}.dvc")
            if text is None:
                continue
            md5 = _pointed(text, f"{folder}.dvc")
            if md5 is None or folder == path:
                return md5
            return _within(self.place.cache, md5, posixpath.relpath(path, folder))
        return None


def find(
    place: Place,
    head: str,
    run: CachedRun,
    runs: Sequence[CachedRun],
    stage: str | None,
    using: Sequence[CachedRun],
    emit: Emit,
) -> tuple[Base, list[Member]]:
    """The commit to start from, HEAD where it fits, and the runs that the experiment holds."""
    why: list[str] = []
    folders: set[str] = set()
    for rev, status, edited in _candidates(place, head, run.entry, folders):
        try:
            base = Base(place, rev, status=status, edited=edited)
        except ProjectFileError as error:
            why.append(error.message)
            continue
        folders.update(one.cwd for one in base.graph.stages)
        puzzle = _Puzzle(base, runs, using, emit)
        members = puzzle.solve(run, stage)
        if members is not None:
            if rev != head:
                emit(
                    Notice(
                        f"HEAD is not what run `{run.short}` read ({why[0]}); the experiment is on "
                        f"{rev[:7]}, which is."
                    )
                )
            return base, members
        why.append(puzzle.why)
    raise NotFound(
        f"No commit has what run `{run.short}` read: {why[0]}. Nothing was recorded.",
        f"`nbexp cache restore {run.short}` brings its outputs into the workspace.",
    )


def _candidates(
    place: Place, head: str, entry: LockedStage, folders: set[str]
) -> Iterator[tuple[str, Status | None, bool]]:
    """HEAD with the workspace's edits, also of dvc.yaml; then the commits of branches and tags, newest first.

    Of commits that are equal in all that the run may have read the newest only: a history of thousands has a few.
    `folders` are where stages of HEAD run; they are known once it has been looked at.
    """
    git = place.git
    status = git.status()
    yield head, status, False
    changed = [*status.untracked, *(change.path for change in status.changes)]
    if any(map(_is_pipeline, changed)):
        yield head, status, True
    revs = git.run("rev-list", "--branches", "--tags", "HEAD").decode("ascii").split()
    paths = _may_matter(git, place.top, head, entry, folders)
    infos = iter(git.info_many([f"{rev}:{path}" for rev in revs for path in paths]))
    seen = set()
    for rev in revs:
        state = tuple(info and info[0] for info in itertools.islice(infos, len(paths)))
        if rev != head and state not in seen:
            yield rev, None, False
        seen.add(state)


def _may_matter(git: Git, top: str, head: str, entry: LockedStage, folders: set[str]) -> list[str]:
    """The dvc.yaml files of HEAD, and where the deps of the run may be as seen from each, with their `.dvc` files."""
    pipelines = [path for path in git.paths_named([head], "dvc.yaml")[head] if path.startswith(top)]
    found = [f"{top}dvc.yaml", *pipelines]
    for folder in {*map(posixpath.dirname, found), *(top + one for one in folders)}:
        for dep in entry.deps:
            path = posixpath.normpath(posixpath.join(folder, dep.path))
            above = [one for one in map(str, Path(path).parents) if one != "."]
            found += [path, *(f"{one}.dvc" for one in (path, *above))]
    return [*dict.fromkeys(found)]


# ---- the runs


class _Puzzle:
    """Finds the runs of a pipeline that belong together on a commit."""

    def __init__(
        self, base: Base, runs: Sequence[CachedRun], using: Sequence[CachedRun], emit: Emit
    ) -> None:
        self._base, self._graph = base, base.graph
        self._using = {(one.key, one.value) for one in using}
        self._emit = emit
        self.why = "no stage has its command and outputs"
        self._by_outs: dict[tuple[str, ...], list[CachedRun]] = {}
        for run in runs:
            self._by_outs.setdefault(_outs_of(run.entry), []).append(run)

    def solve(self, run: CachedRun, asked: str | None) -> list[Member] | None:
        """The run's stage with its run, the ones before it, then those after it; None where the commit is not it."""
        here = self._base.place.here
        fitting = []
        for cwd in dict.fromkeys(stage.cwd for stage in self._base.graph.stages):
            # What templates make of the pipeline follows from the params, and where these are from the stage.
            self._graph = self._base.graph_with(dict(_params_in(cwd, run.entry)))
            fitting += [
                (one, self._graph)
                for one in self._graph.stages
                if one.cwd == cwd
                and asked in (None, one.address(here))
                and self._is_of(one, run.entry, {})
                and self._inputs_fit(one, run.entry, {})
            ]
        if len(fitting) > 1:
            names = [one.address(here) for one, _ in fitting]
            raise UsageError(
                f"Run `{run.short}` may be of each of the stages {', '.join(names)}. Nothing was recorded.",
                f"say which: `nbexp cache promote {run.short} --stage {names[0]}`.",
            )
        if not fitting:
            return None
        stage, self._graph = fitting[0]
        found = {stage: run}
        self._add_upstream(stage, found)
        self._add_downstream(found)
        for one, its in found.items():
            for dep, path in self._outer_deps(one, its.entry):
                self._base.taken.update(self._base.lacks(dep, path) or ())
        return [Member(one, its) for one, its in found.items()]

    def _is_of(self, stage: Stage, entry: LockedStage, found: Mapping[Stage, CachedRun]) -> bool:
        if tuple(sorted(out.spelled for out in stage.outs)) != _outs_of(entry):
            return False
        if stage.spec.cmd != entry.cmd and self._command(stage, entry, found) != entry.cmd:
            self.why = f"the command of stage `{stage.name}` is another"
            return False
        if {dep.spelled for dep in stage.deps} != {dep.path for dep in entry.deps}:
            self.why = f"stage `{stage.name}` has other deps"
            return False
        return True

    def _command(
        self, stage: Stage, entry: LockedStage, found: Mapping[Stage, CachedRun]
    ) -> str | tuple[str, ...] | None:
        """The stage's command with the params of the run that it may be, and of those found already."""
        params = {
            key: value for one, run in found.items() for key, value in params_of(one, run.entry)
        }
        graph = self._base.graph_with({**params, **dict(params_of(stage, entry))})
        same = [one for one in graph.stages if (one.file, one.name) == (stage.file, stage.name)]
        return same[0].spec.cmd if same else None

    def _outer_deps(self, stage: Stage, entry: LockedStage) -> Iterator[tuple[LockedPath, str]]:
        """The deps of a run that no stage makes, and where they are."""
        places = {dep.spelled: dep.path for dep in stage.deps}
        for dep in entry.deps:
            if not self._makers(stage, places[dep.path]):
                yield dep, places[dep.path]

    def _inputs_fit(
        self, stage: Stage, entry: LockedStage, found: Mapping[Stage, CachedRun]
    ) -> bool:
        """Whether the deps that no stage makes are what the commit has, and nothing is two things at once."""
        read = {
            path: dep.md5
            for one, run in found.items()
            for dep, path in self._outer_deps(one, run.entry)
        }
        for dep, path in self._outer_deps(stage, entry):
            if read.get(path, dep.md5) != dep.md5 or self._base.lacks(dep, path) is None:
                self.why = f"{path} is another"
                return False
        mine = dict(params_of(stage, entry))
        others = {
            key: value for one, run in found.items() for key, value in params_of(one, run.entry)
        }
        for key in mine.keys() & others.keys():
            if not values.same(mine[key], others[key]):
                self.why = f"{':'.join(key)} has two values"
                return False
        return True

    def _makers(self, stage: Stage, path: str) -> list[Stage]:
        """The stages that make a dep, or part of it."""
        return [
            one
            for one in self._graph.needs[stage]
            if any(graphs.overlap(path, out.path) for out in one.outs)
        ]

    def _add_upstream(self, stage: Stage, found: dict[Stage, CachedRun]) -> None:
        for other in self._graph.needs[stage]:
            if other in found:
                continue
            made = [dep for dep in stage.deps if other in self._makers(stage, dep.path)]
            if not made:
                continue  # it makes a params file; what is in that is checked by value
            candidates = [
                run
                for run in self._of(other, found)
                if self._made(other, run.entry, stage, found[stage].entry)
                and self._inputs_fit(other, run.entry, found)
            ]
            chosen = self._only(other, candidates)
            if chosen is not None:
                found[other] = chosen
                self._add_upstream(other, found)
            elif len(candidates) > 1:
                names = ", ".join(f"`{one.short}`" for one in candidates)
                raise UsageError(
                    f"{len(candidates)} runs of stage `{other.name}` made what `{stage.name}` read: {names}. "
                    "Nothing was recorded.",
                    f"`nbexp cache show {candidates[0].short}` shows one; take it with `--with "
                    f"{candidates[0].short}`.",
                )
            elif not self._is_locked(other, stage, found[stage].entry):
                self._emit(
                    Notice(
                        f"The run cache has no run of stage `{other.name}` that made what `{stage.name}` "
                        "read; the experiment has the baseline's entry of it."
                    )
                )

    def _add_downstream(self, found: dict[Stage, CachedRun]) -> None:
        for stage in self._graph.order(self._graph.stages):
            before = [one for one in self._graph.needs[stage] if one in found]
            if stage in found or not before:
                continue
            candidates = [
                run
                for run in self._of(stage, found)
                if all(self._made(one, found[one].entry, stage, run.entry) for one in before)
                and self._inputs_fit(stage, run.entry, found)
            ]
            chosen = self._only(stage, candidates)
            if chosen is not None:
                found[stage] = chosen
                continue
            locked = self._locked(stage)
            if locked is not None and all(
                self._made(one, found[one].entry, stage, locked) for one in before
            ):
                continue
            names = ", ".join(f"`{one.short}`" for one in candidates)
            words = f"{len(candidates)} runs of it fit ({names}): `--with KEY` takes one"
            self._emit(
                Notice(
                    f"Stage `{stage.name}`, which comes after, is as in the baseline: "
                    f"{words if candidates else 'it has no run on this'}."
                )
            )

    def _of(self, stage: Stage, found: Mapping[Stage, CachedRun]) -> list[CachedRun]:
        """The runs of a stage whose outputs are all there."""
        outs = tuple(sorted(out.spelled for out in stage.outs))
        its = [run for run in self._by_outs.get(outs, ()) if self._is_of(stage, run.entry, found)]
        checked = run_cache.checked(its, self._base.place.cache)
        return [run for run in checked if not run.is_stale]

    def _only(self, stage: Stage, candidates: Sequence[CachedRun]) -> CachedRun | None:
        """The one that was named, or is the baseline's own, or is the only one."""
        named = [one for one in candidates if (one.key, one.value) in self._using]
        locked = self._locked(stage)
        own = [one for one in candidates if locked is not None and one.entry == locked]
        for found in (named, own, candidates):
            if len(found) == 1:
                return found[0]
        return None

    def _made(self, maker: Stage, entry: LockedStage, reader: Stage, read: LockedStage) -> bool:
        """Whether what one run wrote is what the other read, as far as digests can tell."""
        outs = {out.spelled: out.path for out in maker.outs}
        deps = {dep.spelled: dep.path for dep in reader.deps}
        for dep in read.deps:
            path = deps[dep.path]
            for out in entry.outs:
                made = outs[out.path]
                if made == path and out.md5 != dep.md5:
                    return False
                inner = posixpath.relpath(path, made) if is_inside(path, made) else "."
                if inner != "." and _within(self._base.place.cache, out.md5, inner) != dep.md5:
                    return False
                if made != path and is_inside(made, path):
                    part = posixpath.relpath(made, path)
                    if _within(self._base.place.cache, dep.md5, part) != out.md5:
                        return False
        return True

    def _is_locked(self, maker: Stage, reader: Stage, read: LockedStage) -> bool:
        """Whether the baseline's own dvc.lock has made what was read."""
        locked = self._locked(maker)
        return locked is not None and self._made(maker, locked, reader, read)

    def _locked(self, stage: Stage) -> LockedStage | None:
        data = self._base.read(stage.lock_file)
        if data is None:
            return None
        entry = dvc_lock.parse(data, stage.lock_file).stages.get(stage.name)
        return entry if isinstance(entry, LockedStage) else None


# ---- what they share


def with_params(
    text: bytes, path: str, section: Mapping[str, object], *, whole: bool = False
) -> bytes:
    """A params file in which these keys have these values; `whole`: and there are no others."""
    tree = values.parse(text, path) if text else {}
    edits = []
    for key, value in section.items():
        present = values.lookup(tree, key)
        if present is not values.MISSING and values.same(present, value):
            continue
        if isinstance(present, Mapping) and isinstance(value, Mapping):
            # A mapping would be merged: what the run did not have goes first.
            gone = sorted(set(values.flatten(present)) - set(values.flatten(value)))
            edits += [editing.Edit(f"{key}.{one}", op="delete", has_value=False) for one in gone]
        edits.append(editing.Edit(key, value, "force"))
    if whole and isinstance(tree, Mapping):
        extra = [str(key) for key in tree if str(key) not in section]
        edits += [editing.Edit(key, op="delete", has_value=False) for key in extra]
    return editing.edit(text, path, edits) if edits else text


def _params_in(cwd: str, entry: LockedStage) -> Iterator[tuple[tuple[str, str], object]]:
    """The params of a run as if its commands had run in `cwd`."""
    for spelled, section in entry.params.items():
        for key, value in section.items():
            yield (posixpath.normpath(posixpath.join(cwd, spelled)), key), value


def params_of(stage: Stage, entry: LockedStage) -> Iterator[tuple[tuple[str, str], object]]:
    """The params of a run by file, from the project's root, and key."""
    for spelled, section in entry.params.items():
        for key, value in section.items():
            yield (stage.place(spelled), key), value


def _outs_of(entry: LockedStage) -> tuple[str, ...]:
    return tuple(sorted(out.path for out in entry.outs))


def _within(cache: Cache, md5: str, inner: str) -> str | None:
    """The digest of a file or folder inside a directory object; None where it is not known."""
    if not md5.endswith(".dir") or not cache.has_object(md5):
        return None
    items = cache.items(md5)
    for item in items:
        if item.relpath == inner:
            return item.md5
    below = [item for item in items if item.relpath.startswith(f"{inner}/")]
    if not below:
        return None
    return directory.digest(Item(item.relpath[len(inner) + 1 :], item.md5) for item in below)


def _pointed(text: bytes, path: str) -> str | None:
    """The digest that a `.dvc` file of one output has."""
    try:
        contents = dvc_file.parse(text, path).contents
    except ProjectFileError:
        return None
    return contents[0].md5 or None if len(contents) == 1 else None


def _is_pipeline(path: str) -> bool:
    return posixpath.basename(path) == "dvc.yaml"
