"""`save`: the workspace as an experiment, and nothing of the user's moved."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nbexp
from nbexp.errors import NameTaken, NotFound, UsageError
from nbexp.events import Notice

if TYPE_CHECKING:
    from nbexp import Project

Files = Callable[[Path], dict[str, Any]]


@pytest.fixture
def done(project: Project) -> Project:
    """Run once, and edited by hand since."""
    project.run(name="first")
    model = project.root / "model.txt"
    model.chmod(0o644)
    model.write_text("by hand\n")
    return project


def test_an_edit_by_hand_becomes_an_experiment_that_can_be_brought_back(
    done: Project, git_state: Callable[[Path], Any], files: Files
) -> None:
    before = git_state(done.root)
    saved = done.save(name="by-hand")
    assert git_state(done.root) == before
    assert saved.to_json() == {
        "ref": done["by-hand"].rev,
        "name": "by-hand",
        "baseline": done.git.head(),
        "identical": False,
        "written": ["dvc.lock"],
        "not_recorded": [],
    }
    after = files(done.root)
    done.apply("first")
    assert (done.root / "model.txt").read_text() != "by hand\n"
    done.apply("by-hand")
    assert files(done.root) == after


def test_undo_brings_back_what_save_rewrote(done: Project, files: Files) -> None:
    before = files(done.root)
    done.save(name="by-hand")
    assert files(done.root) != before
    assert done.undo().op == "save by-hand"
    assert files(done.root) == before
    assert "by-hand" in done.names


def test_saving_the_same_again_says_so(done: Project) -> None:
    first = done.save(name="by-hand")
    again = done.save()
    assert (again.name, again.rev, again.identical) == ("by-hand", first.rev, True)
    other = done.save(name="other")
    assert (other.name, other.rev, other.identical) == ("other", first.rev, True)
    assert done.names == ["by-hand", "first", "other"]


def test_after_a_run_there_is_nothing_to_save(project: Project) -> None:
    ran = project.run(name="first")
    saved = project.save()
    assert (saved.name, saved.rev, saved.identical) == ("first", ran.rev, True)


def test_a_message_is_asked_for_and_so_recorded(done: Project, git: Callable[..., str]) -> None:
    done.save(name="by-hand")
    saved = done.save(name="told", message="what I tried")
    assert not saved.identical
    assert git("log", "-1", "--format=%B", saved.rev, cwd=done.root).strip() == "what I tried"


def test_a_taken_name_is_refused_whatever_its_case(done: Project, files: Files) -> None:
    before = files(done.root)
    with pytest.raises(NameTaken) as raised:
        done.save(name="First")
    assert raised.value.message.endswith("Nothing was saved.")
    assert raised.value.hint == (
        "`nbexp save -n first --force` replaces it; without `-n` a fresh name is drawn."
    )
    assert files(done.root) == before


@pytest.mark.parametrize("name", ["deadbee", "main", "a b", "-x", "x/y"])
def test_a_name_that_an_experiment_cannot_have_is_refused(name: str, done: Project) -> None:
    before = done.names
    with pytest.raises((UsageError, NameTaken)):
        done.save(name=name)
    assert done.names == before


def test_replacing_keeps_the_old_one(done: Project) -> None:
    old = done.save(name="by-hand").rev
    _set_lr(done.root, 7)
    new = done.save(name="by-hand", force=True)
    assert done["by-hand"].rev == new.rev != old
    assert old in done.git.refs("refs/nbexp/trash/").values()


def test_a_folder_of_untracked_files_is_taken_in_without_what_is_dvcs_own(done: Project) -> None:
    (done.root / "notes").mkdir()
    (done.root / "notes" / "a.md").write_text("a")
    (done.root / ".dvc" / "config.local").write_text("")
    saved = done.save(name="all", include_untracked=["."])
    tree = done.git.tree(saved.rev)
    assert "notes/a.md" in tree
    assert [path for path in tree if path.startswith((".dvc/tmp", ".dvc/cache"))] == []
    assert ".dvc/config.local" not in tree
    assert "model.txt" not in tree


def test_data_with_a_recorded_hash_is_not_put_into_git(done: Project) -> None:
    told: list[object] = []
    saved = done.save(name="all", include_untracked=["model.txt", "no-such"], emit=told.append)
    assert "model.txt" not in done.git.tree(saved.rev)
    assert [one.message for one in told if isinstance(one, Notice)] == [
        "`model.txt` is data whose hash is recorded; its bytes are in the cache.",
        "There is no `no-such`, so the experiment does not hold it.",
    ]


def test_a_path_outside_of_the_repository_is_refused(done: Project) -> None:
    with pytest.raises(UsageError, match="outside of the repository"):
        done.save(include_untracked=["../elsewhere"])
    assert done.names == ["first"]


def test_a_missing_output_is_told_and_nothing_changed(done: Project, files: Files) -> None:
    (done.root / "model.txt").unlink()
    before = files(done.root)
    with pytest.raises(NotFound) as raised:
        done.save(name="by-hand")
    assert raised.value.message == (
        "`model.txt` of stage `train` does not exist. Nothing was saved."
    )
    assert raised.value.hint == (
        "`nbexp repro train` makes it; `nbexp data checkout train` brings back what was recorded."
    )
    assert files(done.root) == before
    assert done.names == ["first"]


def test_a_missing_dep_is_told_and_nothing_changed(done: Project, files: Files) -> None:
    (done.root / "data" / "raw.csv").unlink()
    before = files(done.root)
    with pytest.raises(NotFound, match=r"raw\.csv.*Nothing was saved"):
        done.save(name="by-hand")
    assert files(done.root) == before


def test_the_output_that_a_target_reads_has_to_be_there(done: Project) -> None:
    shutil.rmtree(done.root / "prepared")
    with pytest.raises(NotFound, match="`prepared` of stage `train` does not exist"):
        done.save(["train"])
    assert done.names == ["first"]


def test_a_repository_without_a_commit_is_told_so(
    tmp_path: Path, git: Callable[..., str], opened: Callable[..., Project]
) -> None:
    git("init", "--quiet", tmp_path)
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(NotFound, match="no commit yet"):
        opened(tmp_path).save()


def test_a_folder_below_the_root_means_paths_from_there(
    done: Project, opened: Callable[..., Project]
) -> None:
    (done.root / "sub").mkdir()
    (done.root / "sub" / "a.md").write_text("a")
    saved = opened(done.root / "sub").save(name="below", include_untracked=["a.md"])
    assert "sub/a.md" in done.git.tree(saved.rev)
    assert saved.written == ("../dvc.lock",)


def test_a_project_in_a_folder_of_the_repository(
    done: Project, tmp_path: Path, git: Callable[..., str], opened: Callable[..., Project]
) -> None:
    outer = tmp_path / "outer"
    shutil.copytree(done.root, outer / "inner", ignore=shutil.ignore_patterns(".git"))
    git("init", "--quiet", outer)
    git("add", "--all", cwd=outer)
    git("commit", "--quiet", "--message=all", cwd=outer)
    _set_lr(outer / "inner", 7)
    (outer / "inner" / "new.md").write_text("new")
    saved = opened(outer / "inner").save(name="inner", include_untracked=["new.md"])
    assert {"inner/new.md", "inner/dvc.lock"} <= {*done.git.tree("HEAD"), *_tree(outer, saved.rev)}
    assert nbexp.open(outer / "inner")["inner"].params["train.lr"] == 7


def _set_lr(root: Path, value: float) -> None:
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(re.sub(r"lr: .*", f"lr: {value}", text))


def _tree(root: Path, rev: str) -> set[str]:
    found = nbexp.open(root / "inner").git
    try:
        return {*found.tree(rev)}
    finally:
        found.close()


def test_apply_and_an_ordinary_commit_keep_the_links(
    project: Project, git: Callable[..., str]
) -> None:
    """S007: what one commits after `apply` is the experiment; data, metrics and table follow."""
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5}, name="high")
    project.apply("low")
    git("add", "--all", cwd=project.root)
    git("commit", "--quiet", "--message=keep low", cwd=project.root)
    head = git("rev-parse", "HEAD", cwd=project.root).strip()
    assert project.status().is_clean
    tree = project.git.tree(project["low"].rev)
    assert {path: project.git.tree(head).get(path) for path in tree} == tree
    rows = {row.rev: row for row in project.show().rows}
    assert rows[head].metrics == project["low"].metrics
    assert rows[head].params["train.lr"] == 0.03
    assert project["low"].baseline == git("rev-parse", "HEAD~", cwd=project.root).strip()
    assert project.run().report.identical is False  # on the new commit nothing is recorded yet
    assert project.status().is_clean


def test_the_command_line_and_the_environment_are_recorded(done: Project) -> None:
    (done.root / "seen.md").write_text("seen\n")
    done.save(name="by-hand", message="as I left it", include_untracked=["seen.md"])
    told = done["by-hand"].recorded.run
    assert told["command"] == "nbexp save -n by-hand -m 'as I left it' -I seen.md"
    assert told["dvc"] == "dvc exp save -n by-hand -m 'as I left it' -I seen.md"
    assert told["python"]
    assert done["by-hand"].recorded.packages


def test_a_note_that_cannot_be_written_does_not_keep_it_from_being_saved(
    done: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbexp.git._PATIENCE_S", 0.1)
    lock = done.git.common / "refs" / "notes" / "nbexp.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("")
    told: list[Any] = []
    done.save(name="by-hand", emit=told.append)
    assert "by-hand" in done.names
    (notice,) = [one for one in told if isinstance(one, Notice)]
    assert notice.message.startswith("Its command line and environment are not recorded: ")
