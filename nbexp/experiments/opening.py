"""What `open` shows of a path of a commit: a picture, a table, text, a listing, or what other bytes are.

Nothing is loaded beyond what is shown, and what has to be counted is read in pieces; what a file is, its first bytes
say, and its name only what those leave open.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import json
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from nbexp.errors import NotFound, ProjectFileError, StoreError
from nbexp.events import Emit, ignore
from nbexp.experiments import cells, place, record
from nbexp.experiments.data import Site
from nbexp.experiments.data.located import LINK, Contents, File, Located
from nbexp.experiments.opened import OpenedNotebook
from nbexp.formats import notebook, values
from nbexp.frozen import field, frozen
from nbexp.pipeline import graph as graphs
from nbexp.results import Result

ROWS, LINES, ENTRIES = 20, 200, 200
_MAX_PICTURE = 16 << 20
_MAX_PARSED = 8 << 20  # JSON and YAML are read whole or not at all
_MAX_EXACT = (
    16 << 20
)  # rows of a CSV with line ends in its fields are counted one by one up to here
_MAX_COUNTED = 2 << 30
_MAX_LINE = 1000
_PIECE = 1 << 20


@frozen
class Opened(Result):
    """A file or directory of an experiment, or of any commit: `path` as the project has it."""

    experiment: str
    path: str
    size: int | None

    kind = "file"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path} of {self.experiment}>"

    def to_json(self) -> dict[str, object]:
        return {
            "experiment": self.experiment,
            "path": self.path,
            "kind": self.kind,
            "size": self.size,
        }


@frozen
class OpenedPicture(Opened):
    """A picture: `data` are its bytes, width and height None where it does not say them in pixels."""

    mime: str
    width: int | None
    height: int | None
    data: bytes = field(repr=False)

    kind = "picture"

    def __repr__(self) -> str:
        return f"<OpenedPicture {self.path} of {self.experiment}>"

    def to_json(self) -> dict[str, object]:
        measures = {"mime": self.mime, "width": self.width, "height": self.height}
        return {**Opened.to_json(self), **measures}


@frozen
class OpenedTable(Opened):
    """The first rows of a table; `total` is how many there are, None where there are too many to count.

    `is_exact` is off where line ends were counted.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    total: int | None
    is_exact: bool = True

    kind = "table"

    def __repr__(self) -> str:
        return f"<OpenedTable {self.path} of {self.experiment}>"

    def __hash__(self) -> int:
        return hash((self.experiment, self.path, self.columns, self.total))

    def to_json(self) -> dict[str, object]:
        rows = [
            {
                column: value
                for column, value in zip(self.columns, row, strict=False)
                if value is not values.MISSING
            }
            for row in self.rows
        ]
        return {
            **Opened.to_json(self),
            "columns": [*self.columns],
            "rows": rows,
            "total": self.total,
        }


@frozen
class OpenedText(Opened):
    """The first lines of a text; `total` is how many there are, None where there are too many to count."""

    lines: tuple[str, ...]
    total: int | None

    kind = "text"

    def __repr__(self) -> str:
        return f"<OpenedText {self.path} of {self.experiment}>"

    def to_json(self) -> dict[str, object]:
        return {**Opened.to_json(self), "lines": [*self.lines], "total": self.total}


@frozen
class Entry:
    """What is in a directory: a file, or a directory with how many files are in and below it."""

    name: str
    size: int | None
    files: int | None = None


@frozen
class OpenedDirectory(Opened):
    """What is in a directory, `size` being that of all files below it, as far as it is known; `total` how many."""

    entries: tuple[Entry, ...]
    total: int

    kind = "directory"

    def __repr__(self) -> str:
        return f"<OpenedDirectory {self.path} of {self.experiment}>"

    def to_json(self) -> dict[str, object]:
        entries = [
            {"name": one.name, "size": one.size}
            | ({} if one.files is None else {"files": one.files})
            for one in self.entries
        ]
        return {**Opened.to_json(self), "files": self.total, "entries": entries}


@frozen
class OpenedBytes(Opened):
    """A file that is none of the others, by its size and md5."""

    md5: str

    kind = "bytes"

    def __repr__(self) -> str:
        return f"<OpenedBytes {self.path} of {self.experiment}>"

    def to_json(self) -> dict[str, object]:
        return {**Opened.to_json(self), "md5": self.md5}


