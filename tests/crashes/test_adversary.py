"""Killed where it hurts most: with edits that ignore rules hide, in a rollback, at random."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ready(pipeline_project: Callable[..., Path], nbexp_cli: Cli, git: Callable[..., str]) -> Path:
    """Two recorded experiments, the workspace as after `second`, and a note in an output that rules hide."""
    project = pipeline_project()
    (project / ".dvcignore").write_text("*.note\n")
    git("commit", "--quiet", "--all", "--message=rules", cwd=project)
    nbexp_cli("run", "-n", "first", cwd=project)
    nbexp_cli("run", "-n", "second", "-S", "train.lr=0.03", "-S", "prepare.rows=9", cwd=project)
    (project / "prepared" / "my.note").write_text("mine\n")
    return project


def contents(project: Path) -> dict[str, bytes]:
    found = {}
    for folder, folders, files in os.walk(project):
        folders[:] = [name for name in folders if name not in {".git", ".dvc"}]
        for name in files:
            path = Path(folder, name)
            found[path.relative_to(project).as_posix()] = path.read_bytes()
    return found


@pytest.mark.parametrize(
    "point", ["journal.moved", "checkout.built", "apply.checked_out", "journal.finishing"]
)
def test_a_hidden_note_survives_a_killed_apply(point: str, ready: Path, nbexp_cli: Cli) -> None:
    before = contents(ready)
    killed = nbexp_cli("apply", "first", cwd=ready, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL
    nbexp_cli("apply", "second", cwd=ready)
    assert contents(ready) == before
    nbexp_cli("apply", "first", cwd=ready)
    assert (ready / "prepared" / "my.note").read_text() == "mine\n"


def test_a_rollback_that_was_killed_takes_what_it_put_back_for_nobodys_edit(
    ready: Path, nbexp_cli: Cli
) -> None:
    before = contents(ready)
    nbexp_cli(
        "run", "-S", "train.lr=0.5", cwd=ready, code=None, env={"NBEXP_CRASH": "record.before"}
    )
    for _ in range(6):
        nbexp_cli(
            "apply", "second", cwd=ready, code=None, env={"NBEXP_CRASH": "journal.put_back@2"}
        )
    repaired = nbexp_cli("apply", "second", cwd=ready)
    assert "Edited since" not in repaired.stderr
    assert contents(ready) == before


def test_a_run_asked_for_after_a_kill_takes_nothing_from_the_killed_one(
    ready: Path, nbexp_cli: Cli, git: Callable[..., str]
) -> None:
    nbexp_cli(
        "run", "-S", "train.lr=0.5", cwd=ready, code=None, env={"NBEXP_CRASH": "record.before"}
    )
    assert "lr: 0.5 " in (ready / "params.yaml").read_text()
    nbexp_cli("run", "-n", "third", "-S", "train.epochs=5", cwd=ready)
    (ref,) = git("for-each-ref", "--format=%(refname)", "refs/exps/*/*/third", cwd=ready).split()
    params = git("show", f"{ref}:params.yaml", cwd=ready)
    assert "lr: 0.03 " in params
    assert "epochs: 5" in params


def test_kills_at_random_times_lose_no_note_and_mix_no_states(
    ready: Path, nbexp_cli: Cli, git: Callable[..., str]
) -> None:
    chance = random.Random(11)
    states = {}
    for name in ("first", "second"):
        nbexp_cli("apply", name, cwd=ready)
        states[name] = contents(ready)
    for _ in range(20):
        words = chance.choice([("apply", "first"), ("apply", "second"), ("undo", "--force")])
        running = nbexp_cli.start(*words, cwd=ready)  # type: ignore[attr-defined]
        time.sleep(chance.uniform(0.05, 0.35))
        running.kill()
        running.wait()
        name = chance.choice(list(states))
        nbexp_cli("apply", name, cwd=ready)
        assert contents(ready) == states[name]
    git("fsck", "--strict", cwd=ready)
    own = ready / ".dvc" / "tmp" / "nbexp"
    assert not [path for path in own.iterdir() if path.name.startswith("apply-")]
