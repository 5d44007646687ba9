"""Plots in a notebook: `%exp plots show` and `diff` through a real kernel, and what an export keeps of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

import nbexp
from nbexp.experiments.plots import Chart
from nbexp.plots import render

DOCS = Path(__file__).parents[2] / "docs"

CELLS = [
    "%load_ext nbexp",
    "%exp run -q -n low -S train.lr=0.03",
    "%exp run -q -n high -S train.lr=0.5",
    "%exp plots diff low high",
    "%exp plots show -o report",
    "shown = %exp plots diff low high -t scatter\n[one.id for one in shown], shown['plots/acc.csv'].revisions",
    "%exp plots show gone.csv",
    "%exp plots show -t scater",
]


@pytest.fixture
def executed(pipeline_project: Callable[..., Path]) -> tuple[Path, Any]:
    """The project, and a notebook beside it whose cells were run in it."""
    root = pipeline_project()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(
        notebook,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(root)}},
    ).execute()
    return root, notebook


def test_a_notebook_shows_plots_and_keeps_them(executed: tuple[Path, Any]) -> None:
    root, notebook = executed
    outputs = {number: cell.outputs for number, cell in enumerate(notebook.cells)}
    (compared,) = outputs[3]
    assert {*compared.data} == {
        "text/plain",
        "text/html",
        "image/png",
        "image/svg+xml",
        "application/vnd.vegalite.v5+json",
    }
    assert compared.data["text/plain"].splitlines()[0] == "plots/acc.csv   (acc by step)"
    assert "low       3     0.9    0.9333  0.9   0.9333" in compared.data["text/plain"]
    chart = compared.data["application/vnd.vegalite.v5+json"]
    assert {row["rev"] for row in chart["data"]["values"]} == {"low", "high"}
    # A cell needs no page; the one that was asked for is there.
    assert not (root / "dvc_plots").exists()
    assert (root / "report" / "index.html").is_file()
    assert outputs[5][-1].data["text/plain"] == "(['plots/acc.csv'], ('low', 'high'))"
    told = str(outputs[6])
    assert "there is no gone.csv" in told or "no plots" in told
    (refused,) = [one for one in outputs[7] if one.output_type == "error"]
    assert "There is no template `scater`." in "\n".join(refused.traceback)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    for text in ("low", "high", "0.9333", "<table"):
        assert text in page


def test_the_picture_of_the_how_to_page_is_what_is_drawn(
    tmp_path: Path, git: Callable[..., str], nbexp_cli: Callable[..., Any]
) -> None:
    root = tmp_path / "scripts"
    shutil.copytree(DOCS / "_projects" / "scripts", root)
    git("init", "--quiet", "--initial-branch=main", cwd=root)
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=scripts", cwd=root)
    nbexp_cli("init", cwd=root)
    nbexp_cli("run", "-q", "-n", "slow", cwd=root)
    nbexp_cli("run", "-q", "-n", "fast", "-S", "train.lr=0.4", cwd=root)
    project = nbexp.open(root)
    chart = project.plots.diff("slow", "fast")["plots/loss.csv"]
    project.close()
    assert isinstance(chart, Chart)
    drawn = render.svg(chart.drawn()) + "\n"
    assert drawn == (DOCS / "_static" / "plots-diff.svg").read_text("utf-8")
