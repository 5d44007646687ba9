"""What is kept (undo steps, the trash) survives a kill at each step of going back and forth."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crashes.test_kills import contents


@pytest.fixture
def ready(pipeline_project: Callable[..., Path], nbexp_cli: Callable[..., object]) -> Path:
    """Three experiments, the workspace as after the third."""
    project = pipeline_project()
    nbexp_cli("run", "-n", "first", cwd=project)
    nbexp_cli("run", "-n", "second", "-S", "train.lr=0.03", cwd=project)
    nbexp_cli("run", "-n", "third", "-S", "prepare.rows=7", cwd=project)
    return project


UNDO_POINTS = [
    "journal.begun",
    "journal.kept",
    "journal.wrote@2",
    "journal.moved",
    "journal.moved@3",
    "checkout.built",
    "write.written@3",
    "undo.back",
    "journal.finishing",
    "journal.finished",
    "undo.counted",
]


@pytest.mark.parametrize("point", UNDO_POINTS)
def test_several_steps_that_are_killed_are_all_done_or_none(point, ready, nbexp_cli, git):
    third = contents(ready)
    nbexp_cli("undo", "-n", "2", cwd=ready)
    first = contents(ready)
    nbexp_cli("undo", "--redo", "-n", "2", cwd=ready)
    assert contents(ready) == third
    killed = nbexp_cli("undo", "-n", "2", cwd=ready, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    is_done = point in {"journal.finished", "undo.counted"}
    # The next writing command settles it: forward where it was done, else there is nothing to redo.
    again = nbexp_cli("undo", "--redo", "-n", "2", cwd=ready, code=None)
    assert again.returncode == (0 if is_done else 3), again.stderr
    assert contents(ready) == third
    nbexp_cli("undo", "-n", "2", cwd=ready)
    assert contents(ready) == first
    own = ready / ".dvc" / "tmp" / "nbexp"
    assert [*own.glob("journal*"), *own.glob("pending*"), *own.glob(".nbexp-*")] == []
    git("fsck", "--strict", cwd=ready)


@pytest.mark.parametrize("point", ["undo.back", "journal.finished", "undo.counted"])
def test_steps_that_were_killed_and_are_asked_for_again_go_no_further(point, ready, nbexp_cli):
    nbexp_cli("undo", "-n", "2", cwd=ready)
    first = contents(ready)
    nbexp_cli("undo", "--redo", "-n", "2", cwd=ready)
    third = contents(ready)
    nbexp_cli("undo", "-n", "2", cwd=ready, code=None, env={"NBEXP_CRASH": point})
    again = nbexp_cli("undo", "-n", "2", cwd=ready)
    assert again.stdout.startswith("undid run third, run second: ")
    assert ("was so already" in again.stdout) is (point != "undo.back")
    assert contents(ready) == first
    nbexp_cli("undo", "--redo", "-n", "2", cwd=ready, code=None, env={"NBEXP_CRASH": point})
    nbexp_cli("undo", "--redo", "-n", "2", cwd=ready)
    assert contents(ready) == third


@pytest.mark.parametrize("point", ["trash.before", "trash.done"])
@pytest.mark.parametrize("verb", ["remove", "trash restore", "undo"])
def test_experiments_are_here_or_in_the_trash_wherever_it_is_killed(verb, point, ready, nbexp_cli):
    def listed() -> tuple[set[str], set[str]]:
        shown = json.loads(nbexp_cli("list", "--json", cwd=ready).stdout)
        trash = json.loads(nbexp_cli("trash", "--json", cwd=ready).stdout)["trash"]
        names = {one["name"] for members in shown.values() for one in members}
        return names, {one["name"] for one in trash}

    everything = {"first", "second", "third"}
    names = ["first", "second"]
    if verb != "remove":
        nbexp_cli("remove", *names, cwd=ready)
    words = ["undo"] if verb == "undo" else [*verb.split(), *names]
    if verb == "undo":
        point = {"trash.before": "undo.back", "trash.done": "undo.counted"}[point]
    killed = nbexp_cli(*words, cwd=ready, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    here, trash = listed()
    assert here | trash == everything
    assert here & trash == set()
    is_done = point in {"trash.done", "undo.counted"}
    assert (here == {"third"}) is (is_done == (verb == "remove"))
    # Done again, or undone: the same names either way.
    if not is_done:
        nbexp_cli(*words, cwd=ready)
    assert listed()[0] == ({"third"} if verb == "remove" else everything)
    nbexp_cli("undo", *(["--redo"] if verb == "undo" else []), cwd=ready)
    assert listed()[0] == (everything if verb == "remove" else {"third"})


@pytest.mark.parametrize("point", ["gc.dropped", "journal.begun"])
def test_a_killed_gc_leaves_rubbish_that_the_next_one_takes(point, ready, nbexp_cli, git):
    """Every ref of a kind goes at once, its files after; experiments and files of the user stay."""
    nbexp_cli("remove", "first", cwd=ready)
    before = contents(ready)
    if point == "journal.begun":  # an apply was killed before: that is put right first
        nbexp_cli("apply", "second", cwd=ready, code=None, env={"NBEXP_CRASH": point})
        nbexp_cli("gc", "--yes", cwd=ready)
    else:
        killed = nbexp_cli("gc", "--yes", cwd=ready, code=None, env={"NBEXP_CRASH": point})
        assert killed.returncode == -signal.SIGKILL
        assert git("for-each-ref", "refs/nbexp/", cwd=ready) == ""
        left = json.loads(nbexp_cli("gc", "--json", cwd=ready).stdout)
        assert left["kinds"]["logs"]["items"] == 3
        nbexp_cli("gc", "--yes", cwd=ready)
    assert nbexp_cli("gc", cwd=ready).stdout == "There is nothing to remove.\n"
    assert contents(ready) == before
    assert set(nbexp_cli("list", cwd=ready).stdout.split()) >= {"[second]", "[third]"}
    git("fsck", "--strict", cwd=ready)
    nbexp_cli("apply", "second", cwd=ready)
