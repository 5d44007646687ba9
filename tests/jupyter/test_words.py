from __future__ import annotations

import json
import re
from enum import IntEnum
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nbexp import overrides
from nbexp.errors import UsageError
from nbexp.jupyter import words

NAMESPACE = {
    "lr": 0.03,
    "name": "low-lr",
    "cfg": {"lr": 0.1, "a b": 2},
    "flags": [0.1, "it's", None, True],
    "folder": Path("data/raw"),
    "model": object(),
}


def read(line: str) -> list[str]:
    return list(words.read(line, lambda text: eval(text, dict(NAMESPACE))).words)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("run -S train.lr=0.03", ["run", "-S", "train.lr=0.03"]),
        ("run -m 'two words'", ["run", "-m", "two words"]),
        ('run -m "two words"', ["run", "-m", "two words"]),
        ("run -m don't", ["run", "-m", "don't"]),
        ("", []),
    ],
)
def test_a_line_is_split_as_a_shell_splits_it(line: str, found: list[str]) -> None:
    assert read(line) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("show # the table", ["show"]),
        ("# nothing", []),
        ("run -S color=#ff0000", ["run", "-S", "color=#ff0000"]),
        ("run -m 'a # b'", ["run", "-m", "a # b"]),
        ("run -S 'train.note={cfg[\"lr\"]}' # {lr}", ["run", "-S", "train.note=0.1"]),
    ],
)
def test_a_comment_is_left_out(line: str, found: list[str]) -> None:
    assert read(line) == found


@pytest.mark.parametrize("line", ["show;", "show ;", "show; # quietly", "show;;"])
def test_a_semicolon_at_the_end_asks_for_silence(line: str) -> None:
    assert words.read(line, eval) == words.Line(("show",), is_silent=True)


def test_a_semicolon_in_quotes_is_text() -> None:
    assert words.read("run -m 'a;'", eval) == words.Line(("run", "-m", "a;"))


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("{lr}", "0.03"),
        ("train.lr={lr}", "train.lr=0.03"),
        ("train.lr={lr * 10}", "train.lr=0.3"),
        ('train.lr={cfg["lr"]}', "train.lr=0.1"),
        ("train.n={cfg['a b']}", "train.n=2"),
        ("'train.lr={lr}'", "train.lr=0.03"),
        ("--name={name}", "--name=low-lr"),
        ("flags={flags}", "flags=[0.1,'it\\'s',null,true]"),
        ("model={dict(a=1, b='x')}", "model={a:1,b:'x'}"),
        ("data={folder}", "data=data/raw"),
        ("deep={True}", "deep=true"),
        ("{(lambda: {'a': 1})()['a']}", "1"),
    ],
)
def test_python_in_braces_is_filled_in_where_it_is_the_whole_value(word: str, found: str) -> None:
    assert read(f"run -S {word} -f") == ["run", "-S", found, "-f"]


@pytest.mark.parametrize(
    "word",
    [
        "$lr",
        "${train.lr}",
        "x=${train.lr}",
        "x={lr:0.1}",
        "x={a:1,b:2}",
        "a{lr}",
        "x={lr}y",
        "x={",
        "{}",
    ],
)
def test_what_is_no_whole_value_of_python_stays_as_typed(word: str) -> None:
    assert read(f"run -S {word}") == ["run", "-S", word]


def test_no_expand_leaves_braces_alone() -> None:
    assert read("run --no-expand -S train.lr={lr}") == ["run", "-S", "train.lr={lr}"]


def test_numbers_of_arrays_are_numbers() -> None:
    import numpy as np

    assert words.spelled(np.float64(0.1)) == "0.1"
    assert words.spelled(np.int64(3)) == "3"
    assert words.spelled(np.array([1, 2])) == "[1,2]"
    assert words.spelled(np.array([1])) == "[1]"


