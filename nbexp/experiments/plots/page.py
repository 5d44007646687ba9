"""Plots as a page of HTML: drawings and tables, nothing that runs, nothing that is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import NotFound, UsageError
from nbexp.experiments import look
from nbexp.experiments.plots import pictures
from nbexp.experiments.plots.shown import Chart, Pictures, PlotsShown
from nbexp.experiments.plots.summary import summary
from nbexp.frozen import replace
from nbexp.markup import Markup, joined, tag

_PLOTS = "{plot_divs}"


def write(shown: PlotsShown, folder: Path, template: Path | None = None) -> PlotsShown:
    """Write `index.html` into the folder, with all that it shows inside; the plots, with their page.

    Pictures are written to `static` beside it as well, as DVC does.

    Parameters
    ----------
    template
        A page with `{plot_divs}` where the plots go; `{scripts}` and `{refresh_tag}`, which DVC knows as well,
        become nothing.

    Raises
    ------
    NotFound, UsageError
        There is no such page, or it has no place for plots. Nothing was written.
    """
    given = None if template is None else _read(template)
    written = shown.written(folder / "static")
    plots = joined((_section(one) for one in written), "\n")
    if given is None:
        whole = look.page("Plots", joined([tag("h1", "Plots"), plots], "\n"))
    else:
        whole = given.replace("{scripts}", "").replace("{refresh_tag}", "").replace(_PLOTS, plots)
    path = folder / "index.html"
    folder.mkdir(parents=True, exist_ok=True)
    filesystem.atomic_write(path, whole.encode(), durable=False)
    return replace(written, page=path)


def _read(template: Path) -> str:
    try:
        found = template.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise NotFound(f"There is no page {template}. Nothing was written.") from None
    if _PLOTS not in found:
        raise UsageError(
            f"{template} has no `{_PLOTS}`, where the plots would go. Nothing was written.",
            f"put `{_PLOTS}` into its body.",
        )
    return found


def _section(plot: Chart | Pictures) -> Markup:
    return tag("section", *_parts(plot))


def _parts(plot: Chart | Pictures) -> Iterator[Markup]:
    yield tag("h2", plot.id)
    if isinstance(plot, Pictures):
        figures = [
            tag(
                "figure",
                tag("figcaption", one.rev),
                tag("img", src=pictures.embedded(one), alt=f"{one.path} of {one.rev}"),
            )
            for one in plot.pictures
        ]
        yield tag("div", *figures, class_="plots")
        return
    if not plot.rows:
        yield tag("p", "No rows.", class_="empty")
        return
    drawing = pictures.drawn(plot)
    if drawing.why:
        yield tag("p", drawing.why, class_="empty")
    else:
        yield tag("p", tag("img", src=drawing.address, alt=plot.title))
    heads, *lines = summary(plot)
    body = [tag("tr", *(tag("td", cell) for cell in line)) for line in lines]
    head = tag("tr", *(tag("th", name, scope="col") for name in heads))
    yield tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll")
