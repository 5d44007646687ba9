"""Confusion matrices: `confusion` with counts, `confusion_normalized` with shares of each row."""

from __future__ import annotations

from nbexp.plots import Spec
from nbexp.plots.templates.pieces import (
    BY_REV,
    CATEGORY,
    QUANTITY,
    anchor,
    axes,
    chart,
    size,
)

_COUNT = "xy_count"
_POINTED_AT = {
    "type": "single",
    "on": "mouseover",
    "encodings": ["x", "y"],
    "empty": "none",
    "clear": "mouseout",
}


def confusion() -> Spec:
    """How often each pair of x and y occurs."""
    share = "percent_of_max"
    shown = {"condition": {"param": "showValues", "field": _COUNT, **QUANTITY}}
    return chart(
        _facets(),
        {"params": [{"name": "showValues", "bind": {"input": "checkbox"}}]},
        {
            "spec": _cells(
                share,
                of=("max", "max_count", []),
                each_row=anchor("group_by_y"),
                colour={"field": _COUNT, "scale": {"domainMin": 0, "nice": True}},
                told={"field": _COUNT, **QUANTITY},
                text={"text": shown},
            )
        },
    )


def confusion_normalized() -> Spec:
    """The same, as shares of all with that y."""
    share = "percent_of_y"
    return chart(
        _facets(),
        {
            "spec": _cells(
                share,
                of=("sum", "sum_y", [anchor("y")]),
                each_row=["rev", anchor("y")],
                colour={"field": share, "scale": {"domain": [0, 1]}},
                told={"field": share, **QUANTITY, "format": ".2f"},
                text={},
            )
        },
    )


def _facets() -> Spec:
    """One matrix for each revision, and below each other for several fields."""
    return {"facet": {"column": BY_REV, "row": anchor("row")}}


def _cells(
    share: str,
    *,
    of: tuple[str, str, list[str]],
    each_row: object,
    colour: Spec,
    told: Spec,
    text: Spec,
) -> Spec:
    """The cells of one matrix: counted, those without a count filled with 0, coloured.

    `of` is how the whole is made that `share` is a share of: the operation, its name, and by what.
    """
    operation, whole, by = of
    counted = {
        "aggregate": [{"op": "count", "as": _COUNT}],
        "groupby": [anchor("y"), anchor("x")],
    }
    shares = {
        "joinaggregate": [{"op": operation, "field": _COUNT, "as": whole}],
        "groupby": by,
    }
    transform = [
        counted,
        _zeros(each_row, "x"),
        _zeros(anchor("group_by_x"), "y"),
        shares,
        {"calculate": f"datum.{_COUNT} / datum.{whole}", "as": share},
    ]
    field, scale = colour["field"], colour["scale"]
    colours = {"color": {"field": field, **QUANTITY, "title": "", "scale": scale}}
    legible = {"condition": {"test": f"datum.{share} > 0.5", "value": "white"}, "value": "black"}
    is_pointed_at = {"selection": "label"}
    tooltip = [*({"field": anchor(at), **CATEGORY} for at in "xy"), told]
    opacity = {"condition": {**is_pointed_at, "value": 1}, "value": 0}
    marked = {"mark": {"type": "rect", "color": "lightpink"}}
    return {
        "transform": transform,
        "encoding": axes(CATEGORY, sort="ascending"),
        "layer": [
            {"mark": "rect", **size(), "encoding": colours},
            {
                "selection": {"label": _POINTED_AT},
                "mark": "rect",
                "encoding": {"tooltip": tooltip, "opacity": opacity},
            },
            {"transform": [{"filter": is_pointed_at}], "layer": [marked]},
            {"mark": "text", "encoding": {**text, "color": legible}},
        ],
    }


def _zeros(by: object, key: str) -> Spec:
    return {"impute": _COUNT, "groupby": by, "key": anchor(key), "value": 0}
