"""Parallel coordinates: an axis for each param, the last one the metric, and a line across for each experiment."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nbexp.plots import Record, Spec, look

NEEDS = "rows"
COLUMNS = (1, 12)
TAKES_PARAMS = True
"""Asked for a metric alone, it gets every param that is not the same everywhere before it."""

_MAX_AXES = 12
_MAX_LINES = 300
# Where the largest is so many times the smallest, equal steps would hide all but the largest.
_LOG_FROM = 100
# Of more values than this, not each has a label.
_MAX_LABELS = 12
_NOTHING = -0.12


class _Axis(NamedTuple):
    """One axis: what it is called, where each value is, and what stands beside it."""

    title: str
    name: str
    places: Mapping[str, float]
    labels: Sequence[tuple[float, str]]


def plot(rows: Sequence[Record], options: Mapping[str, object]) -> Spec:
    """Lines coloured by the metric, each axis from its lowest to its highest value, words at even distances.

    Notes
    -----
    Positive numbers that span a factor of 100 are on a logarithmic axis, which then says so. What an experiment
    lacks is at the foot of its axis, below everything. Beyond 300 lines they are chosen evenly from worst to best.
    """
    *params, metric = look.asked(options)
    notes: list[str] = []
    known = look.numbers(rows, metric, notes)
    if len(params) > _MAX_AXES - 1:
        notes.append(f"{len(params) - _MAX_AXES + 1} more params have no axis: name those you want")
        params = params[: _MAX_AXES - 1]
    known.sort(key=lambda one: look.number(one, metric))
    total = len(known)
    known = look.thinned(known, look.limit_of(options, _MAX_LINES), [])
    look.note_thinned(len(known), total, notes)
    names = look.short([*params, metric])
    axes = [_axis(known, title, names[title]) for title in (*params, metric)]
    value = look.field(options, "value")
    rows_shown = [
        {
            "experiment": one.name,
            "axis": axis.name,
            "at": axis.places[_key(one, axis.title)],
            "here": look.brief(one.values[axis.title]) if look.has(one, axis.title) else "–",
            value: one.values[metric],
        }
        for one in known
        for axis in axes
    ]
    order = [axis.name for axis in axes]
    labels: list[dict[str, Any]] = [
        {"axis": axis.name, "at": at, "label": label} for axis in axes for at, label in axis.labels
    ]
    x: Spec = {
        "field": "axis",
        "type": "nominal",
        "sort": order,
        "title": None,
        "axis": {
            "orient": "top",
            "domain": False,
            "ticks": False,
            "labelAngle": 0 if sum(map(len, order)) < 8 * len(order) + 12 else -25,
            "labelLimit": 180,
            "labelPadding": 8,
            "labelFontSize": 12,
            "grid": True,
        },
        "scale": {"type": "point", "padding": 0.35},
    }
    lowest = _NOTHING if any(row["at"] == _NOTHING for row in rows_shown) else 0
    y: Spec = {
        "field": "at",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [lowest - 0.07, 1.07], "nice": False, "zero": False},
    }
    heading = f"{metric} and {', '.join(params)}" if params else metric
    columns = {
        "experiment": "experiment",
        "axis": "axis",
        "at": "position",
        "here": "value",
        value: metric,
    }
    spec = look.chart(
        options, columns, heading=heading, notes=notes, width=max(320, 110 * len(axes)), height=300
    )
    return spec | {
        "view": {"stroke": None},
        "layer": [
            {
                "data": {"values": rows_shown},
                "params": look.pick(options),
                "mark": {"type": "line", "strokeWidth": 1.5, "interpolate": "linear"},
                "encoding": {
                    "x": x,
                    "y": y,
                    "detail": [look.name_column()],
                    "color": look.ramp(value, str(options.get("y_label") or metric)),
                    "opacity": look.dimmed(options, 0.8 if len(known) < 60 else 0.5, 0.06),
                    "tooltip": [
                        look.name_column(),
                        {"field": "axis", "type": "nominal", "title": "axis"},
                        {"field": "here", "type": "nominal", "title": "value"},
                        {"field": value, "type": "quantitative", "title": metric},
                    ],
                },
            },
            # Beside the lines, which meet where the labels are: at the foot of an axis below it, else above.
            *(
                {
                    "data": {"values": [row for row in labels if is_low == (row["at"] <= 0)]},
                    "mark": {
                        "type": "text",
                        "align": "left",
                        "dx": 4,
                        "dy": 9 if is_low else -8,
                        "fontSize": 10.5,
                        "fontWeight": "bold",
                        "color": look.TEXT,
                        "limit": 100,
                    },
                    "encoding": {"x": x, "y": y, "text": {"field": "label", "type": "nominal"}},
                }
                for is_low in (True, False)
            ),
        ],
    }


def table(rows: Sequence[Record], options: Mapping[str, object]) -> list[list[str]]:
    """The experiments with their params and the metric, as they are."""
    titles = look.asked(options)
    known = [one for one in rows if look.is_number(one.values.get(titles[-1]))]
    return [
        ["experiment", *titles],
        *(
            [
                one.name,
                *(
                    look.brief(one.values[title]) if look.has(one, title) else "–"
                    for title in titles
                ),
            ]
            for one in known
        ),
    ]


def _key(record: Record, title: str) -> str:
    return look.word(record.values[title]) if look.has(record, title) else ""


def _axis(rows: Sequence[Record], title: str, name: str) -> _Axis:
    found = [one.values[title] for one in rows if look.has(one, title)]
    places: dict[str, float] = {}
    labels: list[tuple[float, str]] = []
    if look.is_quantity(found):
        values = [look.number(one, title) for one in rows if look.has(one, title)]
        low, high = min(values), max(values)
        is_log = low > 0 and high / low >= _LOG_FROM
        for value in values:
            places[look.word(value)] = _between(value, low, high, is_log=is_log)
        distinct = sorted(set(values))
        shown = distinct if len(distinct) <= 6 and _are_apart(distinct, places) else [low, high]
        labels = [(places[look.word(value)], f"{value:.4g}") for value in dict.fromkeys(shown)]
        if is_log:
            name = f"{name} (log)"
    else:
        order = list(dict.fromkeys(map(look.word, sorted(look.once(found), key=look.rank))))
        for at, text in enumerate(order):
            places[text] = at / (len(order) - 1) if len(order) > 1 else 0.5
        every = -(-len(order) // _MAX_LABELS) or 1
        labels = [(places[text], text) for text in order[::every]]
    if len(found) < len(rows):
        places[""] = _NOTHING
        labels.append((_NOTHING, "nothing"))
    return _Axis(title, name, places, labels)


def _between(value: float, low: float, high: float, *, is_log: bool) -> float:
    import math

    if low == high:
        return 0.5
    if is_log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _are_apart(values: Sequence[float], places: Mapping[str, float]) -> bool:
    """Whether labels of these do not stand on each other."""
    at = [places[look.word(value)] for value in values]
    return all(after - before >= 0.06 for before, after in itertools.pairwise(at))
