"""The numbers of a chart as a table, for where nothing is drawn and for those who do not see a drawing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from nbexp.experiments.plots.shown import Chart
from nbexp.experiments.value_text import cell_text
from nbexp.plots.templates.drawing import BARS, MATRICES
from nbexp.plots.templates.rows import Row

_DIGITS = 5
_MAX_CLASSES = 12
_MAX_BARS = 30


def summary(chart: Chart) -> list[list[str]]:
    """Lines of cells, the head first: of each curve its ends and extremes, of a confusion
    matrix its counts, of bars their lengths.
    """
    drawn_as = {**dict.fromkeys(MATRICES, _matrix), **dict.fromkeys(BARS, _bars)}
    if chart.template_name in drawn_as:
        found = [*drawn_as[chart.template_name](chart)]
        if found:
            return found
    rows = [*_ends(chart)]
    has_several = len({row[1] for row in rows}) > 1
    lines = [["revision", "column", "rows", "first", "last", "min", "max"], *rows]
    return lines if has_several else [[*line[:1], *line[2:]] for line in lines]


def _ends(chart: Chart) -> Iterator[list[str]]:
    y = str(chart.properties.get("y"))
    for rev, column, rows in _groups(chart):
        known = [one for row in rows if (one := _finite(row.get(y))) is not None]
        values = (
            [known[0], known[-1], min(known), max(known)]
            if known
            else [rows[0].get(y), rows[-1].get(y), None, None]
        )
        yield [rev, column, f"{len(rows):,}", *(cell_text(value, _DIGITS) for value in values)]


def _matrix(chart: Chart) -> Iterator[list[str]]:
    x, y = (str(chart.properties.get(axis)) for axis in "xy")
    seen = sorted({str(row.get(name)) for row in chart.rows for name in (x, y)})
    if len(seen) > _MAX_CLASSES:
        return
    labels = [str(chart.properties.get(f"{axis}_label") or axis) for axis in "xy"]
    yield ["revision", f"{labels[1]} \\ {labels[0]}", *seen]
    for rev, _, rows in _groups(chart):
        counts: dict[tuple[str, str], int] = {}
        for row in rows:
            cell = str(row.get(y)), str(row.get(x))
            counts[cell] = counts.get(cell, 0) + 1
        for name in seen:
            yield [rev, name, *(str(counts.get((name, other), 0)) for other in seen)]


def _bars(chart: Chart) -> Iterator[list[str]]:
    """A line for each bar, a column for each revision."""
    x, y = (str(chart.properties.get(axis)) for axis in "xy")
    lengths: dict[str, dict[str, str]] = {}
    for row in chart.rows:
        lengths.setdefault(str(row.get(y)), {})[str(row["rev"])] = cell_text(row.get(x), _DIGITS)
    if len(lengths) > _MAX_BARS:
        return
    yield [str(chart.properties.get("y_label") or y), *chart.revisions]
    for name, found in lengths.items():
        yield [name, *(found.get(rev, "-") for rev in chart.revisions)]


def _groups(chart: Chart) -> Iterator[tuple[str, str, Sequence[Row]]]:
    """The rows of each revision and column, with what tells the column from others."""
    files = {str(row.get("filename")) for row in chart.rows}
    found: dict[tuple[str, str], list[Row]] = {}
    for row in chart.rows:
        column = str(row.get("field"))
        name = f"{row.get('filename')}::{column}" if len(files) > 1 else column
        found.setdefault((str(row["rev"]), name), []).append(row)
    for (rev, name), rows in found.items():
        yield rev, name, rows


def _finite(cell: object) -> float | int | None:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return None
    try:
        number = float(cell)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
