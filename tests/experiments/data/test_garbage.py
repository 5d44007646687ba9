"""`data gc`: what is listed, what is never taken, and that nothing goes unasked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp.errors import NotFound, StoreError, UsageError

if TYPE_CHECKING:
    from nbexp import Project


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture
def grown(tracked: Project, git: Callable[..., Any]) -> Project:
    """raw.csv is `1` in the first commit, `2` in the second, and was `3` meanwhile; no undo points."""
    for text in ("3\n", "2\n"):
        (tracked.root / "raw.csv").write_text(text)
        tracked.data.add("raw.csv")
    git("commit", "--quiet", "--all", "--message=second", cwd=tracked.root)
    forget(tracked, git)
    return tracked


def forget(project: Project, git: Callable[..., Any]) -> None:
    for ref in project.git.refs("refs/nbexp/undo/"):
        git("update-ref", "-d", ref, cwd=project.root)


def test_it_shows_sizes_and_where_they_came_from(grown: Project) -> None:
    found = grown.data.gc(workspace=True)
    first = grown.git.run("rev-parse", "--short=7", "HEAD~1").decode().strip()
    assert found.to_json() == {
        "removed": False,
        "objects": 2,
        "size": 4,
        "kept": 5,
        "cache": ".dvc/cache",
        "from": [
            {"path": "(known to no commit)", "objects": 1, "size": 2, "last": ""},
            {"path": "raw.csv", "objects": 1, "size": 2, "last": first},
        ],
        "runs": [],
        "in_remote": {"objects": 0, "size": 0},
    }
    assert set(found.md5s) == {md5("1\n"), md5("3\n")}
    assert grown.cache.has_object(md5("3\n"))


def test_with_yes_it_is_gone_and_the_rest_is_whole(grown: Project) -> None:
    grown.data.gc(all_commits=True, yes=True)
    assert not grown.cache.has_object(md5("3\n"))
    assert grown.cache.has_object(md5("1\n"))
    assert grown.status().is_clean


def test_nothing_named_is_refused(grown: Project) -> None:
    for options in ({}, {"num": 3}, {"workspace": True, "num": 3}, {"since": "yesterday"}):
        with pytest.raises(UsageError):
            grown.data.gc(yes=True, **options)
    with pytest.raises(NotFound):
        grown.data.gc(rev="nowhere", yes=True)
    assert len(list(grown.cache.objects())) == 7


def test_undo_points_keep_their_data(grown: Project) -> None:
    (grown.root / "raw.csv").write_text("mine\n")
    grown.data.checkout("raw.csv", force=True)
    grown.data.gc(workspace=True, yes=True)
    grown.undo()
    assert (grown.root / "raw.csv").read_text() == "mine\n"


def test_stashed_data_is_kept(grown, git):
    (grown.root / "raw.csv").write_text("stashed\n")
    grown.data.add("raw.csv")
    forget(grown, git)
    git("stash", "--quiet", cwd=grown.root)
    grown.data.checkout()
    forget(grown, git)
    grown.data.gc(workspace=True, yes=True)
    git("stash", "pop", "--quiet", cwd=grown.root)
    grown.data.checkout()
    assert (grown.root / "raw.csv").read_text() == "stashed\n"


def test_experiments_keep_their_data_removed_ones_too(project, git):
    project.run({"train.lr": 0.2}, name="kept")
    project.run({"train.lr": 0.3}, name="gone")
    project.remove("gone")
    git("checkout", "--quiet", ".", cwd=project.root)
    git("clean", "-fdq", cwd=project.root)
    forget(project, git)
    project.data.gc(workspace=True, yes=True)
    for ref in project.git.refs("refs/nbexp/trash/"):
        project.apply(ref, force=True)
        assert project.status().is_clean
    project.apply("kept", force=True)
    assert project.status().is_clean


def test_other_work_trees_keep_theirs(grown, git, tmp_path):
    git("worktree", "add", "--quiet", str(tmp_path / "second"), "HEAD~1", cwd=grown.root)
    grown.data.gc(workspace=True, yes=True)
    assert grown.cache.has_object(md5("1\n"))
    assert not grown.cache.has_object(md5("3\n"))


def test_a_work_tree_whose_disk_is_away_keeps_what_its_commit_needs(grown, git, tmp_path):
    second = tmp_path / "second"
    git("worktree", "add", "--quiet", str(second), "HEAD~1", cwd=grown.root)
    second.rename(tmp_path / "away")
    grown.data.gc(workspace=True, yes=True)
    assert grown.cache.has_object(md5("1\n"))
    assert not grown.cache.has_object(md5("3\n"))


def test_a_command_at_work_in_another_work_tree_stops_it(grown, git, tmp_path):
    from nbexp.experiments import place

    second = tmp_path / "second"
    git("worktree", "add", "--quiet", str(second), "HEAD", cwd=grown.root)
    lock = place.workspace_lock(second)
    lock.acquire()
    try:
        with pytest.raises(StoreError) as caught:
            grown.data.gc(workspace=True, yes=True)
    finally:
        lock.release()
    assert f"A command is at work in {second}" in caught.value.message
    assert len(list(grown.cache.objects())) == 7


def test_a_commit_that_cannot_be_read_stops_it(grown, git):
    git("checkout", "--quiet", "-b", "broken", cwd=grown.root)
    (grown.root / "raw.csv.dvc").write_text("outs: [\n")
    git("commit", "--quiet", "--all", "--message=broken", cwd=grown.root)
    git("checkout", "--quiet", "main", cwd=grown.root)
    with pytest.raises(StoreError) as caught:
        grown.data.gc(all_branches=True, yes=True)
    assert "raw.csv.dvc needs cannot be told" in caught.value.message
    assert len(list(grown.cache.objects())) == 7
    grown.data.gc(all_branches=True, skip_failed=True, yes=True)
    assert len(list(grown.cache.objects())) == 5


def test_runs_that_lose_their_outputs_are_told(project, git):
    project.run({"train.lr": 0.2}, name="one")
    git("checkout", "--quiet", ".", cwd=project.root)
    git("clean", "-fdq", cwd=project.root)
    for ref in project.git.refs("refs/exps/", "refs/nbexp/"):
        git("update-ref", "-d", ref, cwd=project.root)
    found = project.data.gc(workspace=True)
    assert found.objects > 0
    assert all("(" in run for run in found.runs)
    assert found.runs
    assert "of the run cache would lose outputs" in str(found)


def test_no_damage_to_what_is_no_object(grown: Project) -> None:
    odd = Path(grown.cache.folder) / "files" / "md5" / "README"
    odd.write_text("mine\n")
    grown.data.gc(workspace=True, yes=True)
    assert odd.read_text() == "mine\n"
