"""Making a project of a directory, and a stage of a notebook: what `init` does."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from nbexp.errors import NotFound, ProjectFileError
from nbexp.events import Emit, Phase
from nbexp.experiments import founding
from nbexp.formats import dvc_yaml, editing, ignore, ref_names, values
from nbexp.formats.dvc_yaml import adding
from nbexp.formats.notebook import Parameters
from nbexp.frozen import frozen, replace
from nbexp.git import Git
from nbexp.pipeline import detect, kinds
from nbexp.pipeline import graph as graphs
from nbexp.results import Result

# The folder executed notebooks go to, beside the source.
RUNS = "runs"


@frozen
class InitReport(Result):
    """What `init` found and wrote.

    Attributes
    ----------
    parameters
        (name, value as text, type) of the notebook's parameters; `from_cell` says where they stand.
    computed
        Parameters whose default is no plain value: they stay in the notebook.
    differing
        (name, value in params.yaml, default of the notebook) where the two differ; the file wins.
    metrics, live
        (path or series, number of the code cell that writes it).
    wrote
        Files, relative to the project's root; empty when there was nothing to do.
    uncommitted
        Tracked files whose edits were left out of the commit, from the repository's top.
    stages, experiments
        What an existing project holds.
    folder
        Where the notebook and its dvc.yaml lie, as seen from where `init` was typed.
    """

    root: Path
    notebook: str | None
    parameters: tuple[tuple[str, str, str], ...] = ()
    from_cell: str = ""
    metrics: tuple[tuple[str, int | None], ...] = ()
    live: tuple[tuple[str, int | None], ...] = ()
    modules: tuple[str, ...] = ()
    wrote: tuple[str, ...] = ()
    baseline: str | None = None
    message: str | None = None
    new_repository: bool = False
    stages: int = 0
    experiments: int = 0
    differing: tuple[tuple[str, str, str], ...] = ()
    computed: tuple[str, ...] = ()
    uncommitted: tuple[str, ...] = ()
    folder: str = "."

    @property
    def found_project(self) -> bool:
        """Whether there was nothing to do."""
        return not self.wrote

    def to_json(self) -> dict[str, object]:
        return {
            "root": str(self.root),
            "notebook": self.notebook,
            "parameters": {name: value for name, value, _ in self.parameters},
            "metrics": [path for path, _ in self.metrics],
            "live": [name for name, _ in self.live],
            "modules": list(self.modules),
            "wrote": list(self.wrote),
            "baseline": self.baseline,
            "uncommitted": list(self.uncommitted),
            "stages": self.stages,
            "experiments": self.experiments,
        }


def init(here: Path, notebook: str | None, emit: Emit, *, untagged: bool = False) -> InitReport:
    """Make a project around `here` and a stage of the notebook, in one commit of its own files.

    Everything is checked before anything is written.

    Parameters
    ----------
    untagged
        Take the plain assignments of the first code cell where no cell is tagged `parameters`.

    Raises
    ------
    NotFound
        The notebook does not exist, lies outside the repository, or has no parameters cell.
    ProjectFileError
        It is no notebook, or a file of the project cannot be extended.
    """
    git = Git.find(here)
    source = None if notebook is None else _notebook(here, notebook, git)
    root = founding.root_of(here, git)
    present = _present(root, git)
    folder = (
        "." if source is None else Path(os.path.relpath(source.parent, here.resolve())).as_posix()
    )
    if present is not None and (source is None or _has_stage(root, source)):
        shown = None if source is None else source.relative_to(root).as_posix()
        stages, experiments = present
        return InitReport(root, shown, stages=stages, experiments=experiments, folder=folder)
    if source is None:
        return _bare(root, git)
    emit(Phase(f"reading {notebook}"))
    found = detect.inspect(source, root)
    files, report = _plan(root, source, found, untagged)
    report = replace(report, folder=folder)
    return _write(root, git, files, report, [source, *(root / path for path in found.modules)])


def _write(
    root: Path, git: Git | None, files: Mapping[str, bytes], report: InitReport, own: list[Path]
) -> InitReport:
    message = f"nbexp: track {report.notebook}" if report.notebook else "nbexp: start the project"
    wrote, rev = founding.write(root, git, files, own, message)
    return replace(
        report,
        wrote=wrote,
        baseline=rev,
        message=message,
        new_repository=git is None,
        uncommitted=founding.uncommitted(git),
    )


def _plan(
    root: Path, source: Path, found: detect.Found, untagged: bool
) -> tuple[dict[str, bytes], InitReport]:
    """The files to write for a stage of the notebook, and what to say of them."""
    parameters = found.parameters
    shown = source.relative_to(root).as_posix()
    if parameters.cell is None or not (parameters.tagged or untagged):
        raise _no_parameters(source.name, parameters)
    if not parameters.items:
        _require_python(source, shown, parameters.cell)
    folder = posixpath.dirname(shown)
    name = re.sub(r"[^A-Za-z0-9_-]", "_", source.stem)
    _check_name(root, folder, name)
    defaults = {item.name: item.value for item in parameters.items if item.is_literal}
    computed = tuple(item.name for item in parameters.items if not item.is_literal)
    output = f"{RUNS}/{source.name}"
    params, differing = _with_params(root, posixpath.join(folder, "params.yaml"), name, defaults)
    files = {
        posixpath.join(folder, "params.yaml"): params,
        posixpath.join(folder, "dvc.yaml"): adding.add_stage(
            founding.read(root / folder / "dvc.yaml"),
            name,
            _stage(source, folder, name, output, found),
            path=posixpath.join(folder, "dvc.yaml"),
            read=lambda path: founding.read(root / path),
        ),
    }
    ignored = posixpath.join(folder, RUNS, ".gitignore")
    line = ignore.add_line(founding.read(root / ignored), source.name)
    if line is not None:
        files[ignored] = line
    files = {path: data for path, data in files.items() if founding.read(root / path) != data}
    report = InitReport(
        root,
        shown,
        parameters=tuple(
            (item.name, item.text, item.type) for item in parameters.items if item.is_literal
        ),
        from_cell='the cell tagged "parameters"' if parameters.tagged else "the first code cell",
        computed=computed,
        metrics=tuple((metric.path, metric.place.cell) for metric in found.metrics),
        live=tuple((one.name, one.place.cell) for one in found.live),
        modules=found.modules,
        differing=differing,
    )
    return files, report


def _require_python(source: Path, shown: str, number: int) -> None:
    """An empty parameters cell is fine; one that only looks empty, because it cannot be read, is not."""
    from nbexp.formats import notebook

    book = notebook.read(source.read_bytes(), shown)
    cells = [cell for cell in book.cells if cell.number == number]
    if book.is_python and cells and notebook.syntax(cells[0].source) is None:
        raise ProjectFileError(
            f"cell {number}, tagged `parameters`, is not valid Python. Nothing was written.",
            "run that cell in JupyterLab: it says where.",
            path=shown,
        )


def _stage(
    source: Path, folder: str, name: str, output: str, found: detect.Found
) -> dict[str, object]:
    deps = [source.name]
    deps += [posixpath.relpath(module, folder or ".") for module in found.modules]
    flag = "" if found.parameters.tagged else " --untagged"
    stage: dict[str, object] = {
        "cmd": f"nbexp notebook {_quoted(source.name)} {_quoted(output)} --params {name}{flag}",
        "deps": deps,
        "params": [name],
        "outs": [output],
    }
    if found.metrics:
        stage["metrics"] = [{metric.path: {"cache": False}} for metric in found.metrics]
    if found.live:
        stage["plots"] = [{"dvclive/plots/metrics": {"x": "step", "cache": False}}]
    return stage


def _with_params(
    root: Path, path: str, key: str, defaults: Mapping[str, object]
) -> tuple[bytes, tuple[tuple[str, str, str], ...]]:
    """The params file with what the notebook has and it lacks; values already there win."""
    data = founding.read(root / path)
    tree = values.parse(data, path) if data else None
    present = values.lookup(tree, key) if tree else values.MISSING
    if present is values.MISSING:
        edits = [editing.Edit(key, dict(defaults), "add", True)]
        return editing.edit(data or b"", path, edits), ()
    if not isinstance(present, Mapping):
        raise ProjectFileError(
            f"`{key}` is {present!r}, but the notebook's parameters belong there.",
            f"rename `{key}` in {path}, or the notebook.",
            path=path,
        )
    edits = [
        editing.Edit(f"{key}.{name}", value, "add", True)
        for name, value in defaults.items()
        if name not in present
    ]
    differing = tuple(
        (name, str(present[name]), str(value))
        for name, value in defaults.items()
        if name in present and present[name] != value
    )
    return editing.edit(data or b"", path, edits) if edits else data or b"", differing


def _notebook(here: Path, notebook: str, git: Git | None) -> Path:
    path = (here / notebook).absolute()
    if not path.is_file():
        others = sorted(found.name for found in here.glob("*.ipynb") if found.is_file())
        hint = f"`nbexp init {others[0]}`" if others else "save the notebook here first."
        raise NotFound(f"There is no notebook {notebook} in {here}.", hint)
    top = git.root if git is not None else here
    if top not in path.resolve().parents:
        raise NotFound(
            f"{notebook} is outside of {top}, which is to be the project.",
            "run `nbexp init` in a directory that the notebook is in or below.",
        )
    return path.resolve()


def _no_parameters(name: str, parameters: Parameters) -> NotFound:
    names = ", ".join(item.name for item in parameters.items if item.is_literal)
    if names:
        hint = f"`nbexp init {name} --untagged` takes {names} of its first code cell."
    else:
        hint = (
            "put its values in one cell and give it the tag `parameters` (in JupyterLab: the gears at "
            "the top right, Common Tools, Cell Tags)."
        )
    return NotFound(f"{name} has no cell tagged `parameters`. Nothing was written.", hint)


def _present(root: Path, git: Git | None) -> tuple[int, int] | None:
    """How many stages and experiments the project in `root` has; None if it is no project."""
    if git is None or not (root / ".dvc").is_dir():
        return None
    refs = [ref for ref in git.refs("refs/exps/") if ref_names.parse(ref)]
    return len(graphs.load(root).stages), len(refs)


def _has_stage(root: Path, source: Path) -> bool:
    shown = source.relative_to(root).as_posix()
    for stage in graphs.load(root).stages:
        for command in stage.spec.commands:
            read = kinds.notebook_source(command)
            if read is not None and stage.place(read) == shown:
                return True
    return False


def _check_name(root: Path, folder: str, name: str) -> None:
    data = founding.read(root / folder / "dvc.yaml")
    path = posixpath.join(folder, "dvc.yaml")
    stages = (
        dvc_yaml.parse(data, path, lambda path: founding.read(root / path)).stages if data else ()
    )
    if any((stage.group or stage.name) == name for stage in stages):
        raise ProjectFileError(
            f"there is a stage `{name}` already, and it does not run this notebook.",
            "rename the notebook, or the stage.",
            path=path,
        )


def _bare(root: Path, git: Git | None) -> InitReport:
    return _write(root, git, {}, InitReport(root, None), [])


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)
