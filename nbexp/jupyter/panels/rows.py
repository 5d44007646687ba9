"""The rows of a table as the compare panel has them: packed whole, or what has changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nbexp.experiments.polarity import polarity
from nbexp.experiments.row import FileError, Row
from nbexp.experiments.table import Column, Table
from nbexp.experiments.value_text import is_number, label_text
from nbexp.formats.values import MISSING
from nbexp.frozen import frozen
from nbexp.jupyter.panels import packing


@frozen
class Sent:
    """What a browser knows: the table, and its rows by the ids that the panel gives them."""

    table: Table
    ids: tuple[str, ...]
    columns: tuple[Column, ...]
    # Hashes of deps are no columns of the panel, but may be asked for in its filter.
    deps: tuple[Column, ...]

    def row(self, id_: str) -> Row | None:
        """The row of an id; None where the table has it no more."""
        known: dict[str, Row] | None = vars(self).get("_by_id")
        if known is None:
            known = vars(self)["_by_id"] = dict(zip(self.ids, self.table.listed, strict=True))
        return known.get(id_)


def of(table: Table) -> Sent:
    """The rows of a table with an id each: the commit; behind it the name where another has that commit too."""
    ids: list[str] = []
    seen: set[str] = set()
    for row in table.listed:
        id_ = row.rev
        if row.rev == "workspace" and row.kind == "experiment":
            id_ = f"running {row.name}"
        while id_ in seen:
            id_ = f"{row.rev} {row.name or len(ids)}" if " " not in id_ else f"{id_}'"
        seen.add(id_)
        ids.append(id_)
    deps = [one for one in table.columns(deps=True) if one.kind == "dep"]
    return Sent(table, tuple(ids), tuple(table.shown_columns()), tuple(deps))


def whole(sent: Sent) -> bytes:
    """All rows."""
    return _packed(sent, range(len(sent.ids)), {})


def change(before: Sent, after: Sent) -> bytes | None:
    """The rows that are new or say something else, and which are gone; None where the others' order changed.

    Empty where nothing is different.
    """
    old = dict(zip(before.ids, before.table.listed, strict=True))
    rows = after.table.listed
    fresh = [
        at for at, id_ in enumerate(after.ids) if id_ not in old or not _is_same(old[id_], rows[at])
    ]
    now = set(after.ids)
    gone = [id_ for id_ in before.ids if id_ not in now]
    moved = {after.ids[at] for at in fresh}
    kept = [id_ for id_ in before.ids if id_ in now and id_ not in moved]
    if kept != [id_ for id_ in after.ids if id_ not in moved]:
        return None
    has_same_columns = (before.columns, before.deps) == (after.columns, after.deps)
    if not fresh and not gone and has_same_columns:
        return b""
    return _packed(after, fresh, {"places": fresh, "gone": gone})


def _is_same(old: Row, new: Row) -> bool:
    if old is new:
        return True
    if old.rev != "workspace" and new.rev != "workspace":
        # What a commit says never changes.
        return _around(old) == _around(new)
    return _around(old) == _around(new) and old.data == new.data


def _around(row: Row) -> tuple[object, ...]:
    return (
        row.rev, row.name, row.kind, row.baseline, row.created_s, row.state_words, row.labels, row.steps,
        row.is_detached, row.error,
    )  # fmt: skip


def _packed(sent: Sent, which: Sequence[int], more: Mapping[str, object]) -> bytes:
    listed = sent.table.listed
    rows = [listed[at] for at in which]
    ids = [sent.ids[at] for at in which]
    view = sent.table.view
    columns = (*sent.columns, *sent.deps)
    cells = _cells(columns, rows)
    heads = []
    for column, found in zip(columns, cells, strict=True):
        head: dict[str, object] = {
            "id": f"{column.kind}:{column.file}:{column.key}",
            "kind": column.kind,
            "file": column.file,
            "key": column.key,
            "title": column.title,
        }
        if column.kind == "metric" and (way := polarity(column.key, view.better)):
            head["better"] = way
        if any(one is not MISSING for one in found) and all(
            isinstance(one, int) for one in found if is_number(one)
        ):
            head["whole"] = True
        heads.append(head)
    meta: dict[str, object] = {
        "columns": heads[: len(sent.columns)],
        "deps": heads[len(sent.columns) :],
        "names": {rev: name for rev, name in view.names.items() if name},
        "labels": {id_: dict(row.labels) for id_, row in zip(ids, rows, strict=True) if row.labels},
        "errors": {id_: row.error for id_, row in zip(ids, rows, strict=True) if row.error},
        "detached": [id_ for id_, row in zip(ids, rows, strict=True) if row.is_detached],
        **more,
    }
    # An id that is the commit need not be said twice. What waits has none: its rev is that of a task.
    own = [
        None if id_ == row.rev and len(id_) == 40 else id_
        for id_, row in zip(ids, rows, strict=True)
    ]
    fixed = [
        packing.commits([row.rev for row in rows]),
        packing.levels([MISSING if one is None else one for one in own]),
        packing.texts([row.name for row in rows]),
        packing.levels(["step" if row.is_step else row.kind for row in rows]),
        packing.levels([MISSING if row.baseline is None else row.baseline for row in rows]),
        packing.values([MISSING if row.created_s is None else row.created_s for row in rows]),
        packing.levels([row.state for row in rows]),
        packing.levels([row.state_words for row in rows]),
        packing.values([row.steps for row in rows]),
    ]
    return packing.pack(len(rows), meta, [*fixed, *map(packing.values, cells)])


def _cells(columns: Sequence[Column], rows: Sequence[Row]) -> list[list[object]]:
    """The values by column. Each row's files are gone through once, instead of once for each column."""
    places: dict[tuple[str, str, str], int] = {
        (column.kind, column.file, column.key): at for at, column in enumerate(columns)
    }
    found: list[list[object]] = [[MISSING] * len(rows) for _ in columns]
    for number, row in enumerate(rows):
        for at, value in _row(row, places):
            found[at][number] = value
    return found


def _row(row: Row, places: Mapping[tuple[str, str, str], int]) -> Iterator[tuple[int, Any]]:
    for word, value in row.labels.items():
        at = places.get(("label", "", word))
        if at is not None:
            yield at, value if isinstance(value, str) else label_text(value)
    if row.data is None:
        return
    for path, dep in row.data.deps.items():
        at = places.get(("dep", path, ""))
        if at is not None and dep.get("hash"):
            yield at, dep["hash"]
    for kind, what in (("metric", "metrics"), ("param", "params")):
        for (file, key), value in row.data.flat(what).items():  # type: ignore[arg-type]
            at = places.get((kind, file, key))
            if at is not None:
                yield at, value
        for file, tree in getattr(row.data, what).items():
            if isinstance(tree, FileError) and not tree.is_missing:
                for (of, path, _), at in places.items():
                    if of == kind and path == file:
                        yield at, tree
