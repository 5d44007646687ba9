"""How far two files say the same: equal, equal but for the last digits of their numbers, or where they begin to differ.

A notebook is compared cell by cell, JSON, YAML and TOML key by key, CSV and TSV row by row, other text line by line,
and anything else byte by byte. Numbers agree as NumPy's `allclose` has it, with its tolerances; whole numbers are
counts and names of things, and agree when they are equal.
"""

from __future__ import annotations

import csv
import io
import json
import math
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile, zip_longest
from typing import Any, BinaryIO, Literal

from nbexp.errors import ProjectFileError
from nbexp.formats import notebook, values
from nbexp.frozen import frozen

Verdict = Literal["identical", "close", "different", "missing"]

RTOL, ATOL = 1e-5, 1e-8  # numpy.allclose
_MAX_PARSED = 64 << 20
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WHOLE = re.compile(r"[-+]?\d+")
_SHOWN = 60
_LEAD = 20  # what is shown before the place where two texts part


@frozen
class Tolerance:
    """Numbers agree when they differ by no more than `atol + rtol * |the recorded one|`."""

    rtol: float = RTOL
    atol: float = ATOL

    def agree(self, old: float, new: float) -> bool:
        if old == new or (math.isnan(old) and math.isnan(new)):
            return True
        return math.isfinite(old) and abs(new - old) <= self.atol + self.rtol * abs(old)


@frozen
class Agreement:
    """How far two files agree.

    Attributes
    ----------
    detail
        Of what differs the first: "row 3, column acc: 0.91 -> 0.87". Of what is close the largest difference.
    cell
        The first notebook cell with another output, counted as users see them.
    """

    verdict: Verdict
    detail: str = ""
    cell: int | None = None


