"""What each plot type draws, by its values."""

from __future__ import annotations

import itertools
import math
import random
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from nbexp.plots import (
    band,
    box,
    confusion,
    contour,
    history,
    images,
    importance,
    line,
    look,
    parallel,
    render,
    scatter,
)
from nbexp.plots.scatter import rank_correlation


@dataclass(frozen=True)
class Series:
    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    x: str = "step"


@dataclass(frozen=True)
class Record:
    name: str
    values: Mapping[str, object] = field(hash=False)


@dataclass(frozen=True)
class Labelled:
    name: str
    pairs: Sequence[tuple[object, object]]


def records(**columns: Sequence[object]) -> list[Record]:
    """A row for each place in the columns; a `...` is nothing."""
    return [
        Record(
            f"exp-{number}",
            {k.replace("__", "."): v for k, v in zip(columns, cells, strict=True) if v is not ...},
        )
        for number, cells in enumerate(zip(*columns.values(), strict=True))
    ]


def rows(spec: Mapping[str, object]) -> list[dict[str, Any]]:
    return look.rows_of(spec)


def notes(spec: Mapping[str, object]) -> list[str]:
    return look.told(spec)[2]


def encoding(spec: Mapping[str, Any], channel: str) -> dict[str, Any]:
    found: dict[str, Any] = spec["encoding"][channel]
    return found


# ---- line


def test_a_click_in_the_legend_of_lines_shows_one_alone() -> None:
    spec: Any = line.plot([Series("a", (1, 2), (1, 2))], {})
    assert spec["layer"][0]["params"] == [
        {"name": "pick", "select": {"type": "point", "fields": ["experiment"]}, "bind": "legend"}
    ]
    assert spec["layer"][0]["encoding"]["opacity"] == {
        "condition": {"param": "pick", "value": 1.0},
        "value": 0.12,
    }


def test_lines_are_coloured_by_their_group() -> None:
    series = [Series(name, (1, 2), (1, 2)) for name in "abc"]
    groups = {"a": "0.1", "b": "0.2", "c": "0.1"}
    spec: Any = line.plot(series, {"groups": groups, "group_title": "lr"})
    colour = spec["layer"][0]["encoding"]["color"]
    assert (colour["field"], colour["scale"]["domain"]) == ("group", ["0.1", "0.2"])
    assert spec["layer"][0]["encoding"]["detail"][0]["field"] == "experiment"
    assert rows(spec)[0] == {"experiment": "a", "step": 1, "value": 1, "group": "0.1"}


def test_a_logarithmic_axis_leaves_out_what_it_has_no_place_for_and_says_so() -> None:
    spec = line.plot([Series("a", (0, 1, 2), (3.0, -1.0, 2.0))], {"log_x": True, "log_y": True})
    assert [(row["step"], row["value"]) for row in rows(spec)] == [(1, None), (2, 2.0)]
    assert notes(spec) == ["2 at or below 0 have no place on a logarithmic axis"]


def test_many_long_lines_have_fewer_steps_each() -> None:
    steps = tuple(range(2000))
    spec = line.plot([Series(f"exp-{n}", steps, steps) for n in range(30)], {})
    assert len(rows(spec)) < 30 * 210


# ---- band


def test_a_band_is_the_mean_and_the_sample_deviation_of_each_step() -> None:
    series = [
        Series("a", (1, 2), (0.5, 0.6)),
        Series("b", (1, 2), (0.7, 0.9)),
        Series("c", (1, 2, 3), (0.1, 0.2, 0.3)),
    ]
    groups = {"a": "x", "b": "x", "c": "y"}
    spec = band.plot(series, {"groups": groups, "y_label": "acc", "group_title": "kind"})
    first, second, *rest = rows(spec)
    assert (first["group"], first["step"], first["n"]) == ("x", 1, 2)
    assert first["mean"] == pytest.approx(0.6)
    assert first["std"] == pytest.approx(statistics.stdev([0.5, 0.7]))
    assert (first["low"], first["high"]) == pytest.approx(
        (0.6 - math.sqrt(0.02), 0.6 + math.sqrt(0.02))
    )
    assert second["std"] == pytest.approx(statistics.stdev([0.6, 0.9]))
    # One alone has a line and no band.
    assert [(row["n"], row["std"], row["low"]) for row in rest] == [(1, None, None)] * 3
    assert band.table(series, {"groups": groups, "y_label": "acc", "group_title": "kind"}) == [
        ["kind", "n", "steps", "first acc", "last acc (mean ± sample std)"],
        ["x", "2", "2", "0.6 ± 0.14", "0.75 ± 0.21"],
        ["y", "1", "3", "0.1", "0.3"],
    ]


