"""What changed between two states: params, metrics and which way is better, code, outputs, cells."""

from __future__ import annotations

import json
import math

import pytest

from nbexp.experiments import compare
from nbexp.experiments.compare import Change, Side
from nbexp.experiments.table import Data, FileError
from nbexp.formats.values import MISSING


def side(
    name: str,
    params: dict[str, object] | None = None,
    metrics: dict[str, object] | None = None,
    **more: object,
) -> Side:
    outs = more.pop("outs", {})
    data = Data(
        {"params.yaml": params or {}},
        {"metrics.json": metrics or {}},
        outs={path: {"hash": md5} for path, md5 in outs.items()},  # type: ignore[attr-defined]
    )
    return Side(name, data, **more)  # type: ignore[arg-type]


def notebook(*cells: tuple[str, str], injected: bool = False) -> bytes:
    made: list[dict[str, object]] = [
        {
            "cell_type": "code",
            "metadata": {},
            "source": source,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": text}],
        }
        for source, text in cells
    ]
    if injected:
        made.insert(
            0,
            {
                "cell_type": "code",
                "metadata": {"tags": ["injected-parameters"]},
                "source": "lr = 1",
                "outputs": [],
            },
        )
    made.append({"cell_type": "markdown", "metadata": {}, "source": "prose"})
    return json.dumps({"cells": made, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}).encode()


# --- Values -------------------------------------------------------------------------------------


def test_only_what_differs_is_named_with_old_and_new() -> None:
    diff = compare.compare(
        side("a", {"lr": 0.1, "net": {"depth": 2}, "gone": 1}, {"acc": 0.9}),
        side("b", {"lr": 0.1, "net": {"depth": 3}, "made": 2}, {"acc": 0.95}),
    )
    assert diff.params == (
        Change("params.yaml", "net.depth", 2, 3),
        Change("params.yaml", "made", MISSING, 2),
        Change("params.yaml", "gone", 1, MISSING),
    )
    (acc,) = diff.metrics
    assert acc.delta == pytest.approx(0.05)
    assert acc.verdict == "better"


def test_all_values_are_named_on_request() -> None:
    diff = compare.compare(
        side("a", {"x": 1, "y": 2}), side("b", {"x": 1, "y": 3}), all_values=True
    )
    assert [change.key for change in diff.params] == ["x", "y"]


@pytest.mark.parametrize(
    ("old", "new", "delta"),
    [
        (1, 3, 2),
        (1, 1.5, 0.5),
        (0.5, "text", None),
        (True, False, None),
        (1, True, None),
        (MISSING, 3, None),
        (None, 3, None),
        ([1], [2], None),
        (1.0, math.nan, None),
        (math.inf, math.inf, None),
        (1.0, math.inf, math.inf),
    ],
)
def test_a_difference_is_one_of_numbers(old: object, new: object, delta: object) -> None:
    assert Change("f", "k", old, new).delta == delta


def test_a_metric_that_stays_undefined_has_not_changed() -> None:
    diff = compare.compare(side("a", {}, {"loss": math.nan}), side("b", {}, {"loss": math.nan}))
    assert diff.is_empty


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("acc", "higher"),
        ("val/accuracy", "higher"),
        ("test_auc", "higher"),
        ("f1", "higher"),
        ("r2", "higher"),
        ("loss", "lower"),
        ("train.loss", "lower"),
        ("val_rmse", "lower"),
        ("logloss", "lower"),
        ("error", "lower"),
        ("acc5", "higher"),
        ("mAP50", "higher"),
        ("f1score", "higher"),
        ("runtime", "lower"),
        ("epoch", None),
        ("rows", None),
        ("mapping", None),
        ("account", None),
        ("recalled", None),
    ],
)
def test_a_metrics_name_says_which_way_is_better(name: str, way: str | None) -> None:
    assert compare.polarity(name) == way


@pytest.mark.parametrize(
    ("key", "old", "new", "verdict"),
    [
        ("acc", 0.9, 0.95, "better"),
        ("acc", 0.9, 0.85, "worse"),
        ("acc", 0.9, 0.9, None),
        ("loss", 0.9, 0.5, "better"),
        ("loss", 0.5, 0.9, "worse"),
        ("loss", 0.5, math.nan, None),
        ("acc", math.nan, 0.9, None),
        ("rows", 1, 2, None),
    ],
)
def test_a_verdict_is_given_where_the_name_tells(
    key: str, old: float, new: float, verdict: str | None
) -> None:
    assert Change("metrics.json", key, old, new).verdict == verdict


