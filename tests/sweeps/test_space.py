"""What a sweep varies, from what is typed, passed or read from a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nbexp.errors import NbexpError, NotFound, ProjectFileError, UsageError
from nbexp.formats import values
from nbexp.sweeps import space as spaces
from nbexp.sweeps.space import Dimension, Point, Space

PARAMS = {"train": {"lr": 0.1, "epochs": 10, "kind": "adam", "on": True, "seed": 1}}


def present(file: str, key: str) -> object:
    return values.lookup(PARAMS, key) if file == "params.yaml" else values.MISSING


def of(
    asked: Iterable[str] | Mapping[str, object] | Iterable[Point], *items: str, **more: Any
) -> tuple[Space, tuple[str, ...]]:
    return spaces.of(asked, items, present=present, **more)


def points(space: Space) -> list[Point]:
    assert space.size is not None
    return [space.point(index) for index in range(space.size)]


def test_choices_multiply_and_one_value_is_common_to_all() -> None:
    space, fixed = of(["train.lr=0.1,0.2", "train.epochs=5", "other.json:a=range(1,4)"])
    assert fixed == ("train.epochs=5",)
    assert space.params == ("train.lr", "other.json:a")
    assert points(space) == [
        {"train.lr": lr, "other.json:a": a} for lr in (0.1, 0.2) for a in (1, 2, 3)
    ]
    assert space.dimensions[1].is_ordered
    assert not space.dimensions[0].is_ordered


def test_a_mapping_has_texts_lists_and_values() -> None:
    space, fixed = of(
        {
            "train.lr": "tag(log,interval(1e-4,1e-1))",
            "train.epochs": [5, 10],
            "+a": ["x", "y z", None],
            "+b": np.linspace(0, 1, 3),
            "+c": range(3),
            "+d": {"e": [1, 2]},
        }
    )
    assert fixed == ("+d={e:[1,2]}",)
    assert space.dimensions == (
        Dimension("train.lr", low=0.0001, high=0.1, is_log=True),
        Dimension("train.epochs", (5, 10)),
        Dimension("+a", ("x", "y z", None)),
        Dimension("+b", (0.0, 0.5, 1.0)),
        Dimension("+c", (0, 1, 2)),
    )


@pytest.mark.parametrize(
    ("item", "dimension"),
    [
        ("train.lr=interval(0,1)", Dimension("train.lr", low=0.0, high=1.0)),
        ("train.epochs=interval(5,50)", Dimension("train.epochs", low=5, high=50, is_whole=True)),
        ("train.epochs=interval(0.5,50)", Dimension("train.epochs", low=0.5, high=50)),
        ("+new=interval(1,8)", Dimension("+new", low=1, high=8)),
        ("+new=int(interval(1,8))", Dimension("+new", low=1, high=8, is_whole=True)),
        (
            "train.epochs=tag(log,interval(1,64))",
            Dimension("train.epochs", low=1, high=64, is_log=True, is_whole=True),
        ),
    ],
)
def test_an_interval_is_of_whole_numbers_where_the_param_is_one(
    item: str, dimension: Dimension
) -> None:
    assert of([item]) == (Space((dimension,)), ())
    # As it is shown, it means the same.
    assert of([str(dimension)]) == (Space((dimension,)), ())


def test_points_are_taken_as_they_are_and_combined_with_choices() -> None:
    given = [{"train.lr": np.float64(0.1)}, {"train.lr": 0.3, "+layers": (1, 2)}]
    space, fixed = of(given, "train.epochs=1,2", "train.kind=sgd")
    assert fixed == ("train.kind=sgd",)
    assert points(space) == [
        {"train.lr": 0.1, "train.epochs": 1},
        {"train.lr": 0.1, "train.epochs": 2},
        {"train.lr": 0.3, "+layers": [1, 2], "train.epochs": 1},
        {"train.lr": 0.3, "+layers": [1, 2], "train.epochs": 2},
    ]
    assert type(points(space)[0]["train.lr"]) is float


def test_points_come_from_a_generator_and_from_a_table() -> None:
    expected = [{"train.lr": 0.1, "train.epochs": 1}, {"train.lr": 0.2, "train.epochs": 2}]
    assert points(of(dict(point) for point in expected)[0]) == expected
    assert points(of(pd.DataFrame(expected))[0]) == expected


def test_a_space_is_kept_as_json() -> None:
    space, _ = of(
        ["train.lr=interval(0.01,1)", "train.kind=a,null,[1],true", "train.epochs=interval(1,5)"]
    )
    with_points, _ = of([{"train.lr": 0.1}, {"train.lr": None}])
    for one in (space, with_points):
        assert Space.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("points.csv", "train.lr, train.kind,+x\n0.1,adam,\n0.2,'a,b',[1]\n"),
        ("points.csv", '\ufefftrain.lr,train.kind,+x\n0.1,adam,\n\n0.2,"\'a,b\'","[1]"\n'),
        ("points.tsv", "train.lr\ttrain.kind\t+x\n0.1\tadam\t\n0.2\t'a,b'\t[1]\n"),
        (
            "points.json",
            '[{"train.lr": 0.1, "train.kind": "adam"}, {"train.lr": 0.2, "train.kind": "a,b", "+x": [1]}]',
        ),
        (
            "points.yaml",
            "- {train.lr: 0.1, train.kind: adam}\n- {train.lr: 0.2, train.kind: 'a,b', +x: [1]}\n",
        ),
    ],
)
def test_points_are_read_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    if name == "points.csv" and "\ufeff" not in text:
        text = text.replace("'a,b'", "\"'a,b'\"")
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert spaces.read_points(tmp_path / name, name) == [
        {"train.lr": 0.1, "train.kind": "adam"},
        {"train.lr": 0.2, "train.kind": "a,b", "+x": [1]},
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("no.csv", None, "There is no file no.csv. Nothing was run."),
        ("a.csv", "a,b\n", "a.csv: there are no points in it."),
        ("a.csv", "a,b\n1\n", "a.csv, line 2: 1 values for 2 params."),
        ("a.csv", 'a,b\n1,"2,3"\n', "a.csv, line 2: `2,3` of `b` is more than one value."),
        ("a.csv", "a\n1\n)\n", "a.csv, line 3: `a=)` cannot be read. Nothing was run."),
        ("a.csv", b"a\n\xff\n", "a.csv: this is not UTF-8 text."),
        ("a.json", '{"a": 1}', "a.json: a list of points is expected, each a mapping from params to values."),
        ("a.txt", "a", "a.txt: points are read from .csv, .tsv, .yaml and .json, not from `.txt`."),
    ],
)  # fmt: skip
def test_a_file_without_points_is_told(
    tmp_path: Path, name: str, text: str | bytes | None, message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises((NotFound, ProjectFileError)) as raised:
        spaces.read_points(tmp_path / name, name)
    assert raised.value.message == message


def test_each_point_is_repeated_with_other_seeds() -> None:
    space, _ = of(["train.lr=0.1,0.2"], repeat=3, seeds=["train.seed"])
    assert points(space)[:4] == [
        {"train.lr": 0.1, "train.seed": 0},
        {"train.lr": 0.1, "train.seed": 1},
        {"train.lr": 0.1, "train.seed": 2},
        {"train.lr": 0.2, "train.seed": 0},
    ]
    named, _ = of([], repeat=2, seed_param="+train.other", seeds=["a.seed", "b.seed"])
    assert points(named) == [{"+train.other": 0}, {"+train.other": 1}]


@pytest.mark.parametrize(
    ("asked", "more", "message", "hint"),
    [
        (["train.lr=interval(1,0)"], {}, "is empty or has no end", "its first number is the smaller one"),
        (["train.lr=tag(log,interval(0,1))"], {}, "begins at 0.0", "begin above 0"),
        (["train.lr=tag(odd,interval(0,1))"], {}, "has the tag `odd`", "tag(log,interval(0.0,1.0))"),
        (["train.kind=interval(0,1)"], {}, "`train.kind` in params.yaml is adam, which is no number", "-S train.kind=a,b"),
        (["train.on=interval(0,1)"], {}, "is true, which is no number", None),
        (["train.lr=1,2", "train.lr=3"], {}, "`train.lr` is given twice", "-S train.lr=1,2"),
        ([{"train.lr": 1}], {"items": ["train.lr=3"]}, "`train.lr` is given twice", None),
        (["a=range(0,1000)", "b=range(0,1000)"], {}, "There are 1,000,000 points", "--random 100"),
        ("train.lr=1", {}, "`train.lr=1` is one text", 'project.sweep(["train.lr=1"])'),
        ([{"a": 1}, 3], {}, "3 is no point", None),
        ({"a": []}, {}, "There is no value for `a`", None),
        ({"a": object}, {}, "`a` is a type; a param is a number", None),
        ([], {"repeat": 3}, "no param is called seed or random_state", "--repeat 3 --seed-param train.seed"),
        ([], {"repeat": 3, "seeds": ["a.seed", "b.seed"]}, "2 params are called like one: a.seed, b.seed", "--seed-param a.seed"),
        (["train.seed=1,2"], {"repeat": 3, "seeds": ["train.seed"]}, "`train.seed` has values already", None),
        (["train.lr=1,2"], {"repeat": 0}, "`--repeat 0` runs nothing", None),
    ],
)  # fmt: skip
def test_what_is_no_space_is_told(
    asked: Any, more: dict[str, Any], message: str, hint: str | None
) -> None:
    with pytest.raises(NbexpError) as raised:
        of(asked, *more.pop("items", ()), **more)
    assert isinstance(raised.value, UsageError)
    assert message in raised.value.message
    assert raised.value.message.endswith("Nothing was run.")
    assert hint is None or hint in (raised.value.hint or "")