def test_without_groups_all_are_one_and_no_number_does_not_count() -> None:
    series = [Series("a", (1, 2), (1.0, math.nan)), Series("b", (1, 2), (3.0, 4.0))]
    spec = band.plot(series, {})
    assert [(row["group"], row["mean"], row["n"]) for row in rows(spec)] == [
        ("all 2", 2.0, 2),
        ("all 2", 4.0, 1),
    ]


# ---- scatter


def test_a_scatter_has_a_point_for_each_experiment_that_has_both() -> None:
    data = records(train__lr=[0.1, 0.2, ..., 0.4], acc=[0.5, 0.6, 0.7, ...])
    spec = scatter.plot(data, {"columns": ("train.lr", "acc")})
    assert rows(spec) == [
        {"experiment": "exp-0", "x": 0.1, "y": 0.5},
        {"experiment": "exp-1", "x": 0.2, "y": 0.6},
    ]
    assert notes(spec) == ["1 of 4 have no number in acc", "1 of 4 have no train.lr"]
    assert [encoding(spec, axis)["title"] for axis in "xy"] == ["train.lr", "acc"]
    assert encoding(spec, "x")["type"] == "quantitative"


def test_numbers_and_words_in_one_column_are_categories_in_order() -> None:
    data = records(depth=[10, "auto", 2, True], acc=[1, 2, 3, 4])
    spec = scatter.plot(data, {"columns": ("depth", "acc")})
    assert encoding(spec, "x")["type"] == "nominal"
    assert encoding(spec, "x")["sort"] == ["2", "10", "auto", "true"]
    assert [row["x"] for row in rows(spec)] == ["10", "auto", "2", "true"]


def test_not_a_number_and_infinity_are_left_out() -> None:
    data = records(lr=[1, 2, math.inf, 4], acc=[math.nan, math.inf, 0.5, 0.6])
    spec = scatter.plot(data, {"columns": ("lr", "acc")})
    assert [row["experiment"] for row in rows(spec)] == ["exp-3"]


def test_the_rank_correlation_is_spearmans() -> None:
    data = records(lr=[1, 2, 3, 4, 5], acc=[1, 8, 27, 64, 125])
    assert notes(scatter.plot(data, {"columns": ("lr", "acc")})) == [
        "rank correlation +1.00 over 5 experiments"
    ]
    assert rank_correlation([(1, 5), (2, 6), (3, 7), (4, 8), (5, 7)]) == pytest.approx(0.8207826816)
    assert rank_correlation([(1, 2), (1, 3), (1, 4)]) is None


def test_many_points_are_thinned_evenly_and_keep_their_extremes() -> None:
    count = 10_000
    values = [math.sin(at) for at in range(count)]
    values[4321], values[17] = 9.0, -9.0
    spec = scatter.plot(records(lr=range(count), acc=values), {"columns": ("lr", "acc")})
    assert look.MAX_POINTS <= len(rows(spec)) <= look.MAX_POINTS + 4
    assert {9.0, -9.0} <= {row["y"] for row in rows(spec)}
    assert "2,002 of 10,000 experiments are drawn" in notes(spec)
    whole = scatter.plot(
        records(lr=range(count), acc=values), {"columns": ("lr", "acc"), "limit": 0}
    )
    assert len(rows(whole)) == count


def test_a_logarithmic_axis_has_the_powers_of_ten() -> None:
    data = records(lr=[0.0002, 0.01, 0.5, 0, -1], acc=[1, 2, 3, 4, 5])
    spec = scatter.plot(data, {"columns": ("lr", "acc"), "log_x": True})
    assert len(rows(spec)) == 3
    assert "2 at or below 0 in lr have no place on a logarithmic axis" in notes(spec)
    assert encoding(spec, "x")["axis"]["values"] == [0.0001, 0.001, 0.01, 0.1, 1.0]


def test_the_smallest_of_many_groups_go_together() -> None:
    data = records(lr=range(40), acc=range(40))
    groups = {one.name: f"g{min(at, 20)}" for at, one in enumerate(data)}
    spec = scatter.plot(data, {"columns": ("lr", "acc"), "groups": groups, "group_title": "g"})
    domain = encoding(spec, "color")["scale"]["domain"]
    assert len(domain) == look.MAX_GROUPS
    assert "others" in domain and "g20" in domain


