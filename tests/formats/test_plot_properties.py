"""Properties of a stage's plot, changed in dvc.yaml."""

from __future__ import annotations

import pytest

from nbexp.errors import NotFound, UsageError
from nbexp.formats import plot_properties

TEXT = """\
# of the file
stages:
  train:   # of the stage
    cmd: python train.py
    metrics: [m.json]
    plots:
    - a.csv   # of a
    - b.csv:
        cache: false
        x: step   # of x
"""


def changed(out: str, unset: list[str] | None = None, **given: object) -> str:
    return plot_properties.changed(TEXT.encode(), "dvc.yaml", "train", out, given, unset).decode()


def test_one_line_changes_and_no_other() -> None:
    assert changed("b.csv", x="epoch") == TEXT.replace("x: step ", "x: epoch ")
    assert changed("b.csv", x="step") == TEXT
    assert changed("b.csv") == TEXT


def test_a_property_that_is_taken_away_takes_its_line() -> None:
    assert "x:" not in changed("b.csv", ["x"])
    assert "cache: false" in changed("b.csv", ["x"])


def test_a_metric_becomes_a_plot() -> None:
    text = changed("m.json", x="step")
    assert "metrics" not in text
    assert text.startswith(TEXT[: TEXT.index("    metrics")])
    assert "m.json:" in text[text.index("b.csv") :]


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(NotFound) as told:
        changed("b.csv", ["y"])
    assert str(told.value) == (
        "The plot `b.csv` has no property `y`. Nothing was written.\nHint: it has x."
    )
    with pytest.raises(UsageError) as refused:
        changed("m.json", ["x"])
    assert str(refused.value) == (
        "`m.json` is no plot: it is among the metrics of stage `train`. Nothing was written.\n"
        "Hint: `nbexp plots modify m.json -x step` makes it one."
    )
    with pytest.raises(
        UsageError, match=r"`c.csv` of stage `train` comes from a template of dvc.yaml"
    ):
        changed("c.csv", x="step")
