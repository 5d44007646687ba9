from __future__ import annotations

from typing import TYPE_CHECKING

from nbexp.pipeline import durations

if TYPE_CHECKING:
    from tests.pipeline.conftest import Bench

PIPELINE = "stages:\n  one:\n    cmd: {0}\n    outs: [a.txt]\n"


def test_the_median_of_the_last_five(bench: Bench) -> None:
    bench.write(dvc__yaml=PIPELINE.format("touch a.txt"))
    (stage,) = bench.stages("one")
    assert durations.expected(bench.cache, stage) is None
    for seconds in (100, 100, 100, 1, 2, 3, 50, 4):
        durations.remember(bench.cache, stage, seconds)
    assert durations.expected(bench.cache, stage) == 3


def test_another_command_is_another_matter(bench: Bench) -> None:
    bench.write(dvc__yaml=PIPELINE.format("touch a.txt"))
    durations.remember(bench.cache, bench.stages("one")[0], 7)
    bench.write(dvc__yaml=PIPELINE.format("sleep 1; touch a.txt"))
    assert durations.expected(bench.cache, bench.stages("one")[0]) is None
