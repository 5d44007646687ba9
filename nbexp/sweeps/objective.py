"""The metric that a sweep is about: what one types, the value that a trial brought, and what it logs on its way."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, cast

from nbexp.errors import NotFound, UsageError, nearest
from nbexp.experiments.polarity import polarity
from nbexp.experiments.row import Data
from nbexp.frozen import frozen
from nbexp.sweeps.definition import Definition, Direction


@frozen
class Objective:
    """A metric by any of the names that a column has, and which way is better."""

    metric: str
    direction: Direction

    def __str__(self) -> str:
        return f"{self.direction} {self.metric}"

    def value(self, data: Data) -> float:
        """What a commit says of it.

        Raises
        ------
        NotFound
            It has no such metric, or one that is no number.
        UsageError
            It has several of that name.
        """
        leaves = data.flat("metrics")
        full = {f"{file}:{key}": key for file, key in leaves}
        found = (
            [one for one in full if one == self.metric]
            or [one for one, key in full.items() if key == self.metric]
            or [one for one, key in full.items() if key.endswith(f".{self.metric}")]
        )
        if len(found) > 1:
            raise UsageError(
                f"Several metrics are called `{self.metric}`: {', '.join(found)}.",
                f'name one of them: `nbexp sweep --optuna "{self.direction} {found[0]}"`.',
            )
        if not found:
            known = [*dict.fromkeys(full.values())]
            near = nearest(self.metric, known)
            hint = f"did you mean `{near}`?" if near else None
            there = f"there are {', '.join(known[:10])}" if known else "there is none"
            raise NotFound(f"There is no metric `{self.metric}`; {there}.", hint)
        value = {f"{file}:{key}": value for (file, key), value in leaves.items()}[found[0]]
        number = as_number(value)
        if number is None:
            raise NotFound(f"The metric `{found[0]}` is {value!r}, which is no number.")
        return number

    def find(self, data: Data) -> float | None:
        """The same; None where there is none, or nobody can tell which."""
        try:
            return self.value(data)
        except (NotFound, UsageError):
            return None

    def logged(self, values: Mapping[str, Any]) -> float | None:
        """What a running trial logged of it: as text code names it, which knows nothing of files."""
        key = self.metric.rpartition(":")[2]
        names = (self.metric, key, key.replace(".", "/"), key.rpartition(".")[2])
        for name in names:
            if name in values:
                return as_number(values[name])
        return None

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is better than `other`."""
        return one < other if self.direction == "minimize" else one > other


def of(sweep: Definition) -> Objective | None:
    """What the sweep is about; None where nothing is compared."""
    if sweep.metric is None or sweep.direction is None:
        return None
    return Objective(sweep.metric, sweep.direction)


def parse(text: str, better: Mapping[str, str]) -> Objective:
    """The objective in `minimize loss`, or in a metric's name that says itself which way is better.

    Parameters
    ----------
    better
        The project's setting of that name.

    Raises
    ------
    UsageError
        It names no metric, several, or nothing says which way is better.
    """
    words = re.split(r"[\s,]+", text.strip())
    if len(words) == 2 and words[0] in {
        "minimize",
        "maximize",
        "minimise",
        "maximise",
        "min",
        "max",
    }:
        return Objective(words[1], cast("Direction", f"{words[0][:3]}imize"))
    if len(words) != 1 or not words[0]:
        raise UsageError(
            f"`{text}` is no objective: one metric is expected, and which way it is to go. Nothing was run.",
            '`nbexp sweep --optuna "minimize loss"`.',
        )
    way = polarity(words[0].rpartition(":")[2], better)
    if way is None:
        raise UsageError(
            f"Nothing says which way is better for `{words[0]}`. Nothing was run.",
            f'`nbexp sweep --optuna "maximize {words[0]}"`.',
        )
    return Objective(words[0], "minimize" if way == "lower" else "maximize")


def as_number(value: object) -> float | None:
    """The value as a number that can be compared; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) else None
