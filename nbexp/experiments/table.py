"""Many commits to params, metrics, deps and outs by row; DVC's JSON, CSV and Markdown of them.

Everything about a commit follows from its files, so it is read once and remembered by its rev. All
blobs of all new commits come through one `cat-file`.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from nbexp import filesystem
from nbexp.errors import NbexpError, NotFound, ProjectFileError
from nbexp.formats import dvc_file, dvc_lock, dvc_yaml, values
from nbexp.formats.dvc_lock import LockedPath, LockedStage
from nbexp.frozen import field, frozen
from nbexp.git import Git
from nbexp.pipeline.graph import STAGE_FILES, stage_files
from nbexp.results import Result
from nbexp.store.cache import Cache

# The form of what is remembered about a commit; a new form gets a new number.
_FORM = "row-4"

_DEFAULT = "params.yaml"
# How DVC calls the errors of files that cannot be parsed; all others are YAML to it.
_CORRUPTED = {".json": "JSON", ".toml": "TOML", ".py": "Python"}

Kind = Literal["workspace", "baseline", "experiment"]


@frozen
class FileError:
    """Why a params or metrics file could not be read; `type` is the name DVC gives it."""

    type: str
    msg: str


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

    def __hash__(self) -> int:
        return hash((tuple(self.params), tuple(self.metrics), tuple(self.deps), tuple(self.outs)))

    def flat(self, what: Literal["params", "metrics"]) -> dict[tuple[str, str], object]:
        """Leaves by file and dotted key; files that could not be read are left out."""
        found: dict[tuple[str, str], object] = {}
        for path, tree in getattr(self, what).items():
            if not isinstance(tree, FileError):
                for key, value in values.flatten(tree).items():
                    found[path, key] = value
        return found


@frozen
class Row:
    """One line of the table.

    `rev` is 40 hex digits, or "workspace"; `name` the experiment's, branch's or tag's; `state` is
    "done", or why there is no result: "failed", "interrupted". `error` says why there is no `data`.
    """

    rev: str
    name: str | None
    kind: Kind
    data: Data | None
    baseline: str | None = None
    created_s: int | None = None
    state: str = "done"
    error: str | None = None

    @property
    def params(self) -> dict[str, object]:
        return _by_column(self.data.flat("params")) if self.data else {}

    @property
    def metrics(self) -> dict[str, object]:
        return _by_column(self.data.flat("metrics")) if self.data else {}


@frozen
class Column:
    """A column: `file` and `key` of a param or metric, the path of a dep."""

    kind: Literal["metric", "param", "dep"]
    file: str
    key: str
    title: str


@frozen
class Table(Result):
    """Experiments below their baselines, newest first, the workspace on top.

    A list of rows: `len(table)`, `table["low-lr"]`, `for row in table`; `to_frame()` gives a pandas
    DataFrame with typed columns.
    """

    rows: tuple[Row, ...]

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

    def columns(self, *, deps: bool = False) -> list[Column]:
        """The columns in order: metrics, params and, when asked for, deps.

        A title is the dotted key; `file:key` only where two files have the same key, as in DVC.
        """
        found: list[Column] = []
        for kind, what in (("metric", "metrics"), ("param", "params")):
            keys: dict[tuple[str, str], None] = {}
            for row in self.rows:
                if row.data is not None:
                    keys.update(dict.fromkeys(row.data.flat(what)))  # type: ignore[arg-type]
            names = [key for _, key in keys]
            for file, key in keys:
                title = key if names.count(key) == 1 else f"{file}:{key}"
                found.append(Column(kind, file, key, title))  # type: ignore[arg-type]
        if deps:
            paths = {path for row in self.rows if row.data for path in row.data.deps}
            found += [Column("dep", path, "", path) for path in sorted(paths)]
        return found

    def value(self, row: Row, column: Column) -> object:
        """What the row has in the column; `values.MISSING` where it has nothing."""
        if row.data is None:
            return values.MISSING
        if column.kind == "dep":
            return (row.data.deps.get(column.file) or {}).get("hash") or values.MISSING
        tree = (row.data.metrics if column.kind == "metric" else row.data.params).get(
            column.file, values.MISSING
        )
        if tree is values.MISSING or isinstance(tree, FileError):
            return tree
        return values.flatten(tree).get(column.key, values.MISSING)

    def to_json(self) -> list[dict[str, object]]:
        """DVC's `exp show --json` (formats.md 6.2)."""
        found: list[dict[str, object]] = []
        groups: dict[str, dict[str, object]] = {}
        for row in self.rows:
            if row.kind == "experiment":
                continue
            state = _state(row)
            state["experiments"] = None if row.kind == "workspace" else []
            groups[row.rev] = state
            found.append(state)
        for row in self.experiments:
            group = groups.get(row.baseline or "")
            if group is None:
                group = {
                    "rev": row.baseline,
                    "name": None,
                    "data": None,
                    "error": None,
                    "experiments": [],
                }
                groups[row.baseline or ""] = group
                found.append(group)
            members = group["experiments"]
            assert isinstance(members, list)
            executor = None
            if row.state != "done":
                executor = {"state": "failed", "name": "nbexp", "local": None}
            members.append({"revs": [_state(row)], "executor": executor, "name": row.name})
        for state in found:
            # DVC has null, not an empty list, where a baseline has no experiments.
            state["experiments"] = state["experiments"] or None
        return found

    def to_csv(self) -> str:
        """DVC's `exp show --csv`, whose precision is full."""
        columns = self.columns(deps=True)
        states = any(row.state != "done" for row in self.rows)
        last = self._last()
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        head = ["Experiment", "rev", "typ", "Created", "parent"]
        writer.writerow([*head, *(["State"] if states else []), *(c.title for c in columns)])
        for row in self.rows:
            cells = [self._cell(row, column) for column in columns]
            created = "" if row.created_s is None else local_time(row.created_s)
            state = ([row.state if row.state != "done" else ""]) if states else []
            writer.writerow([*self._csv_head(row, last), created, "", *state, *cells])
        return out.getvalue()

    def to_markdown(self) -> str:
        """DVC's `exp show --md`."""
        columns = self.columns(deps=True)
        last = self._last()
        lines = [["Experiment", "Created", *(column.title for column in columns)]]
        for row in self.rows:
            created = "-" if row.created_s is None else _dvc_time(row.created_s)
            cells = [self._md_cell(row, column) for column in columns]
            lines.append([self._md_name(row, last), created, *cells])
        return markdown(lines)

    def to_frame(self) -> Any:
        """A pandas DataFrame: one line a row, typed columns, missing values as NaN."""
        import pandas as pd

        columns = self.columns()
        records = []
        for row in self.rows:
            record: dict[str, object] = {
                "experiment": row.name if row.kind != "workspace" else "workspace",
                "rev": row.rev,
                "kind": row.kind,
                "baseline": row.baseline,
                "state": row.state,
                "created": None
                if row.created_s is None
                else pd.Timestamp(row.created_s, unit="s", tz="UTC"),
            }
            for column in columns:
                value = self.value(row, column)
                usable = value is not values.MISSING and not isinstance(value, FileError)
                record[column.title] = value if usable else None
            records.append(record)
        names = ["experiment", "rev", "kind", "baseline", "state", "created"]
        frame = pd.DataFrame(records, columns=[*names, *(column.title for column in columns)])
        return frame.infer_objects()

    def _csv_head(self, row: Row, last: Collection[int]) -> list[str]:
        if row.kind == "workspace":
            return ["", "workspace", "baseline"]
        if row.kind == "baseline":
            return ["", row.name or row.rev[:7], "baseline"]
        return [row.name or "", row.rev[:7], "branch_base" if id(row) in last else "branch_commit"]

    def _last(self) -> set[int]:
        """The last experiment of each baseline, by identity: asking it of each row would be quadratic."""
        return {id(row) for row in {row.baseline: row for row in self.experiments}.values()}

    def _md_name(self, row: Row, last: Collection[int]) -> str:
        if row.kind == "workspace":
            return "workspace"
        if row.kind == "baseline":
            return row.name or row.rev[:7]
        corner = "└──" if id(row) in last else "├──"
        return f"{corner} {row.rev[:7]} [{row.name}]"

    def _cell(self, row: Row, column: Column) -> str:
        value = self.value(row, column)
        if value is values.MISSING:
            return ""
        return "!" if isinstance(value, FileError) else plain(value)

    def _md_cell(self, row: Row, column: Column) -> str:
        value = self.value(row, column)
        if value is values.MISSING:
            return "-"
        return "!" if isinstance(value, FileError) else rounded(value, 5)


