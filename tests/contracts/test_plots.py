"""Every plot type through its contract: those of nbexp, and those of other packages that are installed."""

from __future__ import annotations

from types import ModuleType

import pytest

from nbexp import plots
from nbexp.testing.plots import PlotContract


@pytest.fixture(params=plots.kinds())
def kind(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = plots.load(request.param)
    return module


class TestPlotTypes(PlotContract):
    pass


def test_these_are_the_plot_types() -> None:
    assert set(plots.kinds()) >= {
        "band", "box", "confusion", "contour", "history", "images", "importance", "line", "parallel",
        "scatter",
    }  # fmt: skip
    assert not {"render", "look", "together"} & set(plots.kinds())


def test_what_stands_beside_them_is_none() -> None:
    with pytest.raises(LookupError):
        plots.load("render")
