"""Mean and sample standard deviation of a metric over its steps: over seeds, or over equal values of a column."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from nbexp.plots import Series, Spec, look

# Of a group, as many steps as a picture has room for.
_MAX_STEPS = 400


def plot(series: Sequence[Series], options: Mapping[str, object]) -> Spec:
    """A line of the mean, and a band of one sample standard deviation to each side, for each group.

    Parameters
    ----------
    options
        `groups` has the group of each name; without it all are one. `group_title` says what they are equal in.

    Notes
    -----
    A step counts those that have a finite value at exactly that step; where it is one alone there is no deviation,
    and no band. What one series has at a step several times counts with its last.
    """
    notes: list[str] = []
    groups = _groups(series, options, notes)
    label = str(options.get("y_label") or "value")
    axis = str(options.get("x_label") or (series[0].x if series else "step"))
    title = str(options.get("group_title") or "group")
    rows = [
        row
        for group, members in groups.items()
        for row in _thinned([*_rows(group, members)], look.limit_of(options, _MAX_STEPS))
    ]
    if options.get("log_y"):
        rows = _positive(rows, notes)
    if all(row["n"] == 1 for row in rows) and rows:
        notes.append("no group has two values at a step: there is no deviation")
    names = [*groups]
    legend = look.legend(names, title if options.get("groups") else None, symbolType="stroke")
    mean = {
        "field": "mean",
        "type": "quantitative",
        "title": f"{label} (mean ± sample std)",
    }
    tooltip = [
        {"field": "group", "type": "nominal", "title": title},
        {"field": "step", "type": "quantitative", "title": axis},
        {**mean, "title": f"mean of {label}"},
        {"field": "std", "type": "quantitative", "title": "sample std"},
        {"field": "n", "type": "quantitative", "title": "n"},
    ]
    y_scale: Spec = {"type": "log", "nice": False} if options.get("log_y") else {"zero": False}
    band: Spec = {
        "mark": {"type": "area", "clip": True},
        "encoding": {
            "y": {
                "field": "low",
                "type": "quantitative",
                "title": f"{label} (mean ± sample std)",
                "scale": y_scale,
                "axis": look.one_tick(
                    row[side] for row in rows for side in ("low", "mean", "high")
                ),
            },
            "y2": {"field": "high"},
            "color": look.by_name("group", names, look.COLOURS, None),
            "opacity": {"value": 0.22},
        },
    }
    line: Spec = {
        "mark": {"type": "line", "strokeWidth": 2, "clip": True},
        "encoding": {
            "y": {**mean, "scale": y_scale},
            "color": look.by_name("group", names, look.COLOURS, legend),
            "strokeDash": look.by_name("group", names, look.DASHES, legend),
            "tooltip": tooltip,
        },
    }
    heading = f"{label} by {axis}: mean and sample std"
    columns = {
        "group": title,
        "step": axis,
        "n": "n",
        "mean": f"mean of {label}",
        "std": "sample std",
        "low": "mean - std",
        "high": "mean + std",
    }
    spec = look.chart(options, columns, heading=heading, notes=notes)
    x_scale: Spec = (
        {"type": "log", "nice": False, "padding": 8}
        if options.get("log_x")
        else {"zero": False, "nice": False, "padding": 8}
    )
    return spec | {
        "data": {"values": rows},
        "encoding": {
            "x": {
                "field": "step",
                "type": "quantitative",
                "title": axis,
                "scale": x_scale,
                "axis": (look.log_ticks if options.get("log_x") else look.few_steps)(
                    [row["step"] for row in rows]
                ),
            }
        },
        "layer": [band, line],
        "resolve": {"scale": {"color": "independent", "strokeDash": "independent"}},
    }


def table(series: Sequence[Series], options: Mapping[str, object]) -> list[list[str]]:
    """Each group: how many experiments, and the mean and deviation of its first and last step."""
    label = str(options.get("y_label") or "value")
    title = str(options.get("group_title") or "group")
    lines = [[title, "n", "steps", f"first {label}", f"last {label} (mean ± sample std)"]]
    for group, members in _groups(series, options, []).items():
        rows = [*_rows(group, members)]
        ends = [_told(rows[at], len(members)) for at in (0, -1)] if rows else ["-", "-"]
        lines.append([group, str(len(members)), str(len(rows)), *ends])
    return lines


def _told(row: Mapping[str, object], count: int) -> str:
    std = row["std"]
    text = look.brief(row["mean"])
    if std is not None:
        text += f" ± {float(std):.2g}"  # type: ignore[arg-type]  # a float, see `_rows`
    return text if row["n"] == count else f"{text} ({row['n']} of {count})"


def _groups(
    series: Sequence[Series], options: Mapping[str, object], notes: list[str]
) -> dict[str, list[Series]]:
    given = look.groups([one.name for one in series], options, notes)
    found: dict[str, list[Series]] = {}
    for one in series:
        found.setdefault(given.get(one.name, f"all {len(series)}"), []).append(one)
    return {name: found[name] for name in look.group_names({n: n for n in found}, options)}


def _rows(group: str, members: Sequence[Series]) -> Iterator[dict[str, object]]:
    at: dict[float, dict[int, float]] = {}
    for number, one in enumerate(members):
        for step, value in zip(one.steps, one.values, strict=True):
            if math.isfinite(step) and math.isfinite(value):
                at.setdefault(step, {})[number] = value
    for step in sorted(at):
        values = [*at[step].values()]
        mean = statistics.fmean(values)
        std = statistics.stdev(values) if len(values) > 1 else None
        yield {
            "group": group,
            "step": step,
            "n": len(values),
            "mean": mean,
            "std": std,
            "low": None if std is None else mean - std,
            "high": None if std is None else mean + std,
        }


def _thinned(rows: list[dict[str, object]], limit: int) -> list[dict[str, object]]:
    means = {at: float(row["mean"]) for at, row in enumerate(rows)}  # type: ignore[arg-type]  # floats
    return look.thinned(rows, limit, [means])


def _positive(rows: list[dict[str, object]], notes: list[str]) -> list[dict[str, object]]:
    found, lost = [], 0
    for row in rows:
        if not isinstance(row["mean"], float) or row["mean"] <= 0:
            lost += 1
            continue
        low = row["low"]
        if isinstance(low, float) and low <= 0:
            # The band goes off the axis there: the line alone is told.
            row = {**row, "low": None, "high": None}
        found.append(row)
    if lost:
        notes.append(f"{lost} means at or below 0 have no place on a logarithmic axis")
    return found
