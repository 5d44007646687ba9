"""Experiments by row: their params, metrics, deps and outs; DVC's JSON, CSV and Markdown of them."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from nbexp.errors import NotFound, UsageError
from nbexp.experiments.polarity import Polarity, polarity
from nbexp.formats import values
from nbexp.frozen import brief, field, frozen, replace
from nbexp.results import Result, strict

Kind = Literal["workspace", "baseline", "experiment"]
What = Literal["params", "metrics"]

DIGITS = 5
"""Significant digits of floats for people, as DVC has them."""

_MOST_DIGITS = 1100  # no float has more of them

# The titles of DVC's own columns: a metric of that name is titled with its file.
_HEADS = ("Experiment", "rev", "typ", "Created", "parent", "State", "Executor")
_LABELS = ("star", "tags", "note")
_quoted: Callable[[str], str] = json.encoder.encode_basestring
_KINDS: tuple[tuple[Literal["metric", "param"], What], ...] = (
    ("metric", "metrics"),
    ("param", "params"),
)


@frozen
class FileError:
    """Why a params or metrics file could not be read; `type` is the name DVC gives it."""

    type: str
    msg: str

    @property
    def is_missing(self) -> bool:
        """Whether there is no such file, as of a commit on which nothing ran yet."""
        return self.type == "FileNotFoundError"


@frozen
class Data:
    """What one commit, or the workspace, says of itself.

    `params` and `metrics` map a file (relative to the project's root) to its tree or to why there is
    none; `deps` and `outs` map a path to DVC's fields about it.
    """

    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, object] = field(default_factory=dict)
    deps: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    outs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        """Whether they say the same, wherever it was read from."""
        if not isinstance(other, Data):
            return NotImplemented
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("params", "metrics", "deps", "outs")
        )

    def __hash__(self) -> int:
        return hash((tuple(self.params), tuple(self.metrics), tuple(self.deps), tuple(self.outs)))

    def flat(self, what: What) -> dict[tuple[str, str], object]:
        """Leaves by file and dotted key; files that could not be read are left out."""
        known: dict[str, dict[tuple[str, str], object]] = vars(self).setdefault("_flat", {})
        found = known.get(what)
        if found is None:
            # A table asks for every cell of it: once is enough.
            found = known[what] = {
                (path, key): value
                for path, tree in getattr(self, what).items()
                if not isinstance(tree, FileError)
                for key, value in values.flatten(tree).items()
            }
        return found

    def json_text(self) -> str:
        """The fields of DVC's JSON, without the braces around them."""
        trees = {
            what: {path: wrapped(tree) for path, tree in getattr(self, what).items()}
            for what in ("params", "metrics")
        }
        whole = {**trees, "deps": dict(self.deps), "outs": dict(self.outs), "meta": {}}
        return json.dumps(strict(whole), ensure_ascii=False, default=str)[1:-1]


class Stored(Data):
    """What the index has of a commit: its JSON is there, its trees are parsed when one is asked for."""

    def __init__(self, text: str, *, is_strict: bool) -> None:
        known = vars(self)
        known["_text"] = text
        known["_is_strict"] = is_strict

    def __getattr__(self, name: str) -> Any:
        if name not in ("params", "metrics", "deps", "outs"):
            raise AttributeError(name)
        whole = json.loads("{" + vars(self)["_text"] + "}")
        for what in ("params", "metrics"):
            whole[what] = {
                path: FileError(**tree["error"]) if "error" in tree else tree["data"]
                for path, tree in whole[what].items()
            }
        del whole["meta"]
        vars(self).update(whole)
        return vars(self)[name]

    def json_text(self) -> str:
        known = vars(self)
        return str(known["_text"]) if known["_is_strict"] else super().json_text()


@frozen
class Row:
    """One line of the table.

    Attributes
    ----------
    rev
        40 hex digits, or "workspace".
    name
        The experiment's, branch's or tag's.
    data
        What it says; None where `error` says why not.
    state
        "done", or why there is no result: "failed", "interrupted", "pruned", "queued", "running".
    executor
        What DVC's JSON says of who ran it; None for a run in the workspace.
    earlier
        The commits of a chain of checkpoints below the tip, newest first.
    labels
        `tags`, `star` and `note`, as far as there are any.
    is_detached
        Of a baseline: no branch, tag or remote branch leads to it any more.
    is_head
        Of a baseline that a filter would leave out: it stands only for the experiments below it.
    step
        The number of the commit in its experiment's chain of checkpoints; None where there is no chain.
    steps
        How many checkpoints the experiment has.
    is_step
        It stands for a checkpoint, below its experiment.
    dvc_data
        What DVC's JSON, CSV and Markdown have in place of `data`: of a task of its queue that failed, the baseline's
        metrics as well.
    """

    __repr__ = brief

    rev: str
    name: str | None
    kind: Kind
    data: Data | None
    baseline: str | None = None
    created_s: int | None = None
    state: str = "done"
    error: str | None = None
    error_type: str = "ProjectFileError"
    executor: Mapping[str, object] | None = field(default=None, hash=False)
    earlier: tuple[Row, ...] = ()
    labels: Mapping[str, object] = field(default_factory=dict, hash=False)
    is_detached: bool = False
    is_head: bool = False
    step: int | None = None
    steps: int = 0
    is_step: bool = False
    dvc_data: Data | None = None

    @classmethod
    def stored(
        cls,
        rev: str,
        name: str,
        baseline: str,
        created_s: int,
        labels: Mapping[str, object],
        text: str,
    ) -> Row:
        """A finished experiment of which the index has strict JSON; there may be ten thousand.

        What it says becomes an object when it is asked for, which to show it as JSON does not take.
        """
        row = object.__new__(cls)
        row.__dict__.update(
            {
                "rev": rev,
                "name": name,
                "kind": "experiment",
                "baseline": baseline,
                "created_s": created_s,
                "labels": labels,
                "_stored": text,
            }
        )
        return row

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Data:
            text = self.__dict__.get("_stored")
            if name != "data" or text is None:
                raise AttributeError(name)
            data = self.__dict__["data"] = Stored(text, is_strict=True)
            return data

    @property
    def params(self) -> dict[str, object]:
        return _by_column(self.data.flat("params")) if self.data else {}

    @property
    def metrics(self) -> dict[str, object]:
        return _by_column(self.data.flat("metrics")) if self.data else {}

    @property
    def state_words(self) -> str:
        """Its state for people; of what was stopped between two checkpoints, the last one."""
        if self.steps and self.state in ("interrupted", "running"):
            return f"{self.state} at step {self.step}"
        return self.state

    @property
    def step_rows(self) -> tuple[Row, ...]:
        """A row of each checkpoint, the newest first, called as one addresses it: `low-lr@3`."""
        own = (self,) if self.steps and self.steps == self.step else ()
        return tuple(
            replace(
                one,
                name=f"{self.name}@{one.step}",
                state="done",
                earlier=(),
                labels={},
                steps=0,
                is_step=True,
            )
            for one in (*own, *self.earlier)
            if one.step is not None
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
        counted.update(_HEADS)
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
        twin = self._as_dvc()
        if twin is not self:
            return twin.json_text()
        # Of ten thousand it is megabytes: they are put together once, from all their pieces.
        members: dict[str, list[str]] = {}
        is_compared = self.view.reference is not None
        for row in self.rows:
            if row.kind == "experiment":
                own = row.__dict__
                if "_stored" in own and not own["labels"] and not is_compared:
                    told = _stored_range(own)
                else:
                    told = self._range(row)
                below = members.setdefault(row.baseline or "", [])
                below += (", ", told) if below else (told,)
        heads = [row for row in self.rows if row.kind != "experiment"]
        seen = {row.rev for row in heads}
        heads += (Row(rev, None, "baseline", None) for rev in members if rev not in seen)
        pieces = ["["]
        for row in heads:
            start, end = self._state(row)
            listed = None if row.kind == "workspace" else members.get(row.rev)
            # DVC has null, not an empty list, where a baseline has no experiments.
            pieces += [start, "[", *listed, "]", end] if listed else [start, "null", end]
            pieces.append(", ")
        pieces[-1 if heads else 1 :] = ["]"]
        return "".join(pieces)

    def _range(self, row: Row) -> str:
        executor = row.executor
        if executor is None and row.steps:
            # What was stopped is an experiment to DVC, as far as it is.
            running = {"state": "running", "name": "workspace", "local": None}
            executor = running if row.state == "running" else None
        elif executor is None and row.state != "done":
            executor = {"state": "failed", "name": "nbexp", "local": None}
        revs = ", ".join("null".join(self._state(one)) for one in (row, *row.earlier))
        told = "null" if executor is None else _json(executor)
        return f'{{"revs": [{revs}], "executor": {told}, "name": {_json(row.name)}}}'

    def _state(self, row: Row) -> tuple[str, str]:
        """What there is to say of a row, before and after the experiments below it."""
        data = error = "null"
        if row.data is not None:
            # Hex digits, a word or a time need no escaping.
            created = "null" if row.created_s is None else f'"{local_time(row.created_s)}"'
            data = f'{{"rev": "{row.rev}", "timestamp": {created}, {row.data.json_text()}}}'
        if row.error is not None:
            error = _json({"msg": row.error, "type": row.error_type})
        more = ""
        if self.view.reference is not None:
            deltas = self._deltas(row)
            more += f', "delta": {_json(deltas)}' if deltas else ""
        if row.labels:
            more += f', "labels": {_json(strict(dict(row.labels)))}'
        if row.is_detached:
            more += ', "detached": true'
        if row.step is not None:
            more += f', "step": {row.step}'
        if row.steps:
            more += f', "steps": {row.steps}, "state": "{row.state}"'
        start = f'{{"rev": "{row.rev}", "name": {_json(row.name)}, "data": {data}, '
        return f'{start}"error": {error}, "experiments": ', f"{more}}}"

    def _deltas(self, row: Row) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = {}
        for column in self._metrics():
            delta = self.delta(row, column)
            if delta is not None:
                found.setdefault(column.file, {})[column.key] = strict(delta)
        return found

    def _metrics(self) -> list[Column]:
        known: list[Column] | None = vars(self).get("_metrics_known")
        if known is None:
            known = [column for column in self.columns() if column.kind == "metric"]
            vars(self)["_metrics_known"] = known
        return known

    def to_csv(self) -> str:
        """DVC's `exp show --csv`, whose precision is full unless another is asked for, and whose lines end in CR LF."""
        import csv
        import io

        twin = self._as_dvc()
        if twin is not self:
            return twin.to_csv()
        out = io.StringIO()
        writer = csv.writer(out)
        precision = self.view.precision

        def written(value: object) -> str:
            if value is values.MISSING:
                return ""
            if isinstance(value, FileError):
                return "!"
            return rounded(value, precision) if precision and value is not None else plain(value)

        def created(row: Row) -> str:
            return "" if row.created_s is None else local_time(row.created_s)

        last = self._last()
        heads = [self._csv_head(row, last) for row in self.listed]
        grid = [(title, [line[at] for line in heads]) for at, title in enumerate(_HEADS[:3])]
        grid.append(("Created", [created(row) for row in self.listed]))
        grid.append(("parent", [""] * len(self.listed)))
        writer.writerows(self._lines([*grid, *self._states(""), *self._cells(written)]))
        return out.getvalue()

    def to_markdown(self) -> str:
        """DVC's `exp show --md`."""
        twin = self._as_dvc()
        if twin is not self:
            return twin.to_markdown()

        def written(value: object) -> str:
            if value is values.MISSING:
                return "-"
            if isinstance(value, FileError):
                return "!"
            return rounded(value, self.view.precision or DIGITS)

        last = self._last()
        grid = [
            ("Experiment", [self._md_name(row, last) for row in self.listed]),
            (
                "Created",
                ["-" if row.created_s is None else _dvc_time(row.created_s) for row in self.listed],
            ),
        ]
        lines = self._lines([*grid, *self._states("-"), *self._cells(written)])
        return markdown(lines) if lines[0] else ""

    def _as_dvc(self) -> Table:
        """This table, but for what DVC says of failed tasks, and experiments of one second: the highest revision first.

        Notes
        -----
        DVC 3.67.1, `_sorted_ranges` of repo/experiments/collect.py. In which order they were begun only nbexp knows.
        """
        if any(row.dvc_data is not None for row in self.rows):
            told = (
                row if row.dvc_data is None else replace(row, data=row.dvc_data, dvc_data=None)
                for row in self.rows
            )
            return replace(self, rows=tuple(told))._as_dvc()
        if self.view.is_sorted:
            return self
        groups: list[list[Row]] = []
        is_other = False
        last: Row | None = None
        for row in self.rows:
            if (
                last is not None
                and row.created_s == last.created_s
                and row.kind == last.kind == "experiment"
                and row.state == last.state == "done"
                and row.baseline == last.baseline
            ):
                groups[-1].append(row)
                is_other = is_other or row.rev > last.rev
            else:
                groups.append([row])
            last = row
        if not is_other:
            return self
        for group in groups:
            group.sort(key=lambda row: row.rev, reverse=True)
        return replace(self, rows=tuple(row for group in groups for row in group))

    def _lines(self, grid: Sequence[tuple[str, Sequence[str]]]) -> list[list[str]]:
        """The chosen columns as lines, their titles first."""
        places = self.view.chosen([title for title, _ in grid], [cells for _, cells in grid])
        chosen = [grid[at] for at in places]
        return [
            [title for title, _ in chosen],
            *([cells[at] for _, cells in chosen] for at in range(len(self.listed))),
        ]

    def _states(self, nothing: str) -> list[tuple[str, list[str]]]:
        """State and executor, each where any row has one."""
        states, executors = [], []
        for row in self.listed:
            said = row.executor or {}
            state = str(said["state"]).capitalize() if said else row.state_words
            states.append(nothing if state == "done" else state)
            name = said.get("name")
            executors.append(str(name).capitalize() if name else nothing)
        grid = [("State", states), ("Executor", executors)]
        return [(title, cells) for title, cells in grid if set(cells) - {nothing}]

    def _cells(self, written: Callable[[object], str]) -> Iterator[tuple[str, list[str]]]:
        """Metrics, params and deps; what DVC does not have comes last."""
        columns = self.columns(deps=True)
        for column in (*columns, *self.labels()):
            yield column.title, [written(self.value(row, column)) for row in self.listed]
        for column in columns if self.view.reference else ():
            if column.kind == "metric":
                deltas = [self.delta(row, column) for row in self.listed]
                cells = [written(values.MISSING if delta is None else delta) for delta in deltas]
                yield f"{column.title} change", cells

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

    def _csv_head(self, row: Row, last: Collection[int]) -> list[str]:
        if row.kind == "workspace":
            return ["", "workspace", "baseline"]
        if row.kind == "baseline":
            return ["", row.name or row.rev[:7], "baseline"]
        if row.is_step:
            # The word of DVC 2.x.
            return [row.name or "", row.rev[:7], "checkpoint_commit"]
        return [row.name or "", row.rev[:7], "branch_base" if id(row) in last else "branch_commit"]

    def _last(self) -> set[int]:
        """The last experiment of each baseline, by identity: asking it of each row would be quadratic."""
        return {id(row) for row in {row.baseline: row for row in self.experiments}.values()}

    def _md_name(self, row: Row, last: Collection[int]) -> str:
        if row.kind == "workspace":
            return "workspace"
        if row.kind == "baseline":
            return row.name or row.rev[:7]
        if row.is_step:
            return f"│   {row.rev[:7]} [{row.name}]"
        corner = "└──" if id(row) in last else "├──"
        return f"{corner} {row.rev[:7]} [{row.name}]" if row.name else f"{corner} {row.rev[:7]}"


def _stored_range(row: Mapping[str, Any]) -> str:
    """What `Table._range` says of the fields of a row that is nothing but `Row.stored`, in one go."""
    rev, name = row["rev"], _quoted(row["name"])
    return (
        f'{{"revs": [{{"rev": "{rev}", "name": {name}, "data": {{"rev": "{rev}", '
        f'"timestamp": "{local_time(row["created_s"])}", {row["_stored"]}}}, "error": null, '
        f'"experiments": null}}], "executor": null, "name": {name}}}'
    )


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


def _dvc_time(seconds: int) -> str:
    moment = time.localtime(seconds)
    today = moment[:3] == time.localtime()[:3]
    return time.strftime("%I:%M %p" if today else "%b %d, %Y", moment)


def _by_column(flat: Mapping[tuple[str, str], object]) -> dict[str, object]:
    names = [key for _, key in flat]
    return {
        key if names.count(key) == 1 else f"{file}:{key}": value
        for (file, key), value in flat.items()
    }


def wrapped(tree: object) -> dict[str, object]:
    """A tree, or why there is none, as DVC's JSON has it."""
    if isinstance(tree, FileError):
        return {"error": {"type": tree.type, "msg": tree.msg}}
    return {"data": tree}


def _json(value: object) -> str:
    # A table of ten thousand rows asks for these forty thousand times.
    if value is None:
        return "null"
    if type(value) is str:
        return _quoted(value)
    return json.dumps(value, ensure_ascii=False, default=str)


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
