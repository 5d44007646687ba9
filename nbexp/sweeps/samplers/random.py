"""Points drawn from the space; where it is a grid, none twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from nbexp.sweeps.samplers import Study
from nbexp.sweeps.space import Point

needs_metric = False
OPTIONS: Mapping[str, str] = {}


class Sampler:
    """Each point follows from the seed and its number alone, so that a sweep goes on as it would have gone."""

    def __init__(self, study: Study) -> None:
        self._space, self._seed, self._next = study.space, study.seed, study.next
        size = study.space.size
        self._order = None if size is None else Random(study.seed).sample(range(size), size)

    def ask(self, n: int) -> Sequence[Point]:
        left = n if self._order is None else min(n, len(self._order) - self._next)
        first, self._next = self._next, self._next + max(left, 0)
        return [self._point(number) for number in range(first, self._next)]

    def tell(self, number: int, value: float | None) -> None:
        """No point depends on another one's value."""

    def prune(self, number: int, step: float, value: float) -> bool:
        return False

    def _point(self, number: int) -> Point:
        if self._order is not None:
            return self._space.point(self._order[number])
        random = Random(f"{self._seed}:{number}")
        given = random.choice(self._space.points)
        return {**given, **{one.param: one.at(random.random()) for one in self._space.dimensions}}
