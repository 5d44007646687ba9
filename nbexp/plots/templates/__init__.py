"""DVC's templates: a chart with anchors in it, which the data of a plot fill.

A project names a template in dvc.yaml, and clients of `plots diff --json` get it filled in, so what a name stands for
is part of the format: the charts equal those of DVC 3.67.1 (`tests/conformance/test_plots.py`). `filling` fills the
anchors, `rows` makes the data. A project's own are `.dvc/plots/NAME.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nbexp.plots import Spec
from nbexp.plots.templates import bars, dots, lines, matrix

DEFAULT = "linear"

# In the order in which `plots templates` lists them.
_BUILT_IN: Mapping[str, Callable[[], Spec]] = {
    "simple": lines.simple,
    "linear": lines.smooth,
    "confusion": matrix.confusion,
    "confusion_normalized": matrix.confusion_normalized,
    "scatter": dots.scatter,
    "scatter_jitter": dots.scatter_jitter,
    "smooth": lines.smooth,
    "bar_horizontal_sorted": bars.bar_horizontal_sorted,
    "bar_horizontal": bars.bar_horizontal,
}


def names() -> tuple[str, ...]:
    """The templates that every project has."""
    return tuple(_BUILT_IN)


def built_in(name: str) -> Spec | None:
    """The chart of a template that every project has; None: it is none of them."""
    make = _BUILT_IN.get(name)
    return make() if make is not None else None
