"""A metric over its steps, one line for each experiment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from nbexp.plots import Series, Spec

# The colours of Okabe and Ito (2008), told apart with every common colour blindness; orange and sky blue are
# darkened and black and yellow left out, so that each has 3 : 1 against a white page and a dark one.
COLOURS = ("#0072B2", "#C68200", "#009E73", "#CC79A7", "#3D9BD4", "#D55E00")
# Dashes and shapes say the same again. Their counts and that of the colours have the least common
# multiple 60: so many lines look different.
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4])
SHAPES = ("circle", "square", "triangle-up", "diamond")

# Grey that is legible on white (4.5 : 1) and on JupyterLab's dark page (4.1 : 1): a picture does not know
# which of them it will stand on.
TEXT, RULE = "#767676", "#80808040"

# More steps than there are pixels for are not seen, and would be saved with every notebook.
MAX_STEPS = 400
# With more steps than this, points run into each other and the line alone is drawn.
_MAX_MARKED = 60
_LEGEND_ROWS = 14


def plot(series: Sequence[Series], options: Mapping[str, object]) -> Spec:
    """Lines with points where there are few; the legend names the experiments.

    Parameters
    ----------
    options
        `title`; `x_label` (default: the series' own axis), `y_label`; `width` and `height` in pixels.

    Notes
    -----
    Steps whose value is no number (NaN, infinity) are gaps. A series of more than `MAX_STEPS` steps is
    thinned to as many, keeping first, last, and the lowest and highest of each stretch.
    """
    names = [one.name for one in series]
    values = [row for one in series for row in _rows(one)]
    many = max((len(one.steps) for one in series), default=0) > _MAX_MARKED
    label = str(options.get("y_label") or "value")
    axis = str(options.get("x_label") or (series[0].x if series else "step"))
    legend = {
        "title": None,
        "symbolType": "stroke",
        "symbolSize": 700,
        "symbolStrokeWidth": 2,
        "columns": math.ceil(len(names) / _LEGEND_ROWS) or 1,
        "labelLimit": 240,
    }
    name = {"field": "experiment", "type": "nominal", "title": "experiment"}
    lines: Spec = {
        "mark": {"type": "line", "strokeWidth": 1 if many else 2, "clip": True},
        "encoding": {
            "color": _by_name(names, COLOURS, legend),
            "strokeDash": _by_name(names, DASHES, legend),
            "tooltip": [name],
        },
    }
    points: Spec = {
        "mark": {"type": "point", "filled": True, "size": 36, "opacity": 1},
        "encoding": {
            "color": _by_name(names, COLOURS, None),
            "shape": _by_name(names, SHAPES, None),
            "tooltip": [
                name,
                {"field": "step", "type": "quantitative", "title": axis},
                {"field": "value", "type": "quantitative", "title": label},
            ],
        },
    }
    spec: Spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "transparent",
        "width": options.get("width", 520),
        "height": options.get("height", 280),
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": "step",
                "type": "quantitative",
                "title": axis,
                "scale": {"zero": False, "nice": False, "padding": 8},
                "axis": _few_steps([row["step"] for row in values]),
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": label,
                "scale": {"zero": False, "padding": 8},
            },
        },
        "layer": [lines] if many else [lines, points],
        # One legend, of the lines: with shared scales it would draw points filled over the dashes.
        "resolve": {"scale": dict.fromkeys(("color", "strokeDash", "shape"), "independent")},
        "config": {
            "view": {"stroke": RULE},
            "axis": {
                "labelColor": TEXT,
                "titleColor": TEXT,
                "titleFontWeight": "normal",
                "gridColor": RULE,
                "domainColor": RULE,
                "tickColor": RULE,
                "labelFontSize": 11,
                "titleFontSize": 12,
            },
            "legend": {"labelColor": TEXT, "labelFontSize": 12},
            "title": {"color": TEXT},
        },
    }
    if options.get("title"):
        spec["title"] = str(options["title"])
    return spec


def _by_name(
    names: Sequence[str], looks: Sequence[object], legend: Mapping[str, object] | None
) -> Spec:
    """An encoding that gives each name its look, the same whatever the order of the data."""
    return {
        "field": "experiment",
        "type": "nominal",
        "scale": {
            "domain": list(names),
            "range": [looks[i % len(looks)] for i in range(len(names))],
        },
        "legend": legend,
    }


def _rows(one: Series) -> Iterator[dict[str, object]]:
    points = list(zip(one.steps, one.values, strict=True))
    for step, value in thinned(points):
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


def _few_steps(steps: Sequence[object]) -> Spec:
    """Ticks for a handful of whole steps. Vega would divide them (1.0, 1.2, …), whatever `tickMinStep` says."""
    known = [step for step in steps if isinstance(step, (int, float))]
    if not known or not all(float(step).is_integer() for step in known):
        return {}
    first, last = int(min(known)), int(max(known))
    return {"values": list(range(first, last + 1)), "format": "d"} if last - first <= 10 else {}
