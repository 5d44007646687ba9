"""What a cell shows of each kind of result: plain text, HTML, and pictures of plots.

The plain text is `render.text`, the same as a terminal prints, with commands spelled as in a cell. All of it
is static: it reads the same on GitHub, in nbconvert, and after the kernel has gone.

One short function for each kind of result writes its HTML, in the file of its family, which is loaded when one is shown.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display.parts import MAX_ROWS, in_cell_words, plain_text
from nbexp.jupyter.markup import Markup, harmless, page, tag
from nbexp.results import Bundle

if TYPE_CHECKING:
    import altair as alt

    from nbexp.experiments.plotting import Plot
    from nbexp.experiments.series import Curves

__all__ = ["MAX_ROWS", "bundle", "chart", "html", "in_cell_words", "plain"]

# By the names of the classes, so that none has to be loaded to be known here; `WRITERS` of each family has the functions,
# `TEXTS` those of results whose text is shorter in a cell than in a terminal.
FAMILIES = {
    "runs": ("Experiment", "Saved", "Imported", "Verified"),
    "tables": ("Table", "Groups", "Listing", "MeasureDiff", "MetricsShown"),
    "run_cache": ("RunTable", "CachedRun"),
    "plots": ("PlotsShown", "Chart", "Pictures"),
    "diffs": ("Diff",),
    "notebooks": ("NotebookDiff",),
    "reports": ("Report", "Printed"),
    "alerts": ("Alerts",),
    "labels": ("Tagged", "Recorded"),
    "pipelines": ("InitReport", "Detected", "Setup", "StageWritten"),
    "plans": ("Status", "Plan", "Why"),
    "sharing": ("Pushed", "PulledExperiments", "Branches"),
    "undo": ("TrashList", "Steps"),
    "upkeep": ("Cleaned", "Collected", "Health"),
    "queue": ("QueueStatus", "Queued", "TaskLog", "RunOver"),
    "opened": ("OpenedNotebook", "OpenedPicture", "OpenedTable", "OpenedText", "OpenedDirectory"),
    "sweeps": ("Sweep", "Sweeps", "SweepForm"),
}
# A chart with its data is saved in the notebook: beyond this, its picture says as much.
_MAX_CHART = 400_000
_CHART = "application/vnd.vegalite.v5+json"
# Results that are pictures: these have a chart.
_PICTURES = {"Plot", "Curves"}
_FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}


def bundle(result: object) -> Bundle:
    """Contents by MIME type, and metadata; a terminal gets the text alone, no picture is made for it."""
    contents: dict[str, object] = {"text/plain": plain(result)}
    metadata: dict[str, object] = {}
    if _is_terminal():
        return contents, metadata
    kinds = {kind.__name__ for kind in type(result).__mro__}
    shown: Any = result
    if not kinds.isdisjoint(_PICTURES):
        from nbexp.plots import render as pictures

        spec = shown.spec if "Plot" in kinds else pictures.spec_of(shown)
        image = pictures.png(spec, scale=2)
        if len(json.dumps(spec)) <= _MAX_CHART:
            contents[_CHART] = spec
            # With elements for its marks, which a canvas has not: screen readers reach them, and the compare panel.
            metadata[_CHART] = {"embed_options": {"renderer": "svg"}}
        contents["image/svg+xml"] = pictures.svg(spec)
        contents["image/png"] = base64.b64encode(image).decode()
        metadata["image/png"] = _half(image)
    elif "Dag" in kinds:
        from nbexp.pipeline.dag import svg

        contents["image/svg+xml"] = svg.draw(shown)
    elif "Text" not in kinds:
        contents["text/html"] = page(html(result))
    if not kinds.isdisjoint({"PlotsShown", "Chart"}):
        _add_drawing(shown, contents, metadata)
    return contents, metadata


def _add_drawing(result: Any, contents: dict[str, object], metadata: dict[str, object]) -> None:
    """The drawing of a plot that stands alone, in the forms that front ends know."""
    from nbexp.jupyter.display import plots

    drawing = plots.single(result)
    if drawing is None:
        return
    if len(json.dumps(drawing.spec)) <= _MAX_CHART:
        contents[_CHART] = drawing.spec
    contents["image/svg+xml"] = drawing.svg
    image = drawing.png()
    if image is not None:
        contents["image/png"] = base64.b64encode(image).decode()
        metadata["image/png"] = _half(image)


def _half(image: bytes) -> dict[str, int]:
    """How large to show a PNG that has two pixels for one."""
    width, height = (int.from_bytes(image[at : at + 4], "big") // 2 for at in (16, 20))
    return {"width": width, "height": height}


def chart(result: Plot | Curves) -> alt.Chart | alt.LayerChart | alt.VConcatChart | alt.FacetChart:
    """The plot as an Altair chart, to go on with: `chart(plot).properties(width=800)`."""
    import altair as alt

    from nbexp.plots import render as pictures

    kinds = {kind.__name__ for kind in type(result).__mro__}
    shown: Any = result
    spec = shown.spec if "Plot" in kinds else pictures.spec_of(shown)
    # Of the class that fits the spec.
    found: alt.Chart | alt.LayerChart | alt.VConcatChart | alt.FacetChart = alt.Chart.from_dict(
        spec
    )
    return found


def plain(result: object) -> str:
    """The text of a result; of a table that is longer than a cell should be, its first rows."""
    write = _of_family(result, "TEXTS")
    text = plain_text(result) if write is None else str(write(result))
    # What a terminal says nothing about, as DVC does not, leaves an empty output in a cell.
    return harmless(text) or repr(result)


def html(result: object) -> Markup:
    """The inside of the HTML of a result; of a kind without its own, its text."""
    write = _of_family(result, "WRITERS")
    if write is not None:
        found: Markup = write(result)
        return found
    lines = plain(result).splitlines()
    return tag("div", lines[0]) if len(lines) == 1 else tag("pre", "\n".join(lines))


def _of_family(result: object, what: str) -> Callable[[object], Any] | None:
    """What the family of the result's class, or of one that it is derived from, has for it."""
    for kind in type(result).__mro__:
        family = _FAMILY_OF.get(kind.__name__)
        if family is not None:
            found: Mapping[str, Callable[[object], Any]] = getattr(
                import_module(f"nbexp.jupyter.display.{family}"), what, {}
            )
            return found.get(kind.__name__)
    return None


def _is_terminal() -> bool:
    """Whether IPython runs in a terminal, which shows text alone."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    formatter = getattr(running, "display_formatter", None)
    return formatter is not None and formatter.active_types == ["text/plain"]
