"""Following the tables that dvclive writes while a stage runs, so that its values are known at once.

    dvclive/plots/metrics/train/loss.tsv        step<TAB>loss, a row for each step (formats.md 8.3)

Nothing watches: the process that follows the stage's output anyway looks at the folders four times a second, and
less often where looking takes long. `nbexp.live` writes the same tables and tells of each row itself; the folders
it names are left alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.frozen import frozen

if TYPE_CHECKING:
    from nbexp.pipeline.stage import Stage

_TABLES = os.path.join("plots", "metrics")
_PACE_S = 0.25
_SHARE = 50  # of so many seconds, one is spent with looking
_MOST = 1 << 20  # bytes that are read of a table at one look

Heard = Callable[[float | None, dict[str, float | int | str]], None]


def folders(stage: Stage, root: Path) -> tuple[Path, ...]:
    """Where a stage may write such tables: dvclive's own folder, and wherever its outputs have its layout."""
    found = {root / stage.cwd / "dvclive": None}
    for out in stage.outs:
        path = root / out.path
        if path.name in {"metrics.json", "params.yaml"}:
            found[path.parent] = None
        elif path.parts[-2:] == ("plots", "metrics"):
            found[path.parent.parent] = None
        elif path.name == "plots":
            found[path.parent] = None
        elif not path.suffix:
            found[path] = None
    return tuple(found)


@frozen
class _Row:
    """A row of a table, as it came."""

    step: float | None
    name: str
    value: float | int | str


class Tables:
    """The rows that are added to the tables below `folders` from now on.

    Parameters
    ----------
    heard
        Called with a step and its values, in the order in which the steps came.
    is_told
        Whether the rows below a folder are told in another way. Asked after they were read: who tells says
        so before the first row is written.
    """

    def __init__(
        self, folders: Sequence[Path], heard: Heard, is_told: Callable[[str], bool]
    ) -> None:
        self._folders = [os.path.realpath(folder) for folder in folders]
        self._heard, self._is_told = heard, is_told
        self._tables: dict[str, _Table] = {}
        self._next_s = 0.0
        for folder in self._folders:
            for name, entry in _found(folder):
                # What an earlier training left is not of this one.
                self._tables[entry.path] = _Table(name, entry.stat())

    def poll(self, *, at_once: bool = False) -> None:
        """Tell of the rows that are new; too soon after the last look, do nothing unless `at_once`."""
        started = time.monotonic()
        if started < self._next_s and not at_once:
            return
        for folder in self._folders:
            rows = list(self._new(folder))
            if rows and not self._is_told(folder):
                self._tell(rows)
        took = time.monotonic() - started
        self._next_s = started + max(_PACE_S, took * _SHARE)

    def _new(self, folder: str) -> Iterator[_Row]:
        for name, entry in _found(folder):
            table = self._tables.get(entry.path)
            if table is None:
                table = self._tables[entry.path] = _Table(name)
            yield from table.read(entry)

    def _tell(self, rows: Sequence[_Row]) -> None:
        steps: dict[float | None, dict[str, float | int | str]] = {}
        for row in rows:
            steps.setdefault(row.step, {})[row.name] = row.value
        for step in sorted(steps, key=lambda step: -1.0 if step is None else step):
            self._heard(step, steps[step])


class _Table:
    """How far one table has been read."""

    def __init__(self, name: str, seen: os.stat_result | None = None) -> None:
        self.name = name
        self._file = None if seen is None else (seen.st_dev, seen.st_ino)
        self._size = 0 if seen is None else seen.st_size
        self._columns: list[str] | None = None
        self._rest = b""

    def read(self, entry: os.DirEntry[str]) -> Iterator[_Row]:
        """The rows behind those read before; from the beginning if the table was begun anew."""
        try:
            now = entry.stat()
            if (now.st_dev, now.st_ino) != self._file or now.st_size < self._size:
                self._file = now.st_dev, now.st_ino
                self._size, self._columns, self._rest = 0, None, b""
            if now.st_size == self._size:
                return
            with open(entry.path, "rb") as table:
                if self._columns is None:
                    head = table.readline()
                    if not head.endswith(b"\n"):
                        return  # it is being written
                    self._columns = _cells(head)
                    self._size = max(self._size, table.tell())
                table.seek(self._size)
                data = table.read(_MOST)
        except OSError:
            return  # gone, or not to be read: somebody else's concern
        self._size += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            row = self._row(line)
            if row is not None:
                yield row

    def _row(self, line: bytes) -> _Row | None:
        assert self._columns is not None
        known = dict(zip(self._columns, _cells(line), strict=False))
        last = self.name.rpartition("/")[2]
        if last not in known:
            return None
        step = _value(known.get("step", ""))
        return _Row(step if isinstance(step, int | float) else None, self.name, _value(known[last]))


def _found(folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every table below a folder, with the name under which its values were logged."""
    todo = [("", os.path.join(folder, _TABLES))]
    while todo:
        above, place = todo.pop()
        try:
            with os.scandir(place) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                todo.append((f"{above}{entry.name}/", entry.path))
            elif entry.name.endswith(".tsv"):
                yield above + entry.name.removesuffix(".tsv"), entry


def _cells(line: bytes) -> list[str]:
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if '"' not in text:
        return text.split("\t")
    import csv

    return next(csv.reader([text], delimiter="\t"), [])


def _value(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        # NaN is no JSON; as text it is what `nbexp.live` tells as well.
        return found if found - found == 0 else text
    return text
