"""Every sampler, built in or installed, through the contract; Optuna's ways of picking points each for itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from nbexp.frozen import replace
from nbexp.sweeps import samplers
from nbexp.sweeps.samplers import Kind, Sampler, Study, optuna
from nbexp.testing.samplers import GRID, SamplerContract


@pytest.mark.parametrize("name", [name for name in samplers.names() if name != "grid"])
class TestEachKind(SamplerContract):
    @pytest.fixture
    def kind(self, name: str) -> Kind:
        return samplers.load(name)


class TestGrid(SamplerContract):
    spaces = (GRID,)

    @pytest.fixture
    def kind(self) -> Kind:
        return samplers.load("grid")


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": "random", "pruner": "none"},
        {"sampler": "cmaes", "pruner": "percentile"},
        {"sampler": "nsgaii", "pruner": "halving"},
        {"pruner": "hyperband"},
    ],
    ids=lambda options: " ".join(options.values()),
)
class TestOptuna(SamplerContract):
    @pytest.fixture
    def kind(self, options: Mapping[str, str]) -> Kind:
        def made(study: Study) -> Sampler:
            return optuna.Sampler(replace(study, options=options))

        kind: Kind = SimpleNamespace(  # type: ignore[assignment]  # a module with its options chosen
            needs_metric=True, OPTIONS=optuna.OPTIONS, Sampler=made
        )
        return kind
