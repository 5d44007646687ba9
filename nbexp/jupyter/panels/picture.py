"""A still picture of a table: each experiment a line across its params and metrics, where no widget is shown."""

from __future__ import annotations

import base64
import math

from nbexp.experiments.polarity import polarity
from nbexp.experiments.table import Column, Table
from nbexp.experiments.value_text import DIGITS, cell_text, is_number
from nbexp.jupyter.markup import Markup, escaped, tag

_MAX_AXES, _MAX_LINES, _MAX_TITLE = 8, 500, 18
_WIDTH, _HEIGHT, _TOP, _BOTTOM, _SIDE = 760, 260, 44, 30, 70
# Legible on its own white ground, whatever is around it.
_GROUND, _TEXT, _RULE, _LINE, _BEST = "#ffffff", "#212121", "#9e9e9e", "#1976d2", "#c2410c"


def draw(table: Table) -> str | None:
    """SVG of the table; None where there are not two experiments and two columns that differ.

    The line of the best, where one column's name says which way is better, stands out.
    """
    experiments = table.experiments[:_MAX_LINES]
    axes = []
    for column in table.shown_columns():
        found = [table.value(row, column) for row in experiments]
        numbers = [one for one in found if is_number(one) and math.isfinite(one)]  # type: ignore[arg-type]
        if len(set(numbers)) > 1:
            axes.append((column, found, min(numbers), max(numbers)))  # type: ignore[type-var]
    params = [axis for axis in axes if axis[0].kind == "param"]
    metrics = [axis for axis in axes if axis[0].kind == "metric"][: _MAX_AXES // 2]
    axes = [*params[: _MAX_AXES - len(metrics)], *metrics]
    if len(experiments) < 2 or len(axes) < 2:
        return None
    step = (_WIDTH - 2 * _SIDE) / (len(axes) - 1)
    height = _HEIGHT - _TOP - _BOTTOM
    places = [_SIDE + step * at for at in range(len(axes))]
    best = _best(axes, table)
    lines, last = [], ""
    for number in range(len(experiments)):
        points = []
        for place, (_, found, low, high) in zip(places, axes, strict=True):
            value = found[number]
            if is_number(value) and math.isfinite(value):  # type: ignore[arg-type]
                share = (value - low) / (high - low)  # type: ignore[operator]
                points.append(f"{place:.1f},{_TOP + height * (1 - share):.1f}")
        if len(points) < 2:
            continue
        is_best = number == best
        colour, width, opacity = (_BEST, 2.5, 1) if is_best else (_LINE, 1.2, 0.55)
        line = (
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-opacity="{opacity}"><title>{escaped(experiments[number].name or "")}</title></polyline>'
        )
        if is_best:
            last = line
        else:
            lines.append(line)
    marks = []
    for place, (column, found, low, high) in zip(places, axes, strict=True):
        whole = all(isinstance(one, int) for one in found if is_number(one))
        ends = [(high, _TOP - 8), (low, _HEIGHT - _BOTTOM + 16)]
        marks.append(
            f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="{_RULE}"/>'
            f'<text x="{place:.1f}" y="16" font-weight="600">{escaped(_short(column.title))}</text>'
            + "".join(
                f'<text x="{place:.1f}" y="{at}">{escaped(str(value) if whole else cell_text(float(value), DIGITS))}</text>'  # type: ignore[arg-type]
                for value, at in ends
            )
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-family="sans-serif" font-size="11" fill="{_TEXT}" '
        f'text-anchor="middle"><title>{escaped(words(table))}</title>'
        f'<rect width="100%" height="100%" fill="{_GROUND}"/>{"".join([*marks, *lines, last])}</svg>'
    )


def tag_of(svg: str, table: Table) -> Markup:
    """The picture for an HTML page."""
    data = base64.b64encode(svg.encode()).decode()
    return tag("img", src=f"data:image/svg+xml;base64,{data}", alt=words(table), width=str(_WIDTH))


def words(table: Table) -> str:
    """What the picture shows, for who does not see it."""
    return f"{len(table.experiments)} experiments across their params and metrics"


def _short(title: str) -> str:
    return title if len(title) <= _MAX_TITLE else f"…{title[-_MAX_TITLE + 1 :]}"


def _best(axes: list[tuple[Column, list[object], object, object]], table: Table) -> int | None:
    for column, found, low, high in axes:
        way = polarity(column.key, table.view.better) if column.kind == "metric" else None
        if way is not None:
            return found.index(high if way == "higher" else low)
    return None
