"""What a comparison compares: of a commit, or of the workspace, what it says, its other files, its executed notebooks."""

from __future__ import annotations

from collections.abc import Mapping

from nbexp.errors import NotFound, ProjectFileError, StoreError
from nbexp.experiments import catalogue, cell_tree, contents, naming, opening, record
from nbexp.experiments.compare import Side
from nbexp.experiments.data import Site
from nbexp.experiments.reading import Reader
from nbexp.experiments.row import Data
from nbexp.pipeline import graph as graphs


def of(site: Site, what: str | naming.Named, *, param_deps: bool = False) -> Side:
    """One side of a diff, as somebody names it.

    Parameters
    ----------
    what
        An experiment, any commit, `HEAD` or `workspace`.
    param_deps
        Of params, only those that stages read.

    Raises
    ------
    NotFound
        There is nothing of that name.
    ProjectFileError
        A file of it cannot be read; its name is in the message.
    """
    if what == "workspace":
        return of_workspace(site, param_deps=param_deps)
    if what == "HEAD":
        catalogue.head(site.git)  # a repository without a commit is told as such
    name, rev = naming.commit(site.git, what, failed=True)
    return of_commit(site, rev, name, param_deps=param_deps)


def of_commit(site: Site, rev: str, name: str | None = None, *, param_deps: bool = False) -> Side:
    """The side that a commit is; without a name, it is called by its rev."""
    name = rev[:7] if name is None else name
    try:
        data = _reader(site).data(rev, deps_only=param_deps)
        executed = opening.executed(site, rev)
    except ProjectFileError as error:
        error.message = f"{name}: {error.message}"
        raise
    files = {path: entry.oid for path, entry in site.git.tree(rev).items()}
    notebooks = {}
    for path in executed:
        try:
            notebooks[path] = contents.read(site.git, site.cache, site.prefix, rev, path)
        except (NotFound, StoreError):
            continue
    return Side(name, data, _code(site, files, data), notebooks, rev)


def of_workspace(site: Site, *, param_deps: bool = False) -> Side:
    """The side that the workspace is."""
    git, root = site.git, site.root
    data = _reader(site).read(None, deps_only=param_deps)
    files = {path: entry.oid for path, entry in git.tree("HEAD").items()}
    status = git.status()
    changed = [change.path for change in status.changes if (git.root / change.path).is_file()]
    for change in status.changes:
        files.pop(change.path, None)
    files.update(zip(changed, git.hash_files(changed, write=False), strict=True))
    graph = graphs.load(root)
    deps = {_from_top(site, dep.path) for stage in graph.stages for dep in stage.deps}
    new = [path for path in status.untracked if path in deps]
    files.update(zip(new, git.hash_files(new, write=False), strict=True))
    notebooks = {
        path: (root / path).read_bytes()
        for path in record.notebook_targets(graph.stages)
        if (root / path).is_file()
    }
    return Side("workspace", data, _code(site, files, data), notebooks)


def _code(site: Site, files: Mapping[str, str], data: Data) -> dict[str, str]:
    """The files that are neither params, metrics, outputs nor DVC's own records."""
    known = {_from_top(site, path) for path in (*data.params, *data.metrics, *data.outs)}
    # That of a recorded cell says again what its notebook says.
    for name in cell_tree.NAMES:
        own = _from_top(site, f"{name}/dvc.yaml")
        if own in files and cell_tree.is_cells(site.git.read(files[own]) or b""):
            known.add(own)
    try:
        outs = [_from_top(site, out.path) for _, out in graphs.load(site.root).outs]
    except ProjectFileError:
        outs = []  # the workspace may be no part of the comparison
    return {
        path: oid
        for path, oid in files.items()
        if path not in known
        and not path.endswith(("dvc.lock", ".gitignore"))
        and not any(graphs.is_inside(path, out) for out in outs)
    }


def _reader(site: Site) -> Reader:
    return Reader(site.git, site.cache, site.root, site.prefix)


def _from_top(site: Site, path: str) -> str:
    return f"{site.prefix}/{path}" if site.prefix else path
