"""Params and metrics of any revision; what DVC says of them is compared in tests/conformance/test_measures.py."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

import nbexp
from nbexp import render

if TYPE_CHECKING:
    from pathlib import Path

    from nbexp import Project


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def two(project: Project) -> Project:
    project.run(name="first")
    project.run({"train.lr": 0.03}, name="second")
    return project


def test_experiments_are_revisions(two):
    assert two.metrics.diff("first", "second").to_json() == {
        "metrics.json": {"acc": {"old": 0.8633, "new": 0.9333, "diff": 0.9333 - 0.8633}}
    }
    assert render.text(two.params.diff("first", "second")).splitlines() == [
        "Path         Param     first  second",
        "params.yaml  train.lr  0.1    0.03",
    ]
    assert render.text(two.metrics.show()).splitlines() == [
        "Path          acc     steps.last",
        "metrics.json  0.9333  3",
    ]
    assert render.text(two.metrics.show(precision=1)).splitlines()[1].split()[1] == "0.9"


def test_a_revision_that_there_is_not_is_an_error(two):
    for diff in (two.params.diff, two.metrics.diff):
        with pytest.raises(nbexp.errors.NotFound) as caught:
            diff("frist")
        assert str(caught.value) == ("There is no experiment `frist`.\nHint: did you mean `first`?")


def test_equal_sides(two):
    found = two.params.diff("first", "first")
    assert found.changes == ()
    assert render.text(found) == "no difference in params between first and first"
    assert len(two.params.diff("first", "first", all_values=True).changes) == 4


def test_a_commit_whose_pipeline_is_broken_hides_no_other(two):
    root = two.root
    good = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text("stages: [\n")
    git(root, "commit", "--quiet", "--all", "--message=broken")
    git(root, "tag", "bad")
    (root / "dvc.yaml").write_text(good)
    git(root, "tag", "good", "HEAD~1")
    found = two.metrics.show(all_tags=True)
    assert sorted(found.to_json()) == ["bad", "good", "workspace"]
    assert found.to_json()["bad"]["error"]["type"] == "YAMLSyntaxError"
    assert any(line.startswith("bad: dvc.yaml, line ") for line in found.unreadable)
    assert "metrics.json" in found.to_json()["workspace"]["data"]


def test_a_file_that_is_not_there_is_told_in_words(two):
    (two.root / "metrics.json").unlink()
    assert two.metrics.diff("first").unreadable == ("workspace: there is no metrics.json",)
    assert two.metrics.show().unreadable == ("workspace: there is no metrics.json",)


def test_a_file_that_cannot_be_read_is_told(two):
    (two.root / "metrics.json").write_text("{")
    found = two.metrics.diff("first")
    assert len(found.unreadable) == 1
    assert found.unreadable[0].startswith("workspace: metrics.json, line ")
    assert [change.key for change in found.changes] == ["acc", "steps.last"]