class Reader:
    """Reads commits and the workspace of one project into `Data`."""

    def __init__(self, git: Git, cache: Cache, root: Path, prefix: str) -> None:
        self._git = git
        self._cache = cache
        self._root = root
        self._top = f"{prefix}/" if prefix else ""

    def workspace(self) -> Data:
        """What the files on disk say."""
        paths = stage_files(self._root)
        return self._data(_Files(paths, self._on_disk, self._below))

    def read(
        self, rev: str | None, *, targets: Sequence[str] | None = None, deps_only: bool = False
    ) -> Data:
        """What a commit says, or the workspace if `rev` is None; nothing of it is remembered.

        Parameters
        ----------
        targets
            The params and metrics files to read, whether the pipeline names them or not; folders stand for
            all files below.
        deps_only
            Of params, only what stages read.
        """
        if rev is None:
            files = _Files(stage_files(self._root), self._on_disk, self._below)
        else:
            listed = [self._git.paths_named([rev], name)[rev] for name in STAGE_FILES]
            files = self._of_commit(rev, [path for paths in listed for path in paths])
        return self._data(files, targets=targets, deps_only=deps_only)

    def commits(self, revs: Sequence[str], broken: dict[str, str] | None = None) -> dict[str, Data]:
        """What each commit says; those seen before come from the index.

        Parameters
        ----------
        broken
            Gets why a commit says nothing, which is then left out: one bad dvc.yaml must not hide all
            other rows of a table. None: such a commit is an error.
        """
        found: dict[str, Data] = {}
        unknown: list[str] = []
        for rev in dict.fromkeys(revs):
            stored = self._cache.memo(_FORM, rev)
            if stored is None:
                unknown.append(rev)
            else:
                found[rev] = _from_memo(stored)
        if unknown:
            listed = [self._git.paths_named(unknown, name) for name in STAGE_FILES]
            read: dict[str, Data] = {}
            for rev in unknown:
                paths = [path for found_named in listed for path in found_named[rev]]
                try:
                    read[rev] = self._data(self._of_commit(rev, paths))
                except ProjectFileError as error:
                    if broken is None:
                        raise
                    broken[rev] = error.message
            self._cache.remember_many(
                _FORM, {rev: _to_memo(data) for rev, data in read.items() if _complete(data)}
            )
            found.update(read)
        return found

    def _of_commit(self, rev: str, paths: Sequence[str]) -> _Files:
        inside = [path[len(self._top) :] for path in paths if path.startswith(self._top)]
        commit = _Commit(self._git, rev, self._top)
        return _Files(inside, commit.read_many, commit.below)

    def _on_disk(self, paths: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for path in paths:
            try:
                found.append((self._root / path).read_bytes())
            except OSError:
                found.append(None)
        return found

    def _below(self, folder: str) -> list[str]:
        place = self._root / folder
        found = filesystem.walk(place, None) if place.is_dir() else ()
        return [posixpath.join(folder, inner) for inner, _ in found]

    def _data(
        self, files: _Files, *, targets: Sequence[str] | None = None, deps_only: bool = False
    ) -> Data:
        pipelines = files.read(files.pipelines)
        locks = files.read(
            [posixpath.join(posixpath.dirname(p), "dvc.lock") for p in files.pipelines]
        )
        params: dict[str, Mapping[str, None] | None] = {}
        metrics: dict[str, None] = {}
        top_params: list[str] = []
        top_metrics: list[str] = []
        deps: dict[str, Mapping[str, object]] = {}
        outs: dict[str, Mapping[str, object]] = {}
        cached: dict[str, str] = {}
        used: dict[str, dict[str, object]] = {}
        for path, text, lock in zip(files.pipelines, pipelines, locks, strict=True):
            folder = posixpath.dirname(path)
            if text is None:
                continue
            if path.endswith(dvc_file.SUFFIX):
                for place, made_of, use_cache in _tracked(text, path):
                    cached.update({place: made_of.md5} if made_of.md5 and use_cache else {})
                    fields = dict(_fields(made_of))
                    outs[place] = {**fields, "use_cache": use_cache, "is_data_source": True}
                continue
            file = dvc_yaml.parse(text, path, lambda place: files.read([place])[0])
            for source, values_used in file.used.items():
                used.setdefault(source, {}).update(values_used)
            lock_file = posixpath.join(folder, "dvc.lock")
            entries = dvc_lock.parse(lock, lock_file).stages if lock else {}
            top_params += (_join(folder, listed) for listed in file.params)
            top_metrics += (_join(folder, listed) for listed in file.metrics)
            for stage in file.stages:
                here = _join(folder, stage.wdir or ".")
                entry = entries.get(stage.name)
                locked = entry if isinstance(entry, LockedStage) else None
                known = {item.path: item for item in locked.deps} if locked else {}
                made = {item.path: item for item in locked.outs} if locked else {}
                elsewhere = {one.path: one.state for one in locked.sources} if locked else {}
                for param in stage.params:
                    place = _join(here, param.path)
                    asked = params.get(place, {})
                    # Without keys all of the file is asked for; one stage that does so is enough.
                    whole = asked is None or not param.keys
                    params[place] = (
                        None if whole else {**(asked or {}), **dict.fromkeys(param.keys)}
                    )
                for dep in stage.deps:
                    if not dvc_lock.is_source(dep):
                        deps[_join(here, dep)] = _fields(known.get(dep))
                    elif not dep.startswith("ds://"):  # of which DVC shows nothing either
                        deps[dep] = _source_fields(elsewhere.get(dep))
                for out in stage.outs:
                    place = _join(here, out.path)
                    # What Git tracks is read from Git: the lock's old md5 may be of another run.
                    if out.path in made and out.cache:
                        cached[place] = made[out.path].md5
                    if out.bucket == "metrics":
                        metrics[place] = None
                    elif out.bucket == "outs":
                        fields = dict(_fields(made.get(out.path)))
                        outs[place] = {**fields, "use_cache": out.cache, "is_data_source": False}
        metrics.update(dict.fromkeys(top_metrics))
        if not deps_only:
            params.update(dict.fromkeys(top_params))
            # DVC shows params.yaml whole whenever there is one, listed or not.
            if files.read([_DEFAULT])[0] is not None:
                params[_DEFAULT] = None
        if targets is not None:
            params, metrics = dict.fromkeys(targets), dict.fromkeys(targets)
            used = {}
        shown = {
            path: _picked(tree, params.get(path))
            for path, tree in self._trees(files, params, cached).items()
        }
        return Data(
            # Of a file that is in `vars` alone, DVC shows what templates took, by dotted key.
            {**used, **shown},
            {
                path: {} if (kept := _metric(tree)) is None else kept
                for path, tree in self._trees(files, metrics, cached).items()
            },
            deps,
            outs,
        )

    def _trees(
        self, files: _Files, paths: Iterable[str], cached: Mapping[str, str]
    ) -> dict[str, object]:
        wanted = list(paths)
        trees: dict[str, object] = {}
        for path, data in zip(wanted, files.read(wanted), strict=True):
            md5 = cached.get(path)
            inner = files.below(path) if data is None else []
            if inner:
                trees.update(self._trees(files, inner, {}))
            elif data is None and md5 is not None and self._cache.has(md5):
                trees.update(self._cached(path, md5))
            else:
                trees[path] = _tree(path, data)
        return trees

    def _cached(self, path: str, md5: str) -> dict[str, object]:
        """What the cache holds for a file, or for each file of a directory."""
        if not md5.endswith(".dir"):
            return {path: _tree(path, self._cache.read(md5))}
        places = {posixpath.join(path, item.relpath): item.md5 for item in self._cache.items(md5)}
        return {place: _tree(place, self._cache.read(inner)) for place, inner in places.items()}


def _tracked(text: bytes, path: str) -> Iterator[tuple[str, LockedPath, bool]]:
    """The data of a `.dvc` file: where it is, what it held, and whether DVC's cache has it."""
    file = dvc_file.parse(text, path)
    for spec, content in zip(file.spec.outs, file.contents, strict=True):
        yield file.place(spec.path), content, spec.cache


class _Read(Protocol):
    def __call__(self, paths: Sequence[str]) -> list[bytes | None]: ...


@frozen
class _Files:
    pipelines: Sequence[str]
    read: _Read
    below: Callable[[str], list[str]]


class _Commit:
    def __init__(self, git: Git, rev: str, top: str) -> None:
        self._git = git
        self._rev, self._top = rev, top
        self._at = f"{rev}:{top}"

    def read_many(self, paths: Sequence[str]) -> list[bytes | None]:
        return self._git.read_many([self._at + path for path in paths])

    def below(self, folder: str) -> list[str]:
        found = self._git.info(self._at + folder)
        if found is None or found[1] != "tree":
            return []
        inner = self._git.tree(self._rev, prefix=self._top + folder)
        return [path.removeprefix(self._top) for path in inner]


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first line its head, padded as DVC pads it."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    # tabulate, which DVC uses, keeps two spaces of air in the head of every column.
    widths = [max(width, len(head) + 2) for width, head in zip(widths, lines[0], strict=True)]

    def written(line: Sequence[str]) -> str:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        return "| " + " | ".join(cells) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([written(lines[0]), rule, *map(written, lines[1:])]) + "\n"


def plain(value: object) -> str:
    """A value as DVC writes it in CSV."""
    if value is None:
        return ""
    return str(list(value)) if isinstance(value, (list, tuple)) else str(value)


def rounded(value: object, digits: int) -> str:
    """A value for people: floats with that many significant digits."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return "-" if value is None else plain(value)


def local_time(seconds: int) -> str:
    """ISO local time without a zone, as DVC has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))


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


