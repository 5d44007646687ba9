"""Plots as text: their numbers, and where the page with the drawings is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.experiments.plots.shown import Chart
from nbexp.experiments.plots.summary import summary
from nbexp.render.words import aligned, sized

if TYPE_CHECKING:
    from nbexp.experiments.plots import Pictures, PlotsShown
    from nbexp.experiments.plots.modifying import PlotModified


def _plots_shown(result: PlotsShown) -> str:
    if not result.plots:
        return "no plots"
    parts = [_chart(one) if isinstance(one, Chart) else _pictures(one) for one in result]
    if result.page is not None:
        parts.append(result.page.as_uri())
    return "\n\n".join(parts)


def _chart(result: Chart) -> str:
    title = result.id if result.title == result.id else f"{result.id}: {result.title}"
    if not result.rows:
        return f"{title}\nno rows"
    x, y = (result.properties.get(f"{axis}_label") for axis in "xy")
    return "\n".join([f"{title}   ({y} by {x})", *aligned(summary(result))])


def _pictures(result: Pictures) -> str:
    lines = [[one.rev, sized(len(one.data)), one.address or ""] for one in result.pictures]
    return "\n".join([result.id, *(aligned(lines) or ["no picture"])])


def _plot_modified(result: PlotModified) -> str:
    said = [f"{key} {value}" for key, value in result.properties.items()]
    words = ", ".join(said) or "no properties"
    more = "" if result.changed else "; nothing to change"
    return f"{result.plot}: {words}   (stage {result.stage}, {result.path}{more})"


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "PlotsShown": _plots_shown,
    "Chart": _chart,
    "Pictures": _pictures,
    "PlotModified": _plot_modified,
}
