"""A metric by the order in which the experiments were made, and the best so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbexp.plots import Record, Spec, look

NEEDS = "rows"
COLUMNS = (1, 1)


def plot(rows: Sequence[Record], options: Mapping[str, object]) -> Spec:
    """A point for each experiment, and a line of the best up to it.

    Parameters
    ----------
    options
        `better` is "higher" or "lower"; where it is neither there is no line, and it is said why. `order` says in
        words what the experiments are ordered by: they come in that order.
    """
    (metric,) = look.asked(options)
    notes: list[str] = []
    order = str(options.get("order") or "experiment, oldest first")
    known = _ranked(rows, options, notes)
    total = len(known)
    known = look.thinned(
        known,
        look.limit_of(options, look.MAX_POINTS),
        [{at: look.number(one, metric) for at, (_, one, _) in enumerate(known)}],
    )
    look.note_thinned(len(known), total, notes)
    groups = look.groups([one.name for _, one, _ in known], options, notes)
    x, y = look.field(options, "order"), look.field(options, "value")
    values: list[dict[str, object]] = []
    for number, one, best in known:
        row: dict[str, object] = {"experiment": one.name, x: number, y: one.values[metric]}
        if best is not None:
            row["best"] = best
        if groups:
            row["group"] = groups[one.name]
        values.append(row)
    columns = {"experiment": "experiment", x: "number", y: metric}
    has_best = bool(values) and "best" in values[0]
    if has_best:
        columns["best"] = "best so far"
    encoding: Spec = {
        "y": look.axis(options, y, metric, [row[y] for row in values], "y"),
        "opacity": look.dimmed(options, 0.85),
        "tooltip": [
            look.name_column(),
            {"field": x, "type": "quantitative", "title": order},
            {"field": y, "type": "quantitative", "title": metric},
        ],
    }
    mark: Spec = {"type": "point", "filled": True, "size": 44}
    if groups:
        title = str(options.get("group_title") or "group")
        names = look.group_names(groups, options)
        legend = look.legend(names, title)
        encoding["color"] = look.by_name("group", names, look.COLOURS, legend)
        encoding["shape"] = look.by_name("group", names, look.SHAPES, legend)
        columns["group"] = title
    else:
        mark["color"] = look.COLOURS[0]
    points: Spec = {
        "params": [*look.pick(options), *look.brush(options)],
        "mark": mark,
        "encoding": encoding,
    }
    layers = [points]
    if has_best:
        best_line: Spec = {
            "transform": [{"calculate": "'best so far'", "as": "line"}],
            "mark": {
                "type": "line",
                "interpolate": "step-after",
                "strokeWidth": 2,
            },
            "encoding": {
                "y": look.axis(options, "best", metric, [row["best"] for row in values], "y"),
                "color": {
                    "field": "line",
                    "type": "nominal",
                    "scale": {"domain": ["best so far"], "range": [look.COLOURS[5]]},
                    "legend": {"title": None, "symbolType": "stroke", "symbolStrokeWidth": 2},
                },
                "tooltip": [{"field": "best", "type": "quantitative", "title": "best so far"}],
            },
        }
        layers = [best_line, points]
    heading = f"{metric} by {order}"
    if has_best:
        heading += f"; the line is the best so far ({options.get('better')} is better)"
    spec = look.chart(options, columns, heading=heading, notes=notes)
    return spec | {
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": x,
                "type": "quantitative",
                "title": str(options.get("x_label") or order),
                "scale": {"zero": False, "nice": False, "padding": 10},
                "axis": {"format": "d", "tickMinStep": 1, **look.few_steps([r[x] for r in values])},
            }
        },
        "layer": layers,
        "resolve": {"scale": {"color": "independent"}},
    }


def _ranked(
    rows: Sequence[Record], options: Mapping[str, object], notes: list[str]
) -> list[tuple[int, Record, float | None]]:
    """The rows with a number: their place among all, and the best up to them."""
    (metric,) = look.asked(options)
    usable = {
        id(one) for one in look.numbers(rows, metric, notes, is_log=bool(options.get("log_y")))
    }
    better = options.get("better")
    if better not in ("higher", "lower"):
        notes.append(f"which way {metric} is better is not known, so there is no line of the best")
    choose = max if better == "higher" else min
    best: float | None = None
    found: list[tuple[int, Record, float | None]] = []
    for number, one in enumerate(rows, 1):
        if id(one) not in usable:
            continue
        if better in ("higher", "lower"):
            value = look.number(one, metric)
            best = value if best is None else choose(best, value)
        found.append((number, one, best))
    return found
