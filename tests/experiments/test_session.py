from __future__ import annotations

import json

import pytest

from nbexp.experiments import session

ASKS = "%exp save -n now"


def book(*cells: tuple[int | None, str]) -> bytes:
    listed = [
        {
            "cell_type": "code",
            "execution_count": number,
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in cells
    ]
    return json.dumps(
        {"cells": listed, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    ).encode()


def told(history: list[str], *cells: tuple[int | None, str]) -> list[str]:
    return [notice.message for notice in session.notices(book(*cells), "lab.ipynb", history)]


def test_a_session_that_is_its_file_has_nothing_to_say() -> None:
    assert told(["lr = 0.1", ASKS], (1, "lr = 0.1\n"), (None, ASKS)) == []


def test_a_cell_that_changed_after_it_ran_is_named() -> None:
    assert told(["lr = 0.1", "x = lr", ASKS], (1, "lr = 0.2"), (2, "x = lr"), (None, ASKS)) == [
        "Cell [1] of lab.ipynb has changed since running, so what this session holds is not what the file says."
    ]


def test_several_are_named_with_a_limit() -> None:
    history = [f"value_{n} = {n}" for n in range(7)]
    cells = [(n + 1, f"value_{n} = {n}0") for n in range(7)]
    (text,) = told([*history, ASKS], *cells, (None, ASKS))
    assert text.startswith("Cells [1], [2], [3], [4], [5] and 2 more of lab.ipynb have changed")


def test_a_file_without_the_cell_that_asks_is_not_saved() -> None:
    assert told(["lr = 0.1", ASKS], (1, "lr = 0.1")) == [
        "lab.ipynb has edits that are not saved; the experiment has the file as it was saved last."
    ]


@pytest.mark.parametrize(
    "history",
    [
        ["fit(model, data)", ASKS],  # nothing like the cell: number 1 is of another session
        ["y = 2", ASKS],  # another cell of the file
        [ASKS],  # it has not run in this session
    ],
)
def test_numbers_of_another_session_are_no_change(history: list[str]) -> None:
    cells = [(1, "lr = 0.1\nepochs = 3"), (2, "y = 2"), (None, ASKS)]
    assert told(history, *cells) == []


def test_what_is_no_notebook_says_nothing() -> None:
    assert session.notices(b"{", "lab.ipynb", [ASKS]) == []
