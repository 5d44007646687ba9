"""Errors as users see them: a sentence, a hint, and what a process ends with."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from nbexp import errors
from nbexp.errors import Interrupted, NbexpError, ProjectFileError, StageFailed

TREE = {
    "UsageError": 2,
    "NotFound": 3,
    "NameTaken": 3,
    "ProjectFileError": 3,
    "StageFailed": 1,
    "CheckFailed": 1,
    "GitError": 3,
    "StoreError": 3,
    "QueueError": 3,
}


def make(name: str, message: str = "Something is wrong.", hint: str | None = None) -> NbexpError:
    more: dict[str, dict[str, object]] = {
        "ProjectFileError": {"path": "dvc.yaml", "line": 3},
        "StageFailed": {"stage": "train", "returncode": 1, "cell": 7, "log": Path("x.log")},
    }
    found = getattr(errors, name)(message, hint, **more.get(name, {}))
    assert isinstance(found, NbexpError)
    return found


def test_there_are_nine_kinds_and_each_has_its_exit_code() -> None:
    kinds = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, NbexpError) and kind is not NbexpError
    }
    assert kinds == TREE


@pytest.mark.parametrize("name", TREE)
def test_an_error_is_its_message_and_its_hint(name: str) -> None:
    error = make(name, "No such thing.", "make one.")
    assert str(error).endswith("No such thing.\nHint: make one.")
    assert error.message.endswith("No such thing.")
    assert error.hint == "make one."
    assert str(make(name)).endswith("Something is wrong.")


def test_a_files_error_begins_with_the_place() -> None:
    error = ProjectFileError("this is wrong.", path="sub/dvc.yaml", line=12)
    assert str(error) == "sub/dvc.yaml, line 12: this is wrong."
    assert (error.path, error.line) == ("sub/dvc.yaml", 12)
    assert str(ProjectFileError("this is wrong.", path="a.json")) == "a.json: this is wrong."


def test_a_failed_stage_knows_what_ran() -> None:
    error = make("StageFailed")
    assert isinstance(error, StageFailed)
    assert (error.stage, error.returncode, error.cell, error.log) == (
        "train",
        1,
        7,
        Path("x.log"),
    )
    assert error.experiment is None


def test_a_cell_shows_the_two_lines_in_its_own_words() -> None:
    error = NbexpError("There is no command `rnu`.", "did you mean `nbexp run`?")
    assert error._render_traceback_() == [
        "There is no command `rnu`.",
        "Hint: did you mean `%exp run`?",
    ]
    stopped = Interrupted("Stopped.", "`nbexp show --all-states` lists it.")
    assert stopped._render_traceback_() == ["Stopped.", "Hint: `%exp show --all-states` lists it."]


def test_an_interrupt_is_one_of_pythons() -> None:
    assert issubclass(Interrupted, KeyboardInterrupt)
    assert not issubclass(Interrupted, Exception)
    assert Interrupted.exit_code == 130


@pytest.mark.parametrize("name", TREE)
def test_an_error_survives_a_process_border(name: str) -> None:
    error = make(name, "No such thing.", "make one.")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("trian", ["train", "test"], "train"),
        ("xyz", ["train", "test"], None),
        ("train", [], None),
        ("low-rl", iter(["high", "low-lr"]), "low-lr"),
        ("dpes", ["cmd", "deps", "desc"], "deps"),
    ],
)
def test_the_nearest_word_is_found_for_a_hint(
    word: str, known: list[str], found: str | None
) -> None:
    assert errors.nearest(word, known) == found
