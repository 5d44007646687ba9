"""A filled chart made fit to be drawn: numbers are numbers, no more points than can be seen, colours for any page.

The JSON of a plot is DVC's to the letter, and there the cells of a CSV file are text; a drawing need not be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from nbexp.plots import Spec, look
from nbexp.plots.line import thinned
from nbexp.plots.templates.rows import Row

# Lines of more points look the same on the 300 pixels that they get; a notebook keeps each drawing.
_MAX_POINTS = 400
# Of points that lie anywhere, and of bars, as many are drawn in a second.
_MAX_ROWS = 10_000

LINES = frozenset({"linear", "smooth", "simple"})
MATRICES = frozenset({"confusion", "confusion_normalized"})
BARS = frozenset({"bar_horizontal", "bar_horizontal_sorted"})

# Names of revisions are long.
_LEGEND = {"labelLimit": 240}

# Columns that tell rows apart, beside x and y.
_LABELS = ("rev", "filename", "field")
# What a column may be called in a chart that a browser draws: its name gets into expressions there.
_HARMLESS = re.compile(r"[\w .:/%()\[\]+-]*")


def shown_rows(
    rows: Sequence[Row], properties: Mapping[str, object], template: str, *, is_ours: bool
) -> tuple[list[Row], dict[str, str]]:
    """The rows as they are drawn, and the names that x and y have in them.

    They have numbers where DVC has text, of very many those that make the same drawing, and for a template of ours
    (`is_ours`) no columns that it does not show. Columns with odd names, which are somebody else's, get plain ones.
    """
    columns, names = {}, {}
    for axis in "xy":
        name = str(properties.get(axis))
        names[axis] = name if _HARMLESS.fullmatch(name) else f"{axis} value"
        is_category = template in MATRICES or (template in BARS and axis == "y")
        values = [row.get(name) for row in rows]
        columns[names[axis]] = values if is_category else _numbers(values)
    found = []
    for at, row in enumerate(rows):
        kept = {name: row[name] for name in _LABELS if name in row} if is_ours else row
        found.append({**kept, **{name: column[at] for name, column in columns.items()}})
    if template in LINES:
        found = [row for line in _lines(found) for row in _fewer(line, names["y"])]
    elif template not in MATRICES and len(found) > _MAX_ROWS:
        found = found[:: math.ceil(len(found) / _MAX_ROWS)]
    return found, names


def dressed(spec: Spec) -> Spec:
    """The chart on a transparent ground, with text that is legible on light and dark pages.

    What a switch of the chart shows is shown: nobody can throw it in a picture.
    """
    params = spec.get("params")
    if isinstance(params, list):
        spec = {**spec, "params": [_on(param) for param in params]}
    own = spec.get("config")
    looks = look.ink()
    looks["legend"] |= _LEGEND
    config = {**looks, **own} if isinstance(own, Mapping) else looks
    return {"background": "transparent", **spec, "config": config}


def has_picture(tree: object) -> bool:
    """Whether a chart has marks that are pictures, which are fetched from where it says."""
    if isinstance(tree, Mapping):
        mark = tree.get("mark")
        kind = mark.get("type") if isinstance(mark, Mapping) else mark
        return kind == "image" or any(
            has_picture(value) for key, value in tree.items() if key != "data"
        )
    return isinstance(tree, list) and any(map(has_picture, tree))


def _on(param: object) -> object:
    if isinstance(param, Mapping) and param.get("bind") == {"input": "checkbox"}:
        return {"value": True, **param}
    return param


def _lines(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each line."""
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        found.setdefault((row.get("rev"), row.get("filename"), row.get("field")), []).append(row)
    return [*found.values()]


def _fewer(rows: Sequence[Row], y: str) -> list[Row]:
    """First, last, and the extremes between."""
    points = [
        (float(at), float(value) if isinstance(value := row.get(y), float | int) else math.nan)
        for at, row in enumerate(rows)
    ]
    return [rows[int(at)] for at, _ in thinned(points, _MAX_POINTS)]


def _numbers(values: Sequence[object]) -> Sequence[object]:
    """The values as numbers, where they are numbers."""
    numbers = [_number(value) for value in values]
    is_numeric = any(isinstance(one, float | int) for one in numbers)
    return numbers if is_numeric and not any(isinstance(one, str) for one in numbers) else values


def _number(cell: object) -> object:
    """The number that a cell is; None for one that is empty or no finite number; text as it is."""
    if isinstance(cell, bool) or cell is None:
        return cell
    if isinstance(cell, str):
        if not cell.strip():
            return None
        try:
            cell = float(cell)
        except ValueError:
            return cell
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    return cell
