"""Where a project is, and what Git and .dvcignore say of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp.experiments import place
from nbexp.experiments.place import DvcIgnores, GitIgnores, GitMeanings
from nbexp.git import Git

if TYPE_CHECKING:
    from nbexp import Project

RunGit = Callable[..., str]


@pytest.fixture
def found(repo: Path) -> Git:
    git = Git.find(repo)
    assert git is not None
    return git


def test_a_project_knows_where_it_is_in_the_repository(repo: Path, found: Git) -> None:
    (repo / "a" / "b").mkdir(parents=True)
    assert place.prefix(found, repo) == ""
    assert place.prefix(found, repo / "a" / "b") == "a/b"


# --- What Git ignores ---------------------------------------------------------------------------

RULES = [
    "*.log",
    "/out.txt",
    "models/",
    "data/**",
    "!data/keep",
    "**/cache",
    "a/*/z.txt",
    "Runs",
    "# notes.txt",
    "\\#odd",
    "x[0-9].csv",
    "trailing.txt  ",
    "",
]
PATHS = [
    "m.log", "sub/m.log", "out.txt", "sub/out.txt", "models", "models/m.pkl", "sub/models/m", "data/x", "data/keep",
    "cache", "sub/cache/x", "a/b/z.txt", "a/z.txt", "notes.txt", "#odd", "x1.csv", "xx.csv", "trailing.txt", "plain",
    "Runs/a", "runs/a", "deep/er/plain.txt",
]  # fmt: skip


@pytest.mark.parametrize("where", [".gitignore", "sub/.gitignore", "info", "own"])
def test_what_git_ignores_is_answered_as_git_does(
    where: str, repo: Path, found: Git, git: RunGit, home: Path
) -> None:
    text = "\n".join(RULES) + "\n"
    if where == "info":
        (repo / ".git" / "info").mkdir(exist_ok=True)
        (repo / ".git" / "info" / "exclude").write_text(text)
    elif where == "own":
        (home / ".config" / "git").mkdir()
        (home / ".config" / "git" / "ignore").write_text(text)
    else:
        (repo / "sub").mkdir()
        (repo / where).write_text(text)
    expected = git("check-ignore", "--stdin", cwd=repo, stdin="\n".join(PATHS), code=None)
    assert GitIgnores(found, "").ignored(PATHS) == {
        line.strip('"').replace("\\\\", "\\") for line in expected.splitlines()
    }


def test_where_no_rule_comes_near_no_process_is_started(
    repo: Path, found: Git, count_git: object
) -> None:
    (repo / ".gitignore").write_text("*.log\n__pycache__/\n.ipynb_checkpoints/\n")
    found.config()
    count_git.clear()  # type: ignore[attr-defined]
    assert GitIgnores(found, "").ignored(["runs/train.ipynb", "model.pkl"]) == set()
    assert count_git.calls == []  # type: ignore[attr-defined]
    assert GitIgnores(found, "").ignored(["train.log"]) == {"train.log"}


def test_paths_are_those_of_the_project(repo: Path, found: Git) -> None:
    (repo / ".gitignore").write_text("/inner/out.txt\n")
    assert GitIgnores(found, "inner").ignored(["out.txt", "in.txt"]) == {"out.txt"}
    assert GitIgnores(found, "").ignored(["out.txt"]) == set()


def test_what_the_present_commit_holds_is_tracked(repo: Path, found: Git, git: RunGit) -> None:
    (repo / "inner").mkdir()
    (repo / "inner" / "a.txt").write_text("x")
    git("add", "inner", cwd=repo)
    git("commit", "--quiet", "--message=inner", cwd=repo)
    assert GitIgnores(found, "").tracked(["README.md", "inner", "inner/a.txt", "no"]) == {
        "README.md",
        "inner",
        "inner/a.txt",
    }
    assert GitIgnores(found, "inner").tracked(["a.txt", "README.md"]) == {"a.txt"}


# --- What .dvcignore leaves out -------------------------------------------------------------------


def test_an_output_that_is_kept_aside_is_whole(tmp_path: Path) -> None:
    """It lies below `.dvc` then, where every rule would leave out everything."""
    (tmp_path / ".dvcignore").write_text("*.tmp\n")
    ignores = DvcIgnores(tmp_path)
    skip = ignores.below(tmp_path / "data")
    assert skip is not None
    assert skip("x.tmp", False)
    assert not skip("x.csv", False)
    assert ignores.below(tmp_path / ".dvc" / "tmp" / "nbexp" / "journal" / "saved" / "1") is None
    assert ignores.below(tmp_path.parent) is None


# --- What a notebook once was ----------------------------------------------------------------------


def test_an_old_notebook_is_found_in_head_then_in_experiments(
    project: Project, git: RunGit
) -> None:
    root = project.root
    (root / "a.ipynb").write_text("one")
    git("add", "a.ipynb", cwd=root)
    git("commit", "--quiet", "--message=one", cwd=root)
    (root / "a.ipynb").write_text("two")
    made = project.run()
    (root / "a.ipynb").write_text("three")
    meanings = GitMeanings(project.git, "", {"ref": made.rev})

    def meaning(text: str) -> bytes | None:
        return meanings.notebook("a.ipynb", hashlib.md5(text.encode()).hexdigest())

    assert meaning("one") == b"one"
    assert meaning("two") == b"two"
    assert meaning("three") is None
