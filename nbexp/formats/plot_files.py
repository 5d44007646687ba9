"""Plots files as DVC's JSON has them: the rows of CSV and TSV as text, all else as it is, pictures as their bytes.

`rows` reads the same files for curves, where numbers are numbers.
"""

from __future__ import annotations

import csv
import io
import posixpath

from nbexp.errors import ProjectFileError
from nbexp.formats import limits, values

# Told by their ending alone, as it is spelled here.
PICTURES = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_TABLES = {".csv": ",", ".tsv": "\t"}
_TREES = (".json", ".yaml", ".yml", ".toml", ".py")
# A curve may be longer than any params file: 100,000 rows of ten columns.
_MAX_LEAVES = 1_000_000
_MAX_CELL = 1 << 20


def is_picture(path: str) -> bool:
    """Whether a file is a picture, by its name."""
    return posixpath.splitext(path)[1] in PICTURES


def is_known(path: str) -> bool:
    """Whether a file can be a plot, by its name."""
    return posixpath.splitext(path)[1] in {*PICTURES, *_TABLES, *_TREES}


def parse(data: bytes, path: str, *, has_header: bool = True) -> object:
    r"""What a plots file holds.

    Parameters
    ----------
    has_header
        The first line of a CSV or TSV file names its columns; else they are called 0, 1, 2, ….

    Raises
    ------
    ProjectFileError
        The file is not what its ending says, or has none of these endings.

    Examples
    --------
    >>> parse(b"step,acc\n0,0.5\n", "acc.csv")
    [{'step': '0', 'acc': '0.5'}]
    """
    ending = posixpath.splitext(path)[1]
    if ending in PICTURES:
        return data
    if ending in _TREES:
        return values.parse(data, path, max_leaves=_MAX_LEAVES)
    if ending not in _TABLES:
        raise ProjectFileError(
            "plots are made of CSV, TSV, JSON, YAML and pictures"
            f" ({', '.join(name[1:] for name in PICTURES)}).",
            path=path,
        )
    text = limits.decoded(data, path).removeprefix("\ufeff")
    lines = io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n"))
    before = csv.field_size_limit(_MAX_CELL)
    try:
        return _rows(lines, _TABLES[ending], has_header=has_header)
    except csv.Error as error:
        raise ProjectFileError(f"this is no table: {error}.", path=path) from None
    finally:
        csv.field_size_limit(before)


def _rows(lines: io.StringIO, delimiter: str, *, has_header: bool) -> list[dict[object, object]]:
    """The rows by column; cells without a column are a list under None, columns without a cell are None."""
    if has_header:
        return [*csv.DictReader(lines, delimiter=delimiter)]
    read = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    names = [str(number) for number in range(len(read[0]) if read else 0)]
    found: list[dict[object, object]] = []
    for row in read:
        cells: dict[object, object] = {
            name: row[at] if at < len(row) else None for at, name in enumerate(names)
        }
        found.append({**cells, None: row[len(names) :]} if len(row) > len(names) else cells)
    return found
