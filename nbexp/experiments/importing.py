"""Runs of another tool, or the rows of a table, as experiments on the present commit.

An experiment's tree is the commit's, with the params in a params file, the metrics in a metrics file and live series
as dvclive lays them out; its dvc.yaml lists these and nothing else, so that `show` and DVC read them. The commit's own
pipelines and what they wrote are left out: they did not make this run, and with a dvc.yaml whose stages have no
results `dvc exp apply` fails. The workspace, the index and all branches stay as they are.
"""

from __future__ import annotations

import csv
import datetime as dt
import fnmatch
import io
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from nbexp.errors import NotFound, ProjectFileError, UsageError
from nbexp.events import Emit, Notice, Phase
from nbexp.experiments import notes, restore
from nbexp.experiments.polarity import polarity
from nbexp.experiments.reading import Reader
from nbexp.experiments.row import Data
from nbexp.formats import editing, limits, mlruns, ref_names, values, yaml12
from nbexp.formats.editing.steps import Edit
from nbexp.formats.ref_names import ExpRef
from nbexp.formats.secrets import without_secrets
from nbexp.frozen import field, frozen
from nbexp.git import FileContent, Git, NewCommit
from nbexp.pipeline.graph import Graph, is_inside
from nbexp.results import Result

Point = tuple[int, float]
Kind = Literal["params", "metrics"]

_KINDS: tuple[Kind, ...] = ("params", "metrics")

_PARAMS, _METRICS = "params.yaml", "metrics.json"
_SERIES = "dvclive/plots/metrics"
_FEW = 8


@frozen
class Run:
    """A run to be imported; params and metrics by (file or "", dotted key)."""

    name: str
    params: Mapping[tuple[str, str], object]
    metrics: Mapping[tuple[str, str], object]
    series: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    started_s: int | None = None
    state: str = "done"
    message: str = ""
    note: Mapping[str, object] = field(default_factory=dict)


@frozen
class Imported(Result):
    """Runs that are experiments now.

    Attributes
    ----------
    experiments
        Name and rev of each, oldest first.
    failed
        Names of runs that did not come to their end; `show --all-states` lists them.
    renamed
        What a run was called, by the name that it has now.
    known
        Names of experiments that were there already, with the same params and metrics.
    """

    source: str
    baseline: str
    experiments: tuple[tuple[str, str], ...]
    failed: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict, hash=False)
    known: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "source": self.source,
            "baseline": self.baseline,
            "imported": [{"name": name, "rev": rev} for name, rev in self.experiments],
            "failed": list(self.failed),
            "renamed": dict(self.renamed),
            "known": list(self.known),
        }


class Home:
    """The commit that runs are imported onto: which of its files hold which values."""

    def __init__(self, git: Git, reader: Reader, root: Path, prefix: str, rev: str) -> None:
        self.git, self.rev = git, rev
        self.top = f"{prefix}/" if prefix else ""
        self.graph: Graph = restore.graph_at(git, root, prefix, rev)
        refs = [one for ref, one in git.refs("refs/exps/").items() if ref_names.parse(ref)]
        read = reader.commits([rev, *refs]).items()
        known = {one: commit.data for one, commit in read if commit.data is not None}
        self.data = known.get(rev, Data())
        self.all = [self.data, *(data for one, data in known.items() if one != rev)]
        self._texts: dict[str, bytes | None] = {}
        # What the commit itself says comes last, and so counts.
        self._files = {
            kind: {key: file for data in reversed(self.all) for file, key in data.flat(kind)}
            for kind in _KINDS
        }

    def text(self, path: str) -> bytes | None:
        """The file as the commit has it."""
        if path not in self._texts:
            self._texts[path] = self.git.read(f"{self.rev}:{self.top}{path}")
        return self._texts[path]

    def file_of(self, kind: Kind, key: str) -> str | None:
        """The file that has such a param or metric in the commit or, if in none, an experiment."""
        return self._files[kind].get(key)

    def metrics_file(self) -> str:
        """Where metrics go that no file has yet."""
        listed = [path for path in self._listed_metrics() if path.endswith(".json")]
        return listed[0] if len(listed) == 1 else _METRICS

    def _listed_metrics(self) -> list[str]:
        found = [out.path for _, out in self.graph.outs if out.spec.bucket == "metrics"]
        for path, file in self.graph.files.items():
            folder = posixpath.dirname(path)
            found += [posixpath.normpath(posixpath.join(folder, one)) for one in file.metrics]
        return found

    def stale(self) -> list[str]:
        """The files of the commit's pipelines and all that they wrote and Git has, from the top."""
        outs = [out.path for _, out in self.graph.outs if not out.cache]
        locks = [stage.lock_file for stage in self.graph.stages if not stage.is_data]
        own = (*self.graph.files, *locks, *outs, *self._listed_metrics(), _SERIES)
        places = {self.top + path for path in own}
        tree = self.git.tree(self.rev)
        return [path for path in tree if any(is_inside(path, place) for place in places)]