def _state(row: Row) -> dict[str, object]:
    data: dict[str, object] | None = None
    if row.data is not None:
        data = {
            "rev": row.rev,
            "timestamp": None if row.created_s is None else local_time(row.created_s),
            "params": {path: wrapped(tree) for path, tree in row.data.params.items()},
            "metrics": {path: wrapped(tree) for path, tree in row.data.metrics.items()},
            "deps": dict(row.data.deps),
            "outs": dict(row.data.outs),
            "meta": {},
        }
    error = None if row.error is None else {"msg": row.error, "type": "ProjectFileError"}
    return {"rev": row.rev, "name": row.name, "data": data, "error": error, "experiments": None}


def wrapped(tree: object) -> dict[str, object]:
    """A tree, or why there is none, as DVC's JSON has it."""
    if isinstance(tree, FileError):
        return {"error": {"type": tree.type, "msg": tree.msg}}
    return {"data": tree}


def _metric(tree: object) -> object:
    """What counts as metrics: numbers, booleans and text; lists and nulls are dropped, as DVC does."""
    if isinstance(tree, Mapping):
        inner = {key: _metric(value) for key, value in tree.items()}
        return {key: value for key, value in inner.items() if value not in (None, {})}
    return tree if isinstance(tree, (int, float, str, FileError)) else None


