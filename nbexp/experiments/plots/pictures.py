"""A chart as a picture that runs nothing and fetches nothing, whatever its template says."""

from __future__ import annotations

import base64

from nbexp.errors import ProjectFileError
from nbexp.experiments.plots.shown import Chart, Picture
from nbexp.plots import Spec, render
from nbexp.plots.templates import drawing

# A drawing with more text than this is smaller as pixels.
_MAX_SVG = 200_000


def address(chart: Chart) -> tuple[str | None, str]:
    """The picture as an address that holds it, or None and why there is none. As an image, SVG runs no script."""
    spec, why = drawable(chart)
    if spec is None:
        return None, why
    drawn = render.svg(spec)
    if len(drawn) > _MAX_SVG and not drawing.has_picture(spec):
        return f"data:image/png;base64,{base64.b64encode(render.png(spec)).decode()}", ""
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()}", ""


def embedded(picture: Picture) -> str:
    """A picture of a project as an address that holds it."""
    return f"data:{picture.mime};base64,{base64.b64encode(picture.data).decode()}"


def drawable(chart: Chart) -> tuple[Spec | None, str]:
    """The chart as it is drawn, or None and why it cannot be: a template may be anything."""
    try:
        spec = chart.drawn()
        render.svg(spec)
    except ProjectFileError as error:
        return None, error.message
    except ValueError as error:
        reason = str(error).strip().splitlines()
        words = reason[0] if reason else "its template is no Vega-Lite chart"
        return None, f"This was not drawn: {words[:200]}"
    return spec, ""