def record(home: Home, runs: Sequence[Run], source: str, emit: Emit) -> Imported:
    """Commit the runs and name them; of each, nothing if its name has the same params and metrics already.

    Raises
    ------
    GitError
        Another process took a name meanwhile. Nothing was imported.
    """
    git = home.git
    stale = home.stale()
    commits = []
    for number, run in enumerate(runs):
        emit(Phase(f"importing {run.name}", number, len(runs)))
        files: dict[str, FileContent] = dict.fromkeys(stale)
        files.update({home.top + path: data for path, data in _files(home, run).items()})
        message = run.message or f"nbexp: {run.name}, imported from {source}\n"
        if run.state != "done":
            message += f"\nNbexp-State: {run.state}\n"
        commits.append(
            NewCommit(None, home.rev, message.encode(), home.rev, files, time_s=run.started_s)
        )
    revs = git.commit(*commits) if commits else []
    emit(Phase("naming", len(runs), len(runs)))
    taken = {
        parsed.name: rev
        for ref, rev in git.refs("refs/exps/", ref_names.FAILED).items()
        if (parsed := _parsed(ref)) is not None and parsed.baseline == home.rev
    }
    names = _Names(git, taken)
    trees = git.info_many([f"{rev}^{{tree}}" for rev in (*revs, *taken.values())])
    known = {
        name: tree[0]
        for name, tree in zip(taken, trees[len(revs) :], strict=True)
        if tree is not None
    }
    changes: list[tuple[str, str | None, str | None]] = []
    made, failed, renamed, there = [], [], {}, []
    told: dict[str, Mapping[str, object]] = {}
    for run, rev, tree in zip(runs, revs, trees, strict=False):
        wish = ref_names.like(run.name)
        same = [one for one in _versions(wish, known) if tree and known[one] == tree[0]]
        if same:
            there.append(same[0])
            del known[same[0]]
            continue
        name = names.free(wish)
        if name != run.name:
            renamed[name] = run.name
        ref = ExpRef(home.rev, name).ref
        if run.state == "done":
            made.append((name, rev))
        else:
            ref = ref_names.FAILED + ref.removeprefix("refs/exps/")
            failed.append(name)
        changes.append((ref, rev, None))
        if run.note:
            told[rev] = run.note
    if told:
        notes.change(git, told)
    git.update_refs(changes)
    return Imported(source, home.rev, tuple(made), tuple(failed), renamed, tuple(there))


def from_mlflow(folder: Path, source: str) -> list[Run]:
    """The runs of an MLflow folder."""
    return [
        Run(
            name=one.name,
            params={("", key): typed(text) for key, text in one.params.items()},
            metrics={("", key): points[-1][1] for key, points in one.metrics.items() if points},
            series={key: points for key, points in one.metrics.items() if len(points) > 1},
            started_s=one.started_s,
            state=one.state,
            message=f"nbexp: {one.name}, imported from {source}\n\nMLflow run {one.id} of {one.experiment}\n",
            note=_note_of(one),
        )
        for one in mlruns.read(folder)
    ]


