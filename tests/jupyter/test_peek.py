from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbexp.jupyter import peek

Git = Callable[..., str]


@pytest.fixture
def project(pipeline_project: Callable[..., Path], git: Git) -> Path:
    root = pipeline_project(stages=3)
    head = git("rev-parse", "HEAD", cwd=root)
    for name in ("low-lr", "high-lr"):
        git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", head, cwd=root)
    for private in ("refs/exps/exec/EXEC_HEAD", "refs/exps/stash"):
        git("update-ref", private, head, cwd=root)
    return root


def around(folder: Path) -> peek.Peek:
    found = peek.around(folder)
    assert found is not None
    return found


def test_stages_are_those_of_dvc_yaml(project: Path) -> None:
    assert around(project).stages == ["prepare", "train", "report-1"]


def test_odd_yaml_gives_the_names_all_the_same(project: Path) -> None:
    (project / "dvc.yaml").write_text(
        "# stages:\nparams:\n  - a.yaml\nstages:\n\n    # first\n    'prepare':\n        cmd: x\n"
        "        deps:\n        - a: b\n    train: {cmd: x}\nplots:\n  - x.csv\n"
    )
    assert around(project).stages == ["prepare", "train"]


@pytest.mark.parametrize("text", ["", "stages", "stages:\n", "stages: {}\n", "\udcff"])
def test_no_stages_are_no_error(project: Path, text: str) -> None:
    (project / "dvc.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert around(project).stages == []


def test_experiments_are_all_of_them_and_nothing_of_dvcs_own(project: Path) -> None:
    assert around(project).experiments == ["high-lr", "low-lr"]


def test_packed_experiments_count_once(project: Path, git: Git) -> None:
    git("pack-refs", "--all", cwd=project)
    head = git("rev-parse", "HEAD", cwd=project)
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/third", head, cwd=project)
    assert around(project).experiments == ["high-lr", "low-lr", "third"]


def test_experiments_are_found_from_a_linked_work_tree(
    project: Path, git: Git, tmp_path: Path
) -> None:
    git("worktree", "add", "--quiet", tmp_path / "other", cwd=project)
    assert around(tmp_path / "other").experiments == ["high-lr", "low-lr"]


def test_branches_are_listed(project: Path, git: Git) -> None:
    git("branch", "feature/x", cwd=project)
    git("tag", "v1.0", cwd=project)
    assert around(project).branches == ["feature/x", "main"]
    assert around(project).tags == ["v1.0"]


def test_refs_in_a_form_of_gits_own_are_unknown(project: Path, count_git: Any) -> None:
    (project / ".git" / "reftable").mkdir()
    assert around(project).experiments is None
    # Where one can wait, Git says it; once, as long as its tables are the same.
    (project / ".git" / "reftable" / "tables.list").write_text("one\n")
    for _ in range(2):
        found = peek.around(project, may_ask=True)
        assert found is not None and found.experiments == ["high-lr", "low-lr"]
    assert len(count_git) == 1


def test_live_metrics_are_named_as_they_were_logged(project: Path) -> None:
    for name in ("acc", "train/loss"):
        file = project / "dvclive" / "plots" / "metrics" / f"{name}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("step\tx\n")
    assert around(project).live == ["acc", "train/loss"]


def test_a_directory_below_belongs_to_the_project(project: Path) -> None:
    below = project / "notebooks" / "deep"
    below.mkdir(parents=True)
    assert around(below).root == project
    assert around(below).stages == ["prepare", "train", "report-1"]


def test_a_repository_without_dvc_is_no_project(repo: Path) -> None:
    assert peek.around(repo) is None


def test_a_project_outside_of_git_is_none(project: Path) -> None:
    shutil.rmtree(project / ".git")
    assert peek.around(project) is None


def test_no_git_process_is_started(project: Path, count_git: Any) -> None:
    found = around(project)
    assert (found.stages, found.experiments, found.branches) != ([], [], [])
    assert len(count_git) == 0