def opened(
    contents: Contents,
    name: str,
    path: str | None,
    *,
    limit: int | None = None,
    out: str | os.PathLike[str] | None = None,
    here: Path,
) -> OpenedNotebook | Opened:
    """What is at a path of the contents of `name`, None being its executed notebook; written to `out` as well.

    Raises
    ------
    NotFound
        There is nothing at the path, or no executed notebook.
    StoreError
        Something is at `out`, from `here`, already, or neither cache nor remote has the data. Nothing was written.
    """
    target = None if out is None else here / out
    if target is not None and os.path.lexists(target):
        raise StoreError(
            f"{os.fspath(out or '')} exists already. Nothing was written.", "choose another name."
        )
    found, located = (
        notebook_of(contents, name) if path is None else look(contents, path, name, limit)
    )
    if target is not None:
        contents.bring(located)
        contents.write(located, target)
    return found


def elsewhere(
    repo: str,
    name: str,
    path: str | None,
    *,
    limit: int | None = None,
    out: str | os.PathLike[str] | None = None,
    here: Path,
    emit: Emit = ignore,
) -> OpenedNotebook | Opened:
    """The same of another repository: one on this disk, a bare one too, or of a URL, without cloning it."""
    from nbexp.experiments.data import getting

    wish = getting.Wish(path or ".", name)
    with getting.opened(None, repo, wish, here) as (site, rev, config):
        contents = Contents(site, rev, config, emit=emit)
        return opened(contents, name, path, limit=limit, out=out, here=here)


def executed(site: Site, rev: str) -> list[str]:
    """The notebooks that the stages of a commit execute, by where they write them; that of its cell first."""
    top = f"{site.prefix}/" if site.prefix else ""
    texts = {}
    for path in site.git.paths_named([rev], "dvc.yaml")[rev]:
        data = site.git.read(f"{rev}:{path}")
        if path.startswith(top) and data is not None:
            texts[path[len(top) :]] = data
    read = place.files_of(site.git, site.prefix, rev)
    stages = graphs.load(site.root, texts, read).stages
    found = record.notebook_targets(stages)
    cell = cells.folder_at(site.git, site.prefix, rev)
    # Of a run that failed, the one that stopped is what is asked for; of a cell that is the experiment, its own.
    stopped = record.stopped_stage(site.git.commits([rev])[0].message)
    at_fault = record.notebook_targets(
        one for one in stages if stopped in (one.name, one.address())
    )
    return sorted(
        found,
        key=lambda path: (
            path not in at_fault,
            cell is None or not path.startswith(f"{cell}/"),
        ),
    )


def notebook_of(contents: Contents, name: str) -> tuple[OpenedNotebook, Located]:
    """The first of the executed notebooks that is there, and where.

    Raises
    ------
    NotFound
        There is none.
    StoreError
        It is, but neither cache nor remote has it.
    """
    for path in executed(contents.site, contents.rev):
        try:
            located = contents.locate(path)
        except NotFound:
            continue
        opened, _ = look(contents, path, name)
        if isinstance(opened, OpenedNotebook):
            return opened, located
    if executed(contents.site, contents.rev):
        raise NotFound(
            f"Experiment `{name}` has no executed notebook: it stopped before there was one.",
            f"`nbexp logs {name}` shows what it wrote.",
        )
    raise NotFound(
        f"Experiment `{name}` has no executed notebook.",
        "`nbexp init train.ipynb` makes a stage that writes one.",
    )


def look(
    contents: Contents, path: str, name: str, limit: int | None = None
) -> tuple[OpenedNotebook | Opened, Located]:
    """What is at the path, and where; `name` is the experiment. Of a file, its bytes come here first.

    Parameters
    ----------
    limit
        How many rows, lines or entries; None is what fits on a screen.

    Raises
    ------
    NotFound
        There is nothing at the path; the nearest is in the hint.
    StoreError
        Neither cache nor remote has the file.
    """
    located = contents.locate(contents.resolved(path))
    file = located.file
    if located.path.endswith(".ipynb") and file is not None:
        contents.bring(located)
        data = contents.read(file)
        try:
            notebook.read(data, located.path)
        except ProjectFileError:
            pass  # then it is a text like any other
        else:
            return OpenedNotebook(name, located.path, data), located
    return _looked_at(contents, located, name, limit), located


