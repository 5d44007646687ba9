"""A notebook that somebody has open is never rewritten: it is left alone, named, and its other version offered."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import events
from nbexp.errors import StoreError
from nbexp.experiments import open_notebooks

if TYPE_CHECKING:
    from nbexp import Project
    from tests.conftest import Program

Git = Callable[..., str]
OLD, NEW = ({"cells": [], "metadata": {"v": v}, "nbformat": 4, "nbformat_minor": 5} for v in (1, 2))


def write(path: Path, content: object) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path.read_bytes()


@pytest.fixture
def with_lab(project: Project, git: Git) -> Project:
    """The experiment `start` has lab.ipynb as OLD; on disk it is NEW."""
    write(project.root / "lab.ipynb", OLD)
    git("add", "lab.ipynb", cwd=project.root)
    project.run(name="start")
    write(project.root / "lab.ipynb", NEW)
    return project


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runtime"
    folder.mkdir()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def served(runtime: Path) -> Iterator[Callable[[Path], Any]]:
    """`served(notebook)`: a kernel as a Jupyter server starts it for a notebook."""
    from jupyter_client.manager import KernelManager

    started = []

    def start(notebook: Path) -> Any:
        manager = KernelManager(
            kernel_name="python3", connection_file=str(runtime / f"kernel-{len(started)}.json")
        )
        manager.start_kernel(env={**os.environ, "JPY_SESSION_NAME": str(notebook)})
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        client.stop_channels()
        started.append(manager)
        return manager

    yield start
    for manager in started:
        manager.shutdown_kernel(now=True)


def notices(told: list[events.Event]) -> list[events.Notice]:
    return [event for event in told if isinstance(event, events.Notice)]


def test_apply_leaves_the_asking_notebook_and_offers_its_other_version(with_lab: Project) -> None:
    new = (with_lab.root / "lab.ipynb").read_bytes()
    with_lab.asking_notebook = with_lab.root / "lab.ipynb"
    told: list[events.Event] = []
    applied = with_lab.apply("start", force=True, emit=told.append)
    assert applied.kept == ("lab.ipynb",)
    assert (with_lab.root / "lab.ipynb").read_bytes() == new
    (notice,) = notices(told)
    rev = with_lab.experiment("start").rev[:7]
    assert notice.message == "lab.ipynb is the notebook you are in and stays as it is."
    assert notice.hint == (
        f"`nbexp open {rev} lab.ipynb -o lab@start.ipynb` writes the other version beside it."
    )


def test_the_hint_of_a_project_in_a_folder_is_typed_there(
    pipeline_project: Callable[..., Path],
    opened: Callable[..., Project],
    git: Git,
    nbexp_cli: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    top = pipeline_project(subdir="inner")
    root = top / "inner"
    git("mv", ".dvc", ".dvcignore", "inner", cwd=top)
    git("commit", "--quiet", "--message=move", cwd=top)
    monkeypatch.chdir(root)
    project = opened(root)
    write(root / "nb" / "lab.ipynb", OLD)
    git("add", "nb", cwd=root)
    project.run(name="start")
    write(root / "nb" / "lab.ipynb", NEW)
    project.asking_notebook = root / "nb" / "lab.ipynb"
    told: list[events.Event] = []
    project.apply("start", force=True, emit=told.append)
    (notice,) = notices(told)
    assert notice.message.startswith("nb/lab.ipynb is the notebook you are in")
    assert notice.hint is not None
    words = notice.hint.split("`")[1].split()
    assert words[-1] == "nb/lab@start.ipynb"
    nbexp_cli(*words[1:], cwd=root)
    assert json.loads((root / "nb" / "lab@start.ipynb").read_text()) == OLD


def test_a_notebook_that_jupyter_has_open_is_left_alone_too(
    with_lab: Project, served: Callable[[Path], Any], nbexp_cli: Program
) -> None:
    """From a terminal as well; once its kernel has gone it is a file as any other."""
    lab = with_lab.root / "lab.ipynb"
    new = lab.read_bytes()
    kernel = served(lab)
    done = nbexp_cli("apply", "start", "--force", cwd=with_lab.root)
    assert "lab.ipynb is open in Jupyter and stays as it is." in done.stderr
    assert lab.read_bytes() == new
    kernel.shutdown_kernel(now=True)
    nbexp_cli("apply", "start", "--force", cwd=with_lab.root)
    assert json.loads(lab.read_text()) == OLD


def test_a_connection_file_that_a_crash_left_means_nothing(
    with_lab: Project, runtime: Path
) -> None:
    lab = with_lab.root / "lab.ipynb"
    told = {"transport": "tcp", "ip": "127.0.0.1", "shell_port": 1, "jupyter_session": str(lab)}
    (runtime / "kernel-a.json").write_text(json.dumps(told))
    (runtime / "kernel-b.json").write_text("no json")
    (runtime / "kernel-c.json").write_text("[1]")
    (runtime / "kernel-d.json").write_text(json.dumps({"jupyter_session": 3}))
    assert open_notebooks.found(with_lab.root, None) == {}
    # A kernel that cannot be asked counts as one that lives.
    (runtime / "kernel-e.json").write_text(json.dumps({**told, "transport": "ipc"}))
    assert open_notebooks.found(with_lab.root, None) == {"lab.ipynb": "is open in Jupyter"}


def test_an_output_that_somebody_looks_at_is_brought_back_as_ever(
    project: Project, runtime: Path, git: Git
) -> None:
    pipeline = project.root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("model.txt", "model.ipynb"))
    script = project.root / "train.sh"
    script.write_text(script.read_text().replace("model.txt", "model.ipynb"))
    project.run({"seed": 1}, name="one")
    first = (project.root / "model.ipynb").read_bytes()
    project.run({"seed": 2}, name="two")
    told = {"transport": "ipc", "jupyter_session": str(project.root / "model.ipynb")}
    (runtime / "kernel-a.json").write_text(json.dumps(told))
    assert project.apply("one").kept == ()
    assert (project.root / "model.ipynb").read_bytes() == first
    # The one that asks stays, whatever it is.
    project.asking_notebook = project.root / "model.ipynb"
    assert project.apply("two").kept == ("model.ipynb",)
    assert (project.root / "model.ipynb").read_bytes() == first
    assert project.undo().paths


def test_data_checkout_and_cache_restore_leave_it_alone(project: Project) -> None:
    lab = project.root / "lab.ipynb"
    old = write(lab, OLD)
    project.data.add("lab.ipynb")
    lab.unlink()
    new = write(lab, NEW)
    project.asking_notebook = lab
    told: list[events.Event] = []
    project.data.checkout(force=True, emit=told.append)
    assert lab.read_bytes() == new
    assert [notice.message for notice in notices(told)] == [
        "lab.ipynb is the notebook you are in and stays as it is."
    ]
    project.asking_notebook = None
    project.data.checkout(force=True)
    assert lab.read_bytes() == old


def test_the_run_cache_does_not_rewrite_it(project: Project) -> None:
    project.run({"seed": 1}, name="one")
    project.run({"seed": 2}, name="two")
    project.asking_notebook = project.root / "model.txt"
    key = next(
        run.short for run in project.run_cache.list(stage="train").runs if "one" in run.experiments
    )
    before = (project.root / "metrics.json").read_bytes()
    with pytest.raises(StoreError) as caught:
        project.run_cache.restore(key)
    assert caught.value.message == (
        f"model.txt is the notebook you are in, and run `{key}` would rewrite it. Nothing was restored."
    )
    assert (project.root / "metrics.json").read_bytes() == before


def test_the_name_of_the_other_version_is_one_that_files_have() -> None:
    assert open_notebooks.beside("a/lab.ipynb", "low-lr") == "a/lab@low-lr.ipynb"
    assert open_notebooks.beside("lab.ipynb", "undo-data add x/y.csv") == (
        "lab@undo-data-add-x-y.csv.ipynb"
    )
