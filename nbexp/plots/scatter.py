"""A param against a metric, one point for each experiment; a param of words has a place for each word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbexp.plots import Record, Spec, look

NEEDS = "rows"
COLUMNS = (2, 2)

# Fewer say nothing about how two columns go together.
_MIN_FOR_RANK = 5


def plot(rows: Sequence[Record], options: Mapping[str, object]) -> Spec:
    """Points; `groups` colours and shapes them."""
    across, up = look.asked(options)
    notes: list[str] = []
    shown = look.numbers(rows, up, notes, is_log=bool(options.get("log_y")))
    known = [one for one in shown if look.has(one, across)]
    if len(known) < len(shown):
        notes.append(f"{len(shown) - len(known)} of {len(rows)} have no {across}")
    is_quantity = look.is_quantity(one.values[across] for one in known)
    if options.get("log_x") and is_quantity:
        known = look.above_zero(known, across, notes)
    if is_quantity and len(known) >= _MIN_FOR_RANK:
        rho = rank_correlation([(look.number(one, across), look.number(one, up)) for one in known])
        if rho is not None:
            notes.append(f"rank correlation {rho:+.2f} over {len(known)} experiments")
    keys = [{at: look.number(one, up) for at, one in enumerate(known)}]
    if is_quantity:
        keys.append({at: look.number(one, across) for at, one in enumerate(known)})
    total = len(known)
    known = look.thinned(known, look.limit_of(options, look.MAX_POINTS), keys)
    look.note_thinned(len(known), total, notes)
    x, y = look.field(options, "x"), look.field(options, "y")
    groups = look.groups([one.name for one in known], options, notes)
    values: list[dict[str, object]] = []
    for one in known:
        place = one.values[across]
        row: dict[str, object] = {
            "experiment": one.name,
            x: place if is_quantity else look.word(place),
            y: one.values[up],
        }
        if groups:
            row["group"] = groups[one.name]
        values.append(row)
    columns = {"experiment": "experiment", x: across, y: up}
    tooltip: list[Spec] = [
        look.name_column(),
        {"field": x, "type": "quantitative" if is_quantity else "nominal", "title": across},
        {"field": y, "type": "quantitative", "title": up},
    ]
    encoding: Spec = {
        "x": look.axis(options, x, across, [one.values[across] for one in known], "x"),
        "y": look.axis(options, y, up, [one.values[up] for one in known], "y"),
        "opacity": look.dimmed(options, 0.85),
        "tooltip": tooltip,
    }
    colour: Spec = {"color": look.COLOURS[0]}
    if groups:
        title = str(options.get("group_title") or "group")
        names = look.group_names(groups, options)
        legend = look.legend(names, title)
        encoding["color"] = look.by_name("group", names, look.COLOURS, legend)
        encoding["shape"] = look.by_name("group", names, look.SHAPES, legend)
        tooltip.append({"field": "group", "type": "nominal", "title": title})
        columns["group"] = title
        colour = {}
    spec = look.chart(options, columns, heading=f"{up} against {across}", notes=notes)
    return spec | {
        "data": {"values": values},
        "params": [*look.pick(options), *look.brush(options)],
        "mark": {"type": "point", "filled": True, "size": 50, **colour},
        "encoding": encoding,
    }


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Spearman's: how far the second grows whenever the first does; None where one of them is constant."""
    first, second = (ranks([pair[at] for pair in pairs]) for at in (0, 1))
    middle = (len(pairs) + 1) / 2
    spread = [sum((value - middle) ** 2 for value in one) for one in (first, second)]
    if not all(spread):
        return None
    both = sum((a - middle) * (b - middle) for a, b in zip(first, second, strict=True))
    return float(both / (spread[0] * spread[1]) ** 0.5)


def ranks(values: Sequence[float]) -> list[float]:
    """The place of each value in their order, from 1; equal ones share the middle of theirs.

    Examples
    --------
    >>> ranks([10, 30, 20, 30])
    [1.0, 3.5, 2.0, 3.5]
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for at in order[start : end + 1]:
            found[at] = (start + end) / 2 + 1
        start = end + 1
    return found
