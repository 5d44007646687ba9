"""Looking on at a queue: what changed, stages, values and logs, and nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Protocol

import pytest

from nbexp.queue import Queue
from nbexp.queue.lookout import Change, Lookout
from tests.crashes.queueing import until

TRAIN = """\
import time
from pathlib import Path

from nbexp import live

print("begun", flush=True)
step = 0
end = time.monotonic() + 120
while time.monotonic() < end and not Path({gate!r}, "done").exists():
    while step < len([*Path({gate!r}).glob("step-*")]):
        step += 1
        live.log(step, acc=step / 8, word="good", none=float("nan"))
    time.sleep(0.01)
Path("model.txt").write_text("x")
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    (tmp_path / "gate").mkdir()
    return tmp_path / "gate"


@pytest.fixture
def queue(repo: Path, gate: Path, git: Callable[..., str], nbexp_cli: Callable[..., object], queue_of: Callable[[Path], Queue]) -> Queue:  # fmt: skip
    nbexp_cli("init", cwd=repo)
    (repo / "dvc.yaml").write_text(
        "stages:\n"
        "  get:\n    cmd: echo 1 > data.txt\n    outs: [data.txt]\n"
        "  train:\n    cmd: python train.py\n    deps: [data.txt, train.py]\n    params: [lr]\n    outs: [model.txt]\n"
    )
    (repo / "train.py").write_text(TRAIN.format(gate=str(gate)))
    (repo / "params.yaml").write_text("lr: 1\n")
    (repo / ".gitignore").write_text("/dvclive\n")
    git("add", "--all", cwd=repo)
    git("commit", "--quiet", "--message=pipeline", cwd=repo)
    return queue_of(repo)


class Program(Protocol):
    """The command line, see tests/conftest.py."""

    def start(self, *arguments: str, cwd: Path) -> Popen[str]: ...


class Seen:
    """All that a lookout told, put together."""

    def __init__(self, lookout: Lookout) -> None:
        self.lookout = lookout
        self.states: list[tuple[str, str]] = []
        self.points: dict[str, list[tuple[float, float]]] = {}
        self.logs: dict[str, bytes] = {}
        self.changes = 0

    def look(self) -> Change:
        change = self.lookout.look()
        self.changes += bool(change)
        self.states += [(task.name, task.state) for task in change.tasks.values()]
        for uid, found in change.points.items():
            for (_, name), points in found.items():
                key = f"{self.lookout.tasks[uid].name}.{name}"
                self.points.setdefault(key, []).extend(points)
        for uid, data in change.logs.items():
            name = self.lookout.tasks[uid].name
            self.logs[name] = self.logs.get(name, b"") + data
        return change

    def until(self, what: Callable[[], bool]) -> None:
        def looks() -> bool:
            self.look()
            return what()

        until(looks)


def test_every_value_is_seen_once_and_every_state_of_a_stage(queue: Queue, gate: Path) -> None:
    queue.add({"lr": 2}, name="two")
    seen = Seen(Lookout(queue))
    (waiting,) = seen.lookout.ordered()
    assert (waiting.state, seen.lookout.standing(waiting.uid)) == ("queued", None)
    assert not seen.look()  # nothing happens: nothing is told
    queue.start(idle_s=0.2)
    uid = waiting.uid
    seen.until(lambda: b"begun" in seen.logs.get("two", b""))
    for number in range(20):
        (gate / f"step-{number}").touch()
    seen.until(lambda: len(seen.points.get("two.acc", ())) == 20)
    standing = seen.lookout.standing(uid)
    assert standing is not None
    assert [one.state for one in standing.stages.values()] == ["done", "running"]
    assert standing.needs == {"get": (), "train": ("get",)}
    assert [one.task for one in seen.lookout.workers] == ["two"]
    (gate / "done").touch()
    seen.until(lambda: ("two", "done") in seen.states)
    seen.look()
    assert seen.points == {"two.acc": [(float(n), n / 8) for n in range(1, 21)]}
    assert standing.stages["train"].values["word"] == "good"
    assert [one.state for one in standing.stages.values()] == ["done", "done"]
    assert seen.logs["two"].count(b"begun") == 1
    # One who comes later sees all of it.
    late = Lookout(queue)
    again = late.standing(uid)
    assert again is not None
    assert again.curves == standing.curves
    assert late.log_tail(uid) == seen.logs["two"]
    assert late.back(late.tasks[uid])[0].curves == standing.curves
    # Those who look start nothing and are told nothing more.
    before = seen.changes
    for _ in range(20):
        seen.look()
        time.sleep(0.01)
    assert seen.changes <= before + 1  # the worker left


def test_a_run_in_a_cell_is_seen_with_its_stages_until_it_is_over(
    queue: Queue, gate: Path, nbexp_cli: Program
) -> None:
    seen = Seen(Lookout(queue))
    child = nbexp_cli.start("run", "-q", "-n", "here", cwd=queue.site.root)
    seen.until(lambda: b"begun" in seen.logs.get("here", b""))
    for number in range(3):
        (gate / f"step-{number}").touch()
    seen.until(lambda: len(seen.points.get("here.acc", ())) == 3)
    (task,) = seen.lookout.ordered()
    standing = seen.lookout.standing(task.uid)
    assert standing is not None
    assert [one.state for one in standing.stages.values()] == ["done", "running"]
    (gate / "done").touch()
    seen.until(lambda: not seen.lookout.tasks)
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert seen.points["here.acc"] == [(1.0, 0.125), (2.0, 0.25), (3.0, 0.375)]


def test_pauses_moves_and_removals_are_told(queue: Queue) -> None:
    queue.add({"lr": 2}, name="two")
    queue.add({"lr": 3}, name="three")
    lookout = Lookout(queue)
    lookout.look()
    queue.move("three", first=True)
    assert lookout.look().is_moved
    assert [task.name for task in lookout.ordered()] == ["three", "two"]
    uid = lookout.ordered()[0].uid
    queue.remove("three")
    assert lookout.look().gone == {uid}
    assert [task.name for task in lookout.ordered()] == ["two"]
    queue.pause()
    until(lambda: lookout.look().is_other)
    assert lookout.is_paused


def test_a_queue_that_was_never_used_is_empty_and_stays_unmade(queue: Queue) -> None:
    lookout = Lookout(queue)
    assert not lookout.look()
    assert (lookout.ordered(), lookout.workers) == ([], ())
    assert not queue.site.store.path.exists()
