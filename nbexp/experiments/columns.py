"""Columns by name, and what is done with them: filter, sort and group the rows of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nbexp.errors import NotFound, UsageError, nearest
from nbexp.experiments.row import FileError, Row
from nbexp.experiments.table import Column, Table, View
from nbexp.experiments.value_text import DIGITS, cell_text, is_number, markdown
from nbexp.formats import values
from nbexp.frozen import frozen, replace
from nbexp.results import Result, strict

_OWN: Mapping[str, Callable[[Row], object]] = {
    "name": lambda row: values.MISSING if row.name is None else row.name,
    "experiment": lambda row: values.MISSING if row.name is None else row.name,
    "rev": lambda row: row.rev,
    "kind": lambda row: row.kind,
    "state": lambda row: row.state,
    "steps": lambda row: row.steps,
    "created": lambda row: values.MISSING if row.created_s is None else row.created_s,
    "tags": lambda row: row.labels.get("tags", []),
    "star": lambda row: row.labels.get("star", False),
    "note": lambda row: row.labels.get("note", values.MISSING),
}


class Named:
    """The columns of a table by every name they may be called by.

    A param or metric is named by its dotted key, by `file:key`, by the end of its key (`lr` for `train.lr`) where
    that is of one column alone, and by any of them behind `params.` or `metrics.`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns = table.columns(deps=True)
        self._names = {
            **table.view.names,
            **{row.rev: row.name for row in table if row.kind == "baseline"},
        }

    def value(self, name: str) -> Callable[[Row], object]:
        """What a row has in the column of that name.

        Raises
        ------
        NotFound
            There is no such column; the nearest is in the hint.
        UsageError
            Several columns have that name.
        """
        column = self.find(name)
        if column is not None:
            return lambda row: self._value(row, column)
        if name == "baseline":
            return self._baseline
        return _OWN[name]

    def find(self, name: str) -> Column | None:
        """The param, metric or dep of that name; None where it is one that every row has, such as `created`."""
        found = self._called(name)
        if not found and (name in _OWN or name == "baseline"):
            return None
        if not found:
            kind, _, rest = name.partition(".")
            kinds = {"params": "param", "metrics": "metric", "deps": "dep"}
            if kind in kinds and rest:
                found = [c for c in self._called(rest) if c.kind == kinds[kind]]
        if not found:
            found = [c for c in self._columns if c.key.endswith(f".{name}")]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(f"`{_full(column)}`" for column in found)
            raise UsageError(
                f"Several columns are called `{name}`: {listed}.",
                f"name one of them: `{_full(found[0])}`.",
            )
        known = [*_OWN, "baseline", *(column.title for column in self._columns)]
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(known[:20])}."
        raise NotFound(f"The table has no column `{name}`.", hint)

    def _called(self, name: str) -> list[Column]:
        columns = self._columns
        return (
            [column for column in columns if column.title == name]
            or [column for column in columns if f"{column.file}:{column.key}" == name]
            or [column for column in columns if column.key == name]
        )

    def _value(self, row: Row, column: Column) -> object:
        found = self._table.value(row, column)
        return values.MISSING if isinstance(found, FileError) else found

    def _baseline(self, row: Row) -> object:
        """The name of the baseline's branch or tag, else its rev."""
        rev = row.rev if row.kind == "baseline" else row.baseline
        return values.MISSING if rev is None else self._names.get(rev) or rev


def _full(column: Column) -> str:
    kinds = {"param": "params", "metric": "metrics", "dep": "deps"}
    return f"{kinds.get(column.kind, column.kind)}.{column.file}:{column.key}".rstrip(":")


