"""A table of experiments as DVC writes it: JSON, CSV and Markdown; what DVC does not have is added to it.

Ten thousand experiments are common: what the index has of one is passed on as the text that it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.experiments.row import FileError, Row
from nbexp.experiments.value_text import DIGITS, local_time, markdown, plain, rounded
from nbexp.formats import values
from nbexp.frozen import replace
from nbexp.results import strict

if TYPE_CHECKING:
    from nbexp.experiments.table import Column, Table

# The titles of DVC's own columns.
HEADS = ("Experiment", "rev", "typ", "Created", "parent", "State", "Executor")
_quoted: Callable[[str], str] = json.encoder.encode_basestring


def json_text(table: Table) -> str:
    """`exp show --json` (formats.md 6.2), with labels and differences where there are any."""
    table = _as_dvc(table)
    # Of ten thousand it is megabytes: they are put together once, from all their pieces.
    members: dict[str, list[str]] = {}
    is_compared = table.view.reference is not None
    for row in table.rows:
        if row.kind == "experiment":
            own = row.__dict__
            if "_stored" in own and not own["labels"] and not is_compared:
                told = _stored_range(own)
            else:
                told = _range(table, row)
            below = members.setdefault(row.baseline or "", [])
            below += (", ", told) if below else (told,)
    heads = [row for row in table.rows if row.kind != "experiment"]
    seen = {row.rev for row in heads}
    heads += (Row(rev, None, "baseline", None) for rev in members if rev not in seen)
    pieces = ["["]
    for row in heads:
        start, end = _state(table, row)
        listed = None if row.kind == "workspace" else members.get(row.rev)
        # DVC has null, not an empty list, where a baseline has no experiments.
        pieces += [start, "[", *listed, "]", end] if listed else [start, "null", end]
        pieces.append(", ")
    pieces[-1 if heads else 1 :] = ["]"]
    return "".join(pieces)


def csv_text(table: Table) -> str:
    """`exp show --csv`, whose precision is full unless another is asked for, and whose lines end in CR LF."""
    import csv
    import io

    table = _as_dvc(table)
    out = io.StringIO()
    writer = csv.writer(out)
    precision = table.view.precision

    def written(value: object) -> str:
        if value is values.MISSING:
            return ""
        if isinstance(value, FileError):
            return "!"
        return rounded(value, precision) if precision and value is not None else plain(value)

    def created(row: Row) -> str:
        return "" if row.created_s is None else local_time(row.created_s)

    last = _last(table)
    heads = [_csv_head(row, last) for row in table.listed]
    grid = [(title, [line[at] for line in heads]) for at, title in enumerate(HEADS[:3])]
    grid.append(("Created", [created(row) for row in table.listed]))
    grid.append(("parent", [""] * len(table.listed)))
    writer.writerows(_lines(table, [*grid, *_states(table, ""), *_cells(table, written)]))
    return out.getvalue()


def markdown_text(table: Table) -> str:
    """`exp show --md`."""
    table = _as_dvc(table)

    def written(value: object) -> str:
        if value is values.MISSING:
            return "-"
        if isinstance(value, FileError):
            return "!"
        return rounded(value, table.view.precision or DIGITS)

    last = _last(table)
    grid = [
        ("Experiment", [_md_name(row, last) for row in table.listed]),
        (
            "Created",
            ["-" if row.created_s is None else _dvc_time(row.created_s) for row in table.listed],
        ),
    ]
    lines = _lines(table, [*grid, *_states(table, "-"), *_cells(table, written)])
    return markdown(lines) if lines[0] else ""


def _range(table: Table, row: Row) -> str:
    executor = row.executor
    if executor is None and row.steps:
        # What was stopped is an experiment to DVC, as far as it is.
        running = {"state": "running", "name": "workspace", "local": None}
        executor = running if row.state == "running" else None
    elif executor is None and row.state != "done":
        executor = {"state": "failed", "name": "nbexp", "local": None}
    revs = ", ".join("null".join(_state(table, one)) for one in (row, *row.earlier))
    told = "null" if executor is None else _json(executor)
    return f'{{"revs": [{revs}], "executor": {told}, "name": {_json(row.name)}}}'


def _state(table: Table, row: Row) -> tuple[str, str]:
    """What there is to say of a row, before and after the experiments below it."""
    data = error = "null"
    if row.data is not None:
        # Hex digits, a word or a time need no escaping.
        created = "null" if row.created_s is None else f'"{local_time(row.created_s)}"'
        data = f'{{"rev": "{row.rev}", "timestamp": {created}, {row.data.json_text()}}}'
    if row.error is not None:
        error = _json({"msg": row.error, "type": row.error_type})
    more = ""
    if table.view.reference is not None:
        deltas = _deltas(table, row)
        more += f', "delta": {_json(deltas)}' if deltas else ""
    if row.labels:
        more += f', "labels": {_json(strict(dict(row.labels)))}'
    if row.is_detached:
        more += ', "detached": true'
    if row.step is not None:
        more += f', "step": {row.step}'
    if row.steps:
        more += f', "steps": {row.steps}, "state": "{row.state}"'
    start = f'{{"rev": "{row.rev}", "name": {_json(row.name)}, "data": {data}, '
    return f'{start}"error": {error}, "experiments": ', f"{more}}}"


def _deltas(table: Table, row: Row) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for column in _metrics(table):
        delta = table.delta(row, column)
        if delta is not None:
            found.setdefault(column.file, {})[column.key] = strict(delta)
    return found


def _stored_range(row: Mapping[str, Any]) -> str:
    """What `_range` says of the fields of a row that is nothing but `Row.stored`, in one go."""
    rev, name = row["rev"], _quoted(row["name"])
    return (
        f'{{"revs": [{{"rev": "{rev}", "name": {name}, "data": {{"rev": "{rev}", '
        f'"timestamp": "{local_time(row["created_s"])}", {row["_stored"]}}}, "error": null, '
        f'"experiments": null}}], "executor": null, "name": {name}}}'
    )


def _metrics(table: Table) -> list[Column]:
    known: list[Column] | None = vars(table).get("_metrics_known")
    if known is None:
        known = [column for column in table.columns() if column.kind == "metric"]
        vars(table)["_metrics_known"] = known
    return known


def _as_dvc(table: Table) -> Table:
    """This table, but for what DVC says of failed tasks, and experiments of one second: the highest revision first.

    Notes
    -----
    DVC 3.67.1, `_sorted_ranges` of repo/experiments/collect.py. In which order they were begun only nbexp knows.
    """
    if any(row.dvc_data is not None for row in table.rows):
        told = (
            row if row.dvc_data is None else replace(row, data=row.dvc_data, dvc_data=None)
            for row in table.rows
        )
        return _as_dvc(replace(table, rows=tuple(told)))
    if table.view.is_sorted:
        return table
    groups: list[list[Row]] = []
    is_other = False
    last: Row | None = None
    for row in table.rows:
        if (
            last is not None
            and row.created_s == last.created_s
            and row.kind == last.kind == "experiment"
            and row.state == last.state == "done"
            and row.baseline == last.baseline
        ):
            groups[-1].append(row)
            is_other = is_other or row.rev > last.rev
        else:
            groups.append([row])
        last = row
    if not is_other:
        return table
    for group in groups:
        group.sort(key=lambda row: row.rev, reverse=True)
    return replace(table, rows=tuple(row for group in groups for row in group))


def _lines(table: Table, grid: Sequence[tuple[str, Sequence[str]]]) -> list[list[str]]:
    """The chosen columns as lines, their titles first."""
    places = table.view.chosen([title for title, _ in grid], [cells for _, cells in grid])
    chosen = [grid[at] for at in places]
    return [
        [title for title, _ in chosen],
        *([cells[at] for _, cells in chosen] for at in range(len(table.listed))),
    ]


def _states(table: Table, nothing: str) -> list[tuple[str, list[str]]]:
    """State and executor, each where any row has one."""
    states, executors = [], []
    for row in table.listed:
        said = row.executor or {}
        state = str(said["state"]).capitalize() if said else row.state_words
        states.append(nothing if state == "done" else state)
        name = said.get("name")
        executors.append(str(name).capitalize() if name else nothing)
    grid = [("State", states), ("Executor", executors)]
    return [(title, cells) for title, cells in grid if set(cells) - {nothing}]


def _cells(table: Table, written: Callable[[object], str]) -> Iterator[tuple[str, list[str]]]:
    """Metrics, params and deps; what DVC does not have comes last."""
    columns = table.columns(deps=True)
    for column in (*columns, *table.labels()):
        yield column.title, [written(table.value(row, column)) for row in table.listed]
    for column in columns if table.view.reference else ():
        if column.kind == "metric":
            deltas = [table.delta(row, column) for row in table.listed]
            cells = [written(values.MISSING if delta is None else delta) for delta in deltas]
            yield f"{column.title} change", cells


def _csv_head(row: Row, last: Collection[int]) -> list[str]:
    if row.kind == "workspace":
        return ["", "workspace", "baseline"]
    if row.kind == "baseline":
        return ["", row.name or row.rev[:7], "baseline"]
    if row.is_step:
        # The word of DVC 2.x.
        return [row.name or "", row.rev[:7], "checkpoint_commit"]
    return [row.name or "", row.rev[:7], "branch_base" if id(row) in last else "branch_commit"]


def _last(table: Table) -> set[int]:
    """The last experiment of each baseline, by identity: asking it of each row would be quadratic."""
    return {id(row) for row in {row.baseline: row for row in table.experiments}.values()}


def _md_name(row: Row, last: Collection[int]) -> str:
    if row.kind == "workspace":
        return "workspace"
    if row.kind == "baseline":
        return row.name or row.rev[:7]
    if row.is_step:
        return f"│   {row.rev[:7]} [{row.name}]"
    corner = "└──" if id(row) in last else "├──"
    return f"{corner} {row.rev[:7]} [{row.name}]" if row.name else f"{corner} {row.rev[:7]}"


def _dvc_time(seconds: int) -> str:
    moment = time.localtime(seconds)
    today = moment[:3] == time.localtime()[:3]
    return time.strftime("%I:%M %p" if today else "%b %d, %Y", moment)


def _json(value: object) -> str:
    # A table of ten thousand rows asks for these forty thousand times.
    if value is None:
        return "null"
    if type(value) is str:
        return _quoted(value)
    return json.dumps(value, ensure_ascii=False, default=str)
