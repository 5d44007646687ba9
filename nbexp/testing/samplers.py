"""What every sampler is held to: subclass `SamplerContract` beside a fixture `kind`, and pytest runs it.

    from nbexp.testing.samplers import SamplerContract

    class TestMine(SamplerContract):
        @pytest.fixture
        def kind(self):
            return my_module

The module of a sampler is what `nbexp.sweeps.samplers.Kind` says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Literal

import pytest

from nbexp.errors import UsageError
from nbexp.frozen import replace
from nbexp.sweeps.samplers import Kind, Sampler, State, Study, Trial
from nbexp.sweeps.space import Dimension, Point, Space

GRID = Space(
    (
        Dimension("train.lr", (0.1, 0.2, 0.5)),
        Dimension("net.json:kind", ("a", None, True, [1, 2])),
        Dimension("+layers", (2, 4, 6), is_ordered=True),
    )
)
OPEN = Space(
    (
        Dimension("lr", low=1e-4, high=1e-1, is_log=True),
        Dimension("dropout", low=-0.5, high=0.5),
        Dimension("depth", low=1, high=4, is_whole=True),
        Dimension("width", low=1, high=64, is_log=True, is_whole=True),
        Dimension("kind", ("x", "y")),
    )
)


def value_of(point: Point) -> float:
    """Something to optimise."""
    return sum(abs(one - 0.3) for one in point.values() if isinstance(one, float))


class SamplerContract:
    """The tests; each is about one promise of `nbexp.sweeps.samplers.Sampler`."""

    spaces: Sequence[Space] = (GRID, OPEN)
    """Those that it can sample."""

    @pytest.fixture
    def studies(self, kind: Kind) -> list[Study]:
        """One for each space, and one for each direction where it optimises."""
        directions: Sequence[Literal["minimize", "maximize"] | None] = (
            ("minimize", "maximize") if kind.needs_metric else (None,)
        )
        return [
            Study(space, direction, seed=7) for space in self.spaces for direction in directions
        ]

    def test_a_point_has_a_value_of_the_space_for_every_param(
        self, kind: Kind, studies: list[Study]
    ) -> None:
        for study in studies:
            points = asked(kind.Sampler(study), 30)
            assert points
            for point in points:
                assert list(point) == list(study.space.params)
                assert json.loads(json.dumps(dict(point))) == dict(point)
                for one in study.space.dimensions:
                    check(one, point[one.param])

    def test_no_more_points_are_given_than_were_asked_for(
        self, kind: Kind, studies: list[Study]
    ) -> None:
        for study in studies:
            sampler = kind.Sampler(study)
            assert sampler.ask(0) == []
            assert [len(sampler.ask(n)) for n in (1, 4, 2)] == [1, 4, 2]
            size = study.space.size
            if size is not None:
                assert len(sampler.ask(size + 10)) <= size + 10

    def test_one_seed_gives_the_same_points_again(self, kind: Kind, studies: list[Study]) -> None:
        for study in studies:
            assert asked(kind.Sampler(study), 15) == asked(kind.Sampler(study), 15)

    def test_trials_end_in_any_order_and_some_without_a_value(
        self, kind: Kind, studies: list[Study]
    ) -> None:
        for study in studies:
            sampler = kind.Sampler(study)
            points = sampler.ask(6)
            for number in (3, 0, 5, 1, 4, 2):
                sampler.tell(number, None if number in (1, 5) else value_of(points[number]))
            assert len(sampler.ask(3)) == 3

    def test_it_goes_on_from_the_trials_of_another_process(
        self, kind: Kind, studies: list[Study]
    ) -> None:
        for study in studies:
            first = kind.Sampler(study)
            points = first.ask(8)
            states: Sequence[State] = (
                "done", "pruned", "failed", "running", "done", "running", "done", "done",
            )  # fmt: skip
            past = [
                Trial(
                    number,
                    point,
                    state,
                    value_of(point) if state == "done" else None,
                    ((0, 1.0), (1, 0.5)) if state != "failed" else (),
                )
                for number, (point, state) in enumerate(zip(points, states, strict=True))
            ]
            # As they come back from where they were kept.
            again = json.loads(json.dumps([dict(trial.point) for trial in past]))
            past = [replace(one, point=point) for one, point in zip(past, again, strict=True)]
            sampler = kind.Sampler(replace(study, past=past))
            assert sampler.prune(3, 2, 0.4) in (True, False)
            sampler.tell(3, 0.4)
            sampler.tell(5, None)
            new = sampler.ask(4)
            assert len(new) == 4
            size = study.space.size
            if size is not None and not kind.needs_metric:
                given = [json.dumps(dict(point)) for point in (*points, *new)]
                assert len(set(given)) == len(given)

    def test_a_trial_that_is_asked_about_is_stopped_or_not(
        self, kind: Kind, studies: list[Study]
    ) -> None:
        for study in studies:
            sampler = kind.Sampler(study)
            for number in range(len(sampler.ask(12))):
                stopped = [sampler.prune(number, step, float(number)) for step in (0, 1, 1, 2.5)]
                assert set(stopped) <= {True, False}
                sampler.tell(number, None if True in stopped else float(number))
            # Nothing is known of such a one, so nothing is done.
            assert sampler.prune(99, 0, 1.0) is False
            sampler.tell(99, 1.0)

    def test_a_space_that_it_cannot_sample_is_refused_at_once(self, kind: Kind) -> None:
        direction: Literal["minimize"] | None = "minimize" if kind.needs_metric else None
        for space in (GRID, OPEN):
            if space not in self.spaces:
                with pytest.raises(UsageError):
                    kind.Sampler(Study(space, direction))

    def test_each_option_has_a_line_of_help(self, kind: Kind) -> None:
        assert all(name and text for name, text in kind.OPTIONS.items())


def asked(sampler: Sampler, n: int) -> list[Point]:
    """Up to `n` points, each asked for when the one before has its value."""
    found: list[Point] = []
    for number in range(n):
        points = sampler.ask(1)
        if not points:
            break
        found += points
        sampler.tell(number, value_of(points[0]))
    return found


def check(one: Dimension, value: object) -> None:
    """That a value is one of the dimension's, of its type."""
    if one.choices:
        assert any(value == choice and type(value) is type(choice) for choice in one.choices)
        return
    assert isinstance(value, int if one.is_whole else float)
    assert math.isfinite(value)
    assert one.low <= value <= one.high
