"""A site of static pages: all experiments as a table, and a page for each with what it came to.

It opens from a disk as from any server; no page loads anything that is not in the folder. What stands in
commits of other people (names, values, notebooks) is shown and never acts.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nbexp.errors import NbexpError
from nbexp.events import Emit, Phase
from nbexp.experiments import look, series
from nbexp.experiments.compare import Side, compare
from nbexp.experiments.report import MAX_PICTURES, PICTURES, encoded, file_names, patch, recorded
from nbexp.experiments.report.making import Files
from nbexp.experiments.row import Row
from nbexp.experiments.site import book, folder, pages
from nbexp.experiments.site.pictures import Picture, Pictures
from nbexp.experiments.table import Table
from nbexp.frozen import frozen
from nbexp.results import Result

# With more experiments than these the site may be larger by as much.
_MB, _PER = 3.0, 200
_MAX_CURVES, _MAX_PATCH = 12, 200
_ASSETS = ("site.css", "site.js")


@frozen
class Published(Result):
    """A site in a folder; `left_out` pictures had no room."""

    folder: str
    experiments: tuple[str, ...]
    files: int
    size_bytes: int
    left_out: int = 0
    left_out_bytes: int = 0

    def __str__(self) -> str:
        count = len(self.experiments)
        word = "1 experiment" if count == 1 else f"{count} experiments"
        size = (
            f"{self.size_bytes / 1e6:.1f} MB"
            if self.size_bytes >= 1e6
            else f"{self.size_bytes / 1e3:.0f} kB"
        )
        lines = [f"wrote {self.folder}: {word}, {size}. Open {self.folder}/index.html"]
        if self.left_out:
            pictures = "1 picture" if self.left_out == 1 else f"{self.left_out} pictures"
            enough = math.ceil((self.size_bytes + self.left_out_bytes) * 1.01 / 1e6)
            lines += [
                f"{pictures} left out, for the size.",
                f"Hint: `nbexp publish {shlex.quote(self.folder)} --max-size {enough}` has room for all.",
            ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        return {
            "folder": self.folder,
            "experiments": [*self.experiments],
            "files": self.files,
            "bytes": self.size_bytes,
            "left_out": self.left_out,
        }


@frozen
class Source:
    """How the project is read: sides of a comparison, executed notebooks, and who made a commit."""

    files: Files
    side: Callable[[str], Side]
    notebooks: Callable[[str], list[str]]
    read: Callable[[str, str], bytes]
    authors: Mapping[str, str]
    names: Mapping[str, str]
    origin: str


def publish(
    target: Path,
    rows: Sequence[Row],
    source: Source,
    *,
    title: str,
    shown_as: str,
    max_size_mb: float | None,
    emit: Emit,
) -> Published:
    """Write the site of some rows: experiments, each after its baseline.

    Parameters
    ----------
    shown_as
        The folder as the user named it.
    max_size_mb
        What all files together may have; pictures are left out beyond that, those of the oldest
        experiments first. None: 3, and as much again for each 200 experiments more.

    Raises
    ------
    StoreError
        The folder holds what `publish` did not make, or a page was edited since. Nothing was written.
    """
    folder.check(target, named=shown_as)
    members = [row for row in rows if row.kind == "experiment"]
    found, pictures = _read(members, source, emit)
    named = [(one.key, one.row.rev) for one in found]
    table = Table(tuple(rows))
    site = pages.Site(
        title,
        table,
        tuple(table.columns()),
        tuple(found),
        _curves(source.files, named, emit),
        source.names,
        source.origin,
    )
    shared = book.Cells()
    _written(site, pictures, shared)
    shared.share()
    files = _written(site, pictures, shared)
    text = sum(map(len, files.values()))
    limit = _MB * max(1.0, len(members) / _PER) if max_size_mb is None else max_size_mb
    # The mark, with a line for each file.
    room = int(limit * 1e6) - text - 100 * len(files)
    left_out = pictures.fit(room)
    if left_out:
        files = _written(site, pictures, shared)
    files.update(pictures.files)
    folder.replace(target, files, named=shown_as)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    names = tuple(one.name for one in found)
    return Published(shown_as, names, len(files), size, len(left_out), sum(left_out))


def _read(
    members: Sequence[Row], source: Source, emit: Emit
) -> tuple[list[pages.Experiment], Pictures]:
    pictures = Pictures()
    name = file_names()
    bases: dict[str, Side | None] = {}
    found = []
    known = recorded.read(source.files.git, [row.rev for row in members])
    emit(Phase("reading the experiments", 0, len(members)))
    for row in members:
        base = row.baseline or ""
        if base not in bases:
            bases[base] = _side(source, base)
        old, new = bases[base], _side(source, row.rev)
        diff = compare(old, new) if old is not None and new is not None else None
        notebook = _notebook(row.rev, source)
        code = ""
        if diff is not None:
            code = patch.unified(
                diff.code,
                lambda path, base=base: source.files.code(base, path),  # type: ignore[misc]
                lambda path, rev=row.rev: source.files.code(rev, path),  # type: ignore[misc]
            )
            lines = code.splitlines()
            if len(lines) > _MAX_PATCH:
                code = "\n".join([*lines[:_MAX_PATCH], f"… {len(lines) - _MAX_PATCH} more lines"])
        shown = {p.key for p in book.pictures(notebook[1], pictures)} if notebook else set()
        images = tuple(
            (path, picture)
            for path, picture in _images(row.rev, source, pictures)
            if picture.key not in shown
        )
        found.append(
            pages.Experiment(
                row,
                name(row.name or row.rev[:7], ""),
                source.names.get(base, base[:7]),
                diff,
                code,
                source.authors.get(row.rev, ""),
                images,
                notebook,
                known.get(row.rev, recorded.Recorded()),
            )
        )
    return found, pictures


def _written(site: pages.Site, pictures: Pictures, shared: book.Cells) -> dict[str, bytes]:
    files = {f"assets/{name}": look.read(name).encode() for name in _ASSETS}
    for one in site.experiments:
        files[one.page] = encoded(pages.experiment(site, one, pictures, shared))
    files["assets/cells.js"] = encoded(shared.script())
    files["index.html"] = encoded(pages.index(site))
    return files


def _side(source: Source, rev: str) -> Side | None:
    """A side of a comparison; None of a commit that cannot be read, whose row says why."""
    try:
        return source.side(rev)
    except NbexpError:
        return None


def _notebook(rev: str, source: Source) -> tuple[str, bytes] | None:
    try:
        for path in source.notebooks(rev):
            try:
                return path, source.read(rev, path)
            except NbexpError:
                continue
    except NbexpError:
        pass
    return None


def _images(rev: str, source: Source, pictures: Pictures) -> list[tuple[str, Picture]]:
    try:
        known = source.files.pictures(rev)
    except NbexpError:
        return []
    found = []
    for path, load in sorted(known.items())[:MAX_PICTURES]:
        try:
            picture = pictures.add(load(), PICTURES[Path(path).suffix.lower()])
        except NbexpError:
            continue
        if picture is not None:
            found.append((path, picture))
    return found


def _curves(
    files: Files, named: Sequence[tuple[str, str]], emit: Emit
) -> tuple[series.Curves, ...]:
    """What was logged by step, of all experiments: first what most of them have."""
    finder = series.Finder(files.git, files.cache, files.root, files.prefix)
    counts: dict[str, int] = {}
    emit(Phase("reading what was logged by step", 0, len(named)))
    for _, rev in named:
        try:
            for name in finder.names(rev):
                counts[name] = counts.get(name, 0) + 1
        except NbexpError:
            continue
    found = []
    for name in sorted(counts, key=lambda name: (-counts[name], name))[:_MAX_CURVES]:
        try:
            curves = finder.read(name, named)
        except NbexpError:
            continue
        if any(len(one.steps) > 1 for one in curves.series):
            found.append(curves)
    return tuple(found)