def test_a_file_that_cannot_be_read_has_no_values() -> None:
    broken = Data({"params.yaml": FileError("YAMLFileCorruptedError", "…")})
    assert compare.changes(broken, side("b", {"x": 1}).data, "params") == (
        Change("params.yaml", "x", MISSING, 1),
    )


# --- Code, outputs, notebooks ----------------------------------------------------------------------


def test_code_and_outputs_are_told_by_what_happened_to_them() -> None:
    diff = compare.compare(
        side("a", files={"a.py": "1", "b.py": "1", "c.py": "1"}, outs={"model": "1", "old": "1"}),
        side("b", files={"a.py": "1", "b.py": "2", "d.py": "1"}, outs={"model": "2", "new": "1"}),
    )
    assert diff.code == (("b.py", "modified"), ("c.py", "deleted"), ("d.py", "added"))
    assert diff.outs == (("model", "modified"), ("new", "added"), ("old", "deleted"))


def test_executed_notebooks_are_compared_by_cell_and_not_as_outputs() -> None:
    """Injected parameters and prose are no cells of the source."""
    diff = compare.compare(
        side(
            "a", notebooks={"run.ipynb": notebook(("x", "1"), ("y", "2"))}, outs={"run.ipynb": "1"}
        ),
        side(
            "b",
            notebooks={"run.ipynb": notebook(("x", "1"), ("y", "3"), ("z", ""), injected=True)},
            outs={"run.ipynb": "2"},
        ),
    )
    assert [(note.path, note.cells) for note in diff.notebooks] == [("run.ipynb", (2, 3))]
    assert diff.outs == ()


def test_a_notebook_that_only_one_side_has_is_no_difference_of_cells() -> None:
    diff = compare.compare(side("a"), side("b", notebooks={"run.ipynb": notebook(("x", "1"))}))
    assert diff.notebooks == ()


# --- As text for others ------------------------------------------------------------------------------


@pytest.fixture
def diff() -> compare.Diff:
    return compare.compare(
        side("main", {"lr": 0.1, "layers": [1, 2]}, {"acc": 0.875}, files={"a.py": "1"}),
        side("low", {"lr": 0.03, "layers": [1, 3]}, {"acc": 0.945, "n": 3}, files={"a.py": "2"}),
    )


def test_json_is_dvcs_with_keys_of_our_own(diff: compare.Diff) -> None:
    found = json.loads(json.dumps(diff.to_json()))
    found["metrics"]["metrics.json"]["acc"]["diff"] = round(
        found["metrics"]["metrics.json"]["acc"]["diff"], 6
    )
    assert found == {
        "metrics": {
            "metrics.json": {
                "acc": {"old": 0.875, "new": 0.945, "diff": 0.07},
                "n": {"old": None, "new": 3},
            }
        },
        "params": {
            "params.yaml": {
                "lr": {"old": 0.1, "new": 0.03, "diff": -0.07},
                "layers": {"old": "[1, 2]", "new": "[1, 3]"},
            }
        },
        "code": [{"path": "a.py", "change": "modified"}],
        "notebooks": [],
        "outs": [],
        "data": [],
        "environment": None,
    }


def test_markdown_is_dvcs(diff: compare.Diff) -> None:
    assert diff.to_markdown() == (
        "| Path         | Metric   | main   | low   | Change             |\n"
        "|--------------|----------|--------|-------|--------------------|\n"
        "| metrics.json | acc      | 0.875  | 0.945 | 0.07               |\n"
        "| metrics.json | n        | -      | 3     | diff not supported |\n"
        "\n\n"
        "| Path        | Param   | main   | low    | Change             |\n"
        "|-------------|---------|--------|--------|--------------------|\n"
        "| params.yaml | layers  | [1, 2] | [1, 3] | diff not supported |\n"
        "| params.yaml | lr      | 0.1    | 0.03   | -0.07              |\n"
    )


def test_csv_has_a_line_for_each_change(diff: compare.Diff) -> None:
    lines = diff.to_csv().splitlines()
    assert lines[0] == "kind,path,key,main,low,change"
    assert lines[1].startswith("metric,metrics.json,acc,0.875,0.945,0.06999")
    assert lines[2] == "metric,metrics.json,n,,3,"
    assert lines[4] == 'param,params.yaml,layers,"[1, 2]","[1, 3]",'
    assert lines[5] == "code,a.py,,,,modified"


def test_the_settings_say_which_way_is_better_before_the_name() -> None:
    old, new = (Data({}, {"m.json": {"val": {"loss": v}, "ratio": v}}) for v in (1, 2))
    found = compare.changes(old, new, "metrics", better={"loss": "higher", "ratio": "lower"})
    assert [change.verdict for change in found] == ["better", "worse"]
    assert [change.verdict for change in compare.changes(old, new, "metrics")] == ["worse", None]