def test_groups_are_in_the_order_they_are_given_in() -> None:
    data = records(lr=[1, 2, 3], acc=[1, 2, 3])
    groups = {"exp-0": "10", "exp-1": "5", "exp-2": "10"}
    options = {"columns": ("lr", "acc"), "groups": groups, "group_order": ["5", "10"]}
    assert encoding(scatter.plot(data, options), "color")["scale"]["domain"] == ["5", "10"]


# ---- box


def test_a_box_is_drawn_from_five_experiments_on() -> None:
    data = records(opt=["adam"] * 5 + ["sgd"] * 2, acc=[1, 2, 3, 4, 10, 5, 6])
    spec: Any = box.plot(data, {"columns": ("opt", "acc")})
    assert spec["layer"][0]["transform"] == [{"filter": "datum.n >= 5"}]
    assert [(row["x"], row["y"], row["n"]) for row in rows(spec)][4:6] == [
        ("adam", 10, 5),
        ("sgd", 5, 2),
    ]
    assert box.table(data, {"columns": ("opt", "acc")}) == [
        ["opt", "n", "lowest acc", "median", "highest"],
        ["adam", "5", "1", "3", "10"],
        ["sgd", "2", "5", "5.5", "6"],
    ]


# ---- history


def test_the_best_so_far_goes_the_way_that_is_better() -> None:
    data = records(loss=[5, 7, ..., 3, 4])
    spec = history.plot(data, {"columns": ("loss",), "better": "lower"})
    assert [(row["order"], row["value"], row["best"]) for row in rows(spec)] == [
        (1, 5, 5),
        (2, 7, 5),
        (4, 3, 3),
        (5, 4, 3),
    ]
    data = records(acc=[5, 7, 6])
    best = [
        row["best"] for row in rows(history.plot(data, {"columns": ("acc",), "better": "higher"}))
    ]
    assert best == [5, 7, 7]


def test_there_is_no_best_where_nobody_says_which_way_is() -> None:
    spec = history.plot(records(size=[5, 7]), {"columns": ("size",)})
    assert "best" not in rows(spec)[0]
    assert notes(spec) == ["which way size is better is not known, so there is no line of the best"]


# ---- parallel


def test_parallel_axes_go_from_lowest_to_highest_and_words_are_apart() -> None:
    data = records(
        train__lr=[0.001, 0.01, 0.1], opt=["sgd", "adam", "sgd"], depth=[2, 4, 3], acc=[1, 3, 2]
    )
    spec: Any = parallel.plot(data, {"columns": ("train.lr", "opt", "depth", "acc")})
    found = {(row["experiment"], row["axis"]): row for row in rows(spec["layer"][0])}
    assert found["exp-1", "lr (log)"]["at"] == pytest.approx(0.5)
    assert found["exp-0", "opt"]["at"] == 1 and found["exp-1", "opt"]["at"] == 0
    assert [found[f"exp-{n}", "depth"]["at"] for n in range(3)] == [0, 1, 0.5]
    assert found["exp-2", "acc"]["value"] == 2
    assert spec["layer"][0]["encoding"]["x"]["sort"] == ["lr (log)", "opt", "depth", "acc"]
    labels = [row["label"] for layer in spec["layer"][1:] for row in rows(layer)]
    assert {"0.001", "0.1", "adam", "sgd", "2", "4"} <= set(labels)


def test_what_an_experiment_lacks_is_at_the_foot_of_the_axis() -> None:
    data = records(lr=[1, ...], acc=[1, 2])
    spec: Any = parallel.plot(data, {"columns": ("lr", "acc")})
    found = {(row["experiment"], row["axis"]): row for row in rows(spec["layer"][0])}
    assert found["exp-1", "lr"]["at"] < 0
    assert found["exp-1", "lr"]["here"] == "–"


def test_titles_are_as_short_as_tells_them_apart() -> None:
    assert look.short(["train.lr", "model.lr", "train.epochs", "acc"]) == {
        "train.lr": "train.lr",
        "model.lr": "model.lr",
        "train.epochs": "epochs",
        "acc": "acc",
    }


# ---- the importance of params


def test_a_param_that_decides_all_has_all_and_noise_has_nothing() -> None:
    dice = random.Random(3)
    opt = [dice.choice("ab") for _ in range(40)]
    noise = [dice.choice("xyz") for _ in range(40)]
    data = records(opt=opt, noise=noise, acc=[ord(one) + dice.random() / 10 for one in opt])
    first, second = importance.importances(data, ("noise", "opt"), "acc")
    assert (first.param, second.param) == ("opt", "noise")
    # With ranks half of the variance is within two groups of equal size: 3/4 lies between them.
    assert first.share == pytest.approx(0.75, abs=0.02)
    assert first.chance == pytest.approx(0.001)
    assert second.share is not None and second.share < 0.1
    assert second.chance is not None and second.chance > 0.05


