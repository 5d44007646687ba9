"""What is different between two states: any two of commit, experiment and workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from nbexp.experiments.differences import DataChange, EnvironmentChange, Patch
from nbexp.experiments.polarity import Polarity, polarity, said
from nbexp.experiments.row import Data
from nbexp.experiments.value_text import is_number, markdown, plain, rounded
from nbexp.formats import values
from nbexp.frozen import field, frozen
from nbexp.results import Result


@frozen
class Change:
    """One param or metric that differs; `values.MISSING` where a side has none."""

    file: str
    key: str
    old: object
    new: object
    way: Polarity | None = field(default=None, compare=False)
    """Which way is better, where the settings say it; None leaves it to the metric's name."""

    @property
    def delta(self) -> float | int | None:
        """New minus old, when both are numbers that have a difference: NaN has none, nor has infinity from itself."""
        if is_number(self.old) and is_number(self.new):
            delta: float | int = self.new - self.old  # type: ignore[operator]  # numbers, as just asked
            return delta if delta == delta else None
        return None

    @property
    def verdict(self) -> Literal["better", "worse"] | None:
        """Whether the new value is better, when the metric's name says which way is."""
        way, delta = self.way or polarity(self.key), self.delta
        if way is None or not delta:
            return None
        return "better" if (delta > 0) == (way == "higher") else "worse"


@frozen
class NotebookChange:
    """An executed notebook that differs: the code cells, counted from 1, whose outputs do."""

    path: str
    cells: tuple[int, ...]


@frozen
class Diff(Result):
    """What changed from `old` to `new`, which are names as they were asked for.

    `code` holds the other tracked files that differ, as (path, "added" | "modified" | "deleted"), and
    `patches` how, line by line; `data` the files of tracked data and outputs, inside of directories as well.
    """

    old: str
    new: str
    params: tuple[Change, ...]
    metrics: tuple[Change, ...]
    code: tuple[tuple[str, str], ...] = ()
    notebooks: tuple[NotebookChange, ...] = ()
    outs: tuple[tuple[str, str], ...] = ()
    no_path: bool = False
    precision: int | None = None
    patches: tuple[Patch, ...] = ()
    data: tuple[DataChange, ...] = ()
    environment: EnvironmentChange | None = None

    def __repr__(self) -> str:
        return f"<Diff {self.old} -> {self.new}: {len(self.params)} params, {len(self.metrics)} metrics>"

    @property
    def is_empty(self) -> bool:
        found = (self.params, self.metrics, self.code, self.notebooks, self.outs, self.data)
        return not any(found) and self.environment is None

    def to_json(self) -> dict[str, object]:
        """DVC's `exp diff --json`; what else differs stands under keys of its own."""
        patches = {patch.path: patch for patch in self.patches}
        return {
            "metrics": by_file(self.metrics),
            "params": by_file(self.params),
            "code": [
                patches[path].to_json() if path in patches else {"path": path, "change": change}
                for path, change in self.code
            ],
            "notebooks": [
                {"path": note.path, "cells": list(note.cells)} for note in self.notebooks
            ],
            "outs": [{"path": path, "change": change} for path, change in self.outs],
            "data": [change.to_json() for change in self.data],
            "environment": self.environment.to_json() if self.environment else None,
        }

    def to_markdown(self) -> str:
        """DVC's `exp diff --md`: a table of metrics and one of params."""
        parts = []
        for title, changes in (("Metric", self.metrics), ("Param", self.params)):
            lines = [["Path", title, self.old, self.new, "Change"]]
            # The keys of each file in order, the files as they come.
            files = list(dict.fromkeys(change.file for change in changes))
            for change in sorted(changes, key=lambda one: (files.index(one.file), one.key)):
                delta = _dvc_delta(change)
                # DVC rounds metrics and writes params as they are.
                digits = None if title == "Param" else self.precision or 5
                shown = "diff not supported" if delta is None else _md(delta, digits)
                sides = [_md(value, digits) for value in (change.old, change.new)]
                lines.append([change.file, change.key, *sides, shown])
            parts.append(markdown([line[int(self.no_path) :] for line in lines]))
        return "\n\n".join(parts)

    def to_csv(self) -> str:
        """One line for each change: kind, file, key, old, new, change."""
        import csv
        import io

        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["kind", "path", "key", self.old, self.new, "change"])
        for kind, changes in (("metric", self.metrics), ("param", self.params)):
            for change in changes:
                cells = ["" if v is values.MISSING else v for v in (change.old, change.new)]
                delta = "" if change.delta is None else change.delta
                writer.writerow([kind, change.file, change.key, *cells, delta])
        for path, what in self.code:
            writer.writerow(["code", path, "", "", "", what])
        return out.getvalue()


