"""Points: `scatter`, and `scatter_jitter`, in which equal ones do not hide each other."""

from __future__ import annotations

from nbexp.plots import Spec
from nbexp.plots.templates.pieces import POINTED_AT, QUANTITY, anchors, axes, chart, size, zoom

_MARK: Spec = {"mark": {"type": "point", **POINTED_AT}}
_LOOKS = ("color", "shape", "tooltip")


def scatter() -> Spec:
    """Points where the data have them."""
    encoding = {**axes(QUANTITY), **anchors(*_LOOKS)}
    return chart(size(), _MARK, zoom(), {"encoding": encoding})


def scatter_jitter() -> Spec:
    """Points beside where they are, by chance."""
    names = {"x": "randomX", "y": "randomY"}
    moved = [{"calculate": "random()", "as": name} for name in names.values()]
    offsets = {f"{at}Offset": {"field": name, **QUANTITY} for at, name in names.items()}
    encoding = {**axes({}), **anchors(*_LOOKS), **offsets}
    return chart(size(), {"transform": moved}, _MARK, {"encoding": encoding})
