"""The picture of a sweep's history, in the HTML of a cell."""

from __future__ import annotations

import re
from typing import Any

from nbexp.jupyter import display
from nbexp.sweeps.results import Sweep, TrialRow

EVIL = "</title><script>alert(1)</script>"


def sweep(*values: tuple[str, float | None], direction: Any = "minimize", metric: str = "loss") -> Sweep:  # fmt: skip
    rows = tuple(
        TrialRow(number, f"{EVIL}-{number}", state, value, {"lr": 0.1})  # type: ignore[arg-type]
        for number, (state, value) in enumerate(values, 1)
    )
    return Sweep(
        "sweep-1", "done", rows, len(rows), "grid", 1, 0, ("lr",), metric=metric, direction=direction
    )  # fmt: skip


def test_each_trial_is_a_mark_and_the_best_so_far_a_line() -> None:
    found = str(
        display.html(sweep(("done", 3.0), ("pruned", 4.0), ("done", 1.0), ("done", 2.0), ("failed", None)))
    )  # fmt: skip
    assert found.count("<circle") == 3
    assert found.count('stroke-width="1.2"') == 1
    # From trial 1 to the better trial 3, and on to the last that has a value.
    (path,) = re.findall(r'<path d="(M[^"]+)" fill="none"', found)
    assert re.fullmatch(r"M58\.0 [\d.]+H387\.3V[\d.]+H552\.0", path)
    assert 'aria-label="loss of 4 trials; the best is 1, of trial 3"' in found
    assert "a cross was pruned" in found


def test_the_best_so_far_goes_the_way_of_the_metric() -> None:
    def steps(direction: str) -> int:
        found = str(
            display.html(sweep(("done", 1.0), ("done", 2.0), ("done", 3.0), direction=direction))
        )
        (path,) = re.findall(r'<path d="(M[^"]+)" fill="none"', found)
        return str(path).count("V")

    assert (steps("maximize"), steps("minimize")) == (2, 0)


def test_without_a_metric_or_values_there_is_no_picture() -> None:
    for one in (
        sweep(("done", 1.0), ("done", 2.0), direction=None, metric="loss"),
        sweep(("done", 1.0)),
        sweep(("pruned", 1.0), ("pruned", 2.0)),
    ):
        assert "<svg" not in str(display.html(one))


def test_names_are_text() -> None:
    found = str(display.html(sweep(("done", 1.0), ("done", 1.0), metric=EVIL)))
    assert "<svg" in found
    assert "<script" not in found
