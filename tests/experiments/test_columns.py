"""Filter, sort and group the rows of a table; which columns are shown."""

from __future__ import annotations

import json
import math

import pytest

from nbexp import render
from nbexp.errors import NotFound, UsageError
from nbexp.experiments.columns import Groups, arranged, listed
from nbexp.experiments.table import Data, FileError, Row, Table, View
from nbexp.formats.values import MISSING

BASE, OLD = "a" * 40, "b" * 40


def experiment(name: str, acc: object, lr: object, baseline: str = BASE, **more: object) -> Row:
    metrics = {} if acc is MISSING else {"acc": acc, "val": {"loss": 0.5}}
    params = {"train": {"lr": lr}, "seed": 1, **more}
    data = Data({"params.yaml": params}, {"metrics.json": metrics})
    rev = name[:1] * 39 + str(len(name) % 10)
    labels = {"tags": ["best"], "star": True} if name == "low" else {}
    return Row(rev, name, "experiment", data, baseline, 1_700_000_000 + len(name), labels=labels)


ROWS = (
    Row("workspace", None, "workspace", Data({"params.yaml": {"train": {"lr": 0.1}}})),
    Row(BASE, "main", "baseline", Data({"params.yaml": {"train": {"lr": 0.1}}}), created_s=9),
    experiment("high", 0.80, 0.5),
    experiment("low", 0.93, 0.01),
    experiment("low2", 0.91, 0.01),
    experiment("none", MISSING, 0.3),
    Row(OLD, "v1", "baseline", Data(), created_s=5),
    experiment("before", 0.99, 0.2, OLD),
)


def shown(where: str | None = None, view: View | None = None, **asked: object) -> Table:
    found = arranged(ROWS, view or View(), where, **asked)  # type: ignore[arg-type]
    assert isinstance(found, Table)
    return found


def names(table: Table) -> list[str | None]:
    return [row.name for row in table]


# --- Filter -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("acc > 0.9", ["main", "low", "low2", "v1", "before"]),
        ("acc > 0.9 and lr < 0.05", ["main", "low", "low2"]),
        ("acc > 0.9 and params.train.lr < 0.05 and star", ["main", "low"]),
        ("metrics.acc == 0.8", ["main", "high"]),
        ("metrics.json:acc == 0.8", ["main", "high"]),
        ("params.yaml:train.lr == 0.5", ["main", "high"]),
        ("acc == none and kind == 'experiment'", ["main", "none"]),
        ("baseline == 'v1'", ["v1", "before"]),
        ("'best' in tags", ["main", "low"]),
        ("name ~ 'low*'", ["main", "low", "low2"]),
        ("kind == 'workspace'", [None]),
        ("state != 'done'", []),
    ],
)
def test_rows_for_which_it_holds_stay_below_their_baselines(where, expected):
    assert names(shown(where)) == expected


def test_a_baseline_that_only_heads_its_experiments_is_no_line_of_a_frame():
    table = shown("acc > 0.9 and lr < 0.05")
    assert [row.is_head for row in table] == [True, False, False]
    assert list(table.to_frame().experiment) == ["low", "low2"]
    assert list(shown("lr == 0.1 or name == 'low'").to_frame().experiment) == [
        "workspace", "main", "low",
    ]  # fmt: skip


def test_an_unknown_column_is_told_with_the_nearest():
    with pytest.raises(NotFound) as caught:
        shown("accc > 0.9")
    assert str(caught.value) == (
        'The table has no column `accc`.\nHint: did you mean `acc`? Text is quoted: "accc".'
    )


def test_a_name_of_several_columns_is_told_with_all():
    row = Row(BASE, "x", "experiment", Data({"p.yaml": {"acc": 1}}, {"m.json": {"acc": 2}}), OLD)
    with pytest.raises(UsageError) as caught:
        arranged([row], View(), "acc > 0")
    assert str(caught.value) == (
        "Several columns are called `acc`: `metrics.m.json:acc`, `params.p.yaml:acc`.\n"
        "Hint: name one of them: `metrics.m.json:acc`."
    )
    for name in ("metrics.m.json:acc", "m.json:acc", "metrics.acc"):
        assert len(arranged([row], View(), f"{name} == 2")) == 1


def test_where_nothing_was_run_yet_a_filter_finds_nothing():
    assert len(arranged(ROWS[:2], View(), "acc > 0.9")) == 0


# --- Sort ---------------------------------------------------------------------------------------


