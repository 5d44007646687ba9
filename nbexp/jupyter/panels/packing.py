"""A table as bytes for a panel: a header in JSON that says what follows, then columns, each aligned to eight bytes.

    "NBX1"  length of the header (uint32, little endian)  header  columns

    header   {"rows": n, "meta": {…}, "columns": [{"type": …, "at": offset behind the header, …}, …]}
    f64      one double a row; `more`: the offset of one bit a row, set where there is nothing
    grid     one uint16 a row: 0 is nothing, n the double n - 1 of those at `more`
    i32      one int32 a row; the least one stands for nothing
    levels   one code a row (`width` bytes, as few as do); 0 is nothing, n is `levels[n - 1]`
    texts    `levels` has the text of each row, or null
    hex      20 bytes a row: a commit

Ten thousand rows of thirty numbers are 2.2 MB, and a browser reads them in 20 ms: as JSON they would be 4 MB and take ten
times as long. `extension/src/panels/shared/columns.ts` reads them.
"""

from __future__ import annotations

import json
import math
import struct
from array import array
from collections.abc import Mapping, Sequence

from nbexp.experiments.row import FileError
from nbexp.formats.values import MISSING
from nbexp.frozen import frozen

_NO_INT = -(1 << 31)
# What a double holds exactly, and so what a number of JavaScript is.
_EXACT = 1 << 53
_FEW = 256


@frozen
class Column:
    """The values of a column, packed: what the header says of it, its bytes, and more of them."""

    said: Mapping[str, object]
    data: bytes = b""
    more: bytes | None = None


def pack(rows: int, meta: Mapping[str, object], columns: Sequence[Column]) -> bytes:
    """The whole table."""
    body, said = bytearray(), []

    def put(data: bytes) -> int:
        at = len(body)
        body.extend(data)
        body.extend(b"\0" * (-len(body) % 8))
        return at

    for column in columns:
        entry: dict[str, object] = {**column.said, "at": put(column.data)}
        if column.more is not None:
            entry["more"] = put(column.more)
        said.append(entry)
    whole = {"rows": rows, "meta": meta, "columns": said}
    header = json.dumps(whole, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return b"NBX1" + struct.pack("<I", len(header)) + header + bytes(body)


def values(found: Sequence[object]) -> Column:
    """A column of whatever params and metrics may be; `MISSING` is nothing."""
    kinds = {type(one) for one in found} - {type(MISSING)}
    if kinds == {float}:
        # Values of a grid come again and again: a code of two bytes for each, and the eight of each value once.
        known = {one for one in found if one is not MISSING}
        is_grid = len(found) > _FEW and len(known) < min(1 << 16, len(found) // 2)
        return _grid(found) if is_grid else _doubles(found)
    if kinds and kinds <= {int, float}:
        numbers = [one for one in found if one is not MISSING]
        if kinds == {int}:
            return _integers(found, numbers)  # type: ignore[arg-type]  # as just asked
        if all(abs(one) <= _EXACT for one in numbers if isinstance(one, int)):
            return _doubles(found)
    return levels(found)


def _integers(found: Sequence[object], numbers: Sequence[int]) -> Column:
    if all(_NO_INT < one < 1 << 31 for one in numbers):
        codes = array("i", (_NO_INT if one is MISSING else one for one in found))  # type: ignore[type-var]
        return Column({"type": "i32"}, codes.tobytes())
    if all(abs(one) <= _EXACT for one in numbers):
        return _doubles(found)
    return levels(found)


def _doubles(found: Sequence[object]) -> Column:
    doubles = array("d", (math.nan if one is MISSING else one for one in found))  # type: ignore[type-var]
    missing = None
    if any(one is MISSING for one in found):
        bits = bytearray((len(found) + 7) // 8)
        for at, one in enumerate(found):
            if one is MISSING:
                bits[at >> 3] |= 1 << (at & 7)
        missing = bytes(bits)
    return Column({"type": "f64"}, doubles.tobytes(), missing)


def _grid(found: Sequence[object]) -> Column:
    places: dict[object, int] = {}
    codes = array(
        "H", (0 if one is MISSING else places.setdefault(one, len(places) + 1) for one in found)
    )
    levels = array("d", places)  # type: ignore[type-var]  # floats alone
    return Column({"type": "grid"}, codes.tobytes(), levels.tobytes())


def levels(found: Sequence[object]) -> Column:
    """A column whose values come again and again: each is said once."""
    known: dict[object, int] = {}
    said: list[object] = []
    codes: list[int] = []
    for one in found:
        if one is MISSING:
            codes.append(0)
            continue
        # 1, 1.0 and true are equal to Python, and no list is a key.
        key = (type(one), one) if isinstance(one, (str, bool, int, float)) else repr(one)
        code = known.get(key)
        if code is None:
            said.append(_level(one))
            code = known[key] = len(said)
        codes.append(code)
    width, kind = (1, "B") if len(said) < 256 else (2, "H") if len(said) < 65536 else (4, "I")
    return Column({"type": "levels", "width": width, "levels": said}, array(kind, codes).tobytes())


def texts(found: Sequence[str | None]) -> Column:
    """A column of texts that are each another."""
    return Column({"type": "texts", "levels": [*found]})


def commits(found: Sequence[str]) -> Column:
    """A column of commits; what is none is 40 zeros."""
    return Column(
        {"type": "hex"},
        b"".join(bytes.fromhex(one) if len(one) == 40 else b"\0" * 20 for one in found),
    )


def _level(one: object) -> object:
    """A value as JSON has it, or what stands for one that JSON does not have."""
    if isinstance(one, FileError):
        return {"$": "error", "text": one.msg}
    if isinstance(one, float) and not math.isfinite(one):
        return {"$": "float", "text": str(one)}
    if isinstance(one, int) and not isinstance(one, bool) and abs(one) > _EXACT:
        return {"$": "int", "text": str(one)}
    if isinstance(one, Mapping):
        return {"$": "value", "text": _text(one)}
    if isinstance(one, (list, tuple)):
        return [_inner(item) for item in one]
    return one if isinstance(one, (str, bool, int, float)) or one is None else str(one)


def _inner(one: object) -> object:
    found = _level(one)
    return found["text"] if isinstance(found, dict) else found


def _text(one: object) -> str:
    return json.dumps(one, ensure_ascii=False, default=str)
