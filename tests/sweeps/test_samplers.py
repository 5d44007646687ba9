"""Who picks the points of a sweep: what each sampler promises beyond the contract of all."""

from __future__ import annotations

import importlib.util
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from nbexp.errors import UsageError
from nbexp.frozen import replace
from nbexp.sweeps import samplers
from nbexp.sweeps.samplers import Study, Trial
from nbexp.sweeps.space import Dimension, Point, Space
from nbexp.testing.samplers import GRID, OPEN

SPACE = Space(
    (Dimension("lr", low=1e-4, high=1e-1, is_log=True), Dimension("momentum", low=0.0, high=1.0))
)


def loss(point: Point) -> float:
    """Least at lr 0.003 and momentum 0.8."""
    lr, momentum = point["lr"], point["momentum"]
    assert isinstance(lr, float)
    assert isinstance(momentum, float)
    return (math.log10(lr) - math.log10(0.003)) ** 2 + (momentum - 0.8) ** 2


def best(name: str, study: Study, trials: int) -> float:
    """The least loss of so many trials, one after the other."""
    sampler = samplers.make(name, study)
    found = []
    for number in range(trials):
        (point,) = sampler.ask(1)
        found.append(loss(point))
        sampler.tell(number, found[-1])
    return min(found)


def test_a_study_of_30_trials_does_better_than_chance() -> None:
    by_chance = [best("random", Study(SPACE, "minimize", seed), 30) for seed in range(15)]
    by_optuna = [best("optuna", Study(SPACE, "minimize", seed), 30) for seed in range(5)]
    assert statistics.median(by_optuna) < statistics.median(by_chance) / 2
    assert max(by_optuna) < statistics.median(by_chance)


def test_a_grid_is_every_point_once_the_first_param_slowest() -> None:
    sampler = samplers.make("grid", Study(GRID))
    points = [*sampler.ask(10), *sampler.ask(1_000)]
    assert len(points) == 3 * 4 * 3
    assert [point["+layers"] for point in points[:4]] == [2, 4, 6, 2]
    assert [point["train.lr"] for point in points[::12]] == [0.1, 0.2, 0.5]
    assert points[4] == {"train.lr": 0.1, "net.json:kind": None, "+layers": 4}
    assert sampler.ask(1) == []


def test_a_grid_of_given_points_combines_each_with_the_choices() -> None:
    space = Space((Dimension("b", (1, 2)),), ({"a": 1}, {"a": 5, "c": "x"}))
    assert samplers.make("grid", Study(space)).ask(9) == [
        {"a": 1, "b": 1},
        {"a": 1, "b": 2},
        {"a": 5, "c": "x", "b": 1},
        {"a": 5, "c": "x", "b": 2},
    ]


def test_an_interval_has_no_grid() -> None:
    with pytest.raises(UsageError) as raised:
        samplers.make("grid", Study(SPACE))
    assert raised.value.hint == (
        "`nbexp sweep --random 20 -S 'lr=tag(log,interval(0.0001,0.1))'` draws some of them."
    )


def test_random_points_of_a_grid_are_all_of_it_in_another_order() -> None:
    sampler = samplers.make("random", Study(GRID, seed=3))
    points = sampler.ask(1_000)
    grid = samplers.make("grid", Study(GRID)).ask(1_000)
    assert points != grid
    assert sorted(points, key=str) == sorted(grid, key=str)


def test_random_points_by_orders_of_magnitude_are_as_many_in_each() -> None:
    points = samplers.make("random", Study(SPACE, seed=1)).ask(3_000)
    small = sum(1 for point in points if 1e-4 <= float(str(point["lr"])) < 1e-3)
    assert 900 < small < 1_100


def test_whole_numbers_are_met_at_both_ends() -> None:
    points = samplers.make("random", Study(OPEN, seed=1)).ask(400)
    assert {point["depth"] for point in points} == {1, 2, 3, 4}
    assert {1, 64} <= {point["width"] for point in samplers.make("random", Study(OPEN)).ask(4_000)}


@pytest.mark.parametrize("name", ["random", "grid"])
def test_another_process_asks_what_the_first_one_would_have_asked(name: str) -> None:
    whole = samplers.make(name, Study(GRID, seed=5)).ask(12)
    past = [Trial(number, point) for number, point in enumerate(whole[:5])]
    assert samplers.make(name, Study(GRID, seed=5, past=past)).ask(7) == whole[5:]


