"""Pictures among the outputs side by side: a column for each experiment, a row for each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbexp.plots import Image, Spec, look

NEEDS = "images"
COLUMNS = (0, 12)

SIDE = 240
"""The longer side of a picture, in pixels of the page."""

_MAX_COLUMNS, _MAX_ROWS = 6, 12


def plot(images: Sequence[Image], options: Mapping[str, object]) -> Spec:
    """A grid with the names of experiments above and those of files at the left; each picture keeps its shape."""
    notes: list[str] = []
    limit = look.limit_of(options, _MAX_COLUMNS)
    names = list(dict.fromkeys(one.name for one in images))
    shown = names[: limit or len(names)]
    look.note_thinned(len(shown), len(names), notes)
    paths = list(dict.fromkeys(one.path for one in images if one.name in shown))
    kept = paths[: _MAX_ROWS if limit else len(paths)]
    look.note_thinned(len(kept), len(paths), notes, "files")
    found = [one for one in images if one.name in shown and one.path in kept]
    high = max((_fitted(one)[1] for one in found), default=1)
    wide = max((_fitted(one)[0] for one in found), default=1)
    spec = look.chart(
        options,
        {
            "experiment": "experiment",
            "path": "file",
            "width": "width",
            "height": "height",
            "url": "picture",
        },
        heading="pictures of outputs",
        notes=notes,
        width={"step": wide + 12},
        height={"step": high + 12},
    )
    values = [
        {
            "experiment": one.name,
            "path": one.path,
            "width": one.size[0],
            "height": one.size[1],
            "url": one.url,
        }
        for one in found
    ]
    plain: Spec = {"domain": False, "ticks": False, "grid": False, "labelFontSize": 12}
    return spec | {
        "data": {"values": values},
        "view": {"stroke": None},
        "mark": {"type": "image", "width": wide, "height": high, "aspect": True},
        "encoding": {
            "x": {
                "field": "experiment",
                "type": "nominal",
                "sort": shown,
                "title": None,
                "axis": {**plain, "orient": "top", "labelAngle": 0, "labelLimit": wide},
            },
            "y": {
                "field": "path",
                "type": "nominal",
                "sort": kept,
                "title": None,
                "axis": {**plain, "labelLimit": 220},
            },
            "url": {"field": "url", "type": "nominal"},
            "tooltip": [look.name_column(), {"field": "path", "type": "nominal", "title": "file"}],
        },
    }


def table(images: Sequence[Image], _: Mapping[str, object]) -> list[list[str]]:
    """The files and their sizes."""
    return [
        ["file", "experiment", "pixels"],
        *([one.path, one.name, f"{one.size[0]} × {one.size[1]}"] for one in images),
    ]


def _fitted(one: Image) -> tuple[int, int]:
    """The size that a picture is shown in; small ones are not blown up."""
    longest = max(*one.size, 1)
    factor = min(1.0, SIDE / longest)
    return max(1, round(one.size[0] * factor)), max(1, round(one.size[1] * factor))
