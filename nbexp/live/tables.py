"""The tables of logged values: one file per name, one line per step, to the byte as dvclive writes them.

    step<TAB>loss                    the last part of the name `train/loss`, whose file is train/loss.tsv
    0<TAB>0.5

dvclive 3.49.1, formats.md 8.3; `tests/conformance/test_live.py` writes the same values with both.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

FOLDER = os.path.join("plots", "metrics")


def plain(name: str, value: object) -> float | str:
    """The value as a number or text of Python's own; a number that JSON does not know becomes text.

    Raises
    ------
    TypeError
        It is neither a number nor text, nor what a library wraps as one number.
    """
    if isinstance(value, str):
        return value
    found = number(name, value)
    # As dvclive has it: text in the tables, so that JSON made of them stays valid.
    return found if math.isfinite(found) else str(found)


def number(name: str, value: object) -> float:
    """The number that `value` is or wraps (numpy, torch, tensorflow, jax: of no dimension)."""
    if not isinstance(value, int | float) and getattr(value, "ndim", None) == 0:
        value = value.item()  # type: ignore[attr-defined]  # each of them has it
    if isinstance(value, int | float):
        return value
    raise TypeError(f"`{name}` is {type(value).__name__}; live.log takes numbers and text")


def as_written(value: object, known: float | str) -> float | str:
    """What stands in the table: numpy prints a float32 by its own digits, as a Python float it would have 17."""
    return str(value) if type(value).__module__ == "numpy" else known


def check(name: str, kind: str = "metric") -> None:
    """Refuse a name whose file would be outside of its folder; slashes make folders.

    Raises
    ------
    ValueError
        It is such a name. Nothing was written.
    """
    parts = name.replace("\\", "/").split("/")
    if not parts[-1] or ".." in parts or os.path.isabs(name):
        raise ValueError(f"`{name}` is no name for a {kind}; slashes may only make folders")


def append(file: str, heads: Sequence[str], cells: Sequence[object], *, anew: bool) -> None:
    """Write a row at the end of the table, or, `anew`, at its beginning below the heads."""
    text = _line(heads) + _line(cells) if anew else _line(cells)
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if anew else os.O_APPEND)
    target = os.open(file, flags | getattr(os, "O_BINARY", 0), 0o666)
    try:
        os.write(target, text.encode())
    finally:
        os.close(target)


def last_step(file: str) -> float | None:
    """The step of the last row; None where there is no table, or nothing in it that could be one."""
    try:
        with open(file, "rb") as table:
            table.seek(max(0, os.path.getsize(file) - 4096))
            cell = table.read().splitlines()[-1].split(b"\t")[0]
        return float(cell)
    except (OSError, IndexError, ValueError):
        return None


def _line(cells: Sequence[object]) -> str:
    if any(type(cell) not in {int, float, bool} for cell in cells):
        return _quoted(cells)
    return "\t".join([repr(cell) for cell in cells]) + os.linesep


def _quoted(cells: Sequence[object]) -> str:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator=os.linesep).writerow(cells)
    return text.getvalue()
