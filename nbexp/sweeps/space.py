"""What a sweep varies: the params, each with its choices or the interval it lies in, and the points of them.

A point is a mapping from a param, spelled as before the `=` of `-S` (`train.lr`, `other.json:depth`, `+train.momentum`),
to its value. Everything here is plain data that JSON holds, so that a sweep can be stored and gone on with.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from nbexp import overrides
from nbexp.errors import NotFound, ProjectFileError, UsageError
from nbexp.formats import values
from nbexp.frozen import frozen
from nbexp.overrides import Axis, Interval, spell

Point = Mapping[str, object]
"""Param -> value."""

# Of a param that is no number, a mean of two ends would be none either.
_NUMBERS = (int, float)
_MAX_POINTS = overrides.MAX_POINTS

SEED_NAMES = ("seed", "random_state", "random_seed")
"""What a param is called that is a seed."""


@frozen
class Dimension:
    """One param that varies: its `choices`, or, where it has none, the numbers from `low` to `high`, both included.

    Attributes
    ----------
    param
        As typed before the `=`.
    is_ordered
        The choices are the numbers of a `range`: one between two others is between them in its effect, too.
    is_log
        Each order of magnitude is worth the same.
    is_whole
        The numbers are whole.
    """

    param: str
    choices: tuple[object, ...] = ()
    is_ordered: bool = False
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_whole: bool = False

    def at(self, share: float) -> object:
        """The value at a share, 0 up to and not including 1, of the way; each value has an equal part of it."""
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        # Half a step beyond each end, so that the ends are met as often as what lies between.
        low, high = (self.low - 0.5, self.high + 0.5) if self.is_whole else (self.low, self.high)
        if self.is_log:
            found = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            found = low + share * (high - low)
        if self.is_whole:
            return int(min(max(round(found), self.low), self.high))
        return min(max(found, self.low), self.high)

    def __str__(self) -> str:
        """As it is typed: `train.lr=interval(0.001,0.1)`."""
        if self.choices:
            return f"{self.param}={','.join(spell(value) for value in self.choices)}"
        ends = (int(one) if self.is_whole else one for one in (self.low, self.high))
        text = f"interval({','.join(spell(one) for one in ends)})"
        text = f"int({text})" if self.is_whole else text
        return f"{self.param}={f'tag(log,{text})' if self.is_log else text}"


@frozen
class Space:
    """All that a sweep may try.

    Attributes
    ----------
    dimensions
        What varies, the first slowest.
    points
        Points that were given one by one; each is combined with every value of the dimensions. One empty
        point where none were given.
    """

    dimensions: tuple[Dimension, ...] = ()
    points: tuple[Point, ...] = ({},)

    @property
    def size(self) -> int | None:
        """How many points there are; None where a param has an interval."""
        if not all(one.choices for one in self.dimensions):
            return None
        return len(self.points) * math.prod(len(one.choices) for one in self.dimensions)

    def point(self, index: int) -> Point:
        """The point of that number, from 0, the first dimension slowest; of a space with a `size`."""
        found: dict[str, object] = {}
        for one in reversed(self.dimensions):
            index, at = divmod(index, len(one.choices))
            found[one.param] = one.choices[at]
        return {**self.points[index], **dict(reversed(found.items()))}

    @property
    def params(self) -> tuple[str, ...]:
        """Every param that a point may have."""
        given = dict.fromkeys(param for point in self.points for param in point)
        return (*given, *(one.param for one in self.dimensions))

    def to_json(self) -> dict[str, object]:
        dimensions = [
            {"param": one.param, "choices": list(one.choices), "ordered": one.is_ordered}
            if one.choices
            else {
                "param": one.param,
                "low": one.low,
                "high": one.high,
                "log": one.is_log,
                "whole": one.is_whole,
            }
            for one in self.dimensions
        ]
        return {"dimensions": dimensions, "points": [dict(point) for point in self.points]}

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> Space:
        dimensions = tuple(
            Dimension(one["param"], tuple(one["choices"]), bool(one["ordered"]))
            if "choices" in one
            else Dimension(
                one["param"],
                low=one["low"],
                high=one["high"],
                is_log=one["log"],
                is_whole=one["whole"],
            )
            for one in cast("list[dict[str, Any]]", stored["dimensions"])
        )
        return cls(dimensions, tuple(cast("list[Point]", stored["points"])))


Present = Callable[[str, str], object]
"""The value that a key of a params file has now; `values.MISSING` where there is none."""


def of(
    asked: Iterable[str] | Mapping[str, object] | Iterable[Point],
    items: Sequence[str] = (),
    *,
    present: Present,
    repeat: int = 1,
    seed_param: str | None = None,
    seeds: Sequence[str] = (),
) -> tuple[Space, tuple[str, ...]]:
    """The space that was asked for, and the overrides that all of its points have in common, as typed.

    Parameters
    ----------
    asked
        Texts as after `-S`; or a mapping from params to a text as after the `=`, a list of choices, or one
        value; or points, each a mapping; or a table with one row for each point.
    items
        More texts as after `-S`; with points, each is combined with every point.
    repeat
        How often each point is run, with the seeds 0, 1, … of `seed_param`, which is None where it is to be
        found among `seeds`: the params of the project that are called like one.

    Raises
    ------
    UsageError
        It is no space: nothing varies, an interval is empty, a param is named twice, …
    """
    points, named = _asked(asked)
    axes = (*named, *overrides.axes(items))
    if repeat != 1:
        axes = (*axes, _repeated(axes, points, repeat, seed_param, seeds))
    fixed = [one for one in axes if isinstance(one.values, tuple) and len(one.values) == 1]
    found = tuple(_dimension(one, present) for one in axes if one not in fixed)
    space = Space(found, tuple(points) if points is not None else ({},))
    given = [override.key for one in space.points[:1] for override in overrides.parse(one)[0]]
    keys = [one.key for one in axes] + given
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise UsageError(
            f"`{twice}` is given twice. Nothing was run.",
            f"give all of its values at once: `nbexp sweep -S {twice}=1,2`.",
        )
    if (space.size or 0) > _MAX_POINTS:
        raise UsageError(
            f"There are {space.size:,} points, more than {_MAX_POINTS:,}. Nothing was run.",
            "`nbexp sweep --random 100` tries some of them.",
        )
    return space, tuple(one.text for one in fixed)


def points_of(listed: object) -> list[dict[str, object]]:
    """A list of mappings, or a table of pandas, as points in Python's own types.

    Raises
    ------
    UsageError
        A value is none that a param can have.
    """
    points, _ = _asked(listed)
    return [dict(point) for point in points or ()]


def read_points(path: Path, shown: str) -> list[Point]:
    """The points of a file: rows of a CSV or TSV file, or a list of mappings in YAML or JSON.

    A cell is read as a value after `=`; an empty one leaves the param as it is in the params file.

    Raises
    ------
    NotFound
        There is no such file.
    ProjectFileError
        It holds no points.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFound(
            f"There is no file {shown}. Nothing was run.",
            "`nbexp sweep --file points.csv`: a column for each param, a row for each point.",
        ) from None
    kind = path.suffix.lower()
    if kind in {".csv", ".tsv"}:
        return _rows(data, shown, "," if kind == ".csv" else "\t")
    if kind not in {".yaml", ".yml", ".json"}:
        raise ProjectFileError(
            f"points are read from .csv, .tsv, .yaml and .json, not from `{kind or 'no ending'}`.",
            path=shown,
        )
    found = values.parse(data, shown)
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise ProjectFileError(
            "a list of points is expected, each a mapping from params to values.",
            'such as `[{"train.lr": 0.1}, {"train.lr": 0.2}]`.',
            path=shown,
        )
    return [cast("Point", one) for one in found]


