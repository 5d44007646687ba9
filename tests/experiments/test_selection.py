"""Which commits the options `-A`, `-a`, `-T`, `--rev` and `-n` stand for; real DVC is asked in tests/conformance."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp.commands import _selected
from nbexp.errors import NotFound
from nbexp.experiments.selection import Revisions
from nbexp.formats.ref_names import ExpRef

if TYPE_CHECKING:
    from nbexp import Project


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def history(project: Project) -> dict[str, str]:
    """Commits by a word: `first`, `second`, `third` on main, `side` on a branch from `first`; `second` is tagged."""
    root = project.root
    found = {"first": git(root, "rev-parse", "HEAD")}
    for word in ("second", "third"):
        git(root, "commit", "--quiet", "--allow-empty", f"--message={word}")
        found[word] = git(root, "rev-parse", "HEAD")
    git(root, "tag", "-a", "--message=v1", "v1", found["second"])
    git(root, "checkout", "--quiet", "-b", "side", found["first"])
    git(root, "commit", "--quiet", "--allow-empty", "--message=side")
    found["side"] = git(root, "rev-parse", "HEAD")
    git(root, "checkout", "--quiet", "main")
    return found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ["third"]),
        ("--rev v1", ["second"]),
        ("--rev side --rev v1 --rev side", ["side", "second"]),
        ("-n 2", ["third", "second"]),
        ("-n -1 --rev v1", ["second", "first", "older"]),
        ("-n 0", []),
        ("-n 50", ["third", "second", "first", "older"]),
        ("-a", ["third", "side"]),
        ("-a -n 2", ["third", "second", "side", "first"]),
        ("-T", ["second"]),
        ("-T --rev side", ["side", "second"]),
    ],
)
def test_options_stand_for_commits(project, history, words, expected):
    parser = argparse.ArgumentParser()
    _selected.add_arguments(parser, branches=True)
    found = _selected.revisions(parser.parse_args(words.split()))
    words_of = {rev: word for word, rev in history.items()}
    assert [words_of.get(rev, "older") for rev in found.baselines(project.git)] == expected
    assert found.is_default is (words == "")


def test_all_commits_are_those_of_every_branch_tag_and_remote(project, history):
    found = Revisions(all_commits=True).baselines(project.git)
    older = git(project.root, "rev-list", history["first"]).split()
    assert set(found) == {*history.values(), *older}
    assert len(found) == len(set(found))


def test_experiments_are_those_that_start_from_the_commits(project, history, monkeypatch):
    gone = "ab" * 20
    refs = {
        ExpRef(history["second"], "old").ref: "1" * 40,
        ExpRef(history["third"], "new").ref: "2" * 40,
        ExpRef(gone, "lost").ref: "3" * 40,
    }
    assert list(Revisions().experiments(project.git, refs).values()) == ["2" * 40]
    assert len(Revisions(num=2).experiments(project.git, refs)) == 2
    assert Revisions(all_commits=True).experiments(project.git, refs) == refs
    assert Revisions(num=0).experiments(project.git, refs) == {}


def test_an_experiment_is_a_revision(project):
    rev = project.run(name="low-lr").rev
    assert Revisions(rev=("low-lr",)).baselines(project.git) == [rev]


def test_a_name_of_several_experiments_means_the_one_of_the_present_commit(project, history):
    blob = history["first"]
    for word in ("first", "second"):
        git(project.root, "update-ref", ExpRef(history[word], "twice").ref, blob)
    with pytest.raises(NotFound) as caught:
        Revisions(rev=("twice",)).baselines(project.git)
    assert str(caught.value) == (
        "2 experiments are called `twice`, none of them on the present commit.\n"
        f"Hint: name one by its commit: `--rev {blob[:7]}`."
    )
    git(project.root, "update-ref", ExpRef(history["third"], "twice").ref, history["side"])
    assert Revisions(rev=("twice",)).baselines(project.git) == [history["side"]]


def test_an_unknown_revision_names_the_nearest(project):
    with pytest.raises(NotFound) as caught:
        Revisions(rev=("mian",)).baselines(project.git)
    assert str(caught.value) == (
        "`mian` names no commit, branch, tag or experiment.\nHint: did you mean `main`?"
    )


def test_before_the_first_commit_there_are_none(
    opened: Callable[..., Project], tmp_path: Path
) -> None:
    root = tmp_path / "unborn"
    (root / ".dvc").mkdir(parents=True)
    git(root, "init", "--quiet", "-b", "main")
    asked = Revisions(all_commits=True, all_branches=True, num=3)
    assert asked.baselines(opened(root).git) == []


def test_commits_of_many_experiments_take_no_process_more(project, history):
    project.git.resolve("HEAD")  # starts the one process
    before = project.git.processes
    Revisions().baselines(project.git)
    Revisions(all_branches=True, all_tags=True).baselines(project.git)
    assert project.git.processes == before
    Revisions(num=3).baselines(project.git)
    assert project.git.processes == before + 1
