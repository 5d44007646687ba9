"""`project.stage`: what is listed, what is added, and that an addition can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbexp
from nbexp import render
from nbexp.errors import ProjectFileError, UsageError


@pytest.fixture
def root(pipeline_project: Callable[..., Path]) -> Path:
    return pipeline_project()


def test_stages_are_listed_with_what_they_write(root: Path) -> None:
    found = nbexp.open(root).stage.list()
    assert found.stages == (
        ("prepare", "Outputs prepared"),
        ("train", "Outputs model.txt; Reports metrics.json, plots/acc.csv"),
    )
    assert (
        render.text(found)
        == "prepare  Outputs prepared\ntrain    Outputs model.txt; Reports metrics.json, plots/acc.csv"
    )
    assert found.to_json()[0] == {"name": "prepare", "description": "Outputs prepared"}
    assert nbexp.open(root).stage.list(["model.txt"]).stages == found.stages[1:]


def test_an_added_stage_runs_and_undo_takes_it_back(root: Path) -> None:
    project = nbexp.open(root)
    before = {
        path: path.read_bytes()
        for path in (root / "dvc.yaml", root / ".gitignore")
        if path.exists()
    }
    added = project.stage.add(
        "copy",
        "cp data/raw.csv copy.txt",
        deps=["data/raw.csv"],
        outs=["copy.txt", {"k.txt": {"cache": False}}],
    )
    assert render.text(added) == (
        "Added stage 'copy' in 'dvc.yaml'\nTo keep it in Git: git add dvc.yaml .gitignore"
    )
    assert (root / "dvc.yaml").read_bytes().startswith(before[root / "dvc.yaml"].rstrip(b"\n"))
    assert "/copy.txt\n" in (root / ".gitignore").read_text()
    assert ("copy", "Outputs copy.txt, k.txt") in project.stage.list().stages
    project.undo()
    for path in (root / "dvc.yaml", root / ".gitignore"):
        assert (path.read_bytes() if path.exists() else None) == before.get(path)


def test_an_added_stage_may_run_at_once(root: Path, nbexp_cli: Callable[..., Any]) -> None:
    line = ["stage", "add", "-n", "copy", "-d", "data/raw.csv", "-o", "c.txt", "--run"]
    said = nbexp_cli(*line, "cp", "data/raw.csv", "c.txt", cwd=root).stdout
    assert "Running stage 'copy':\n> cp data/raw.csv c.txt\n" in said
    assert (root / "c.txt").read_bytes() == (root / "data/raw.csv").read_bytes()
    assert "copy:\n    cmd: cp data/raw.csv c.txt\n" in (root / "dvc.lock").read_text()
    assert not nbexp.open(root).list().groups


def test_the_same_stage_once_more_changes_nothing(root: Path) -> None:
    project = nbexp.open(root)
    project.stage.add("copy", "cp data/raw.csv c.txt", deps=["data/raw.csv"], outs=["c.txt"])
    again = project.stage.add(
        "copy", "cp data/raw.csv c.txt", deps=["data/raw.csv"], outs=["c.txt"], force=True
    )
    assert again.changed == ()
    assert render.text(again) == "Stage 'copy' is in 'dvc.yaml' as it was given"


def test_a_group_is_replaced_by_force_only(root: Path) -> None:
    text = "stages:\n  each:\n    foreach: [a, b]\n    do:\n      cmd: echo ${item}\n"
    (root / "dvc.yaml").write_text(text)
    project = nbexp.open(root)
    with pytest.raises(UsageError, match=r"Stage `each` already exists in dvc\.yaml"):
        project.stage.add("each", "x")
    assert (root / "dvc.yaml").read_text() == text
    project.stage.add("each", "x", force=True)
    assert (root / "dvc.yaml").read_text() == "stages:\n  each:\n    cmd: x\n"


@pytest.mark.parametrize(
    ("name", "cmd", "given", "said"),
    [
        ("s", "", {}, "Stage `s` has no `cmd`."),
        ("s", "x ${train.lrr}", {}, "`cmd` of stage `s` has `${train.lrr}`, and there is no `train.lrr` in params.yaml."),
        ("s", "x", {"outs": ["model.txt"]}, "Stages `train` and `s` both have the output `model.txt`; an output belongs to one stage. Nothing was written."),
        ("s", "x", {"deps": ["model.txt"], "outs": ["data/raw.csv"]}, "The stages `prepare` -> `train` -> `s` -> `prepare` need each other in a circle. Nothing was written."),
        ("s", "x", {"wdir": "nowhere"}, "There is no directory nowhere for the command to run in. Nothing was written."),
        ("s", "x", {"deps": ["a", "./a"]}, "`a` is given more than once. Nothing was written."),
    ],
)  # fmt: skip
def test_a_stage_that_cannot_be_is_not_written(
    name: str, cmd: str, given: dict[str, list[object]], said: str, root: Path
) -> None:
    before = (root / "dvc.yaml").read_bytes()
    with pytest.raises(UsageError) as caught:
        nbexp.open(root).stage.add(name, cmd, **given)  # type: ignore[arg-type]
    assert caught.value.message == said
    assert (root / "dvc.yaml").read_bytes() == before


def test_nothing_is_added_to_a_file_that_is_wrong(root: Path) -> None:
    (root / "dvc.yaml").write_text("stages: 3\n")
    with pytest.raises(ProjectFileError, match=r"dvc\.yaml, line 1"):
        nbexp.open(root).stage.add("s", "x")
    assert (root / "dvc.yaml").read_text() == "stages: 3\n"


def test_an_output_below_a_folder_to_come_is_ignored_when_it_is_there(root: Path) -> None:
    added = nbexp.open(root).stage.add("s", "x", outs=["later/x.txt", "x#1.txt"])
    assert added.changed == ("dvc.yaml", ".gitignore")
    assert "/x\\#1.txt\n" in (root / ".gitignore").read_text()
    assert not (root / "later").exists()
