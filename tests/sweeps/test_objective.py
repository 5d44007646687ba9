"""The metric of a sweep: what is typed, what a trial brought, what it logs."""

from __future__ import annotations

import math

import pytest

from nbexp.errors import NotFound, UsageError
from nbexp.experiments.table import Data
from nbexp.sweeps import objective
from nbexp.sweeps.objective import Objective

DATA = Data(
    metrics={
        "metrics.json": {"loss": 0.5, "val": {"acc": 0.9}, "note": "x", "nan": math.nan},
        "eval/metrics.json": {"loss": 0.7, "f1": 3},
    }
)


@pytest.mark.parametrize(
    ("text", "better", "found"),
    [
        ("minimize loss", {}, Objective("loss", "minimize")),
        (" maximise  val.acc ", {}, Objective("val.acc", "maximize")),
        ("loss", {}, Objective("loss", "minimize")),
        ("metrics.json:val.acc", {}, Objective("metrics.json:val.acc", "maximize")),
        ("ratio", {"ratio": "lower"}, Objective("ratio", "minimize")),
    ],
)
def test_which_way_is_said_or_known(text: str, better: dict[str, str], found: Objective) -> None:
    assert objective.parse(text, better) == found


@pytest.mark.parametrize("text", ["ratio", "", "least loss", "minimize loss, maximize acc"])
def test_one_metric_and_one_way_are_needed(text: str) -> None:
    with pytest.raises(UsageError, match=r"Nothing was run\."):
        objective.parse(text, {})


@pytest.mark.parametrize(
    ("metric", "value"),
    [("val.acc", 0.9), ("acc", 0.9), ("metrics.json:loss", 0.5), ("f1", 3.0), ("eval/metrics.json:f1", 3.0)],
)  # fmt: skip
def test_a_metric_is_called_as_its_column(metric: str, value: float) -> None:
    assert Objective(metric, "maximize").value(DATA) == value


@pytest.mark.parametrize(
    ("metric", "error", "message"),
    [
        ("loss", UsageError, "Several metrics are called `loss`: metrics.json:loss, eval/metrics.json:loss."),
        ("los", NotFound, "There is no metric `los`; there are loss, val.acc, note, nan, f1."),
        ("note", NotFound, "The metric `metrics.json:note` is 'x', which is no number."),
        ("nan", NotFound, "The metric `metrics.json:nan` is nan, which is no number."),
    ],
)  # fmt: skip
def test_what_is_no_value_is_told(metric: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        Objective(metric, "minimize").value(DATA)
    assert str(raised.value).splitlines()[0] == message
    assert Objective(metric, "minimize").find(DATA) is None


@pytest.mark.parametrize(
    ("metric", "values", "found"),
    [
        ("loss", {"loss": 1}, 1.0),
        ("metrics.json:val.acc", {"val/acc": 0.5}, 0.5),
        ("metrics.json:val.acc", {"acc": 0.5}, 0.5),
        ("val.acc", {"val.acc": 0.25, "acc": 0.5}, 0.25),
        ("loss", {"acc": 0.5}, None),
        ("loss", {"loss": "nan"}, None),
        ("loss", {"loss": True}, None),
    ],
)
def test_what_is_logged_knows_nothing_of_files(
    metric: str, values: dict[str, object], found: float | None
) -> None:
    assert Objective(metric, "minimize").logged(values) == found
