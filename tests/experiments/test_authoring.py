"""`init`: what it finds in a notebook, what it writes, and what it leaves alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbexp
from nbexp import project as projects
from nbexp.errors import GitError, UsageError
from nbexp.experiments import founding
from nbexp.experiments.authoring import InitReport

Git = Callable[..., str]
FilesOf = Callable[[Path], dict[str, tuple[str, bytes]]]

CELLS = (
    "lr = 0.1\nepochs = 10\nname = 'first'",
    "from nbexp import live\nfor step in range(epochs):\n    live.log(step=step, acc=lr)",
    "import json\njson.dump({'acc': lr}, open('metrics.json', 'w'))",
)


def notebook(*cells: str, tagged: bool = True) -> str:
    made = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {"tags": ["parameters"]} if tagged and not number else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(cells or CELLS)
    ]
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps(
        {"cells": made, "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 5}
    )


def init(folder: Path, name: str | None = "train.ipynb", **options: bool) -> InitReport:
    return projects.init(name, path=str(folder), **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a notebook in it and nothing else."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "train.ipynb").write_text(notebook())
    return folder


# --- An empty folder ----------------------------------------------------------------------------


def test_a_notebook_becomes_a_project(folder: Path, git: Git, files: FilesOf) -> None:
    before = files(folder)
    report = init(folder)
    assert {path: data.decode() for path, (_, data) in files(folder).items()} == {
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        ".dvc/config": "",
        ".dvcignore": (folder / ".dvcignore").read_text(),
        ".gitignore": "# Notebook and Python leftovers\n.ipynb_checkpoints/\n__pycache__/\n",
        "dvc.yaml": (
            "stages:\n"
            "  train:\n"
            "    cmd: nbexp notebook train.ipynb runs/train.ipynb --params train\n"
            "    deps:\n"
            "    - train.ipynb\n"
            "    params:\n"
            "    - train\n"
            "    outs:\n"
            "    - runs/train.ipynb\n"
            "    metrics:\n"
            "    - metrics.json:\n"
            "        cache: false\n"
            "    plots:\n"
            "    - dvclive/plots/metrics:\n"
            "        cache: false\n"
            "        x: step\n"
        ),
        "params.yaml": "train:\n  lr: 0.1\n  epochs: 10\n  name: first\n",
        "runs/.gitignore": "/train.ipynb\n",
        "train.ipynb": before["train.ipynb"][1].decode(),
    }
    assert git("log", "--format=%s", cwd=folder) == "nbexp: track train.ipynb"
    assert git("status", "--porcelain", cwd=folder) == ""
    assert git("branch", "--show-current", cwd=folder) == "main"
    assert report.baseline == git("rev-parse", "HEAD", cwd=folder)
    assert report.new_repository
    assert report.parameters == (
        ("lr", "0.1", "float"),
        ("epochs", "10", "int"),
        ("name", "'first'", "str"),
    )
    assert report.metrics == (("metrics.json", 3),)
    assert report.live == (("acc", 2),)
    assert report.wrote == ("params.yaml", "dvc.yaml", ".gitignore", "runs/.gitignore", ".dvc/")


def test_the_new_project_is_ready(folder: Path) -> None:
    init(folder)
    project = nbexp.open(folder)
    assert list(project.status().stages) == ["train"]
    assert project.show()["main"].params == {
        "train.lr": 0.1,
        "train.epochs": 10,
        "train.name": "first",
    }
    project.git.close()


def test_a_second_time_there_is_nothing_to_do(folder: Path, git: Git, files: FilesOf) -> None:
    init(folder)
    before, head = files(folder), git("rev-parse", "HEAD", cwd=folder)
    report = init(folder)
    assert report.found_project
    assert (report.stages, report.experiments) == (1, 0)
    assert files(folder) == before
    assert git("rev-parse", "HEAD", cwd=folder) == head


def test_a_second_notebook_is_a_second_stage(folder: Path, git: Git) -> None:
    init(folder)
    pipeline = folder / "dvc.yaml"
    pipeline.write_text("# my pipeline\n" + pipeline.read_text())
    (folder / "test.ipynb").write_text(notebook("depth = 3"))
    report = init(folder, "test.ipynb")
    assert report.message == "nbexp: track test.ipynb"
    assert pipeline.read_text().startswith("# my pipeline\nstages:\n  train:\n")
    assert "  test:\n    cmd: nbexp notebook test.ipynb runs/test.ipynb --params test\n" in (
        pipeline.read_text()
    )
    assert (folder / "params.yaml").read_text().endswith("test:\n  depth: 3\n")
    assert (folder / "runs" / ".gitignore").read_text() == "/train.ipynb\n/test.ipynb\n"


def test_odd_names_are_quoted_and_made_a_stages(folder: Path) -> None:
    (folder / "train.ipynb").rename(folder / "my train (1).ipynb")
    init(folder, "my train (1).ipynb")
    project = nbexp.open(folder)
    (name,) = project.status().stages
    assert name == "my_train__1_"
    assert "my_train__1_:\n  lr: 0.1\n" in (folder / "params.yaml").read_text()
    assert (folder / "runs" / ".gitignore").read_text() == "/my train (1).ipynb\n"
    project.git.close()


def test_without_a_notebook_only_the_project_is_made(folder: Path, git: Git) -> None:
    report = init(folder, None)
    assert report.wrote == (".dvc/",)
    assert git("status", "--porcelain", cwd=folder) == "?? train.ipynb"
    assert git("log", "--format=%s", cwd=folder) == "nbexp: start the project"


# --- A repository that is there already ------------------------------------------------------------


def test_in_a_dirty_repository_only_its_own_files_are_committed(repo: Path, git: Git) -> None:
    (repo / "train.ipynb").write_text(notebook())
    (repo / "README.md").write_text("edited\n")
    (repo / "staged.txt").write_text("staged\n")
    git("add", "staged.txt", cwd=repo)
    (repo / "untracked.txt").write_text("untracked\n")
    report = init(repo)
    assert not report.new_repository
    assert git("status", "--porcelain", cwd=repo).splitlines() == [
        " M README.md",
        "A  staged.txt",
        "?? untracked.txt",
    ]
    assert git("show", "--name-only", "--format=", "HEAD", cwd=repo).splitlines() == [
        ".dvc/.gitignore", ".dvc/config", ".dvcignore", "dvc.yaml", "params.yaml", "runs/.gitignore",
        "train.ipynb",
    ]  # fmt: skip
    assert not (repo / ".gitignore").exists()


def test_a_tracked_notebook_with_edits_is_not_committed(repo: Path, git: Git) -> None:
    (repo / "train.ipynb").write_text(notebook())
    git("add", "train.ipynb", cwd=repo)
    git("commit", "--quiet", "--message=notebook", cwd=repo)
    (repo / "train.ipynb").write_text(notebook("lr = 0.5"))
    init(repo)
    assert git("status", "--porcelain", cwd=repo) == " M train.ipynb"
    assert "lr: 0.5" in (repo / "params.yaml").read_text()


def test_on_another_branch_the_commit_is_made_there(repo: Path, git: Git) -> None:
    git("switch", "--quiet", "--create", "topic", cwd=repo)
    (repo / "train.ipynb").write_text(notebook())
    init(repo)
    assert git("rev-parse", "main", cwd=repo) == git("rev-parse", "topic~1", cwd=repo)


def test_what_git_ignores_is_committed_all_the_same(repo: Path, git: Git) -> None:
    (repo / ".gitignore").write_text("runs/\n*.ipynb\nparams.yaml\n")
    git("add", ".gitignore", cwd=repo)
    git("commit", "--quiet", "--message=ignore", cwd=repo)
    (repo / "train.ipynb").write_text(notebook())
    init(repo)
    assert git("status", "--porcelain", cwd=repo) == ""
    listed = git("ls-files", cwd=repo).splitlines()
    assert {"params.yaml", "train.ipynb"} <= set(listed)


def test_params_that_are_there_stay_and_win(repo: Path) -> None:
    (repo / "train.ipynb").write_text(notebook())
    (repo / "params.yaml").write_text("# mine\nother: 3\ntrain:\n  lr: 0.5  # by hand\n")
    report = init(repo)
    assert (repo / "params.yaml").read_text() == (
        "# mine\nother: 3\ntrain:\n  lr: 0.5  # by hand\n  epochs: 10\n  name: first\n"
    )
    assert report.differing == (("lr", "0.5", "0.1"),)


def test_a_dvc_project_gets_a_stage_more(pipeline_project: Callable[..., Path], git: Git) -> None:
    root = pipeline_project()
    (root / "explore.ipynb").write_text(notebook("depth = 3"))
    report = init(root, "explore.ipynb")
    assert report.wrote == ("params.yaml", "dvc.yaml", "runs/.gitignore")
    assert (root / "dvc.yaml").read_text().count("    cmd:") == 3
    assert (root / "params.yaml").read_text().startswith("# Chosen by hand.\n")


def test_in_a_dvc_project_without_a_notebook_nothing_is_done(
    pipeline_project: Callable[..., Path], git: Git, files: FilesOf
) -> None:
    root = pipeline_project()
    before = files(root)
    report = init(root, None)
    assert (report.stages, report.experiments, report.wrote) == (2, 0, ())
    assert files(root) == before


# --- In a sub-directory -----------------------------------------------------------------------------


def test_a_notebook_in_a_folder_has_its_pipeline_beside_it(repo: Path, git: Git) -> None:
    notebooks = repo / "notebooks"
    notebooks.mkdir()
    (notebooks / "train.ipynb").write_text(notebook())
    report = init(repo, "notebooks/train.ipynb")
    assert report.wrote == (
        "notebooks/params.yaml", "notebooks/dvc.yaml", "notebooks/runs/.gitignore", ".dvc/",
    )  # fmt: skip
    assert "cmd: nbexp notebook train.ipynb runs/train.ipynb --params train\n" in (
        (notebooks / "dvc.yaml").read_text()
    )
    assert (repo / ".dvc" / "config").exists()
    assert not (notebooks / ".dvc").exists()


@pytest.mark.parametrize(
    ("here", "typed", "line"),
    [
        (".", "my notebooks/train.ipynb", "nbexp run --cd 'my notebooks'"),
        ("my notebooks", "train.ipynb", "nbexp run"),
        ("my notebooks/old", "../train.ipynb", "nbexp run --cd .."),
    ],
)
def test_what_to_type_next_runs_it_from_where_one_is(
    repo: Path, nbexp_cli: Callable[..., Any], here: str, typed: str, line: str
) -> None:
    (repo / "my notebooks" / "old").mkdir(parents=True)
    (repo / "my notebooks" / "train.ipynb").write_text(notebook())
    said = nbexp_cli("init", typed, cwd=repo / here).stdout
    assert said.endswith(f"my notebooks/train.ipynb was not changed. Next: {line}\n")
    again = nbexp_cli("init", typed, cwd=repo / here).stdout
    assert again == f"DVC project found: 1 stage, 0 experiments. Nothing to do. Next: {line}\n"
    words = shlex.split(line)[1:]
    dry = nbexp_cli(*words, "--dry", cwd=repo / here).stdout
    assert dry.endswith("1 of 1 stage would run\n")


def test_from_the_folder_itself_it_is_the_same(repo: Path) -> None:
    notebooks = repo / "notebooks"
    notebooks.mkdir()
    (notebooks / "train.ipynb").write_text(notebook())
    report = init(notebooks, "train.ipynb")
    assert report.root == repo
    assert report.notebook == "notebooks/train.ipynb"
    assert (notebooks / "dvc.yaml").exists()


# --- What it finds -----------------------------------------------------------------------------------


def test_modules_that_the_notebook_imports_are_deps_and_committed(folder: Path, git: Git) -> None:
    (folder / "features.py").write_text("import deeper\n")
    (folder / "deeper.py").write_text("")
    (folder / "other.py").write_text("")
    (folder / "train.ipynb").write_text(notebook("lr = 1", "import json, features"))
    report = init(folder)
    assert report.modules == ("deeper.py", "features.py")
    assert "    deps:\n    - deeper.py\n    - features.py\n    - train.ipynb\n" in (
        (folder / "dvc.yaml").read_text()
    )
    assert git("status", "--porcelain", cwd=folder) == "?? other.py"


def test_computed_parameters_stay_in_the_notebook(folder: Path) -> None:
    (folder / "train.ipynb").write_text(notebook("lr = 0.1\nsteps = 3 * 7\ntoday = date()"))
    report = init(folder)
    assert report.computed == ("steps", "today") or report.computed == ("today",)
    assert "today" not in (folder / "params.yaml").read_text()


def test_values_of_every_kind_reach_params_yaml(folder: Path) -> None:
    (folder / "train.ipynb").write_text(
        notebook("a = -1\nb = 1e-5\nc = True\nd = None\ne = 'x: y'\nf = [1, 'two']\ng = {'h': 1.5}")
    )
    init(folder)
    project = nbexp.open(folder)
    assert project.show()["main"].params == {
        "train.a": -1, "train.b": 1e-5, "train.c": True, "train.d": None, "train.e": "x: y",
        "train.f": [1, "two"], "train.g.h": 1.5,
    }  # fmt: skip
    project.git.close()


def test_untagged_assignments_are_taken_with_consent(folder: Path) -> None:
    (folder / "train.ipynb").write_text(notebook("lr = 0.1\nimport os", "print(lr)", tagged=False))
    report = init(folder, untagged=True)
    assert report.from_cell == "the first code cell"
    assert "--params train --untagged\n" in (folder / "dvc.yaml").read_text()
    assert (folder / "params.yaml").read_text() == "train:\n  lr: 0.1\n"


def test_an_empty_parameters_cell_is_one(folder: Path) -> None:
    (folder / "train.ipynb").write_text(notebook("# nothing yet"))
    assert init(folder).parameters == ()
    assert (folder / "params.yaml").read_text() == "train: {}\n"


# --- When Git refuses ---------------------------------------------------------------------------------


def test_when_git_refuses_nothing_is_left(repo: Path, files: FilesOf) -> None:
    (repo / "train.ipynb").write_text(notebook())
    (repo / "params.yaml").write_text("mine: 1\n")
    lock = repo / ".git" / "index.lock"
    lock.write_text("")
    before = files(repo)
    with pytest.raises(GitError) as caught:
        init(repo)
    assert "nothing was changed" in caught.value.message
    assert files(repo) == before
    assert not (repo / "runs").exists()
    lock.unlink()
    assert init(repo).wrote


def test_a_report_as_json(folder: Path) -> None:
    report = init(folder)
    assert report.to_json() == {
        "root": str(folder),
        "notebook": "train.ipynb",
        "parameters": {"lr": "0.1", "epochs": "10", "name": "'first'"},
        "metrics": ["metrics.json"],
        "live": ["acc"],
        "modules": [],
        "wrote": ["params.yaml", "dvc.yaml", ".gitignore", "runs/.gitignore", ".dvc/"],
        "baseline": report.baseline,
        "uncommitted": [],
        "stages": 0,
        "experiments": 0,
    }


def test_what_params_yaml_cannot_hold_stays_in_the_notebook(folder: Path) -> None:
    cell = (
        "lr = 0.1\nlabels = {'a', 'b'}\nmagic = b'x'\nz = 1j\ndeep = [1, {'k': {2}}]\npair = (1, 2)\n"
        "weights = {0: 1.0, 1: 5.0}"
    )
    (folder / "train.ipynb").write_text(notebook(cell))
    report = init(folder)
    assert report.computed == ("labels", "magic", "z", "deep", "weights")
    assert (folder / "params.yaml").read_text() == "train:\n  lr: 0.1\n  pair: [1, 2]\n"


def test_edits_that_the_commit_leaves_out_are_named(repo: Path, git: Git) -> None:
    (repo / "train.ipynb").write_text(notebook())
    git("add", "train.ipynb", cwd=repo)
    git("commit", "-q", "-m", "mine", cwd=repo)
    (repo / "train.ipynb").write_text(notebook(CELLS[0] + "\nseed = 1", *CELLS[1:]))
    assert init(repo).uncommitted == ("train.ipynb",)


def test_no_repository_is_made_of_the_home_directory(home: Path, files: FilesOf) -> None:
    (home / "train.ipynb").write_text(notebook())
    before = files(home)
    with pytest.raises(
        UsageError, match="is your home directory; a Git repository there would"
    ) as caught:
        init(home)
    assert "`mkdir my-project`" in str(caught.value.hint)
    with pytest.raises(UsageError, match="is the top of the disk"):
        founding.root_of(Path("/"), None)
    assert files(home) == before


def test_a_virtual_environment_in_the_project_is_ignored(folder: Path, git: Git) -> None:
    for name in (".venv", "other"):
        (folder / name).mkdir()
        (folder / name / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (folder / "other" / ".gitignore").write_text("*\n")  # as those of Python 3.13 do
    init(folder)
    assert (folder / ".gitignore").read_text().splitlines()[3:] == ["/.venv/"]
    assert git("status", "--porcelain", cwd=folder) == ""
