"""Where the stages of a run stand, from its events and from the lines that are written of them."""

from __future__ import annotations

import json

import pytest

from nbexp import events
from nbexp.pipeline import stage_lines
from nbexp.pipeline.dag import states
from nbexp.pipeline.standing import MAX_POINTS, Curve, Standing

DIAMOND = {"get": (), "left": ("get",), "right": ("get",), "join": ("left", "right")}


def planned(jobs: int = 1, **seconds: float) -> Standing:
    found = Standing()
    found.take(events.Planned(tuple(DIAMOND), DIAMOND, jobs, seconds), 100.0)
    return found


def test_stages_turn_from_waiting_to_running_to_what_became_of_them() -> None:
    found = planned()
    seen = []
    for event in (
        events.StageSkipped("get"),
        events.StageStarted("left", ()),
        events.StageRestored("right"),
        events.StageFinished("left", 2.5),
        events.StageStarted("join", ()),
        events.StageStopped("join", "it stopped"),
    ):
        found.take(event, 104.0)
        seen.append([one.state for one in found.stages.values()])
    assert seen == [
        ["unchanged", "waiting", "waiting", "waiting"],
        ["unchanged", "running", "waiting", "waiting"],
        ["unchanged", "running", "restored", "waiting"],
        ["unchanged", "done", "restored", "waiting"],
        ["unchanged", "done", "restored", "running"],
        ["unchanged", "done", "restored", "failed"],
    ]


def test_how_long_it_goes_on_is_the_longest_way_with_as_many_at_once() -> None:
    known = {"get": 1.0, "left": 4.0, "right": 2.0, "join": 3.0}
    assert planned(1, **known).left_s(100.0) == 10.0
    assert planned(2, **known).left_s(100.0) == 8.0
    found = planned(2, **known)
    found.take(events.StageSkipped("get"), 100.0)
    found.take(events.StageStarted("left", ()), 100.0)
    found.take(events.StageStarted("right", ()), 100.0)
    assert found.left_s(101.0) == 6.0
    assert found.left_s(120.0) == 3.0  # it takes longer than ever before: what comes is known


def test_how_long_it_goes_on_is_not_guessed_where_a_stage_never_ran() -> None:
    assert planned(get=1.0, left=4.0, right=2.0).left_s(100.0) is None


def test_what_ended_early_is_told_for_every_stage() -> None:
    found = planned()
    found.take(events.StageStarted("get", ()), 100.0)
    found.end("interrupted", 103.0)
    assert [(one.state, one.seconds) for one in found.stages.values()] == [
        ("interrupted", 3.0), ("not run", None), ("not run", None), ("not run", None),
    ]  # fmt: skip


def test_lines_of_a_run_say_what_its_events_said() -> None:
    told = [
        events.Planned(("get", "fit"), {"get": (), "fit": ("get",)}, 2, {"fit": 3.0}),
        events.StageSkipped("get"),
        events.DataTaken("get"),
        events.StageRestored("get"),
        events.StageStarted("fit", ()),
        events.CellStarted("fit", 1, 3),
        events.MetricLogged("fit", 1, {"acc": 0.5, "word": "good"}),
        events.MetricLogged("fit", None, {"acc": 0.75}),
        events.CellFinished("fit", 1, 3),
        events.CheckpointMade("fit", 1, "low-lr", "a" * 40),
        events.StageFinished("fit", 2.0, 3),
        events.StageStopped("fit", "it stopped"),
        events.StageNotRun("fit", "get"),
    ]
    one, other = Standing(), Standing()
    data = b""
    for number, event in enumerate(told):
        one.take(event, 100.0 + number)
        line = stage_lines.line_of(event, 100.0 + number)
        assert line is not None
        data += line
    for line_read in stage_lines.read(data):
        other.tell(line_read)
    assert other.stages == one.stages
    assert other.needs == one.needs
    assert other.curves == one.curves == {("fit", "acc"): Curve([1.0, 1.0], [0.5, 0.75])}
    assert stage_lines.line_of(events.OutputWritten("fit", b"x"), 1.0) is None


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", "[1]", '{"kind": "dance"}', '{"kind": "cell", "stage": "a"}', '{"kind": "plan", "needs": 3}'],
)  # fmt: skip
def test_a_line_of_another_version_or_a_torn_one_says_nothing(line: str) -> None:
    found = planned()
    before = dict(found.stages)
    for one in stage_lines.read(line.encode()):
        found.tell(one)
    assert found.stages == before


def test_what_is_no_number_is_no_point() -> None:
    found = planned()
    for value in (0.5, float("nan"), float("inf"), "high"):
        found.take(events.MetricLogged("get", 1, {"acc": value}), 100.0)
    assert found.curves == {("get", "acc"): Curve([1.0], [0.5])}
    assert found.stages["get"].values == {"acc": "high"}


def test_a_curve_that_never_ends_is_thinned() -> None:
    curve = Curve()
    for step in range(MAX_POINTS * 3):
        curve.add(step, step)
    assert len(curve.steps) <= MAX_POINTS
    assert curve.steps[0] == 0.0
    assert curve.steps[-1] == MAX_POINTS * 3 - 1


class TestPicture:
    def test_every_state_has_its_sign_its_words_and_its_colour(self) -> None:
        found = planned(2, left=10.0, join=4.0)
        found.take(events.StageSkipped("get"), 100.0)
        found.take(events.StageStarted("left", ()), 100.0)
        found.take(events.CellStarted("left", 2, 3), 101.0)
        found.take(events.StageStarted("right", ()), 100.0)
        found.take(events.StageStopped("right", "it stopped"), 104.0)
        picture = states.draw(found, 106.0)
        assert picture.words == (
            "get: unchanged; left: cell 2/3 6.0 s ~4.0 s left; right: failed 4.0 s; join: waiting ~4.0 s"
        )
        for sign, fill in (("=", "#dcf3e3"), ("▶", "#dbe8ff"), ("✗", "#fde0dd"), ("○", "#eceff3")):
            assert f">{sign} " in picture.svg
            assert f'fill="{fill}"' in picture.svg
        assert picture.svg.count("<path") == 2 * 4

    def test_boxes_stay_where_they_are_while_it_runs(self) -> None:
        found = planned()
        before = states.draw(found, 100.0)
        found.take(events.StageStarted("get", ()), 100.0)
        found.take(events.CellStarted("get", 1, 3), 100.0)
        after = states.draw(found, 112.0)
        assert (before.width, before.height) == (after.width, after.height)

    def test_names_are_text_only(self) -> None:
        name = '<script>alert("1")</script>&'
        found = Standing()
        found.take(events.Planned((name, "b"), {name: (), "b": (name,)}), 1.0)
        picture = states.draw(found, 1.0)
        assert "<script" not in picture.svg
        assert "<script" not in picture.img()
        assert 'alert("' not in picture.img()
        assert "&lt;script&gt;" in picture.svg

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [(0.44, "0.4 s"), (9.96, "10 s"), (59.4, "59 s"), (185.0, "3:05"), (7800.0, "2:10:00")],
    )
    def test_times_are_short(self, seconds: float, said: str) -> None:
        assert states.brief(seconds) == said


def test_a_plan_is_a_line_of_json() -> None:
    line = stage_lines.line_of(events.Planned(("a",), {"a": ()}, 1, {}), 1.23456)
    assert line is not None
    assert json.loads(line) == {
        "at": 1.235, "kind": "plan", "needs": {"a": []}, "jobs": 1, "seconds": {},
    }  # fmt: skip