def test_experiments_are_sorted_below_their_baseline_and_missing_ones_last():
    up = [None, "main", "high", "low2", "low", "none", "v1", "before"]
    assert names(shown(sort=("acc",))) == up
    down = [None, "main", "low", "low2", "high", "none", "v1", "before"]
    assert names(shown(sort=("acc",), descending=True)) == down
    assert names(shown(sort=("-acc",))) == down


def test_several_columns_sort_at_once():
    found = names(shown(sort=("train.lr", "-acc")))
    assert found == [None, "main", "low", "low2", "none", "high", "v1", "before"]
    found = names(shown(sort=("train.lr", "acc")))
    assert found == [None, "main", "low2", "low", "none", "high", "v1", "before"]
    assert listed("a, b,,c") == listed(["a", "b,c"]) == ("a", "b", "c")


def test_values_of_several_types_have_an_order():
    rows = [
        experiment(str(at), value, 1)
        for at, value in enumerate(["x", 2, None, 1.5, math.nan, True])
    ]
    table = arranged(rows, View(), None, sort=("acc",))
    assert isinstance(table, Table)
    assert [row.metrics["acc"] for row in table][:4] == [True, 1.5, 2, "x"]


def test_one_list_is_sorted_across_baselines():
    table = shown(view=View(is_flat=True), sort=("acc",), descending=True)
    assert names(table) == ["before", "low", "low2", "high", "none"]
    head, first, *_ = render.text(table).splitlines()
    assert head.split()[:3] == ["experiment", "baseline", "created"]
    assert first.split()[:2] == ["before", "v1"]


# --- Groups -------------------------------------------------------------------------------------


def groups(by: str, **asked: object) -> Groups:
    found = arranged(ROWS, View(), None, group_by=listed(by), **asked)  # type: ignore[arg-type]
    assert isinstance(found, Groups)
    return found


def test_groups_have_a_mean_and_a_sample_deviation():
    rows = [
        experiment(f"{at}", acc, lr)
        for at, (acc, lr) in enumerate(
            [(0.945, 0.03), (0.926, 0.01), (0.925, 0.01), (0.925, 0.05), (0.926, 0.05)]
        )
    ]
    found = arranged(
        rows,
        View(drop=("val",)),
        "acc > 0.92",
        sort=("acc",),
        descending=True,
        group_by=("train.lr",),
    )
    assert render.text(found) == (
        "train.lr  n  acc (mean ± sample std)\n"
        "0.03      1  0.9450\n"
        "0.01      2  0.9255 ± 0.0007\n"
        "0.05      2  0.9255 ± 0.0007"
    )
    assert isinstance(found, Groups)
    last = found.to_json()[-1]["metrics"]
    assert last == {
        "acc": {"n": 2, "mean": pytest.approx(0.9255), "std": pytest.approx(0.000707107, rel=1e-5)}
    }
    frame = found.to_frame()
    assert list(frame.columns) == ["train.lr", "n", "acc", "acc std"]
    assert frame["acc std"].isna().tolist() == [True, False, False]
    assert found.to_csv().splitlines()[:2] == ["train.lr,n,acc,acc std", "0.03,1,0.945,"]
    assert found.to_markdown().splitlines()[2].startswith("| 0.03       | 1   | 0.9450")


def test_groups_of_several_columns_and_of_what_is_missing():
    found = groups("baseline,lr")
    assert [(group.values, group.n) for group in found] == [
        (("main", 0.01), 2), (("main", 0.3), 1), (("main", 0.5), 1), (("v1", 0.2), 1),
    ]  # fmt: skip
    missing = found.groups[1].statistics[0]
    assert (missing.n, missing.mean, missing.std) == (0, None, None)
    assert [group.values[0] for group in groups("acc")][-1] is MISSING
    assert json.loads(json.dumps(groups("acc").to_json()))[-1]["group"] == {"acc": None}


def test_what_is_no_finite_number_does_not_count():
    rows = [
        experiment(f"{at}", acc, 1) for at, acc in enumerate([1.0, 3.0, math.nan, math.inf, "x"])
    ]
    found = arranged(rows, View(drop=("val",)), None, group_by=("lr",))
    assert render.text(found).splitlines()[1] == "1   5  2.00 ± 1.41 (2 of 5)"


def test_groups_cannot_be_sorted_by_what_differs_within_them():
    with pytest.raises(UsageError, match="Groups cannot be sorted by `seed`"):
        groups("lr", sort=("seed",))
    assert [group.n for group in groups("lr", sort=("-n",))] == [2, 1, 1, 1]
    assert groups("lr", sort=("lr",), descending=True).groups[0].values == (0.5,)