def matching(table: Table, expression: str) -> Table:
    """The rows for which the expression holds; a baseline stays above experiments that do.

    Raises
    ------
    UsageError
        The text is no expression.
    NotFound
        It names a column that the table does not have.
    """
    from nbexp.experiments import where as filters

    named = Named(table)

    def column(name: str) -> Callable[[Row], object]:
        if not table.experiments:
            # Nothing was run yet: there is no column, and nothing to filter.
            try:
                return named.value(name)
            except NotFound:
                return lambda _: values.MISSING
        return named.value(name)

    holds = filters.compile_filter(expression, column)
    kept = [row for row in table if holds(row)]
    revs = {row.rev for row in kept}
    heads = {row.baseline for row in kept if row.kind == "experiment"}
    rows = [
        row if row.rev in revs else replace(row, is_head=True)
        for row in table
        if row.rev in revs or (row.kind == "baseline" and row.rev in heads)
    ]
    return replace(table, rows=tuple(rows))


def order(table: Table, columns: Sequence[str], *, descending: bool = False) -> Table:
    """The table with the experiments of each baseline sorted by these columns; missing values come last.

    A column with a minus before it is sorted the other way round.

    Raises
    ------
    NotFound
        There is no such column.
    UsageError
        Several columns have that name.
    """
    rows = _sorted(table, table.rows, columns, descending=descending)
    if table.view.is_flat:
        return replace(table, rows=tuple(rows))
    members: dict[str | None, list[Row]] = {}
    for row in rows:
        if row.kind == "experiment":
            members.setdefault(row.baseline, []).append(row)
    found: list[Row] = []
    for row in table:
        if row.kind != "experiment":
            found += [row, *(members.pop(row.rev, []) if row.kind == "baseline" else [])]
    for left in members.values():
        found += left
    return replace(table, rows=tuple(found))


def _sorted(
    table: Table, rows: Sequence[Row], columns: Sequence[str], *, descending: bool
) -> list[Row]:
    named = Named(table)
    found = list(rows)
    for name in reversed(columns):
        value = named.value(name.removeprefix("-"))
        is_down = descending is not name.startswith("-")
        known = [row for row in found if _rank(value(row)) is not None]
        missing = [row for row in found if _rank(value(row)) is None]
        known.sort(key=lambda row: _rank(value(row)), reverse=is_down)  # type: ignore[arg-type,return-value]
        found = [*known, *missing]
    return found


def _rank(value: object) -> tuple[int, Any] | None:
    """A key by which values of any types have one order; None for what has no place in it."""
    if value is values.MISSING or value is None:
        return None
    if isinstance(value, bool) or is_number(value):
        return None if value != value else (0, value)
    return (1, value) if isinstance(value, str) else (2, str(value))


# ---- groups


@frozen
class Statistic:
    """A metric over the rows of a group: mean and sample standard deviation of `n` finite numbers."""

    n: int
    mean: float | None
    std: float | None


@frozen
class Group(Result):
    """Rows that are equal in the columns they are grouped by."""

    values: tuple[object, ...]
    rows: tuple[Row, ...]
    statistics: tuple[Statistic, ...]

    @property
    def n(self) -> int:
        return len(self.rows)


