"""A cell in an experiment's tree: a folder with a pipeline of one stage, which runs the cell again.

    cell/dvc.yaml       the stage `cell`: `nbexp notebook cell/cell.ipynb cell/run.ipynb`
    cell/dvc.lock       what it ran on and what came out of it
    cell/cell.ipynb     the cell, behind the values and the code that it takes from its session
    cell/run.ipynb      the same with outputs, in the cache
    cell/params.yaml    params that no file of the project has
    cell/metrics.json   what it returned or logged
    cell/figures/       the pictures that it showed
    cell/live/          what it logged by step

The folder is the same for every cell, so two of them differ in the files that have their names: `diff` shows how the
code of the cells differs, and their metrics share a column. docs/design/a-cell-is-a-stage.md says why a stage.
"""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbexp import filesystem, hashing
from nbexp.errors import NbexpError, UsageError
from nbexp.experiments.cell_needs import Needs, Param
from nbexp.experiments.cell_results import FIGURES, LIVE, METRICS
from nbexp.formats import dvc_lock, notebook, values
from nbexp.formats.dvc_lock import LockedPath, LockedStage, LockFile
from nbexp.frozen import field, frozen
from nbexp.store.cache import Cache, Hash

STAGE = "cell"
NAMES = ("cell", "exp-cell", "nbexp-cell")
NOTEBOOK, RUN, PARAMS = "cell.ipynb", "run.ipynb", "params.yaml"

_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# What a Python kernel says of itself, in the form that is the same for each version.
_LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}


@frozen
class Plan:
    """What is known before the cell runs.

    Attributes
    ----------
    folder
        The cell's, from the project's root; `cwd` is where the code runs, from there as well.
    deps
        Files that it reads, from the project's root.
    """

    source: str
    needs: Needs
    folder: str
    cwd: str = "."
    deps: tuple[str, ...] = ()


@frozen
class Result:
    """What came of it: outputs as a notebook has them, metrics, figures by name, and what was logged by step."""

    outputs: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, object] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)
    live: Mapping[str, bytes] = field(default_factory=dict)
    params: tuple[Param, ...] = ()


def folder_for(root: Path, taken: Callable[[str], bool]) -> str:
    """The folder for the cell: the first of `NAMES` that is free, or holds a cell already.

    `taken` says whether Git has anything below a path of the project.

    Raises
    ------
    UsageError
        All of them are the user's.
    """
    for name in NAMES:
        if is_cell(root / name / "dvc.yaml"):
            return name
        if not (root / name).exists() and not taken(name):
            return name
    raise UsageError(
        f"Folders {', '.join(NAMES)} are all in use, and a cell needs one of them. Nothing was run.",
        f"rename the folder {NAMES[0]}.",
    )


def is_cell(path: Path) -> bool:
    """Whether this dvc.yaml is that of a cell."""
    try:
        return is_cells(path.read_bytes())
    except OSError:
        return False


def is_cells(data: bytes) -> bool:
    """Whether these bytes are the dvc.yaml of a cell."""
    if b"nbexp" not in data:
        return False
    try:
        tree = values.parse(data, "dvc.yaml")
    except NbexpError:
        return False
    return values.lookup(tree, f"stages.{STAGE}.meta.nbexp.cell") is True


def source_notebook(plan: Plan) -> bytes:
    """The notebook that runs the cell again."""
    cells = _cells(plan)
    return notebook.canonical(_book(cells))


def run_notebook(plan: Plan, outputs: Sequence[Mapping[str, Any]], folders: Sequence[str]) -> bytes:
    """The same notebook as this kernel has executed it, in the form that a stage would write."""
    cells = _cells(plan)
    for number, cell in enumerate(cells, 1):
        cell["execution_count"] = number
        if cell["id"] == STAGE:
            cell["outputs"] = [_with_count(output, number) for output in outputs]
    book = _book(cells, language_info=_LANGUAGE)
    return notebook.canonical(book, source=source_notebook(plan), folders=folders)


def files(
    plan: Plan, result: Result, cache: Cache, root: Path, scratch: Path
) -> tuple[dict[str, bytes], str, LockedStage]:
    """The files of the folder by their names in it, the md5 of the executed notebook, and the stage's entry.

    Parameters
    ----------
    scratch
        A folder to put files into whose hash is that of their folder.
    """
    made: dict[str, bytes] = {NOTEBOOK: source_notebook(plan)}
    own = [one for one in result.params if not one.is_lent]
    if own:
        made[PARAMS] = dvc_lock.dump_tree({one.key: one.value for one in own})
    if result.metrics:
        from nbexp.experiments.cell_results import dump_metrics

        made[METRICS] = dump_metrics(result.metrics)
    made |= {f"{FIGURES}/{name}": data for name, data in result.figures.items()}
    made |= {f"{LIVE}/{name}": data for name, data in result.live.items()}
    run = cache.put(run_notebook(plan, result.outputs, [str(root), str(root.resolve())]))
    hashes: dict[str, Hash] = {RUN: run}
    if METRICS in made:
        hashes[METRICS] = _hash(made[METRICS])
    for name in (FIGURES, LIVE):
        inner = {path: data for path, data in made.items() if path.startswith(f"{name}/")}
        if inner:
            for path, data in inner.items():
                filesystem.atomic_write(scratch / path, data, durable=False)
            found = cache.hash(scratch / name)
            assert found is not None
            hashes[name] = found
    tree = _stage_file(plan, result, [name for name in hashes if name != RUN])
    made["dvc.yaml"] = dvc_lock.dump_tree(tree)
    entry = _entry(plan, result, hashes, cache, root, made[NOTEBOOK])
    made["dvc.lock"] = LockFile({}).with_stage(STAGE, entry).dump()
    made[".gitignore"] = f"/{RUN}\n".encode()
    return made, run.md5, entry


