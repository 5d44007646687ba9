"""Which experiments somebody means, and which names are free."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nbexp import Project
from nbexp.errors import NameTaken, NotFound, UsageError
from nbexp.experiments import naming

Git = Callable[..., str]


@pytest.fixture
def two(project: Project) -> Project:
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5}, name="high")
    return project


def test_an_experiment_is_found_by_name_rev_and_start_of_rev(two: Project) -> None:
    low = two["low"]
    for word in ("low", low.rev, low.rev[:8]):
        assert two.experiment(word).rev == low.rev
    with pytest.raises(NotFound) as caught:
        two["lwo"]
    assert str(caught.value) == "There is no experiment `lwo`.\nHint: did you mean `low`?"


def test_a_name_that_several_commits_have_means_the_present_ones(two: Project, git: Git) -> None:
    first = two["low"]
    git("commit", "--quiet", "--allow-empty", "--message=more", cwd=two.root)
    second = two.run({"train.lr": 0.03}, name="low", new=True)
    assert two["low"].rev == second.rev
    git("commit", "--quiet", "--allow-empty", "--message=more", cwd=two.root)
    with pytest.raises(NotFound) as caught:
        two["low"]
    assert caught.value.message.startswith("2 experiments are called `low`: ")
    assert {first.rev[:7], second.rev[:7]} == set(
        caught.value.message.removesuffix(".").rpartition(": ")[2].split(", ")
    )


def test_a_name_that_git_has_is_not_given_to_an_experiment(two: Project, git: Git) -> None:
    git("tag", "v1", cwd=two.root)
    for word, kind in (("main", "branch"), ("v1", "tag")):
        with pytest.raises(NameTaken) as caught:
            naming.refuse_git_names(two.git, word, verb="clone")
        assert caught.value.message.startswith(f"`{word}` is a {kind} of this repository")
        assert caught.value.hint == f"for example `nbexp clone -n {word}-1`."
    naming.refuse_git_names(two.git, "low")


def test_a_state_is_held_against_its_baseline_or_the_commit_before(two: Project, git: Git) -> None:
    assert naming.before(two.git, "workspace", None) == "HEAD"
    assert naming.before(two.git, *naming.state(two.git, "low")) == "main"
    first = git("rev-list", "--max-parents=0", "HEAD", cwd=two.root)
    with pytest.raises(UsageError) as caught:
        naming.before(two.git, "first", first)
    assert caught.value.message == (
        "`first` has no commit before it to be held against. Nothing was written."
    )


def test_an_experiment_at_hand_is_not_searched_for(two: Project) -> None:
    low = two["low"]
    two.remove("low")
    assert naming.commit(two.git, low) == ("low", low.rev)
    assert naming.words([low, "high"]) == (
        f"refs/exps/{low.baseline[:2]}/{low.baseline[2:]}/low",
        "high",
    )