def _looked_at(contents: Contents, located: Located, name: str, limit: int | None) -> Opened:
    if located.file is None:
        return _directory(contents.sized(located), name, limit or ENTRIES)
    contents.bring(located)
    file = contents.sized(located).files[""]
    path = located.path
    with contents.opened(file) as stream:
        start = stream.read(1 << 16)
    picture = _picture(contents, file, start)
    if picture is not None:
        return OpenedPicture(name, path, file.size, *picture)
    if not _is_text(start, is_all=file.size == len(start)):
        return OpenedBytes(name, path, file.size, file.md5 or _md5(contents, file))
    table = _table(contents, file, path, limit or ROWS)
    if table is not None:
        return OpenedTable(name, path, file.size, *table)
    with contents.opened(file) as stream:
        lines, total = _lines(stream, limit or LINES, file.size)
    return OpenedText(name, path, file.size, lines, total)


# Directories --------------------------------------------------------------------------------------


def _directory(located: Located, name: str, limit: int) -> OpenedDirectory:
    files: dict[str, File] = {}
    folders: dict[str, list[File]] = {}
    for inner, file in located.files.items():
        top, slash, _ = inner.partition("/")
        if slash:
            folders.setdefault(top, []).append(file)
        else:
            files[top] = file
    entries = [
        Entry(f"{top}/", _sum(inside), len(inside)) for top, inside in sorted(folders.items())
    ]
    entries += [Entry(top, file.size) for top, file in sorted(files.items())]
    return OpenedDirectory(
        name,
        located.path,
        _sum(located.files.values()),
        tuple(entries[:limit]),
        len(located.files),
    )


def _sum(files: Iterable[File]) -> int | None:
    """What they have together; None when that is not known of one."""
    sizes = [file.size for file in files]
    return None if None in sizes else sum(size for size in sizes if size is not None)


# Pictures -----------------------------------------------------------------------------------------


def _picture(
    contents: Contents, file: File, start: bytes
) -> tuple[str, int | None, int | None, bytes] | None:
    """MIME type, width, height and bytes; None where it is no picture, or too large to show."""
    mime = _mime(start)
    if mime is None or file.mode == LINK or (file.size or 0) > _MAX_PICTURE:
        return None
    data = contents.read(file)
    width, height = _measures(mime, data)
    return mime, width, height, data


def _mime(start: bytes) -> str | None:
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if start.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    head = start.removeprefix(codecs.BOM_UTF8).lstrip()
    while head.startswith((b"<?", b"<!")):
        end = b"-->" if head.startswith(b"<!--") else b">"
        head = head.partition(end)[2].lstrip()
    is_svg = head.startswith(b"<svg") and head[4:5] in (b" ", b"\n", b"\t", b"\r", b">")
    return "image/svg+xml" if is_svg else None


def _measures(mime: str, data: bytes) -> tuple[int | None, int | None]:
    """Width and height in pixels, from where the format has them."""

    def at(place: int, count: int, order: str = "big") -> int:
        piece = data[place : place + count]
        return int.from_bytes(piece, "big" if order == "big" else "little")

    if mime == "image/png" and len(data) >= 24:
        return at(16, 4), at(20, 4)
    if mime == "image/gif" and len(data) >= 10:
        return at(6, 2, "little"), at(8, 2, "little")
    place = 2
    while mime == "image/jpeg" and place + 9 < len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        # A frame header; C4, C8 and CC are of the same range and none (ITU T.81, table B.1).
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return at(place + 7, 2), at(place + 5, 2)
        place += 2 + at(place + 2, 2)
    return None, None


# Tables -------------------------------------------------------------------------------------------

_Table = tuple[tuple[str, ...], tuple[tuple[object, ...], ...], int | None, bool]