def test_importance_by_hand() -> None:
    # Ranks 1 2 3 | 4 5 6: between the groups 2 * 3 * 1.5**2 = 13.5 of 17.5.
    data = records(opt=[*"aaabbb"], acc=[1, 2, 3, 4, 5, 6])
    (found,) = importance.importances(data, ("opt",), "acc")
    explained, expected = 13.5 / 17.5, 1 / 5
    assert found.share == pytest.approx((explained - expected) / (1 - expected))
    # Of the 20 ways to choose three of six, two explain as much.
    assert found.chance == pytest.approx(0.1, abs=0.03)


def test_chance_is_that_of_kruskal_and_wallis_where_there_are_many() -> None:
    dice = random.Random(5)
    opt = [dice.choice("abc") for _ in range(300)]
    data = records(opt=opt, acc=[ord(one) / 4 + dice.gauss(0, 1) for one in opt])
    (found,) = importance.importances(data, ("opt",), "acc")
    groups = [[one.values["acc"] for one in data if one.values["opt"] == g] for g in "abc"]
    from scipy import stats

    assert found.chance == pytest.approx(stats.kruskal(*groups).pvalue, rel=0.02)


def test_a_number_counts_by_ranges_whatever_shape_it_has() -> None:
    """A param with a best value in its middle has no correlation, and still decides."""
    lr = [10 ** (-4 + 4 * at / 59) for at in range(60)]
    data = records(lr=lr, acc=[-abs(math.log10(one) + 2) for one in lr])
    (found,) = importance.importances(data, ("lr",), "acc")
    assert found.share is not None and found.share > 0.8
    assert found.trend is not None and abs(found.trend) < 0.1


def test_a_value_of_its_own_in_each_says_nothing_and_too_few_say_so() -> None:
    data = records(tag=[*"abcdef"], same=[*"xxxxxx"], opt=[*"aaabbb"], acc=range(6))
    spec = importance.plot(data, {"columns": ("tag", "same", "opt", "acc")})
    assert [row["param"] for row in rows(spec)] == ["opt"]
    assert "no value twice, so nothing to say: tag" in notes(spec)
    few = importance.plot(data[:4], {"columns": ("opt", "acc")})
    assert rows(few) == []
    assert notes(few) == ["4 experiments are too few to tell: it takes 5"]


def test_params_that_were_always_changed_together_are_named() -> None:
    data = records(a=[*"xxxyyy"], b=[1, 1, 1, 2, 2, 2], acc=range(6))
    found = notes(importance.plot(data, {"columns": ("a", "b", "acc")}))
    assert "always changed together, so they cannot be told apart: a, b" in found


def test_the_most_important_param_is_that_of_fanova() -> None:
    """Optuna's measure, from a forest of trees, puts the params in the same order."""
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    found = []
    space = {
        "lr": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
        "opt": optuna.distributions.CategoricalDistribution(["adam", "sgd"]),
        "seed": optuna.distributions.IntDistribution(0, 4),
    }
    steps = [10 ** (-4 + 3 * at / 7) for at in range(8)]
    for number, (lr, opt, seed) in enumerate(itertools.product(steps, ("adam", "sgd"), range(5))):
        point = {"lr": lr, "opt": opt, "seed": seed}
        acc = math.log10(lr) + 0.9 * (opt == "adam")
        study.add_trial(optuna.trial.create_trial(params=point, distributions=space, value=acc))
        found.append(Record(f"exp-{number}", {**point, "acc": acc}))
    theirs = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=1, n_trees=32))
    ours = importance.importances(found, ("seed", "opt", "lr"), "acc")
    assert [one.param for one in ours] == [*theirs] == ["lr", "opt", "seed"]


# ---- contour


def test_a_grid_has_the_mean_of_each_pair() -> None:
    data = records(lr=[1, 1, 2, 2, 1], depth=[3, 4, 3, 4, 3], acc=[1, 2, 3, 4, 5])
    spec = contour.plot(data, {"columns": ("lr", "depth", "acc")})
    assert sorted(((r["x"], r["y"]), r["value"], r["n"]) for r in rows(spec)) == [
        (("1", "3"), 3, 2),
        (("1", "4"), 2, 1),
        (("2", "3"), 3, 1),
        (("2", "4"), 4, 1),
    ]