@frozen
class Side:
    """One side of a comparison: its name, what it says, its files by blob, its notebooks' bytes.

    `rev` is its commit, None where it is the workspace.
    """

    name: str
    data: Data
    files: Mapping[str, str] = field(default_factory=dict)
    notebooks: Mapping[str, bytes] = field(default_factory=dict)
    rev: str | None = None


def compare(
    old: Side,
    new: Side,
    *,
    all_values: bool = False,
    better: Mapping[str, str] = MappingProxyType({}),
) -> Diff:
    """What changed from one side to the other.

    Parameters
    ----------
    all_values
        Equal params and metrics as well.
    better
        By metric, which way is better: "higher" or "lower"; of others the name says it.
    """
    return Diff(
        old.name,
        new.name,
        params=changes(old.data, new.data, "params", all_values=all_values),
        metrics=changes(old.data, new.data, "metrics", all_values=all_values, better=better),
        code=_files(old.files, new.files),
        notebooks=_notebooks(old.notebooks, new.notebooks),
        outs=_outs(old, new),
    )


def changes(
    old: Data,
    new: Data,
    what: Literal["params", "metrics"],
    *,
    all_values: bool = False,
    better: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Change, ...]:
    """The leaves that differ, in the order of the new side."""
    before, after = old.flat(what), new.flat(what)
    keys = list(dict.fromkeys([*after, *before]))
    found = (
        Change(
            file,
            key,
            before.get((file, key), values.MISSING),
            after.get((file, key), values.MISSING),
            said(key, better),
        )
        for file, key in keys
    )
    return tuple(change for change in found if all_values or not same(change.old, change.new))


def same(old: object, new: object) -> bool:
    """Equal, and NaN equal to NaN: a metric that stays undefined has not changed.

    Null says as much as no value at all, to DVC as well.
    """
    old, new = (values.MISSING if one is None else one for one in (old, new))
    return old == new or (old != old and new != new)


def by_file(found: Sequence[Change]) -> dict[str, dict[str, dict[str, object]]]:
    """The changes as DVC's JSON has them: file, key, old, new and difference."""
    files: dict[str, dict[str, dict[str, object]]] = {}
    for change in found:
        entry: dict[str, object] = {"old": _json(change.old), "new": _json(change.new)}
        delta = _dvc_delta(change)
        if delta is not None:
            entry["diff"] = delta
        files.setdefault(change.file, {})[change.key] = entry
    return files


def _dvc_delta(change: Change) -> float | int | None:
    """DVC takes the difference of booleans as well."""
    if isinstance(change.old, (int, float)) and isinstance(change.new, (int, float)):
        return change.new - change.old
    return None


def _json(value: object) -> object:
    if value is values.MISSING:
        return None
    # DVC shows a list as the text of it (formats.md 6.3).
    return str(list(value)) if isinstance(value, (list, tuple)) else value


def _md(value: object, digits: int | None) -> str:
    if value is values.MISSING or value is None:
        return "-"
    return plain(value) if digits is None else rounded(value, digits)


def _files(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = []
    for path in sorted(set(old) | set(new)):
        if path not in old:
            found.append((path, "added"))
        elif path not in new:
            found.append((path, "deleted"))
        elif old[path] != new[path]:
            found.append((path, "modified"))
    return tuple(found)


def _outs(old: Side, new: Side) -> tuple[tuple[str, str], ...]:
    """The outputs that differ; executed notebooks are compared by cell instead."""
    notebooks = {*old.notebooks, *new.notebooks}
    before, after = (
        {
            path: str(out["hash"])
            for path, out in side.data.outs.items()
            if out["hash"] and path not in notebooks
        }
        for side in (old, new)
    )
    return _files(before, after)


def _notebooks(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> tuple[NotebookChange, ...]:
    found = []
    for path in sorted(set(old) & set(new)):
        if old[path] != new[path]:
            cells = _differing_cells(_cells(old[path]), _cells(new[path]))
            if cells:
                found.append(NotebookChange(path, cells))
    return tuple(found)


def _cells(data: bytes) -> list[dict[str, object]]:
    """The code cells that came from the source notebook, not the injected parameters."""
    cells = json.loads(data).get("cells", [])
    return [
        cell
        for cell in cells
        if cell.get("cell_type") == "code"
        and "injected-parameters" not in cell.get("metadata", {}).get("tags", [])
    ]


def _differing_cells(
    old: Sequence[Mapping[str, object]], new: Sequence[Mapping[str, object]]
) -> tuple[int, ...]:
    count = max(len(old), len(new))
    return tuple(
        number
        for number in range(1, count + 1)
        if number > min(len(old), len(new))
        or old[number - 1].get("outputs") != new[number - 1].get("outputs")
    )
