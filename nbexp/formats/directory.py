"""Directory objects: the list of a directory's files that the cache stores under `<md5>.dir`.

A JSON list of `{"md5", "relpath"}`, sorted by path, with Python's default separators and no newline
(DVC 3.67.1, formats.md 4.1). Its MD5 is the directory's hash, so these bytes must never differ.
Empty directories, modes and times are not in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from nbexp import hashing
from nbexp.errors import StoreError

_MD5 = r"[0-9a-f]{32}"
# What may make a path lead elsewhere, looked for in all paths at once, each between line ends.
_SUSPICIOUS = (
    "\n/", "//", "/\n", "\n\n", "./", ".\n", "\\", ":", "\0", ".git/", ".git\n", ".dvc/"
)  # fmt: skip


class Item(NamedTuple):
    """A file of a directory: its path inside (POSIX) and the MD5 of its content."""

    relpath: str
    md5: str


def dump(items: Iterable[Item]) -> bytes:
    """The bytes of the directory object that lists `items`, whatever their order.

    Examples
    --------
    >>> dump([Item("b", "0cc175b9c0f1b6a831c399e269772661")])
    b'[{"md5": "0cc175b9c0f1b6a831c399e269772661", "relpath": "b"}]'
    """
    from json.encoder import encode_basestring_ascii as quoted

    # As `json.dumps` writes it, in a fourth of the time.
    listed = sorted(items, key=attrgetter("relpath"))
    rows = [f'{{"md5": {quoted(md5)}, "relpath": {quoted(path)}}}' for path, md5 in listed]
    return f"[{', '.join(rows)}]".encode("ascii")


def digest(items: Iterable[Item]) -> str:
    """The hash of a directory with these files: 32 hex digits and `.dir`."""
    return hashing.md5(dump(items)) + ".dir"


def parse(data: bytes) -> tuple[Item, ...]:
    """The files that a directory object lists, in its order.

    Raises
    ------
    StoreError
        These are not the bytes of a directory object, or a path in it leads out of the directory or
        into a `.git`. An object can come from anybody's remote, so its paths are not trusted.
    """
    import json

    try:
        is_md5 = re.compile(_MD5).fullmatch
        items = tuple(Item(entry["relpath"], entry["md5"]) for entry in json.loads(data))
        is_odd = may_lead_elsewhere([item.relpath for item in items])
        sound = all(is_md5(item.md5) for item in items)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise StoreError("A directory object is damaged: it is no list of files with their MD5.")
    if is_odd:
        for item in items:
            if not _stays_inside(item.relpath):
                raise StoreError(
                    f"A directory object lists `{item.relpath}`, which is no path inside a directory."
                )
    return items


def digests(data: bytes) -> list[str]:
    """The digests in a directory object that `parse` accepts, in its order; some may be missed in one that DVC did not write.

    A tenth of the time of `parse`.
    """
    # A quotation mark inside a string has a backslash before it, so that no path looks like this.
    return [md5.decode() for md5 in re.findall(rb'"md5": "([0-9a-f]{32})"', data)]


def may_lead_elsewhere(relpaths: Sequence[str]) -> bool:
    """Whether one must look at each path: False is that none leads out of a directory or into its records.

    One look at all of them together costs a tenth of a look at each, and nearly always suffices.
    """
    around = "\n".join(["", *relpaths, ""]).casefold()
    return not around.isascii() or any(sign in around for sign in _SUSPICIOUS)


def _stays_inside(relpath: str) -> bool:
    if "\0" in relpath or {"", ".", ".."} & set(relpath.split("/")):
        return False
    if ".git" in relpath.casefold().split("/"):
        return False
    # Elsewhere a backslash or a colon is an odd letter and nothing more.
    return os.name != "nt" or not ("\\" in relpath or ":" in relpath)