def test_a_map_has_each_experiments_own_value_where_it_is_and_nothing_far_away() -> None:
    points = [(x / 20, x / 20) for x in range(21)]
    data = records(a=[x for x, _ in points], b=[y for _, y in points], acc=[x for x, _ in points])
    spec: Any = contour.plot(data, {"columns": ("a", "b", "acc")})
    cells = rows(spec["layer"][0])
    near = min(cells, key=lambda cell: math.hypot(cell["x"] - 0.5, cell["y"] - 0.5))
    assert near["value"] == pytest.approx(0.5, abs=0.03)
    # The corner that no experiment is near to.
    assert not [cell for cell in cells if cell["x"] < 0.2 and cell["y"] > 0.8]
    assert len(rows(spec)) == 21


def test_a_number_with_many_values_beside_words_is_put_into_ranges() -> None:
    data = records(
        lr=[10 ** (-4 + at / 10) for at in range(30)], opt=["a", "b"] * 15, acc=range(30)
    )
    spec = contour.plot(data, {"columns": ("lr", "opt", "acc")})
    assert "lr is in 12 ranges (log)" in notes(spec)
    assert len({row["x"] for row in rows(spec)}) == 12


# ---- confusion and images


def test_a_confusion_matrix_counts_and_shares() -> None:
    data = [Labelled("low", [("cat", "cat"), ("cat", "dog"), ("dog", "dog"), ("cat", "cat")])]
    spec: Any = confusion.plot(data, {})
    found = {(r["actual"], r["predicted"]): (r["count"], r["share"]) for r in rows(spec)}
    assert found == {
        ("cat", "cat"): (2, pytest.approx(2 / 3)),
        ("cat", "dog"): (1, pytest.approx(1 / 3)),
        ("dog", "cat"): (0, 0),
        ("dog", "dog"): (1, 1),
    }
    assert notes(spec) == ["low: 3 of 4 right, 75.0%"]
    assert confusion.table(data, {}) == [
        ["experiment", "actual \\ predicted", "cat", "dog", "right"],
        ["low", "cat", "2", "1", "67%"],
        ["", "dog", "0", "1", "100%"],
    ]


def test_labels_that_are_numbers_are_in_the_order_of_numbers() -> None:
    spec: Any = confusion.plot([Labelled("a", [(10, 9), (9, 10), (2, 2)])], {})
    assert spec["spec"]["encoding"]["x"]["sort"] == ["2", "9", "10"]


@dataclass(frozen=True)
class Image:
    name: str
    path: str
    url: str
    size: tuple[int, int]


def test_pictures_keep_their_shape_and_are_not_blown_up() -> None:
    found = [Image("a", "x.png", "data:,", (480, 240)), Image("b", "x.png", "data:,", (20, 40))]
    spec: Any = images.plot(found, {})
    assert (spec["mark"]["width"], spec["mark"]["height"]) == (240, 120)
    small: Any = images.plot(found[1:], {})
    assert (small["mark"]["width"], small["mark"]["height"]) == (20, 40)


# ---- colours


def test_the_ramp_stands_out_on_white_and_on_black_pages() -> None:
    for page, colour in itertools.product((255, 17), look.RAMP):
        parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        light, dark = sorted((_luminance([page] * 3), _luminance(parts)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3


def _luminance(parts: Sequence[int]) -> float:
    linear = [
        p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4
        for p in (q / 255 for q in parts)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (scatter.plot(records(lr=[0.1] * 3, acc=[0.9] * 3), {"columns": ("lr", "acc")}), {"0.1", "0.9"}),
        (box.plot(records(lr=[0.1] * 3, acc=[0.9] * 3), {"columns": ("lr", "acc")}), {"0.9"}),
        (history.plot(records(acc=[0.9] * 3), {"columns": ("acc",), "better": "higher"}), {"0.9"}),
        (line.plot([Series("one", (1, 2), (0.25, 0.25))], {"y_label": "acc"}), {"0.25"}),
        (band.plot([Series(name, (1, 2), (0.25, 0.25)) for name in "ab"], {"y_label": "acc"}), {"0.25"}),
        (parallel.plot(records(lr=[1, 2], acc=[0.25] * 2), {"columns": ("lr", "acc")}), {"0.25"}),
    ],
    ids=["scatter", "box", "history", "line", "band", "parallel"],
)  # fmt: skip
def test_an_axis_of_one_value_says_it(drawn: Mapping[str, object], said: set[str]) -> None:
    ticks = set(re.findall(r">([^<>]+)</text>", render.svg(drawn)))
    assert said <= ticks
    assert "0.3" not in ticks
