"""A sweep whose asker or leader is killed at a named point: the same line goes on, and each trial is there once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.conftest import leader, led_by, nothing_left, training, wait_for

__all__ = ["nothing_left", "training"]

GRID = ("sweep", "-S", "train.lr=0.1,0.2,0.3", "-j", "2")
OPTUNA = (
    *("sweep", "--optuna", "minimize loss", "--sampler", "random", "--seed", "4", "-j", "2"),
    *("-S", "train.lr=tag(log,interval(1e-5,10))", "--trials", "12"),
)  # fmt: skip


def check(project: Path, git: Callable[..., str], said: dict[str, Any], trials: int) -> None:
    """Every trial is an experiment or a record of one that was pruned, once; nothing is left behind."""
    assert said["state"] == "done"
    assert [one["trial"] for one in said["trials"]] == [*range(1, trials + 1)]
    done = {one["name"] for one in said["trials"] if one["state"] == "done"}
    pruned = {one["name"] for one in said["trials"] if one["state"] == "pruned"}
    assert len(done) + len(pruned) == trials
    refs = git("for-each-ref", "--format=%(refname)", cwd=project).splitlines()
    named = [ref.rpartition("/")[2] for ref in refs if ref.startswith("refs/exps/")]
    kept = [ref.rpartition("/")[2] for ref in refs if ref.startswith("refs/nbexp/failed/")]
    assert (sorted(named), sorted(kept)) == (sorted(done), sorted(pruned))
    assert [ref for ref in refs if ref.startswith("refs/nbexp/sweeps/")] == [
        f"refs/nbexp/sweeps/{said['name']}"
    ]
    assert git("fsck", "--strict", "--no-dangling", cwd=project) == ""
    assert git("status", "--porcelain", cwd=project) == ""


@pytest.mark.parametrize(
    "point",
    [
        "sweep.keeping", "sweep.kept", "sweep.changing", "sweep.changed", "sweep.starting",
        "sweep.started", "freeze.looking",
    ],
)  # fmt: skip
def test_who_asks_for_it_is_killed(
    point: str, training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
) -> None:
    project = training()
    killed = nbexp_cli(*GRID, cwd=project, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL
    said = json.loads(nbexp_cli(*GRID, "--json", cwd=project).stdout)
    check(project, git, said, 3)


@pytest.mark.parametrize(
    ("line", "point"),
    [
        (GRID, "queue.adding"),
        (GRID, "queue.added"),
        (GRID, "sweep.ending"),
        (OPTUNA, "queue.adding@3"),
        (OPTUNA, "queue.added@3"),
        (OPTUNA, "sweep.pruning"),
        (OPTUNA, "sweep.pruned"),
        (OPTUNA, "sweep.ending"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[1],
)
def test_who_leads_it_is_killed(
    line: tuple[str, ...],
    point: str,
    training: Callable[..., Path],
    nbexp_cli: Any,
    git: Callable[..., str],
) -> None:
    is_optuna = line is OPTUNA
    project = training(steps=8 if is_optuna else 3, pause_s=0.15 if is_optuna else 0.0)
    # Whoever asks passes none of these points; the leader, whom it starts, is killed there.
    nbexp_cli(*line, "--detach", cwd=project, env={"NBEXP_CRASH": point})
    wait_for(lambda: led_by(project, "sweep-1") is None, 240)
    waiting = json.loads(nbexp_cli("sweep", "--json", cwd=project).stdout)["sweeps"][0]
    assert waiting["state"] == "waiting"
    trials = 12 if is_optuna else 3
    assert len(waiting["trials"]) <= trials
    said = json.loads(nbexp_cli(*line, "--json", cwd=project).stdout)
    check(project, git, said, trials)
    if is_optuna:
        assert said["counts"].get("pruned", 0) >= 1


@pytest.mark.parametrize(
    "point",
    [
        "queue.claimed@2",
        "isolated.ready@2",
        "queue.fencing@2",
        "queue.fenced@2",
        "queue.finishing@2",
    ],
)
def test_its_workers_are_killed(
    point: str, training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
) -> None:
    project = training()
    # Each worker is killed at its second trial; another takes its place, and what it had in hand.
    said = json.loads(nbexp_cli(*GRID, "--json", cwd=project, env={"NBEXP_CRASH": point}).stdout)
    check(project, git, said, 3)


def test_killed_at_random_times_it_ends_with_as_many_trials_as_were_asked_for(
    training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
) -> None:
    project = training(steps=4, pause_s=0.1)
    asked = nbexp_cli.start(*OPTUNA, cwd=project)
    slots = project / ".dvc" / "tmp" / "nbexp" / "slots"
    for turn in range(6):
        name = ("lead-sweep-1", "sweep-1.0", "sweep-1.1")[turn % 3]
        wait_for(lambda name=name: leader(slots / f"{name}.lock") or asked.poll() is not None)
        pid = leader(slots / f"{name}.lock")
        if pid is not None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
    asked.communicate(timeout=240)
    said = json.loads(nbexp_cli(*OPTUNA, "--json", cwd=project).stdout)
    check(project, git, said, 12)