def _tree(path: str, data: bytes | None) -> object:
    if data is None:
        return FileError("FileNotFoundError", f"[Errno 2] No such file or directory: '{path}'")
    try:
        return values.parse(data, path)
    except NbexpError as error:
        return FileError(
            _CORRUPTED.get(posixpath.splitext(path)[1], "YAML") + "FileCorruptedError",
            error.message,
        )


def _fields(locked: LockedPath | None) -> dict[str, object]:
    if locked is None:
        return {"hash": None, "size": None, "nfiles": None}
    return {"hash": locked.md5, "size": locked.size, "nfiles": locked.nfiles}


def _source_fields(state: Mapping[str, object] | None) -> dict[str, object]:
    """The same of a URL: what its storage calls the state of the content stands for the hash."""
    state = state or {}
    told = state.get("checksum") or state.get("etag")
    return {"hash": told, "size": state.get("size"), "nfiles": None}


def _picked(tree: object, keys: Iterable[str] | None) -> object:
    """The part of a params file that is asked for by key; None asks for all of it."""
    if keys is None or isinstance(tree, FileError):
        return tree
    found: dict[str, object] = {}
    for key in keys:
        value = values.lookup(tree, key)
        if value is not values.MISSING:
            _place(found, tree, key.split("."), value)
    return found


