"""What a report needs of the project, read at once."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from nbexp.errors import NbexpError
from nbexp.experiments import contents, series
from nbexp.experiments.compare import Side, compare
from nbexp.experiments.report import (
    MAX_PICTURES,
    Bar,
    Report,
    bar,
    check,
    curves_of,
    is_picture,
    patch,
    pictures_of,
    recorded,
)
from nbexp.experiments.row import Data, Row
from nbexp.experiments.table import Table
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline import graph as graphs
from nbexp.store.cache import Cache

Limits = Mapping[str, float] | Sequence[str]
"""Bars by metric, or as they are typed: `{"acc": 0.9}`, `["acc=0.9"]`."""


@frozen
class Source:
    """A state of the project: its name, and its commit; None is the workspace."""

    name: str
    rev: str | None
    data: Data


@frozen
class Files:
    """Where states are read from."""

    git: Git
    cache: Cache
    root: Path
    prefix: str

    def code(self, rev: str | None, path: str) -> bytes | None:
        """A file of the repository, by its path from the top of it."""
        if rev is not None:
            return self.git.read(f"{rev}:{path}")
        try:
            return (self.git.root / path).read_bytes()
        except OSError:
            return None

    def pictures(self, rev: str | None) -> dict[str, Callable[[], bytes]]:
        """The pictures among the outputs, each with how to read it.

        A directory with more than a report shows holds data, not results, and is left out.
        """
        found: dict[str, Callable[[], bytes]] = {}
        if rev is None:
            for _, out in graphs.load(self.root).outs:
                place = self.root / out.path
                inner = [place] if place.is_file() else sorted(place.rglob("*"))
                paths = [path.relative_to(self.root).as_posix() for path in inner if path.is_file()]
                self._add(found, paths, lambda path: (self.root / path).read_bytes())
            return found
        top = f"{self.prefix}/" if self.prefix else ""
        for out_path, md5 in contents.outputs(self.git, rev, top):
            paths = [out_path]
            if md5.endswith(".dir"):
                items = self.cache.items(md5) if self.cache.has_object(md5) else ()
                paths = [posixpath.join(out_path, item.relpath) for item in items]
                paths = paths or [
                    path.removeprefix(top)
                    for path in self.git.tree(rev, prefix=f"{top}{out_path}/")
                ]
            read = partial(contents.read, self.git, self.cache, self.prefix, rev)
            self._add(found, paths, read)
        return found

    @staticmethod
    def _add(
        found: dict[str, Callable[[], bytes]], paths: Sequence[str], read: Callable[[str], bytes]
    ) -> None:
        pictures = [path for path in paths if is_picture(path)]
        if len(pictures) <= MAX_PICTURES:
            found.update({path: partial(read, path) for path in pictures})


def bars(limits: Limits | None, way: Literal["under", "over"]) -> list[Bar]:
    """The bars of an option, or of an argument in Python."""
    if isinstance(limits, Mapping):
        return [bar(f"{key}={limit}", way) for key, limit in limits.items()]
    return [bar(text, way) for text in limits or ()]


def make(
    files: Files,
    sources: Sequence[Source],
    sides: tuple[Side, Side],
    limits: Sequence[Bar],
    title: str | None,
) -> Report:
    """The report of the first source against the second, beside the others.

    Parameters
    ----------
    sides
        The second and the first, as `diff` compares them.

    Raises
    ------
    NotFound, UsageError
        A bar is about no metric of the first, see `check`.
    """
    first, second = sources[:2]
    checks = check(first.data, limits, first.name)
    diff = compare(*sides)
    finder = series.Finder(files.git, files.cache, files.root, files.prefix)
    named = [(source.name, source.rev) for source in sources]
    found = recorded.read(files.git, [source.rev for source in sources if source.rev is not None])
    return Report(
        title or f"{first.name} against {second.name}",
        Table(
            tuple(
                Row(source.rev or "workspace", source.name, "experiment", source.data)
                for source in sources
            )
        ),
        diff,
        patch.unified(diff.code, partial(files.code, second.rev), partial(files.code, first.rev)),
        curves_of(lambda name: finder.read(name, named), _live(finder, first.rev)),
        pictures_of(files.pictures(second.rev), files.pictures(first.rev)),
        checks,
        {rev: known.seconds for rev, known in found.items() if known.seconds},
    )


def _live(finder: series.Finder, rev: str | None) -> list[str]:
    try:
        return finder.names(rev)
    except NbexpError:
        return []
