"""Two params against a metric, as a map: cells of a grid that was run, else heights between the experiments."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from nbexp.plots import Record, Spec, look

NEEDS = "rows"
COLUMNS = (3, 3)

# Up to so many values on both sides the experiments are a grid themselves.
_MAX_GRID = 12
# Of words, so many on a side; the most frequent ones.
_MAX_WORDS = 40
# Where the largest is so many times the smallest, equal ranges would hold next to all in one.
_LOG_FROM = 100
_CELLS = 32
_LEVELS = 8
# How far from the nearest experiment, in widths of the map, something is still said.
_REACH = 0.2
_NEIGHBOURS = 8
_MIN_FOR_MAP = 4
# Beyond so many, the map is made of as many, evenly chosen: a cell asks each.
_MAX_ASKED = 400


def plot(rows: Sequence[Record], options: Mapping[str, object]) -> Spec:
    """A map of the metric in steps of colour, and the experiments on it as points.

    Notes
    -----
    Where both params have few values, a cell is the mean of the experiments that have both. Else a place has the mean of
    the eight experiments nearest to it, weighted by the third power of their nearness, which keeps each experiment's
    own value where it is; what is far from all of them stays empty. Nothing is fitted, so nothing is made up beyond
    what was run.
    """
    across, up, metric = look.asked(options)
    notes: list[str] = []
    known = look.numbers(rows, metric, notes)
    there = [one for one in known if look.has(one, across) and look.has(one, up)]
    if len(there) < len(known):
        notes.append(f"{len(known) - len(there)} of {len(rows)} lack {across} or {up}")
    is_log = {}
    for letter, title in (("x", across), ("y", up)):
        is_quantity = look.is_quantity(one.values[title] for one in there)
        is_log[letter] = bool(options.get(f"log_{letter}")) and is_quantity
        if is_log[letter]:
            there = look.above_zero(there, title, notes)
    counts = [len({look.word(one.values[title]) for one in there}) for title in (across, up)]
    all_numbers = all(
        look.is_quantity(one.values[title] for one in there) for title in (across, up)
    )
    if max(counts) <= _MAX_GRID or not all_numbers:
        return _grid(there, options, notes)
    return _map(there, options, notes, is_log)


def table(rows: Sequence[Record], options: Mapping[str, object]) -> list[list[str]]:
    """The experiments with both params and the metric."""
    titles = look.asked(options)
    known = [
        one
        for one in rows
        if look.is_number(one.values.get(titles[-1])) and all(look.has(one, t) for t in titles)
    ]
    return [
        ["experiment", *titles],
        *([one.name, *(look.brief(one.values[title]) for title in titles)] for one in known),
    ]


def _grid(rows: Sequence[Record], options: Mapping[str, object], notes: list[str]) -> Spec:
    across, up, metric = look.asked(options)
    sides = [_labels(rows, title, notes) for title in (across, up)]
    cells: dict[tuple[str, str], list[float]] = {}
    for at, one in enumerate(rows):
        x, y = (side[at] for side, _ in sides)
        if x is not None and y is not None:
            cells.setdefault((x, y), []).append(look.number(one, metric))
    orders = [order for _, order in sides]
    values = [
        {"x": x, "y": y, "value": statistics.fmean(members), "n": len(members)}
        for (x, y), members in cells.items()
    ]
    many = max((len(members) for members in cells.values()), default=0)
    if many > 1:
        notes.append(f"a cell is the mean of up to {many} experiments")
    columns = {"x": across, "y": up, "value": metric, "n": "n"}
    is_wide = len(orders[0]) > _MAX_GRID or len(orders[1]) > _MAX_GRID
    spec = look.chart(
        options,
        columns,
        heading=f"{metric} over {across} and {up}",
        notes=notes,
        width=560 if is_wide else {"step": 56},
        height=420 if is_wide else {"step": 34},
    )
    legend = look.ramp("value", metric)
    return spec | {
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": "x",
                "type": "nominal",
                "sort": orders[0],
                "title": str(options.get("x_label") or across),
                "axis": {"labelAngle": 0 if sum(map(len, orders[0])) < 7 * len(orders[0]) else -35},
            },
            "y": {
                "field": "y",
                "type": "nominal",
                "sort": orders[1][::-1],
                "title": str(options.get("y_label") or up),
            },
        },
        "layer": [
            {
                "mark": {"type": "rect"},
                "encoding": {
                    "color": legend,
                    "tooltip": [
                        {"field": "x", "type": "nominal", "title": across},
                        {"field": "y", "type": "nominal", "title": up},
                        {"field": "value", "type": "quantitative", "title": metric},
                        {"field": "n", "type": "quantitative", "title": "experiments"},
                    ],
                },
            },
            *(
                []
                if is_wide
                else [
                    {
                        "mark": {"type": "text", "fontSize": 11, "color": "white"},
                        "encoding": {
                            "text": {"field": "value", "type": "quantitative", "format": ".4~g"}
                        },
                    }
                ]
            ),
        ],
    }


def _labels(
    rows: Sequence[Record], title: str, notes: list[str]
) -> tuple[list[str | None], list[str]]:
    """The cell of each row on one side, None of what is left out, and the cells in order."""
    found = [one.values[title] for one in rows]
    distinct = sorted(look.once(found), key=look.rank)
    if len(distinct) > _MAX_GRID and look.is_quantity(found):
        return _ranges([look.number(one, title) for one in rows], title, notes)
    words = [look.word(value) for value in found]
    order = list(dict.fromkeys(map(look.word, distinct)))
    if len(order) <= _MAX_WORDS:
        return [*words], order
    kept = {word for word, _ in Counter(words).most_common(_MAX_WORDS)}
    notes.append(f"the {_MAX_WORDS} most frequent of {len(order)} values of {title} are drawn")
    return [word if word in kept else None for word in words], [w for w in order if w in kept]


def _ranges(
    values: Sequence[float], title: str, notes: list[str]
) -> tuple[list[str | None], list[str]]:
    """The range that each number is in, of as many equally wide ones as a grid has room for."""
    low, high = min(values), max(values)
    side = _Side(values, is_log=low > 0 and high / low >= _LOG_FROM)
    edges = [side.back(at / _MAX_GRID) for at in range(_MAX_GRID + 1)]
    order = [f"{a:.3g} – {b:.3g}" for a, b in pairwise(edges)]
    notes.append(f"{title} is in {_MAX_GRID} ranges{' (log)' if side.is_log else ''}")
    places = [min(_MAX_GRID - 1, int(side.to(value) * _MAX_GRID)) for value in values]
    return [order[place] for place in places], order


def _map(
    rows: Sequence[Record],
    options: Mapping[str, object],
    notes: list[str],
    is_log: Mapping[str, bool],
) -> Spec:
    across, up, metric = look.asked(options)
    points = [
        (look.number(one, across), look.number(one, up), look.number(one, metric)) for one in rows
    ]
    sides = [
        _Side([point[at] for point in points], is_log=is_log[letter])
        for at, letter in enumerate("xy")
    ]
    cells: list[dict[str, object]] = []
    if len(points) >= _MIN_FOR_MAP:
        every = max(1, math.ceil(len(points) / _MAX_ASKED))
        placed = [(sides[0].to(x), sides[1].to(y), value) for x, y, value in points[::every]]
        cells = [*_cells(placed, sides)]
        notes.append("colours between the points are estimates from the experiments near them")
    total = len(rows)
    shown = look.thinned(
        list(rows),
        look.limit_of(options, look.MAX_POINTS),
        [{at: point[2] for at, point in enumerate(points)}],
    )
    look.note_thinned(len(shown), total, notes)
    values = [
        {
            "experiment": one.name,
            "x": one.values[across],
            "y": one.values[up],
            "value": one.values[metric],
        }
        for one in shown
    ]
    columns = {"experiment": "experiment", "x": across, "y": up, "value": metric}
    spec = look.chart(
        options,
        columns,
        heading=f"{metric} over {across} and {up}",
        notes=notes,
        width=440,
        height=320,
    )
    low, high = min(point[2] for point in points), max(point[2] for point in points)
    colour: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": metric,
        "scale": {"type": "quantize", "domain": [low, high], "range": _steps(_LEVELS)},
        "legend": {"titleLimit": 180, "format": ".3~g"},
    }
    x = _place(options, "x", across, is_log["x"], sides[0])
    y = _place(options, "y", up, is_log["y"], sides[1])
    return spec | {
        "data": {"values": values},
        "layer": [
            {
                "data": {"values": cells},
                "mark": {"type": "rect", "clip": True, "strokeWidth": 0, "opacity": 0.75},
                "encoding": {
                    "x": x,
                    "x2": {"field": "x2"},
                    "y": y,
                    "y2": {"field": "y2"},
                    "color": colour,
                },
            },
            {
                "params": look.pick(options),
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 48,
                    "stroke": "white",
                    "strokeWidth": 1,
                },
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": colour,
                    "opacity": look.dimmed(options),
                    "tooltip": [
                        look.name_column(),
                        {"field": "x", "type": "quantitative", "title": across},
                        {"field": "y", "type": "quantitative", "title": up},
                        {"field": "value", "type": "quantitative", "title": metric},
                    ],
                },
            },
        ],
    }


class _Side:
    """One side of the map: a value's place on it from 0 to 1, and back."""

    def __init__(self, values: Sequence[float], *, is_log: bool) -> None:
        self.is_log = is_log
        self.low, self.high = (self._own(one) for one in (min(values), max(values)))
        if self.low == self.high:
            self.low, self.high = self.low - 0.5, self.high + 0.5

    def to(self, value: float) -> float:
        return (self._own(value) - self.low) / (self.high - self.low)

    def back(self, at: float) -> float:
        value = self.low + at * (self.high - self.low)
        return math.exp(value) if self.is_log else value

    def _own(self, value: float) -> float:
        return math.log(value) if self.is_log else value


