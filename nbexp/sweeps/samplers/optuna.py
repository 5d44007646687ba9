"""Points that Optuna picks from the values of those before, and trials it gives up on: the home of Optuna.

The study is in memory: what it knows comes from the trials themselves, of which each is an experiment, so there is no
second record that could say otherwise (and none of Optuna's on SQLite, which takes 30 times as long for a trial).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from nbexp.errors import UsageError, nearest
from nbexp.overrides import spell
from nbexp.sweeps.samplers import Study, Trial
from nbexp.sweeps.space import Dimension, Point

if TYPE_CHECKING:
    import optuna

needs_metric = True
OPTIONS: Mapping[str, str] = {
    "sampler": "how Optuna picks points: tpe, random, cmaes, gp, qmc or nsgaii; default: tpe",
    "pruner": "which trials are stopped early: median, percentile, halving, hyperband or none; default: median",
}

# Name -> the class's name, and the package that it wants beside Optuna.
_SAMPLERS = {
    "tpe": ("TPESampler", ""),
    "random": ("RandomSampler", ""),
    "cmaes": ("CmaEsSampler", "cmaes"),
    "gp": ("GPSampler", "torch"),
    "qmc": ("QMCSampler", "scipy"),
    "nsgaii": ("NSGAIISampler", ""),
}
_PRUNERS = {
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "halving": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
    "none": "NopPruner",
}

SAMPLERS, PRUNERS = tuple(_SAMPLERS), tuple(_PRUNERS)


def is_installed() -> bool:
    """Whether the package is there; nothing of it is loaded."""
    from importlib.util import find_spec

    return find_spec("optuna") is not None


class Sampler:
    """Optuna's study, told what becomes of the trials."""

    def __init__(self, study: Study) -> None:
        self._sampler = study.options.get("sampler", "tpe")
        self._pruner = study.options.get("pruner", "median")
        _check("sampler", self._sampler, _SAMPLERS)
        _check("pruner", self._pruner, _PRUNERS)
        _require("optuna", "The sampler `optuna`", "nbexp[optuna]")
        extra = _SAMPLERS[self._sampler][1]
        if extra:
            _require(extra, f"Optuna's sampler `{self._sampler}`", extra)
        if study.direction is None:
            raise UsageError(
                "Optuna needs to know what is to be optimised. Nothing was run.",
                '`nbexp sweep --optuna "minimize loss"`.',
            )
        if study.space.points != ({},):
            raise UsageError(
                "Optuna picks the points itself; points that are given leave it no choice. Nothing was run.",
                "`nbexp sweep --file` runs those alone; `-S 'train.lr=interval(0.001,0.1)'` gives Optuna room.",
            )
        self._asked = study
        self._study: optuna.Study | None = None
        self._trials: dict[int, optuna.Trial] = {}
        self._next = study.next

    def ask(self, n: int) -> Sequence[Point]:
        study = self._loaded()
        found: list[Point] = []
        for _ in range(n):
            trial = self._trials[self._next] = study.ask(self._distributions())
            self._next += 1
            found.append(self._point(trial.params))
        return found

    def tell(self, number: int, value: float | None) -> None:
        from optuna.trial import TrialState

        study, trial = self._loaded(), self._trials.pop(number, None)
        if trial is None:
            return
        if value is not None and value == value:
            study.tell(trial, value)
        elif "pruned" in trial.user_attrs:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, state=TrialState.FAIL)

    def prune(self, number: int, step: float, value: float) -> bool:
        self._loaded()
        trial = self._trials.get(number)
        if trial is None:
            return False
        trial.report(value, _whole(step))
        if not trial.should_prune():
            return False
        trial.set_user_attr("pruned", True)
        return True

    def _loaded(self) -> optuna.Study:
        """The study, with the trials of the past in it."""
        if self._study is not None:
            return self._study
        import warnings

        import optuna
        from optuna.exceptions import ExperimentalWarning

        # Whoever follows the sweep reads of its trials, not of the study's.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", module="optuna")
        pruner = getattr(optuna.pruners, _PRUNERS[self._pruner])
        self._study = optuna.create_study(
            direction=self._asked.direction,
            sampler=self._made(),
            pruner=pruner(25.0) if self._pruner == "percentile" else pruner(),
        )
        for trial in self._asked.past:
            self._replay(self._study, trial)
        return self._study

    def _replay(self, study: optuna.Study, trial: Trial) -> None:
        """A trial of an earlier process, as if this one had asked for it."""
        study.enqueue_trial(self._params(trial.point))
        ours = study.ask(self._distributions())
        self._trials[ours.number] = ours
        for step, value in trial.steps:
            if (
                _whole(step)
                not in study.get_trials(deepcopy=False)[ours.number].intermediate_values
            ):
                ours.report(value, _whole(step))
        if trial.state == "pruned":
            ours.set_user_attr("pruned", True)
        if trial.state != "running":
            self.tell(trial.number, trial.value)

    def _made(self) -> optuna.samplers.BaseSampler:
        import optuna

        # A process that goes on must not draw what the one before it drew.
        seed = (self._asked.seed * 1_000_003 + self._asked.next) % (1 << 32)
        more = {"constant_liar": True} if self._sampler == "tpe" else {}
        kind = getattr(optuna.samplers, _SAMPLERS[self._sampler][0])
        return cast("optuna.samplers.BaseSampler", kind(seed=seed, **more))

    def _distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        return {one.param: _distribution(one) for one in self._asked.space.dimensions}

    def _point(self, params: Mapping[str, object]) -> Point:
        return {one.param: _chosen(one, params[one.param]) for one in self._asked.space.dimensions}

    def _params(self, point: Point) -> dict[str, object]:
        """The values as Optuna has them."""
        dimensions = self._asked.space.dimensions
        return {
            one.param: spell(point[one.param]) if _is_category(one) else point[one.param]
            for one in dimensions
        }


def _distribution(one: Dimension) -> optuna.distributions.BaseDistribution:
    from optuna import distributions

    if one.choices and _is_category(one):
        return distributions.CategoricalDistribution([spell(value) for value in one.choices])
    if one.choices:
        numbers = cast("tuple[float, ...]", one.choices)
        low, high, step = min(numbers), max(numbers), abs(numbers[1] - numbers[0])
        if all(isinstance(number, int) for number in numbers):
            return distributions.IntDistribution(int(low), int(high), step=int(step))
        return distributions.FloatDistribution(low, high, step=step)
    if one.is_whole:
        return distributions.IntDistribution(int(one.low), int(one.high), log=one.is_log)
    return distributions.FloatDistribution(one.low, one.high, log=one.is_log)


def _is_category(one: Dimension) -> bool:
    return bool(one.choices) and not one.is_ordered


def _chosen(one: Dimension, value: object) -> object:
    """What Optuna picked, as the space has it."""
    if not one.choices:
        return value
    if _is_category(one):
        return next(choice for choice in one.choices if spell(choice) == value)
    numbers = cast("tuple[float, ...]", one.choices)
    return min(numbers, key=lambda number: abs(number - cast("float", value)))


def _whole(step: float) -> int:
    return max(int(step), 0)


def _check(what: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(known)}."
        raise UsageError(f"Optuna's {what} `{name}` is not known here. Nothing was run.", hint)


def _require(package: str, who: str, install: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise UsageError(
            f"{who} needs the package {package}, which is not installed. Nothing was run.",
            f"`python -m pip install '{install}'`.",
        )