def test_an_enumeration_is_its_number() -> None:
    class Depth(IntEnum):
        SMALL = 3

    assert words.spelled(Depth.SMALL) == "3"


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        (
            "train.lr={lrr}",
            "`{lrr}`: there is no variable `lrr` in this notebook. Nothing was done.",
            "`--no-expand` passes braces on as they are.",
        ),
        (
            "train.lr={1 / 0}",
            "`{1 / 0}` has no value: ZeroDivisionError: division by zero. Nothing was done.",
            "`--no-expand` passes braces on as they are.",
        ),
        (
            "train.lr={model}",
            "`{model}` is a object; a param is a number, text, list or mapping. Nothing was done.",
            None,
        ),
    ],
)
def test_an_expression_without_a_usable_value_is_explained(
    word: str, message: str, hint: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        read(f"run -S {word}")
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("text", "before", "word", "quote"),
    [
        ("", [], "", ""),
        ("ru", [], "ru", ""),
        ("run ", ["run"], "", ""),
        ("run -S tr", ["run", "-S"], "tr", ""),
        ("run -m 'open tr", ["run", "-m"], "open tr", "'"),
        ('show --where "acc > 0.9 and l', ["show", "--where"], "acc > 0.9 and l", '"'),
        ('show --where "acc > 1" --so', ["show", "--where", "acc > 1"], "--so", ""),
        ('run -m "it\'s" -S tr', ["run", "-m", "it's", "-S"], "tr", ""),
        ("run --set-param='tr", ["run"], "--set-param=tr", "'"),
        ("init my\\ no", ["init"], "my\\ no", ""),
        ("run -S a={f('x', 1)} -S tr", ["run", "-S", "a={f('x', 1)}", "-S"], "tr", ""),
        ("run -S color=#ff", ["run", "-S"], "color=#ff", ""),
    ],
)
def test_the_word_at_the_cursor_is_told_from_those_before_it(
    text: str, before: list[str], word: str, quote: str
) -> None:
    assert words.typing(text) == words.Typing(tuple(before), word, quote)


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("run -S train.lr={l", True),
        ("run -n {na", True),
        ("run -S x={f(1, y", True),
        ("run -S x={y} -n a", False),
        ("run -S x=${tr", False),
    ],
)
def test_braces_that_a_value_begins_with_are_python(text: str, is_so: bool) -> None:
    assert words.typing(text).in_python is is_so


def test_nothing_is_typed_in_a_comment() -> None:
    assert words.typing("run -S tr=1 # tr").in_comment


def test_a_list_of_dicts_and_a_table_are_points_for_a_sweep() -> None:
    points = [{"train.lr": np.float64(0.1), "on": True}, {"train.lr": 0.2, "on": None}]
    found = words.read("sweep {points} -j 2", lambda _: points).words
    assert (found[0], found[2:]) == ("sweep", ("-j", "2"))
    assert json.loads(found[1]) == [{"train.lr": 0.1, "on": True}, {"train.lr": 0.2, "on": None}]
    table = pd.DataFrame([{"train.lr": 0.1, "n": 3}])
    assert json.loads(words.read("sweep {table}", lambda _: table).words[1]) == [
        {"train.lr": 0.1, "n": 3}
    ]
    # Behind a key a list is one value, as before.
    assert words.read("run -S a={x}", lambda _: [{"b": 1}]).words[2] == "a=[{b:1}]"


def test_the_table_of_the_documentation_says_what_arrives() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "magic.md").read_text()
    names: dict[str, object] = {}
    found = re.search(r"<!-- quoting: (.*) -->\n\n((?:\|.*\n)+)", page)
    assert found is not None
    exec(found[1], names)  # the page's own words
    rows = re.findall(r"^\| `(.+?)` \| `(.+?)` \|", found[2], re.MULTILINE)
    assert len(rows) == 11
    for typed, arrives in rows:
        assert words.read(f"run {typed}", lambda text: eval(text, names)).words[2:] == (arrives,), (
            typed
        )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1,0.2", "0.1,0.2"),
        ("plain text", "plain text"),
        ('it\'s "so"', "'it\\'s \"so\"'"),
        ("two\nlines", "'two\nlines'"),
        ("f(x", "'f(x'"),
    ],
)
def test_a_text_that_nobody_could_type_is_the_value_all_the_same(text: str, value: str) -> None:
    """What can be typed means what it means then: `0.1,0.2` is a list of values."""
    found = words.read("run -S train.s={text}", lambda _: text).words
    assert found == ("run", "-S", f"train.s={value}")
    if value.startswith("'"):
        assert overrides.parse([found[2]])[0][0].value == text


def test_a_message_is_passed_on_as_it_is() -> None:
    assert words.read("run --message={text}", lambda _: "it's").words[1] == "--message=it's"
