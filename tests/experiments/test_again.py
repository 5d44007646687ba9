"""`clone` and `rerun`: an experiment's own state run again, with all of it undone in one step."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp.errors import NameTaken, NotFound, StageFailed, StoreError, UsageError
from nbexp.events import Notice
from nbexp.experiments import notes

if TYPE_CHECKING:
    from nbexp import Project

Files = Callable[[Path], dict[str, Any]]


@pytest.fixture
def two(project: Project) -> Project:
    """`low` with code of its own, then `high`; the workspace is as after `high`."""
    script = project.root / "train.sh"
    before = script.read_text()
    script.write_text(before + "if grep -q 'lr: 13' params.yaml; then exit 3; fi\n# of low\n")
    project.run({"train.lr": 0.03}, name="low")
    script.write_text(before)
    project.run({"train.lr": 0.5, "prepare.rows": 5}, name="high")
    return project


def test_a_clone_has_the_code_and_params_of_its_source_but_for_the_values_given(
    two: Project,
) -> None:
    made = two.clone("low", {"train.lr": 0.04}, name="lower")
    assert made.baseline == two["low"].baseline
    params = two["low"].params
    assert made.params == {**params, "train.lr": 0.04}
    assert made.read("train.sh") == two["low"].read("train.sh")
    assert (two.root / "train.sh").read_text().endswith("# of low\n")
    assert made.report.versus == "low"
    assert [(c.key, c.old, c.new) for c in made.report.params] == [("train.lr", 0.03, 0.04)]
    assert [(s.name, s.action) for s in made.report.stages] == [
        ("prepare", "skipped"),
        ("train", "ran"),
    ]


def test_one_undo_takes_a_clone_back(
    two: Project, files: Files, git_state: Callable[[Path], Any]
) -> None:
    before, git_before = files(two.root), git_state(two.root)
    two.clone("low", {"train.lr": 0.04}, name="lower")
    # What is told of the run is in a note.
    notes_ref = {"refs/notes/nbexp"}
    git_after = git_state(two.root)
    assert {k: v for k, v in git_after.items() if k not in notes_ref} == {
        k: v for k, v in git_before.items() if k not in notes_ref
    }
    assert files(two.root) != before
    assert two.undo().op == "clone low"
    assert files(two.root) == before


def test_a_clone_without_values_brings_the_experiment_back(two: Project, files: Files) -> None:
    made = two.clone("low")
    assert made.report.identical
    assert (made.name, made.rev) == ("low", two["low"].rev)
    after = files(two.root)
    two.apply("high")
    two.apply("low")
    assert files(two.root) == after


def test_edits_that_nothing_holds_stop_it_before_anything_changes(
    two: Project, files: Files
) -> None:
    (two.root / "train.sh").write_text("echo mine\n")
    before = files(two.root)
    with pytest.raises(StoreError) as raised:
        two.clone("low", {"train.lr": 0.04})
    assert raised.value.message == (
        "1 file has edits that no commit or experiment holds: train.sh. Nothing was run."
    )
    assert raised.value.hint == (
        "keep them as an undo point and go on: `nbexp clone low --force` "
        "(then `nbexp undo` brings them back)."
    )
    assert files(two.root) == before
    made = two.clone("low", {"train.lr": 0.04}, name="lower", force=True)
    assert [s.action for s in made.report.stages] == ["skipped", "ran"]
    two.undo()
    assert files(two.root) == before


def test_a_clone_that_fails_leaves_everything_as_it_was(two: Project, files: Files) -> None:
    before, names = files(two.root), two.names
    with pytest.raises(StageFailed):
        two.clone("low", {"train.lr": 13})
    assert files(two.root) == before
    assert two.names == names


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"set_params": {"train.nope": 1}}, NotFound),
        ({"set_params": ["train.lr=0.1,0.2"]}, UsageError),
        ({"name": "high", "set_params": {"train.lr": 0.9}}, NameTaken),
        ({"name": "a b"}, UsageError),
        ({"name": "main"}, NameTaken),
    ],
)
def test_what_cannot_be_met_changes_nothing(
    words: dict[str, Any], error: type[Exception], two: Project, files: Files
) -> None:
    before, names = files(two.root), two.names
    with pytest.raises(error):
        two.clone("low", **words)
    assert files(two.root) == before
    assert two.names == names
    assert two.status().unfinished is None


def test_the_hint_of_a_taken_name_can_be_typed(two: Project) -> None:
    with pytest.raises(NameTaken) as raised:
        two.clone("low", {"train.lr": 0.9}, name="high")
    assert raised.value.hint == (
        "`nbexp clone low -n high --force` replaces it; without `-n` a fresh name is drawn."
    )
    old = two["high"].rev
    made = two.clone("low", {"train.lr": 0.9}, name="high", force=True)
    assert two["high"].rev == made.rev != old
    assert old in two.git.refs("refs/nbexp/trash/").values()


def test_an_unknown_experiment_is_told_with_the_nearest(two: Project) -> None:
    with pytest.raises(NotFound) as raised:
        two.clone("lo")
    assert raised.value.hint == "did you mean `low`?"
    with pytest.raises(NotFound):
        two.rerun("main")


def test_a_clone_stays_on_the_baseline_of_its_source(
    two: Project, git: Callable[..., str], files: Files
) -> None:
    """HEAD is elsewhere, with a file that the experiment does not know of."""
    (two.root / "later.md").write_text("later\n")
    git("add", "later.md", cwd=two.root)
    git("commit", "--quiet", "--message=later", cwd=two.root)
    before = files(two.root)
    told: list[object] = []
    made = two.clone("low", {"train.lr": 0.04}, name="lower", emit=told.append)
    assert made.baseline == two["low"].baseline != two.git.head()
    assert two.git.commits([made.rev])[0].parents == (made.baseline,)
    assert {*two.git.tree(made.rev)} == {*two.git.tree(two["low"].rev)}
    assert not [one for one in told if isinstance(one, Notice) and "HEAD moved" in one.message]
    two.undo()
    assert files(two.root) == before


def test_what_was_saved_with_it_stays_part_of_it(two: Project) -> None:
    (two.root / "notes.md").write_text("seen\n")
    two.save(name="noted", include_untracked=["notes.md"])
    (two.root / "notes.md").unlink()
    made = two.clone("noted", {"train.lr": 0.07}, name="next")
    assert made.read("notes.md") == b"seen\n"


def test_a_rerun_of_what_is_deterministic_is_the_same(two: Project) -> None:
    made = two.rerun("low")
    assert [s.action for s in made.report.stages] == ["ran", "ran"]
    assert made.report.differs == ()
    assert made.name != "low"
    trees = [two.git.tree(one.rev) for one in (made, two["low"])]
    assert trees[0] == trees[1]
    assert made.to_json()["differs"] == []


def test_a_rerun_names_what_came_out_otherwise(project: Project) -> None:
    script = project.root / "train.sh"
    script.write_text(script.read_text() + "date +%N >> model.txt\n")
    project.run(name="first")
    made = project.rerun("first", name="again")
    assert made.report.differs == ("model.txt",)
    assert made.report.versus == "first"
    assert project.names == ["again", "first"]


def test_a_rerun_makes_what_the_cache_has_lost(two: Project) -> None:
    (model,) = [
        out["hash"]
        for path, out in two._reader.data(two["low"].rev).outs.items()
        if path == "model.txt"
    ]
    object_ = two.cache.folder / "files" / "md5" / str(model)[:2] / str(model)[2:]
    object_.chmod(0o644)
    object_.unlink()
    with pytest.raises(StoreError):
        two.apply("low")
    made = two.rerun("low")
    assert made.report.differs == ()
    assert object_.exists()


def test_only_the_stages_that_were_run_are_run_again(
    project: Project, git: Callable[..., str]
) -> None:
    project.run(["train.lr=0.03"], targets=["prepare"], name="half")
    made = project.clone("half", {"prepare.rows": 5}, name="other")
    assert [s.name for s in made.report.stages] == ["prepare"]


def test_the_card_says_what_a_rerun_came_to(two: Project, nbexp_cli: Any) -> None:
    text = nbexp_cli("rerun", "low", "-n", "again", cwd=two.root).stdout
    assert "every file and output is as in low" in text
    assert re.search(r"stages +prepare ran, train ran", text)


def test_the_open_notebook_is_not_rewritten(two: Project, files: Files) -> None:
    """A stage reads it, and so would not run what the experiment ran."""
    two.asking_notebook = two.root / "train.sh"
    before = files(two.root)
    with pytest.raises(UsageError) as raised:
        two.clone("low", {"train.lr": 0.04})
    assert raised.value.message == (
        "train.sh is the notebook you are in, and `low` has another one. Nothing was run."
    )
    assert files(two.root) == before
    made = two.clone("high", {"train.lr": 0.04}, name="higher")  # which has the same
    assert made.params["train.lr"] == 0.04


@pytest.mark.parametrize(
    "point", ["journal.begun", "apply.wrote", "apply.checked_out", "journal.moved", "record.before"]
)
def test_killed_anywhere_the_next_command_puts_all_of_it_back(
    point: str, two: Project, files: Files, nbexp_cli: Any
) -> None:
    before, names = files(two.root), two.names
    words = ("clone", "low", "-S", "train.lr=0.04", "-n", "lower")
    done = nbexp_cli(*words, cwd=two.root, code=None, env={"NBEXP_CRASH": point})
    assert done.returncode == -9
    two.apply("high")  # which changes nothing: it is what was there
    assert files(two.root) == before
    assert two.names == names
    nbexp_cli(*words, cwd=two.root)
    assert two["lower"].params["train.lr"] == 0.04


def test_the_note_says_what_was_typed(two: Project) -> None:
    made = two.clone("low", {"train.lr": 0.04}, name="lower")
    again = two.rerun("low", message="once more")
    found = notes.read(two.git, [made.rev, again.rev])
    lines = {rev: note["run"]["command"] for rev, note in found.items()}
    assert lines == {
        made.rev: "nbexp clone low -S train.lr=0.04 -n lower",
        again.rev: "nbexp rerun low -m 'once more'",
    }
