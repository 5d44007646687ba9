"""A chart as a picture that runs nothing and fetches nothing, whatever its template says."""

from __future__ import annotations

import base64

from nbexp.errors import ProjectFileError
from nbexp.experiments.plots.shown import Chart, Picture
from nbexp.frozen import frozen
from nbexp.plots import Spec, render
from nbexp.plots.templates import drawing

# A drawing with more text than this is smaller as pixels.
_MAX_SVG = 200_000


@frozen
class Drawing:
    """A chart as it is drawn: what it says and how it looks; or `why` it cannot be drawn."""

    spec: Spec
    svg: str
    why: str = ""

    @property
    def address(self) -> str:
        """The picture as an address that holds it. As an image, SVG runs no script and fetches nothing."""
        if len(self.svg) > _MAX_SVG:
            pixels = self.png()
            if pixels is not None:
                return _address("image/png", pixels)
        return _address("image/svg+xml", self.svg.encode())

    def png(self) -> bytes | None:
        """Its pixels; None of a chart that would fetch something for them."""
        return None if drawing.has_picture(self.spec) else render.png(self.spec)


def drawn(chart: Chart) -> Drawing:
    """The drawing of a chart. A template may be anything, so it may fail."""
    try:
        spec = chart.drawn()
        return Drawing(spec, render.svg(spec))
    except ProjectFileError as error:
        return Drawing({}, "", error.message)
    except ValueError as error:
        words = str(error).strip().splitlines()
        reason = words[0][:200] if words else "its template is no Vega-Lite chart"
        return Drawing({}, "", f"This was not drawn: {reason}")


def embedded(picture: Picture) -> str:
    """A picture of a project as an address that holds it."""
    return _address(picture.mime, picture.data)


def _address(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