@frozen
class Groups(Result):
    """The experiments of a table in groups, with mean and sample standard deviation of each metric.

    `for group in groups`: `group.values`, `group.n`, `group.statistics` in the order of `by` and `metrics`.
    """

    by: tuple[str, ...]
    metrics: tuple[str, ...]
    groups: tuple[Group, ...]
    precision: int | None = None

    def __repr__(self) -> str:
        return f"<Groups by {', '.join(self.by)}: {len(self.groups)}>"

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Any:
        return iter(self.groups)

    def to_json(self) -> list[dict[str, object]]:
        """One object for each group: what it is grouped by, `n`, and `n`, `mean` and `std` of each metric."""
        return [
            {
                "group": {
                    name: None if value is values.MISSING else strict(value)
                    for name, value in zip(self.by, group.values, strict=True)
                },
                "n": group.n,
                "metrics": {
                    name: {"n": found.n, "mean": strict(found.mean), "std": strict(found.std)}
                    for name, found in zip(self.metrics, group.statistics, strict=True)
                },
                "experiments": [row.name or row.rev for row in group.rows],
            }
            for group in self.groups
        ]

    def to_csv(self) -> str:
        """Two columns for each metric, `NAME` with the mean and `NAME std`, in full precision."""
        import csv
        import io

        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(
            [*self.by, "n", *(head for name in self.metrics for head in (name, f"{name} std"))]
        )
        for group in self.groups:
            cells = ["" if value is values.MISSING else value for value in group.values]
            for found in group.statistics:
                cells += ["" if one is None else one for one in (found.mean, found.std)]
            writer.writerow([*cells[: len(self.by)], group.n, *cells[len(self.by) :]])
        return out.getvalue()

    def to_markdown(self) -> str:
        """The lines of the text as a Markdown table."""
        return markdown(self.lines())

    def to_frame(self) -> Any:
        """A pandas DataFrame: one line a group, with columns `NAME` and `NAME std` for each metric."""
        import pandas as pd

        frame: dict[str, list[object]] = {
            name: [
                None if group.values[at] is values.MISSING else group.values[at]
                for group in self.groups
            ]
            for at, name in enumerate(self.by)
        }
        frame["n"] = [group.n for group in self.groups]
        for at, name in enumerate(self.metrics):
            frame[name] = [group.statistics[at].mean for group in self.groups]
            frame[f"{name} std"] = [group.statistics[at].std for group in self.groups]
        return pd.DataFrame(frame).infer_objects()

    def lines(self) -> list[list[str]]:
        """The table for people, its head first."""
        heads = [f"{name} (mean ± sample std)" for name in self.metrics]
        lines = [[*self.by, "n", *heads]]
        decimals = [self._decimals(at) for at in range(len(self.metrics))]
        for group in self.groups:
            cells = [cell_text(value, self.precision or DIGITS) for value in group.values]
            for found, digits in zip(group.statistics, decimals, strict=True):
                cells.append(self._text(found, digits, group.n))
            lines.append([*cells[: len(self.by)], str(group.n), *cells[len(self.by) :]])
        return lines

    def _decimals(self, at: int) -> int | None:
        """Digits after the point of a column; None where no group has a deviation.

        As many as its smallest deviation needs to be seen, and three significant ones of its largest mean.
        """
        found = [group.statistics[at] for group in self.groups]
        deviations = [one.std for one in found if one.std]
        means = [abs(one.mean) for one in found if one.mean]
        if not any(one.std is not None for one in found) or self.precision:
            return None
        wanted = [-math.floor(math.log10(min(deviations)))] if deviations else []
        wanted += [2 - math.floor(math.log10(max(means)))] if means else []
        return min(10, max(1, *wanted)) if wanted else 1

    def _text(self, found: Statistic, decimals: int | None, n: int) -> str:
        if found.mean is None:
            return "-"

        def written(value: float) -> str:
            if decimals is None or abs(value) >= 1e15:
                return f"{value:.{self.precision or DIGITS}g}"
            return f"{value:.{decimals}f}"

        text = written(found.mean)
        if found.std is not None:
            text += f" ± {written(found.std)}"
        return text if found.n == n else f"{text} ({found.n} of {n})"


