"""What is said the same everywhere: aligned columns, numbers, sizes, times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

# Significant digits of a float that people read; JSON and CSV have them all.
DIGITS = 5


def aligned(
    rows: Sequence[Sequence[str]],
    gap: str = "  ",
    paint: Callable[[str, int, int], str] | None = None,
) -> list[str]:
    """Lines with their columns aligned, short rows allowed; what a cell says moves or colours nothing.

    `paint` is given each cell with the numbers of its line and column, and may add what takes no room.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    count = max((len(row) for row in rows), default=0)
    sizes = [max((width(row[i]) for row in rows if i < len(row)), default=0) for i in range(count)]
    return [
        gap.join(
            (paint(cell, line, column) if paint else cell) + " " * (sizes[column] - width(cell))
            for column, cell in enumerate(row)
        ).rstrip()
        for line, row in enumerate(rows)
    ]


def width(text: str) -> int:
    """How many columns of a terminal a text takes: 漢字 four, an accent of its own none."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0
        if unicodedata.category(one) in ("Mn", "Me", "Cf")
        else 1 + (unicodedata.east_asian_width(one) in "WF")
        for one in text
    )


def shown(value: object) -> str:
    """A value as people read it: floats short, `-` for nothing."""
    from nbexp.experiments.value_text import cell_text

    return cell_text(value, DIGITS)


def side(value: object) -> str:
    """A value on one side of a change: null and an empty text are something, unlike what is not there."""
    return "null" if value is None else '""' if value == "" else shown(value)


def clock(seconds: int | None) -> str:
    """When something was made: the time if today, else the date."""
    if seconds is None:
        return "-"
    moment = time.localtime(seconds)
    today = moment[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d", moment)


def signed(delta: float) -> str:
    """A difference with its sign."""
    return f"{delta:+.{DIGITS}g}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def sized(count: int | None) -> str:
    """A number of bytes as people read it."""
    if count is None:
        return "?"
    size, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{count} B" if units[0] == "B" else f"{size:.3g} {units[0]}"


def size(size_bytes: int) -> str:
    """Bytes as people say them: `12 bytes`, `3.4 MB`."""
    if size_bytes < 1000:
        return counted(size_bytes, "byte")
    value, units = float(size_bytes), iter("kMGT")
    unit = ""
    while value >= 999.5:
        value, unit = value / 1000, next(units)
    return f"{value:.3g} {unit}B"


def counted(number: int, noun: str) -> str:
    """`1 file`, `3 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(line: str) -> str:
    """The line without what would move the cursor or change colours of a terminal."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in line)
