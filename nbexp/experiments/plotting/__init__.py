"""What `plot` gives: one view of the experiments or several that are linked, as a picture, as numbers and as code."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp import plots, plugins
from nbexp.errors import NotFound
from nbexp.frozen import field, frozen
from nbexp.plots import Spec, look, together
from nbexp.results import Result, strict

if TYPE_CHECKING:
    import altair as alt

    from nbexp.experiments.series import Series


@frozen
class View:
    """One plot type with what it draws."""

    kind: str
    data: Sequence[Any] = field(hash=False, repr=False)
    options: Mapping[str, object] = field(hash=False, repr=False)

    def draw(self, added: Mapping[str, object] | None = None) -> Spec:
        """The chart, with what is added to its options."""
        found: Spec = plots.load(self.kind).plot(self.data, {**self.options, **(added or {})})
        # Data may be what JSON has no number for.
        return strict(found)  # type: ignore[return-value]  # a dict stays one

    def lines(self) -> list[list[str]]:
        """Its numbers as a table of words, the heads first."""
        table = getattr(plots.load(self.kind), "table", None)
        if table is not None:
            found: list[list[str]] = table(self.data, self.options)
            return found
        spec = self.draw()
        _, columns, _ = look.told(spec)
        rows = look.rows_of(spec)
        if not columns:
            columns = {key: key for row in rows for key in row}
        return [
            [*columns.values()],
            *(
                ["-" if row.get(key) is None else look.brief(row[key]) for key in columns]
                for row in rows
            ),
        ]


@frozen
class Plot(Result):
    """Experiments as a picture.

    In a notebook it is the picture itself; `chart()` gives it as an Altair chart, to go on with.

    Attributes
    ----------
    metric
        What it is about.
    views
        The plot types, as they stand below each other.
    title
        Above all of them.
    call
        The Python that makes it, for `code`.
    """

    metric: str
    views: tuple[View, ...] = field(repr=False)
    title: str | None = None
    call: str = field(default="", repr=False)

    def __repr__(self) -> str:
        return f"<Plot {self.kind} of {self.metric}>"

    @property
    def kind(self) -> str:
        """The plot type, several with commas."""
        return ",".join(view.kind for view in self.views)

    @property
    def series(self) -> tuple[Series, ...]:
        """The curves of its first view that draws any: `name`, `x`, `steps` and `values` of each."""
        for view in self.views:
            if plots.needs(view.kind) == "series":
                return tuple(view.data)
        return ()

    @property
    def spec(self) -> Spec:
        """The picture as Vega-Lite 5: plain data, complete in itself."""
        known: Spec | None = vars(self).get("_spec")
        if known is None:
            if len(self.views) == 1:
                known = together.alone(
                    self.views[0].draw, {"title": self.title} if self.title else None
                )
            else:
                drawn = [(view.kind, view.draw) for view in self.views]
                known = together.compose(drawn, self.title)
            vars(self)["_spec"] = known
        return known

    @property
    def heading(self) -> str:
        """What the picture shows, in words."""
        return look.told(self.spec)[0] or f"{self.kind} of {self.metric}"

    @property
    def notes(self) -> list[str]:
        """What is left out, and what else one has to know."""
        return look.told(self.spec)[2]

    def chart(self) -> alt.Chart | alt.LayerChart | alt.VConcatChart | alt.FacetChart:
        """An Altair chart of the same, to go on with: `plot.chart().properties(width=800)`."""
        found: alt.Chart = plugins.load("nbexp.jupyter", "display").chart(self)
        return found

    def to_frame(self, kind: str | None = None, *, drawn: bool = False) -> Any:
        """The numbers as a pandas DataFrame, one line for each mark of the chart.

        Parameters
        ----------
        kind
            Which view, where there are several; the first by itself.
        drawn
            Only what is drawn, where there is more than a picture can show.

        Raises
        ------
        NotFound
            It has no such view.
        """
        import pandas as pd

        view = self._view(kind)
        spec = view.draw(None if drawn else {"limit": 0})
        rows, columns = _own_rows(spec)
        if not columns:
            return pd.DataFrame(rows)
        frame = pd.DataFrame(rows, columns=[*columns])
        return frame.rename(columns=columns)

    def code(self) -> str:
        """Altair code that draws the same in a notebook of its own."""
        from nbexp.plots import altair_code

        return altair_code.write(self.spec, self.call, [view.kind for view in self.views])

    def svg(self) -> str:
        """The picture as SVG, on a transparent ground."""
        from nbexp.plots import render

        return render.svg(self.spec)

    def png(self, *, scale: float = 2) -> bytes:
        """The picture as PNG; `scale` is its pixels for each pixel of the chart."""
        from nbexp.plots import render

        return render.png(self.spec, scale=scale)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the picture; the ending of `path` says which kind: .svg, .png, .html or .json.

        Raises
        ------
        UsageError
            It has another ending, or the folder is not there. Nothing was written.
        """
        from nbexp.plots import render

        render.write_spec(self.spec, path, self.metric)

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {"metric": self.metric, "kind": self.kind}
        if self.series:
            found["series"] = [
                {"name": one.name, "x": one.x, "steps": [*one.steps], "values": [*one.values]}
                for one in self.series
            ]
        return {**found, "spec": self.spec}

    def _view(self, kind: str | None) -> View:
        if kind is None:
            return self.views[0]
        for view in self.views:
            if view.kind == kind:
                return view
        raise NotFound(f"The plot has no view `{kind}`.", f"there is {self.kind}.")


def _own_rows(spec: Spec) -> tuple[list[dict[str, object]], dict[str, str]]:
    """The rows of a chart, or of its first layer, and what its fields are called."""
    rows = look.rows_of(spec)
    layers = spec.get("layer")
    if not rows and isinstance(layers, list) and layers:
        rows = look.rows_of(layers[0])
    return rows, look.told(spec)[1]


@frozen
class Code(Result):
    """The Altair code of a plot, as text."""

    text: str
    plot: Plot = field(repr=False)

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, object]:
        return {**self.plot.to_json(), "code": self.text}