def _cells(
    placed: Sequence[tuple[float, float, float]], sides: Sequence[_Side]
) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for column in range(_CELLS):
        for line in range(_CELLS):
            at = ((column + 0.5) / _CELLS, (line + 0.5) / _CELLS)
            value = _height(placed, *at)
            if value is None:
                continue
            found.append(
                {
                    "x": sides[0].back(column / _CELLS),
                    "x2": sides[0].back((column + 1) / _CELLS),
                    "y": sides[1].back(line / _CELLS),
                    "y2": sides[1].back((line + 1) / _CELLS),
                    "value": value,
                }
            )
    return found


def _height(placed: Sequence[tuple[float, float, float]], x: float, y: float) -> float | None:
    near = sorted((math.hypot(x - px, y - py), value) for px, py, value in placed)[:_NEIGHBOURS]
    if near[0][0] > _REACH:
        return None
    weights = [1 / max(distance, 1e-6) ** 3 for distance, _ in near]
    return sum(w * value for w, (_, value) in zip(weights, near, strict=True)) / sum(weights)


def _place(
    options: Mapping[str, object], letter: str, title: str, is_log: bool, side: _Side
) -> Spec:
    scale: Spec = {
        "domain": [side.back(-0.02), side.back(1.02)],
        "nice": False,
        "zero": False,
    }
    if is_log:
        scale = {"type": "log", "domain": scale["domain"], "nice": False}
    return {
        "field": letter,
        "type": "quantitative",
        "title": str(options.get(f"{letter}_label") or title),
        "scale": scale,
        "axis": {
            **(look.log_ticks([side.back(0), side.back(1)]) if is_log else {"format": "~g"}),
            "grid": False,
        },
    }


def _steps(count: int) -> list[str]:
    """The ramp in so many steps."""
    colours = [[int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in look.RAMP]
    found = []
    for step in range(count):
        at = step / (count - 1) * (len(colours) - 1)
        low = min(int(at), len(colours) - 2)
        part = at - low
        mixed = [a + (b - a) * part for a, b in zip(colours[low], colours[low + 1], strict=True)]
        found.append("#" + "".join(f"{round(one):02X}" for one in mixed))
    return found