# --- Reference ----------------------------------------------------------------------------------


def test_differences_from_a_reference_say_which_way_is_better():
    view = View(reference=ROWS[4], better={"val.loss": "higher"})
    table = shown("name in ['low', 'low2', 'high']", view)
    lines = render.text(table).splitlines()
    assert [line.split("  ")[1:2] for line in lines[2:]][1:2] == [["low"]]
    text = render.text(table)
    assert "low2 (reference)" in text
    assert "0.93 (+0.02, better)" in text
    assert "0.8 (-0.11, worse)" in text
    frame = table.to_frame()
    assert frame.set_index("experiment")["acc change"].round(6).to_dict() == {
        "high": -0.11, "low": 0.02, "low2": pytest.approx(math.nan, nan_ok=True),
    }  # fmt: skip
    states = table.to_json()[0]["experiments"]
    assert isinstance(states, list)
    delta = states[1]["revs"][0]["delta"]
    assert delta["metrics.json"]["acc"] == pytest.approx(0.02)
    assert "acc change" in table.to_csv().splitlines()[0]


def test_the_settings_say_which_way_is_better():
    other = experiment("other", 0.5, 1)
    view = View(reference=other, better={"acc": "lower"})
    table = Table((other, experiment("row", 0.6, 1)), view)
    acc = table.columns()[0]
    assert table.verdict(table["row"], acc) == "worse"
    assert Table(table.rows, View(reference=other)).verdict(table["row"], acc) == "better"


# --- Columns ------------------------------------------------------------------------------------


def test_columns_that_are_equal_everywhere_or_match_are_left_out():
    def titles(**view: object) -> list[str]:
        return [column.title for column in Table(ROWS[2:5], View(**view)).shown_columns()]  # type: ignore[arg-type]

    assert titles() == ["star", "tags", "acc", "val.loss", "train.lr", "seed"]
    assert titles(only_changed=True) == ["star", "tags", "acc", "train.lr"]
    assert titles(only_changed=True, keep=("se",)) == ["star", "tags", "acc", "train.lr", "seed"]
    assert titles(drop=("s", "val")) == ["tags", "acc", "train.lr"]
    assert titles(drop=(".*",), keep=("acc",)) == ["acc"]
    with pytest.raises(UsageError, match=r"`\(` is not a regular expression"):
        shown(view=View(drop=("(",)))


def test_a_file_that_cannot_be_read_marks_its_cell():
    bad = Row(
        "c" * 40, "bad", "experiment",
        Data({"params.yaml": {"train": {"lr": 1}}}, {"metrics.json": FileError("JSONFileCorruptedError", "m")}),
        BASE, 9,
    )  # fmt: skip
    table = Table((*ROWS[2:4], bad))
    assert render.text(table).splitlines()[-1].split()[-5:] == ["-", "!", "!", "1", "-"]
    assert table.to_csv().splitlines()[-1].split(",")[5:7] == ["!", "!"]
    assert math.isnan(table.to_frame().acc.iloc[-1])


def test_columns_of_a_frame_have_types():
    frame = Table(ROWS).to_frame()
    assert str(frame["star"].dtype) == "boolean"
    assert frame["acc"].dtype == "float64"
    assert frame["seed"].dtype == "float64"  # the workspace has none
    assert str(frame["created"].dtype).startswith("datetime64")
    assert frame.set_index("experiment").loc["low", "tags"] == ["best"]


def test_labels_are_columns_and_go_into_json():
    table = Table(ROWS)
    assert render.text(table).splitlines()[0].split()[2:4] == ["star", "tags"]
    main = table.to_json()[1]["experiments"]
    assert isinstance(main, list)
    assert main[1]["revs"][0]["labels"] == {"tags": ["best"], "star": True}
    assert "labels" not in main[0]["revs"][0]
    assert table.to_csv().splitlines()[0].endswith(",star,tags")


def test_markup_of_a_name_or_value_is_text_in_html_and_markdown():
    evil = "<script>alert(1)</script>|x\ny"
    row = experiment("x", evil, evil)
    table = Table(
        (Row(row.rev, "<b>name", "experiment", row.data, BASE, 9, labels={"note": evil}),)
    )
    html = table._repr_mimebundle_()[0]["text/html"]
    assert "<script" not in str(html)
    assert "<b>name" not in str(html)
    md = table.to_markdown()
    assert "<script" not in md
    assert "<b>" not in md
    assert len(md.splitlines()) == 3
    assert len({line.replace("\\|", "").count("|") for line in md.splitlines()}) == 1
