"""The rows of a plot: what its files hold, with x, y and revision in columns that a template can name.

A plot may take y from several columns or files, and x from another file: then rows are repeated for each y, `filename`
and `field` say which one it is, and different columns become one, `dvc_inferred_y_value`. The rules and the words are
those of DVC 3.67.1 (`tests/conformance/test_plots.py` compares them).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from nbexp.frozen import field, frozen

Row = dict[str, object]

INDEX = "step"
X_VALUE, Y_VALUE = "dvc_inferred_x_value", "dvc_inferred_y_value"


class NoPlot(Exception):
    """The files have nothing that could be drawn as asked; `kind` is what DVC's JSON calls it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@frozen
class Prepared:
    """The rows of one revision, and the properties of the plot that follow from them; both empty: no data."""

    rows: list[Row] = field(default_factory=list, hash=False)
    properties: Mapping[str, object] = field(default_factory=dict, hash=False)


def sources(plot: str, properties: Mapping[str, object]) -> tuple[str, ...]:
    """The files that a plot takes its data from; `plot` is one itself where `y` names none."""
    x, y = properties.get("x"), properties.get("y")
    found = [*y] if isinstance(y, Mapping) else [plot]
    if isinstance(x, Mapping):
        found += [*x][:1]
    return tuple(dict.fromkeys(found))


def prepared(
    plot: str, contents: Mapping[str, object], properties: Mapping[str, object], rev: str
) -> Prepared:
    """The rows of a plot in one revision.

    Parameters
    ----------
    contents
        What each file holds, as `formats.plot_files` reads it.

    Raises
    ------
    NoPlot
        A column is missing, or the shape of the data does not fit.
    """
    axes = _axes(plot, contents, properties)
    tables = {file: _table(content, file) for file, content in contents.items()}
    xs, ys = _columns(axes["x"], tables), _columns(axes["y"], tables)
    if len(xs) > 1 and len(xs) != len(ys):
        raise NoPlot(
            "DvcException",
            "Cannot have different number of x and y data sources. Found "
            f"{len(xs)} x and {len(ys)} y data sources.",
        )
    x_names, y_names = (dict.fromkeys(name for _, name in one) for one in (xs, ys))
    x_name = X_VALUE if len(x_names) > 1 else next(iter(x_names), INDEX)
    y_name = Y_VALUE if len(y_names) > 1 else next(iter(y_names), None)
    files = {file for file, _ in ys}
    shared = len(posixpath.commonpath(files)) if len(files) > 1 else 0
    found: list[Row] = []
    for number, (file, name) in enumerate(ys):
        rows = [{**row} for row in tables.get(file, ())]
        if y_name == Y_VALUE:
            _copied(rows, rows, name, Y_VALUE)
        if xs:
            x_file, x_column = xs[number if len(xs) > 1 else 0]
            beside = tables.get(x_file, ())
            if len(beside) != len(rows):
                raise NoPlot(
                    "DvcException",
                    f"Cannot join '{x_column}' from '{x_file}' and '{name}' from '{file}'. "
                    "They have to have same length.",
                )
            _copied(rows, beside, x_column, x_name)
        else:
            for index, row in enumerate(rows):
                row[INDEX] = index
        label = {"rev": rev, "filename": _shortened(file, shared), "field": name}
        for row in rows:
            row.update(label)
        found += rows
    if not found:
        return Prepared()
    return Prepared(
        found,
        {
            **properties,
            **axes,
            "y_label": _label(properties.get("y_label"), axes["y"], "y"),
            "x_label": _label(properties.get("x_label"), axes["x"], "x", INDEX),
            "x": x_name,
            "y": y_name,
            "anchors_y_definitions": [
                {"filename": _shortened(file, shared), "field": name} for file, name in ys
            ],
        },
    )


def _axes(
    plot: str, contents: Mapping[str, object], properties: Mapping[str, object]
) -> dict[str, Mapping[str, object] | None]:
    """Columns of x and y by file."""
    x, y = properties.get("x"), properties.get("y")
    if isinstance(x, str):
        if isinstance(y, Mapping):
            x = {
                file: [x] * len(names) if isinstance(names, list) else x
                for file, names in y.items()
            }
        else:
            x = {plot: x}
    if y is None:
        y = _last_column(plot, contents)
    elif not isinstance(y, Mapping):
        y = {plot: y}
    return {"x": x if isinstance(x, Mapping) else None, "y": y}


def _last_column(plot: str, contents: Mapping[str, object]) -> Mapping[str, object] | None:
    if plot not in contents:
        return None
    for listed in _lists(contents[plot], plot):
        rows = [row for row in listed if isinstance(row, Mapping)]
        if len(rows) == len(listed):
            if not rows:
                raise _no_rows(plot)
            return {plot: [*rows[0]][-1] if rows[0] else None}
    return None


def _lists(content: object, file: str) -> Iterator[list[object]]:
    """The lists of a file: it, or what is in its mappings at whatever depth."""
    if isinstance(content, list):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            if isinstance(value, list | Mapping):
                yield from _lists(value, file)
    else:
        raise NoPlot(
            "AttributeError", f"{file} holds a {type(content).__name__}, and no list of rows."
        )


def _table(content: object, file: str) -> list[Row]:
    """The rows of a file: of several lists, those with the same number are one row."""
    table: list[Row] = []
    for rows in _lists(content, file):
        mappings = [row for row in rows if isinstance(row, Mapping)]
        if len(mappings) < len(rows):
            continue
        if not mappings:
            raise _no_rows(file)
        if {*mappings[0]} != {key for row in mappings for key in row}:
            continue  # rows that differ in their columns are no table
        table += ({} for _ in range(len(mappings) - len(table)))
        for whole, part in zip(table, mappings, strict=False):
            whole.update(part)
    return table


def _no_rows(file: str) -> NoPlot:
    return NoPlot("AttributeError", f"{file} has a list without rows.")


def _columns(
    axis: Mapping[str, object] | None, tables: Mapping[str, Sequence[Row]]
) -> list[tuple[str, str]]:
    """File and column, one for each; those of files that are there exist."""
    found: list[tuple[str, str]] = []
    for file, names in (axis or {}).items():
        listed = [names] if isinstance(names, str) else names
        for name in listed if isinstance(listed, list) else ():
            table = tables.get(file)
            if table is not None and not table:
                raise NoPlot("TypeError", f"{file} has no table: its rows differ in their columns.")
            if table is not None and name not in table[0]:
                there = ", ".join(map(str, table[0]))
                raise NoPlot(
                    "FieldNotFoundError",
                    f"Could not find provided field ('{name}') in data fields ('{there}').",
                )
            found.append((file, str(name)))
    return found


def _copied(rows: Sequence[Row], source: Sequence[Row], column: str, name: str) -> None:
    for row, other in zip(rows, source, strict=True):
        if column in other:
            row[name] = other[column]


def _label(
    given: object, axis: Mapping[str, object] | None, several: str, nothing: str | None = None
) -> object:
    """What an axis is called: as given, else as its one column."""
    if given is not None:
        return given
    if axis is None:
        return nothing
    names: dict[object, None] = {}
    for columns in axis.values():
        names.update(dict.fromkeys(columns if isinstance(columns, list) else [columns]))
    return next(iter(names)) if len(names) == 1 else several


def _shortened(file: str, shared: int) -> str:
    """The name of a file without what all have in common."""
    return file[shared:].strip("/\\")
