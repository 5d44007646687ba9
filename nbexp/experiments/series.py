"""A metric step by step, for several experiments at once: what `plot` draws."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nbexp.errors import NotFound, ProjectFileError, nearest
from nbexp.experiments.reading import Blobs, TooBig
from nbexp.formats import dvc_lock, dvc_yaml, rows
from nbexp.formats.dvc_lock import LockedStage
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline.graph import pipeline_files
from nbexp.results import Result
from nbexp.store.cache import Cache


@frozen
class Series:
    """One line of a plot: `steps` and `values` are equally long; `name` is the experiment's."""

    name: str
    x: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


@frozen
class Curves(Result):
    """A metric of several experiments over their steps."""

    metric: str
    series: tuple[Series, ...]

    def __repr__(self) -> str:
        return f"<Curves {self.metric}: {', '.join(one.name for one in self.series)}>"

    def to_json(self) -> dict[str, object]:
        return {
            "metric": self.metric,
            "series": [
                {"name": one.name, "x": one.x, "steps": list(one.steps), "values": list(one.values)}
                for one in self.series
            ],
        }


# Commits whose files are asked for together: their contents are in memory at the same time.
_AT_ONCE = 500


@frozen
class _Source:
    path: str
    x: str | None
    md5: str | None
    is_folder: bool


