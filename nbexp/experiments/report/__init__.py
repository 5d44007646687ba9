"""A report for a pull request: what one experiment is, against others, with its plots as pictures.

`make` reads everything once; how it is written is the affair of `markdown` and `page`. Bars that a metric has
to clear are checked here, so that a pipeline of CI can stop at one.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from nbexp import filesystem
from nbexp.errors import CheckFailed, NbexpError, NotFound, UsageError, nearest
from nbexp.experiments.compare import Diff
from nbexp.experiments.row import Data, Row
from nbexp.experiments.series import Curves
from nbexp.experiments.table import Column, Table
from nbexp.experiments.value_text import is_number
from nbexp.frozen import field, frozen
from nbexp.results import Result

# By the end of their names; what a browser and a comment on GitHub or GitLab can show.
PICTURES: Mapping[str, str] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
# GitHub takes pictures up to 10 MB; a comment with more than two dozen is not read.
MAX_PICTURE, MAX_PICTURES = 10_000_000, 24


@frozen
class Picture:
    """A picture among the outputs: `old` the reference's, `new` the experiment's; None where there is none."""

    path: str
    old: bytes | None
    new: bytes | None

    @property
    def mime(self) -> str:
        return PICTURES[posixpath.splitext(self.path)[1].lower()]


@frozen
class Bar:
    """What a metric must not fall under, or not rise over; `file` is None where the key says enough."""

    key: str
    limit: float
    way: Literal["under", "over"]
    file: str | None = None


@frozen
class Check:
    """A bar, and the value that was held against it. NaN clears no bar."""

    bar: Bar
    value: float

    @property
    def holds(self) -> bool:
        return (
            self.value >= self.bar.limit
            if self.bar.way == "under"
            else self.value <= self.bar.limit
        )

    def __str__(self) -> str:
        if self.holds:
            words = "at least" if self.bar.way == "under" else "at most"
            return f"{self.bar.key} is {_number(self.value)}, {words} {_number(self.bar.limit)}"
        if math.isnan(self.value):
            return f"{self.bar.key} is nan, which clears no bar of {_number(self.bar.limit)}"
        return (
            f"{self.bar.key} is {_number(self.value)}, "
            f"{self.bar.way} the bar of {_number(self.bar.limit)}"
        )


@frozen
class Report(Result):
    """An experiment against a reference, and beside others.

    Attributes
    ----------
    table
        One row each: the experiment, the reference, the others.
    diff
        From the reference to the experiment, with the metrics that are equal.
    patch
        The code that differs, as a unified diff; of notebooks the source of their code cells.
    curves
        What was logged by step, one for each metric that the experiment has.
    pictures
        Pictures among the outputs of the experiment and the reference.
    checks
        The bars that were asked for.
    seconds
        How long stages took, by row and stage; of rows of which that is known.
    """

    title: str
    table: Table
    diff: Diff
    patch: str = ""
    curves: tuple[Curves, ...] = ()
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    checks: tuple[Check, ...] = ()
    seconds: Mapping[str, Mapping[str, float]] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        return f"<Report {self.title}>"

    def __str__(self) -> str:
        """The report as Markdown, its curves as numbers."""
        return self.to_markdown()

    @property
    def failure(self) -> CheckFailed | None:
        """What a pipeline stops at: the bars that were not cleared; None when all were."""
        missed = [f"{check}." for check in self.checks if not check.holds]
        return CheckFailed("\n".join(missed)) if missed else None

    def params(self) -> list[Column]:
        """The params that are not the same in every row."""
        return [
            column
            for column in self.table.columns()
            if column.kind == "param"
            and len({repr(self.table.value(row, column)) for row in self.table}) > 1
        ]

    def metrics(self) -> list[Column]:
        """Every metric of any row."""
        return [column for column in self.table.columns() if column.kind == "metric"]

    def stages(self) -> list[str]:
        """The stages whose time is known in some row."""
        return [*dict.fromkeys(name for took in self.seconds.values() for name in took)]

    def to_json(self) -> dict[str, object]:
        return {
            "title": self.title,
            "experiments": [
                {
                    "name": row.name,
                    "rev": row.rev,
                    "params": row.params,
                    "metrics": row.metrics,
                    "seconds": dict(self.seconds.get(row.rev, {})),
                }
                for row in self.table
            ],
            "diff": self.diff.to_json(),
            "plots": [curves.to_json() for curves in self.curves],
            "pictures": [picture.path for picture in self.pictures],
            "checks": [
                {
                    "metric": check.bar.key,
                    "value": check.value,
                    "bar": check.bar.limit,
                    "fails": check.bar.way,
                    "holds": check.holds,
                }
                for check in self.checks
            ],
        }

    def to_markdown(self) -> str:
        """Markdown for a comment that takes no pictures: curves are told as a table of their steps."""
        from nbexp.experiments.report import markdown

        return markdown.write(self, None)

    def to_html(self) -> str:
        """One HTML page with its pictures inside; it needs no network and has no script."""
        from nbexp.experiments.report import page

        return page.write(self)

    def write(
        self, path: str | Path, *, html: bool | None = None, pictures: bool = True
    ) -> Written:
        """Write the report to a file, as Markdown or HTML by its name or as asked.

        The pictures of Markdown are files in a folder beside it, `report_files` of `report.md`: what `cml
        comment create` uploads, and what a browser of Git finds when both are committed.

        Raises
        ------
        UsageError
            The name says neither, or its folder is not there. Nothing was written.
        """
        target = Path(path)
        ending = target.suffix.lower()
        if html is None and ending not in (".md", ".markdown", ".html", ".htm"):
            raise UsageError(
                f"{target} ends in neither .md nor .html. Nothing was written.",
                f"`nbexp report {self.diff.new} -o {target.stem or 'report'}.md`",
            )
        if not target.parent.is_dir():
            raise UsageError(f"There is no folder {target.parent}. Nothing was written.")
        if target.is_dir():
            raise UsageError(f"{target} is a folder. Nothing was written.")
        if ending in (".html", ".htm") if html is None else html:
            filesystem.atomic_write(target, encoded(self.to_html()))
            return Written(str(path), (), self)
        from nbexp.experiments.report import markdown

        files: dict[str, bytes] = {}
        folder = target.with_name(f"{target.stem}_files")
        if pictures and folder.exists() and not folder.is_dir():
            raise UsageError(
                f"{folder} is a file, and pictures are written to a folder of that name. "
                "Nothing was written.",
                f"`nbexp report {self.diff.new} -o {target.stem}-2.md`",
            )
        text = markdown.write(self, (folder.name, files) if pictures else None)
        # The pictures first: a report that is there has all of its own.
        for name, data in files.items():
            filesystem.atomic_write(folder / name, data, durable=False)
        filesystem.atomic_write(target, encoded(text))
        return Written(str(path), tuple(f"{folder.name}/{name}" for name in files), self)


@frozen
class Written(Result):
    """A report in a file; `pictures` are the files beside it."""

    path: str
    pictures: tuple[str, ...]
    report: Report = field(repr=False)

    def __str__(self) -> str:
        count = len(self.pictures)
        word = "1 picture" if count == 1 else f"{count} pictures"
        beside = f", with {word} in {posixpath.dirname(self.pictures[0])}" if count else ""
        held = [f"✓ {check}" for check in self.report.checks if check.holds]
        return "\n".join([f"wrote {self.path}{beside}", *held])

    @property
    def failure(self) -> CheckFailed | None:
        return self.report.failure

    def to_json(self) -> dict[str, object]:
        return {
            **self.report.to_json(),
            "path": self.path,
            "files": [*self.pictures],
        }


@frozen
class Printed(Result):
    """A report as the text that was asked for."""

    text: str
    report: Report = field(repr=False)

    def __str__(self) -> str:
        return self.text

    @property
    def failure(self) -> CheckFailed | None:
        return self.report.failure

    def to_json(self) -> dict[str, object]:
        return self.report.to_json()


def bar(text: str, way: Literal["under", "over"]) -> Bar:
    """The bar that an option asks for: `acc=0.9`, `metrics.json:acc=0.9`.

    Raises
    ------
    UsageError
        It is none.
    """
    place, found, number = text.rpartition("=")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not found or not place.strip() or math.isnan(limit):
        raise UsageError(
            f"`{text}` is no bar: a metric, `=` and a number are expected. Nothing was written.",
            f"for example `--fail-{way} acc=0.9`.",
        )
    file, colon, key = place.strip().rpartition(":")
    return Bar(key, limit, way, file if colon else None)


def check(data: Data, bars: Sequence[Bar], name: str) -> tuple[Check, ...]:
    """Each bar with the value of the metric it is about.

    Raises
    ------
    NotFound
        There is no such metric: a bar that nothing is held against must not pass unseen.
    UsageError
        Several files have the metric, or it is no number.
    """
    known = data.flat("metrics")
    found = []
    for one in bars:
        places = [
            (file, key)
            for file, key in known
            if key == one.key and (one.file is None or file == one.file)
        ]
        option = f"--fail-{one.way}"
        if not places:
            keys = [f"{file}:{key}" for file, key in known] if one.file else [k for _, k in known]
            asked = f"{one.file}:{one.key}" if one.file else one.key
            near = nearest(asked, keys)
            hint = f"it has {', '.join(sorted(set(keys)))}." if keys else None
            if near:
                hint = f"did you mean `{option} {near}={_number(one.limit)}`?"
            raise NotFound(f"`{name}` has no metric `{asked}`. Nothing was written.", hint)
        if len(places) > 1:
            raise UsageError(
                f"{_listed(file for file, _ in places)} have a metric `{one.key}`. "
                "Nothing was written.",
                f"name the file: `{option} {places[0][0]}:{one.key}={_number(one.limit)}`.",
            )
        value = known[places[0]]
        if not is_number(value):
            raise UsageError(
                f"The metric `{one.key}` of `{name}` is {value!r}, no number to hold against "
                f"{_number(one.limit)}. Nothing was written."
            )
        assert isinstance(value, (int, float))
        found.append(Check(one, value))
    return tuple(found)


def curves_of(
    read: Callable[[str], Curves], names: Sequence[str], limit: int = MAX_PICTURES
) -> tuple[Curves, ...]:
    """The curves of each name that can be read; a damaged file of one must not cost the others."""
    found = []
    for name in names[:limit]:
        try:
            curves = read(name)
        except NbexpError:
            continue
        if any(len(one.steps) > 1 for one in curves.series):
            found.append(curves)
    return tuple(found)


def pictures_of(
    old: Mapping[str, Callable[[], bytes]], new: Mapping[str, Callable[[], bytes]]
) -> tuple[Picture, ...]:
    """The pictures among the outputs of two states, by path; those that the cache lacks are left out."""
    found: list[Picture] = []
    for path in sorted({*old, *new}):
        before, after = _loaded(old.get(path)), _loaded(new.get(path))
        if (before or after) and len(found) < MAX_PICTURES:
            found.append(Picture(path, before, after))
    return tuple(found)


def is_picture(path: str) -> bool:
    """Whether a path is that of a picture, by its end."""
    return posixpath.splitext(path)[1].lower() in PICTURES


def file_names() -> Callable[[str, str], str]:
    """Names for pictures, each once: `name("train/acc", ".png")` is `train-acc.png`."""
    taken: set[str] = set()

    def name(text: str, ending: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "picture"
        number, found = 1, plain[:80]
        while found.lower() in taken:
            number += 1
            found = f"{plain[:80]}-{number}"
        taken.add(found.lower())
        return found + ending

    return name


def encoded(text: str) -> bytes:
    """The text as UTF-8; of names whose bytes are none, the bytes are told."""
    return text.encode("utf-8", "backslashreplace")


def reference(table: Table) -> Row:
    """The row that the first is held against."""
    return table.rows[1]


def _loaded(load: Callable[[], bytes] | None) -> bytes | None:
    if load is None:
        return None
    try:
        data = load()
    except (NbexpError, OSError):
        return None
    return data if 0 < len(data) <= MAX_PICTURE else None


def _number(value: float) -> str:
    return f"{value:.10g}"


def _listed(parts: Iterator[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
