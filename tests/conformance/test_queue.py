"""The queue beside real dvc's: the queues are two, what comes of the same steps is one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.crashes.queueing import marked, until

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeTwins, Twins


@pytest.fixture
def pair(pipeline: Callable[..., Path], twins: MakeTwins) -> Iterator[Twins]:
    made = twins(pipeline())
    yield made
    # DVC's workers wait for more.
    for pid in _of(os.fspath(made.dvc_side)):
        _end(pid)
    for pid in marked(made.nbexp_side):
        _end(pid)


def _of(place: str) -> list[int]:
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                here = os.readlink(f"/proc/{entry.name}/cwd")
            except OSError:
                continue
            if here.startswith(place):
                found.append(int(entry.name))
    return found


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def states_of_dvc(pair: Twins) -> dict[str, str]:
    said = pair.look.dvc("queue", "status", cwd=pair.dvc_side).stdout
    words = [line.split() for line in said.splitlines()]
    states = {"Queued", "Running", "Failed", "Success"}
    return {line[1]: line[-1] for line in words if line and line[-1] in states}


def states_of_nbexp(pair: Twins) -> dict[str, str]:
    said = json.loads(pair.look.nbexp("queue", "status", "--json", cwd=pair.nbexp_side).stdout)
    return {task["name"]: task["state"] for task in said["tasks"]}


def both_queue(pair: Twins, *words: str) -> tuple[str, str]:
    theirs = pair.look.dvc("queue", *words, cwd=pair.dvc_side).stdout
    return theirs, pair.look.nbexp("queue", *words, cwd=pair.nbexp_side).stdout


def test_what_is_queued_ends_as_with_dvc(pair: Twins) -> None:
    pair.replace("params.yaml", "epochs: 3", "epochs: 5")  # an edit that nothing has recorded
    words = ("--queue", "-S", "train.lr=0.05,0.02", "-n", "grid", "-m", "asked for")
    theirs, ours = pair.run(*words)
    queued = [line for line in theirs.stdout.splitlines() if line.startswith("Queue")]
    assert ours.stdout.splitlines()[: len(queued)] == queued
    pair.git("checkout", "--quiet", "--", "params.yaml")
    pair.run("--run-all")
    assert sorted(states_of_nbexp(pair).values()) == ["done", "done"]
    pair.agree_on_refs()
    pair.agree_on_files()


def test_workers_run_what_waits_and_their_logs_are_read(pair: Twins) -> None:
    for name, value in (("one", "0.05"), ("two", "0.02")):
        pair.run("--queue", "-n", name, "-S", f"train.lr={value}")
    theirs, ours = both_queue(pair, "start", "--jobs", "2")
    assert ours == theirs == "Started '2' new experiments task queue workers.\n"
    until(lambda: set(states_of_dvc(pair).values()) == {"Success"}, 180)
    until(lambda: set(states_of_nbexp(pair).values()) == {"done"})
    pair.agree_on_refs()
    for words in (["one"], ["--follow", "one"], ["--encoding", "utf-8", "one"]):
        theirs, ours = both_queue(pair, "logs", *words)
        ours = ours.partition("\none: done")[0]
        printed = [line for line in theirs.splitlines() if "epoch" in line]
        assert printed
        assert [line for line in ours.splitlines() if "epoch" in line] == printed


def test_tasks_are_removed(pair: Twins) -> None:
    pair.run("--queue", "-n", "good", "-S", "train.lr=0.05")
    pair.write("train.sh", "exit 3\n")
    pair.run("--queue", "-n", "bad", "-S", "train.lr=0.01")
    pair.git("checkout", "--quiet", "--", "train.sh")
    # DVC ends with 0 all the same.
    pair.look.dvc("exp", "run", "--run-all", cwd=pair.dvc_side, code=None)
    pair.look.nbexp("run", "--run-all", cwd=pair.nbexp_side, code=1)
    pair.run("--queue", "-n", "late", "-S", "train.lr=0.02")
    pair.run("--queue", "-n", "later", "-S", "train.lr=0.03")
    assert states_of_dvc(pair) == {
        "late": "Queued", "later": "Queued", "bad": "Failed", "good": "Success",
    }  # fmt: skip
    assert states_of_nbexp(pair) == {
        "late": "queued", "later": "queued", "bad": "failed", "good": "done",
    }  # fmt: skip
    for words, name in (
        (["late"], "late"),
        (["--success"], "good"),
        (["--failed"], "bad"),
        (["--queued"], "later"),
    ):
        theirs, ours = both_queue(pair, "remove", *words)
        assert ours == theirs == f"Removed tasks in queue: {name}\n"
    pair.run("--queue", "-n", "last", "-S", "train.lr=0.04")
    theirs, ours = both_queue(pair, "remove", "--all")
    assert ours == theirs == "Removed tasks in queue: last\n"
    assert states_of_dvc(pair) == states_of_nbexp(pair) == {}
    pair.agree_on_refs()


def test_what_waits_is_removed_by_dvcs_other_word(pair: Twins) -> None:
    pair.run("--queue", "-n", "one", "-S", "train.lr=0.05")
    pair.run("--queue", "-n", "two", "-S", "train.lr=0.02")
    pair.run("-n", "done", "-S", "train.lr=0.04")
    for words in (["two"], ["--queue"]):
        pair.look.dvc("exp", "remove", *words, cwd=pair.dvc_side)
        pair.look.nbexp("remove", *words, cwd=pair.nbexp_side)
    assert states_of_dvc(pair) == states_of_nbexp(pair) == {}
    pair.agree_on_refs()


@pytest.mark.parametrize("words", [("kill", "one"), ("kill", "--force", "one"), ("stop", "--kill")])
def test_what_runs_is_stopped(words: tuple[str, ...], pair: Twins) -> None:
    """nbexp alone: real dvc says of a task at work that it does not run, or lists it as running for ever."""
    at_work = pair.nbexp_side.parent / "at-work"
    text = (pair.nbexp_side / "train.sh").read_text()
    pair.write("train.sh", f"touch {at_work}\nsleep 60\n{text}")
    pair.git("commit", "--quiet", "--all", "--message=wait")
    pair.look.nbexp("run", "--queue", "-n", "one", "-S", "train.lr=0.05", cwd=pair.nbexp_side)
    pair.look.nbexp("queue", "start", cwd=pair.nbexp_side)
    until(at_work.exists)
    pair.look.nbexp("queue", *words, cwd=pair.nbexp_side)
    assert states_of_nbexp(pair) == {"one": "cancelled"}
    assert pair.look.experiments(pair.nbexp_side) == {}
    until(lambda: not [pid for pid in marked(pair.nbexp_side) if _is_stage(pid)])


def _is_stage(pid: int) -> bool:
    try:
        return b"nbexp.queue.worker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