class Finder:
    """Finds series in the plots files of commits and of the workspace."""

    def __init__(self, git: Git, cache: Cache, root: Path, prefix: str) -> None:
        self._git = git
        self._cache = cache
        self._root = root
        self._top = f"{prefix}/" if prefix else ""
        self._blobs = Blobs(git, self._top)
        self._listed: dict[str, list[str]] = {}
        self._parsed: dict[tuple[str, bytes], dvc_yaml.PipelineFile] = {}

    def read(
        self,
        metric: str,
        sources: Sequence[tuple[str, str | None]],
        folders: Mapping[str, Path] | None = None,
        *,
        limit: int = 0,
    ) -> Curves:
        """The metric of each source (name and rev; rev None is the workspace) that has it.

        Parameters
        ----------
        folders
            The names without a rev whose files are in another work tree.
        limit
            Stop at so many that have it; 0 reads all.

        Notes
        -----
        The files of 500 commits are asked of Git together: those that the commits before had. 3,000 experiments
        with ten steps each take half a second, twenty of them 30 ms.

        Raises
        ------
        NotFound
            None of them has it; the names they have are in the hint.
        """
        found: list[Series] = []
        names: set[str] = set()
        # The first one alone, to learn which files there are to ask for.
        at, size = 0, 1
        while at < len(sources) and not (limit and len(found) >= limit):
            part = sources[at : at + size]
            at, size = at + size, min(_AT_ONCE, limit or _AT_ONCE)
            self._fetch([rev for _, rev in part if rev is not None])
            for name, rev in part:
                if limit and len(found) >= limit:
                    break
                folder = (folders or {}).get(name) if rev is None else None
                finder = self
                if folder is not None and folder != self._root:
                    finder = Finder(self._git, self._cache, folder, self._top.rstrip("/"))
                try:
                    for series, known in finder._of(name, rev, metric):
                        names.update(known)
                        if series is not None:
                            found.append(series)
                            break
                except ProjectFileError:
                    if len(sources) == 1:
                        raise  # nothing else is asked for
        if not found:
            near = nearest(metric, names)
            hint = None
            if near:
                hint = f"did you mean `nbexp plot {near}`?"
            elif names:
                hint = f"there are {', '.join(sorted(names))}."
            elif not sources:
                hint = "`nbexp run` makes an experiment."
            else:
                hint = "log it in training code with `nbexp.live.log(step=step, acc=acc)`."
            raise NotFound(f"No experiment here has a plot of `{metric}`.", hint)
        return Curves(metric, tuple(found))

    def names(self, rev: str | None) -> list[str]:
        """What was logged by step: the names that `read` takes, sorted; rev None is the workspace.

        Of files that a stage names as plots, those columns that stand beside a step.
        """
        found: set[str] = set()
        for source in self._sources(rev):
            if source.is_folder:
                found |= self._names_in(rev, source)
                continue
            try:
                data = self._bytes(rev, source.path, source, None)
                table = rows.parse(data, source.path) if data is not None else []
            except ProjectFileError:
                continue
            columns = {key for row in table for key in row}
            if source.x in columns or "step" in columns:
                found |= {
                    key
                    for key in columns - {source.x, "step", "timestamp"}
                    if any(
                        isinstance(row.get(key), (int, float))
                        and not isinstance(row.get(key), bool)
                        for row in table
                    )
                }
        return sorted(found)

    def _of(
        self, name: str, rev: str | None, metric: str
    ) -> Iterator[tuple[Series | None, set[str]]]:
        for source in self._sources(rev):
            path = source.path
            if source.is_folder:
                data = self._bytes(rev, f"{path}/{metric}.tsv", source, f"{metric}.tsv")
                if data is None:
                    yield None, self._names_in(rev, source)
                    continue
                path = f"{path}/{metric}.tsv"
            else:
                data = self._bytes(rev, path, source, None)
            if data is None:
                continue
            table = rows.parse(data, path)
            columns = {key for row in table for key in row}
            column = metric if metric in columns else posixpath.basename(metric)
            if column not in columns and posixpath.splitext(posixpath.basename(path))[0] == metric:
                column = list(table[0])[-1]
            if column not in columns:
                yield None, {key for key in columns if key != source.x and key != "step"}
                continue
            yield _series(name, table, column, source.x), columns

    def _sources(self, rev: str | None) -> Iterator[_Source]:
        for path in self._pipelines(rev):
            folder = posixpath.dirname(path)
            text = self._read(rev, path)
            if text is None:
                continue
            file = self._file(rev, path, text)
            for stage in file.stages:
                outs = [out for out in stage.outs if out.bucket == "plots"]
                # What Git has needs no lock, which is the file that takes longest to read.
                made: Mapping[str, str] = {}
                if any(out.cache for out in outs):
                    made = self._locked(rev, posixpath.join(folder, "dvc.lock"), stage.name)
                here = posixpath.normpath(posixpath.join(folder, stage.wdir or "."))
                for out in outs:
                    place = posixpath.normpath(posixpath.join(here, out.path))
                    yield self._source(rev, place, out.plot, made.get(out.path))
            for plot in file.plots:
                options: Mapping[str, object] = plot.options or {}
                if not isinstance(options.get("y"), Mapping):
                    yield self._source(rev, posixpath.join(folder, plot.id), options, None)

    def _file(self, rev: str | None, path: str, text: bytes) -> dvc_yaml.PipelineFile:
        """dvc.yaml as it is read; experiments of one commit have the same, which is read once."""
        known = self._parsed.get((path, text))
        if known is not None:
            return known
        asked: list[str] = []

        def read(place: str) -> bytes | None:
            asked.append(place)
            return self._read(rev, place)

        found = dvc_yaml.parse(text, path, read)
        if not asked:  # else it depends on other files as well
            self._parsed[path, text] = found
        return found

    def _locked(self, rev: str | None, path: str, stage: str) -> dict[str, str]:
        """What dvc.lock says that the outputs of a stage held."""
        lock = self._read(rev, path)
        entry = dvc_lock.parse(lock, path).stages.get(stage) if lock else None
        if not isinstance(entry, LockedStage):
            return {}
        return {out.path: out.md5 for out in entry.outs}

    def _fetch(self, revs: Sequence[str]) -> None:
        """Have what these commits most likely need, all at once."""
        self._listed = self._git.paths_named(revs, "dvc.yaml")
        self._blobs.fetch(revs)

    def _source(
        self, rev: str | None, path: str, options: Mapping[str, object], md5: str | None
    ) -> _Source:
        x = options.get("x")
        is_folder = posixpath.splitext(path)[1] == ""
        if rev is None:
            is_folder = (self._root / path).is_dir()
        return _Source(path, x if isinstance(x, str) else None, md5, is_folder)

    def _pipelines(self, rev: str | None) -> list[str]:
        if rev is None:
            return pipeline_files(self._root)
        paths = self._listed.get(rev)
        if paths is None:
            paths = self._git.paths_named([rev], "dvc.yaml")[rev]
        return [path[len(self._top) :] for path in paths if path.startswith(self._top)]

    def _read(self, rev: str | None, path: str) -> bytes | None:
        if rev is not None:
            (found,) = self._blobs.read(rev, [path])
            # A table of many steps may be larger than what is held of many commits at once.
            return (
                self._git.read(f"{rev}:{self._top}{path}") if isinstance(found, TooBig) else found
            )
        try:
            return (self._root / path).read_bytes()
        except OSError:
            return None

    def _bytes(
        self, rev: str | None, path: str, source: _Source, inner: str | None
    ) -> bytes | None:
        data = self._read(rev, path)
        if data is not None or source.md5 is None or not self._cache.has(source.md5):
            return data
        if inner is None:
            return self._cache.read(source.md5)
        for item in self._cache.items(source.md5):
            if item.relpath == inner:
                return self._cache.read(item.md5)
        return None

    def _names_in(self, rev: str | None, source: _Source) -> set[str]:
        if rev is None:
            folder = self._root / source.path
            files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.tsv")]
        elif source.md5 is not None and self._cache.has(source.md5):
            files = [item.relpath for item in self._cache.items(source.md5)]
        else:
            inner = f"{self._top}{source.path}/"
            files = [path[len(inner) :] for path in self._git.tree(rev, prefix=inner)]
        return {file.removesuffix(".tsv") for file in files if file.endswith(".tsv")}


def _series(name: str, table: Sequence[rows.Row], column: str, x: str | None) -> Series:
    axis = x if x is not None and any(x in row for row in table) else "step"
    steps: list[float] = []
    found: list[float] = []
    for number, row in enumerate(table):
        value = row.get(column)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            step = row.get(axis, number)
            steps.append(step if isinstance(step, (int, float)) else number)
            found.append(value)
    return Series(name, axis, tuple(steps), tuple(found))