def from_csv(
    data: bytes, path: str, home: Home, *, params: Sequence[str], metrics: Sequence[str], emit: Emit
) -> list[Run]:
    """The rows of a table, one run each; of what `show --csv` wrote, its experiments."""
    header, lines = _table(data, path)
    if "run_id" in header and any(title.startswith(_OF_MLFLOW) for title in header):
        return [_of_mlflow(dict(zip(header, cells, strict=True)), path) for _, cells in lines]
    columns = _Columns(header, [cells for _, cells in lines], home, params, metrics)
    if columns.guessed:
        emit(_guess(columns))
    runs = []
    for number, cells in lines:
        row = dict(zip(header, cells, strict=True))
        if columns.is_ours and not row["typ"].startswith("branch_"):
            continue  # the workspace, or a baseline
        name = row[columns.name].strip() if columns.name is not None else ""
        runs.append(
            Run(
                name=name or f"{ref_names.like(Path(path).stem)}-{number - 1}",
                params=_cells(row, columns.params, home.data.flat("params")),
                metrics=_cells(row, columns.metrics, {}),
                started_s=_moment(row["Created"]) if columns.is_ours else None,
                state=row.get("State", "").strip() or "done",
            )
        )
    if not runs:
        raise ProjectFileError(
            "it has no row of an experiment. Nothing was imported.",
            "each row below the heading is one; in `nbexp show --csv`, those that have a name.",
            path=path,
        )
    return runs


_OF_MLFLOW = ("params.", "metrics.")


def _of_mlflow(row: Mapping[str, str], path: str) -> Run:
    """A row of what `mlflow experiments csv` and `mlflow.search_runs().to_csv()` write (MLflow 2 and 3)."""

    def under(prefix: str) -> dict[tuple[str, str], object]:
        cells = {
            title.removeprefix(prefix): row[title] for title in row if title.startswith(prefix)
        }
        return {("", key): typed(cell) for key, cell in cells.items() if cell.strip()}

    name = row.get("tags.mlflow.runName", "").strip() or row["run_id"]
    return Run(
        name=name,
        params=under("params."),
        metrics=under("metrics."),
        started_s=_moment(row.get("start_time", "")),
        state=mlruns.state_of(row.get("status", "")),
        message=f"nbexp: {name}, imported from {path}\n\nMLflow run {row['run_id']}\n",
    )


def typed(text: str) -> object:
    """What a value that was kept as text was: a number, a truth value, a list, or text."""
    stripped = text.strip()
    if stripped[:1] in {"[", "{"}:
        try:
            tree = values.parse(f"x: {stripped}\n".encode(), "value.yaml")
        except ProjectFileError:
            return text
        return tree.get("x", text) if isinstance(tree, dict) else text
    try:
        return yaml12.plain(stripped) if stripped else text
    except ValueError:
        return text


# ---- the tree


def _files(home: Home, run: Run) -> dict[str, FileContent]:
    """The files of a run besides the commit's, by path from the project's root."""
    files: dict[str, FileContent] = {}
    wanted: dict[str, dict[str, object]] = {}
    for (file, key), value in run.params.items():
        place = file or home.file_of("params", key) or _PARAMS
        wanted.setdefault(place, {})[key] = value
    for path, section in wanted.items():
        files[path] = _as_params(home, path, section)
    scores: dict[str, dict[str, object]] = {}
    for (file, key), value in run.metrics.items():
        place = file or home.file_of("metrics", key) or home.metrics_file()
        scores.setdefault(place, {})[key] = value
    for path, section in scores.items():
        files[path] = _as_file(path, section)
    for key, points in run.series.items():
        name = posixpath.basename(key)
        rows = "".join(f"{step}\t{value}\n" for step, value in points)
        files[f"{_SERIES}/{key}.tsv"] = f"step\t{name}\n{rows}".encode()
    lines = []
    for word, listed in (("params", wanted), ("metrics", scores)):
        lines += [f"{word}:", *(f"- {_scalar(path)}" for path in listed)] if listed else []
    if run.series:
        lines += ["plots:", f"- {_SERIES}:", "    x: step"]
    files["dvc.yaml"] = "".join(f"{line}\n" for line in lines or ["{}"]).encode()
    return files


def _scalar(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII) else json.dumps(text)


def _as_params(home: Home, path: str, section: Mapping[str, object]) -> bytes:
    """A params file of these values; one that is code or TOML is the commit's, with the values set."""
    if values.format_of(path) in {"yaml", "json"}:
        return _as_file(path, section)
    try:
        edits = [Edit(key, value, "force") for key, value in section.items()]
        return editing.edit(home.text(path) or b"", path, edits)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message} Nothing was imported.", error.hint) from None


