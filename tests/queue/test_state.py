"""Every event in every state: what becomes of the task, and what whoever reported it is to do."""

from __future__ import annotations

import itertools
import typing

import pytest

from nbexp.frozen import replace
from nbexp.queue import state as states
from nbexp.queue.state import (
    ACTIVE,
    LIVE,
    OVER,
    STATES,
    Adopted,
    Changed,
    Claimed,
    Do,
    Ended,
    Fenced,
    Finished,
    HandedBack,
    OwnerLost,
    Removed,
    ResultLost,
    Retried,
    Situation,
    StopAsked,
    step,
)

REV = "5e" + "f" * 38
MINE = ("w1", 1)
EVENTS = {
    "claimed": Claimed("w1"),
    "fenced": Fenced(*MINE, REV),
    "finished": Finished(*MINE, REV),
    "failed": Ended(*MINE, "failed", "exit code 3"),
    "interrupted": Ended(*MINE, "interrupted", "stopped by the user"),
    "pruned": Ended(*MINE, "pruned", "no better than the median"),
    "handed back": HandedBack(*MINE),
    "owner lost": OwnerLost(*MINE, "worker died (signal 9)"),
    "adopted": Adopted(*MINE),
    "result lost": ResultLost(*MINE),
    "stop": StopAsked(),
    "prune": StopAsked("pruned"),
    "retried": Retried(),
    "changed": Changed(),
    "removed": Removed(),
}

# Each event in each state: the state after it, and what is to be done; None: nothing changes. "no": it is refused, "-": gone.
TABLE: dict[str, dict[str, str | None]] = {
    #                queued         running        committing  done         failed    cancelled interrupted pruned
    "claimed":     {"queued": "running", "running": "no", "committing": "no", "*": "no"},
    "fenced":      {"queued": "=!", "running": "committing", "committing": "=", "*": "=!"},
    "finished":    {"queued": "=", "running": "done", "committing": "done", "*": "="},
    "failed":      {"queued": "=", "running": "failed", "committing": "failed", "*": "="},
    "interrupted": {"queued": "=", "running": "interrupted", "committing": "failed", "*": "="},
    "pruned":      {"queued": "=", "running": "pruned", "committing": "failed", "*": "="},
    "handed back": {"queued": "=", "running": "queued", "committing": "=", "*": "="},
    "owner lost":  {"queued": "=", "running": "queued", "committing": "=adopt", "*": "="},
    "adopted":     {"queued": "=", "running": "=", "committing": "done", "*": "="},
    "result lost": {"queued": "=", "running": "=", "committing": "queued", "*": "="},
    "stop":        {"queued": "cancelled", "running": "stopping", "committing": "no", "*": "no"},
    "prune":       {"queued": "pruned", "running": "stopping", "committing": "no", "*": "no"},
    "retried":     {"queued": "no", "running": "no", "committing": "no", "done": "no", "*": "queued"},
    "changed":     {"queued": "=", "running": "no", "committing": "no", "*": "no"},
    "removed":     {"queued": "-", "running": "no", "committing": "no", "*": "-"},
}  # fmt: skip


def situation(state: states.State, **changes: object) -> Situation:
    """A task in that state, of the owner w1 in its first attempt where somebody runs it."""
    found = Situation(state)
    if state in ACTIVE:
        found = replace(found, owner="w1", attempt=1)
    if state == "committing":
        found = replace(found, rev=REV)
    return replace(found, **changes)


@pytest.mark.parametrize(("name", "state"), [*itertools.product(EVENTS, STATES)])
def test_every_event_in_every_state(name, state):
    before = situation(state)
    done = step(before, EVENTS[name])
    wanted = TABLE[name].get(state, TABLE[name].get("*"))
    if wanted == "no":
        assert done.task == before
        assert done.refused
    elif wanted == "-":
        assert done.task is None
        assert Do.SETTLE in done.do
    elif wanted.startswith("="):
        assert done.task == before
        assert done.refused is None
        assert done.do == {"=": (), "=!": (Do.DISCARD,), "=adopt": (Do.ADOPT,)}[wanted]
    elif wanted == "stopping":
        assert done.task.state == "running"
        assert done.task.stops == ("pruned" if name == "prune" else "cancelled")
        assert done.do == (Do.WAKE,)
    else:
        assert done.task.state == wanted
        assert (Do.SETTLE in done.do) == (wanted in OVER)


