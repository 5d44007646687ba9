"""Many experiments, or many values, beside each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.experiments.polarity import polarity
from nbexp.experiments.row import FileError
from nbexp.experiments.value_text import is_number
from nbexp.formats import values
from nbexp.frozen import replace
from nbexp.jupyter.display.parts import MAX_ROWS, MAX_VALUE, cut, moment, plain_text
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, tag
from nbexp.render import tables as texts
from nbexp.render import words as said

if TYPE_CHECKING:
    from nbexp.experiments.columns import Groups
    from nbexp.experiments.measures import MeasureDiff, MetricsShown
    from nbexp.experiments.row import Row
    from nbexp.experiments.table import Column, Table
    from nbexp.project import Listing

MAX_COLUMNS = 20
_STATES = {
    "done": "✓ done", "running": "▶ running", "failed": "✗ failed", "interrupted": "■ interrupted",
    "pruned": "✂ pruned", "queued": "… queued",
}  # fmt: skip
_VERDICTS = {"better": "nbexp-good", "worse": "nbexp-bad"}


def _table(result: Table) -> Markup:
    columns = result.shown_columns()
    shown = columns[:MAX_COLUMNS]
    best = {column: _best(result, column) for column in shown if column.kind == "metric"}
    states = any(row.state != "done" for row in result.rows)
    is_flat = result.view.is_flat
    numeric = {column for column in shown if _is_numeric(result, column)}
    heads = [head("experiment"), *([head("baseline")] if is_flat else []), head("created")]
    heads += [head("state")] if states else []
    heads += [
        head(_column_title(result, column, best), is_number=column in numeric) for column in shown
    ]
    bases = {row.rev: row for row in result.rows if row.kind == "baseline"}
    lines = []
    for row in result.listed[:MAX_ROWS]:
        is_member = row.kind == "experiment"
        base = bases.get(row.baseline or "")
        cells = [
            tag(
                "th",
                _row_name(result, row),
                scope="row",
                align="left",
                title=None if row.rev == "workspace" else row.rev,
            )
        ]
        if is_flat:
            cells.append(cell(result.view.names.get(row.baseline or "", (row.baseline or "")[:7])))
        cells.append(cell(said.clock(row.created_s), title=moment(row.created_s)))
        if states:
            state = row.state_words.replace(row.state, _STATES.get(row.state, row.state), 1)
            cells.append(cell(state if is_member else ""))
        for column in shown:
            value = result.value(row, column)
            is_same = (
                base is not None and column.kind == "param" and value == result.value(base, column)
            )
            content: object = cut(result.text(row, column))
            if is_same:
                content = faint(content)
            elif row.rev in best.get(column, ()):
                content = tag("b", joined(["★ ", content]), title=f"best {column.title}")
            if words := texts.delta_words(result, row, column):
                verdict = result.verdict(row, column)
                class_ = _VERDICTS.get(verdict or "", "nbexp-faint")
                content = joined([content, tag("span", words, class_=class_)])
            why = value.msg if isinstance(value, FileError) else None
            cells.append(cell(content, is_number=column in numeric, title=why))
        lines.append(tag("tr", *cells, class_=None if is_member else "nbexp-base"))
    notes = [_more(result, len(columns))] if _more(result, len(columns)) else []
    if any(best.values()):
        notes.append("★ best of its column")
    return joined([grid(heads, lines), *(tag("p", faint(note)) for note in notes)])


def _row_name(table: Table, row: Row) -> Markup:
    indent = row.kind == "experiment" and not table.view.is_flat
    parts: list[object] = [Markup("&emsp;")] * (indent + row.is_step)
    parts.append(texts.row_name(row))
    if row.steps:
        parts.append(faint(texts.steps_words(row)))
    if table.view.reference is not None and row.rev == table.view.reference.rev:
        parts.append(faint(" (reference)"))
    return joined(parts)


def _groups(result: Groups) -> Markup:
    first, *rest = result.lines()
    names = len(result.by)
    heads = [head(title, is_number=at >= names) for at, title in enumerate(first)]
    lines = [
        tag(
            "tr",
            *(cell(cut(text), is_number=at >= names) for at, text in enumerate(line)),
        )
        for line in rest[:MAX_ROWS]
    ]
    more = len(rest) - MAX_ROWS
    notes = (
        [tag("p", faint(f"… {more} more groups: the same with `--csv` has all"))]
        if more > 0
        else []
    )
    return joined([grid(heads, lines), *notes])


def _best(table: Table, column: Column) -> set[str]:
    """The revs that have the best value; none when the name does not say which way is better, or all are equal."""
    way = polarity(column.key, table.view.better)
    found = {
        row.rev: value
        for row in table.rows
        if row.kind != "workspace" and is_number(value := table.value(row, column))
        and math.isfinite(value)  # type: ignore[arg-type]  # a number, as just asked
    }  # fmt: skip
    if way is None or len(set(found.values())) < 2:
        return set()
    top = (max if way == "higher" else min)(found.values())  # type: ignore[type-var]  # numbers alone
    return {rev for rev, value in found.items() if value == top}


def _column_title(table: Table, column: Column, best: Mapping[Column, set[str]]) -> Markup:
    """The key; of a metric with a best value also which way is better."""
    if not best.get(column):
        return tag("span", column.title, title=column.file)
    sign, words = (
        ("↑", "higher") if polarity(column.key, table.view.better) == "higher" else ("↓", "lower")
    )
    return tag("span", f"{column.title} {sign}", title=f"{column.file}, {words} is better")


def _is_numeric(table: Table, column: Column) -> bool:
    found = [table.value(row, column) for row in table.rows]
    known = [value for value in found if value is not values.MISSING and value is not None]
    return bool(known) and all(is_number(v) or isinstance(v, FileError) for v in known)


def _more(table: Table, columns: int) -> str:
    """What the cap leaves out, and how to see it; empty when all is there."""
    rows = max(0, len(table.listed) - MAX_ROWS)
    parts = [f"{rows} more rows"] * (rows > 0)
    parts += [f"{columns - MAX_COLUMNS} more columns"] * (columns > MAX_COLUMNS)
    return f"… {' and '.join(parts)}: `%exp show -A --csv` has all" if parts else ""


def _listing(result: Listing) -> Markup:
    if not result.groups:
        return tag("p", plain_text(result))
    lines = []
    for baseline, members in result.groups:
        lines.append(tag("tr", head(baseline, span=2), class_="nbexp-base"))
        lines += [
            tag(
                "tr",
                tag("th", joined([Markup("&emsp;"), name]), scope="row", align="left"),
                cell(code(rev[:7])),
            )
            for name, rev in members
        ]
    return grid([head("experiment"), head("commit")], lines)


def _measures(result: MeasureDiff | MetricsShown) -> Markup:
    first, *rows = result.lines()
    if not rows:
        return tag("p", plain_text(result))
    # What comes before the values is text: files, keys, revisions.
    texts = {"Revision", "Path", "Param", "Metric"}
    heads = [head(name, is_number=name not in texts) for name in first]
    lines = [
        tag(
            "tr",
            *(
                cell(value, is_number=name not in texts)
                for name, value in zip(first, row, strict=True)
            ),
        )
        for row in rows
    ]
    return grid(heads, lines)


def _shorter(result: Table) -> str:
    """The text of a table, of one that is longer than a cell should be its first rows; of a long value the beginning."""
    if len(result.listed) <= MAX_ROWS:
        return texts.table(result, MAX_VALUE)
    view = replace(result.view, shows_steps=False)
    shown = texts.table(replace(result, rows=result.listed[:MAX_ROWS], view=view), MAX_VALUE)
    return f"{shown}\n{_more(result, len(result.shown_columns()))}"


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "Table": _table,
    "Groups": _groups,
    "Listing": _listing,
    "MeasureDiff": _measures,
    "MetricsShown": _measures,
}

TEXTS: Mapping[str, Callable[[Any], str]] = {"Table": _shorter}
