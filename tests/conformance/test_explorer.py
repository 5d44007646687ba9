"""The run cache explored: runs that real DVC made, never recorded, listed and made experiments that DVC reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.conftest import Look, RunGit
    from tests.conftest import MakePipelineProject


def set_params(top: Path, **values: object) -> None:
    """Edit params.yaml by hand: `lr=0.2` is the line that starts with `lr:`."""
    lines = (top / "params.yaml").read_text().splitlines(keepends=True)
    for name, value in values.items():
        lines = [
            f"{line[: line.index(name)]}{name}: {value}\n"
            if line.strip().startswith(f"{name}:")
            else line
            for line in lines
        ]
    (top / "params.yaml").write_text("".join(lines))


def repro(look: Look, top: Path, **values: object) -> dict[str, bytes]:
    """`dvc repro` after an edit of params.yaml; what it left in the outputs of `train`."""
    set_params(top, **values)
    look.dvc("repro", cwd=top)
    return {
        path: (top / path).read_bytes() for path in ("model.txt", "metrics.json", "plots/acc.csv")
    }


def test_runs_that_only_dvc_repro_made_are_listed_and_one_becomes_an_experiment(
    pipeline: MakePipelineProject, look: Look, git: RunGit
) -> None:
    top = pipeline()
    rates = [0.1, 0.2, 0.03, 0.05, 0.5]
    made = {rate: repro(look, top, lr=rate) for rate in rates}
    runs = json.loads(look.nbexp("cache", "--stage", "train", "--json", cwd=top).stdout)
    assert [run["params"]["params.yaml"]["train.lr"] for run in runs] == rates[::-1]
    assert {tuple(run["stages"]) for run in runs} == {("train",)}
    assert all(run["orphan"] and not run["stale"] for run in runs)
    assert [run["workspace"] for run in runs] == [True, False, False, False, False]
    assert [[out["path"] for out in run["outs"]] for run in runs] == [
        ["metrics.json", "model.txt", "plots/acc.csv"]
    ] * 5
    everything = json.loads(look.nbexp("cache", "--json", cwd=top).stdout)
    assert len(everything) == len(look.run_cache(top)) == 6  # and the one of `prepare`

    before, changes = look.files(top), look.changes(top)
    key = next(run["key"] for run in runs if run["params"]["params.yaml"]["train.lr"] == 0.03)
    look.nbexp("cache", "promote", key[:9], "-n", "best", cwd=top)
    assert look.files(top) == before
    assert look.changes(top) == changes
    table = look.table(top, "dvc")
    [row] = table[1]["experiments"]
    data = row["revs"][0]["data"]
    assert row["name"] == "best"
    assert data["params"]["params.yaml"]["data"]["train"] == {"lr": 0.03, "epochs": 3}
    assert data["metrics"]["metrics.json"]["data"]["acc"] == 0.9333
    look.dvc("exp", "apply", "best", cwd=top)
    assert {path: (top / path).read_bytes() for path in made[0.03]} == made[0.03]
    assert look.status(top, "dvc") == look.status(top, "nbexp") == {}
    listed = json.loads(look.nbexp("cache", "--orphans", "--json", cwd=top).stdout)
    assert [run["params"]["params.yaml"]["train.lr"] for run in listed] == [0.5, 0.05, 0.2, 0.1]