def test_the_table_has_every_event():
    assert {type(event) for event in EVENTS.values()} == set(typing.get_args(states.Event))


@pytest.mark.parametrize(
    "name", ["fenced", "finished", "failed", "handed back", "owner lost", "adopted"]
)
@pytest.mark.parametrize("state", ACTIVE)
@pytest.mark.parametrize(("owner", "attempt"), [("w2", 1), ("w1", 2)])
def test_what_an_owner_of_before_reports_changes_nothing(name, state, owner, attempt):
    before = situation(state, owner=owner, attempt=attempt)
    done = step(before, EVENTS[name])
    assert done.task == before
    assert done.do == ((Do.DISCARD,) if name == "fenced" else ())


def test_only_a_claim_counts_an_attempt_and_handing_back_takes_it_back():
    once = step(Situation("queued"), Claimed("w1")).task
    assert once.attempt == 1
    back = step(once, HandedBack("w1", 1)).task
    assert (back.state, back.attempt, back.owner) == ("queued", 0, None)
    lost = step(once, OwnerLost("w1", 1, "worker died (signal 9)")).task
    assert (lost.state, lost.attempt, lost.error) == ("queued", 1, "worker died (signal 9)")
    again = step(lost, Claimed("w2")).task
    assert (again.attempt, again.error) == (2, None)


def test_after_the_last_attempt_it_has_failed():
    task = situation("running", attempt=3)
    done = step(task, OwnerLost("w1", 3, "worker died (signal 9)"))
    assert done.task.state == "failed"
    assert done.task.error == "worker died 3 times, the last time (signal 9)"


def test_a_run_that_somebody_waits_for_is_over_with_its_owner():
    task = situation("running", is_attended=True)
    assert step(task, OwnerLost("w1", 1, "process died (signal 9)")).task.state == "interrupted"
    assert step(task, HandedBack("w1", 1)).task.state == "interrupted"


@pytest.mark.parametrize("name", ["failed", "interrupted", "handed back", "owner lost", "fenced"])
def test_what_was_to_be_stopped_is_stopped_however_it_ends(name):
    for becomes in ("cancelled", "pruned"):
        done = step(situation("running", stops=becomes), EVENTS[name])
        assert (done.task.state, done.task.stops, done.task.rev) == (becomes, None, None)
        assert (Do.DISCARD in done.do) == (name == "fenced")


def test_a_stop_that_comes_after_the_fence_is_too_late():
    done = step(situation("committing"), StopAsked())
    assert done.refused == "is done, its result is being recorded"


def test_a_second_commit_of_the_same_attempt_is_not_wanted():
    assert step(situation("committing"), Fenced("w1", 1, "0" * 40)).do == (Do.DISCARD,)


def test_retrying_begins_anew():
    task = situation("failed", attempt=3, owner="w1", error="exit code 3")
    assert step(task, Retried()).task == Situation("queued")


def walks(depth: int) -> typing.Iterator[list[Situation]]:
    """Every walk of that many events from a task that waits, reports being those of the present owner."""

    def reports(task: Situation) -> list[states.Event]:
        mine = (task.owner or "w1", task.attempt)
        return [
            Claimed("w1"), Fenced(*mine, REV), Finished(*mine, REV), Ended(*mine, "failed", "x"),
            HandedBack(*mine), OwnerLost(*mine, "worker died (signal 9)"), Adopted(*mine),
            ResultLost(*mine), StopAsked(), Retried(),
        ]  # fmt: skip

    todo = [[Situation("queued")]]
    for _ in range(depth):
        longer = []
        for walk in todo:
            for event in reports(walk[-1]):
                after = step(walk[-1], event).task
                if after is not None and after != walk[-1]:
                    longer.append([*walk, after])
        yield from longer
        todo = longer


def test_whatever_happens_a_task_is_done_once_and_never_more():
    for walk in walks(5):
        names = [task.state for task in walk]
        assert names.count("done") <= 1
        if "done" in names:
            assert names[-1] == "done", names
        for task in walk:
            assert (task.owner is not None) >= (task.state in ACTIVE)
            assert task.state in LIVE or task.stops is None
            assert 0 <= task.attempt <= 3 or task.state == "queued"
