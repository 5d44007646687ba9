"""Undo points: what they hold, in Git and in the cache, and what makes none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import StoreError
from nbexp.experiments import undo
from nbexp.experiments.place import undo_place

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]


def points(project: Project) -> list[undo.UndoPoint]:
    return undo.points(project.git, undo_place(project.git, project.root))


def test_an_undo_point_is_a_commit_without_parent_that_says_what_was(
    project: Project, git: Git
) -> None:
    project.run({"train.lr": 0.03}, name="low")
    (point,) = points(project)
    assert point.op == "run low"
    assert git("rev-list", "--parents", "--max-count=1", point.ref, cwd=project.root) == point.rev
    manifest = json.loads(git("show", f"{point.ref}:manifest.json", cwd=project.root))
    entries = {entry["path"]: entry["old"] for entry in manifest["entries"]}
    assert entries["model.txt"] is None
    assert entries["params.yaml"]["kind"] == "file"
    blob = entries["params.yaml"]["blob"]
    assert "lr: 0.1 " in git("show", f"{point.ref}:{blob}", cwd=project.root)


def test_old_outputs_are_objects_of_the_cache(project: Project, git: Git) -> None:
    project.run(name="one")
    (project.root / "model.txt").write_text("by hand\n")
    project.run({"train.lr": 0.5}, name="two")
    point = points(project)[0]
    manifest = json.loads(git("show", f"{point.ref}:manifest.json", cwd=project.root))
    (old,) = [entry["old"] for entry in manifest["entries"] if entry["path"] == "model.txt"]
    assert project.cache.read(old["md5"]) == b"by hand\n"


def test_what_changed_nothing_makes_no_point(project: Project) -> None:
    project.run(name="one")
    count = len(points(project))
    project.run(new=True)
    project.apply("one")
    assert len(points(project)) == count


def test_points_are_listed_newest_first(project: Project) -> None:
    for number in (1, 2, 3):
        project.run({"seed": number}, name=f"s{number}")
    assert [point.op for point in points(project)] == ["run s3", "run s2", "run s1"]


def test_a_step_back_takes_its_point_away(project: Project) -> None:
    project.run(name="one")
    project.undo()
    assert points(project) == []


def test_points_survive_a_garbage_collection_of_git(project: Project, git: Git) -> None:
    project.run(name="one")
    (project.root / "README.md").write_text("edited\n")
    project.run({"train.lr": 0.5}, name="two")
    project.git.close()
    git("reflog", "expire", "--expire=now", "--all", cwd=project.root)
    git("gc", "--quiet", "--prune=now", cwd=project.root)
    project.undo()
    assert "lr: 0.1 " in (project.root / "params.yaml").read_text()


def test_an_old_output_that_the_cache_lost_is_told_before_anything_changes(
    project: Project,
) -> None:
    project.run(name="one")
    project.run({"train.lr": 0.5}, name="two")
    after = (project.root / "params.yaml").read_bytes()
    point = points(project)[0]
    data = json.loads(project.git.read(f"{point.rev}:manifest.json") or b"")
    (old,) = [entry["old"] for entry in data["entries"] if entry["path"] == "model.txt"]
    project.cache.path(old["md5"]).unlink()
    with pytest.raises(StoreError) as caught:
        project.undo()
    assert caught.value.message == (
        "The old `model.txt` is not in the cache any more. Nothing was changed."
    )
    assert (project.root / "params.yaml").read_bytes() == after


def test_files_come_back_with_their_modes_and_links(project: Project, git: Git) -> None:
    root = project.root
    (root / "tool.sh").write_text("#!/bin/sh\n")
    (root / "tool.sh").chmod(0o755)
    (root / "latest").symlink_to("data/raw.csv")
    git("add", "tool.sh", "latest", cwd=root)
    git("commit", "--quiet", "--message=tools", cwd=root)
    project.run(name="tools")
    (root / "latest").unlink()
    (root / "latest").write_text("a file\n")
    (root / "tool.sh").write_text("# edited\n")
    (root / "tool.sh").chmod(0o644)
    project.apply("tools", force=True)
    assert os.readlink(root / "latest") == "data/raw.csv"
    assert (root / "tool.sh").stat().st_mode & 0o777 == 0o755
    project.undo()
    assert (root / "latest").read_text() == "a file\n"
    assert (root / "tool.sh").stat().st_mode & 0o777 == 0o644


def test_files_that_were_not_there_are_gone_again(project: Project, git: Git) -> None:
    root = project.root
    (root / "later.py").write_text("x = 1\n")
    (root / "latest").symlink_to("later.py")
    git("add", "later.py", "latest", cwd=root)
    project.run(name="tools")
    git("rm", "--quiet", "--force", "later.py", "latest", cwd=root)
    project.apply("tools")
    assert (root / "latest").read_text() == "x = 1\n"
    project.undo()
    assert not (root / "later.py").exists()
    assert not os.path.lexists(root / "latest")


def test_what_is_left_open_is_said(project: Project) -> None:
    for number in (1, 2):
        project.run({"seed": number}, name=f"s{number}")
    assert project.undo().to_json() == {
        "undone": "run s2",
        "steps": ["run s2"],
        "paths": ["params.yaml", "model.txt", "metrics.json", "plots/acc.csv", "dvc.lock"],
        "experiments": [],
        "kept": [],
        "left": 1,
    }
