"""The example notebooks, and the two verbs that bring them to users: `nbexp demo` and `nbexp lab`."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from nbexp import live
from nbexp.commands import demo, lab
from nbexp.errors import NbexpError, NotFound
from nbexp.events import CommandStarted, Event, ignore

RunGit = Callable[..., str]
RunProgram = Callable[..., "subprocess.CompletedProcess[str]"]

EXAMPLES = Path(__file__).parents[1] / "example-notebooks"
NOTEBOOKS = sorted(EXAMPLES.glob("*/*.ipynb"))


def code_cells(notebook: Path) -> list[Any]:
    cells = nbformat.read(notebook, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def arguments_of(verb: Any, *typed: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    verb.arguments(parser)
    return parser.parse_args(typed, argparse.Namespace(folder="."))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_notebook_is_valid_and_has_not_been_run(path: Path) -> None:
    written = json.loads(path.read_text())
    nbformat.validate(written)
    assert (written["nbformat"], written["nbformat_minor"]) == (4, 5)
    for cell in written["cells"]:
        assert cell["id"]
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.parametrize(
    ("lr", "epochs", "seed", "acc"),
    [
        (0.1, 10, 0, 0.875),
        (0.03, 10, 0, 0.945),
        (0.01, 10, 0, 0.925),
        (0.05, 10, 0, 0.925),
        (0.001, 10, 0, 0.916),
        (0.03, 20, 0, 0.9475),
        (0.01, 10, 1, 0.926),
    ],
)
def test_the_first_notebook_gives_exact_results(
    lr: float,
    epochs: int,
    seed: int,
    acc: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parameters, *rest = code_cells(EXAMPLES / "first-notebook/train.ipynb")
    assert parameters.metadata.tags == ["parameters"]
    assert parameters.source == "lr = 0.1\nepochs = 10\nseed = 0"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(live, "_started", {})  # as in a new kernel
    names = {"lr": lr, "epochs": epochs, "seed": seed}
    for cell in rest:
        exec(cell.source, names)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"acc": acc}
    curve = (tmp_path / "dvclive/plots/metrics/acc.tsv").read_text().splitlines()
    assert (curve[0], curve[-1], len(curve)) == ("step\tacc", f"{epochs}\t{acc}", epochs + 1)


def test_the_first_lab_notebook_goes_through_the_first_five_minutes() -> None:
    cells = code_cells(EXAMPLES / "first-notebook/lab.ipynb")
    assert [cell.source for cell in cells] == [
        "%load_ext nbexp",
        "%exp init train.ipynb",
        "%exp run -n dusty-crow",
        "%exp run -n mauve-pike -S train.lr=0.03",
        "%exp run -S train.lr=0.03",
        "%exp run -S train.lrr=0.03",
        "%exp show",
        "%exp diff dusty-crow mauve-pike",
        "%exp plot acc",
    ]
    assert [cell.metadata.get("tags") for cell in cells if "lrr" in cell.source] == [
        ["raises-exception"]
    ]


def test_params_yaml_of_digits_holds_the_defaults_of_the_notebook() -> None:
    parameters = code_cells(EXAMPLES / "digits/train.ipynb")[0]
    assert parameters.metadata.tags == ["parameters"]
    names: dict[str, Any] = {}
    exec(parameters.source, {}, names)
    assert yaml.safe_load((EXAMPLES / "digits/params.yaml").read_text())["train"] == names


def test_every_stage_of_digits_lists_the_project_modules_it_imports() -> None:
    folder = EXAMPLES / "digits"
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    for stage in stages.values():
        sources = {dep: (folder / dep).read_text() for dep in stage["deps"] if dep.endswith(".py")}
        for dep in stage["deps"]:
            if dep.endswith(".ipynb"):
                sources[dep] = "\n".join(cell.source for cell in code_cells(folder / dep))
        imported = {
            f"{node.module}.py"
            for source in sources.values()
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.ImportFrom)
        }
        own = {name for name in imported if (folder / name).exists()}
        assert own <= set(stage["deps"])


def test_the_stages_of_digits_write_equal_bytes_twice(tmp_path: Path) -> None:
    cells = code_cells(EXAMPLES / "digits/train.ipynb")
    source = "\n".join(cell.source for cell in cells)
    runs = []
    for name in ("once", "twice"):
        folder = tmp_path / name
        (folder / "runs").mkdir(parents=True)
        for file in ("prepare.py", "features.py", "evaluate.py", "params.yaml"):
            (folder / file).write_bytes((EXAMPLES / "digits" / file).read_bytes())
        (folder / "train.py").write_text(source)
        # One interpreter for the three stages: most of their time is importing scikit-learn.
        script = "import runpy\nfor stage in ('prepare', 'train', 'evaluate'):\n"
        script += "    runpy.run_path(f'{stage}.py')\n"
        runs.append(
            subprocess.Popen(
                [sys.executable, "-c", script], cwd=folder, stdout=subprocess.PIPE, text=True
            )
        )
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert said[0] == said[1]

    def results(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.suffix not in {".py", ".pyc"}
        }

    once = results(tmp_path / "once")
    assert once == results(tmp_path / "twice")
    assert {"model.npz", "metrics.json", "evaluation.json", "plots/confusion.png"} <= set(once)
    assert json.loads(once["metrics.json"])["accuracy"] > 0.85


# --- nbexp demo ---------------------------------------------------------------------------------


def test_demo_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("keep me")
    with pytest.raises(NbexpError) as refused:
        demo.run(None, arguments_of(demo, str(tmp_path)), ignore)
    assert refused.value.message == f"{tmp_path} exists and is not empty. Nothing was copied."
    assert refused.value.hint == "a folder of another name will do: `nbexp demo another-folder`."
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_demo_names_what_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sklearn" else find(name)
    )
    with pytest.raises(NotFound) as missing:
        demo.run(None, arguments_of(demo, str(tmp_path / "new")), ignore)
    assert missing.value.message == (
        "The example digits needs scikit-learn, not installed here. Nothing was copied."
    )
    assert missing.value.hint == '`pip install "nbexp[demo]"`'
    assert not (tmp_path / "new").exists()


def lab_of(folder: Path, *sources: str, failing: str | None = None) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    for cell in cells:
        if cell.source == failing:
            cell.metadata["tags"] = ["raises-exception"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "lab.ipynb")
    return folder / "lab.ipynb"


def test_a_lab_notebook_runs_in_this_python_and_becomes_a_page(tmp_path: Path) -> None:
    notebook = lab_of(tmp_path, "import sys; print(sys.executable)", "1 / 0", failing="1 / 0")
    before = notebook.read_bytes()
    told: list[Event] = []
    demo.execute(tmp_path, told.append)
    assert told == [
        CommandStarted("lab.ipynb", "[1/2] import sys; print(sys.executable)"),
        CommandStarted("lab.ipynb", "[2/2] 1 / 0"),
    ]
    executed = code_cells(tmp_path / "lab.executed.ipynb")
    assert executed[0].outputs[0].text == f"{sys.executable}\n"
    assert executed[1].outputs[0].ename == "ZeroDivisionError"
    page = (tmp_path / "lab.html").read_text()
    assert sys.executable in page
    assert 'src="http' not in page
    assert notebook.read_bytes() == before


def test_a_cell_that_stops_is_named_and_the_notebook_kept(tmp_path: Path) -> None:
    lab_of(tmp_path, "x = 1", "undefined", "x = 2")
    with pytest.raises(NbexpError) as stopped:
        demo.execute(tmp_path, ignore)
    assert stopped.value.message == (
        "Cell 2 of lab.ipynb (`undefined`) stopped: NameError: name 'undefined' is not defined"
    )
    kept = tmp_path / "lab.executed.ipynb"
    assert stopped.value.hint == f"the notebook as it stopped is {kept}."
    assert [cell.execution_count for cell in code_cells(kept)] == [1, 2, None]


def test_a_cell_that_should_fail_and_does_not_is_named(tmp_path: Path) -> None:
    lab_of(tmp_path, "1 / 0", "x = 1", failing="x = 1")
    passed = code_cells(tmp_path / "lab.ipynb")[1]
    assert demo.problem(passed) == "passed, yet it is tagged raises-exception."


def test_a_kernel_that_dies_is_said_with_its_cell(tmp_path: Path) -> None:
    lab_of(tmp_path, "import os; os._exit(3)")
    with pytest.raises(NbexpError) as died:
        demo.execute(tmp_path, ignore)
    assert died.value.message == (
        "Cell 1 of lab.ipynb (`import os; os._exit(3)`) stopped: its kernel died."
    )


def test_demo_leaves_the_repository_around_it_alone(repo: Path, git: RunGit) -> None:
    folder = repo / "tryout"
    report = demo.run(None, arguments_of(demo, str(folder), "--example", "first-notebook"), ignore)
    assert git("rev-parse", "--show-toplevel", cwd=folder) == str(folder)
    assert git("log", "--format=%s", cwd=folder) == "nbexp: track train.ipynb"
    assert git("for-each-ref", "--format=%(refname)", cwd=repo) == "refs/heads/main"
    assert git("status", "--porcelain", cwd=repo) == "?? tryout/"

    rows = [line.split() for line in str(report).splitlines()[:5]]
    assert rows[0] == ["experiment", "created", "acc", "train.lr", "train.epochs", "train.seed"]
    assert [[row[0], *row[2:]] for row in rows[1:]] == [
        ["workspace", "0.945", "0.03", "10", "0"],
        ["main", "-", "0.1", "10", "0"],
        ["mauve-pike", "0.945", "0.03", "10", "0"],
        ["dusty-crow", "0.875", "0.1", "10", "0"],
    ]
    assert str(report).splitlines()[5:] == [
        "",
        f"notebook  {folder}/lab.executed.ipynb",
        f"page      {folder}/lab.html",
        f"Go on there: nbexp lab {folder}",
    ]


# --- nbexp lab ----------------------------------------------------------------------------------


def test_lab_looks_in_the_directory_it_is_told_to_work_in(
    tmp_path: Path, nbexp_cli: RunProgram
) -> None:
    said = nbexp_cli("lab", "--cd", str(tmp_path), "sub", code=3).stderr
    assert said == (
        "No lab.ipynb in sub. Nothing was started.\nHint: `nbexp demo` makes a folder with one.\n"
    )


def test_lab_needs_a_lab_notebook(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        lab.run(None, arguments_of(lab, str(tmp_path)), ignore)
    assert missing.value.message == f"No lab.ipynb in {tmp_path}. Nothing was started."
    assert missing.value.hint == "`nbexp demo` makes a folder with one."


def test_lab_without_jupyterlab_says_which_extra_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab_of(tmp_path, "1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(NotFound) as missing:
        lab.run(None, arguments_of(lab, str(tmp_path)), ignore)
    assert missing.value.message == "JupyterLab is not installed."
    assert missing.value.hint == '`pip install "nbexp[lab]"`'


def test_lab_runs_jupyterlab_on_the_notebook_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    lab_of(folder, "1")
    stand_in = tmp_path / "modules/jupyterlab.py"
    stand_in.parent.mkdir()
    stand_in.write_text(
        "import os, sys\nopen('started', 'w').write(' '.join(sys.argv[1:]))\nsys.exit(5)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(stand_in.parent))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    report = lab.run(None, arguments_of(lab, str(folder), "--", "--no-browser"), ignore)
    assert (folder / "started").read_text() == "lab.ipynb --no-browser"
    assert report == lab.LabReport(folder, 5)
