"""Values and tables as text: for people, and as DVC writes them in CSV and Markdown."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from nbexp.errors import UsageError
from nbexp.experiments.row import FileError
from nbexp.formats import values

DIGITS = 5
"""Significant digits of floats for people, as DVC has them."""

_MOST_DIGITS = 1100  # no float has more of them


def label_text(value: object) -> str:
    """A star, tags or a note in a cell: `★`, `best, paper`, a note's first line."""
    if isinstance(value, bool):
        return "★" if value else "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value).strip().partition("\n")[0]


def cell_text(value: object, digits: int) -> str:
    """A value in a cell for people: one line, floats short."""
    if value is values.MISSING or value is None:
        return "-"
    if isinstance(value, FileError):
        return "-" if value.is_missing else "!"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # Line ends would break the table, and escape sequences the terminal.
        return value if value.isprintable() else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)


def is_number(value: object) -> bool:
    """Whether a difference of it means something: an int or float that is no boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first line its head, padded as DVC pads it.

    What would end a cell or be markup to who shows it is escaped, which DVC does not do.
    """
    lines = [[_escaped(cell) for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    # tabulate, which DVC uses, keeps two spaces of air in the head of every column.
    widths = [max(width, len(head) + 2) for width, head in zip(widths, lines[0], strict=True)]

    def written(line: Sequence[str]) -> str:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([written(lines[0]), rule, *map(written, lines[1:])]) + "\n"


def _escaped(cell: str) -> str:
    if cell.isalnum():
        return cell
    cell = cell.replace("<", "&lt;").replace("|", "\\|")
    return cell if cell.isprintable() else " ".join(cell.split())


def plain(value: object) -> str:
    """A value as DVC writes it in CSV."""
    if value is None:
        return ""
    return str(list(value)) if isinstance(value, (list, tuple)) else str(value)


def checked_precision(digits: int | None) -> int | None:
    """That many significant digits, if so many can be written; None and 0 are the default ones.

    Raises
    ------
    UsageError
        They cannot.
    """
    if digits is not None and not 0 <= digits <= _MOST_DIGITS:
        raise UsageError(
            f"`--precision {digits}` is no number of digits from 1 to {_MOST_DIGITS}. Nothing was shown.",
            "`--precision 3`.",
        )
    return digits


def rounded(value: object, digits: int) -> str:
    """A value for people: floats with that many significant digits."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return "-" if value is None else plain(value)


def local_time(seconds: int) -> str:
    """ISO local time without a zone, as DVC has it."""
    minute, rest = divmod(seconds, 60)
    known = _minutes.get(minute)
    if known is None:
        if len(_minutes) > _MANY_MINUTES:
            _minutes.clear()
        known = _minutes[minute] = time.strftime("%Y-%m-%dT%H:%M:", time.localtime(minute * 60))
    return known + _SECONDS[rest]


# No zone's clock differs by seconds from another's since there is Git, and the times of a table lie close together:
# asking the C library for each of ten thousand took as long as to read them.
_MANY_MINUTES = 100_000
_SECONDS = tuple(f"{second:02}" for second in range(60))
_minutes: dict[int, str] = {}
