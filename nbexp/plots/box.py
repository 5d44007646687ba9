"""A metric by the values of a param: a point for each experiment, and a box where there are enough of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from nbexp.plots import Record, Spec, look

NEEDS = "rows"
COLUMNS = (2, 2)

# Quartiles of fewer are made up.
_MIN_FOR_BOX = 5
_MAX_VALUES = 40


def plot(rows: Sequence[Record], options: Mapping[str, object]) -> Spec:
    """Points in columns, one for each value of the first column; boxes from quartile to quartile, the median in them.

    Notes
    -----
    The box is drawn from five experiments on; its whiskers end at the lowest and highest. Numbers are values
    here, in their order.
    """
    across, up = look.asked(options)
    notes: list[str] = []
    known = look.numbers(rows, up, notes, is_log=bool(options.get("log_y")))
    there = [one for one in known if look.has(one, across)]
    if len(there) < len(known):
        notes.append(f"{len(known) - len(there)} of {len(rows)} have no {across}")
    counts = Counter(look.word(one.values[across]) for one in there)
    if len(counts) > _MAX_VALUES:
        kept = {value for value, _ in counts.most_common(_MAX_VALUES)}
        notes.append(
            f"the {_MAX_VALUES} most frequent of {len(counts)} values of {across} are drawn"
        )
        there = [one for one in there if look.word(one.values[across]) in kept]
    total = len(there)
    boxes = there
    there = look.thinned(
        there,
        look.limit_of(options, look.MAX_POINTS),
        [{at: look.number(one, up) for at, one in enumerate(there)}],
    )
    look.note_thinned(len(there), total, notes)
    order = [
        look.word(value)
        for value in sorted(look.once(one.values[across] for one in boxes), key=look.rank)
    ]
    order = list(dict.fromkeys(order))
    x, y = look.field(options, "x"), look.field(options, "y")
    values = [
        {
            "experiment": one.name,
            x: (value := look.word(one.values[across])),
            y: one.values[up],
            "n": counts[value],
        }
        for one in there
    ]
    columns = {"experiment": "experiment", x: across, y: up, "n": "n"}
    spec = look.chart(
        options, columns, heading=f"{up} by {across}", notes=notes, width={"step": 48}
    )
    if len(order) > 12:
        spec["width"] = options.get("width", 560)
    scale: Spec = {"type": "log"} if options.get("log_y") else {"zero": False, "padding": 10}
    return spec | {
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": x,
                "type": "nominal",
                "title": str(options.get("x_label") or across),
                "sort": order,
                "axis": {
                    "labelLimit": 140,
                    "labelAngle": -35 if sum(map(len, order)) > 6 * len(order) else 0,
                },
            },
            "y": {
                "field": y,
                "type": "quantitative",
                "title": str(options.get("y_label") or up),
                "scale": scale,
                "axis": look.one_tick(row[y] for row in values),
            },
        },
        "layer": [
            {
                "transform": [{"filter": f"datum.n >= {_MIN_FOR_BOX}"}],
                "mark": {
                    "type": "boxplot",
                    "extent": "min-max",
                    "size": 26,
                    "box": {"fill": look.RULE, "stroke": look.TEXT},
                    "median": {"color": look.TEXT, "strokeWidth": 2},
                    "rule": {"color": look.TEXT},
                },
            },
            {
                "params": [*look.pick(options), *look.brush(options)],
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 36,
                    "color": look.COLOURS[0],
                },
                "encoding": {
                    "opacity": look.dimmed(options, 0.8),
                    "tooltip": [
                        look.name_column(),
                        {"field": x, "type": "nominal", "title": across},
                        {"field": y, "type": "quantitative", "title": up},
                    ],
                },
            },
        ],
    }


def table(rows: Sequence[Record], options: Mapping[str, object]) -> list[list[str]]:
    """Each value: how many experiments, and the lowest, the median and the highest of the metric."""
    import statistics

    across, up = look.asked(options)
    found: dict[str, list[float]] = {}
    known = [one for one in rows if look.is_number(one.values.get(up)) and look.has(one, across)]
    for one in sorted(known, key=lambda one: look.rank(one.values[across])):
        found.setdefault(look.word(one.values[across]), []).append(look.number(one, up))
    return [
        [across, "n", f"lowest {up}", "median", "highest"],
        *(
            [
                value,
                str(len(cells)),
                *(
                    look.brief(float(one))
                    for one in (min(cells), statistics.median(cells), max(cells))
                ),
            ]
            for value, cells in found.items()
        ),
    ]
