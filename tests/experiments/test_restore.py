"""`apply` brings an experiment back and stops at edits nobody holds; `undo` takes it back, to the byte."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp import events
from nbexp.errors import NbexpError, NotFound, StoreError

if TYPE_CHECKING:
    from nbexp import Project

FilesOf = Callable[[Path], dict[str, tuple[str, bytes]]]
GitState = Callable[[Path], dict[str, bytes]]
Git = Callable[..., str]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def two(project: Project) -> Project:
    """Two experiments, `low` and then `high`; the workspace is as after `high`."""
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5, "prepare.rows": 5}, name="high")
    return project


# --- Apply --------------------------------------------------------------------------------------


def test_the_workspace_is_as_after_the_run(project: Project, files: FilesOf) -> None:
    project.run({"train.lr": 0.03}, name="low")
    low = files(project.root)
    project.run({"train.lr": 0.5, "prepare.rows": 5}, name="high")
    high = files(project.root)
    applied = project.apply("low")
    assert files(project.root) == low
    assert applied.to_json() == {
        "applied": "low",
        "rev": project["low"].rev,
        "written": ["dvc.lock", "metrics.json", "params.yaml", "plots/acc.csv"],
        "removed": [],
        "outs": ["model.txt", "prepared"],
        "kept": [],
        "saved": [],
    }
    project.apply("high")
    assert files(project.root) == high


def test_apply_moves_nothing_of_git(two: Project, git_state: GitState) -> None:
    before = git_state(two.root)
    two.apply("low")
    assert git_state(two.root) == before


def test_applying_what_is_there_changes_nothing(two: Project, files: FilesOf) -> None:
    before = files(two.root)
    applied = two.apply("high")
    assert (applied.written, applied.removed, applied.outs) == ((), (), ())
    assert files(two.root) == before


@pytest.mark.parametrize("how", ["name", "rev", "start of rev", "ref", "experiment"])
def test_an_experiment_is_named_in_any_way(how: str, two: Project) -> None:
    low = two["low"]
    words = {
        "name": "low",
        "rev": low.rev,
        "start of rev": low.rev[:7],
        "ref": f"refs/exps/{low.baseline[:2]}/{low.baseline[2:]}/low",
        "experiment": low,
    }
    assert two.apply(words[how]).rev == low.rev  # type: ignore[arg-type]
    assert '"acc": 0.9333' in (two.root / "metrics.json").read_text()


def test_a_commit_can_be_applied_as_well(two: Project, git: Git) -> None:
    assert two.apply("main").rev == git("rev-parse", "HEAD", cwd=two.root)
    assert "lr: 0.1 " in (two.root / "params.yaml").read_text()


def test_a_file_that_the_experiment_does_not_have_is_removed_if_git_tracks_it(
    two: Project, git: Git
) -> None:
    (two.root / "later.py").write_text("x = 1\n")
    git("add", "later.py", cwd=two.root)
    git("commit", "--quiet", "--message=later", cwd=two.root)
    (two.root / "mine.txt").write_text("untracked\n")
    applied = two.apply("low")
    assert applied.removed == ("later.py",)
    assert not (two.root / "later.py").exists()
    assert (two.root / "mine.txt").exists()


def test_modes_and_links_come_back(project: Project, git: Git) -> None:
    root = project.root
    (root / "tool.sh").write_text("#!/bin/sh\n")
    (root / "tool.sh").chmod(0o755)
    (root / "latest").symlink_to("data/raw.csv")
    git("add", "tool.sh", "latest", cwd=root)
    project.run(name="one")
    git("commit", "--quiet", "--message=add", cwd=root)
    (root / "tool.sh").unlink()
    (root / "latest").unlink()
    (root / "latest").write_text("no link\n")
    project.apply("one", force=True)
    assert (root / "tool.sh").stat().st_mode & 0o777 == 0o755
    assert os.readlink(root / "latest") == "data/raw.csv"


# --- The guard ----------------------------------------------------------------------------------


def test_edits_that_nobody_holds_stop_an_apply(two: Project, files: FilesOf) -> None:
    edit(two.root / "params.yaml", "seed: 0", "seed: 1")
    before = files(two.root)
    with pytest.raises(StoreError) as caught:
        two.apply("low")
    assert str(caught.value) == (
        "1 file has edits that no commit or experiment holds: params.yaml. Nothing was applied.\n"
        "Hint: keep them as an undo point and go on: `nbexp apply low --force` (then `nbexp undo` "
        "brings them back)."
    )
    assert files(two.root) == before


def test_every_kind_of_edit_in_the_way_is_named(two: Project, files: FilesOf) -> None:
    root = two.root
    edit(root / "params.yaml", "seed: 0", "seed: 1")
    (root / "model.txt").write_text("mine\n")
    (root / "prepared" / "notes.txt").write_text("mine\n")
    (root / "metrics.json").write_text("{}\n")
    edit(root / "README.md", "project", "place")
    before = files(root)
    with pytest.raises(StoreError) as caught:
        two.apply("low")
    assert caught.value.message == (
        "5 files have edits that no commit or experiment holds: README.md, metrics.json, "
        "params.yaml, prepared, model.txt. Nothing was applied."
    )
    assert files(root) == before


def test_edits_that_are_not_in_the_way_stop_nothing(two: Project) -> None:
    (two.root / "mine.txt").write_text("untracked\n")
    two.apply("low")
    assert (two.root / "mine.txt").read_text() == "untracked\n"


def test_a_deleted_file_is_no_edit_in_the_way(two: Project) -> None:
    (two.root / "train.sh").unlink()
    two.apply("low")
    assert (two.root / "train.sh").exists()


def test_an_untracked_file_where_the_experiment_has_one_is_in_the_way(two: Project) -> None:
    (two.root / "metrics.json").write_text("my own\n")
    with pytest.raises(StoreError) as caught:
        two.apply("low")
    assert caught.value.message == (
        "1 file has edits that no commit or experiment holds: metrics.json. Nothing was applied."
    )


def test_force_keeps_the_edits_and_undo_brings_them_back(two: Project, files: FilesOf) -> None:
    edit(two.root / "params.yaml", "seed: 0", "seed: 1")
    (two.root / "model.txt").write_text("mine\n")
    before = files(two.root)
    applied = two.apply("low", force=True)
    assert applied.saved == ("params.yaml", "model.txt")
    assert "seed: 0" in (two.root / "params.yaml").read_text()
    two.undo()
    assert files(two.root) == before


def test_apply_after_a_run_is_not_blocked(project: Project) -> None:
    project.run(name="one")
    project.run({"train.lr": 0.5}, name="two")
    project.apply("one")
    project.apply("two")


def test_apply_after_a_removal_is_not_blocked(project: Project) -> None:
    """The removed experiment is in the trash: what the workspace holds is not lost."""
    project.run({"seed": 1}, name="one")
    project.run({"seed": 2}, name="other")
    project.apply("one")
    project.remove("one")
    project.apply("other")


def test_the_notebook_that_asks_is_left_alone(two: Project, git: Git) -> None:
    root = two.root
    (root / "lab.ipynb").write_text('{"cells": []}')
    git("add", "lab.ipynb", cwd=root)
    two.run({"train.lr": 0.2}, name="with-lab")
    (root / "lab.ipynb").write_text('{"cells": [1]}')
    two.asking_notebook = root / "lab.ipynb"
    told: list[events.Event] = []
    applied = two.apply("with-lab", emit=told.append)
    assert applied.kept == ("lab.ipynb",)
    assert (root / "lab.ipynb").read_text() == '{"cells": [1]}'
    (notice,) = [event for event in told if isinstance(event, events.Notice)]
    assert notice.message == "lab.ipynb is the notebook you are in and stays as it is."


def test_outputs_that_the_cache_lacks_are_told_before_anything_changes(
    two: Project, files: FilesOf
) -> None:
    for path in (two.root / ".dvc" / "cache" / "files" / "md5").glob("*/*"):
        if b"0.9333" in path.read_bytes() and not path.name.endswith(".dir"):
            path.unlink()
    before = files(two.root)
    with pytest.raises(StoreError) as caught:
        two.apply("low")
    assert str(caught.value) == (
        "The cache lacks model.txt of experiment `low`. Nothing was applied.\n"
        "Hint: `nbexp data fetch` brings them when a remote has them; running the experiment again makes them."
    )
    assert files(two.root) == before


def test_an_unknown_experiment_names_the_nearest(two: Project) -> None:
    with pytest.raises(NotFound) as caught:
        two.apply("hihg")
    assert str(caught.value) == "There is no experiment `hihg`.\nHint: did you mean `high`?"


# --- Undo ---------------------------------------------------------------------------------------


def test_undo_goes_back_any_number_of_steps(project: Project, files: FilesOf) -> None:
    states = [files(project.root)]
    project.run({"train.lr": 0.03}, name="low")
    states.append(files(project.root))
    project.run({"train.lr": 0.5}, name="high")
    states.append(files(project.root))
    project.apply("low")
    states.append(files(project.root))
    for left, state in reversed(list(enumerate(states[:-1]))):
        undone = project.undo()
        assert undone.left == left
        assert files(project.root) == state
    with pytest.raises(NotFound) as caught:
        project.undo()
    assert str(caught.value) == (
        "There is nothing to undo: no command has changed this workspace.\n"
        "Hint: `nbexp run` and `nbexp apply` make undo points."
    )


def test_undo_says_what_it_undid(two: Project) -> None:
    undone = two.undo()
    assert undone.op == "run high"
    assert set(undone.paths) == {
        "dvc.lock", "metrics.json", "model.txt", "params.yaml", "plots/acc.csv", "prepared",
    }  # fmt: skip
    assert undone.left == 1


def test_undo_stops_at_files_edited_since(two: Project, files: FilesOf) -> None:
    edit(two.root / "params.yaml", "seed: 0", "seed: 1")
    before = files(two.root)
    with pytest.raises(StoreError) as caught:
        two.undo()
    assert str(caught.value) == (
        "1 file has been edited since `run high`: params.yaml. Nothing was undone.\n"
        "Hint: keep the edits as an undo point and go on: `nbexp undo --force`."
    )
    assert files(two.root) == before


def test_a_forced_undo_can_be_undone(two: Project, files: FilesOf) -> None:
    edit(two.root / "params.yaml", "seed: 0", "seed: 1")
    before = files(two.root)
    two.undo(force=True)
    assert "lr: 0.03" in (two.root / "params.yaml").read_text()
    two.undo()
    assert files(two.root) == before


def test_undo_leaves_experiments_and_git_alone(two: Project, git_state: GitState) -> None:
    before = git_state(two.root)
    two.undo()
    assert two.names == ["high", "low"]
    assert git_state(two.root) == before


def test_an_identical_run_can_be_undone(two: Project, files: FilesOf) -> None:
    before = files(two.root)
    assert two.run({"train.lr": 0.03, "prepare.rows": 20}).name == "low"
    assert files(two.root) != before
    assert two.undo().op == "run low"
    assert files(two.root) == before


def test_a_failed_run_needs_no_undo(two: Project, files: FilesOf) -> None:
    edit(two.root / "train.sh", "set -eu\n", "set -eu\nexit 1\n")
    with pytest.raises(NbexpError):
        two.run({"seed": 3})
    undone = two.undo()
    assert undone.op == "run high"


def test_old_outputs_that_only_the_workspace_had_come_back(project: Project) -> None:
    """`model.txt` was edited by hand before the run: no cache had that."""
    project.run(name="one")
    (project.root / "model.txt").write_text("by hand\n")
    (project.root / "prepared" / "extra").write_text("by hand\n")
    project.run({"train.lr": 0.5, "prepare.rows": 3})
    assert (project.root / "model.txt").read_text() != "by hand\n"
    project.undo()
    assert (project.root / "model.txt").read_text() == "by hand\n"
    assert (project.root / "prepared" / "extra").read_text() == "by hand\n"
    assert os.access(project.root / "model.txt", os.W_OK)


# --- Everything, in any order --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_edits_runs_and_applies_is_undone_step_by_step(
    seed: int, project: Project, files: FilesOf, git_state: GitState
) -> None:
    """Twelve random steps; then every command is undone, and each state is found again to the byte.

    Edits between two commands belong to the state that the next command starts from.
    """
    dice = random.Random(seed)
    root = project.root
    git_before = git_state(root)
    starts: list[dict[str, tuple[str, bytes]]] = []
    project.run(name="start")
    ends = [files(root)]
    starts.append({})

    def edit_something() -> None:
        path = root / dice.choice(
            [
                "params.yaml",
                "model.txt",
                "README.md",
                "data/raw.csv",
                "prepared/train.csv",
                "metrics.json",
            ]
        )
        what = dice.random()
        if what < 0.5 and path.exists():
            path.write_bytes(path.read_bytes() + b"# %d\n" % dice.randrange(1000))
        elif what < 0.7 and path.exists() and path.suffix != ".yaml" and "raw" not in path.name:
            path.unlink()
        else:
            (root / f"new-{dice.randrange(3)}.txt").write_text(f"{dice.random()}\n")

    tried = 0
    while len(ends) < 9 and tried < 30:
        tried += 1
        for _ in range(dice.randrange(3)):
            edit_something()
        before = files(root)
        count = len(undo_points(project))
        try:
            if dice.random() < 0.6:
                project.run(
                    {"seed": dice.randrange(3), "prepare.rows": dice.choice([5, 20])},
                    new=dice.random() < 0.3,
                )
            else:
                project.apply(dice.choice(project.names), force=dice.random() < 0.7)
        except NbexpError:
            assert files(root) == before
        if len(undo_points(project)) > count:
            starts.append(before)
            ends.append(files(root))
        else:
            assert files(root) == before
    assert len(ends) > 3
    for start in reversed(starts[1:]):
        project.undo(force=False)
        assert files(root) == start
        # What was edited between the commands is nobody's step: put it back by hand.
        restore(root, ends[len(starts) - 2], files)
        starts.pop()
    assert git_state(root) == git_before


def undo_points(project: Project) -> list[str]:
    return sorted(project.git.refs("refs/nbexp/undo/"))


def restore(root: Path, wanted: dict[str, tuple[str, bytes]], files: FilesOf) -> None:
    for path in files(root):
        if path not in wanted:
            (root / path).unlink()
    for path, (_, data) in wanted.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if not (root / path).exists() or (root / path).read_bytes() != data:
            (root / path).write_bytes(data)
