"""Tags, stars and notes: what users see of them, and that they are not lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import render
from nbexp.errors import NotFound, UsageError
from nbexp.experiments import notes
from nbexp.jupyter import display

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]


def test_tags_are_added_and_taken_away(project: Project) -> None:
    project.run(name="low")
    assert project.tag("low", "paper", "best one", "paper").tags == ("paper", "best one")
    assert project.tag("low", "new").tags == ("paper", "best one", "new")
    assert project.tag("low", "paper", remove=True).tags == ("best one", "new")
    assert project.tag("low").tags == ("best one", "new")
    assert project["low"].tags == ("best one", "new")
    assert project.tag("low", remove=True).tags == ()
    assert project["low"].tags == ()


def test_a_star_is_set_and_taken_away(project: Project) -> None:
    project.run(name="low")
    assert not project["low"].star
    assert project.tag("low", star=True).star
    assert project.tag("low", "paper").star
    assert project["low"].star
    assert not project.tag("low", star=False).star
    assert notes.read(project.git, [project["low"].rev])[project["low"].rev].keys() == {
        "run",
        "tags",
    }


def test_a_note_is_written_replaced_and_taken_away(project: Project) -> None:
    project.run(name="low")
    assert project.note("low", "first\nsecond line").note == "first\nsecond line"
    assert project.note("low", "better").note == "better"
    assert project["low"].note == "better"
    assert project.note("low", "").note == ""
    assert project["low"].note == ""


@pytest.mark.parametrize("tag", ["", "  ", " a", "a,b", "a\nb", "\x1b[31m", "x" * 101])
def test_what_cannot_be_a_tag_is_refused(project: Project, tag: str) -> None:
    project.run(name="low")
    with pytest.raises(UsageError, match="Nothing was changed"):
        project.tag("low", "good", tag)
    assert project.tag("low").tags == ()


def test_a_tag_that_is_not_there_cannot_be_taken_away(project: Project) -> None:
    project.run(name="low")
    project.tag("low", "paper")
    with pytest.raises(UsageError) as caught:
        project.tag("low", "papr", remove=True)
    assert caught.value.message == "`low` has no tag `papr`. Nothing was changed."
    assert caught.value.hint == "it has paper."


def test_of_an_unknown_experiment_the_nearest_is_named(project: Project) -> None:
    project.run(name="low-lr")
    for call in (project.tag, project.note):
        with pytest.raises(NotFound) as caught:
            call("low-rl")
        assert caught.value.message == "There is no experiment `low-rl`."
        assert caught.value.hint == "did you mean `low-lr`?"


def test_labels_stay_with_the_experiment_whatever_becomes_of_its_name(
    project: Project, git: Git
) -> None:
    made = project.run(name="low")
    project.tag("low", "paper", star=True)
    project.note("low", "keep")
    ref, rev = next(iter(project.git.refs("refs/exps/").items()))
    git("update-ref", ref.replace("/low", "/renamed"), rev, cwd=project.root)
    git("update-ref", "-d", ref, cwd=project.root)
    git("pack-refs", "--all", cwd=project.root)
    git("gc", "--quiet", "--prune=now", cwd=project.root)
    kept = project["renamed"]
    assert kept.rev == made.rev
    assert (kept.tags, kept.star, kept.note) == (("paper",), True, "keep")
    project.remove("renamed")
    assert project.note(made.rev).note == "keep"


def test_branches_and_commits_have_labels_as_well(project: Project) -> None:
    head = project.git.head()
    assert head is not None
    assert project.tag("main", "start").rev == head
    assert project.note(head[:10]).tags == ("start",)


def test_notes_of_a_strange_form_do_no_harm(project: Project) -> None:
    made = project.run(name="low")
    project.git.advance(
        lambda: notes._changed(
            project.git,
            {made.rev: {"tags": "no list", "star": "yes", "note": 3, "run": {"stages": [1]}}},
            {},
        )
    )
    found = project.note("low")
    assert (found.tags, found.star, found.note) == ((), False, "")
    assert render.text(found).startswith("low   ")


def test_what_is_recorded_reads_as_lines(project: Project) -> None:
    project.run({"train.lr": 0.03}, name="low")
    project.tag("low", "paper", star=True)
    shown = render.text(project.note("low", "the one")).splitlines()
    assert shown[0] == f"low   {project['low'].rev[:7]}   ★"
    assert shown[1:6] == [
        "  note      the one",
        "  tags      paper",
        "  command   nbexp run -S train.lr=0.03 -n low",
        "  magic     %exp run -S train.lr=0.03 -n low",
        "  dvc       dvc exp run -S train.lr=0.03 -n low",
    ]
    names = [line.split()[0] for line in shown[6:]]
    assert names == ["started", "took", "stages", "host", "platform", "python", "nbexp"]
    found = project.note("low").to_json()
    assert json.loads(json.dumps(found)) == found
    assert "papermill" in found["run"]["packages"]  # type: ignore[index]


def test_of_what_another_tool_made_nothing_is_recorded(project: Project) -> None:
    text = render.text(project.note("main"))
    assert text == f"main   {(project.git.head() or '')[:7]}\nnothing is recorded beside its commit"


def test_html_in_a_note_stays_text(project: Project) -> None:
    project.run(name="low")
    project.tag("low", "<b>tag</b>")
    project.note("low", "<script>alert(1)</script>")
    for result in (project.note("low"), project.tag("low")):
        page = str(display.bundle(result)[0]["text/html"])
        assert "<script>alert" not in page
        assert "<b>tag</b>" not in page
        assert "&lt;b&gt;tag" in page


def test_escape_sequences_in_a_note_do_not_reach_the_terminal(project: Project) -> None:
    project.run(name="low")
    assert "\x1b" not in render.text(project.note("low", "red \x1b[31m\nsecond"))


def test_labels_are_columns_of_the_table(project: Project) -> None:
    project.run(name="one")
    project.run({"train.lr": 0.01}, name="two")
    project.tag("two", "best", "paper", star=True)
    project.note("two", "slow but sure\nand cheap")
    lines = str(project.show()).splitlines()
    assert lines[0].split()[:5] == ["experiment", "created", "star", "tags", "note"]
    (two,) = [line for line in lines if line.startswith("  two")]
    assert "★     best, paper  slow but sure" in two
    assert [row.name for row in project.show(where="star").experiments] == ["two"]
    assert [row.name for row in project.show(where="'paper' in tags").experiments] == ["two"]
    assert project.show().to_frame()["star"].dropna().tolist() == [True]


def test_a_table_reads_notes_again_only_when_one_changed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run(name="one")
    project.tag("one", "best")
    asked: list[int] = []
    read = notes.read
    monkeypatch.setattr(notes, "read", lambda git, revs: asked.append(1) or read(git, revs))
    for _ in range(3):
        assert project.show()["one"].labels == {"tags": ["best"]}
    assert len(asked) == 1
    project.note("one", "new")
    asked.clear()
    assert project.show()["one"].labels == {"tags": ["best"], "note": "new"}
    assert len(asked) == 1


def test_a_note_of_several_lines_stays_one_below_the_other(
    project: Project, nbexp_cli: Callable[..., Any]
) -> None:
    project.run(name="one")
    shown = nbexp_cli("note", "one", "first line\nsecond line", cwd=project.root).stdout
    first, second = (line for line in shown.splitlines() if line.endswith(" line"))
    assert first.split("  ")[-1] == "first line"
    assert second.index("second line") == first.index("first line")
