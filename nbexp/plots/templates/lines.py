"""Lines: `simple`, and `linear` or `smooth`, which has a slider that smooths it."""

from __future__ import annotations

from nbexp.plots import Spec
from nbexp.plots.templates.pieces import (
    CATEGORY,
    NOT_FROM_ZERO,
    POINTED_AT,
    QUANTITY,
    anchor,
    anchors,
    axes,
    axis,
    chart,
    size,
    zoom,
)

_LEAST, _MOST = 0.001, 1  # of the slider: the share of the points that each one is smoothed over
_HOVERED = {"param": "hover", "empty": False}
_BY_REV = {"color": {"field": "rev", **CATEGORY}}


def simple() -> Spec:
    """A line for each revision."""
    encoding = {
        **axes(QUANTITY, of_y=NOT_FROM_ZERO),
        **anchors("color", "stroke_dash", "tooltip"),
    }
    mark = {"type": "line", **POINTED_AT}
    return chart(zoom(), size(), {"mark": mark, "encoding": encoding})


def smooth() -> Spec:
    """A line for each revision, as it is and smoothed, its last point marked."""
    slider = {"input": "range", "min": _LEAST, "max": _MOST, "step": _LEAST}
    shared = {"x": axis("x", QUANTITY), **anchors("color", "stroke_dash")}
    return chart(
        size(),
        {
            "params": [{"name": "smooth", "value": _LEAST, "bind": slider}],
            "encoding": shared,
            "layer": [_smoothed(), _as_it_is(), _last_point(), _ruler()],
        },
    )


def _y() -> Spec:
    return {**axis("y", QUANTITY), **NOT_FROM_ZERO}


def _smoothed() -> Spec:
    point = {"transform": [{"filter": _HOVERED}], "mark": "point"}
    regression = {
        "loess": anchor("y"),
        "on": anchor("x"),
        "groupby": anchor("group_by"),
        "bandwidth": {"signal": "smooth"},
    }
    return {
        "layer": [{**zoom(), "mark": "line"}, point],
        "encoding": {"y": _y(), **_BY_REV},
        "transform": [regression],
    }


def _as_it_is() -> Spec:
    encoding = {"x": axis("x", QUANTITY), "y": _y(), **_BY_REV}
    return {"mark": {"type": "line", "opacity": 0.2}, "encoding": encoding}


def _last_point() -> Spec:
    x = {"aggregate": "max", **axis("x", QUANTITY)}
    y = {"aggregate": {"argmax": anchor("x")}, **_y()}
    return {"mark": {"type": "circle", "size": 10}, "encoding": {"x": x, "y": y, **_BY_REV}}


def _ruler() -> Spec:
    """A line under the pointer, with the values of all experiments there."""
    values = {
        "pivot": "pivot_field",
        "op": "mean",
        "value": anchor("y"),
        "groupby": [anchor("x")],
    }
    nearest = {
        "type": "point",
        "fields": [anchor("x")],
        "nearest": True,
        "on": "mouseover",
        "clear": "mouseout",
    }
    seen = {"condition": {"value": 0.3, **_HOVERED}, "value": 0}
    return {
        "transform": [{"calculate": anchor("pivot_field"), "as": "pivot_field"}, values],
        "mark": {"type": "rule", **POINTED_AT, "stroke": "grey"},
        "encoding": {"opacity": seen},
        "params": [{"name": "hover", "select": nearest}],
    }
