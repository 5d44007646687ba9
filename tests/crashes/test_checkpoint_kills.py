"""Killed while checkpoints are made: every step that was promised is there, and the run goes on from the last."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nbexp import filesystem

Cli = Callable[..., subprocess.CompletedProcess[str]]
Git = Callable[..., str]

# Where the engine passes for each step, and whether that step is there when it is killed.
ENGINE = {
    "checkpoint.taken": 0,
    "checkpoint.kept": 0,
    "checkpoint.committed": 1,
    "checkpoint.answering": 1,
    "checkpoint.answered": 1,
}
# Where the stage's process passes. What was asked for may be met although its writer is gone.
STAGE = {"checkpoint.asking": ([1],), "checkpoint.asked": ([1], [1, 2])}


@pytest.fixture
def root(training_project: Callable[..., Path]) -> Path:
    return training_project()


def contents(project: Path) -> dict[str, bytes]:
    found = {}
    for folder, folders, files in os.walk(project):
        folders[:] = [name for name in folders if name not in {".git", ".dvc", "__pycache__"}]
        for name in files:
            path = Path(folder, name)
            found[path.relative_to(project).as_posix()] = path.read_bytes()
    return found


def epochs(root: Path, git: Git) -> list[int]:
    """The epochs of the commits of the experiment `long`, the first one first."""
    refs = git("for-each-ref", "--format=%(refname)", "refs/exps/**/long", cwd=root).split()
    revs = git("rev-list", "--reverse", *refs, "^main", cwd=root).split() if refs else []
    texts = [git("show", f"{rev}:metrics.json", cwd=root) for rev in revs]
    return [int(re.search(r'"epoch": (\d+)', text)[1]) for text in texts]  # type: ignore[index]


def is_running(root: Path) -> bool:
    """Whether a process works below the project."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(root):
                return True
        except OSError:
            continue
    return False


def ends(root: Path) -> bool:
    """Whether all processes below the project end by themselves."""
    deadline = time.monotonic() + 60
    while is_running(root) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_running(root)


@pytest.mark.parametrize("hit", [1, 2])
@pytest.mark.parametrize(("point", "more"), ENGINE.items())
def test_the_engine_is_killed_at_a_step(point, more, hit, root, nbexp_cli, git):
    before = contents(root)
    crash = {"NBEXP_CRASH": f"{point}@{hit}"}
    killed = nbexp_cli("run", "-n", "long", cwd=root, code=None, env=crash)
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    steps = hit - 1 + more
    assert epochs(root, git) == [1, 2][:steps]
    git("fsck", "--strict", cwd=root)
    # Whoever waits for an answer is told that there is nobody to give one.
    assert point == "checkpoint.answered" or ends(root)
    words = ("run", "--resume", "long") if steps else ("run", "-n", "long")
    resumed = nbexp_cli(*words, cwd=root)
    assert "has been rolled back" in resumed.stderr
    assert f"from epoch {steps}, step {steps or None}" in resumed.stdout + resumed.stderr
    assert epochs(root, git) == [1, 2, 3, 4, 4]
    git("fsck", "--strict", cwd=root)
    assert not is_running(root)
    nbexp_cli("undo", cwd=root)
    assert contents(root) == before


@pytest.mark.parametrize(("point", "steps"), STAGE.items())
def test_the_stage_is_killed_at_its_second_step(point, steps, root, nbexp_cli, git):
    before = contents(root)
    failed = nbexp_cli("run", "-n", "long", cwd=root, code=1, env={"NBEXP_CRASH": f"{point}@2"})
    kept = epochs(root, git)
    assert kept in steps
    assert f"`long` is kept up to step {len(kept)}." in failed.stderr
    assert contents(root) == before
    git("fsck", "--strict", cwd=root)
    nbexp_cli("run", "--resume", "long", cwd=root)
    assert epochs(root, git)[-1] == 4
    assert not is_running(root)