def grouped(
    table: Table, names: Sequence[str], sort: Sequence[str] = (), *, descending: bool = False
) -> Groups:
    """The experiments of the table by their values in the named columns.

    Parameters
    ----------
    sort
        Metrics, by whose mean the groups are sorted, or columns that they are grouped by; none sorts by those.

    Raises
    ------
    NotFound
        There is no such column.
    UsageError
        Several columns have that name, or the groups cannot be sorted by it.
    """
    named = Named(table)
    getters = [named.value(name) for name in names]
    columns = [column for column in table.shown_columns() if column.kind == "metric"]
    columns = [
        column
        for column in columns
        if any(is_number(table.value(row, column)) for row in table.experiments)
    ]
    members: dict[tuple[object, ...], list[Row]] = {}
    first: dict[tuple[object, ...], tuple[object, ...]] = {}
    for row in table.experiments:
        found = tuple(getter(row) for getter in getters)
        key = tuple(_key(value) for value in found)
        first.setdefault(key, found)
        members.setdefault(key, []).append(row)
    groups = [
        Group(first[key], tuple(rows), tuple(_statistic(table, rows, c) for c in columns))
        for key, rows in members.items()
    ]
    places = {column: at for at, column in enumerate(columns)}
    orders: list[tuple[Callable[[Group], object], bool]] = []
    for name in sort or names:
        bare = name.removeprefix("-")
        is_down = (descending and bool(sort)) is not name.startswith("-")
        orders.append((_sorter(named, names, places, bare), is_down))
    for getter, is_down in reversed(orders):
        known = [group for group in groups if _rank(getter(group)) is not None]
        missing = [group for group in groups if _rank(getter(group)) is None]
        known.sort(key=lambda group: _rank(getter(group)), reverse=is_down)  # type: ignore[arg-type,return-value]
        groups = [*known, *missing]
    titles = tuple(column.title for column in columns)
    return Groups(tuple(names), titles, tuple(groups), table.view.precision)


def _sorter(
    named: Named, names: Sequence[str], places: Mapping[Column, int], name: str
) -> Callable[[Group], object]:
    if name in names:
        at = list(names).index(name)
        return lambda group: group.values[at]
    if name == "n":
        return lambda group: group.n
    column = named.find(name)
    for at, one in enumerate(names):
        if column is not None and named.find(one) == column:
            return lambda group: group.values[at]
    if column is None or column not in places:
        raise UsageError(
            f"Groups cannot be sorted by `{name}`, which is neither a metric of numbers nor what they are grouped by.",
            f"`nbexp show --group-by {','.join(names)} --sort-by {names[0]}`",
        )
    place = places[column]
    return lambda group: group.statistics[place].mean


def _key(value: object) -> object:
    """What tells groups apart: 1 and true are two, 1 and 1.0 are one, lists have no hash."""
    if isinstance(value, float) and value != value:
        return ("nan",)
    if isinstance(value, (list, dict)):
        return ("list", repr(value))
    return (isinstance(value, bool), value)


def _statistic(table: Table, rows: Sequence[Row], column: Column) -> Statistic:
    import statistics

    cells = [table.value(row, column) for row in rows]
    numbers = [float(cell) for cell in cells if is_number(cell) and math.isfinite(cell)]  # type: ignore[arg-type]
    if not numbers:
        return Statistic(0, None, None)
    std = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Statistic(len(numbers), statistics.fmean(numbers), std)


# ---- all of it


def listed(columns: str | Sequence[str]) -> tuple[str, ...]:
    """Names of columns, given one by one, with commas between them, or both."""
    words = [columns] if isinstance(columns, str) else columns
    return tuple(name for word in words for part in word.split(",") if (name := part.strip()))


def arranged(
    rows: Sequence[Row],
    view: View,
    expression: str | None,
    *,
    sort: Sequence[str] = (),
    descending: bool = False,
    group_by: Sequence[str] = (),
) -> Table | Groups:
    """The rows filtered, sorted and grouped as asked.

    Raises
    ------
    NotFound
        There is no such column.
    UsageError
        A name is of several columns, or the filter or a pattern cannot be understood.
    """
    table = Table(tuple(rows), view)
    view.chosen((), ())  # patterns are looked at before anything is shown
    if expression is not None:
        table = matching(table, expression)
    if view.is_flat and not group_by:
        names = {row.rev: row.name for row in rows if row.kind == "baseline" and row.name}
        table = Table(table.experiments, replace(view, names=names))
    if group_by:
        return grouped(table, group_by, sort, descending=descending)
    if sort:
        table = order(table, sort, descending=descending)
        table = replace(table, view=replace(table.view, is_sorted=True))
    return table
