"""A metric over its steps, from the plots files of commits, the cache and the workspace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import NotFound

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]


def pipeline(root: Path, git: Git, text: str) -> None:
    (root / "dvc.yaml").write_text(text)
    git("commit", "--quiet", "--all", "--message=pipeline", cwd=root)


LIVE = """\
stages:
  train:
    cmd: mkdir -p live/train && sh log.sh
    deps: [log.sh]
    params: [seed]
    plots: [{live: {x: step, cache: %s}}]
"""
LOG = """\
seed=$(awk '$1 == "seed:" { print $2 }' params.yaml)
printf 'step\\tacc\\n0\\t0.1\\n1\\t0.%s\\n' "$seed" > live/acc.tsv
printf 'step\\tloss\\n0\\t2\\n1\\t1\\n' > live/train/loss.tsv
"""


@pytest.fixture
def two(project: Project) -> Project:
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5}, name="high")
    return project


def test_a_metric_of_every_experiment_of_the_present_commit(two: Project) -> None:
    curves = two.plot("acc")
    assert curves.metric == "acc"
    assert sorted(one.name for one in curves.series) == ["high", "low"]
    (low,) = [one for one in curves.series if one.name == "low"]
    assert (low.x, low.steps, low.values) == ("step", (1, 2, 3), (0.9, 0.925, 0.9333))


def test_the_experiments_named_and_in_that_order(two: Project) -> None:
    assert [one.name for one in two.plot("acc", "low", "high").series] == ["low", "high"]
    assert [one.name for one in two.plot("acc", "high").series] == ["high"]
    assert [one.name for one in two.plot("acc", two["low"]).series] == ["low"]


def test_without_experiments_the_workspace_is_drawn(project: Project) -> None:
    (project.root / "plots").mkdir()
    (project.root / "plots" / "acc.csv").write_text("step,acc\n1,0.5\n2,0.6\n")
    (one,) = project.plot("acc").series
    assert (one.name, one.values) == ("workspace", (0.5, 0.6))


def test_an_experiment_without_the_metric_is_left_out(two: Project, git: Git) -> None:
    assert [one.name for one in two.plot("acc", "main", "low").series] == ["low"]


@pytest.mark.parametrize("cache", ["true", "false"])
def test_a_folder_of_live_series_is_read_from_git_or_the_cache(
    cache: str, project: Project, git: Git
) -> None:
    root = project.root
    (root / "log.sh").write_text(LOG)
    git("add", "log.sh", cwd=root)
    pipeline(root, git, LIVE % cache)
    project.run({"seed": 3}, name="three")
    project.run({"seed": 5}, name="five")
    curves = project.plot("acc", "three", "five")
    assert [one.values for one in curves.series] == [(0.1, 0.3), (0.1, 0.5)]
    (loss,) = project.plot("train/loss", "three").series
    assert (loss.steps, loss.values) == ((0, 1), (2, 1))


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("ac", "No experiment here has a plot of `ac`.\nHint: did you mean `nbexp plot acc`?"),
        ("loss", "No experiment here has a plot of `loss`.\nHint: there are acc."),
    ],
)
def test_a_metric_that_nobody_has_names_those_there_are(
    metric: str, text: str, two: Project
) -> None:
    with pytest.raises(NotFound) as caught:
        two.plot(metric)
    assert str(caught.value) == text


def test_columns_of_text_and_gaps_are_passed_over(project: Project) -> None:
    (project.root / "plots").mkdir()
    (project.root / "plots" / "acc.csv").write_text("step,acc\n1,0.5\n2,\n3,high\n4,0.7\n")
    (one,) = project.plot("acc").series
    assert (one.steps, one.values) == ((1, 4), (0.5, 0.7))


def test_without_a_step_column_rows_are_counted(project: Project, git: Git) -> None:
    root = project.root
    pipeline(root, git, "stages: {}\nplots:\n- loss.json\n")
    (root / "loss.json").write_text('[{"loss": 3}, {"loss": 2}]')
    (one,) = project.plot("loss").series
    assert (one.steps, one.values) == ((0, 1), (3, 2))


def test_curves_as_json(two: Project) -> None:
    plot = two.plot("acc", "low")
    assert plot.to_json() == {
        "metric": "acc",
        "kind": "line",
        "spec": plot.spec,
        "series": [
            {"name": "low", "x": "step", "steps": [1, 2, 3], "values": [0.9, 0.925, 0.9333]}
        ],
    }


def test_a_column_may_have_the_whole_name_of_its_metric(project: Project, git: Git) -> None:
    root = project.root
    pipeline(root, git, "stages: {}\nplots:\n- log.csv:\n    x: epoch\n")
    (root / "log.csv").write_text("epoch,train/loss,loss\n5,2,9\n6,1,9\n")
    (one,) = project.plot("train/loss").series
    assert (one.x, one.steps, one.values) == ("epoch", (5, 6), (2, 1))
