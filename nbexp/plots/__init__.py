"""Pictures as data: one file per plot type, each with `plot(series, options)`; no drawing library here.

The name of the file is the name users type. `render` makes files and images of the result. A plot type of
another package is an entry point of the group `nbexp.plots`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

Spec = dict[str, object]
"""A Vega-Lite 5 chart as JSON: what JupyterLab, VS Code, Altair and the Vega editor read."""


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


class Curves(Protocol):
    """A metric of several experiments over their steps."""

    @property
    def metric(self) -> str: ...

    @property
    def series(self) -> Sequence[Series]: ...


class Plot(Protocol):
    """What a module of this folder holds."""

    def plot(self, series: Sequence[Series], options: Mapping[str, object]) -> Spec:
        """The chart of the series, complete in itself: data inline, no URL, nothing random.

        `options` are spelled as in dvc.yaml: `title`, `x_label`, `y_label`. Names and titles come from
        commits of other people: they may stand in data and titles, never in an expression or a field's
        name.
        """
