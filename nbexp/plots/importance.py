"""How much each param says about a metric: bars, the longest on top, faint where it could be chance.

The measure is plain, so that it can be checked by hand, and it takes words as well as numbers. The experiments are ranked
by the metric, and grouped by the param: by its values, or, of a number with many, by as many ranges with equally many
experiments. The share of the variance of the ranks that lies between the groups is what the param explains (η², from
0 to 1). Grouping at random would explain (k - 1) / (n - 1) of it with k groups of n experiments, so that much is taken
off: (η² - that) / (1 - that), and nothing below 0. Ranks, because one diverged run would outweigh all others.

It says what a param does by itself, whatever the others are. Params that only matter together are not found, and of two
that were always changed together both get what one of them did, which is said.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nbexp.plots import Record, Spec, look
from nbexp.plots.scatter import rank_correlation, ranks

NEEDS = "rows"
COLUMNS = (1, 64)
TAKES_PARAMS = True

# With fewer nothing can be told from chance.
MIN_ROWS = 5
# Above this a group's luck shows less than one time in twenty.
_BY_CHANCE = 0.05
# Shuffles cost n each; from here on the distribution they would give is known well enough.
_MAX_SHUFFLED = 60
_SHUFFLES = 999
_MAX_BARS = 30
# A range of a number holds at least so many.
_MIN_IN_RANGE = 4
_MAX_RANGES = 8


class Importance(NamedTuple):
    """What a param says about the metric.

    `share` is what it explains beyond chance, `chance` how often shuffling explains as much; both are None where it has
    a value of its own in each experiment, or one in all. `trend` is the rank correlation of a number. `like` names
    params that were always changed together with it.
    """

    param: str
    share: float | None
    chance: float | None
    groups: int
    trend: float | None
    like: tuple[str, ...] = ()


def plot(rows: Sequence[Record], options: Mapping[str, object]) -> Spec:
    """Bars by importance; those that shuffling explains as well more than once in twenty are hollow."""
    metric = look.asked(options)[-1]
    notes: list[str] = []
    known = look.numbers(rows, metric, notes)
    found = importances(known, look.asked(options)[:-1], metric)
    told = [one for one in found if one.share is not None]
    notes.append(
        f"over {len(known)} experiments; each param by itself, beyond what chance explains"
    )
    if len(known) < MIN_ROWS:
        told = []
        notes[-1] = f"{len(known)} experiments are too few to tell: it takes {MIN_ROWS}"
    elif len(known) < 20:
        notes.append("few experiments: take it as a hint of what to try next")
    own = [one.param for one in found if one.share is None and one.groups > 1]
    if own:
        notes.append(f"no value twice, so nothing to say: {_listed(own)}")
    notes += _together(told)
    if len(told) > _MAX_BARS:
        notes.append(f"the {_MAX_BARS} most important of {len(told)} params are drawn")
        told = told[:_MAX_BARS]
    values = [
        {
            "param": one.param,
            "importance": one.share,
            "told": "could be chance" if _is_chance(one) else "more than chance",
            "p": one.chance,
            "trend": one.trend,
            "groups": one.groups,
        }
        for one in told
    ]
    columns = {
        "param": "param",
        "importance": "importance",
        "told": "verdict",
        "p": "p",
        "trend": "rank correlation",
        "groups": "groups",
    }
    spec = look.chart(
        options,
        columns,
        heading=f"importance of params for {metric}",
        notes=notes,
        width=420,
        height={"step": 26},
    )
    told_as = ["more than chance", "could be chance"]
    return spec | {
        "data": {"values": values},
        "mark": {"type": "bar", "strokeWidth": 1.5, "stroke": look.COLOURS[0]},
        "encoding": {
            "y": {
                "field": "param",
                "type": "nominal",
                "sort": [one.param for one in told],
                "title": None,
                "axis": {"labelLimit": 300, "labelFontSize": 12},
            },
            "x": {
                "field": "importance",
                "type": "quantitative",
                "title": f"share of the ranks of {metric} explained",
                "scale": {"domain": [0, 1]},
                "axis": {"format": "%"},
            },
            "fill": {
                "field": "told",
                "type": "nominal",
                "scale": {"domain": told_as, "range": [look.COLOURS[0], look.RULE]},
                "legend": {
                    "title": None,
                    "symbolType": "square",
                    "orient": "bottom",
                    "symbolStrokeColor": look.COLOURS[0],
                    "symbolStrokeWidth": 1.5,
                },
            },
            "tooltip": [
                {"field": "param", "type": "nominal", "title": "param"},
                {
                    "field": "importance",
                    "type": "quantitative",
                    "title": "importance",
                    "format": ".1%",
                },
                {"field": "told", "type": "nominal", "title": "verdict"},
                {"field": "p", "type": "quantitative", "title": "p"},
                {"field": "trend", "type": "quantitative", "title": "rank correlation"},
            ],
        },
    }


def table(rows: Sequence[Record], options: Mapping[str, object]) -> list[list[str]]:
    """The params by importance, with how often chance explains as much, and in which direction a number goes."""
    *params, metric = look.asked(options)
    known = look.numbers(rows, metric, [])
    lines = [["param", "importance", "", "p", "rank correlation"]]
    if len(known) < MIN_ROWS:
        return lines
    for one in importances(known, params, metric):
        if one.share is not None and one.chance is not None:
            trend = "-" if one.trend is None else f"{one.trend:+.2f}"
            verdict = "could be chance" if _is_chance(one) else "more than chance"
            chance = "<0.001" if one.chance < 0.001 else f"{one.chance:.2g}"
            lines.append([one.param, f"{one.share:.0%}", verdict, chance, trend])
    return lines


def importances(rows: Sequence[Record], params: Sequence[str], metric: str) -> list[Importance]:
    """Each param's importance for the metric, which all rows have as a number; the most important first.

    Notes
    -----
    How often chance explains as much (p) is counted over 999 shuffles of up to 60 experiments, always the same ones;
    of more it is that of Kruskal and Wallis (1952): (n - 1) η² has a χ² distribution with k - 1 degrees of freedom.
    """
    place = ranks([look.number(one, metric) for one in rows])
    labels = {param: _groups(rows, param) for param in params}
    found = [_importance(rows, param, labels, place) for param in params]
    return sorted(found, key=lambda one: -1 if one.share is None else one.share, reverse=True)


def _importance(
    rows: Sequence[Record],
    param: str,
    labels: Mapping[str, list[int]],
    place: Sequence[float],
) -> Importance:
    own = labels[param]
    n, k = len(rows), len(set(own))
    if not 1 < k < n:
        return Importance(param, None, None, k, None)
    expected = (k - 1) / (n - 1)
    explained = _explained(own, place)
    share = max(0.0, (explained - expected) / (1 - expected))
    trend = None
    if look.is_quantity(one.values.get(param) for one in rows):
        values = [look.number(one, param) for one in rows]
        trend = rank_correlation([*zip(values, place, strict=True)])
    like = tuple(name for name, other in labels.items() if name != param and other == own)
    return Importance(param, share, _chance(own, place, explained, k), k, trend, like)


def _groups(rows: Sequence[Record], param: str) -> list[int]:
    """The number of each row's group, by first appearance; what a row lacks is a value as well."""
    values = [one.values.get(param) if look.has(one, param) else None for one in rows]
    texts = [
        "" if value is None else f"{type(value).__name__} {look.word(value)}" for value in values
    ]
    if look.is_quantity(value for value in values if value is not None):
        texts = ["" if value is None else look.word(float(value)) for value in values]  # type: ignore[arg-type]  # a number
        count = max(2, min(_MAX_RANGES, len(rows) // _MIN_IN_RANGE))
        if len(set(texts)) > count:
            texts = _ranges(values, count)
    numbers: dict[str, int] = {}
    return [numbers.setdefault(text, len(numbers)) for text in texts]


def _ranges(values: Sequence[object], count: int) -> list[str]:
    """The range that each number is in, of `count` with about equally many; equal numbers are in one."""
    known = [float(value) for value in values if value is not None]  # type: ignore[arg-type]  # numbers, as the caller asked
    place = dict(zip(known, ranks(known), strict=True))
    return [
        ""
        if value is None
        else str(min(count - 1, int((place[float(value)] - 0.5) / len(known) * count)))  # type: ignore[arg-type]  # a number
        for value in values
    ]


def _explained(labels: Sequence[int], place: Sequence[float]) -> float:
    """η²: the share of the variance of the ranks that lies between the groups."""
    n = len(place)
    middle = (n + 1) / 2
    total = sum((rank - middle) ** 2 for rank in place)
    sums = [0.0] * (max(labels) + 1)
    counts = [0] * len(sums)
    for label, rank in zip(labels, place, strict=True):
        sums[label] += rank - middle
        counts[label] += 1
    between = sum(one * one / count for one, count in zip(sums, counts, strict=True))
    return between / total if total else 0.0


def _chance(labels: Sequence[int], place: Sequence[float], explained: float, k: int) -> float:
    n = len(place)
    if n > _MAX_SHUFFLED:
        return _beyond((n - 1) * explained, k - 1)
    shuffled, dice = [*place], random.Random(0)
    as_good = 0
    for _ in range(_SHUFFLES):
        dice.shuffle(shuffled)
        as_good += _explained(labels, shuffled) >= explained - 1e-12
    return (as_good + 1) / (_SHUFFLES + 1)


def _beyond(value: float, freedom: int) -> float:
    """How likely χ² with that many degrees of freedom is at least `value`.

    Examples
    --------
    >>> round(_beyond(3.841, 1), 3), round(_beyond(18.307, 10), 3), round(_beyond(4.605, 2), 3)
    (0.05, 0.05, 0.1)
    """
    a, x = freedom / 2, value / 2
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        # The series of the lower incomplete gamma function (Abramowitz and Stegun 6.5.29).
        term = total = 1 / a
        for step in range(1, 1000):
            term *= x / (a + step)
            total += term
            if term < total * 1e-12:
                break
        return max(0.0, 1 - front * total)
    # The continued fraction of the upper one (6.5.31), by Lentz's method.
    b = x + 1 - a
    c, d = 1e300, 1 / b
    fraction = d
    for step in range(1, 1000):
        factor = -step * (step - a)
        b += 2
        d = 1 / (factor * d + b)
        c = b + factor / c
        change = d * c
        fraction *= change
        if abs(change - 1) < 1e-12:
            break
    return min(1.0, front * fraction)


def _is_chance(one: Importance) -> bool:
    return one.chance is None or one.chance > _BY_CHANCE


def _together(found: Sequence[Importance]) -> list[str]:
    told: dict[frozenset[str], None] = {}
    for one in found:
        if one.like:
            told.setdefault(frozenset({one.param, *one.like}))
    return [
        f"always changed together, so they cannot be told apart: {_listed(sorted(names))}"
        for names in told
    ]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
