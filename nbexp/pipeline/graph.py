"""Stages to a directed acyclic graph: who needs whom, in which order they run.

An edge leads from a stage to the owner of each of its deps and params files. Paths are compared by
overlap, not equality: a dep inside a directory output needs that output's stage (formats.md 2.5).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbexp.errors import NotFound, ProjectFileError, nearest
from nbexp.formats import dvc_yaml
from nbexp.formats.dvc_yaml import PipelineFile
from nbexp.pipeline.stage import Out, Stage

# Never part of a project's own files, and costly to walk.
_NOT_SEARCHED = frozenset(
    {".git", ".hg", ".dvc", "__pycache__", "node_modules", ".ipynb_checkpoints"}
)


@dataclass(frozen=True)
class Graph:
    """Every stage of a project, in file order, and what each needs.

    `files` maps each dvc.yaml (relative to the root) to what it holds.
    """

    files: Mapping[str, PipelineFile]
    stages: tuple[Stage, ...]
    needs: Mapping[Stage, tuple[Stage, ...]] = field(repr=False)

    @property
    def outs(self) -> Iterator[tuple[Stage, Out]]:
        return ((stage, out) for stage in self.stages for out in stage.outs)

    def order(self, targets: Sequence[Stage], *, single: bool = False) -> tuple[Stage, ...]:
        """The targets and all they need, each after what it needs; with `single` the targets alone."""
        if single:
            return tuple(dict.fromkeys(targets))
        done: dict[Stage, None] = {}
        for target in targets:
            _visit(target, self.needs, done)
        return tuple(done)

    def targets(self, names: Sequence[str], here: str) -> tuple[Stage, ...]:
        """The stages that `names` mean when typed in the directory `here`.

        No name means the stages of the dvc.yaml there, as in DVC.

        Raises
        ------
        NotFound
            No such stage, or no dvc.yaml in `here`; the nearest name is in the hint.
        """
        if not names:
            return self._of_file(posixpath.normpath(posixpath.join(here, "dvc.yaml")), here)
        return tuple(stage for name in names for stage in self._named(name, here))

    def owner(self, path: str) -> Stage | None:
        """The stage that writes `path`, or a directory it is in."""
        for stage, out in self.outs:
            if is_inside(path, out.path):
                return stage
        return None

    def _named(self, name: str, here: str) -> tuple[Stage, ...]:
        file, colon, stage_name = name.rpartition(":")
        if not colon and (name == "dvc.yaml" or name.endswith("/dvc.yaml")):
            return self._of_file(posixpath.normpath(posixpath.join(here, name)), here)
        path = posixpath.normpath(posixpath.join(here, file or "dvc.yaml"))
        for stage in self._of_file(path, here):
            if stage.name == (stage_name or name):
                return (stage,)
        known = [stage.address(here) for stage in self.stages]
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else f"stages: {', '.join(known) or 'none'}."
        raise NotFound(f"There is no stage `{name}`. Nothing was run.", hint)

    def _of_file(self, file: str, here: str) -> tuple[Stage, ...]:
        if file in self.files:
            return tuple(stage for stage in self.stages if stage.file == file)
        shown = posixpath.relpath(file, here)
        if not self.files:
            raise NotFound(
                f"There is no {shown} and so no pipeline to run.",
                "`nbexp init train.ipynb` makes one of a notebook.",
            )
        known = [posixpath.relpath(path, here) for path in sorted(self.files)]
        folder = posixpath.dirname(known[0]) or "."
        raise NotFound(
            f"There is no {shown} here; this project has {', '.join(known)}.",
            f"`nbexp run --cd {folder}` runs the pipeline of that directory.",
        )


def load(root: Path, read: Mapping[str, bytes] | None = None) -> Graph:
    """The graph of the project in `root`.

    Parameters
    ----------
    read
        The dvc.yaml files by path, where they are not on disk (a commit's); None: look below `root`.

    Raises
    ------
    ProjectFileError
        A dvc.yaml cannot be read, two stages own one output, or the stages need each other in a circle.
    """
    texts = _on_disk(root) if read is None else read
    files = {path: dvc_yaml.parse(texts[path], path) for path in sorted(texts)}
    stages = tuple(Stage(spec, path) for path, file in files.items() for spec in file.stages)
    _check_outs(stages)
    needs = {stage: tuple(_needed(stage, stages)) for stage in stages}
    graph = Graph(files, stages, needs)
    _check_cycles(graph)
    return graph


def is_inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it."""
    return path == folder or path.startswith(folder + "/") or folder == "."


def overlap(one: str, other: str) -> bool:
    """Whether writing one of the two paths can change the other."""
    return is_inside(one, other) or is_inside(other, one)


def pipeline_files(root: Path) -> list[str]:
    """Every dvc.yaml below `root` (relative, POSIX, sorted), nested projects and environments left out."""
    found = []
    stack = ["."]
    while stack:
        folder = stack.pop()
        with os.scandir(root / folder) as entries:
            listed = list(entries)
        names = {entry.name for entry in listed}
        if folder != "." and names & {".dvc", ".git", "pyvenv.cfg"}:
            continue
        for entry in listed:
            path = posixpath.normpath(posixpath.join(folder, entry.name))
            if entry.name == "dvc.yaml" and entry.is_file():
                found.append(path)
            elif entry.name not in _NOT_SEARCHED and entry.is_dir(follow_symlinks=False):
                stack.append(path)
    return sorted(found)


def _on_disk(root: Path) -> dict[str, bytes]:
    return {path: (root / path).read_bytes() for path in pipeline_files(root)}


def _needed(stage: Stage, stages: Iterable[Stage]) -> Iterator[Stage]:
    read = [dep.path for dep in stage.deps] + [param.path for param in stage.params]
    for other in stages:
        if other is not stage and any(
            overlap(out.path, path) for out in other.outs for path in read
        ):
            yield other


def _visit(stage: Stage, needs: Mapping[Stage, tuple[Stage, ...]], done: dict[Stage, None]) -> None:
    if stage in done:
        return
    # A frozen stage does not wait for, nor refresh, what it reads (formats.md 4.5).
    if not stage.spec.frozen:
        for other in needs[stage]:
            _visit(other, needs, done)
    done[stage] = None


def _check_outs(stages: Sequence[Stage]) -> None:
    owners: list[tuple[Stage, Out]] = []
    for stage in stages:
        for out in stage.outs:
            for other, theirs in owners:
                if not overlap(out.path, theirs.path):
                    continue
                if out.path == theirs.path:
                    what = f"stages `{other.name}` and `{stage.name}` both have the output `{out.path}`"
                else:
                    what = (
                        f"the output `{out.path}` of stage `{stage.name}` and the output "
                        f"`{theirs.path}` of stage `{other.name}` overlap"
                    )
                raise ProjectFileError(
                    f"{what}; an output belongs to one stage.",
                    path=stage.file,
                    line=stage.spec.line,
                )
            owners.append((stage, out))


def _check_cycles(graph: Graph) -> None:
    state: dict[Stage, int] = {}

    def visit(stage: Stage, path: list[Stage]) -> None:
        if state.get(stage) == 2:
            return
        path.append(stage)
        if state.get(stage) == 1:
            circle = path[path.index(stage) :]
            names = " -> ".join(f"`{member.name}`" for member in reversed(circle))
            raise ProjectFileError(
                f"the stages {names} need each other in a circle.",
                path=stage.file,
                line=stage.spec.line,
            )
        state[stage] = 1
        for other in graph.needs[stage]:
            visit(other, path)
        state[stage] = 2
        path.pop()

    for stage in graph.stages:
        visit(stage, [])
        own = [dep.path for dep in stage.deps]
        for out in stage.outs:
            if any(overlap(out.path, path) for path in own):
                raise ProjectFileError(
                    f"stage `{stage.name}` has `{out.path}` as an output and as a dep.",
                    path=stage.file,
                    line=stage.spec.line,
                )
