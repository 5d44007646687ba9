"""Many experiments, or many values, beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, clock, shown, signed

if TYPE_CHECKING:
    from nbexp.experiments.columns import Groups
    from nbexp.experiments.measures import MeasureDiff, MetricsShown
    from nbexp.experiments.row import Row
    from nbexp.experiments.series import Curves
    from nbexp.experiments.table import Column, Table
    from nbexp.project import Listing


def _table(result: Table) -> str:
    return table(result)


def table(result: Table, most: int | None = None) -> str:
    """The table as text; of each value no more than `most` letters."""
    rows = _table_rows(result, result.shown_columns())
    if most is not None:
        rows = [[one if len(one) <= most else f"{one[:most]}…" for one in row] for row in rows]
    return "\n".join(aligned(rows))


def table_in_colour(result: Table) -> str:
    """The table for a terminal that has colours: heads by what they are of, baselines bold, better green, worse red."""
    columns = result.shown_columns()
    lines = _table_rows(result, columns)
    first = len(lines[0]) - len(columns)

    def paint(cell: str, line: int, column: int) -> str:
        if line == 0:
            code = "1" if column < first else _HEADS.get(columns[column - first].kind, "1")
        else:
            row = result.listed[line - 1]
            code = "" if row.kind == "experiment" else "1"
            if column >= first:
                code = _VERDICTS.get(result.verdict(row, columns[column - first]) or "", code)
        return f"\x1b[{code}m{cell}\x1b[0m" if code else cell

    return "\n".join(aligned(lines, paint=paint))


# As in DVC's table: metrics yellow, params blue. Better and worse as in `diff`.
_HEADS = {"metric": "1;33", "param": "1;34"}
_VERDICTS = {"better": "32", "worse": "31"}


def _table_rows(result: Table, columns: Sequence[Column]) -> list[list[str]]:
    states = any(row.state != "done" for row in result.rows)
    is_flat = result.view.is_flat
    head = ["experiment", *(["baseline"] if is_flat else []), "created"]
    rows = [[*head, *(["state"] if states else []), *(column.title for column in columns)]]
    for row in result.listed:
        indent = "  " * ((row.kind == "experiment" and not is_flat) + row.is_step)
        line = [f"{indent}{row_name(row)}{steps_words(row)}"]
        if result.view.reference is not None and row.rev == result.view.reference.rev:
            line[0] += " (reference)"
        if is_flat:
            line.append(result.view.names.get(row.baseline or "", (row.baseline or "-")[:7]))
        line.append(clock(row.created_s))
        if states:
            line.append(row.state_words if row.kind == "experiment" else "-")
        rows.append(line + [result.text(row, c) + delta_words(result, row, c) for c in columns])
    return rows


def row_name(row: Row) -> str:
    """What the first column of the table says of a row."""
    if row.kind == "workspace":
        return "workspace"
    if row.is_detached:
        return f"detached baseline {row.rev[:7]}"
    return row.name or row.rev[:7]


def steps_words(row: Row) -> str:
    """` (3 steps)` behind an experiment that made checkpoints."""
    if not row.steps:
        return ""
    return " (1 step)" if row.steps == 1 else f" ({row.steps} steps)"


def delta_words(table: Table, row: Row, column: Column) -> str:
    """` (+0.05, better)`: how far a metric is from the reference's; empty where there is nothing to say."""
    delta = table.delta(row, column)
    if not delta:
        return ""
    verdict = table.verdict(row, column)
    return f" ({signed(delta)}, {verdict})" if verdict else f" ({signed(delta)})"


def _groups(result: Groups) -> str:
    return "\n".join(aligned(result.lines()))


def _listing(result: Listing) -> str:
    if not result.groups and result.remote is not None:
        return f"{result.remote} has no such experiments. All it has: nbexp list {result.remote} -A"
    if not result.groups and result.elsewhere:
        others = "1 is" if result.elsewhere == 1 else f"{result.elsewhere:,} are"
        return f"no experiments there; {others} on other commits: nbexp list -A"
    if not result.groups:
        return "no experiments yet. Next: nbexp run"
    lines = []
    for baseline, members in result.groups:
        lines.append(f"{baseline}:")
        lines += [f"\t{rev[:7]} [{name}]" for name, rev in members]
    return "\n".join(lines)


def _measure_diff(result: MeasureDiff) -> str:
    if not result.changes:
        return f"no difference in {result.what} between {result.old} and {result.new}"
    return "\n".join(aligned(result.lines()))


def _metrics_shown(result: MetricsShown) -> str:
    lines = result.lines()
    return "\n".join(aligned(lines)) if len(lines) > 1 else "no metrics"


def _curves(result: Curves) -> str:
    rows = [["experiment", "steps", "first", "last", "min", "max"]]
    for one in result.series:
        known = one.values or (float("nan"),)
        rows.append(
            [
                one.name,
                str(len(one.values)),
                *(shown(float(v)) for v in (known[0], known[-1], min(known), max(known))),
            ]
        )
    return "\n".join([f"{result.metric} by {result.series[0].x}", *aligned(rows)])


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Table": _table,
    "Groups": _groups,
    "Listing": _listing,
    "MeasureDiff": _measure_diff,
    "MetricsShown": _metrics_shown,
    "Curves": _curves,
}
