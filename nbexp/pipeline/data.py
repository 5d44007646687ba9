"""Which tracked data is meant by what one types, and what Git's ignore files must say of it."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from pathlib import Path

from nbexp.formats import ignore
from nbexp.frozen import frozen
from nbexp.pipeline.graph import Graph, is_inside
from nbexp.pipeline.stage import Out, Stage


@frozen
class Chosen:
    """An output that is meant; `inner` is the path inside it when only a part of a directory is."""

    stage: Stage
    out: Out
    inner: str = ""

    @property
    def path(self) -> str:
        """What is meant, relative to the project's root."""
        return posixpath.join(self.out.path, self.inner) if self.inner else self.out.path


def choose(
    graph: Graph,
    targets: Sequence[str],
    here: str,
    *,
    with_deps: bool = False,
    recursive: bool = False,
) -> tuple[Chosen, ...]:
    """The outputs that the targets mean when typed in the directory `here`; all there are without targets.

    A target is an output or a path in one, a `.dvc` file, or a stage; with `recursive` it may be a folder, of
    which all `.dvc` and dvc.yaml files are meant. With `with_deps` what the stages read is meant as well.

    Raises
    ------
    NotFound
        A target is none of these.
    """
    found, stages = _meant(graph, targets, here, with_deps=with_deps, recursive=recursive)
    for stage in stages:
        for out in stage.outs:
            found[out.path, ""] = Chosen(stage, out)
    # What is meant whole is not meant in part as well.
    whole = {path for path, inner in found if not inner}
    return tuple(one for (path, inner), one in found.items() if not inner or path not in whole)


def stages_of(
    graph: Graph,
    targets: Sequence[str],
    here: str,
    *,
    with_deps: bool = False,
    recursive: bool = False,
) -> list[Stage]:
    """The stages of what `choose` chooses, and those that have no outputs."""
    found, stages = _meant(graph, targets, here, with_deps=with_deps, recursive=recursive)
    return list(dict.fromkeys([*(one.stage for one in found.values()), *stages]))


def _meant(
    graph: Graph, targets: Sequence[str], here: str, *, with_deps: bool, recursive: bool
) -> tuple[dict[tuple[str, str], Chosen], list[Stage]]:
    """The outputs that targets are, or are in, and the stages that are meant whole."""
    found: dict[tuple[str, str], Chosen] = {}
    stages: list[Stage] = [] if targets else [*graph.stages]
    for target in targets:
        owned = owner(graph, posixpath.normpath(posixpath.join(here, target)))
        if owned is not None:
            if with_deps:
                stages += graph.order([owned.stage])[:-1]
            found[owned.out.path, owned.inner] = owned
            continue
        named = graph.targets([target], here, recursive=recursive)
        stages += graph.order(named) if with_deps else named
    return found, stages


def owner(graph: Graph, path: str) -> Chosen | None:
    """The output that a path is, or is in."""
    for stage, out in graph.outs:
        if path == out.path:
            return Chosen(stage, out)
        if is_inside(path, out.path):
            return Chosen(stage, out, posixpath.relpath(path, out.path))
    return None


def overlapping(graph: Graph, path: str) -> Chosen | None:
    """An output that lies in the folder `path`."""
    for stage, out in graph.outs:
        if is_inside(out.path, path):
            return Chosen(stage, out)
    return None


def ignore_edit(root: Path, path: str) -> tuple[str, bytes] | None:
    """The .gitignore beside an output and its bytes with a line for it; None if it has one."""
    folder, name = posixpath.split(path)
    file = posixpath.join(folder, ".gitignore")
    try:
        present = (root / file).read_bytes()
    except FileNotFoundError:
        present = None
    data = ignore.add_line(present, name)
    return None if data is None else (file, data)
