"""The object users hold: every command as a Python call, and what it returns."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nbexp
from nbexp import Project, events
from nbexp import project as projects
from nbexp.errors import NameTaken, NotFound, StageFailed, UsageError

Git = Callable[..., str]


@pytest.fixture
def opened() -> Iterator[Callable[[Path], Project]]:
    found: list[Project] = []

    def opened(folder: Path) -> Project:
        found.append(nbexp.open(folder))
        return found[-1]

    yield opened
    for project in found:
        project.close()


@pytest.fixture
def project(
    pipeline_project: Callable[..., Path],
    opened: Callable[[Path], Project],
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    root = pipeline_project()
    monkeypatch.chdir(root)
    return opened(root)


@pytest.fixture
def two(project: Project) -> Project:
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5}, name="high")
    return project


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- The package --------------------------------------------------------------------------------


def test_the_public_names_are_what_the_page_says() -> None:
    for name in nbexp.__all__:
        assert getattr(nbexp, name) is not None
    assert dir(nbexp) == sorted(nbexp.__all__)
    assert {"Experiment", "Project", "errors", "open"} <= set(nbexp.__all__)
    with pytest.raises(AttributeError):
        nbexp.nothing  # noqa: B018


def test_importing_the_package_loads_the_standard_library_only() -> None:
    line = (
        "import sys; before = set(sys.modules); import nbexp; "
        "print(*sorted({n.partition('.')[0] for n in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == "nbexp\n"


# --- Opening ------------------------------------------------------------------------------------


def test_a_project_is_found_from_anywhere_in_it(project: Project) -> None:
    root = project.root
    (root / "a" / "b").mkdir(parents=True)
    for place in (root, root / "a" / "b", root / "train.sh"):
        found = nbexp.open(place)
        assert found.root == root
        found.close()
    assert nbexp.open().root == root
    assert repr(project) == f"<Project {root}>"


def test_a_project_is_found_through_a_link(project: Project, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project.root)
    found = nbexp.open(tmp_path / "link")
    made = found.run(name="one")
    assert made.metrics["acc"] == 0.8633
    found.close()
    assert project.names == ["one"]


def test_a_project_may_be_a_part_of_its_repository(
    pipeline_project: Callable[..., Path], opened: Callable[[Path], Project], git: Git
) -> None:
    """`.dvc` below the top of the repository: paths of commits are from the top."""
    outer = pipeline_project("outer", stages=1)
    inner = outer / "inner"
    inner.mkdir()
    for name in ("dvc.yaml", "data", "params.yaml", "prepare.sh", ".dvc", ".dvcignore"):
        (outer / name).rename(inner / name)
    git("add", "--all", cwd=outer)
    git("commit", "--quiet", "--message=inner", cwd=outer)
    project = opened(inner)
    made = project.run({"prepare.rows": 3}, name="one")
    listed = git("ls-tree", "-r", "--name-only", made.rev, cwd=outer).splitlines()
    assert "inner/dvc.lock" in listed
    assert "inner/.gitignore" in listed
    assert project.show()["one"].params["prepare.rows"] == 3
    assert project.read("one", "prepared/train.csv").count(b"\n") == 4
    project.run({"prepare.rows": 5}, name="two")
    project.apply("one")
    assert "rows: 3" in (inner / "params.yaml").read_text()
    project.undo()
    assert "rows: 5" in (inner / "params.yaml").read_text()


def test_a_linked_work_tree_of_git_is_a_place_of_its_own(
    project: Project, opened: Callable[[Path], Project], git: Git, tmp_path: Path
) -> None:
    git("worktree", "add", "--quiet", "../tree", "-b", "side", cwd=project.root)
    other = opened(tmp_path / "tree")
    other.run({"train.lr": 0.03}, name="there")
    assert project.names == ["there"]
    with pytest.raises(NotFound):
        project.undo()
    other.undo()
    assert "lr: 0.1 " in (tmp_path / "tree" / "params.yaml").read_text()


# --- Experiments --------------------------------------------------------------------------------


def test_a_run_returns_its_experiment(project: Project, git: Git) -> None:
    made = project.run({"train.lr": 0.03, "seed": 2}, name="low")
    assert repr(made) == f"<Experiment low {made.rev[:7]} done>"
    assert made.metrics["acc"] == 0.9353
    assert made.created_s == int(
        git("show", "--no-patch", "--format=%ct", made.rev, cwd=project.root)
    )
    assert made.report is not None
    assert not made.report.identical
    assert made.read("params.yaml").startswith(b"# Chosen by hand.\n")


def test_overrides_are_a_mapping_or_texts(project: Project) -> None:
    one = project.run({"train.lr": 0.03})
    assert project.run(["train.lr=0.03"]).rev == one.rev
    assert project.run(["+new.key=[1, 2]"], new=True).params["new.key"] == [1, 2]


def test_an_experiment_can_be_kept_compared_and_sent(two: Project) -> None:
    low = two["low"]
    assert low == two["low"]
    assert hash(low) == hash(two["low"])
    assert low != two["high"]
    copy = pickle.loads(pickle.dumps(low))
    assert copy == low
    assert copy.metrics == low.metrics
    assert copy.read("metrics.json") == low.read("metrics.json")
    assert {low, copy} == {low}


def test_names_are_there_for_completion(two: Project) -> None:
    assert two.names == ["high", "low"]


def test_the_repository_is_gitpythons(two: Project) -> None:
    import git as gitpython

    assert isinstance(two.repo, gitpython.Repo)
    assert two.repo.head.commit.message == "pipeline\n"
    low = two["low"]
    assert isinstance(low.commit, gitpython.Commit)
    assert low.commit.hexsha == low.rev
    assert [parent.hexsha for parent in low.commit.parents] == [low.baseline]


def test_a_project_holds_experiments_as_a_mapping_does(two: Project) -> None:
    assert "low" in two
    assert two["low"].rev[:7] in two
    assert "lowest" not in two
    assert 0 not in two
    assert [*two] == ["high", "low"]


def test_one_pattern_of_columns_is_no_list_of_letters(two: Project) -> None:
    titles = [*two.show(drop="train").to_frame()]
    assert "acc" in titles
    assert not [title for title in titles if title.startswith("train")]
    assert (
        two.show(drop="train", keep="train.lr").view
        == two.show(drop=["train"], keep=["train.lr"]).view
    )


# --- Keeping, listing, removing --------------------------------------------------------------------


def test_a_branch_is_made_of_an_experiment_and_not_switched_to(two: Project, git: Git) -> None:
    made = two.branch("low")
    assert (made.experiment, made.branch, made.rev) == ("low", "low-branch", two["low"].rev)
    assert git("rev-parse", "low-branch", cwd=two.root) == two["low"].rev
    assert git("branch", "--show-current", cwd=two.root) == "main"
    assert two.branch(two["high"], "better").branch == "better"
    with pytest.raises(NameTaken):
        two.branch("low")
    with pytest.raises(UsageError):
        two.branch("low", "a..b")


def test_experiments_are_listed_by_baseline(two: Project, git: Git) -> None:
    ((baseline, members),) = two.list().groups
    assert baseline == "main"
    assert {name for name, _ in members} == {"low", "high"}
    git("commit", "--quiet", "--allow-empty", "--message=more", cwd=two.root)
    assert two.list().groups == ()
    assert [len(group) for _, group in two.list(everywhere=True).groups] == [2]


def test_removing_nothing_is_asked_about(two: Project) -> None:
    with pytest.raises(UsageError):
        two.remove()
    assert two.remove("low", two["high"]).names == ("low", "high")
    assert two.names == []


# --- Status ------------------------------------------------------------------------------------------


def test_a_status_is_dvcs_in_json(two: Project) -> None:
    assert two.status().is_clean
    edit(two.root / "params.yaml", "lr: 0.5", "lr: 0.2")
    (two.root / "model.txt").unlink()
    status = two.status()
    assert not status.is_clean
    assert status.count == 2
    assert status.to_json() == {
        "train": [
            {"changed deps": {"params.yaml": {"train.lr": "modified"}}},
            {"changed outs": {"model.txt": "deleted"}},
        ]
    }
    assert two.status(["prepare"]).is_clean


def test_a_status_changes_nothing(two: Project, git: Git) -> None:
    edit(two.root / "params.yaml", "lr: 0.5", "lr: 0.2")
    index = (two.root / ".git" / "index").read_bytes()
    lock = (two.root / "dvc.lock").read_bytes()
    two.status()
    assert (two.root / ".git" / "index").read_bytes() == index
    assert (two.root / "dvc.lock").read_bytes() == lock


# --- A notebook from beginning to end -----------------------------------------------------------------


def notebook(*cells: str, prose: str = "# Training") -> str:
    made: list[dict[str, object]] = [
        {"cell_type": "markdown", "id": "m0", "metadata": {}, "source": prose}
    ]
    made += [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {"tags": ["parameters"]} if not number else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(cells)
    ]
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps(
        {"cells": made, "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 5}
    )


WORK = (
    "lr = 0.1",
    "import json\nprint('lr is', lr)",
    "with open('metrics.json', 'w') as file:\n    json.dump({'acc': 1 - lr}, file)",
)


def test_a_notebook_in_a_folder_from_init_to_its_failure(
    repo: Path, opened: Callable[[Path], Project], git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One story, because a kernel takes its second: run, prose, code, failure, each from `notebooks/`."""
    folder = repo / "notebooks"
    folder.mkdir()
    source = folder / "train.ipynb"
    source.write_text(notebook(*WORK))
    monkeypatch.chdir(folder)
    projects.init("train.ipynb")
    project = opened(folder)
    # The first run: an experiment, an executed notebook, the source as it was.
    first = project.run(name="first")
    assert first.metrics == {"acc": 0.9}
    assert source.read_text() == notebook(*WORK)
    assert first.report is not None
    assert [(stage.name, stage.cells) for stage in first.report.stages] == [("train", 3)]
    executed = first.open()
    assert executed.path == "notebooks/runs/train.ipynb"
    assert "lr is 0.1" in executed.data.decode()
    assert project.status().is_clean
    # Prose: nothing to run, and dvc.lock gets the md5 of today.
    lock = (folder / "dvc.lock").read_text()
    source.write_text(notebook(*WORK, prose="# Training, told better"))
    told: list[events.Event] = []
    again = project.run(new=True, name="prose", emit=told.append)
    assert not [event for event in told if isinstance(event, events.StageStarted)]
    assert (folder / "dvc.lock").read_text() != lock
    assert project.status().is_clean
    assert b"told better" in project.read(again, "notebooks/train.ipynb")
    # Only the prose of it differs from the first, so a plain run is recognised.
    found = project.run()
    assert found.report is not None
    assert found.report.identical
    # Code: it runs, stops in a cell, and everything is as it was before.
    source.write_text(notebook(*WORK[:2], "1 / 0", prose="# Training, told better"))
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(StageFailed) as caught:
        project.run({"train.lr": 0.7}, name="broken")
    assert str(caught.value) == (
        "Stage `train` stopped in cell 3 of train.ipynb, `1 / 0`: ZeroDivisionError: division by zero.\n"
        "Hint: `nbexp open broken` shows the notebook as it stopped. Your workspace is as it was."
    )
    assert caught.value.cell == 3
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    stopped = project.open("broken")
    text = stopped.data.decode()
    assert "lr is 0.7" in text
    assert "ZeroDivisionError" in text
    states = {row.name: row.state for row in project.show(all_states=True).experiments}
    assert states == {"broken": "failed", "first": "done", "prose": "done"}
