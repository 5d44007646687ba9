"""The trash: what is removed or replaced can be listed and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import NameTaken, NotFound, StageFailed, UsageError

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]


@pytest.fixture
def two(project: Project) -> Project:
    project.run({"seed": 1}, name="one")
    project.run({"seed": 2}, name="two")
    return project


def test_what_is_removed_is_listed_and_restored_under_its_name(two: Project, git: Git) -> None:
    refs = two.git.refs("refs/exps/")
    rev = two.experiment("one").rev
    git("notes", "--ref=nbexp", "add", "-f", "-m", '{"star": true}', rev, cwd=two.root)
    two.remove("one")
    (entry,) = two.trash.list().entries
    assert (entry.name, entry.rev, entry.baseline) == ("one", rev, two.git.head())
    assert entry.removed_s is not None
    lines = str(two.trash.list()).splitlines()
    assert lines[0].split() == ["name", "rev", "baseline", "removed"]
    assert lines[1].split()[:3] == ["one", rev[:7], entry.baseline[:7]]
    assert lines[2:] == ["bring one back: nbexp trash restore NAME"]
    restored = two.trash.restore("one")
    assert str(restored) == f"restored one ({rev[:7]})   (nbexp undo takes it back)"
    assert two.git.refs("refs/exps/") == refs
    assert two.trash.list().entries == ()
    assert git("notes", "--ref=nbexp", "show", rev, cwd=two.root) == '{"star": true}'


def test_an_empty_trash_says_so(two: Project) -> None:
    assert str(two.trash.list()) == "Nothing is in the trash."


def test_a_replaced_experiment_comes_back_under_another_name(two: Project) -> None:
    old = two.experiment("one")
    two.run({"seed": 3}, name="one", force=True)
    with pytest.raises(NameTaken) as caught:
        two.trash.restore("one")
    new = two.experiment("one")
    assert str(caught.value) == (
        f"Experiment `one` ({new.rev[:7]}) exists on baseline {new.baseline[:7]}. Nothing was restored.\n"
        f"Hint: `nbexp trash restore {old.rev[:7]} --name one-1`"
    )
    assert two.trash.restore(old.rev[:7], name="one-1").restored == (("one-1", old.rev),)
    assert two.experiment("one-1").params == old.params
    assert two.names == ["one", "one-1", "two"]


def test_all_come_back_or_none(two: Project) -> None:
    two.remove("one", "two")
    two.run({"seed": 5}, name="two")
    with pytest.raises(NameTaken):
        two.trash.restore("one", "two")
    assert two.names == ["two"]
    assert [one.name for one in two.trash.list().entries] == ["one", "two"]


def test_names_that_differ_by_case_alone_are_taken(two: Project) -> None:
    two.remove("one")
    two.run({"seed": 6}, name="One")
    with pytest.raises(NameTaken, match="Experiment `One`"):
        two.trash.restore("one")


def test_several_of_one_name_are_told_apart_by_commit(two: Project) -> None:
    revs = [two.experiment("one").rev]
    two.remove("one")
    revs.append(two.run({"seed": 7}, name="one").rev)
    two.remove("one")
    with pytest.raises(NotFound) as caught:
        two.trash.restore("one")
    assert caught.value.message.startswith("The trash has 2 experiments `one`: ")
    assert caught.value.hint is not None
    two.trash.restore(revs[0][:9])
    assert two.experiment("one").rev == revs[0]


def test_the_same_removed_twice_is_one_in_the_list(two: Project) -> None:
    two.remove("one")
    two.trash.restore("one")
    two.remove("one")
    assert [one.name for one in two.trash.list().entries] == ["one"]
    two.trash.restore("one")
    assert two.git.refs("refs/nbexp/trash/") == {}


@pytest.mark.parametrize(
    ("names", "other", "error", "text"),
    [
        ((), None, UsageError, "Which experiment? Nothing was restored."),
        (("onne",), None, NotFound, "The trash has no experiment `onne`. Nothing was restored."),
        (("one", "two"), "x", UsageError, "2 experiments cannot all be called `x`."),
        (("one",), "a b", UsageError, "`a b` cannot be the name of an experiment"),
        (("one",), "deadbeef", UsageError, "it reads like the start of a commit's SHA"),
    ],
)
def test_what_cannot_be_restored_is_refused(
    names: tuple[str, ...],
    other: str | None,
    error: type[NotFound | UsageError],
    text: str,
    two: Project,
) -> None:
    two.remove("one", "two")
    with pytest.raises(error) as caught:
        two.trash.restore(*names, name=other)
    assert text in caught.value.message
    assert two.names == []


def test_restoring_is_undone(two: Project) -> None:
    two.remove("one")
    two.trash.restore("one")
    assert two.undo().op == "trash restore one"
    assert two.names == ["two"]
    assert [one.name for one in two.trash.list().entries] == ["one"]
    two.undo()
    assert two.names == ["one", "two"]


def test_failed_runs_stay_apart(two: Project) -> None:
    script = two.root / "train.sh"
    script.write_text(script.read_text().replace("set -eu\n", "set -eu\nexit 1\n"))
    with pytest.raises(StageFailed):
        two.run(name="broken")
    found = two.trash.list()
    assert found.entries == ()
    assert str(found).splitlines()[-1] == (
        "1 failed or interrupted run kept apart: nbexp show --all-states"
    )
    with pytest.raises(NotFound):
        two.trash.restore("broken")


def test_an_entry_that_does_not_say_when_is_restored_as_well(two: Project, git: Git) -> None:
    rev, head = two.experiment("one").rev, str(two.git.head())
    two.remove("one")
    (ref,) = two.git.refs("refs/nbexp/trash/")
    git("update-ref", "-d", ref, cwd=two.root)
    old = f"refs/nbexp/trash/{head[:2]}/{head[2:]}/one/{rev[:12]}"
    git("update-ref", old, rev, cwd=two.root)
    (entry,) = two.trash.list().entries
    assert entry.removed_s is None
    two.trash.restore("one")
    assert two.names == ["one", "two"]