def _rows(data: bytes, shown: str, delimiter: str) -> list[Point]:
    import csv
    import io

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ProjectFileError("this is not UTF-8 text.", path=shown) from None
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    if len(rows) < 2:
        raise ProjectFileError(
            "there are no points in it.",
            "its first line names the params, each other line is a point.",
            path=shown,
        )
    names, *lines = rows
    found: list[Point] = []
    for number, row in enumerate(lines, 2):
        if len(row) != len(names):
            raise ProjectFileError(
                f"{len(row)} values for {len(names)} params.", path=shown, line=number
            )
        cells = {name.strip(): cell.strip() for name, cell in zip(names, row, strict=True)}
        point: dict[str, object] = {}
        for name, cell in cells.items():
            if cell:
                axis = _of_cell(name, cell, shown, number)
                assert isinstance(axis.values, tuple)
                point[name] = axis.values[0]
        found.append(point)
    return found


def _of_cell(name: str, cell: str, shown: str, number: int) -> Axis:
    try:
        (axis,) = overrides.axes([f"{name}={cell}"])
    except UsageError as error:
        raise ProjectFileError(error.message, path=shown, line=number) from None
    if isinstance(axis.values, Interval) or len(axis.values) != 1:
        raise ProjectFileError(
            f"`{cell}` of `{name}` is more than one value.",
            "a line of the file is one point; text that holds a comma is quoted twice: \"'a,b'\".",
            path=shown,
            line=number,
        )
    return axis


def _asked(asked: object) -> tuple[list[Point] | None, tuple[Axis, ...]]:
    """The points among what was asked for (None: there are none), and what is to be combined."""
    if hasattr(asked, "to_dict") and hasattr(asked, "columns"):
        asked = asked.to_dict("records")  # a table of pandas
    if isinstance(asked, str):
        raise UsageError(
            f"`{asked}` is one text; a list of them is expected. Nothing was run.",
            f'`project.sweep(["{asked}"])`.',
        )
    if isinstance(asked, Mapping):
        return None, tuple(_named(str(param), value) for param, value in asked.items())
    listed = list(cast("Iterable[object]", asked))
    if all(isinstance(one, str) for one in listed):
        return None, overrides.axes(cast("list[str]", listed))
    if not all(isinstance(one, Mapping) for one in listed):
        odd = next(one for one in listed if not isinstance(one, Mapping))
        raise UsageError(
            f"{odd!r} is no point: a mapping from params to values is expected. Nothing was run.",
            '`project.sweep([{"train.lr": 0.1}, {"train.lr": 0.2}])`.',
        )
    points: list[Point] = [
        {str(param): _plain(value, param) for param, value in cast("Point", one).items()}
        for one in listed
    ]
    for point in points:
        overrides.parse(point)  # the keys are read here, before anything is stored
    return points, ()


