"""Experiments by row, with columns: which there are, which are shown, and what stands in a cell."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from nbexp.errors import NotFound, UsageError
from nbexp.experiments import dvc_table
from nbexp.experiments.polarity import Polarity, polarity
from nbexp.experiments.row import Data, FileError, Row, What
from nbexp.experiments.value_text import DIGITS, cell_text, is_number, label_text, markdown
from nbexp.formats import values
from nbexp.frozen import brief, field, frozen
from nbexp.results import Result

__all__ = ["Column", "Data", "FileError", "Row", "Table", "View", "markdown"]

_LABELS = ("star", "tags", "note")
_KINDS: tuple[tuple[Literal["metric", "param"], What], ...] = (
    ("metric", "metrics"),
    ("param", "params"),
)


@frozen
class Column:
    """A column: `file` and `key` of a param or metric, the path of a dep, the word of a label."""

    kind: Literal["metric", "param", "dep", "label"]
    file: str
    key: str
    title: str


@frozen
class View:
    """How a table is shown.

    Attributes
    ----------
    drop, keep
        Patterns at the start of a column's title: those to leave out, and those never to.
    only_changed
        Leave out columns that say the same in every row.
    precision
        Significant digits of floats: None means 5 for people, and all in CSV.
    reference
        The row that the others are compared with.
    better
        Which way is better, by metric, where the metric's name does not say so.
    is_flat
        One list of experiments instead of groups below baselines.
    names
        Of baselines, where these are no rows themselves.
    shows_steps
        Below an experiment, a row of each of its checkpoints.
    is_sorted
        The rows are in an order that was asked for.
    is_panel, panel_view
        A face that has panels shows one, arranged as the saved view of that name.
    """

    __repr__ = brief

    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    only_changed: bool = False
    precision: int | None = None
    reference: Row | None = None
    better: Mapping[str, Polarity] = field(default_factory=dict, hash=False)
    is_flat: bool = False
    names: Mapping[str, str] = field(default_factory=dict, hash=False)
    shows_steps: bool = False
    is_sorted: bool = False
    is_panel: bool = False
    panel_view: str | None = None

    def chosen(self, titles: Sequence[str], columns: Sequence[Sequence[str]]) -> list[int]:
        """The places of the columns that are shown, given each one's title and cells.

        Raises
        ------
        UsageError
            A pattern is no regular expression.
        """
        keep, drop = (_patterns(words) for words in (self.keep, self.drop))
        return [
            at
            for at, (title, cells) in enumerate(zip(titles, columns, strict=True))
            if (keep and keep.match(title))
            or not ((drop and drop.match(title)) or (self.only_changed and len(set(cells)) == 1))
        ]


@frozen
class Table(Result):
    """Experiments below their baselines, newest first, the workspace on top.

    A list of rows: `len(table)`, `table["low-lr"]`, `for row in table`; `to_frame()` gives a pandas
    DataFrame with typed columns.
    """

    rows: tuple[Row, ...]
    view: View = View()

    def __repr__(self) -> str:
        return f"<Table: {len(self.experiments)} experiments>"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if name in (row.name, row.rev):
                return row
        raise NotFound(f"The table has no row `{name}`.")

    @property
    def experiments(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == "experiment")

    @property
    def listed(self) -> tuple[Row, ...]:
        """The rows as they are shown: those of checkpoints below their experiments, where the view has them."""
        if not self.view.shows_steps:
            return self.rows
        known: tuple[Row, ...] | None = vars(self).get("_listed")
        if known is None:
            known = tuple(one for row in self.rows for one in (row, *row.step_rows))
            vars(self)["_listed"] = known
        return known

    def columns(self, *, deps: bool = False) -> list[Column]:
        """All columns in order: metrics, params and, when asked for, deps.

        A title is the dotted key; `file:key` only where two files have the same key, as in DVC.
        """
        keys: dict[What, dict[tuple[str, str], None]] = {"metrics": {}, "params": {}}
        for row in self.listed:
            if row.data is not None:
                for what, known in keys.items():
                    known.update(dict.fromkeys(row.data.flat(what)))
        # DVC counts a file that is among both once, as params.
        files = {file for file, _ in keys["params"]}
        counted = Counter(key for file, key in keys["metrics"] if file not in files)
        counted.update(key for _, key in keys["params"])
        # A metric that is called as a column of DVC's is titled with its file.
        counted.update(dvc_table.HEADS)
        found = [
            Column(kind, file, key, key if counted[key] == 1 else f"{file}:{key}")
            for kind, what in _KINDS
            for file, key in keys[what]
        ]
        if deps:
            paths = {path for row in self.listed if row.data for path in row.data.deps}
            found += [Column("dep", path, "", path) for path in sorted(paths)]
        return found

    def labels(self) -> list[Column]:
        """The columns of labels that any row has."""
        used = {word for row in self.listed for word in row.labels}
        return [Column("label", "", word, word) for word in _LABELS if word in used]

    def shown_columns(self) -> list[Column]:
        """The columns that the view shows, labels first."""
        found = [*self.labels(), *self.columns()]
        if not (self.view.drop or self.view.only_changed):
            return found
        cells = [[self.text(row, column) for row in self.listed] for column in found]
        return [found[at] for at in self.view.chosen([column.title for column in found], cells)]

    def value(self, row: Row, column: Column) -> object:
        """What the row has in the column; `values.MISSING` where it has nothing."""
        if column.kind == "label":
            return row.labels.get(column.key, values.MISSING)
        if row.data is None:
            return values.MISSING
        if column.kind == "dep":
            return (row.data.deps.get(column.file) or {}).get("hash") or values.MISSING
        what: What = "metrics" if column.kind == "metric" else "params"
        found = row.data.flat(what).get((column.file, column.key), values.MISSING)
        if found is values.MISSING:
            tree = getattr(row.data, what).get(column.file)
            return tree if isinstance(tree, FileError) else values.MISSING
        return found

    def text(self, row: Row, column: Column) -> str:
        """The cell for people: `-` for nothing, `!` for a file that cannot be read."""
        value = self.value(row, column)
        if column.kind == "label" and value is not values.MISSING:
            value = label_text(value)
        return cell_text(value, self.view.precision or DIGITS)

    def delta(self, row: Row, column: Column) -> float | int | None:
        """How far a metric is from that of the reference; None where it is it, or there is nothing to say."""
        reference = self.view.reference
        if reference is None or column.kind != "metric" or row.rev == reference.rev:
            return None
        old, new = self.value(reference, column), self.value(row, column)
        if not (is_number(old) and is_number(new)):
            return None
        delta = new - old  # type: ignore[operator]  # numbers, as just asked
        return cast("float", delta) if delta == delta else None  # not of two infinities

    def verdict(self, row: Row, column: Column) -> Literal["better", "worse"] | None:
        """Whether a metric is better than that of the reference, when its name or the settings say which way is."""
        way, delta = polarity(column.key, self.view.better), self.delta(row, column)
        if way is None or not delta:
            return None
        return "better" if (delta > 0) == (way == "higher") else "worse"

    def to_json(self) -> list[dict[str, object]]:
        """DVC's `exp show --json` (formats.md 6.2), with labels and differences where there are any."""
        found: list[dict[str, object]] = json.loads(self.json_text())
        return found

    def json_text(self) -> str:
        """`to_json` as text; what was read from the index is passed on as it is."""
        return dvc_table.json_text(self)

    def to_csv(self) -> str:
        """DVC's `exp show --csv`, whose precision is full unless another is asked for, and whose lines end in CR LF."""
        return dvc_table.csv_text(self)

    def to_markdown(self) -> str:
        """DVC's `exp show --md`."""
        return dvc_table.markdown_text(self)

    def to_frame(self) -> Any:
        """A pandas DataFrame: one line a row, typed columns, missing values as NaN.

        A file that cannot be read is a missing value. What stands in the table only as the head of its
        experiments is left out.
        """
        import pandas as pd

        rows = [row for row in self.listed if not row.is_head]
        times = [row.created_s for row in rows]
        frame: dict[str, Any] = {
            "experiment": ["workspace" if row.kind == "workspace" else row.name for row in rows],
            "rev": [row.rev for row in rows],
            "kind": [row.kind for row in rows],
            "baseline": [row.baseline for row in rows],
            "state": [row.state for row in rows],
            "created": pd.to_datetime(pd.Series(times, dtype="float64"), unit="s", utc=True),
        }
        for column in self.shown_columns():
            cells = [self.value(row, column) for row in rows]
            usable = [
                None if cell is values.MISSING or isinstance(cell, FileError) else cell
                for cell in cells
            ]
            title = column.title if column.title not in frame else f"{column.kind}.{column.title}"
            frame[title] = _series(pd, usable)
            if column.kind == "metric" and self.view.reference is not None:
                deltas = [self.delta(row, column) for row in rows]
                frame[f"{title} change"] = pd.Series(deltas, dtype="float64")
        return pd.DataFrame(frame)


def _series(pd: Any, cells: list[object]) -> Any:
    """A column of a frame with the type that its values have, where they have one."""
    known = [cell for cell in cells if cell is not None]
    if len(known) < len(cells):
        if known and all(isinstance(cell, bool) for cell in known):
            return pd.Series(cells, dtype="boolean")
        if known and all(is_number(cell) for cell in known):
            return pd.Series(cells, dtype="float64")
    return pd.Series(cells, dtype=None if known else "float64")


def _patterns(words: Sequence[str]) -> re.Pattern[str] | None:
    """What matches any of the patterns; None where there are none."""
    for word in words:
        try:
            re.compile(word)
        except re.error as error:
            raise UsageError(
                f"`{word}` is not a regular expression ({error}).",
                "`nbexp show --drop 'train\\.'` leaves out the columns that begin with `train.`.",
            ) from None
    return re.compile("|".join(words)) if words else None