def _as_file(path: str, section: Mapping[str, object]) -> bytes:
    tree = _nested(section)
    if values.format_of(path) == "json":
        return json.dumps(tree, indent=2, ensure_ascii=False).encode() + b"\n"
    # A key is a path to the editor, so a dot in one has to go.
    edits = [Edit(top.replace(".", "_"), value, "force") for top, value in tree.items()]
    return editing.edit(b"", path, edits)


def _nested(flat: Mapping[str, object]) -> dict[str, object]:
    """Dotted keys as mappings in each other; where one is a value and a mapping, the longer stays as it is."""
    tree: dict[str, object] = {}
    for key in sorted(flat):  # `a` before `a.b`
        parts = key.split(".")
        here = tree
        if "" in parts:
            here[key] = flat[key]
            continue
        for number, part in enumerate(parts[:-1]):
            inner = here.setdefault(part, {})
            if not isinstance(inner, dict) or (not inner and part in flat):
                here[".".join(parts[number:])] = flat[key]
                break
            here = inner
        else:
            here[parts[-1]] = flat[key]
    return tree


# ---- names


class _Names:
    """Names that no experiment of the commit has, and no branch or tag."""

    def __init__(self, git: Git, taken: Iterable[str]) -> None:
        named = git.refs("refs/heads/", "refs/tags/")
        self._taken = {name.lower() for name in taken}
        self._taken |= {ref.split("/", 2)[2].lower() for ref in named}

    def free(self, wish: str) -> str:
        name, number = wish, 2
        while name.lower() in self._taken:
            name, number = f"{wish[:58]}-{number}", number + 1
        self._taken.add(name.lower())
        return name


def _versions(wish: str, known: Iterable[str]) -> list[str]:
    """Those of the names that a run of this name got, now or when its name was taken."""
    form = re.compile(rf"{re.escape(wish[:58])}-\d+|{re.escape(wish)}", re.IGNORECASE)
    return [name for name in known if form.fullmatch(name)]


def _parsed(ref: str) -> ExpRef | None:
    if ref.startswith(ref_names.FAILED):
        return ref_names.parse_failed(ref)
    return ref_names.parse(ref)


def _note_of(run: mlruns.MlflowRun) -> dict[str, object]:
    """What is told of a run besides params and metrics, secrets hidden."""
    note: dict[str, object] = {}
    own = {key: text for key, text in run.tags.items() if not key.startswith("mlflow.")}
    tags = [key if text in {"", "true", "True"} else f"{key}={text}" for key, text in own.items()]
    if tags:
        note["tags"] = [without_secrets(one) for one in tags]
    if run.tags.get("mlflow.note.content"):
        note["note"] = without_secrets(run.tags["mlflow.note.content"])
    found = {"imported": "mlflow", "id": run.id, "experiment": run.experiment}
    if run.tags.get("mlflow.user"):
        found["user"] = run.tags["mlflow.user"]
    note["run"] = found
    return note


# ---- tables