def _named(param: str, value: object) -> Axis:
    """A param and what it may be: a text has the grammar, a list is a choice."""
    if isinstance(value, str):
        (axis,) = overrides.axes([f"{param}={value}"])
        return axis
    value = _plain(value, param)
    if value == []:
        raise UsageError(f"There is no value for `{param}`. Nothing was run.")
    ((one,),) = overrides.parse({param: value})
    if not isinstance(value, list):
        return Axis(one.file, one.key, (value,), one.op, one.has_value, one.text)
    return Axis(one.file, one.key, tuple(value), one.op, one.has_value, one.text)


def _plain(value: object, param: object) -> object:
    """A value in Python's own types: of numpy and the like, what they hold."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one, param) for key, one in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(one, param) for one in value]
    method = {0: "item", 1: "tolist"}.get(getattr(value, "ndim", -1))
    if method is None or not hasattr(value, method):
        raise UsageError(
            f"`{param}` is a {type(value).__name__}; a param is a number, text, list or mapping. "
            "Nothing was run."
        )
    return _plain(getattr(value, method)(), param)


def _dimension(axis: Axis, present: Present) -> Dimension:
    param = axis.text.partition("=")[0].strip()
    if isinstance(axis.values, tuple):
        typed = axis.text.partition("=")[2].strip()
        # What is shuffled on purpose has no order to keep.
        is_ordered = typed.startswith("range(") and len(axis.values) > 2
        return Dimension(param, axis.values, is_ordered)
    low, high = axis.values.start, axis.values.stop
    is_log = "log" in axis.values.tags
    odd = [tag for tag in axis.values.tags if tag != "log"]
    if odd:
        raise UsageError(
            f"`{axis.text}` has the tag `{odd[0]}`, which says nothing about an interval. Nothing was run.",
            f"`nbexp sweep -S '{param}=tag(log,interval({spell(low)},{spell(high)}))'`: by orders of magnitude.",
        )
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(
            f"The interval of `{axis.text}` is empty or has no end. Nothing was run.",
            "its first number is the smaller one: `interval(0.001,0.1)`.",
        )
    if is_log and low <= 0:
        raise UsageError(
            f"`{axis.text}` begins at {spell(low)}; by orders of magnitude there is no way up from there. "
            "Nothing was run.",
            f"begin above 0: `nbexp sweep -S '{param}=tag(log,interval(1e-5,{spell(high)}))'`.",
        )
    now = present(axis.file, axis.key)
    if isinstance(now, bool) or (now is not values.MISSING and not isinstance(now, _NUMBERS)):
        raise UsageError(
            f"`{axis.text}` is an interval, and `{axis.key}` in {axis.file} is {spell(now)}, which is no number. "
            "Nothing was run.",
            f"name the values: `nbexp sweep -S {param}=a,b`.",
        )
    # Hydra's grammar makes floats of both ends; the cast `int(interval(…))` leaves whole numbers.
    is_cast = isinstance(low, int) and isinstance(high, int)
    is_whole = is_cast or (isinstance(now, int) and low.is_integer() and high.is_integer())
    return Dimension(param, low=float(low), high=float(high), is_log=is_log, is_whole=is_whole)


def _repeated(
    axes: Sequence[Axis],
    points: Sequence[Point] | None,
    repeat: int,
    seed_param: str | None,
    seeds: Sequence[str],
) -> Axis:
    """The seeds of `--repeat`, as one more choice."""
    if repeat < 1:
        raise UsageError(f"`--repeat {repeat}` runs nothing. Nothing was run.", "`--repeat 3`")
    if seed_param is None:
        if len(seeds) != 1:
            which = (
                f"{len(seeds)} params are called like one: {', '.join(seeds)}"
                if seeds
                else "no param is called seed or random_state"
            )
            raise UsageError(
                f"`--repeat {repeat}` needs to know the seed, and {which}. Nothing was run.",
                f"`nbexp sweep --repeat {repeat} --seed-param {seeds[0] if seeds else 'train.seed'}`.",
            )
        seed_param = seeds[0]
    (axis,) = overrides.axes([f"{seed_param}={','.join(map(str, range(repeat)))}"])
    taken = {one.key for one in axes} | {key for point in points or () for key in point}
    if axis.key in taken:
        raise UsageError(
            f"`{seed_param}` has values already, and `--repeat {repeat}` gives it others. Nothing was run.",
            "leave one of the two out.",
        )
    return axis