def test_optuna_knows_what_the_trials_of_another_process_have_taught() -> None:
    study = Study(SPACE, "minimize", seed=2)
    sampler, trials = samplers.make("optuna", study), list[Trial]()
    for number in range(25):
        (point,) = sampler.ask(1)
        trials.append(Trial(number, point, "done", loss(point)))
        sampler.tell(number, loss(point))
    again = samplers.make("optuna", replace(study, past=trials))
    points = []
    for number in range(25, 40):
        points += again.ask(1)
        again.tell(number, loss(points[-1]))
    assert all(point not in [trial.point for trial in trials] for point in points)
    by_chance = samplers.make("random", Study(SPACE, seed=2)).ask(100)
    assert statistics.median(map(loss, points)) < statistics.median(map(loss, by_chance)) / 2


def test_a_trial_far_behind_the_others_is_stopped() -> None:
    sampler = samplers.make("optuna", Study(SPACE, "minimize"))
    for number in range(len(sampler.ask(6))):
        assert not any(sampler.prune(number, step, 1.0 / (step + 1)) for step in range(5))
        sampler.tell(number, 0.2)
    sampler.ask(2)
    assert [sampler.prune(6, step, 5.0) for step in range(2)] == [True, True]
    assert [sampler.prune(7, step, 0.1) for step in range(2)] == [False, False]


def test_what_was_logged_before_counts_when_another_process_goes_on() -> None:
    past = [
        Trial(number, {"lr": 0.01, "momentum": 0.5}, "done", 0.2, ((0, 1.0), (1, 0.5)))
        for number in range(6)
    ]
    past.append(Trial(6, {"lr": 0.02, "momentum": 0.5}, "running", None, ((0, 3.0),)))
    sampler = samplers.make("optuna", Study(SPACE, "minimize", past=past))
    assert sampler.prune(6, 1, 5.0)


def test_a_range_is_an_order_for_optuna_and_choices_are_none() -> None:
    space = Space(
        (
            Dimension("epochs", (5, 10, 15, 20), is_ordered=True),
            Dimension("lr", (0.1, 0.2, 0.3), is_ordered=True),
            Dimension("kind", (5, "5", None, [1, 2])),
        )
    )
    points = samplers.make("optuna", Study(space, "minimize")).ask(200)
    assert {point["epochs"] for point in points} == {5, 10, 15, 20}
    assert {point["lr"] for point in points} == {0.1, 0.2, 0.3}
    assert {repr(point["kind"]) for point in points} == {"5", "'5'", "None", "[1, 2]"}


@pytest.mark.parametrize(
    ("name", "options", "message", "hint"),
    [
        ("tpe", {}, "There is no sampler `tpe`.", "there are grid, optuna, random."),
        ("gird", {}, "There is no sampler `gird`.", "did you mean `grid`?"),
        ("grid", {"pruner": "median"}, "has no option `pruner`; it has none.", None),
        ("optuna", {"sampler": "cmeas"}, "`cmeas` is not known here", "did you mean `cmaes`?"),
        ("optuna", {"pruner": "x"}, "Optuna's pruner `x` is not known here", "there are median, percentile, halving, hyperband, none."),
    ],
)  # fmt: skip
def test_a_wrong_name_is_told(
    name: str, options: dict[str, str], message: str, hint: str | None
) -> None:
    with pytest.raises(UsageError) as raised:
        samplers.make(name, Study(GRID, "minimize", options=options))
    assert message in raised.value.message
    assert raised.value.hint == hint


def test_optuna_that_is_not_installed_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "optuna" else found(name)
    )
    with pytest.raises(UsageError) as raised:
        samplers.make("optuna", Study(SPACE, "minimize"))
    assert str(raised.value) == (
        "The sampler `optuna` needs the package optuna, which is not installed. Nothing was run.\n"
        "Hint: `python -m pip install 'nbexp[optuna]'`."
    )


def test_making_a_sampler_loads_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from nbexp.sweeps import samplers\n"
        "from nbexp.sweeps.space import Dimension, Space\n"
        "study = samplers.Study(Space((Dimension('a', (1, 2)),)), 'minimize')\n"
        "for name in samplers.names(): samplers.make(name, study)\n"
        "sys.exit(', '.join({'optuna', 'numpy', 'sqlalchemy', 'scipy'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ran.stderr == "\n"
