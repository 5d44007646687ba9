"""Plots in a cell: drawn, with their numbers beside; pictures of revisions side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.experiments.plots import pictures
from nbexp.experiments.plots.shown import Chart, Pictures
from nbexp.experiments.plots.summary import summary
from nbexp.jupyter.display.parts import heading
from nbexp.jupyter.markup import Markup, cell, faint, grid, head, joined, scrolled, tag
from nbexp.render.words import sized

if TYPE_CHECKING:
    from nbexp.experiments.plots import PlotsShown

# It is saved in the notebook that shows it.
_MAX_BYTES = 4_000_000


def single(result: Chart | Pictures | PlotsShown) -> pictures.Drawing | None:
    """The drawing of a chart that stands alone, which then comes in every form; None of anything else."""
    alone = [result] if isinstance(result, Chart | Pictures) else [*result]
    if len(alone) != 1 or not isinstance(alone[0], Chart) or not alone[0].rows:
        return None
    drawing = pictures.drawn(alone[0])
    return None if drawing.why else drawing


def _plots_shown(result: PlotsShown) -> Markup:
    if not result.plots:
        return tag("p", "no plots")
    left = _MAX_BYTES
    parts: list[Markup] = []
    for one in result:
        for part in _chart_parts(one) if isinstance(one, Chart) else _pictures_parts(one):
            left -= len(part)
            parts.append(part if left > 0 else tag("p", faint("too large for a cell")))
    if result.page is not None:
        parts.append(tag("p", faint("page: "), str(result.page)))
    return joined(parts)


def _chart_parts(chart: Chart) -> Iterator[Markup]:
    yield heading(chart.id)
    if not chart.rows:
        yield tag("p", faint("no rows"))
        return
    drawing = pictures.drawn(chart)
    picture = (
        faint(drawing.why) if drawing.why else tag("img", src=drawing.address, alt=chart.title)
    )
    yield tag("p", picture)
    yield _numbers(chart)


def _numbers(chart: Chart) -> Markup:
    heads, *lines = summary(chart)
    # After the names, which are text, come numbers.
    first = heads.index("rows") if "rows" in heads else 1 + (heads[0] == "revision")
    rows = [
        tag("tr", *(cell(text, is_number=at >= first) for at, text in enumerate(line)))
        for line in lines
    ]
    return grid([head(name, is_number=at >= first) for at, name in enumerate(heads)], rows)


def _pictures_parts(found: Pictures) -> Iterator[Markup]:
    yield heading(found.id)
    if not found.pictures:
        yield tag("p", faint("no picture"))
        return
    columns = [
        tag("td", tag("img", src=pictures.embedded(one), alt=f"{one.path} of {one.rev}"))
        if len(one.data) < _MAX_BYTES
        else cell(f"{sized(len(one.data))}: too large for a cell")
        for one in found.pictures
    ]
    heads = tag("thead", tag("tr", *(head(one.rev) for one in found.pictures)))
    yield scrolled(tag("table", heads, tag("tbody", tag("tr", *columns))))


def _chart(result: Chart) -> Markup:
    return joined(_chart_parts(result))


def _pictures(result: Pictures) -> Markup:
    return joined(_pictures_parts(result))


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "PlotsShown": _plots_shown,
    "Chart": _chart,
    "Pictures": _pictures,
}
