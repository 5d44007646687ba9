"""Any file of any commit, from Git or from the cache."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import NotFound, StoreError

if TYPE_CHECKING:
    from nbexp import Project


@pytest.fixture
def two(project: Project) -> Project:
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5, "prepare.rows": 1}, name="high")
    return project


def test_a_file_that_git_tracks_is_read_from_the_commit(two: Project) -> None:
    assert b"lr: 0.03 " in two.read("low", "params.yaml")
    assert b'"acc": 0.9333' in two.read("low", "metrics.json")
    assert b"lr: 0.1 " in two.read("main", "params.yaml")


def test_an_output_is_read_from_the_cache(two: Project) -> None:
    assert two.read("low", "model.txt").startswith(b"3,0.9333\n")
    assert two.read("high", "model.txt").startswith(b"3,0.4633\n")


def test_a_file_inside_a_directory_output_is_read(two: Project) -> None:
    assert two.read("high", "prepared/train.csv") == b"x,y\n1,1\n"
    assert two.read("low", "prepared/parts/test.csv").startswith(b"36,4\n")


def test_an_experiment_reads_its_own_files(two: Project) -> None:
    assert two["high"].read("prepared/train.csv") == b"x,y\n1,1\n"


@pytest.mark.parametrize("path", ["nope.txt", "prepared/nope.csv", "model.txt/x", "../x", "plots"])
def test_what_is_no_file_there_is_told(path: str, two: Project) -> None:
    with pytest.raises(NotFound) as caught:
        two.read("low", path)
    assert caught.value.message == f"{path} is not among the files of {two['low'].rev[:7]}."


def test_an_output_that_the_cache_lost_is_told(two: Project) -> None:
    shutil.rmtree(two.root / ".dvc" / "cache" / "files")
    with pytest.raises(StoreError) as caught:
        two.read("low", "model.txt")
    assert str(caught.value) == (
        f"The cache lacks model.txt of {two['low'].rev[:7]}.\n"
        "Hint: `nbexp data fetch` brings it when a remote has it."
    )