class _Difference(Exception):
    """The first thing that is not close."""

    def __init__(self, detail: str, cell: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.cell = cell


def compare(
    old: BinaryIO, new: BinaryIO, path: str, tolerance: Tolerance, size: int | None = None
) -> Agreement:
    """How far the file that is read from `new` agrees with the one from `old`.

    Parameters
    ----------
    path
        Its name says what it holds.
    size
        Bytes of the larger one; too large a file is not parsed.
    """
    suffix = posixpath.splitext(path)[1].lower()
    seen = _Seen(tolerance)
    try:
        if suffix in (".csv", ".tsv"):
            _tables(_text(old), _text(new), "\t" if suffix == ".tsv" else ",", seen)
        elif suffix in (".json", ".yaml", ".yml", ".toml", ".ipynb") and (size or 0) < _MAX_PARSED:
            _parsed(old.read(), new.read(), path, seen)
        else:
            _pieces(old, new, seen)
    except _Difference as found:
        return Agreement("different", found.detail, found.cell)
    if seen.worst is None:
        # Written in another way: spaces, the order of keys, what a notebook does not show.
        return Agreement("close", "equal values, written in another way")
    return Agreement("close", f"numbers differ by at most {seen.worst:.2g}", seen.cell)


class _Seen:
    """What was compared so far: the tolerance, and the largest difference within it."""

    def __init__(self, tolerance: Tolerance) -> None:
        self.tolerance = tolerance
        self.worst: float | None = None
        self.cell: int | None = None

    def number(self, old: float, new: float) -> bool:
        """Whether the numbers agree; the difference is remembered."""
        if not self.tolerance.agree(old, new):
            return False
        if old != new and not math.isnan(old):
            self.worst = max(self.worst or 0.0, abs(new - old))
        return True

    def texts(self, old: str, new: str) -> bool:
        """Whether two texts agree: the same words, and numbers that agree."""
        if old == new:
            return True
        if _NUMBER.sub("0", old) != _NUMBER.sub("0", new):
            return False
        pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
        return all(self._numerals(*pair) for pair in pairs)

    def _numerals(self, old: str, new: str) -> bool:
        if old == new:
            return True
        if _WHOLE.fullmatch(old) and _WHOLE.fullmatch(new):
            return int(old) == int(new) if len(old) + len(new) < 1000 else False
        return self.number(float(old), float(new))


# Rows ---------------------------------------------------------------------------------------------


def _text(stream: BinaryIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")


def _tables(old: Iterable[str], new: Iterable[str], delimiter: str, seen: _Seen) -> None:
    sides = [csv.reader(side, delimiter=delimiter) for side in (old, new)]
    columns: list[str] = []
    try:
        for number, (before, after) in enumerate(zip_longest(*sides)):
            columns = columns or before or []
            _rows(before, after, columns, f"row {number}" if number else "the header", seen)
    except csv.Error as error:
        raise _Difference(f"it is no table: {error}") from None


def _rows(
    before: list[str] | None, after: list[str] | None, columns: list[str], row: str, seen: _Seen
) -> None:
    if before is None or after is None:
        raise _Difference(f"{row} is {'new' if before is None else 'missing'}")
    if len(before) != len(after):
        raise _Difference(f"{row} has {len(after)} fields, not {len(before)}")
    for at, (one, other) in enumerate(zip(before, after, strict=True)):
        if not seen.texts(one, other):
            column = f", column {columns[at]}" if at < len(columns) and row != "the header" else ""
            raise _Difference(f"{row}{column}: {_change(one, other)}")


# Keys ---------------------------------------------------------------------------------------------


def _parsed(old: bytes, new: bytes, path: str, seen: _Seen) -> None:
    if path.endswith(".ipynb"):
        try:
            numbers = [_numbers(side, path) for side in (old, new)]
            cells = [json.loads(side)["cells"] for side in (old, new)]
        except (ProjectFileError, ValueError, KeyError):
            _pieces(io.BytesIO(old), io.BytesIO(new), seen)
            return
        _notebooks(cells[0], cells[1], numbers[0], seen)
        return
    try:
        trees = [values.parse(side, path) for side in (old, new)]
    except ProjectFileError:
        _pieces(io.BytesIO(old), io.BytesIO(new), seen)
        return
    _trees(trees[0], trees[1], "", seen)


def _trees(old: object, new: object, key: str, seen: _Seen) -> None:
    """Raise at the first key of which the values do not agree."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*old, *new]):
            inner = f"{key}.{name}" if key else str(name)
            if name not in old or name not in new:
                raise _Difference(f"{inner} is {'missing' if name in old else 'new'}")
            _trees(old[name], new[name], inner, seen)
    elif isinstance(old, list) and isinstance(new, list):
        for at, (one, other) in enumerate(zip_longest(old, new, fillvalue=values.MISSING)):
            inner = f"{key}[{at}]"
            if one is values.MISSING or other is values.MISSING:
                raise _Difference(f"{inner} is {'new' if one is values.MISSING else 'missing'}")
            _trees(one, other, inner, seen)
    elif not _leaves(old, new, seen):
        raise _Difference(f"{f'{key}: ' if key else ''}{_change(old, new)}")


def _leaves(old: object, new: object, seen: _Seen) -> bool:
    numbers = [one for one in (old, new) if _is_number(one)]
    if len(numbers) == 2 and float in map(type, numbers):
        try:
            return seen.number(*(float(one) for one in numbers))  # type: ignore[arg-type]
        except OverflowError:
            return False
    if isinstance(old, str) and isinstance(new, str):
        return seen.texts(old, new)
    return type(old) is type(new) and old == new


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# Cells --------------------------------------------------------------------------------------------


def _numbers(data: bytes, path: str) -> dict[int, int]:
    """The number of each code cell, as users count them, by its place among all cells."""
    return {cell.index: cell.number for cell in notebook.read(data, path).cells}


def _notebooks(
    old: Sequence[Mapping[str, Any]],
    new: Sequence[Mapping[str, Any]],
    numbers: Mapping[int, int],
    seen: _Seen,
) -> None:
    """Raise at the first cell with another output; cells that are not code are what the source has."""
    for at, (before, after) in enumerate(zip_longest(old, new)):
        number = numbers.get(at)
        where = f"cell {number}" if number is not None else f"cell at place {at + 1}"
        if before is None or after is None:
            raise _Difference(f"{where} is {'new' if before is None else 'missing'}", number)
        if _joined(before.get("source")) != _joined(after.get("source")):
            raise _Difference(f"{where} has another source", number)
        outputs = zip_longest(before.get("outputs", []), after.get("outputs", []))
        worst = seen.worst
        for one, other in outputs:
            detail = _output(one, other, seen)
            if detail is not None:
                raise _Difference(f"{where}: {detail}", number)
        if seen.worst != worst:
            seen.cell = seen.cell or number


def _output(
    old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, seen: _Seen
) -> str | None:
    """What is different of an output; None where nothing is."""
    if old is None or new is None:
        return f"{'a new' if old is None else 'a missing'} output"
    kinds = [side.get("output_type") for side in (old, new)]
    if kinds[0] != kinds[1]:
        return f"output {_change(*kinds)}"
    before, after = _parts(old), _parts(new)
    for mime in dict.fromkeys([*before, *after]):
        if mime not in before or mime not in after:
            return f"{mime} is {'missing' if mime in before else 'new'}"
        one, other = before[mime], after[mime]
        if isinstance(one, str) and isinstance(other, str):
            if mime.startswith("image/") and mime != "image/svg+xml":
                if one != other:
                    return f"another {mime} picture"
            elif not seen.texts(one, other):
                return _lines_differ(one, other, seen)
            continue
        try:
            _trees(one, other, mime, seen)
        except _Difference as found:
            return found.detail
    return None


def _parts(output: Mapping[str, Any]) -> dict[str, object]:
    """What an output shows, by MIME type; of the traceback of an error only what it ends with."""
    data = output.get("data")
    if isinstance(data, Mapping):
        return {
            mime: _joined(content) if isinstance(content, (str, list)) else content
            for mime, content in data.items()
        }
    if output.get("output_type") == "error":
        return {"error": f"{output.get('ename')}: {output.get('evalue')}"}
    return {"text/plain": _joined(output.get("text"))}


def _lines_differ(old: str, new: str, seen: _Seen) -> str:
    for one, other in zip_longest(old.splitlines(), new.splitlines(), fillvalue=""):
        if not seen.texts(one, other):
            return _change(one, other)
    return "another line end"


def _joined(text: object) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text or "")


# Lines and bytes ----------------------------------------------------------------------------------


def _pieces(old: BinaryIO, new: BinaryIO, seen: _Seen) -> None:
    """Line by line while both sides are text, else to the first byte."""
    place = 0
    for number, (one, other) in enumerate(zip_longest(_lines(old), _lines(new)), 1):
        if one is None or other is None:
            raise _Difference(f"line {number} is {'new' if one is None else 'missing'}")
        if one != other:
            texts = [_decoded(one), _decoded(other)]
            if texts[0] is None or texts[1] is None:
                same = next(
                    (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
                    min(len(one), len(other)),
                )
                raise _Difference(f"byte {place + same:,} is the first other one")
            if not seen.texts(texts[0], texts[1]):
                raise _Difference(f"line {number}: {_change(*texts)}")
        place += len(one)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(1 << 20):
        yield line


def _decoded(line: bytes) -> str | None:
    if b"\0" in line:
        return None
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return None


def _change(old: object, new: object) -> str:
    texts = [_spelled(old), _spelled(new)]
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))
    # Long texts that begin alike are shown from shortly before they part, else both would look the same.
    start = same - _LEAD if same > _SHOWN - _LEAD else 0
    return " -> ".join(_short(text, start) for text in texts)


def _spelled(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value, default=str)).strip()


def _short(text: str, start: int) -> str:
    end = start + _SHOWN
    return f"{'…' * (start > 0)}{text[start:end]}{'…' * (len(text) > end)}" or '""'
