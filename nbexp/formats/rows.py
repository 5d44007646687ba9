"""Plots files: CSV, TSV, JSON and YAML to rows (formats.md 8.1)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from nbexp.errors import ProjectFileError
from nbexp.formats import values

Row = Mapping[str, object]


def parse(data: bytes, path: str) -> list[Row]:
    """The rows of a plots file; numbers are numbers, in CSV as well.

    Raises
    ------
    ProjectFileError
        The file is not what its ending says.
    """
    if path.endswith((".csv", ".tsv")):
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ProjectFileError("this is not UTF-8 text.", path=path) from None
        delimiter = "\t" if path.endswith(".tsv") else ","
        reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
        number = values.number
        return [{key: number(cell) for key, cell in row.items() if key} for row in reader]
    return _lists(values.parse(data, path))


def _lists(tree: object) -> list[Row]:
    """The first list of mappings in the tree, at whatever depth."""
    if isinstance(tree, list):
        return [row for row in tree if isinstance(row, Mapping)]
    if isinstance(tree, Mapping):
        for value in tree.values():
            found = _lists(value)
            if found:
                return found
    return []