def _table(contents: Contents, file: File, path: str, limit: int) -> _Table | None:
    """Columns, first rows, how many there are and whether that is exact; None where it is no table."""
    suffix = posixpath.splitext(path)[1].lower()
    if file.mode == LINK:
        return None
    if suffix in (".csv", ".tsv"):
        with contents.opened(file) as stream:
            found = _delimited(stream, limit, file.size)
        if found is None or found[2] is not None or (file.size or 0) > _MAX_COUNTED:
            return found
        with contents.opened(file) as stream:
            return found[0], found[1], max(limit, _line_ends(stream) - 1), False
    if suffix in (".jsonl", ".ndjson"):
        with contents.opened(file) as stream:
            return _json_lines(stream, limit, file.size)
    if suffix not in (".json", ".yaml", ".yml") or (file.size or 0) > _MAX_PARSED:
        return None
    try:
        tree = values.parse(contents.read(file), path)
    except ProjectFileError:
        return None
    rows = _rows_of(tree)
    if rows is not None:
        return (*_columns(rows[:limit], rows), len(rows), True)
    if suffix == ".json" and isinstance(tree, dict) and tree:
        pairs = tuple(values.flatten(tree).items())
        return ("key", "value"), pairs[:limit], len(pairs), True
    return None


def _delimited(stream: BinaryIO, limit: int, size: int | None) -> _Table | None:
    """The first rows; how many there are only where it is cheap to look at every one."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    first = text.readline(1 << 20)
    if not first.strip():
        return None
    delimiter = max(",\t;|", key=first.count)
    try:
        columns = next(csv.reader([first], delimiter=delimiter))
        reader = csv.reader(text, delimiter=delimiter)
        filled = (row for row in reader if row)
        rows = tuple(tuple(row) for row in islice(filled, limit))
        if (size or 0) <= _MAX_EXACT:
            return tuple(columns), rows, len(rows) + sum(1 for _ in filled), True
    except csv.Error:
        return None
    return tuple(columns), rows, None, False


def _json_lines(stream: BinaryIO, limit: int, size: int | None) -> _Table | None:
    rows: list[Mapping[object, object]] = []
    for line in islice(stream, limit):
        try:
            row = json.loads(line)
        except ValueError:
            return None
        if not isinstance(row, dict):
            return None
        rows.append(row)
    if not rows:
        return None
    total = None
    if (size or 0) <= _MAX_COUNTED:
        total = len(rows) + _line_ends(stream)
    return (*_columns(rows, rows), total, True)


def _rows_of(tree: object) -> list[Mapping[object, object]] | None:
    """Rows where the tree is a list of mappings, or a mapping to one such list alone, as plots have it."""
    if isinstance(tree, dict) and len(tree) == 1:
        tree = next(iter(tree.values()))
    if isinstance(tree, list) and tree and all(isinstance(row, dict) for row in tree):
        return tree
    return None


def _columns(
    rows: Sequence[Mapping[object, object]], known: Sequence[Mapping[object, object]]
) -> tuple[tuple[str, ...], tuple[tuple[object, ...], ...]]:
    """The columns in the order they come up, and the rows with `MISSING` where one has no value."""
    columns = dict.fromkeys(key for row in known for key in row)
    cells = tuple(tuple(row.get(key, values.MISSING) for key in columns) for row in rows)
    return tuple(map(str, columns)), cells


# Text and bytes -----------------------------------------------------------------------------------


def _is_text(start: bytes, *, is_all: bool) -> bool:
    """UTF-8 without what no text has; a character may be cut where the beginning ends."""
    if b"\0" in start:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start, final=is_all)
    except UnicodeDecodeError:
        return False
    return True


def _lines(stream: BinaryIO, limit: int, size: int | None) -> tuple[tuple[str, ...], int | None]:
    """The first lines, long ones cut, and how many there are."""
    found: list[str] = []
    while len(found) < limit:
        piece = stream.readline(_MAX_LINE * 4)
        if not piece:
            return tuple(found), len(found)
        line, is_cut = piece, False
        while line and not line.endswith(b"\n"):
            line = stream.readline(_PIECE)
            is_cut = is_cut or bool(line)
        text = piece.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n")
        is_cut = is_cut or len(text) > _MAX_LINE
        found.append(f"{text[:_MAX_LINE]}…" if is_cut else text)
    if (size or 0) > _MAX_COUNTED:
        return tuple(found), None
    return tuple(found), len(found) + _line_ends(stream)


def _line_ends(stream: BinaryIO) -> int:
    """How many lines follow; the last may lack its end."""
    count, last = 0, b"\n"
    for piece in _pieces(stream):
        count += piece.count(b"\n")
        last = piece[-1:]
    return count + (last != b"\n")


def _md5(contents: Contents, file: File) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with contents.opened(file) as stream:
        for piece in _pieces(stream):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece
