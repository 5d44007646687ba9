"""A run beside the workspace killed at any point: the next one works, and no file of the user's knows of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nbexp import filesystem
from tests.crashes.test_kills import contents

# In a pool that is there already, and in the order in which a run passes them.
POINTS = [
    "freeze.looking",
    "slot.taking",
    "slot.taken",
    "worktree.reading",
    "worktree.read",
    "worktree.cleaned",
    "isolated.ready",
    "add.stored",
    "run.saved",
    "record.before",
    "record.noted",
    "record.done",
    "isolated.done",
    "slot.leaving",
]
FRESH = ["worktree.forgetting", "worktree.forgotten", "worktree.adding", "worktree.added"]
# What is asked for later is frozen under a ref; see tests/experiments/test_freezing.py.
NAMED = ["freeze.copied", "freeze.named"]


@pytest.fixture
def ready(pipeline_project: Callable[..., Path], nbexp_cli, git) -> Path:
    """A project with an edit, an ignored file, and one run beside it."""
    project = pipeline_project()
    nbexp_cli("run", "--temp", "-n", "first", cwd=project)
    (project / "README.md").write_text("edited\n")
    (project / "staged.txt").write_text("staged\n")
    git("add", "staged.txt", cwd=project)
    return project


def check(project: Path, before: dict[str, str], index: bytes, git) -> None:
    assert contents(project) == before
    assert (project / ".git" / "index").read_bytes() == index
    assert git("symbolic-ref", "HEAD", cwd=project) == "refs/heads/main"
    assert git("stash", "list", cwd=project) == ""
    git("fsck", "--strict", cwd=project)


@pytest.mark.parametrize("point", POINTS + FRESH)
def test_a_killed_run_leaves_the_files_alone_and_the_next_one_works(point, ready, nbexp_cli, git):
    if point in FRESH:
        (ready / ".dvc" / "tmp" / "nbexp" / "wt" / "temp-0" / ".git").write_text(
            "gitdir: nowhere\n"
        )
    before, index = contents(ready), (ready / ".git" / "index").read_bytes()
    words = ("run", "--temp", "-S", "train.lr=0.05", "-S", "prepare.rows=7", "-n", "second")
    killed = nbexp_cli(*words, cwd=ready, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    check(ready, before, index, git)
    is_there = point in {"record.done", "isolated.done", "slot.leaving"}
    listed = git("for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps", cwd=ready).split()
    assert sorted(listed) == (["first", "second"] if is_there else ["first"])
    again = nbexp_cli(*words, "--force", cwd=ready)
    assert "second" in again.stdout
    check(ready, before, index, git)
    listed = git("for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps", cwd=ready).split()
    assert sorted(listed) == ["first", "second"]
    own = ready / ".dvc" / "tmp" / "nbexp"
    assert [path.name for path in (own / "wt").iterdir()] == ["temp-0"]
    assert not list((own / "slots").glob("*.json"))
    assert git("worktree", "list", "--porcelain", cwd=ready).count("worktree ") == 2


@pytest.fixture
def sleep() -> str:
    """A command that nobody else on this machine runs."""
    return f"sleep 301.{int.from_bytes(os.urandom(4), 'big')}"


def test_a_killed_run_leaves_no_process_behind(ready, sleep, nbexp_cli):
    (ready / "train.sh").write_text(f"setsid {sleep} & {sleep}\n")
    running = nbexp_cli.start("run", "--temp", cwd=ready)
    _wait_for(lambda: _runs(sleep))
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    subprocess.run(["git", "checkout", "-q", "train.sh"], cwd=ready, check=True)
    nbexp_cli("run", "--temp", "-S", "train.lr=0.05", cwd=ready)
    assert not _runs(sleep)


def test_another_attempt_at_the_same_is_not_ended(ready, sleep, nbexp_cli):
    """A task that was killed in one slot runs again in another, under the same name, when the slot is taken."""
    (ready / "train.sh").write_text(f"{sleep}\n")
    running = nbexp_cli.start("run", "--temp", cwd=ready)
    _wait_for(lambda: _runs(sleep))
    note = ready / ".dvc" / "tmp" / "nbexp" / "slots" / "temp-0.json"
    marker = json.loads(note.read_bytes())["marker"]
    uid = marker.partition(".")[0]
    other = subprocess.Popen(
        ["sleep", "302"], env={**os.environ, "NBEXP_ITEM": f"{uid}.other"}, start_new_session=True
    )
    try:
        running.kill()
        running.wait()
        nbexp_cli("clean", cwd=ready)
        assert not _runs(sleep)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_kills_at_random_times_lose_nothing(ready, nbexp_cli, git):
    import random

    before, index = contents(ready), (ready / ".git" / "index").read_bytes()
    times = random.Random(7)
    for number in range(15):
        running = nbexp_cli.start("run", "--temp", "-S", f"train.lr=0.{number + 11}", cwd=ready)
        time.sleep(times.uniform(0.1, 1.0))
        running.kill()
        running.wait()
    check(ready, before, index, git)
    made = nbexp_cli("run", "--temp", "-S", "train.lr=0.03", "-n", "last", cwd=ready)
    assert "last" in made.stdout
    check(ready, before, index, git)


def test_every_crash_point_of_isolated_runs_is_hit():
    own = ("freeze.", "slot.", "worktree.", "isolated.")
    known = {point for point in filesystem.CRASH_POINTS if point.startswith(own)}
    assert known == {point for point in (*POINTS, *FRESH, *NAMED) if point.startswith(own)}


def _runs(command: str) -> bool:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return command in listed.stdout.splitlines()


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
