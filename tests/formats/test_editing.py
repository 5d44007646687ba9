from __future__ import annotations

import datetime as dt
import json
import math
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from nbexp.errors import NbexpError, NotFound, ProjectFileError, UsageError
from nbexp.formats import yaml12
from nbexp.formats.editing import Edit, edit, surprises
from nbexp.formats.editing.steps import Step
from nbexp.formats.editing.text import Text
from nbexp.formats.editing.yaml import Yaml
from nbexp.formats.values import MISSING, lookup
from tests.formats.test_values import as_dvc, exact, read

REMOVE: dict[str, Any] = {"op": "delete", "has_value": False}


def edited(text: str, *edits: Edit, path: str = "params.yaml") -> str:
    return edit(text.encode(), path, edits).decode()


def unordered(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((repr(key), unordered(inner)) for key, inner in value.items())
    return [unordered(inner) for inner in value] if isinstance(value, list) else exact(value)


# --- What an edit means ------------------------------------------------------------------------------

BASE = """\
a: 1
s: base
n: null
b:
  d: {x: 1, y: 2}
  c: [1, 2, 3]
e:
- k: 1
- k: 2
1: one
"""
WAS = {
    "a": 1, "s": "base", "n": None, "b": {"d": {"x": 1, "y": 2}, "c": [1, 2, 3]}, "e": [{"k": 1}, {"k": 2}],
    1: "one",
}  # fmt: skip


@pytest.mark.parametrize(
    ("one", "change"),
    [
        # The results are those of DVC 3.67.1 for `-S` with the same grammar.
        (Edit("a", 2), {"a": 2}),
        (Edit("a", 1.0), {"a": 1.0}),
        (Edit("a", None), {"a": None}),
        (Edit("a", ""), {"a": ""}),
        (Edit("a", []), {"a": []}),
        (Edit("a", {}), {"a": {}}),
        (Edit("a", {"k": 1}), {"a": {"k": 1}}),
        (Edit("n", 2), {"n": 2}),
        (Edit("n", 2, "add"), {"n": 2}),
        (Edit("n", {"a": 1}), {"n": {"a": 1}}),
        (Edit("b.d", {"x": 5}), {"b": {"d": {"x": 5, "y": 2}, "c": [1, 2, 3]}}),
        (Edit("b.d", {"z": 5}, "add"), {"b": {"d": {"x": 1, "y": 2, "z": 5}, "c": [1, 2, 3]}}),
        (
            Edit("b.d", {"z": 5, "x": 9}, "force"),
            {"b": {"d": {"x": 9, "y": 2, "z": 5}, "c": [1, 2, 3]}},
        ),
        (Edit("b.d", {}), {}),
        (Edit("b.d", 3), {"b": {"d": 3, "c": [1, 2, 3]}}),
        (Edit("b", 3), {"b": 3}),
        (Edit("b.c", [9]), {"b": {"d": {"x": 1, "y": 2}, "c": [9]}}),
        (Edit("b.c", [9], "add"), {"b": {"d": {"x": 1, "y": 2}, "c": [9]}}),
        (Edit("b.c", [1, {"a": 2}]), {"b": {"d": {"x": 1, "y": 2}, "c": [1, {"a": 2}]}}),
        (Edit("b.c.0", 9), {"b": {"d": {"x": 1, "y": 2}, "c": [9, 2, 3]}}),
        (Edit("e.0.k", 7), {"e": [{"k": 7}, {"k": 2}]}),
        (Edit("e.1", {"k": 8}), {"e": [{"k": 1}, {"k": 8}]}),
        (Edit("x.y.z", 1, "add"), {"x": {"y": {"z": 1}}}),
        (Edit("x.0", 1, "add"), {"x": {"0": 1}}),
        (Edit("a.b", 1, "add"), {"a": {"b": 1}}),
        (Edit("a", {"q": 1}, "add"), {"a": {"q": 1}}),
        (Edit("a", [1], "add"), {"a": [1]}),
        (Edit("q", 1, "force"), {"q": 1}),
        (Edit("b.d.x", **REMOVE), {"b": {"d": {"y": 2}, "c": [1, 2, 3]}}),
        (Edit("b.d.x", 1, "delete"), {"b": {"d": {"y": 2}, "c": [1, 2, 3]}}),
        (Edit("b.c", [1, 2, 3], "delete"), {"b": {"d": {"x": 1, "y": 2}}}),
        (Edit("a", **REMOVE), {"a": MISSING}),
        (Edit("b", **REMOVE), {"b": MISSING}),
        # Where DVC stops or does nothing, this goes on.
        (Edit("b.c.3", 4, "add"), {"b": {"d": {"x": 1, "y": 2}, "c": [1, 2, 3, 4]}}),
        (Edit("b.c.-1", 4), {"b": {"d": {"x": 1, "y": 2}, "c": [1, 2, 4]}}),
        (Edit("b.c.0", **REMOVE), {"b": {"d": {"x": 1, "y": 2}, "c": [2, 3]}}),
        (Edit("n", **REMOVE), {"n": MISSING}),
        (Edit("1", "two"), {1: "two"}),
    ],
)
@pytest.mark.parametrize("path", ["params.yaml", "params.json"])
def test_an_edit_means_what_the_override_means_to_dvc(
    one: Edit, change: dict[Any, Any], path: str
) -> None:
    was: dict[Any, Any] = WAS
    text = BASE
    if path == "params.json":
        text = json.dumps(WAS, indent=4)
        was = json.loads(text)
        change = {str(key): value for key, value in change.items()}
    expected = {key: value for key, value in {**was, **change}.items() if value is not MISSING}
    assert exact(read(edited(text, one, path=path), path)) == exact(expected)


@pytest.mark.parametrize(
    ("one", "error", "message"),
    [
        (
            Edit("train.lrr", 0.03),
            NotFound,
            (
                "No param `train.lrr` in params.yaml. Nothing was run.\n"
                "Hint: did you mean `train.lr`? A new param is added with a plus: `nbexp run -S +train.lrr=0.03`."
            ),
        ),
        (
            Edit("zzz", "a b"),
            NotFound,
            (
                "No param `zzz` in params.yaml. Nothing was run.\n"
                "Hint: params.yaml has `train.lr`, `train.opt.name`, `layers`. "
                "A new param is added with a plus: `nbexp run -S +zzz=a b`."
            ),
        ),
        (
            Edit("train.opt", {"nam": [True, None, "1"]}),
            NotFound,
            (
                "No param `train.opt.nam` in params.yaml. Nothing was run.\n"
                "Hint: did you mean `train.opt.name`? "
                "A new param is added with a plus: `nbexp run -S +train.opt.nam=[true,null,'1']`."
            ),
        ),
        (
            Edit("train.lrr", **REMOVE),
            NotFound,
            "No param `train.lrr` in params.yaml. Nothing was run.\nHint: did you mean `train.lr`?",
        ),
        (
            Edit("train.lr", 0.2, "add"),
            UsageError,
            (
                "`train.lr` is in params.yaml already (0.1). Nothing was run.\n"
                "Hint: without the plus it is changed: `nbexp run -S train.lr=0.2`."
            ),
        ),
        (
            Edit("train.lr", 0.2, "delete"),
            UsageError,
            (
                "`train.lr` in params.yaml is 0.1, not 0.2. Nothing was run.\n"
                "Hint: `nbexp run -S ~train.lr` removes it whatever it is."
            ),
        ),
        (
            Edit("layers.5", 1, "add"),
            NotFound,
            (
                "The list `layers` in params.yaml has no place 5; it has 2 elements. Nothing was run.\n"
                "Hint: the next one is added by `nbexp run -S +layers.2=1`."
            ),
        ),
        (
            Edit("train.lr", b"x"),
            UsageError,
            "The value of `train.lr` is a bytes; numbers, text, true, false, null, lists and mappings can be params.",
        ),
    ],
)
def test_an_edit_that_cannot_be_says_what_can(
    one: Edit, error: type[NbexpError], message: str
) -> None:
    text = "train:\n  lr: 0.1\n  opt: {name: adam}\nlayers: [1, 2]\n"
    with pytest.raises(error) as caught:
        edited(text, one)
    assert str(caught.value) == message


def test_the_hint_names_the_file_that_is_not_the_default() -> None:
    with pytest.raises(NotFound) as caught:
        edited('{"train": {"lr": 1}}', Edit("train.lrr", 2), path="conf/p.json")
    assert caught.value.hint == (
        "did you mean `train.lr`? A new param is added with a plus: `nbexp run -S conf/p.json:+train.lrr=2`."
    )


def test_all_edits_are_made_or_none() -> None:
    with pytest.raises(NotFound):
        edited("a: 1\nb: 2\n", Edit("a", 3), Edit("c", 4))


def test_later_edits_see_earlier_ones() -> None:
    assert (
        edited("a: 1\n", Edit("b", {"c": 1}, "add"), Edit("b.c", 2), Edit("a", **REMOVE))
        == "b:\n  c: 2\n"
    )


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("lr: 1e-3   # as typed\n", Edit("lr", 0.001)),
        ("a:   'x'\n", Edit("a", "x")),
        ("a: [1,   2]\n", Edit("a", [1, 2])),
        ("a: .nan\n", Edit("a", math.nan)),
        ("a: {b:   1}\n", Edit("a", {"b": 1})),
    ],
)
def test_a_value_that_is_there_already_keeps_its_spelling(text: str, one: Edit) -> None:
    assert edited(text, one) == text


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    import numpy as np

    new = [
        Edit("a", np.float64(0.5)),
        Edit("b", np.int64(3)),
        Edit("c", np.array([1, 2])),
        Edit("d", (1,)),
    ]
    assert edited("a: 1\nb: 1\nc: 1\nd: 1\n", *new) == "a: 0.5\nb: 3\nc: [1, 2]\nd: [1]\n"


