"""Every point of the space, one after the other, the first param slowest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbexp.errors import UsageError
from nbexp.sweeps.samplers import Study
from nbexp.sweeps.space import Point

needs_metric = False
OPTIONS: Mapping[str, str] = {}


class Sampler:
    """A trial's number is the number of its point."""

    def __init__(self, study: Study) -> None:
        size = study.space.size
        if size is None:
            between = next(one for one in study.space.dimensions if not one.choices)
            raise UsageError(
                f"`{between}` has no end of values to try one after the other. Nothing was run.",
                f"`nbexp sweep --random 20 -S '{between}'` draws some of them.",
            )
        self._space, self._size, self._next = study.space, size, study.next

    def ask(self, n: int) -> Sequence[Point]:
        first, self._next = self._next, min(self._next + n, self._size)
        return [self._space.point(index) for index in range(first, self._next)]

    def tell(self, number: int, value: float | None) -> None:
        """No point depends on another one's value."""

    def prune(self, number: int, step: float, value: float) -> bool:
        return False
