"""The options of a run: one place knows them, and every way to ask for runs has them."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from nbexp import Project
from nbexp.experiments import request as requests
from nbexp.queue import Queue
from nbexp.sweeps import family

TAKEN = inspect.signature(requests.of).parameters


@pytest.mark.parametrize("asks", [Project.run, Queue.add, Project.sweep])
def test_a_run_option_has_the_same_type_and_default_wherever_it_is_taken(
    asks: Callable[..., object],
) -> None:
    own = inspect.signature(asks).parameters
    for name in requests.RunOptions.__annotations__:
        assert own[name].annotation == TAKEN[name].annotation, name
        assert own[name].default == TAKEN[name].default, name


def test_each_option_of_a_request_is_a_run_option() -> None:
    assert {*requests.RunOptions.__annotations__} == {*TAKEN} - {"here", "resources", "jobs"}


def test_a_sweep_takes_all_options_of_a_sweep() -> None:
    own = {*inspect.signature(Project.sweep).parameters} - {"self", "space", "detach", "emit"}
    # These two are for `nbexp run` with several values.
    assert {*family.SweepOptions.__annotations__} == own | {"resume", "reset"}


def test_what_is_no_run_option_is_not_passed_on() -> None:
    assert requests.options({"force": True, "temp": True, "jobs": 2}) == {"force": True}