# --- Editing YAML: every other byte stays ------------------------------------------------------------

COMMENTED = """\
# What we train with.
train:   # keep in step with eval
    lr: 0.1     # rate
    layers: [ 128,64 ]  # flow, spaced oddly
    name: "resnet"
    path: 'a b'
    optimizer:
        betas:
        - 0.9   # first
        - 0.999
        # an inner comment

    # the end of train
empty:
text: |
  two
  lines
long: word word word word word word word word word word word word word word word word word word word
items:
- id: 1
  tags: [a]
-   id: 2
- - 3
  - 4
last: 5
"""


@pytest.mark.parametrize(
    ("one", "old", "new"),
    [
        (Edit("train.lr", 1e-5), "lr: 0.1     # rate", "lr: 1.0e-05     # rate"),
        (Edit("train.layers.1", 32), "[ 128,64 ]", "[ 128,32 ]"),
        (Edit("train.layers", [1, 2, 3]), "[ 128,64 ]", "[1, 2, 3]"),
        (Edit("train.layers.2", 32, "add"), "[ 128,64 ]", "[ 128,64,32 ]"),
        (Edit("train.layers.0", **REMOVE), "[ 128,64 ]", "[ 64 ]"),
        (Edit("train.layers.1", **REMOVE), "[ 128,64 ]", "[ 128 ]"),
        (Edit("train.name", "yes"), '"resnet"', '"yes"'),
        (Edit("train.name", 3), '"resnet"', "3"),
        (Edit("train.path", "it's"), "'a b'", "'it''s'"),
        (Edit("train.optimizer.betas.0", 0.5), "- 0.9   # first", "- 0.5   # first"),
        (Edit("train.optimizer.betas.2", 1, "add"), "- 0.999\n", "- 0.999\n        - 1\n"),
        (Edit("train.optimizer.betas.0", **REMOVE), "        - 0.9   # first\n", ""),
        (
            Edit("train.optimizer.betas", [0.8, "x: y"]),
            "- 0.9   # first\n        - 0.999",
            "- 0.8\n        - 'x: y'",
        ),
        (
            Edit("train.optimizer.betas", 3),
            "betas:\n        - 0.9   # first\n        - 0.999\n",
            "betas: 3\n",
        ),
        (
            Edit("train.optimizer.name", "adam", "add"),
            "- 0.999\n",
            "- 0.999\n        name: adam\n",
        ),
        (
            Edit("train.optimizer", **REMOVE),
            "    optimizer:\n        betas:\n        - 0.9   # first\n        - 0.999\n",
            "",
        ),
        (
            Edit("train.new", {"a": {"b": 1}, "c": [1]}, "add"),
            "        - 0.999\n",
            "        - 0.999\n    new:\n        a:\n            b: 1\n        c: [1]\n",
        ),
        (Edit("empty", 1), "empty:\n", "empty: 1\n"),
        (Edit("empty", {"a": 1}), "empty:\n", "empty:\n    a: 1\n"),
        (Edit("text", "one line"), "|\n  two\n  lines\n", "one line\n"),
        (Edit("text", "a\nb"), "|\n  two\n  lines\n", '"a\\nb"\n'),
        (Edit("items.0.id", 9), "- id: 1", "- id: 9"),
        (Edit("items.0.id", **REMOVE), "- id: 1\n  tags: [a]", "- tags: [a]"),
        (Edit("items.0.tags", **REMOVE), "  tags: [a]\n", ""),
        (Edit("items.0.x", True, "add"), "  tags: [a]\n", "  tags: [a]\n  x: true\n"),
        (Edit("items.1.x", 1, "add"), "-   id: 2\n", "-   id: 2\n    x: 1\n"),
        (Edit("items.2.0", **REMOVE), "- - 3\n  - 4\n", "- - 4\n"),
        (Edit("items.2", [7]), "- - 3\n  - 4\n", "- [7]\n"),
        (Edit("items.0", 7), "- id: 1\n  tags: [a]\n", "- 7\n"),
        (Edit("items.3", {"id": 4}, "add"), "  - 4\n", "  - 4\n- {id: 4}\n"),
        (Edit("last", {"a": 1}), "last: 5\n", "last:\n    a: 1\n"),
        (Edit("last", None), "last: 5\n", "last: null\n"),
        (Edit("last", **REMOVE), "last: 5\n", ""),
        (Edit("more", "x", "add"), "last: 5\n", "last: 5\nmore: x\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_edit_of_yaml_touches_one_place(one: Edit, old: str, new: str, newline: str) -> None:
    assert COMMENTED.count(old) == 1
    text, expected = (
        one.replace("\n", newline) for one in (COMMENTED, COMMENTED.replace(old, new))
    )
    assert edited(text, one) == expected


@pytest.mark.parametrize(
    ("text", "edits", "expected"),
    [
        ("a: 1", [Edit("a", 2)], "a: 2"),
        ("a: 1", [Edit("b", 2, "add")], "a: 1\nb: 2"),
        ("a: 1\nb: 2", [Edit("b", **REMOVE)], "a: 1"),
        ("a: 1\n", [Edit("a", **REMOVE)], ""),
        ("", [Edit("a.b", 1, "add")], "a:\n  b: 1\n"),
        ("# why\n", [Edit("a", 1, "add")], "# why\na: 1\n"),
        ("---\na: 1\n...\n", [Edit("b", 1, "add")], "---\na: 1\nb: 1\n...\n"),
        ("\ufeffa: 1\n", [Edit("a", 2)], "\ufeffa: 2\n"),
        ("{}\n", [Edit("a", 1, "add")], "{a: 1}\n"),
        ("{a: 1, b: 2}\n", [Edit("c", "x,y", "add"), Edit("a", **REMOVE)], "{b: 2, c: 'x,y'}\n"),
        ("{a, b: 1}\n", [Edit("a", 3)], "{a: 3, b: 1}\n"),
        ("{a: 1, }\n", [Edit("b", 3, "add")], "{a: 1, b: 3, }\n"),
        ("a: {x: 1}\n", [Edit("a.x", **REMOVE)], "a: {}\n"),
        ("a:\n  x: 1  # c\nb: 2\n", [Edit("a.x", **REMOVE)], "a: {}\nb: 2\n"),
        ("a:\n- 1\n", [Edit("a.0", **REMOVE)], "a: []\n"),
        ("a: {\n  b: 1, # one\n  c: 2 # two\n}\n", [Edit("a.d", 3, "add")], "a: {\n  b: 1, # one\n  c: 2, # two\n  d: 3\n}\n"),
        ("a: [\n  1,\n  2,\n]\n", [Edit("a.2", 3, "add")], "a: [\n  1,\n  2,\n  3,\n]\n"),
        ("a:    # why\nb: 1\n", [Edit("a", 5)], "a: 5    # why\nb: 1\n"),
        ("a: # why\n  b: 1\n", [Edit("a", 5)], "a: 5 # why\n"),
        ("a: 5 # why\n", [Edit("a", {"b": 1})], "a: # why\n  b: 1\n"),
        ("a: folded\n  text\nb: 1\n", [Edit("a", "x")], "a: x\nb: 1\n"),
        ("a: !!str 5\n", [Edit("a", 6)], "a: 6\n"),
        ("'q': 1\n\"r\": 2\n? s\n: 3\n", [Edit("q", 4), Edit("r", 5), Edit("s", 6)], "'q': 4\n\"r\": 5\n? s\n: 6\n"),
        ("größe: 😀 # ü\nb: 1\n", [Edit("b", "é")], "größe: 😀 # ü\nb: é\n"),
        ("a: 1\n", [Edit("key: odd", 1, "add"), Edit("yes", 1, "add"), Edit("12", 1, "add")], "a: 1\n'key: odd': 1\nyes: 1\n'12': 1\n"),
        ("a: |+\n  x\n\n\nb: 1\n", [Edit("b", 2)], "a: |+\n  x\n\n\nb: 2\n"),
        ("a: 1 # é\u2028\nb: 2\n", [Edit("b", 3)], "a: 1 # é\u2028\nb: 3\n"),
    ],
)  # fmt: skip
def test_an_edit_of_yaml_keeps_to_the_files_ways(
    text: str, edits: list[Edit], expected: str
) -> None:
    assert edited(text, *edits) == expected


ANCHORS = """\
base: &base {lr: 1, bs: 2}  # defaults
one:
  <<: *base   # all of it
  bs: 3
two: *base
x: &x 5
y: *x
"""


@pytest.mark.parametrize(
    ("one", "old", "new", "says"),
    [
        # A key in a shared mapping is one key, wherever the mapping is used.
        (Edit("base.lr", 9), "lr: 1", "lr: 9", {"base.lr": 9, "one.lr": 9, "two.lr": 9}),
        (Edit("two.lr", 9), "lr: 1", "lr: 9", {"base.lr": 9, "one.lr": 9, "two.lr": 9}),
        # A key that comes through `<<` gets a value of its own.
        (Edit("one.lr", 9), "bs: 3", "bs: 3\n  lr: 9", {"base.lr": 1, "one.lr": 9}),
        (Edit("one.bs", 9), "bs: 3", "bs: 9", {"base.bs": 2, "one.bs": 9}),
        (Edit("one.bs", **REMOVE), "  bs: 3\n", "", {"one.bs": 2}),
        # A shared scalar changes alone, as in DVC.
        (Edit("x", 6), "x: &x 5\ny: *x", "x: 6\ny: &x 5", {"x": 6, "y": 5}),
        (Edit("y", 6), "y: *x", "y: 6", {"x": 5, "y": 6}),
        (Edit("two", 3), "two: *base", "two: 3", {"two": 3, "one.lr": 1}),
    ],
)
def test_an_edit_knows_anchors(one: Edit, old: str, new: str, says: dict[str, object]) -> None:
    text = edited(ANCHORS, one)
    assert text == ANCHORS.replace(old, new)
    assert {key: lookup(read(text), key) for key in says} == says


def test_a_key_that_a_merge_brings_cannot_be_removed() -> None:
    with pytest.raises(UsageError) as caught:
        edited(ANCHORS, Edit("one.lr", **REMOVE))
    assert str(caught.value) == (
        "`one.lr` comes into params.yaml through `<<`. Nothing was run.\n"
        "Hint: remove it where the anchor is defined."
    )


@pytest.mark.parametrize("one", [Edit("base", **REMOVE), Edit("base", 3), Edit("x", **REMOVE)])
def test_what_others_use_by_an_anchor_moves_to_them(one: Edit) -> None:
    before = read(ANCHORS)
    after = read(edited(ANCHORS, one))
    assert after.pop(one.key, None) == one.value
    assert after == {key: value for key, value in before.items() if key != one.key}


def test_a_change_that_needs_more_than_its_span_is_right_all_the_same() -> None:
    text = "? a\n: 1\n? b\n: 2\n"
    assert read(edited(text, Edit("a", **REMOVE))) == {"b": 2}


def test_a_round_trip_leaves_ruamel_as_others_expect_it() -> None:
    import io

    edited("? a\n: 1\n? b\n: 2\n", Edit("a", **REMOVE))
    out = io.StringIO()
    YAML().dump({"a": None}, out)
    assert out.getvalue() == "a:\n"


# --- Editing YAML: any file, any edit ---------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "lr", "x y", "k1", "d-e", "yes", "größe", "a: b", 3])
LEAVES = (
    st.integers(-5, 2000)
    | st.floats()
    | st.booleans()
    | st.none()
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.sampled_from(
        [
            "yes",
            "012",
            "1e3",
            "it's",
            "x: y",
            "#c",
            "- a",
            "a #b",
            "2020-01-01",
            "=",
            "<<",
            "|",
            " a",
        ]
    )
)
ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(NAMES, ANY, min_size=1, max_size=4)


def escaped(char: str) -> str:
    # YAML has no escapes for halves of characters, JSON no others beyond U+FFFF.
    plain = char.isprintable() or char > "\uffff"
    return json.dumps(char, ensure_ascii=not plain)[1:-1].replace("\x7f", "\\x7f")


def spelled(value: Any) -> str:
    """A value on one line, by the test's own means: JSON is YAML, but for numbers and characters that JSON lacks."""
    if isinstance(value, str):
        return '"' + "".join(map(escaped, value)) + '"'
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}[str(value)]
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{spelled(key)}: {spelled(one)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(spelled, value)) + "]"
    return json.dumps(value)


@st.composite
def yaml_texts(draw: st.DrawFn) -> tuple[str, dict[Any, Any]]:
    """A mapping, and a text that says it in some mixture of styles, with comments in odd places."""
    tree = draw(MAPPINGS)
    step = draw(st.sampled_from([2, 4]))
    comments = st.sampled_from(["", "", "  # it's: [x]", " # {"])
    lines: list[str] = []

    def value(head: str, it: Any, column: int) -> None:
        below = draw(st.booleans())
        if isinstance(it, dict) and it and below:
            lines.append(head + draw(comments))
            mapping(it, column + step)
        elif isinstance(it, list) and it and below:
            lines.append(head + draw(comments))
            sequence(it, column + draw(st.sampled_from([0, step])))
        elif it is None and below:
            lines.append(head + draw(comments))
        else:
            lines.append(f"{head} {spelled(it)}{draw(comments)}")

    def mapping(it: dict[Any, Any], column: int) -> None:
        for key, inner in it.items():
            lines.extend(
                draw(st.sampled_from([[], [], [""], [" " * column + "# note: x"], ["# far left"]]))
            )
            value(f"{' ' * column}{spelled(key)}:", inner, column)

    def sequence(it: list[Any], column: int) -> None:
        for inner in it:
            first = len(lines)
            dash = " " * column + "- "
            if isinstance(inner, dict) and inner and draw(st.booleans()):
                for key, one in inner.items():
                    value(f"{' ' * (column + 2)}{spelled(key)}:", one, column + 2)
                lines[first] = dash + lines[first][column + 2 :]
            elif isinstance(inner, list) and inner and draw(st.booleans()):
                sequence(inner, column + 2)
                lines[first] = dash + lines[first][column + 2 :]
            else:
                lines.append(f"{dash}{spelled(inner)}{draw(comments)}")

    mapping(tree, 0)
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    return newline.join(lines) + draw(st.sampled_from([newline, ""])), tree


def paths(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    return [found for key, value in inner for found in [(*at, key), *paths(value, (*at, key))]]


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def reachable(path: tuple[Any, ...]) -> bool:
    return all("." not in str(key) for key in path)


@st.composite
def edits_of(draw: st.DrawFn, tree: dict[Any, Any]) -> tuple[Edit, dict[Any, Any]]:
    """An edit of the tree, and the tree after it."""
    import copy

    after = copy.deepcopy(tree)
    path = draw(st.sampled_from(paths(tree)))
    kind = draw(st.sampled_from(["change", "delete", "add"]))
    if kind == "delete":
        del at(after, path[:-1])[path[-1]]
        return Edit(".".join(map(str, path)), **REMOVE), after
    if kind == "change":
        new = draw(ANY)
        if isinstance(new, dict):
            new = [new]
        at(after, path[:-1])[path[-1]] = new
        return Edit(".".join(map(str, path)), new), after
    homes = [home for home in [(), *paths(tree)] if isinstance(at(tree, home), dict | list)]
    path = draw(st.sampled_from(homes))
    home, new = at(after, path), draw(ANY)
    if isinstance(home, list):
        home.append(new)
        return Edit(".".join(map(str, (*path, len(home) - 1))), new, "add"), after
    home["new"] = new
    return Edit(".".join(map(str, (*path, "new"))), new, "add"), after


@given(st.data())
@settings(max_examples=150)
def test_any_edit_of_any_yaml_says_what_was_asked_and_keeps_the_other_lines(
    data: st.DataObject,
) -> None:
    text, tree = data.draw(yaml_texts())
    assert exact(read(text)) == exact(tree)
    one, after = data.draw(edits_of(tree))
    new = edited(text, one)
    assert exact(read(new)) == exact(after)
    assert unordered(as_dvc(new) or {}) == unordered(after)
    # One stretch of lines was replaced: what stands before and after it is as it was.
    old_lines, new_lines = text.splitlines(keepends=True), new.splitlines(keepends=True)
    while old_lines and new_lines and old_lines[0] == new_lines[0]:
        del old_lines[0], new_lines[0]
    while old_lines and new_lines and old_lines[-1] == new_lines[-1]:
        del old_lines[-1], new_lines[-1]
    path = [key for key in paths(tree) if ".".join(map(str, key)) == one.key]
    if one.op == "change" and not isinstance(at(tree, path[0]), dict | list):
        assert len(old_lines) <= 1
    if one.op == "add":
        assert len(old_lines) <= 1
    if "\r\n" in text:
        assert "\n" not in new.replace("\r\n", "")


PLAIN = st.sampled_from(
    [
        "0.01",
        "-3",
        "1e-3",
        "yes",
        "true",
        "~",
        "null",
        "word",
        "two words",
        "a/b.txt",
        "it's",
        "x#y",
        "'quoted'",
        "''",
        '"double"',
        '"# no comment"',
        "'a: b'",
        "[1, 2]",
        "[]",
        "{}",
        "",
    ]
)


@st.composite
def simple_texts(draw: st.DrawFn) -> tuple[str, list[tuple[str | int, ...]]]:
    """A text as people write it, and where the scalars of its mappings stand."""
    lines: list[str] = []
    found: list[tuple[str | int, ...]] = []

    def mapping(where: tuple[str | int, ...], column: int, first: str = "") -> None:
        for key in draw(
            st.lists(st.sampled_from(["lr", "a_b", "c.d", "n-1"]), min_size=1, unique=True)
        ):
            head = f"{first or ' ' * column}{key}:"
            first = ""
            kind = (
                draw(st.sampled_from(["leaf", "leaf", "map", "maps", "list"]))
                if column < 6
                else "leaf"
            )
            note = draw(st.sampled_from(["", "", " # note", "   # it's: [x]"]))
            if kind == "leaf":
                value = draw(PLAIN)
                if value and value[0] in "'\"[{":
                    note = ""  # these with a comment are left to the parser
                lines.append(f"{head}{' ' * draw(st.integers(1, 2))}{value}{note}")
                if value not in {"[1, 2]", "[]", "{}", ""}:
                    found.append((*where, key))
            elif kind == "map":
                lines.append(head + note)
                mapping((*where, key), column + 2)
            elif kind == "maps":
                lines.append(head + note)
                for index in range(draw(st.integers(1, 2))):
                    mapping((*where, key, index), column + 2, " " * column + "- ")
            else:
                lines.extend([head + note, f"{' ' * column}- one", f"{' ' * column}- 2  # b"])
            lines.extend(draw(st.sampled_from([[], [], [""], ["# far left"]])))

    mapping((), 0)
    return "\n".join(lines) + draw(st.sampled_from(["\n", ""])), found


@given(st.data())
@settings(max_examples=200)
def test_a_simple_text_is_edited_without_a_parser_as_with_it(data: st.DataObject) -> None:
    text, places = data.draw(simple_texts())
    assume(places)
    chosen = data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=3, unique=True))
    steps = [
        Step("set", where, data.draw(st.sampled_from([0.5, -1, True, None, "word", "a: b", "no"])))
        for where in chosen
    ]
    spans = yaml12.scalar_spans(text, chosen)
    assert spans is not None
    assert Yaml(text, "p").make(steps) == Text.make(Yaml(text, "p"), steps)


@given(LEAVES)
@example("two\nlines")
@example("\x85")
@example("'\"\\")
@example("a\ttab")
@example("x" * 200)
def test_a_scalar_that_is_written_is_read_back_by_all(value: Any) -> None:
    text = edited("key: 0  # why\n", Edit("key", value), Edit("key2", [value], "add"))
    assert exact(read(text)) == exact({"key": value, "key2": [value]})
    assert exact(as_dvc(text)) == exact({"key": value, "key2": [value]})
    assert text.splitlines()[0].endswith("  # why")


@given(st.floats() | st.integers() | st.booleans() | st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x85\u2028\u2029"), min_size=1, max_size=20))  # fmt: skip
@example(1e-05)
@example(1e22)
@example(100000.0)
@example("1e3")
@example("yes")
@example("- a")
@example("a: b")
@example("2020-01-01")
@example("it's")
@example("http://x:80")
def test_a_scalar_is_spelled_as_ruamel_spells_it(value: Any) -> None:
    import io

    out = io.StringIO()
    writer = YAML()
    writer.width = 10_000
    writer.dump({"key": value}, out)
    theirs = out.getvalue()
    if isinstance(value, float) and "." not in theirs:
        # `1e-05` is a number for DVC, and text for everybody's `yaml.safe_load`.
        theirs = theirs.replace("e-", ".0e-").replace("e+", ".0e+")
    assert edited("key: null\n", Edit("key", value)) == theirs


# --- Editing JSON ------------------------------------------------------------------------------------

PRETTY = """\
{
    "train": {
        "lr": 0.1,
        "layers": [128, 64],
        "deep": [
            1,
            2
        ]
    },
    "name": "é\\u00e9",
    "empty": {}
}"""


@pytest.mark.parametrize(
    ("one", "old", "new"),
    [
        (Edit("train.lr", 1e-5), "0.1", "1e-05"),
        (Edit("train.layers.0", 1), "[128, 64]", "[1, 64]"),
        (Edit("train.layers", [1]), "[128, 64]", "[1]"),
        (Edit("train.layers.2", 32, "add"), "[128, 64]", "[128, 64, 32]"),
        (Edit("train.deep.2", 3, "add"), "            2\n", "            2,\n            3\n"),
        (Edit("train.deep.1", **REMOVE), "            1,\n            2\n", "            1\n"),
        (Edit("train.deep.0", **REMOVE), "            1,\n", ""),
        (Edit("train.deep", [7, 8]), "1,\n            2\n", "7,\n            8\n"),
        (Edit("name", "ü"), '"é\\u00e9"', '"ü"'),
        (Edit("name", None), '"é\\u00e9"', "null"),
        (Edit("empty.x", {"a": 1}, "add"), "{}", '{"x": {"a": 1}}'),
        (
            Edit("train.new", {"a": [1]}, "add"),
            "        ]\n    },",
            '        ],\n        "new": {\n            "a": [\n                1\n            ]\n        }\n    },',
        ),
        (Edit("empty", **REMOVE), ',\n    "empty": {}', ""),
        (Edit("train.lr", **REMOVE), '        "lr": 0.1,\n', ""),
        (Edit("empty", 1), "{}", "1"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_edit_of_json_touches_one_place(one: Edit, old: str, new: str, newline: str) -> None:
    assert PRETTY.count(old) == 1
    text, expected = (one.replace("\n", newline) for one in (PRETTY, PRETTY.replace(old, new)))
    assert edited(text, one, path="params.json") == expected


@pytest.mark.parametrize(
    ("text", "edits", "expected"),
    [
        ('{"a":1,"b":[1,2]}', [Edit("b.0", 5), Edit("c", [1, {"x": 2}], "add")], '{"a":1,"b":[5,2],"c":[1,{"x":2}]}'),
        ('{"a": 1}\n', [Edit("b", "ü", "add"), Edit("a", **REMOVE)], '{"b": "\\u00fc"}\n'),
        ("{}", [Edit("a.b", math.inf, "add")], '{"a": {"b": Infinity}}'),
        ('{\n\t"a": 1\n}\n', [Edit("b", {"c": 2}, "add")], '{\n\t"a": 1,\n\t"b": {\n\t\t"c": 2\n\t}\n}\n'),
    ],
)  # fmt: skip
def test_an_edit_of_json_keeps_to_the_files_ways(
    text: str, edits: list[Edit], expected: str
) -> None:
    assert edited(text, *edits, path="params.json") == expected


@given(st.data(), st.sampled_from([None, 1, 4, "\t"]), st.sampled_from([(", ", ": "), (",", ":")]))
def test_any_edit_of_any_json_says_what_was_asked(
    data: st.DataObject, indent: Any, marks: Any
) -> None:
    text = json.dumps(
        data.draw(MAPPINGS), indent=indent, separators=marks, ensure_ascii=data.draw(st.booleans())
    )
    tree = json.loads(text)
    one, after = data.draw(edits_of(tree))
    new = edited(text, one, path="metrics.json")
    # A mapping's keys are text in JSON, also those of the value that was asked for.
    assert unordered(json.loads(new)) == unordered(json.loads(json.dumps(after)))
    assert new.count("\n") == 0 or indent is not None


# --- Editing TOML ------------------------------------------------------------------------------------

TOML = """\
# top
title = "x"  # name
n = 1_000
a.b.c = 5

[train]  # here
lr = 0.1   # rate
layers = [1, 2,
  3, # three
]
opt = { name = "adam", lr = 1e-3 }

  [train.sub]
  k = 'lit'

[x.y]
z = 1979-05-27 07:32:00
"quoted key" = '''
text''' # end

[[runs]]
a = 1

[[runs]]
a = 2
"""


@pytest.mark.parametrize(
    ("one", "old", "new"),
    [
        (Edit("title", 'say "hi"'), '"x"', '"say \\"hi\\""'),
        (Edit("n", 5), "1_000", "5"),
        (Edit("a.b.c", 6), "a.b.c = 5", "a.b.c = 6"),
        (Edit("a.b.d", 6, "add"), "a.b.c = 5\n", "a.b.c = 5\na.b.d = 6\n"),
        (Edit("a.b.c", **REMOVE), "a.b.c = 5\n", ""),
        (Edit("top", True, "add"), "a.b.c = 5\n", "a.b.c = 5\ntop = true\n"),
        (Edit("train.lr", 1e-5), "lr = 0.1 ", "lr = 1e-05 "),
        (Edit("train.layers.0", 9), "[1, 2", "[9, 2"),
        (Edit("train.layers.3", 4, "add"), "3, # three\n", "3, # three\n  4,\n"),
        (Edit("train.opt.lr", 0.5), "1e-3", "0.5"),
        (Edit("train.opt.new", [1], "add"), "1e-3 }", "1e-3, new = [1] }"),
        (Edit("train.opt.name", **REMOVE), 'name = "adam", ', ""),
        (
            Edit("train.new", {"a b": math.inf}, "add"),
            "1e-3 }\n",
            '1e-3 }\nnew = { "a b" = inf }\n',
        ),
        (Edit("train.sub.k", "text"), "'lit'", "'text'"),
        (Edit("train.sub.k", "it's"), "'lit'", '"it\'s"'),
        (Edit("train.sub.m", 1, "add"), "  k = 'lit'\n", "  k = 'lit'\n  m = 1\n"),
        (Edit("train.sub", **REMOVE), "  [train.sub]\n  k = 'lit'\n\n", ""),
        (Edit("train.lr", **REMOVE), "lr = 0.1   # rate\n", ""),
        (Edit("x.y.z", 3), "1979-05-27 07:32:00", "3"),
        (Edit("x.y.quoted key", "v"), "'''\ntext'''", "'v'"),
        (Edit("runs.1.a", 7), "a = 2", "a = 7"),
        (Edit("runs.0.b", "x", "add"), "a = 1\n", 'a = 1\nb = "x"\n'),
        (Edit("runs.2", {"a": 3}, "add"), "a = 2\n", "a = 2\n\n[[runs]]\na = 3\n"),
        (Edit("x.n", 1, "add"), "a = 2\n", "a = 2\n\n[x]\nn = 1\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_edit_of_toml_touches_one_place(one: Edit, old: str, new: str, newline: str) -> None:
    assert TOML.count(old) == 1
    text, expected = (one.replace("\n", newline) for one in (TOML, TOML.replace(old, new)))
    assert edited(text, one, path="params.toml") == expected


@pytest.mark.parametrize(
    ("text", "edits", "expected"),
    [
        ("a = 1", [Edit("b", 2, "add")], "a = 1\nb = 2"),
        ("", [Edit("b", 2, "add")], "b = 2\n"),
        ("[t]\na = 1", [Edit("t.b", 2, "add")], "[t]\na = 1\nb = 2"),
        ("[t]\na = 1\n", [Edit("b", 2, "add")], "b = 2\n[t]\na = 1\n"),
        ("a = 1\nb = 2", [Edit("b", **REMOVE)], "a = 1"),
    ],
)
def test_an_edit_of_toml_keeps_to_the_files_ways(
    text: str, edits: list[Edit], expected: str
) -> None:
    assert edited(text, *edits, path="params.toml") == expected


def test_toml_has_no_null() -> None:
    with pytest.raises(UsageError) as caught:
        edited("a = 1\n", Edit("a", None), path="params.toml")
    assert str(caught.value) == (
        "TOML has no null, so params.toml cannot hold one. Nothing was run.\n"
        "Hint: leave the param out, or use a YAML or JSON file."
    )


@given(st.data())
def test_any_toml_scalar_is_written_as_tomllib_reads_it(data: st.DataObject) -> None:
    value = data.draw(LEAVES.filter(lambda value: value is not None))
    new = edited(
        "[t]\na = 1 # why\n", Edit("t.a", value), Edit("t.b", [value], "add"), path="p.toml"
    )
    assert exact(tomllib.loads(new)) == exact({"t": {"a": value, "b": [value]}})


# --- Editing Python ----------------------------------------------------------------------------------

PYTHON = """\
import os
LR = 0.1  # rate
N=3; NAME = "abc"
LAYERS = (64, 32)
D = {"a": 1, "b": {"c": [1, 2]},
     "z": None}
PATH = os.environ.get("X", 1)
ö: float = 1.5
class Train:
    bs: int = 32
    ß = "ü"; y = 5
    def __init__(self):
        self.k = (
            1
        )
"""


@pytest.mark.parametrize(
    ("one", "old", "new"),
    [
        (Edit("LR", 1e-5), "0.1", "1e-05"),
        (Edit("N", 4), "N=3", "N=4"),
        (Edit("NAME", "x"), '"abc"', '"x"'),
        (Edit("NAME", 'say "hi"'), '"abc"', "'say \"hi\"'"),
        (Edit("NAME", None), '"abc"', "None"),
        (Edit("LAYERS", [1]), "(64, 32)", "(1,)"),
        (Edit("LAYERS.1", 16), "(64, 32)", "(64, 16)"),
        (Edit("D.b.c.0", 9), "[1, 2]", "[9, 2]"),
        (Edit("D.a", **REMOVE), '"a": 1, ', ""),
        (Edit("D.new", {"q": True}, "add"), '"z": None}', '"z": None,\n     "new": {"q": True}}'),
        (Edit("ö", 2.5), "1.5", "2.5"),
        (Edit("Train.bs", 64), "bs: int = 32", "bs: int = 64"),
        (Edit("Train.y", 6), "y = 5", "y = 6"),
        (Edit("Train.k", 2), "            1\n", "            2\n"),
        (Edit("NEW", [1], "add"), "        )\n", "        )\nNEW = [1]\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_edit_of_python_touches_one_place(one: Edit, old: str, new: str, newline: str) -> None:
    assert PYTHON.count(old) == 1
    text, expected = (one.replace("\n", newline) for one in (PYTHON, PYTHON.replace(old, new)))
    assert edited(text, one, path="params.py") == expected


@pytest.mark.parametrize(
    ("one", "error", "message"),
    [
        (
            Edit("LR", **REMOVE),
            ProjectFileError,
            (
                "params.py: `LR` cannot be changed without touching more than its value. Nothing was run.\n"
                "Hint: change it in an editor and run again."
            ),
        ),
        (
            Edit("Train.new", 1, "add"),
            ProjectFileError,
            (
                "params.py: `Train.new` cannot be changed without touching more than its value. Nothing was run.\n"
                "Hint: change it in an editor and run again."
            ),
        ),
        (
            Edit("LR", math.nan),
            UsageError,
            "Python has no literal for nan, so it cannot be written into params.py. Nothing was run.",
        ),
        (
            Edit("PATH", 1),
            NotFound,
            (
                "No param `PATH` in params.py. Nothing was run.\nHint: params.py has `LR`, `N`, `NAME`, `LAYERS`, `D.a`, …. "
                "A new param is added with a plus: `nbexp run -S params.py:+PATH=1`."
            ),
        ),
    ],
)
def test_what_cannot_be_written_into_python_is_refused(
    one: Edit, error: type[NbexpError], message: str
) -> None:
    with pytest.raises(error) as caught:
        edited(PYTHON, one, path="params.py")
    assert str(caught.value) == message


# --- Values that user code reads differently ----------------------------------------------------------


def test_values_that_pyyaml_sees_differently_are_named() -> None:
    text = (
        "lr: 1e-3\nok: 0.1\ntrain:\n  on: [yes, 'no']\n  at: 12:30:45\n  n: 010\nday: 2020-01-01\n"
    )
    found = [
        (one.key, one.line, one.text, one.value, one.pyyaml)
        for one in surprises(text.encode(), "params.yaml")
    ]
    assert found == [
        ("lr", 1, "1e-3", 0.001, "1e-3"),
        ("train.on.0", 4, "yes", "yes", True),
        ("train.at", 5, "12:30:45", "12:30:45", 45045),
        ("train.n", 6, "010", 10, 8),
        ("day", 7, "2020-01-01", "2020-01-01", dt.date(2020, 1, 1)),
    ]
    assert surprises(b'{"a": "1e-3"}', "params.json") == ()


SCALARS = """
1 01 014 08 00 0 -0 +1 0o17 -0o17 0o8 0O17 0x1F -0x1f 0xg +0x1F 0b11 +0b1 0b2 1_000 _1 1_ 1__0 0_ 0_1 9_ 0o1_7
1e3 1E3 1e-3 1e+3 1.e3 1.5e-3 1.5E5 12e03 0e0 1e 1e5x e1 1e1_0 0.1e+1_0 1e400 .5 -.5 +.5 5. 0. .5e3 .5e+3 1_0.5
1_000.5_0 3.14_15 1.2.3 1,000 .inf -.inf +.INF .Inf .nan .NaN .NAN -.nan nan inf + - . .. _ -_x
yes no on off Yes NO On y n true True TRUE tRue false False FALSE null Null NULL nULL ~ None
12:30:45 1:30 1:30.5 abc a-b a_b a.b v1.0 - * ? : %a @ ` ' " # & ! | > < << /path c:\\x 1password
""".split()


@given(st.sampled_from(SCALARS))
def test_a_surprise_is_just_where_pyyaml_differs(text: str) -> None:
    try:
        ours = read(f"key: {text}")["key"]
        theirs = yaml.safe_load(f"key: {text}")["key"]
    except (ProjectFileError, yaml.YAMLError, ValueError):
        return
    assert bool(surprises(f"key: {text}".encode(), "p.yaml")) == (exact(ours) != exact(theirs))
