"""MLflow's file store: the runs of a folder `mlruns`, read from its plain files.

    mlruns/<experiment>/meta.yaml                   name, lifecycle_stage
    mlruns/<experiment>/<run>/meta.yaml             run_id, run_name, status, start_time, lifecycle_stage
    mlruns/<experiment>/<run>/params/<key>          the value as text
    mlruns/<experiment>/<run>/metrics/<key>         lines `timestamp value step`
    mlruns/<experiment>/<run>/tags/<key>            the value as text

Keys may hold slashes, which are folders. Source: MLflow 2.0 to 3.4, `mlflow/store/tracking/file_store.py`; later
columns of a metric's line are of data sets and not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from nbexp.errors import NotFound, ProjectFileError
from nbexp.formats import limits, values
from nbexp.frozen import field, frozen

State = Literal["done", "failed", "interrupted"]

# mlflow/entities/run_status.py; older stores have the number, and one that runs no more says RUNNING for ever.
_STATES: Mapping[str, State] = {
    "1": "interrupted", "RUNNING": "interrupted",
    "2": "interrupted", "SCHEDULED": "interrupted",
    "3": "done", "FINISHED": "done",
    "4": "failed", "FAILED": "failed",
    "5": "interrupted", "KILLED": "interrupted",
}  # fmt: skip


@frozen
class MlflowRun:
    """One run: its params as text, and each metric as its points (step, value) in order."""

    id: str
    name: str
    experiment: str
    state: State
    started_s: int | None
    params: Mapping[str, str] = field(hash=False)
    metrics: Mapping[str, tuple[tuple[int, float], ...]] = field(hash=False)
    tags: Mapping[str, str] = field(hash=False)


def read(folder: Path) -> tuple[MlflowRun, ...]:
    """The runs of a store, oldest first; `folder` is `mlruns`, what holds it, or one experiment of it.

    Deleted runs are left out.

    Raises
    ------
    NotFound
        It is no folder, or not MLflow's.
    ProjectFileError
        A file of it cannot be read.
    """
    if not folder.is_dir():
        raise NotFound(
            f"`{folder}` is no folder. Nothing was imported.",
            "MLflow keeps its runs in `mlruns`: `nbexp import mlflow mlruns`.",
        )
    if (folder / "mlruns").is_dir():
        folder = folder / "mlruns"
    experiments = [folder] if (folder / "meta.yaml").is_file() else sorted(_below(folder))
    experiments = [one for one in experiments if (one / "meta.yaml").is_file()]
    if not experiments:
        raise NotFound(
            f"`{folder}` is no folder of MLflow: no meta.yaml is in it or below it. Nothing was imported.",
            "runs of an MLflow server or database are written into a table first: "
            "`mlflow experiments csv --experiment-id 0 --filename runs.csv`, then `nbexp import csv runs.csv`.",
        )
    found = [run for experiment in experiments for run in _runs(experiment)]
    return tuple(sorted(found, key=lambda run: (run.started_s or 0, run.id)))


def state_of(status: str) -> State:
    """What became of a run of this status, by MLflow's word or number."""
    return _STATES.get(status, "done")


def _below(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.name.startswith("."):  # `.trash`
            yield entry


def _runs(experiment: Path) -> Iterator[MlflowRun]:
    meta = _mapping(experiment / "meta.yaml")
    if "run_id" in meta or "run_uuid" in meta:
        yield from _run(experiment, meta, "")
        return
    if meta.get("lifecycle_stage") == "deleted":
        return
    name = str(meta.get("name", experiment.name))
    for folder in sorted(_below(experiment)):
        if (folder / "meta.yaml").is_file():
            found = _mapping(folder / "meta.yaml")
            if "run_id" in found or "run_uuid" in found:  # else MLflow 3's `models`
                yield from _run(folder, found, name)


def _run(folder: Path, meta: Mapping[str, object], experiment: str) -> Iterator[MlflowRun]:
    if meta.get("lifecycle_stage") == "deleted":
        return
    run_id = str(meta.get("run_id") or meta.get("run_uuid") or folder.name)
    tags = {key: _text(file) for key, file in _files(folder / "tags")}
    started = meta.get("start_time")
    yield MlflowRun(
        id=run_id,
        name=str(meta.get("run_name") or tags.get("mlflow.runName") or run_id),
        experiment=experiment,
        state=state_of(str(meta.get("status"))),
        started_s=int(started) // 1000 if isinstance(started, int | float) else None,
        params={key: _text(file).rstrip("\n") for key, file in _files(folder / "params")},
        metrics={key: _points(file) for key, file in _files(folder / "metrics")},
        tags=tags,
    )


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files below a folder with their keys."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            if not name.startswith("."):
                yield file.relative_to(folder).as_posix(), file


def _points(file: Path) -> tuple[tuple[int, float], ...]:
    found: list[tuple[int, int, float]] = []
    for number, line in enumerate(_text(file).splitlines(), 1):
        parts = line.split(" ")
        if not line.strip():
            continue
        try:
            step = int(parts[2]) if len(parts) > 2 else len(found)
            found.append((step, int(parts[0]), float(parts[1])))
        except (ValueError, IndexError):
            raise ProjectFileError(
                f"`{line[:40]}` is no point of a metric; `timestamp value step` is expected. "
                "Nothing was imported.",
                path=str(file),
                line=number,
            ) from None
    found.sort(key=lambda point: (point[0], point[1]))
    return tuple((step, value) for step, _, value in found)


def _mapping(file: Path) -> Mapping[str, object]:
    tree = values.parse(_bytes(file), str(file))
    if not isinstance(tree, Mapping):
        raise ProjectFileError(
            "a mapping is expected, as MLflow writes it. Nothing was imported.", path=str(file)
        )
    return {str(key): value for key, value in tree.items()}


def _text(file: Path) -> str:
    return limits.decoded(_bytes(file), str(file))


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ProjectFileError(
            f"it cannot be read: {error.strerror}. Nothing was imported.", path=str(file)
        ) from None
