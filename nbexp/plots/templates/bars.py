"""Bars that lie: `bar_horizontal` in the order of the data, `bar_horizontal_sorted` the longest first."""

from __future__ import annotations

from nbexp.plots import Spec
from nbexp.plots.templates.pieces import (
    BY_REV,
    CATEGORY,
    NOT_FROM_ZERO,
    QUANTITY,
    anchors,
    axis,
    chart,
    size,
    zoom,
)


def bar_horizontal() -> Spec:
    """Bars in the order of the data."""
    return _bars({})


def bar_horizontal_sorted() -> Spec:
    """The same, the longest first."""
    return _bars({"sort": "-x"})


def _bars(order: Spec) -> Spec:
    encoding = {
        "x": {**axis("x", QUANTITY), **NOT_FROM_ZERO},
        "y": {**axis("y", CATEGORY), **order},
        "yOffset": BY_REV,
        **anchors("color", "column"),
    }
    return chart(size(), {"mark": {"type": "bar"}}, zoom(), {"encoding": encoding})
