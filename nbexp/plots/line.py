"""A metric over its steps, one line for each experiment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from nbexp.plots import Series, Spec, look
from nbexp.plots.look import COLOURS, DASHES, RULE, SHAPES, TEXT

__all__ = ["COLOURS", "DASHES", "MAX_STEPS", "RULE", "SHAPES", "TEXT", "plot", "table", "thinned"]

# More steps than there are pixels for are not seen, and would be saved with every notebook.
MAX_STEPS = 400
# Of all lines together; each has a few at least.
_MAX_ROWS, _FEW_STEPS = 6000, 50
# With more steps than this, points run into each other and the line alone is drawn.
_MAX_MARKED = 60


def plot(series: Sequence[Series], options: Mapping[str, object]) -> Spec:
    """Lines with points where there are few; the legend names the experiments, and a click in it shows one alone.

    Parameters
    ----------
    options
        `title`; `x_label` (default: the series' own axis), `y_label`; `width` and `height` in pixels; `groups`
        (of each name) colours lines by their group; `log_x`, `log_y`.

    Notes
    -----
    Steps whose value is no number (NaN, infinity) are gaps. A series of more than `MAX_STEPS` steps is
    thinned to as many, keeping first, last, and the lowest and highest of each stretch.
    """
    notes = list(_notes(options))
    names = [one.name for one in series]
    limit = look.limit_of(options, max(_FEW_STEPS, min(MAX_STEPS, _MAX_ROWS // (len(series) or 1))))
    values = [row for one in series for row in _rows(one, limit or len(one.steps))]
    values = _on_axes(values, options, notes)
    label = str(options.get("y_label") or "value")
    axis = str(options.get("x_label") or (series[0].x if series else "step"))
    groups = look.groups(names, options, notes)
    by, shown = ("experiment", names)
    if groups:
        by, shown = "group", look.group_names(groups, options)
        values = [{**row, "group": groups[str(row["experiment"])]} for row in values]
    many = max((len(one.steps) for one in series), default=0) > _MAX_MARKED
    legend = look.legend(
        shown,
        str(options.get("group_title") or "group") if groups else None,
        symbolType="stroke",
        symbolSize=700,
        symbolStrokeWidth=2,
    )
    name = look.name_column()
    detail: Spec = {"detail": [name]} if groups else {}
    lines: Spec = {
        "params": look.pick(options, legend=not groups),
        "mark": {"type": "line", "strokeWidth": 1 if many else 2, "clip": True},
        "encoding": {
            "color": look.by_name(by, shown, COLOURS, legend),
            "strokeDash": look.by_name(by, shown, DASHES, legend),
            "opacity": look.dimmed(options),
            "tooltip": [name],
            **detail,
        },
    }
    points: Spec = {
        "mark": {"type": "point", "filled": True, "size": 36},
        "encoding": {
            "color": look.by_name(by, shown, COLOURS, None),
            "shape": look.by_name(by, shown, SHAPES, None),
            "opacity": look.dimmed(options),
            "tooltip": [
                name,
                {"field": "step", "type": "quantitative", "title": axis},
                {"field": "value", "type": "quantitative", "title": label},
            ],
        },
    }
    columns = {"experiment": "experiment", "step": axis, "value": label}
    if groups:
        columns["group"] = str(options.get("group_title") or "group")
    spec = look.chart(options, columns, heading=f"{label} by {axis}", notes=notes)
    spec |= {
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": "step",
                "type": "quantitative",
                "title": axis,
                "scale": {"type": "log", "nice": False, "padding": 8}
                if options.get("log_x")
                else {"zero": False, "nice": False, "padding": 8},
                "axis": (look.log_ticks if options.get("log_x") else look.few_steps)(
                    [row["step"] for row in values]
                ),
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": label,
                "scale": {"type": "log", "nice": False, "padding": 8}
                if options.get("log_y")
                else {"zero": False, "padding": 8},
                "axis": look.log_ticks([row["value"] for row in values])
                if options.get("log_y")
                else look.one_tick(row["value"] for row in values),
            },
        },
        "layer": [lines] if many else [lines, points],
        # One legend, of the lines: with shared scales it would draw points filled over the dashes.
        "resolve": {"scale": dict.fromkeys(("color", "strokeDash", "shape"), "independent")},
    }
    return spec


def table(series: Sequence[Series], _: Mapping[str, object]) -> list[list[str]]:
    """Each line in numbers: how many steps it has, where it starts and ends, its lowest and highest."""
    rows = [["experiment", "steps", "first", "last", "min", "max"]]
    for one in series:
        known = one.values or (float("nan"),)
        finite = [value for value in known if math.isfinite(value)] or [float("nan")]
        rows.append(
            [
                one.name,
                str(len(one.values)),
                *(f"{float(v):.5g}" for v in (known[0], known[-1], min(finite), max(finite))),
            ]
        )
    return rows


def _notes(options: Mapping[str, object]) -> Iterator[str]:
    found = options.get("notes")
    yield from (str(one) for one in found) if isinstance(found, (list, tuple)) else ()


def _on_axes(
    values: list[dict[str, object]], options: Mapping[str, object], notes: list[str]
) -> list[dict[str, object]]:
    """The rows that logarithmic axes have a place for; a value that has none is a gap."""
    lost = 0
    for letter, name in (("x", "step"), ("y", "value")):
        if not options.get(f"log_{letter}"):
            continue
        kept = []
        for row in values:
            value = row[name]
            if isinstance(value, (int, float)) and value <= 0:
                lost += 1
                if name == "step":
                    continue
                row = {**row, name: None}
            kept.append(row)
        values = kept
    if lost:
        notes.append(f"{lost} at or below 0 have no place on a logarithmic axis")
    return values


def _rows(one: Series, limit: int = MAX_STEPS) -> Iterator[dict[str, object]]:
    points = list(zip(one.steps, one.values, strict=True))
    for step, value in thinned(points, limit):
        if math.isfinite(step):
            found = value if math.isfinite(value) else None  # null is a gap; NaN is not JSON
            yield {"experiment": one.name, "step": step, "value": found}


def thinned(points: list[tuple[float, float]], limit: int = MAX_STEPS) -> list[tuple[float, float]]:
    """At most about `limit` of the points: first, last, and the extremes of each stretch between them."""
    if len(points) <= limit:
        return points
    stretch = math.ceil(2 * len(points) / limit)
    kept = {0, len(points) - 1}
    for start in range(0, len(points), stretch):
        part = range(start, min(start + stretch, len(points)))
        known = [at for at in part if math.isfinite(points[at][1])]
        if known:
            kept |= {
                min(known, key=lambda at: points[at][1]),
                max(known, key=lambda at: points[at][1]),
            }
        else:
            kept.add(start)
    return [points[at] for at in sorted(kept)]
