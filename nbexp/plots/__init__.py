"""Pictures as data: one file per plot type, each with `plot(data, options)`; no drawing library here.

The name of the file is the name users type. `look` has what all of them share to be told apart and read,
`together` puts several into one picture, `altair_code` says one in Altair's words, `render` makes files and
images of it. A plot type of another package is an entry point of the group `nbexp.plots`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from nbexp import plugins

Spec = dict[str, object]
"""A Vega-Lite 5 chart as JSON: what JupyterLab, VS Code, Altair and the Vega editor read."""

Needs = Literal["series", "rows", "labels", "images"]
"""What a plot type draws: curves, the rows of the table, pairs of labels, or pictures."""

# What stands in this folder beside the plot types.
_NO_TYPES = frozenset({"altair_code", "look", "render", "templates", "together"})


class Series(Protocol):
    """One line of a plot: `steps` and `values` are equally long."""

    @property
    def name(self) -> str: ...

    @property
    def x(self) -> str: ...

    @property
    def steps(self) -> Sequence[float]: ...

    @property
    def values(self) -> Sequence[float]: ...


class Record(Protocol):
    """An experiment as a row: what it has by the titles of the columns; what it lacks is not there."""

    @property
    def name(self) -> str: ...

    @property
    def values(self) -> Mapping[str, object]: ...


class Labelled(Protocol):
    """What an experiment predicted: pairs of the actual label and the one it gave."""

    @property
    def name(self) -> str: ...

    @property
    def pairs(self) -> Sequence[tuple[object, object]]: ...


class Image(Protocol):
    """A picture among the outputs of an experiment; `url` has it whole (`data:image/png;base64,…`)."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def size(self) -> tuple[int, int]: ...


class Curves(Protocol):
    """A metric of several experiments over their steps."""

    @property
    def metric(self) -> str: ...

    @property
    def series(self) -> Sequence[Series]: ...


class Plot(Protocol):
    """What a module of this folder holds.

    Beside `plot` it may have `NEEDS`, which is "series" where it is not said, and `COLUMNS`: how many
    columns it is asked for at least and at most, the last of them the metric. With `table(data, options)` it says
    its numbers in words, the first line the heads; without, they are those of the chart's rows.
    """

    def plot(self, data: Sequence[Any], options: Mapping[str, object]) -> Spec:
        """The chart of the data, complete in itself: data inline, no URL, nothing random.

        `options` are `title`, `x_label` and `y_label`, spelled as in dvc.yaml, and what `look` reads of them
        for all types. Names and titles come from commits of other people: they may stand in data and titles,
        never in an expression or a field's name.
        """


def kinds() -> tuple[str, ...]:
    """The plot types there are, those of other packages among them."""
    return tuple(name for name in plugins.names("nbexp.plots") if name not in _NO_TYPES)


def load(kind: str) -> Any:
    """The module of a plot type.

    Raises
    ------
    LookupError
        There is none of that name.
    """
    if kind.replace("-", "_") in _NO_TYPES:
        raise LookupError(kind)
    return plugins.load("nbexp.plots", kind)


def needs(kind: str) -> Needs:
    """What a plot type draws."""
    found: Needs = getattr(load(kind), "NEEDS", "series")
    return found


def columns(kind: str) -> tuple[int, int]:
    """How many columns a plot type is asked for, at least and at most."""
    found: tuple[int, int] = getattr(load(kind), "COLUMNS", (1, 1))
    return found
