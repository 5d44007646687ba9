"""What a sweep has come to: its trials, the best of them, and how many are what; and what it would be before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from nbexp.errors import NbexpError, StageFailed
from nbexp.frozen import brief, field, frozen
from nbexp.queue.state import State
from nbexp.results import Result
from nbexp.sweeps.definition import Direction
from nbexp.sweeps.space import Point

Over = Literal["running", "waiting", "done", "stopped", "failed"]
"""Of a sweep: a process leads it; none does any more, and it is not over; all trials are; somebody stopped it; none of its trials brings a value."""


# Beside params, name and time more make lines that no screen has room for; `show` has all.
_MAX_METRICS = 4


@frozen
class TrialRow:
    """One trial.

    Attributes
    ----------
    number
        From 1, in the order in which they were asked for.
    name
        Of its experiment; of an equal one before, where there was one.
    value
        Of the metric; None where there is none, or none was asked for.
    rev
        Of its experiment.
    metrics
        What it measured, by key, where no metric is optimised.
    """

    __repr__ = brief

    number: int
    name: str
    state: State
    value: float | None
    point: Point = field(hash=False)
    rev: str | None = None
    seconds: float | None = None
    error: str | None = None
    metrics: Mapping[str, object] = field(default_factory=dict, hash=False)

    def to_json(self) -> dict[str, object]:
        return {
            "trial": self.number,
            "name": self.name,
            "state": self.state,
            "value": self.value,
            "params": dict(self.point),
            "metrics": dict(self.metrics),
            "rev": self.rev,
            "seconds": self.seconds,
            "error": self.error,
        }


@frozen
class Sweep(Result):
    """A sweep and its trials, by number.

    Attributes
    ----------
    planned
        How many trials there shall be.
    metric, direction
        What is optimised; None where nothing is.
    params
        What the trials differ in.
    fixed
        What they have in common, as typed.
    note
        Why it is over, where that is not plain.
    stops_at_failure
        A trial that failed makes the whole command fail: all were asked for, one by one.
    """

    name: str
    state: Over
    trials: tuple[TrialRow, ...]
    planned: int
    sampler: str
    jobs: int
    seed: int
    params: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    metric: str | None = None
    direction: Direction | None = None
    elapsed_s: float = 0.0
    note: str = ""
    stops_at_failure: bool = False

    def __repr__(self) -> str:
        return f"<Sweep {self.name}: {self.counts.get('done', 0)} of {self.planned} done>"

    @property
    def best(self) -> TrialRow | None:
        """The trial with the best value; None where none has one, or nothing was optimised."""
        ranked = self.ranked
        return ranked[0] if ranked and ranked[0].value is not None and self.direction else None

    @property
    def ranked(self) -> tuple[TrialRow, ...]:
        """The trials, the best first; those without a value by number, behind."""
        if self.direction is None:
            return self.trials
        sign = 1.0 if self.direction == "minimize" else -1.0
        with_value = [one for one in self.trials if one.value is not None and one.state == "done"]
        with_value.sort(key=lambda one: sign * (one.value or 0.0))
        return (*with_value, *(one for one in self.trials if one not in with_value))

    @property
    def measured(self) -> tuple[str, ...]:
        """The metrics that the table shows: the one that is optimised, else the first that the trials have."""
        if self.metric is not None:
            return (self.metric,)
        return tuple(dict.fromkeys(key for one in self.trials for key in one.metrics))[
            :_MAX_METRICS
        ]

    @property
    def counts(self) -> dict[str, int]:
        """How many trials are in each state."""
        found: dict[str, int] = {}
        for one in self.trials:
            found[one.state] = found.get(one.state, 0) + 1
        return found

    @property
    def failure(self) -> NbexpError | None:
        failed = [one for one in self.trials if one.state == "failed"]
        if self.state == "failed":
            return StageFailed(self.note or f"{self.name} makes no sense.", stage="")
        if not failed or not (self.stops_at_failure or len(failed) == len(self.trials)):
            return None
        first = failed[0]
        return StageFailed(
            f"{len(failed)} of {len(self.trials)} trials failed, {first.name} for one: "
            f"{first.error or 'no reason is known'}",
            f"`nbexp logs {first.name}`",
            stage="",
        )

    def to_json(self) -> dict[str, object]:
        best = self.best
        return {
            "name": self.name,
            "state": self.state,
            "metric": self.metric,
            "direction": self.direction,
            "sampler": self.sampler,
            "options": dict(self.options),
            "seed": self.seed,
            "jobs": self.jobs,
            "planned": self.planned,
            "params": list(self.params),
            "fixed": list(self.fixed),
            "best": best and best.to_json(),
            "counts": self.counts,
            "trials": [one.to_json() for one in self.trials],
            "note": self.note,
        }


@frozen
class Sweeps(Result):
    """The sweeps of a project, the newest first."""

    sweeps: tuple[Sweep, ...]

    def __repr__(self) -> str:
        return f"<{len(self.sweeps)} sweeps>"

    def to_json(self) -> dict[str, object]:
        return {"sweeps": [one.to_json() for one in self.sweeps]}


@frozen
class SweepPlan(Result):
    """What a sweep would run; nothing was.

    Attributes
    ----------
    trials
        How many; of a sweep that is there already, how many more.
    seconds
        How long one takes by past runs; None where that is not known.
    first
        The first points, as typed.
    goes_on
        The sweep that the line would go on with; None: it would be a new one.
    recorded
        How many of them are recorded already, and take no time; None where the points are not known before, or there
        are more than are looked at.
    """

    trials: int
    jobs: int
    sampler: str
    seconds: float | None
    first: tuple[str, ...] = ()
    goes_on: str | None = None
    recorded: int | None = None

    @property
    def whole_s(self) -> float | None:
        """How long all of them take that are not recorded yet, so many at a time."""
        if self.seconds is None:
            return None
        return self.seconds * -(-(self.trials - (self.recorded or 0)) // self.jobs)

    def to_json(self) -> dict[str, object]:
        return {
            "trials": self.trials,
            "jobs": self.jobs,
            "sampler": self.sampler,
            "seconds_each": self.seconds,
            "seconds": self.whole_s,
            "first": list(self.first),
            "goes_on": self.goes_on,
            "recorded": self.recorded,
        }
