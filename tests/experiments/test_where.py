"""The language of `--where`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbexp.errors import NotFound, UsageError
from nbexp.experiments.where import compile_filter, moment
from nbexp.formats.values import MISSING

ROW: dict[str, Any] = {
    "acc": 0.93,
    "train.lr": 0.01,
    "epochs": 10,
    "nan": math.nan,
    "name": "low-lr",
    "state": "done",
    "star": True,
    "off": False,
    "tags": ["best", "paper"],
    "layers": [64, 32],
    "none_at_all": None,
    "missing": MISSING,
    "my metric": 3,
    "val-acc": 0.5,
    "metrics.json:acc": 0.93,
    "created": 1_700_000_000,
}


def column(name: str) -> Callable[[dict[str, Any]], object]:
    if name not in ROW:
        raise NotFound(f"The table has no column `{name}`.")
    return lambda row: row[name]


def holds(text: str) -> bool:
    return compile_filter(text, column)(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "acc > 0.9",
        "acc>.9 and train.lr<.05",
        "acc >= 0.93 and acc <= 0.93 and acc == 0.93 and acc = 0.93",
        "0.01 <= train.lr < 0.1",
        "not acc < 0.9",
        "not (acc < 0.9 or epochs == 3)",
        "acc < 0.9 or epochs == 10 and star",
        "epochs == 10.0",
        "epochs == 1e1",
        "epochs > -5",
        "epochs != 1_1",
        'name == "low-lr"',
        "name == 'low-lr'",
        'name ~ "low-*"',
        'name ~ "w-l"',
        "name ~ /^low-[a-z]+$/",
        'name !~ "high*"',
        'state in ["done", "failed"]',
        'state in ("done", "failed",)',
        'state not in ["queued"]',
        '"best" in tags',
        'not "worst" in tags',
        '("best") in tags',
        'tags ~ "pap"',
        "64 in layers",
        "layers == [64, 32]",
        "star",
        "star == true and off == false and not off",
        "none_at_all == none",
        "missing == none",
        "acc != none",
        "nan == nan",
        "`my metric` == 3",
        "val-acc == 0.5",
        "metrics.json:acc > 0.9",
        "created > '2020-01-01'",
        "created >= '2023-11-14' and created < '2023-11-16'",
        "'2023-11-13' < created <= '2023-11-15'",
        "created < 'today'",
        "not created > '2 days ago'",
        "created in ['today', '2023-11-14', '2023-11-15']",
        "created not in ('today', 'yesterday')",
        "acc is not none and missing is none",
        "nan is nan and not acc is nan and acc is not nan",
    ],
)
def test_what_holds(text):
    assert holds(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "acc > 0.93",
        "missing > 0",
        "missing < 0",
        "missing != 0",
        "not missing == none",
        "nan > 0",
        "nan < 0",
        "nan == 0",
        "star == 1",
        "epochs == '10'",
        "name > 3",
        'name ~ "low"  and name ~ "LOW"',
        'name ~ "ow-*"',
        'missing ~ "x"',
        "missing not in [1]",
        "missing",
        "off",
        "layers < 3",
        "created == 'yesterday'",
        "created in ['today', 'yesterday']",
        "created in []",
        "missing is nan",
    ],
)
def test_what_does_not_hold(text):
    assert holds(text) is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The filter `` ends where a value is expected, at its end."),
        ("acc >", "The filter `acc >` ends where a value is expected, at its end."),
        ("acc > > 3", "The filter `acc > > 3` cannot be understood at `> 3`."),
        ("(acc > 3", "The filter `(acc > 3` lacks a `)` at its end."),
        ("acc > 3)", "The filter `acc > 3)` cannot be understood at `)`."),
        ("acc $ 3", "The filter `acc $ 3` cannot be understood at `$ 3`."),
        ("name == low lr", "The filter `name == low lr` cannot be understood at `lr`."),
        ("acc ~ epochs", None),
        ("name ~ /(/", None),
        ("created > 'soon'", None),
        (
            "created in ['today', 'soon']",
            (
                "The filter `created in ['today', 'soon']` compares with a time, which is written 2024-05-04, and has none "
                "at `'soon']`."
            ),
        ),
        ("acc is", None),
        ("is nan", None),
        ("acc > 3 and", None),
        ("[1, 2", None),
        ("not " * 500 + "acc", None),
        ("(" * 5000 + "acc" + ")" * 5000, None),
        ("__import__('os')", None),
        ("acc.__class__", None),
        ("'open", None),
    ],
)
def test_what_is_no_filter_is_told(text, said):
    with pytest.raises((UsageError, NotFound)) as caught:
        compile_filter(
            text, lambda name: (lambda _: name) if name in ("low", "lr") else column(name)
        )
    if said is not None:
        assert caught.value.message == said
        assert caught.value.hint == '`nbexp show --where "acc > 0.9 and train.lr < 0.05"`'


def test_times():
    noon = time.mktime((2024, 5, 4, 12, 0, 0, 0, 0, -1))
    day = moment("2024-05-04")
    assert day is not None
    assert day.start_s <= noon < day.end_s
    assert moment("today", noon) == day
    before = moment("yesterday", noon)
    assert before is not None
    assert before.end_s == day.start_s
    first = time.mktime((2024, 3, 1, 12, 0, 0, 0, 0, -1))
    assert moment("yesterday", first) == moment("2024-02-29")
    minute = moment("2024-05-04 12:00")
    assert minute is not None
    assert (minute.start_s, minute.end_s) == (noon, noon + 60)
    second = moment("2024-05-04T12:00:00")
    assert second is not None
    assert (second.start_s, second.end_s) == (noon, noon + 1)
    ago = moment("2 hours ago", noon)
    assert ago is not None
    assert ago.start_s == noon - 7200
    assert moment("2024-02-30") is moment("soon") is moment("") is None


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_is_told_to_be_none(text):
    try:
        found = compile_filter(text, column)
    except (UsageError, NotFound):
        return
    assert found(ROW) in (True, False)


@given(
    st.lists(
        st.sampled_from(
            "acc epochs name > < == in is created not and or ( ) [ ] , 3 'x' /x/ ~ star".split()
        )
    )
)
def test_any_words_are_a_filter_or_are_told_to_be_none(words):
    try:
        found = compile_filter(" ".join(words), column)
    except (UsageError, NotFound):
        return
    assert found(ROW) in (True, False)