class _Columns:
    """What each column of a table is; `guessed` are those that only their name tells."""

    def __init__(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        home: Home,
        params: Sequence[str],
        metrics: Sequence[str],
    ) -> None:
        self.is_ours = [*header[:5]] == ["Experiment", "rev", "typ", "Created", "parent"]
        names = ("experiment", "name", "run", "run_name", "run name")
        found = [title for title in header if title.strip().lower() in names]
        self.name = found[0] if found else None
        apart = {self.name, *(header[:5] if self.is_ours else ())}
        if self.is_ours and header[5:6] == ["State"]:
            apart.add("State")
        self.params: list[str] = []
        self.metrics: list[str] = []
        self.guessed: list[str] = []
        kinds: dict[str, Kind] = {}
        for place, title in enumerate(header):
            cells = [row[place] for row in rows if row[place].strip()]
            if title not in apart and not self._is_dep(title, cells, home):
                kinds[title] = self._kind(title, home, params, metrics)
        if self.is_ours:
            self._by_place(kinds)
        for title, kind in kinds.items():
            (self.metrics if kind == "metrics" else self.params).append(title)
        for asked in (*params, *metrics):
            if not any(_fits(title, (asked,)) for title in header):
                near = f"columns: {', '.join(header[:_FEW])}."
                raise NotFound(f"No column is called `{asked}`. Nothing was imported.", near)

    def _kind(self, title: str, home: Home, params: Sequence[str], metrics: Sequence[str]) -> Kind:
        if _fits(title, metrics):
            return "metrics"
        if _fits(title, params):
            return "params"
        file, key = address(title)
        for kind in _KINDS:
            flat = [one for data in home.all for one in getattr(data, kind)]
            if file in flat or (not file and home.file_of(kind, key)):
                return kind
        self.guessed.append(title)
        stem = Path(file).stem.lower()
        if stem.startswith(("metric", "score", "summary")):
            return "metrics"
        if stem.startswith(("param", "config")):
            return "params"
        return "params" if polarity(key) is None else "metrics"

    def _by_place(self, kinds: dict[str, Kind]) -> None:
        """What stands before a param in `show --csv` is a metric, and what follows one is a param."""
        titles = list(kinds)
        sure = [title for title in titles if title not in self.guessed]
        first = next((titles.index(t) for t in sure if kinds[t] == "params"), None)
        if first is None:
            known = [number for number, t in enumerate(titles) if kinds[t] == "metrics"]
            first = known[-1] + 1 if known else 0
        for number, title in enumerate(titles):
            if title in self.guessed:
                kinds[title] = "metrics" if number < first else "params"

    def _is_dep(self, title: str, cells: Sequence[str], home: Home) -> bool:
        """Whether the column has hashes of deps, which `show --csv` lists as well."""
        if any(title in data.deps for data in home.all):
            return True
        digest = re.compile(r"[0-9a-f]{32}(\.dir)?")
        return bool(cells) and self.is_ours and all(digest.fullmatch(cell) for cell in cells)


def address(title: str) -> tuple[str, str]:
    """File and key of a column: `metrics.json:acc`, or "" where the title names no file."""
    file, colon, key = title.partition(":")
    if colon and key and Path(file).suffix in {".yaml", ".yml", ".json", ".toml", ".py"}:
        return file, key
    return "", title


def _fits(title: str, patterns: Iterable[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(title, one) or fnmatch.fnmatchcase(address(title)[1], one)
        for one in patterns
    )


def _table(data: bytes, path: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The heading, and each row with its line."""
    text = limits.decoded(data, path).removeprefix("\ufeff")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=lambda one: (first.count(one), one == ","))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        rows.extend((reader.line_num, row) for row in reader if any(cell.strip() for cell in row))
    except csv.Error as error:
        raise ProjectFileError(
            f"it is no CSV: {error}. Nothing was imported.", path=path, line=reader.line_num
        ) from None
    if not rows:
        raise ProjectFileError("it is empty. Nothing was imported.", path=path)
    header = [title.strip() for title in rows[0][1]]
    twice = [title for title in header if header.count(title) > 1]
    if twice:
        raise ProjectFileError(
            f"two columns are called `{twice[0]}`. Nothing was imported.", path=path, line=1
        )
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise ProjectFileError(
                f"it has {len(row)} cells, and the heading {len(header)}. Nothing was imported.",
                path=path,
                line=line,
            )
    return header, rows[1:]


def _cells(
    row: Mapping[str, str], titles: Iterable[str], known: Mapping[tuple[str, str], object]
) -> dict[tuple[str, str], object]:
    texts = {key for (_, key), value in known.items() if isinstance(value, str)}
    found: dict[tuple[str, str], object] = {}
    for title in titles:
        cell = row[title]
        if cell.strip() in {"", "-", "!"}:
            continue
        file, key = address(title)
        found[file, key] = cell if key in texts else typed(cell)
    return found


def _moment(text: str) -> int | None:
    try:
        return int(dt.datetime.fromisoformat(text.strip()).astimezone().timestamp())
    except ValueError:
        return None


def _guess(columns: _Columns) -> Notice:
    def told(titles: Sequence[str]) -> str:
        named = [title for title in titles if title in columns.guessed]
        more = f" and {len(named) - _FEW} more" if len(named) > _FEW else ""
        return (", ".join(named[:_FEW]) + more) or "none"

    return Notice(
        f"Taken by their names for metrics: {told(columns.metrics)}; for params: {told(columns.params)}.",
        "`nbexp import csv --metric NAME --param NAME` says it.",
    )
