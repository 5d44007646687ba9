"""Killed anywhere, by anybody: no experiment lost, none twice, none stuck, and no process left.

The points are those of the queue and of what it calls; the cases are made of them, first and second hit, with one worker
and with two.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nbexp import filesystem
from nbexp.formats.ref_names import ExpRef
from nbexp.queue import Queue, state
from nbexp.queue.site import Site
from tests.crashes.queueing import Killing, is_killed, marked, until

# Where a worker passes that runs a task to its end.
RUNNING = [
    "queue.claiming",
    "queue.claimed",
    "isolated.ready",
    "record.before",
    "queue.fencing",
    "queue.fenced",
    "record.noted",
    "record.done",
    "isolated.done",
    "queue.finishing",
    "queue.finished",
    "queue.settling",
    "queue.settled",
]
# Where one passes whose task fails, is given back, or was left by a dead one.
ENDING = ["queue.ending", "queue.ended"]
RETURNING = ["queue.returning", "queue.returned"]
RECOVERING = ["queue.recovering", "queue.recovered"]
ADOPTING = ["queue.recovering", "queue.adopting", "queue.adopted", "queue.recovered"]
# Where commands pass.
ADDING = ["freeze.looking", "freeze.copied", "freeze.named", "queue.adding", "queue.added"]
SPAWNING = ["queue.spawning", "queue.spawned"]
CHANGING = ["queue.changing", "queue.changed"]
REBUILDING = ["queue.rebuilding", "queue.rebuilt"]


@pytest.fixture
def killing(pipeline_project: Callable[..., Path], git: Callable[..., str]) -> Iterator[Killing]:
    made = Killing(pipeline_project(), git)
    yield made
    made.end()
    for pid in marked(made.project):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)


def test_every_point_of_the_queue_is_in_a_case():
    cases = {
        *RUNNING,
        *ENDING,
        *RETURNING,
        *RECOVERING,
        *ADOPTING,
        *ADDING,
        *SPAWNING,
        *CHANGING,
        *REBUILDING,
    }
    assert {point for point in filesystem.CRASH_POINTS if point.startswith("queue.")} <= cases


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("hit", [1, 2])
@pytest.mark.parametrize("point", RUNNING)
def test_a_worker_is_killed(point, hit, workers, killing, nbexp_cli):
    killing.queue_all(nbexp_cli)
    first = killing.start(1, f"{point}@{hit}")
    others = [killing.start(slot) for slot in range(2, workers + 1)]
    killed = first.wait(120)
    # With another worker beside it, there may be too little left for a second time.
    assert killed == -signal.SIGKILL or (workers == 2 and killed == 0), f"{point} is never passed"
    for other in others:
        other.wait(120)
    killing.finish()
    killing.check()


@pytest.mark.parametrize("point", ENDING)
def test_a_worker_is_killed_when_its_task_has_failed(point, killing, nbexp_cli):
    (killing.project / "train.sh").write_text("echo no; exit 3\n")
    killing.before = killing.workspace()
    killing.queue_all(nbexp_cli)
    assert is_killed(killing.start(1, point))
    killing.finish()
    states = killing.states()
    assert states == dict.fromkeys(["one", "two", "three"], "failed")
    assert killing.workspace() == killing.before
    assert killing.git("for-each-ref", "refs/nbexp/queue", "refs/exps", cwd=killing.project) == ""
    kept = killing.git(
        "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/nbexp/failed", cwd=killing.project
    )
    assert kept.split() == ["one", "three", "two"]


def hold(project: Path, *, deaf: bool = False) -> Path:
    """The stage `train` waits for this file to go; `deaf` to whatever is asked of it, daemons and all."""
    gate = project.parent / "gate"
    gate.write_text("")
    text = (project / "train.sh").read_text()
    trap = (
        "trap '' INT TERM; setsid sleep 300 & nohup sleep 300 >/dev/null 2>&1 &\n" if deaf else ""
    )
    (project / "train.sh").write_text(
        f"{trap}touch {project.parent}/at-work\nwhile [ -e {gate} ]; do sleep 0.02; done\n{text}"
    )
    return gate


def is_at_work(project: Path) -> bool:
    return (project.parent / "at-work").exists()


@pytest.mark.parametrize("point", RETURNING)
def test_a_worker_is_killed_while_it_gives_its_task_back(point, killing, nbexp_cli):
    gate = hold(killing.project)
    killing.before = killing.workspace()
    killing.queue_all(nbexp_cli)
    worker = killing.start(1, point)
    until(lambda: is_at_work(killing.project))
    worker.send_signal(signal.SIGTERM)
    assert is_killed(worker)
    gate.unlink()
    killing.finish()
    killing.check()


def test_a_worker_that_is_told_to_go_gives_its_task_back_and_no_attempt_is_used(killing, nbexp_cli):
    gate = hold(killing.project)
    killing.before = killing.workspace()
    killing.queue_all(nbexp_cli)
    worker = killing.start()
    until(lambda: is_at_work(killing.project))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    site = Site.at(killing.project)
    task = Queue(site).find("one")
    assert (task.state, task.attempt, task.owner) == ("queued", 0, None)
    assert [one.name for one in site.store.tasks("queued")] == ["one", "two", "three"]
    site.close()
    assert list(marked(killing.project)) == []
    gate.unlink()
    killing.finish()
    killing.check()
    # The attempt that was given back has left no failed run beside the experiment.
    assert killing.git("for-each-ref", "refs/nbexp/failed", cwd=killing.project) == ""


@pytest.mark.parametrize("point", [None, *RECOVERING])
def test_a_worker_is_killed_at_work_and_then_whoever_recovers(point, killing, nbexp_cli):
    gate = hold(killing.project, deaf=True)
    killing.before = killing.workspace()
    killing.queue_all(nbexp_cli)
    worker = killing.start()
    until(lambda: is_at_work(killing.project))
    worker.kill()
    worker.wait()
    if point is not None:
        assert is_killed(killing.start(1, point))
    gate.unlink()
    said = nbexp_cli("queue", "status", "--json", cwd=killing.project)
    one = next(task for task in json.loads(said.stdout)["tasks"] if task["name"] == "one")
    assert (one["state"], one["error"], one["attempt"]) == ("queued", "worker died (signal 9)", 1)
    assert list(marked(killing.project)) == [], "what it ran is gone, daemons too"
    killing.finish()
    killing.check()


@pytest.mark.parametrize("point", ADOPTING)
def test_a_finished_result_is_taken_over_whoever_is_killed_doing_so(point, killing, nbexp_cli):
    killing.queue_all(nbexp_cli)
    assert is_killed(killing.start(1, "queue.fenced"))
    rev = killing.git("-C", str(killing.project), "rev-parse", "HEAD")
    nbexp_cli("queue", cwd=killing.project, code=None, env={"NBEXP_CRASH": point})
    nbexp_cli("queue", cwd=killing.project)
    assert killing.states()["one"] == "done", "its command did not run again"
    site = Site.at(killing.project)
    assert Queue(site).find("one").attempt == 1
    site.close()
    killing.finish()
    killing.check()
    assert killing.git("rev-parse", "HEAD", cwd=killing.project) == rev


@pytest.mark.parametrize("point", ["isolated.ready", "queue.fenced"])
def test_the_lock_of_its_name_that_a_killed_worker_leaves_is_in_nobodys_way(
    point, killing, nbexp_cli
):
    killing.queue_all(nbexp_cli)
    assert is_killed(killing.start(1, point))
    # Between the lock and the name lie microseconds, in which it may be killed as well.
    ref = ExpRef(killing.git("rev-parse", "HEAD", cwd=killing.project), "one").ref
    lock = killing.project / ".git" / f"{ref}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(f"{killing.git('rev-parse', 'HEAD', cwd=killing.project)}\n")
    killing.finish()
    assert not lock.exists()
    killing.check()


@pytest.mark.parametrize("point", ["queue.fenced", "queue.finishing", "queue.finished"])
def test_what_a_stage_left_in_the_background_is_gone_before_the_task_is_over(
    point, killing, nbexp_cli
):
    script = killing.project / "train.sh"
    script.write_text(f"(setsid sleep 300 >/dev/null 2>&1 &)\n{script.read_text()}")
    killing.before = killing.workspace()
    killing.queue_all(nbexp_cli)
    assert is_killed(killing.start(1, point))
    assert list(marked(killing.project)) == []
    killing.finish()
    killing.check()


@pytest.mark.parametrize("point", ADDING)
def test_a_command_that_queues_is_killed(point, killing, nbexp_cli):
    words = ("run", "--queue", "-S", "train.lr=0.01,0.02,0.05", "-n", "n")
    killed = nbexp_cli(*words, cwd=killing.project, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    there = killing.states()
    assert there == (
        {"n-1": "queued", "n-2": "queued", "n-3": "queued"} if point == "queue.added" else {}
    )
    if not there:
        nbexp_cli(*words, cwd=killing.project)
    killing.finish()
    assert killing.states() == {"n-1": "done", "n-2": "done", "n-3": "done"}
    listed = killing.git(
        "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps", cwd=killing.project
    )
    assert listed.split() == ["n-1", "n-2", "n-3"]
    assert killing.workspace() == killing.before
    killing.git("fsck", "--strict", cwd=killing.project)


@pytest.mark.parametrize("point", SPAWNING)
def test_a_command_that_starts_workers_is_killed(point, killing, nbexp_cli):
    killing.queue_all(nbexp_cli)
    killed = nbexp_cli("queue", "start", cwd=killing.project, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL
    killing.finish()
    until(lambda: set(killing.states().values()) == {"done"})
    for pid in marked(killing.project):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGTERM)
    until(lambda: not list(marked(killing.project)))
    killing.check()


@pytest.mark.parametrize("point", CHANGING)
def test_a_command_that_stops_a_task_is_killed(point, killing, nbexp_cli):
    gate = hold(killing.project)
    killing.before = killing.workspace()
    killing.queue_all(nbexp_cli)
    killing.start()
    until(lambda: is_at_work(killing.project))
    words = ("queue", "kill", "one")
    killed = nbexp_cli(*words, cwd=killing.project, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL
    if point == "queue.changed":
        until(lambda: killing.states()["one"] == "cancelled")
    gate.unlink()
    assert killing.workers[0].wait(120) == 0
    one = "done" if point == "queue.changing" else "cancelled"
    killing.check({"one": one, "two": "done", "three": "done"})


@pytest.mark.parametrize("point", REBUILDING)
def test_whoever_makes_a_lost_database_anew_is_killed(point, killing, nbexp_cli):
    killing.queue_all(nbexp_cli)
    database = killing.project / ".dvc" / "tmp" / "nbexp" / "queue.db"
    database.write_bytes(database.read_bytes()[:5000])
    killed = nbexp_cli("queue", cwd=killing.project, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL
    said = nbexp_cli("queue", cwd=killing.project)
    if point == "queue.rebuilding":
        assert "The queue was made anew from Git: 3 tasks wait, 0 were over." in said.stderr
    assert killing.states() == dict.fromkeys(["one", "two", "three"], "queued")
    killing.finish()
    killing.check()


def test_a_worker_that_is_suspended_is_not_robbed(killing, nbexp_cli):
    gate = hold(killing.project)
    killing.before = killing.workspace()
    killing.queue_all(nbexp_cli)
    worker = killing.start()
    until(lambda: is_at_work(killing.project))
    worker.send_signal(signal.SIGSTOP)
    gate.unlink()
    assert killing.start(2).wait(120) == 0
    assert killing.states() == {"one": "running", "two": "done", "three": "done"}
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(120) == 0
    killing.check()


def test_a_worker_whose_task_was_given_to_another_one_stops_and_keeps_nothing(killing, nbexp_cli):
    gate = hold(killing.project)
    killing.before = killing.workspace()
    killing.queue_all(nbexp_cli)
    worker = killing.start()
    until(lambda: is_at_work(killing.project))
    # As if it were on a machine of which everybody believes that it is dead.
    site = Site.at(killing.project)
    task = Queue(site).find("one")
    site.store.apply(task.uid, state.OwnerLost(task.owner, task.attempt, "worker died (signal 9)"))
    until(
        lambda: Queue(site).find("one").owner != task.owner or Queue(site).find("one").attempt > 1
    )
    gate.unlink()
    assert worker.wait(120) == 0
    assert Queue(site).find("one").attempt == 2
    site.close()
    killing.finish()
    killing.check()
