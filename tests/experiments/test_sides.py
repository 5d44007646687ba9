"""What a comparison compares: experiments, commits and the workspace, each against each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nbexp import Project

Git = Callable[..., str]


@pytest.fixture
def two(project: Project) -> Project:
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5}, name="high")
    return project


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_diff_of_two_experiments(two: Project) -> None:
    diff = two.diff("low", "high")
    assert [(change.key, change.old, change.new) for change in diff.params] == [
        ("train.lr", 0.03, 0.5)
    ]
    (acc,) = diff.metrics
    assert (acc.key, acc.verdict) == ("acc", "worse")
    assert diff.code == ()
    assert diff.outs == (("model.txt", "modified"),)
    assert two.diff(two["low"], two["low"]).is_empty


def test_a_diff_with_the_workspace_sees_edits(two: Project) -> None:
    assert two.diff("high").is_empty
    edit(two.root / "train.sh", "acc %.4f", "accuracy %.4f")
    (two.root / "README.md").unlink()
    (two.root / "beside.txt").write_text("x")
    diff = two.diff("high")
    assert diff.code == (("README.md", "deleted"), ("train.sh", "modified"))
    assert (diff.old, diff.new) == ("high", "workspace")


def test_a_diff_without_names_is_of_head_and_workspace(two: Project) -> None:
    diff = two.diff()
    assert (diff.old, diff.new) == ("HEAD", "workspace")
    assert [change.key for change in diff.params] == ["train.lr"]
    assert {change.key for change in two.diff(all_values=True).params} == {
        "prepare.rows", "train.lr", "train.epochs", "seed",
    }  # fmt: skip


def test_branches_tags_and_commits_can_be_compared(two: Project, git: Git) -> None:
    git("tag", "v1", cwd=two.root)
    for word in ("main", "v1", "HEAD", git("rev-parse", "HEAD", cwd=two.root)):
        assert [change.new for change in two.diff(word, "low").params] == [0.03]
