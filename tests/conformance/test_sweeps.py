"""Choices, ranges and their products beside real DVC: the same experiments are queued, in the same order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LINE = re.compile(r"Queueing with overrides '(.*)'\.")


def queued(tool: Any, words: tuple[str, ...], items: tuple[str, ...], project: Path) -> list[str]:
    """The overrides of each experiment that a tool queues, as it says them."""
    options = [word for item in items for word in ("-S", item)]
    return LINE.findall(tool(*words, "--queue", *options, cwd=project).stdout)


@pytest.mark.parametrize(
    "items",
    [
        ("train.lr=0.1,0.2",),
        ("train.lr=choice(0.5,0.25,1e-3)",),
        ("train.epochs=range(1,4)",),
        ("train.epochs=range(2,9,3)", "seed=range(2)"),
        ("train.epochs=range(4,1,-1)",),
        ("train.lr=0.1,0.2", "seed=0,1", "train.epochs=5"),
        ("seed=null,text",),
    ],
    ids=" ".join,
)
def test_each_combination_is_an_experiment_in_the_order_of_dvc(
    items: tuple[str, ...],
    pipeline_project: Callable[..., Path],
    nbexp_cli: Any,
    dvc: Any,
) -> None:
    ours, theirs = pipeline_project("ours"), pipeline_project("theirs")
    found = queued(dvc, ("exp", "run"), items, theirs)
    assert found
    assert queued(nbexp_cli, ("run",), items, ours) == found
    # A sweep that runs them at once tries the same points.
    options = [word for item in items for word in ("-S", item)]
    said = json.loads(nbexp_cli("sweep", *options, "--dry", "--json", cwd=ours).stdout)
    assert said["trials"] == len(found)


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ("train.lr=range(0.1,0.4,0.1)", ["0.1", "0.2", "0.3"]),
        ("train.lr=range(0.001,0.01,0.001)", [f"0.00{n}" for n in range(1, 10)]),
    ],
)
def test_a_range_of_floats_is_dvcs_in_short_decimals_without_its_stop(
    item: str,
    shown: list[str],
    pipeline_project: Callable[..., Path],
    nbexp_cli: Any,
    dvc: Any,
) -> None:
    ours, theirs = pipeline_project("ours"), pipeline_project("theirs")

    def numbers(lines: list[str]) -> list[str]:
        return [re.sub(r".*=(.*)'\]\}", r"\1", line) for line in lines]

    mine = numbers(queued(nbexp_cli, ("run",), (item,), ours))
    assert mine == shown
    # DVC adds up in binary, so that it may come to a value just below the stop, or reach it.
    there = [float(number) for number in numbers(queued(dvc, ("exp", "run"), (item,), theirs))]
    assert there[: len(mine)] == pytest.approx([float(number) for number in mine])
    assert len(mine) <= len(there) <= len(mine) + 1


def test_without_queue_dvc_refuses_and_nbexp_runs_them(
    pipeline_project: Callable[..., Path], nbexp_cli: Any, dvc: Any, git: Callable[..., str]
) -> None:
    ours, theirs = pipeline_project("ours"), pipeline_project("theirs")
    line = ("-S", "train.lr=0.1,0.03")
    refused = dvc("exp", "run", *line, cwd=theirs, code=255)
    assert "Sweep overrides can't be used without `--queue`" in refused.stderr
    ran = nbexp_cli("run", *line, "-n", "pair", cwd=ours)
    assert ran.stderr == "pair: 2 experiments, one after the other, beside your files.\n"
    listed = dvc("exp", "list", "--name-only", cwd=ours).stdout.split()
    assert sorted(listed) == ["pair-1", "pair-2"]
    shown = json.loads(dvc("exp", "show", "--json", cwd=ours).stdout)
    values = {
        one["revs"][0]["name"]: one["revs"][0]["data"]["metrics"]["metrics.json"]["data"]["acc"]
        for one in shown[1]["experiments"]
    }
    assert values == {"pair-1": 0.8633, "pair-2": 0.9333}
