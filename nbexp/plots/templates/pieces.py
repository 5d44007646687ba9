"""What the templates are made of: anchors, the head that all share, and a field of the data on an axis."""

from __future__ import annotations

from nbexp.plots import Spec

QUANTITY: Spec = {"type": "quantitative"}
CATEGORY: Spec = {"type": "nominal"}
NOT_FROM_ZERO: Spec = {"scale": {"zero": False}}
POINTED_AT: Spec = {"tooltip": {"content": "data"}}
BY_REV: Spec = {"field": "rev", "sort": []}


def anchor(name: str) -> str:
    """The text that stands for a thing that is not known before there are data."""
    return f"<DVC_METRIC_{name.upper()}>"


def anchors(*names: str) -> Spec:
    """Anchors by what they are called in a chart."""
    return {_camel(name): anchor(name) for name in names}


def chart(*parts: Spec) -> Spec:
    """A chart of the data and title that come later, with the parts in their order."""
    found: Spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": anchor("data")},
        "title": {"text": anchor("title"), "anchor": "middle"},
    }
    for part in parts:
        found.update(part)
    return found


def size() -> Spec:
    """Width and height, as anchors."""
    return {"width": anchor("plot_width"), "height": anchor("plot_height")}


def zoom() -> Spec:
    """That one can zoom with the wheel and drag, as an anchor."""
    return {"params": [anchor("zoom_and_pan")]}


def axis(which: str, kind: Spec, **more: object) -> Spec:
    """The field that x or y is, with its label."""
    return {"field": anchor(which), **kind, **more, "title": anchor(f"{which}_label")}


def axes(kind: Spec, *, of_y: Spec | None = None, **more: object) -> Spec:
    """Both axes alike; `of_y` is what y has besides."""
    return {"x": axis("x", kind, **more), "y": {**axis("y", kind, **more), **(of_y or {})}}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
