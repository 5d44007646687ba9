"""Failed runs are kept with what they came to, and are compared like any other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import NotFound, StageFailed
from nbexp.experiments.record import stopped_notebook
from nbexp.pipeline import graph as graphs

if TYPE_CHECKING:
    from nbexp import Project
    from tests.conftest import Program

Files = Callable[[Path], dict[str, tuple[str, bytes]]]
NOTEBOOK = Path(__file__).parents[2] / "example-notebooks" / "first-notebook" / "train.ipynb"


@pytest.fixture
def broken(project: Project) -> Project:
    """`fine`, and `broken`, which wrote its metrics and then failed."""
    project.run({"seed": 1}, name="fine")
    script = project.root / "train.sh"
    text = script.read_text()
    script.write_text(text + "echo 'so far so good'\nexit 3\n")
    with pytest.raises(StageFailed):
        project.run({"train.lr": 0.05}, name="broken")
    script.write_text(text)
    return project


def test_a_failed_run_is_a_row_with_its_partial_metrics(broken: Project) -> None:
    assert [row.name for row in broken.show().experiments] == ["fine"]
    rows = {row.name: row for row in broken.show(all_states=True).experiments}
    assert rows["broken"].state == "failed"
    assert rows["broken"].params["train.lr"] == 0.05
    assert rows["broken"].metrics["acc"] == pytest.approx(0.9143)


def test_a_failed_run_is_compared_by_its_name(broken: Project, nbexp_cli: Program) -> None:
    found = broken.diff("fine", "broken")
    assert [(one.key, one.old, one.new) for one in found.params] == [("train.lr", 0.1, 0.05)]
    assert {one.key for one in found.metrics} == {"acc"}
    assert [path for path, _ in found.code] == ["train.sh"]
    shown = nbexp_cli("diff", "broken", "fine", "--json", cwd=broken.root).stdout
    assert json.loads(shown)["params"]["params.yaml"]["train.lr"]["old"] == 0.05


def test_a_failed_run_is_plotted_by_its_name(broken: Project) -> None:
    curves = broken.plot("acc", "fine", "broken")
    assert [one.name for one in curves.series] == ["fine", "broken"]


def test_what_a_failed_run_left_is_read_by_its_name(broken: Project) -> None:
    assert json.loads(broken.read("broken", "metrics.json"))["acc"] == pytest.approx(0.9143)
    assert broken.read("broken", "train.sh").endswith(b"exit 3\n")


def test_a_failed_notebook_is_opened_and_compared(
    tmp_path: Path, nbexp_cli: Program, opened: Callable[..., Project], files: Files
) -> None:
    shutil.copy(NOTEBOOK, tmp_path)
    nbexp_cli("init", "train.ipynb", cwd=tmp_path)
    nbexp_cli("run", "-n", "fine", cwd=tmp_path)
    nbexp_cli("run", "-n", "broken", "-S", "train.epochs=0", cwd=tmp_path, code=1)
    before = files(tmp_path)
    project = opened(tmp_path)
    assert b"NameError" in project.open("broken").data
    (change,) = project.diff("fine", "broken").notebooks
    assert change.cells
    assert files(tmp_path) == before


def test_a_run_that_stopped_before_its_notebook_is_not_said_to_have_one(
    tmp_path: Path, nbexp_cli: Program
) -> None:
    shutil.copy(NOTEBOOK, tmp_path / "train.ipynb")
    nbexp_cli("init", "train.ipynb", cwd=tmp_path)
    # An interrupt while the kernel starts is such a stop; a param that the notebook lacks is one that comes each time.
    told = nbexp_cli("run", "-S", "+train.nosuch=1", "-n", "early", cwd=tmp_path, code=1)
    assert "nbexp open early" not in told.stderr
    opened = nbexp_cli("open", "early", cwd=tmp_path, code=3)
    assert opened.stderr == (
        "Experiment `early` has no executed notebook: it stopped before there was one.\n"
        "Hint: `nbexp logs early` shows what it wrote.\n"
    )
    stages = graphs.load(tmp_path).stages
    assert stopped_notebook(tmp_path, stages, tmp_path / "none") is None
    (tmp_path / "runs" / "train.ipynb").write_text("{}")
    assert (
        stopped_notebook(tmp_path, stages, tmp_path / "none") == tmp_path / "runs" / "train.ipynb"
    )


def test_of_several_notebooks_the_one_that_stopped_is_opened(
    tmp_path: Path, nbexp_cli: Program
) -> None:
    for name in ("a.ipynb", "b.ipynb"):
        shutil.copy(NOTEBOOK, tmp_path / name)
        nbexp_cli("init", name, cwd=tmp_path)
    # Both would write the same files: the first one alone has run.
    text = (tmp_path / "dvc.yaml").read_text()
    head, _, second = text.partition("  b:\n")
    second = second.partition("    metrics:")[0]
    (tmp_path / "dvc.yaml").write_text(f"{head}  b:\n{second}")
    nbexp_cli("run", "-n", "fine", "a", cwd=tmp_path)
    nbexp_cli("run", "-n", "broken", "b", "-S", "b.epochs=0", cwd=tmp_path, code=1)
    assert nbexp_cli("open", "broken", cwd=tmp_path).stdout.startswith("runs/b.ipynb of broken")
    assert nbexp_cli("open", "fine", cwd=tmp_path).stdout.startswith("runs/a.ipynb of fine")


def test_a_failed_run_ends_with_gc(broken: Project) -> None:
    broken.gc("failed", yes=True)
    assert [row.name for row in broken.show(all_states=True).experiments] == ["fine"]
    with pytest.raises(NotFound, match="There is no experiment `broken`"):
        broken.diff("fine", "broken")


def test_fifty_are_removed_at_once_and_come_back(project: Project) -> None:
    """One transaction of Git each way, however many."""
    project.run(name="first")
    head, rev = str(project.git.head()), project.experiment("first").rev
    prefix = f"refs/exps/{head[:2]}/{head[2:]}/"
    project.git.update_refs([(f"{prefix}e{n}", rev, None) for n in range(50)])
    names = [f"e{n}" for n in range(50)]
    started = project.git.processes
    project.remove(*names)
    assert project.git.processes - started <= 2
    assert project.names == ["first"]
    project.trash.restore(*names)
    assert len(project.names) == 51
    project.undo()
    assert project.names == ["first"]
    project.undo()
    assert len(project.names) == 51
