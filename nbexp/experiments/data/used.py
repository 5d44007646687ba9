"""Which objects the workspace and commits need: of what is tracked, and of what stages wrote."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp.errors import NotFound, ProjectFileError
from nbexp.events import Emit, Notice
from nbexp.experiments import place
from nbexp.formats.dvc_lock import LockedPath
from nbexp.formats.dvc_yaml import OutSpec
from nbexp.frozen import frozen
from nbexp.pipeline import data as tracked
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.data import Chosen
from nbexp.pipeline.graph import DVC_YAML, STAGE_FILES, Graph
from nbexp.pipeline.stage import Stage

if TYPE_CHECKING:
    from nbexp.experiments.data import Site


@frozen
class Used:
    """An output that a revision needs, and what it held there.

    `path` is relative to the project's root; `inner` is the part of a directory that is meant, empty for all.
    """

    path: str
    locked: LockedPath
    out: OutSpec
    stage: Stage
    inner: str = ""

    @property
    def md5(self) -> str:
        return self.locked.md5

    @property
    def is_import(self) -> bool:
        """Whether another repository keeps the data."""
        file = self.stage.data
        deps = file.tree.get("deps") if file is not None else None
        return isinstance(deps, list) and any(isinstance(d, Mapping) and "repo" in d for d in deps)


def revisions(
    site: Site, *, all_branches: bool = False, all_tags: bool = False, all_commits: bool = False
) -> list[str]:
    """The commits that DVC's options of these names mean; the workspace is not among them."""
    if all_commits:
        words = ["HEAD", "--branches", "--tags", "--remotes"]
        if site.git.head() is None:
            words = words[1:]
        return site.git.run("rev-list", *words).decode().split()
    prefixes = ["refs/heads/"] * all_branches + ["refs/tags/"] * all_tags
    return list(dict.fromkeys(site.git.refs(*prefixes).values())) if prefixes else []


def used(
    site: Site,
    targets: Sequence[str] = (),
    *,
    revs: Sequence[str] = (),
    workspace: bool = True,
    with_deps: bool = False,
    recursive: bool = False,
    glob: bool = False,
    emit: Emit,
) -> list[Used]:
    """The outputs whose objects are needed, each with its hash; those that Git keeps are left out.

    Raises
    ------
    NotFound
        A target is in none of the revisions.
    ProjectFileError
        A file of the workspace cannot be read; a commit with such a file is left out, and that is told.
    """
    found: dict[tuple[str, str, str], Used] = {}
    problem: NotFound | None = None
    is_known = False
    for rev, graph, locks in _graphs(site, revs, workspace=workspace, emit=emit):
        try:
            wanted = _globbed(graph, targets, site.here) if glob else list(targets)
            chosen = tracked.choose(
                graph, wanted, site.here, with_deps=with_deps, recursive=recursive
            )
        except NotFound as error:
            problem = problem or error
            continue
        is_known = True
        for one in chosen:
            for item in _of(one, locks):
                found.setdefault((item.md5, item.inner, item.path if rev is None else ""), item)
    if problem is not None and not is_known:
        raise problem
    return list(found.values())


def _of(one: Chosen, locks: Mapping[str, bytes | None]) -> Iterator[Used]:
    if not one.out.cache:
        return
    entry = one.stage.entry_in(locks.get(one.stage.lock_file))
    for locked in entry.outs if entry is not None else ():
        if locked.path == one.out.spelled and locked.md5:
            yield Used(one.out.path, locked, one.out.spec, one.stage, one.inner)


def _graphs(
    site: Site, revs: Sequence[str], *, workspace: bool, emit: Emit
) -> Iterator[tuple[str | None, Graph, dict[str, bytes | None]]]:
    """The pipelines of each revision (None: the workspace) with their lock files; equal ones once."""
    if workspace:
        graph = graphs.load(site.root)
        names = {stage.lock_file for stage in graph.stages}
        places = {name: site.root / name for name in names}
        yield None, graph, {n: p.read_bytes() if p.exists() else None for n, p in places.items()}
    top = f"{site.prefix}/" if site.prefix else ""
    listed = [site.git.paths_named(revs, name) for name in STAGE_FILES] if revs else []
    seen: set[tuple[tuple[str, str], ...]] = set()
    for rev in revs:
        files = [path for paths in listed for path in paths[rev] if path.startswith(top)]
        locks = [
            posixpath.join(posixpath.dirname(path), "dvc.lock")
            for path in files
            if posixpath.basename(path) == DVC_YAML
        ]
        infos = site.git.info_many([f"{rev}:{path}" for path in (*files, *locks)])
        found = {
            path[len(top) :]: info[0]
            for path, info in zip((*files, *locks), infos, strict=True)
            if info is not None
        }
        if tuple(found.items()) in seen:
            continue
        seen.add(tuple(found.items()))
        data = dict(zip(found, site.git.read_many(list(found.values())), strict=True))
        texts = {
            path: text
            for path, text in data.items()
            if text is not None and posixpath.basename(path) != "dvc.lock"
        }
        try:
            read = place.files_of(site.git, site.prefix, rev)
            yield rev, graphs.load(site.root, texts, read), data
        except ProjectFileError as error:
            emit(Notice(f"Commit {rev[:7]} is left out: {error.message}"))


def _globbed(graph: Graph, patterns: Sequence[str], here: str) -> list[str]:
    """The outputs and stages like the patterns, as targets."""
    names = [posixpath.relpath(out.path, here) for _, out in graph.outs]
    names += [stage.address(here) for stage in graph.stages]
    found: dict[str, None] = {}
    for pattern in patterns:
        matching = fnmatch.filter(names, pattern)
        if not matching:
            raise NotFound(f"No output or stage is like `{pattern}`.")
        found.update(dict.fromkeys(matching))
    return list(found)
