"""What other programs read of a repository that nbexp made: DVC's editor extension asks real dvc for JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.conformance.conftest import write

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, RunGit

PIPELINE = """\
stages:
  train:
    cmd: sh train.sh
    deps: [train.sh]
    params: [lr]
    outs: [model.txt]
    metrics: [{metrics.json: {cache: false}}]
    plots: [{curve.csv: {cache: false, x: step, y: acc}}]
"""
SCRIPT = """\
lr=$(sed -n 's/^lr: //p' params.yaml)
echo "$lr" > model.txt
echo "{\\"acc\\": $lr}" > metrics.json
printf 'step,acc\\n1,0\\n2,%s\\n' "$lr" > curve.csv
"""


def test_dvcs_json_commands_read_what_nbexp_recorded(
    project: MakeProject, look: Look, git: RunGit
) -> None:
    root = project({"dvc.yaml": PIPELINE, "train.sh": SCRIPT, "params.yaml": "lr: 0.1\n"})
    for name, rate in (("low", "0.2"), ("high", "0.3")):
        look.nbexp("run", "-q", "-n", name, "-S", f"lr={rate}", cwd=root)
    look.nbexp("tag", "low", "best", "--star", cwd=root)
    look.nbexp("note", "low", "of interest", cwd=root)

    def dvc(*words: str) -> Any:
        return json.loads(look.dvc(*words, cwd=root).stdout)

    _, baseline = dvc("exp", "show", "--json")
    rows = {one["name"]: one["revs"][0]["data"] for one in baseline["experiments"]}
    assert {name: row["metrics"]["metrics.json"]["data"] for name, row in rows.items()} == {
        "low": {"acc": 0.2},
        "high": {"acc": 0.3},
    }
    assert {name: row["params"]["params.yaml"]["data"] for name, row in rows.items()} == {
        "low": {"lr": 0.2},
        "high": {"lr": 0.3},
    }
    change = dvc("exp", "diff", "low", "high", "--json")["metrics"]["metrics.json"]["acc"]
    assert (change["old"], change["new"]) == (0.2, 0.3)
    assert dvc("params", "diff", "low", "high", "--json")["params.yaml"]["lr"]["new"] == 0.3
    (plot,) = dvc("plots", "diff", "low", "high", "--json")["data"]["curve.csv"]
    assert plot["revisions"] == ["low", "high"]
    values = plot["content"]["data"]["values"]
    points = {(one["rev"], one["step"]): float(one["acc"]) for one in values}
    assert points[("low", "2")] == 0.2
    assert points[("high", "2")] == 0.3
    assert look.dvc("status", "--json", cwd=root).stdout.strip() == "{}"


def test_directories_of_a_foreach_and_branches_are_seen_together(
    project: MakeProject, look: Look, git: RunGit
) -> None:
    text = (
        "stages:\n  fit:\n    foreach: [cats, dogs]\n    do:\n"
        "      wdir: ${item}\n      cmd: cp lr.json metrics.json\n      deps: [lr.json]\n"
        "      metrics: [{metrics.json: {cache: false}}]\n"
    )
    root = project({"dvc.yaml": text})
    write(root, {"cats/lr.json": '{"acc": 1}', "dogs/lr.json": '{"acc": 2}'})
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=two directories", cwd=root)
    look.nbexp("run", "-q", "-n", "first", cwd=root)
    git("checkout", "--quiet", "--force", "-b", "more", cwd=root)
    (root / "dogs" / "lr.json").write_text('{"acc": 3}')
    git("commit", "--quiet", "--all", "--message=dogs", cwd=root)
    look.nbexp("run", "-q", "-n", "second", cwd=root)

    def seen(tool: str) -> dict[str, dict[str, Any]]:
        words = ("exp", "show", "-a", "--json") if tool == "dvc" else ("show", "-a", "--json")
        found = json.loads(getattr(look, tool)(*words, cwd=root).stdout)
        return {
            one["name"]: {
                path: tree["data"] for path, tree in one["revs"][0]["data"]["metrics"].items()
            }
            for state in found
            for one in state["experiments"] or ()
        }

    assert seen("nbexp") == seen("dvc")
    assert seen("nbexp") == {
        "first": {"cats/metrics.json": {"acc": 1}, "dogs/metrics.json": {"acc": 2}},
        "second": {"cats/metrics.json": {"acc": 1}, "dogs/metrics.json": {"acc": 3}},
    }


def test_locks_by_name_are_taken_and_given_back(project: MakeProject, look: Look) -> None:
    """`core.hardlink_lock`, for folders without `flock`: a lock file that stays there locks DVC out for a year."""
    stage = (
        "stages:\n  copy:\n    cmd: cp raw.csv out.txt\n    deps: [raw.csv]\n    outs: [out.txt]\n"
    )
    root = project({"dvc.yaml": stage, "raw.csv": "1\n"})
    look.nbexp("repro", "-q", cwd=root)
    assert (root / ".dvc" / "tmp" / "lock").exists()
    write(root, {".dvc/config": "[core]\n    hardlink_lock = true\n", "raw.csv": "2\n"})
    look.nbexp("repro", "-q", cwd=root)
    assert not (root / ".dvc" / "tmp" / "lock").exists()
    assert not (root / ".dvc" / "tmp" / "rwlock.lock").exists()
    assert look.status(root, "dvc") == {} == look.status(root, "nbexp")
    write(root, {"raw.csv": "3\n"})
    look.dvc("repro", "-q", cwd=root)
    assert (root / "out.txt").read_text() == "3\n"
    assert look.status(root, "nbexp") == {}