@pytest.mark.parametrize(
    ("point", "commits", "state"),
    [
        ("record.before", 4, "interrupted at step 4"),
        ("record.done", 5, "(4 steps)"),
        ("journal.finishing", 5, "(4 steps)"),
    ],
)
def test_killed_when_the_result_is_recorded(point, commits, state, root, nbexp_cli, git):
    killed = nbexp_cli("run", "-n", "long", cwd=root, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    assert len(epochs(root, git)) == commits
    shown = nbexp_cli("show", cwd=root).stdout
    assert state in shown
    assert ("interrupted" in shown) == ("interrupted" in state)
    nbexp_cli("run", "--resume", "long", cwd=root)
    assert epochs(root, git) == [1, 2, 3, 4, 4, 4][: commits + 1]
    assert "interrupted" not in nbexp_cli("show", cwd=root).stdout
    git("fsck", "--strict", cwd=root)


@pytest.mark.parametrize("hit", [1, 2, 3, 4])
def test_killed_between_the_refs_of_a_step_and_of_its_note(hit, root, nbexp_cli, git):
    crash = {"NBEXP_CRASH": f"record.noted@{hit}"}
    killed = nbexp_cli("run", "-n", "long", cwd=root, code=None, env=crash)
    assert killed.returncode == -signal.SIGKILL
    kept = epochs(root, git)
    assert kept == [1, 2, 3][: len(kept)]
    revs = git("for-each-ref", "--format=%(objectname)", "refs/exps", cwd=root).split()
    noted = git("notes", "--ref=nbexp", "list", cwd=root).splitlines()
    assert {*revs} <= {line.split()[1] for line in noted}
    git("fsck", "--strict", cwd=root)
    nbexp_cli("run", *(("--resume", "long") if kept else ("-n", "long")), cwd=root)
    assert epochs(root, git) == [1, 2, 3, 4, 4]


@pytest.mark.parametrize(
    "point",
    ["journal.begun", "journal.wrote", "apply.wrote", "checkout.built", "apply.checked_out"],
)
def test_killed_while_the_step_is_brought_back(point, root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", "-S", "lr=0.1", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    before = contents(root)
    killed = nbexp_cli("run", "--resume", "long", cwd=root, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    assert epochs(root, git) == [1, 2]
    nbexp_cli("apply", "long", cwd=root)
    nbexp_cli("undo", cwd=root)
    assert contents(root) == before
    nbexp_cli("run", "--resume", "long", cwd=root)
    assert epochs(root, git) == [1, 2, 3, 4, 4]


@pytest.mark.parametrize("point", ["trash.before", "trash.done"])
def test_killed_while_steps_are_taken_off(point, root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", cwd=root)
    nbexp_cli("remove", "long@3..", cwd=root, code=None, env={"NBEXP_CRASH": point})
    assert epochs(root, git) == ([1, 2, 3, 4, 4] if point == "trash.before" else [1, 2])
    if point == "trash.before":
        nbexp_cli("remove", "long@3..", cwd=root)
    nbexp_cli("trash", "restore", "long", cwd=root)
    assert epochs(root, git) == [1, 2, 3, 4, 4]
    git("fsck", "--strict", cwd=root)


def test_every_point_of_checkpoints_is_passed():
    own = {point for point in filesystem.CRASH_POINTS if point.startswith("checkpoint.")}
    assert own == {*ENGINE, *STAGE}


def test_a_killed_resume_is_rolled_back_and_keeps_what_it_added(root, nbexp_cli, git):
    before = contents(root)
    nbexp_cli("run", "-n", "long", cwd=root, code=1, env={"TROUBLE": "exit@1"})
    killed = nbexp_cli(
        "run", "--resume", "long",
        cwd=root, code=None, env={"NBEXP_CRASH": "checkpoint.committed@2"},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert epochs(root, git) == [1, 2, 3]
    assert ends(root)
    nbexp_cli("run", "--resume", "long", cwd=root)
    assert epochs(root, git) == [1, 2, 3, 4, 4]
    nbexp_cli("undo", cwd=root)
    assert contents(root) == before
    git("fsck", "--strict", cwd=root)


@pytest.mark.parametrize("who", ["engine", "stage"])
def test_killed_by_hand_while_the_stage_works(who, root, nbexp_cli, git):
    before = contents(root)
    run = nbexp_cli.start("run", "-n", "long", cwd=root, env={"TROUBLE": "wait@3"})
    deadline = time.monotonic() + 120
    while not (root / "waiting").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    if who == "engine":
        os.kill(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    else:
        (stage,) = (
            int(pid)
            for pid in filter(str.isdigit, os.listdir("/proc"))
            if _line(pid)[-1:] == [b"train.py"] and _cwd(pid) == str(root)
        )
        os.kill(stage, signal.SIGKILL)
        assert run.wait() == 1
        (root / "waiting").unlink()
    assert epochs(root, git) == [1, 2, 3]
    git("fsck", "--strict", cwd=root)
    resumed = nbexp_cli("run", "--resume", "long", cwd=root)
    assert "epoch 4 is step 4" in resumed.stdout + resumed.stderr
    assert epochs(root, git) == [1, 2, 3, 4, 4]
    assert not is_running(root)
    nbexp_cli("undo", cwd=root)
    (root / "waiting").unlink(missing_ok=True)
    assert contents(root) == before


def _line(pid: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def _cwd(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""
