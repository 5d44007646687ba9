"""What people read of a sweep: in a terminal, in a cell, as JSON."""

from __future__ import annotations

import json
import math

from nbexp import commands, render
from nbexp.errors import StageFailed
from nbexp.frozen import replace
from nbexp.jupyter import display
from nbexp.sweeps.results import Sweep, SweepPlan, Sweeps, TrialRow

TRIALS = (
    TrialRow(1, "calm-otter", "done", 0.9, {"train.lr": 0.1, "train.epochs": 5}, "a" * 40, 3.14),
    TrialRow(2, "fond-lynx", "done", 0.941234, {"train.lr": 0.0300001, "train.epochs": 20}, "b" * 40, 62.0),
    TrialRow(3, "wet-<b>", "pruned", 0.2, {"train.lr": 0.2}, None, 1.0),
    TrialRow(4, "mad-hen", "failed", None, {"train.lr": 9.0, "train.epochs": 5}, None, 1.0, "Stage `train` stopped."),
    TrialRow(5, "new-elk", "running", None, {"train.lr": 0.05, "train.epochs": 10}),
)  # fmt: skip
SWEEP = Sweep(
    "sweep-1", "running", TRIALS, 20, "optuna", 2, 7, ("train.lr", "train.epochs"),
    metric="acc", direction="maximize", elapsed_s=75.0,
)  # fmt: skip


def test_the_text_has_the_best_first_and_what_to_do_next() -> None:
    assert render.text(SWEEP).splitlines() == [
        "sweep-1   maximize acc   4 of 20 trials: 2 done, 1 pruned, 1 failed   75 s",
        "  trial  name        state    acc      train.lr  train.epochs  time",
        "  2      fond-lynx   done     0.94123  0.03      20            62 s",
        "  1      calm-otter  done     0.9      0.1       5             3.1 s",
        "  3      wet-<b>     pruned   0.2      0.2                     1.0 s",
        "  4      mad-hen     failed   -        9         5             1.0 s",
        "  5      new-elk     running  -        0.05      10            -",
        "best: fond-lynx acc 0.94123 (train.lr 0.03, train.epochs 20)",
        "failed: mad-hen: Stage `train` stopped.   (nbexp logs mad-hen)",
        "it goes on: nbexp sweep --resume sweep-1 watches, nbexp stop sweep-1 ends it",
    ]


def test_where_nothing_is_optimised_the_table_has_what_was_measured() -> None:
    measured = ({"acc": 0.9, "loss": 0.1}, {"acc": 0.8}, {})
    rows = tuple(
        replace(one, value=None, metrics=found)
        for one, found in zip(TRIALS[:3], measured, strict=True)
    )
    plain = replace(SWEEP, trials=rows, metric=None, direction=None, state="done")
    assert render.text(plain).splitlines()[1:] == [
        "  trial  name        state   acc  loss  train.lr  train.epochs  time",
        "  1      calm-otter  done    0.9  0.1   0.1       5             3.1 s",
        "  2      fond-lynx   done    0.8  -     0.03      20            62 s",
        "  3      wet-<b>     pruned  -    -     0.2                     1.0 s",
    ]
    assert str(display.html(plain)).count(">loss</th>") == 1
    assert json.loads(commands.to_json(plain))["trials"][0]["metrics"] == {"acc": 0.9, "loss": 0.1}


def test_the_html_is_a_table_in_which_nothing_is_markup() -> None:
    html = str(display.html(SWEEP))
    assert html.count("<tr>") == 6
    assert "wet-&lt;b&gt;" in html
    assert "wet-<b>" not in html
    assert "<b>fond-lynx</b>" in html
    assert "%exp sweep --resume sweep-1 watches" in html
    assert 'title="0.0300001"' in html
    bundle, _ = display.bundle(SWEEP)
    assert "%exp logs mad-hen" in str(bundle["text/plain"])


def test_the_json_is_strict() -> None:
    odd = replace(SWEEP, trials=(replace(TRIALS[0], point={"train.lr": math.nan}),))
    said = json.loads(commands.to_json(odd))
    assert said["trials"][0]["params"] == {"train.lr": None}
    assert json.loads(commands.to_json(SWEEP))["best"]["name"] == "fond-lynx"


def test_the_least_is_the_best_where_it_is_minimized() -> None:
    assert replace(SWEEP, direction="minimize").best == TRIALS[0]
    assert replace(SWEEP, metric=None, direction=None).best is None


def test_a_failure_counts_where_each_trial_was_asked_for() -> None:
    assert SWEEP.exit_code == 0
    asked = replace(SWEEP, stops_at_failure=True)
    assert asked.exit_code == 1
    assert isinstance(asked.failure, StageFailed)
    assert asked.failure.message == (
        "1 of 5 trials failed, mad-hen for one: Stage `train` stopped."
    )
    over = replace(SWEEP, state="failed", note="There is no metric `acc`.")
    assert over.exit_code == 1
    assert render.text(over).splitlines()[-2:] == [
        "over: There is no metric `acc`.",
        "go on: nbexp sweep --resume sweep-1",
    ]


def test_of_many_trials_the_best_are_shown() -> None:
    many = tuple(replace(TRIALS[0], number=n, name=f"t-{n}", value=n / 100) for n in range(1, 101))
    sweep = replace(SWEEP, trials=many, planned=100, state="done")
    lines = render.text(sweep).splitlines()
    assert lines[2].split()[:2] == ["100", "t-100"]
    assert lines[-2:] == [
        "  … 60 more trials: nbexp show",
        "best: t-100 acc 1 (train.lr 0.1, train.epochs 5)",
    ]
    assert str(display.html(sweep)).count("<tr>") == 51


def test_sweeps_are_listed() -> None:
    done = replace(SWEEP, name="lr", state="done", trials=TRIALS[:2], planned=2, metric=None)
    assert render.text(Sweeps((SWEEP, replace(done, direction=None)))).splitlines() == [
        "name     state    trials                                      sampler  objective     best",
        "sweep-1  running  4 of 20 trials: 2 done, 1 pruned, 1 failed  optuna   maximize acc  fond-lynx 0.94123",
        "lr       done     2 of 2 trials: 2 done                       optuna",
    ]  # fmt: skip
    assert str(display.html(Sweeps((SWEEP,)))).count("<tr>") == 2
    empty = "no sweeps yet. Next: nbexp sweep -S train.lr=0.1,0.2"
    assert render.text(Sweeps(())) == empty
    assert "%exp sweep" in str(display.html(Sweeps(())))


def test_a_plan_says_how_many_and_how_long() -> None:
    plan = SweepPlan(5, 2, "grid", 30.0, ("a=1", "a=2"), goes_on="sweep-3")
    assert render.text(plan).splitlines() == [
        "sweep-3 goes on: 5 runs, 2 at a time, picked by grid",
        "about 2 min by past runs, 30 s each",
        "  a=1",
        "  a=2",
        "  …",
        "Nothing was run.",
    ]
    assert plan.to_json()["seconds"] == 90.0
