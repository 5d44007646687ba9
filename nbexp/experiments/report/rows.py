"""What the table of a report says, before it is Markdown or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nbexp.experiments.compare import Change, same
from nbexp.experiments.polarity import polarity
from nbexp.experiments.report import Report, reference
from nbexp.experiments.row import FileError, Row
from nbexp.experiments.table import Column
from nbexp.experiments.value_text import is_number, rounded
from nbexp.formats import values
from nbexp.frozen import frozen

Verdict = Literal["better", "worse"] | None

# Up to so many columns a table has a row for each experiment; with more, a column for each.
_MAX_COLUMNS = 6


@frozen
class Cell:
    """A value, and of a metric how it differs from the reference's."""

    text: str
    is_number: bool = False
    delta: str = ""
    verdict: Verdict = None


def is_pair(report: Report) -> bool:
    """Whether only two are compared, whose changes can stand in the same table."""
    return len(report.table) == 2


def columns(report: Report) -> list[Column]:
    """Metrics, then the params that differ."""
    return [*report.metrics(), *report.params()]


def is_tall(report: Report) -> bool:
    """Whether params and metrics go down and experiments across."""
    return is_pair(report) or len(columns(report)) > _MAX_COLUMNS


def cell(report: Report, row: Row, column: Column) -> Cell:
    """What a row has in a column; metrics of the first row with the difference to the reference."""
    value = report.table.value(row, column)
    found = Cell(shown(value), is_number(value))
    if column.kind != "metric" or row is not report.table.rows[0]:
        return found
    change = Change(
        column.file, column.key, report.table.value(reference(report.table), column), value
    )
    if change.delta is None:
        return found
    if same(change.old, change.new):
        return Cell(found.text, found.is_number, "±0")
    return Cell(found.text, found.is_number, f"{change.delta:+.5g}", change.verdict)


def shown(value: object) -> str:
    """A value as people read it, on one line."""
    if value is values.MISSING or value is None:
        return "–"
    if isinstance(value, FileError):
        return "–" if value.type == "FileNotFoundError" else "unreadable"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = " ".join(rounded(value, 5).split())
    return text if len(text) <= 120 else f"{text[:119]}…"


def title(column: Column) -> tuple[str, str]:
    """A column's name, and the arrow that says which way is better, of a metric whose name tells."""
    way = polarity(column.key) if column.kind == "metric" else None
    return column.title, {"higher": "↑", "lower": "↓"}.get(way or "", "")


def cells_words(cells: Sequence[int]) -> str:
    """The cells of a notebook whose outputs differ, in words."""
    listed = ", ".join(map(str, cells[:12])) + (", …" if len(cells) > 12 else "")
    return f"{'cell' if len(cells) == 1 else 'cells'} {listed}"