def _command(plan: Plan) -> str:
    names = [_seen(plan, f"{plan.folder}/{name}") for name in (NOTEBOOK, RUN)]
    return shlex.join(["nbexp", "notebook", *names])


def _stage_file(plan: Plan, result: Result, outs: Sequence[str]) -> dict[str, object]:
    stage: dict[str, object] = {"cmd": _command(plan)}
    wdir = posixpath.relpath(plan.cwd, plan.folder)
    stage["wdir"] = wdir
    stage["deps"] = [_seen(plan, path) for path in _deps(plan)]
    params: list[object] = []
    for path, keys in _params(plan, result).items():
        params += list(keys) if path == "params.yaml" else [{path: list(keys)}]
    if params:
        stage["params"] = params
    results: list[object] = [_seen(plan, f"{plan.folder}/{RUN}")]
    if LIVE in outs:
        results.append({_seen(plan, f"{plan.folder}/{LIVE}"): {"cache": False}})
    stage["outs"] = results
    if METRICS in outs:
        stage["metrics"] = [{_seen(plan, f"{plan.folder}/{METRICS}"): {"cache": False}}]
    if FIGURES in outs:
        stage["plots"] = [{_seen(plan, f"{plan.folder}/{FIGURES}"): {"cache": False}}]
    stage["meta"] = {"nbexp": {"cell": True}}
    tree: dict[str, object] = {"stages": {STAGE: stage}}
    tables = [path for path in result.live if path.startswith("plots/metrics/")]
    plots: list[object] = [{f"{LIVE}/plots/metrics": {"x": "step"}}] if tables else []
    if any(path.startswith("plots/images/") for path in result.live):
        plots.append(f"{LIVE}/plots/images")
    if plots:
        tree["plots"] = plots
    if "params.yaml" in result.live:
        tree["params"] = [f"{LIVE}/params.yaml"]
    return tree


def _entry(
    plan: Plan,
    result: Result,
    hashes: Mapping[str, Hash],
    cache: Cache,
    root: Path,
    source: bytes,
) -> LockedStage:
    deps = []
    for path in _deps(plan):
        found = _hash(source) if path.startswith(f"{plan.folder}/") else cache.hash(root / path)
        if found is not None:
            deps.append(_locked(_seen(plan, path), found))
    outs = [_locked(_seen(plan, f"{plan.folder}/{name}"), found) for name, found in hashes.items()]
    return LockedStage(
        _command(plan),
        tuple(sorted(deps, key=lambda one: one.path)),
        dict(sorted(_params(plan, result).items())),
        tuple(sorted(outs, key=lambda one: one.path)),
    )


def _params(plan: Plan, result: Result) -> dict[str, dict[str, object]]:
    """The params by file, as the stage spells it, and key."""
    found: dict[str, dict[str, object]] = {}
    for one in result.params:
        path = _seen(plan, one.file or f"{plan.folder}/{PARAMS}")
        found.setdefault(path, {})[one.key] = one.value
    return {path: dict(sorted(keys.items())) for path, keys in found.items()}


def _deps(plan: Plan) -> list[str]:
    return [f"{plan.folder}/{NOTEBOOK}", *plan.deps]


def _seen(plan: Plan, path: str) -> str:
    """A path of the project as the code sees it."""
    return posixpath.relpath(path, plan.cwd)


def _locked(spelled: str, found: Hash) -> LockedPath:
    return LockedPath(spelled, found.md5, found.size, found.nfiles, found.isexec)


def _hash(data: bytes) -> Hash:
    return Hash(hashing.md5(data), len(data))


# ---- the notebook


def _cells(plan: Plan) -> list[dict[str, Any]]:
    needs = plan.needs
    folder = _seen(plan, plan.folder)
    lines = ["from nbexp.jupyter import replay", "", f"replay.begin({folder!r})"]
    lines += [
        f"{read.name} = {read.text}" for read in needs.reads if read.kind == "value" and read.text
    ]
    for one in needs.params:
        file = _seen(plan, one.file or f"{plan.folder}/{PARAMS}")
        lines.append(f"{one.name} = replay.param({one.key!r}, {file!r})")
    cells = [_cell("session", "\n".join(lines), tags=[notebook.PARAMETERS])]
    if needs.code:
        cells.append(_cell("earlier", "\n\n".join(needs.code)))
    about = {"reads": {read.name: read.to_json() for read in needs.reads}}
    cells.append(_cell(STAGE, plan.source.rstrip("\n"), nbexp=about))
    cells.append(_cell("results", "replay.end()"))
    return cells


def _cell(id: str, source: str, **metadata: object) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": id,
        "metadata": metadata,
        "outputs": [],
        "source": source,
    }


def _book(cells: Sequence[Mapping[str, object]], **metadata: object) -> bytes:
    whole = {
        "cells": list(cells),
        "metadata": {"kernelspec": _KERNEL, **metadata},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole).encode()


def _with_count(output: Mapping[str, Any], number: int) -> dict[str, Any]:
    return (
        {**output, "execution_count": number}
        if output.get("output_type") == "execute_result"
        else dict(output)
    )