def _place(found: dict[str, object], tree: object, parts: Sequence[str], value: object) -> None:
    """Put the value where it stands in `tree`; a list on the way is taken whole."""
    inner = tree[parts[0]] if isinstance(tree, Mapping) else None
    if len(parts) == 1 or not isinstance(inner, Mapping):
        found[parts[0]] = value if len(parts) == 1 else inner
        return
    below = found.setdefault(parts[0], {})
    if isinstance(below, dict):
        below = found[parts[0]] = dict(below)
        _place(below, inner, parts[1:], value)


def _join(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def _complete(data: Data) -> bool:
    """Whether nothing could be read better later (a metric that is only in a remote's cache)."""
    return not any(isinstance(tree, FileError) for tree in data.metrics.values())


def _to_memo(data: Data) -> str:
    trees = [
        {path: wrapped(tree) for path, tree in part.items()} for part in (data.params, data.metrics)
    ]
    return json.dumps([*trees, data.deps, data.outs])


def _from_memo(stored: str) -> Data:
    params, metrics, deps, outs = json.loads(stored)

    def trees(part: dict[str, dict[str, Any]]) -> dict[str, object]:
        return {
            path: FileError(**tree["error"]) if "error" in tree else tree["data"]
            for path, tree in part.items()
        }

    return Data(trees(params), trees(metrics), deps, outs)
