"""Which stages may start: nothing before what holds it back, file order among the others, room for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbexp.errors import ProjectFileError
from nbexp.pipeline import schedule
from nbexp.pipeline.schedule import Schedule, amounts

if TYPE_CHECKING:
    from tests.pipeline.conftest import Bench


def started(plan: Schedule[str]) -> list[str]:
    """All that may start now."""
    found = []
    while (stage := plan.next()) is not None:
        found.append(stage)
    return found


def test_stages_start_in_file_order_up_to_the_number_of_jobs() -> None:
    plan = Schedule("abc", {}, jobs=2)
    assert started(plan) == ["a", "b"]
    plan.end("b")
    assert started(plan) == ["c"]
    plan.end("a")
    plan.end("c")
    assert started(plan) == []


def test_a_stage_starts_when_the_last_of_those_before_it_is_over() -> None:
    plan = Schedule("abcd", {"c": "ab", "d": "c"}, jobs=4)
    assert started(plan) == ["a", "b"]
    plan.end("b")
    assert started(plan) == []
    plan.end("a")
    assert started(plan) == ["c"]
    plan.end("c")
    assert started(plan) == ["d"]


def test_a_stage_waits_for_room_and_a_smaller_one_goes_first() -> None:
    demands = {"a": {"gpu": 1.0}, "b": {"gpu": 2.0}, "d": {"gpu": 1.0}}
    plan = Schedule("abcd", {}, jobs=4, demands=demands, totals={"gpu": 2})
    assert started(plan) == ["a", "c", "d"]
    plan.end("d")
    assert started(plan) == []
    plan.end("a")
    assert started(plan) == ["b"]


@given(st.data())
def test_any_stages_all_run_once_each_after_those_before_it(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    after = {n: data.draw(st.sets(st.integers(0, n - 1))) if n else set() for n in range(count)}
    demands = {n: {"gpu": data.draw(st.integers(1, 3))} for n in range(count)}
    jobs = data.draw(st.integers(1, 4))
    plan = Schedule(range(count), after, jobs=jobs, demands=demands, totals={"gpu": 3})
    running: list[int] = []
    over: list[int] = []
    while len(over) < count:
        while (stage := plan.next()) is not None:
            assert after[stage] <= set(over)
            running.append(stage)
            assert len(running) <= jobs
            assert sum(demands[one]["gpu"] for one in running) <= 3
        assert running, "nothing runs and nothing may start"
        ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
        plan.end(ended)
        over.append(ended)
    assert sorted(over) == list(range(count))
    assert plan.next() is None


def test_who_reads_and_who_writes_keep_their_order(bench: Bench) -> None:
    """Also where the reader comes first, as a frozen stage or one that was asked for alone may."""
    bench.write(
        dvc__yaml="stages:\n"
        "  a: {cmd: x, outs: [dir]}\n  b: {cmd: x, deps: [dir/in.txt]}\n  c: {cmd: x}\n"
    )
    graph = bench.graph
    a, b, c = graph.stages
    assert schedule.order_constraints([a, b, c], graph) == {a: set(), b: {a}, c: set()}
    assert schedule.order_constraints([b, a], graph) == {b: set(), a: {b}}


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (1, 1),
        (0.5, 0.5),
        ("2", 2),
        ("4GB", 4e9),
        ("4 GiB", 4 * 2**30),
        ("1.5k", 1500),
        ("10mb", 1e7),
    ],
)
def test_an_amount_is_a_number_or_a_size(value: object, amount: float) -> None:
    assert amounts({"mem": value}, "resources", "dvc.yaml") == {"mem": amount}


@pytest.mark.parametrize(
    "value", [0, -1, "lots", "", "GB", "4 apples", "1.2.3GB", True, None, [], float("inf"), "-4GB"]
)
def test_what_is_no_amount_is_told_with_its_place(value: object) -> None:
    with pytest.raises(ProjectFileError) as caught:
        amounts({"mem": value}, "resources of stage `a`", "dvc.yaml", 3)
    assert caught.value.message == (
        f"dvc.yaml, line 3: resources of stage `a`: mem is {value!r}; "
        "a number above 0 or a size such as 4GB is expected."
    )


def test_resources_that_are_no_mapping_are_told() -> None:
    with pytest.raises(ProjectFileError, match=r"are \['gpu'\]; a mapping such as \{gpu: 1\}"):
        amounts(["gpu"], "resources of stage `a`", "dvc.yaml")
