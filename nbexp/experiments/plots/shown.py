"""Plots of one or more revisions, as `plots show` and `plots diff` give them; their JSON is DVC's."""

from __future__ import annotations

import base64
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import NotFound, ProjectFileError, nearest
from nbexp.formats import plot_files
from nbexp.frozen import field, frozen, replace
from nbexp.plots import Spec, templates
from nbexp.plots.templates import drawing, filling
from nbexp.plots.templates.rows import Row
from nbexp.results import Result


@frozen
class Problem:
    """Why something of a revision is not shown; `kind` is what DVC's JSON calls it.

    `plot` and `source` are the plot and the file concerned; None where it is the whole revision, or plot.
    """

    rev: str
    kind: str
    message: str
    plot: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        if self.message.startswith("[Errno 2]"):
            return f"{self.rev}: there is no {self.source}, in its files or in the cache."
        place = self.source or self.plot
        starts = place is None or self.message.startswith(place)
        return f"{self.rev}: {self.message}" if starts else f"{self.rev}: {place}: {self.message}"

    def to_json(self) -> dict[str, object]:
        known = {"name": self.plot, "rev": self.rev, "source": self.source}
        return {
            **{key: value for key, value in known.items() if value is not None},
            "type": self.kind,
            "msg": self.message,
        }


@frozen
class Picture:
    """A picture of one revision; `address` is the file that it was written to, absolute."""

    rev: str
    path: str
    data: bytes = field(repr=False)
    address: str | None = None

    @property
    def mime(self) -> str:
        return plot_files.PICTURES[posixpath.splitext(self.path)[1]]

    @property
    def file_name(self) -> str:
        """What it is called among pictures of other revisions and folders, as DVC calls it."""
        return f"{self.rev}_{self.path}".replace(os.sep, "_").replace("/", "_")


@frozen
class Pictures(Result):
    """The pictures of one path, one for each revision that has it."""

    id: str
    pictures: tuple[Picture, ...]

    def __repr__(self) -> str:
        return f"<Pictures {self.id}: {', '.join(self.revisions)}>"

    @property
    def revisions(self) -> tuple[str, ...]:
        return tuple(one.rev for one in self.pictures)

    def items(self, *, split: bool = False) -> list[dict[str, object]]:
        """What DVC's JSON has of it; a picture that was not written anywhere is its own address."""
        return [
            {
                "type": "image",
                "revisions": [one.rev],
                "url": one.address or f"data:image;base64,{base64.b64encode(one.data).decode()}",
            }
            for one in self.pictures
        ]

    def to_json(self) -> object:
        return self.items()


@frozen
class Chart(Result):
    """A plot of rows: those of all revisions that have any, and the template that they go into.

    `properties` are DVC's: x, y, title, labels, the template's name; `template` is its chart with anchors.
    """

    id: str
    revisions: tuple[str, ...]
    rows: tuple[Row, ...] = field(default=(), hash=False, repr=False)
    properties: Mapping[str, object] = field(default_factory=dict, hash=False, repr=False)
    template: Spec = field(default_factory=dict, hash=False, repr=False)

    def __repr__(self) -> str:
        return f"<Chart {self.id}: {', '.join(self.revisions)}>"

    @property
    def title(self) -> str:
        return str(self.properties.get("title") or self.id)

    @property
    def template_name(self) -> str:
        return str(self.properties.get("template") or templates.DEFAULT)

    def drawn(self) -> Spec:
        """The chart as it is drawn: in colours for any page, and of very many points those that are seen."""
        name = self.template_name
        is_ours = self.template == templates.built_in(name)
        rows, names = drawing.shown_rows(self.rows, self.properties, name, is_ours=is_ours)
        return drawing.dressed(replace(self, properties={**self.properties, **names}).spec(rows))

    def spec(self, rows: Sequence[Row] | None = None) -> Spec:
        """The Vega-Lite chart, of other rows if they are given; empty without any."""
        return self._filled(self.rows if rows is None else rows)[0]

    def items(self, *, split: bool = False) -> list[dict[str, object]]:
        """What DVC's JSON has of it."""
        if not self.rows:
            return []
        content, apart = self._filled(self.rows, split=split)
        found: dict[str, object] = {"type": "vega", "revisions": [*self.revisions]}
        return [{**found, "content": content, **({"anchor_definitions": apart} if split else {})}]

    def to_json(self) -> object:
        return self.spec()

    def _filled(
        self, rows: Sequence[Row], *, split: bool = False
    ) -> tuple[Spec, dict[str, object]]:
        if not rows:
            return {}, {}
        try:
            return filling.filled(self.template, rows, self.properties, self.revisions, split=split)
        except filling.BadTemplate as error:
            raise ProjectFileError(
                f"{error} `{self.id}` was not drawn.",
                "`nbexp plots templates linear` prints one that has all places.",
                path=self.template_name,
            ) from None


@frozen
class PlotsShown(Result):
    """Plots, in the order in which they are defined; `shown["acc.csv"]` is one of them.

    Attributes
    ----------
    problems
        What could not be read or drawn, by revision; the rest is there.
    page
        The HTML page that was written, if one was.
    """

    plots: tuple[Chart | Pictures, ...]
    problems: tuple[Problem, ...] = ()
    page: Path | None = None
    split: bool = False

    def __repr__(self) -> str:
        return f"<PlotsShown: {', '.join(one.id for one in self.plots)}>"

    def __len__(self) -> int:
        return len(self.plots)

    def __iter__(self) -> Iterator[Chart | Pictures]:
        return iter(self.plots)

    def __getitem__(self, name: str) -> Chart | Pictures:
        for one in self.plots:
            if one.id == name:
                return one
        near = nearest(name, [one.id for one in self.plots])
        raise NotFound(
            f"There is no plot `{name}` here.", f"did you mean `{near}`?" if near else None
        )

    @property
    def unreadable(self) -> tuple[str, ...]:
        """What could not be read or drawn, with the reason."""
        return tuple(dict.fromkeys(map(str, self.problems)))

    def to_json(self) -> dict[str, object]:
        """DVC's `plots show --json` and `plots diff --json`."""
        data = {one.id: one.items(split=self.split) for one in self.plots}
        errors = [one.to_json() for one in self.problems]
        return {**({"errors": errors} if errors else {}), **({"data": data} if data else {})}

    def written(self, folder: Path) -> PlotsShown:
        """The same with its pictures as files of the folder, which is made where there are any.

        Raises
        ------
        StoreError
            The system refuses.
        """
        plots: list[Chart | Pictures] = []
        for one in self.plots:
            if not isinstance(one, Pictures):
                plots.append(one)
                continue
            folder.mkdir(parents=True, exist_ok=True)
            pictures = [
                replace(picture, address=str(folder / picture.file_name))
                for picture in one.pictures
            ]
            for picture in pictures:
                filesystem.atomic_write(folder / picture.file_name, picture.data, durable=False)
            plots.append(Pictures(one.id, tuple(pictures)))
        return replace(self, plots=tuple(plots))
