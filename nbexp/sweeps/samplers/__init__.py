"""Samplers: who picks the points of a sweep. One file each, whose name is the name users type.

Another package adds one as an entry point of the group `nbexp.sweeps.samplers`; `nbexp.testing.samplers` has the tests
that each of them is held to. One process holds a sampler; when that process ends early, another one makes it
anew from the trials there have been, so a sampler keeps nothing on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, cast

from nbexp import plugins
from nbexp.errors import UsageError, nearest
from nbexp.frozen import field, frozen
from nbexp.sweeps.space import Point, Space

State = Literal["running", "done", "pruned", "failed"]
"""A trial waits or runs, brought a value, was stopped because others did better, or brought no value."""


@frozen
class Trial:
    """A point that is or was run; `number` counts from 0 in the order in which points were asked for."""

    number: int
    point: Point
    state: State = "running"
    value: float | None = None
    steps: tuple[tuple[float, float], ...] = ()
    """What it logged of the metric while it ran: step and value."""


@frozen
class Study:
    """What a sampler is made from.

    Attributes
    ----------
    direction
        Of the metric; None where nothing is to be optimised.
    seed
        Whatever is drawn comes from this.
    options
        The sampler's own, by name: `{"sampler": "tpe", "pruner": "median"}`.
    past
        The trials there have been already, by number, those that still run among them. Numbers are missing
        where somebody took a trial out of the list.
    """

    space: Space
    direction: Literal["minimize", "maximize"] | None = None
    seed: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    past: Sequence[Trial] = ()

    @property
    def next(self) -> int:
        """The number of the next trial."""
        return self.past[-1].number + 1 if self.past else 0


class Sampler(Protocol):
    """What the module's class `Sampler` does.

    Made by `Sampler(study)`, which is quick, loads no heavy library, and raises `UsageError` for a study that is
    none of its. One thread calls it, and waits for it: a call ends within milliseconds, but for the first.
    """

    def ask(self, n: int) -> Sequence[Point]:
        """Up to `n` new points; fewer where the space has no more.

        Each becomes a trial, numbered on from `study.next`. A point has a value for every param of the space.
        """

    def tell(self, number: int, value: float | None) -> None:
        """How a trial ended, in any order: its value, or None where it was pruned or failed."""

    def prune(self, number: int, step: float, value: float) -> bool:
        """Whether a running trial that logged this had better be stopped. Steps come in order, perhaps not all."""


class Kind(Protocol):
    """The module of a sampler: beside its class `Sampler`, what it wants."""

    needs_metric: bool
    """It optimises, and wants to be told a metric."""

    OPTIONS: Mapping[str, str]
    """The options it has, with a line of help each."""

    def Sampler(self, study: Study) -> Sampler: ...  # noqa: N802  # the name of its class


def names() -> tuple[str, ...]:
    """The samplers that there are."""
    return plugins.names(__name__)


def load(name: str) -> Kind:
    """The module of a sampler.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    try:
        return cast("Kind", plugins.load(__name__, name))
    except LookupError:
        near = nearest(name, names())
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(names())}."
        raise UsageError(f"There is no sampler `{name}`. Nothing was run.", hint) from None


def make(name: str, study: Study) -> Sampler:
    """The sampler of that name for a study.

    Raises
    ------
    UsageError
        There is none of that name, it has no such option, or the study is none of its.
    """
    kind = load(name)
    odd = next((option for option in study.options if option not in kind.OPTIONS), None)
    if odd is not None:
        known = ", ".join(kind.OPTIONS) or "none"
        raise UsageError(
            f"The sampler `{name}` has no option `{odd}`; it has {known}. Nothing was run."
        )
    return kind.Sampler(study)
