"""What may happen to a task, and what follows: (task, event) -> (task, instructions). No clock, no file, no process.

    queued -> running -> committing -> done          cancelled <- queued | running
                 |            (never back)           failed, interrupted, pruned <- running
                 +--> queued  (its owner died or gave it back)

Whoever runs a task is its owner, and says with everything it reports which attempt it speaks of. A report of an
owner that has lost the task meanwhile changes nothing: that is the fence that keeps a result from counting twice.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Literal, TypeAlias

from nbexp.frozen import frozen, replace

State: TypeAlias = Literal[
    "queued", "running", "committing", "done", "failed", "cancelled", "interrupted", "pruned"
]
STATES: tuple[State, ...] = (
    "queued", "running", "committing", "done", "failed", "cancelled", "interrupted", "pruned",
)  # fmt: skip
WAITING: tuple[State, ...] = ("queued",)
ACTIVE: tuple[State, ...] = ("running", "committing")
LIVE: tuple[State, ...] = ("queued", "running", "committing")
OVER: tuple[State, ...] = ("done", "failed", "cancelled", "interrupted", "pruned")


@frozen
class Situation:
    """What decides what may happen to a task.

    Attributes
    ----------
    attempt
        Which attempt this is; 0 while none has begun.
    max_attempts
        After so many deaths of its owner the task has failed.
    stops
        What it is to become when its owner has stopped it; None: nobody wants that.
    is_attended
        Somebody waits for it in a cell or a terminal: with its owner the task is over.
    """

    state: State
    owner: str | None = None
    attempt: int = 0
    max_attempts: int = 3
    stops: Literal["cancelled", "pruned"] | None = None
    is_attended: bool = False
    rev: str | None = None
    error: str | None = None


# ---- what happens


@frozen
class Claimed:
    """A worker takes it."""

    owner: str


@frozen
class Fenced:
    """The result's commit is on disk; the next step gives it its name."""

    owner: str
    attempt: int
    rev: str


@frozen
class Finished:
    """The result has its name: that of this run, or of an equal one before, in which case nothing was fenced."""

    owner: str
    attempt: int
    rev: str


@frozen
class Ended:
    """The run came to an end without a result; `error` is one line."""

    owner: str
    attempt: int
    state: Literal["failed", "interrupted", "pruned"]
    error: str


@frozen
class HandedBack:
    """The owner was told to go, and has ended the run."""

    owner: str
    attempt: int


@frozen
class OwnerLost:
    """The owner is dead, and nobody could say so before; `error` is how."""

    owner: str
    attempt: int
    error: str


@frozen
class Adopted:
    """Somebody else gave the fenced result of a dead owner its name."""

    owner: str
    attempt: int


@frozen
class ResultLost:
    """The fenced result of a dead owner is not in the repository: the power was cut."""

    owner: str
    attempt: int


@frozen
class StopAsked:
    """Somebody wants it stopped; `becomes` says as what it counts then."""

    becomes: Literal["cancelled", "pruned"] = "cancelled"


@frozen
class Retried:
    """Somebody wants it run again."""


@frozen
class Changed:
    """Somebody moves it in the queue, or gives it other values."""


@frozen
class Removed:
    """Somebody wants it out of the list."""


Event: TypeAlias = (
    Claimed | Fenced | Finished | Ended | HandedBack | OwnerLost | Adopted | ResultLost | StopAsked
    | Retried | Changed | Removed
)  # fmt: skip


class Do(enum.Enum):
    """What whoever reported an event is to do next."""

    DISCARD = "throw the result away: the task is somebody else's"
    WAKE = "tell the owner"
    ADOPT = "give the fenced result its name"
    SETTLE = "let go of the batch's snapshot, if this was its last task"


@frozen
class Step:
    """What became of the task: None is gone. `refused` says why nothing may happen."""

    task: Situation | None
    do: tuple[Do, ...] = ()
    refused: str | None = None


def step(task: Situation, event: Event) -> Step:
    """What an event makes of a task.

    Examples
    --------
    >>> step(Situation("queued"), Claimed("w1")).task.state
    'running'
    >>> [one.name for one in step(Situation("running", "w2", 2), Fenced("w1", 1, "5e")).do]
    ['DISCARD']
    """
    handle = _HANDLERS[type(event)]
    return handle(task, event)


def _claimed(task: Situation, event: Claimed) -> Step:
    if task.state != "queued":
        return Step(task, refused=_is(task))
    return Step(
        replace(task, state="running", owner=event.owner, attempt=task.attempt + 1, error=None)
    )


def _fenced(task: Situation, event: Fenced) -> Step:
    if not _is_its(task, event.owner, event.attempt):
        return Step(task, (Do.DISCARD,))
    if task.state == "committing":
        return Step(task, () if task.rev == event.rev else (Do.DISCARD,))
    if task.stops:
        return Step(_over(task, task.stops, None), (Do.DISCARD, Do.SETTLE))
    return Step(replace(task, state="committing", rev=event.rev))


def _finished(task: Situation, event: Finished) -> Step:
    if not _is_its(task, event.owner, event.attempt):
        return Step(task)
    return Step(_over(task, "done", None, event.rev), (Do.SETTLE,))


def _ended(task: Situation, event: Ended) -> Step:
    if not _is_its(task, event.owner, event.attempt):
        return Step(task)
    if task.state == "committing":
        # The name was refused: somebody took it behind the queue's back.
        return Step(_over(task, "failed", event.error), (Do.SETTLE,))
    if task.stops:
        return Step(_over(task, task.stops, None), (Do.SETTLE,))
    return Step(_over(task, event.state, event.error), (Do.SETTLE,))


def _handed_back(task: Situation, event: HandedBack) -> Step:
    if not _is_its(task, event.owner, event.attempt) or task.state == "committing":
        return Step(task)
    if task.stops:
        return Step(_over(task, task.stops, None), (Do.SETTLE,))
    if task.is_attended:
        return Step(_over(task, "interrupted", "stopped"), (Do.SETTLE,))
    return Step(replace(task, state="queued", owner=None, attempt=task.attempt - 1))


def _owner_lost(task: Situation, event: OwnerLost) -> Step:
    if not _is_its(task, event.owner, event.attempt):
        return Step(task)
    if task.state == "committing":
        return Step(task, (Do.ADOPT,))
    if task.stops:
        return Step(_over(task, task.stops, None), (Do.SETTLE,))
    if task.is_attended:
        return Step(_over(task, "interrupted", event.error), (Do.SETTLE,))
    if task.attempt < task.max_attempts:
        return Step(replace(task, state="queued", owner=None, error=event.error))
    times = "" if task.attempt == 1 else f" {task.attempt} times, the last time"
    error = event.error.replace(" died", f" died{times}", 1)
    return Step(_over(task, "failed", error), (Do.SETTLE,))


def _adopted(task: Situation, event: Adopted) -> Step:
    if task.state != "committing" or not _is_its(task, event.owner, event.attempt):
        return Step(task)
    return Step(_over(task, "done", None, task.rev), (Do.SETTLE,))


def _result_lost(task: Situation, event: ResultLost) -> Step:
    if task.state != "committing" or not _is_its(task, event.owner, event.attempt):
        return Step(task)
    if task.is_attended:
        return Step(_over(task, "interrupted", "the result was lost"), (Do.SETTLE,))
    return Step(replace(task, state="queued", owner=None, rev=None, error="the result was lost"))


def _stop_asked(task: Situation, event: StopAsked) -> Step:
    if task.state == "queued":
        return Step(_over(task, event.becomes, None), (Do.SETTLE,))
    if task.state == "running":
        return Step(replace(task, stops=task.stops or event.becomes), (Do.WAKE,))
    if task.state == "committing":
        return Step(task, refused="is done, its result is being recorded")
    return Step(task, refused=_is(task))


def _retried(task: Situation, _event: Retried) -> Step:
    if task.state in ("done", *LIVE):
        return Step(task, refused=_is(task))
    return Step(Situation("queued", max_attempts=task.max_attempts, is_attended=task.is_attended))


def _changed(task: Situation, _event: Changed) -> Step:
    return Step(task) if task.state == "queued" else Step(task, refused=_is(task))


def _removed(task: Situation, _event: Removed) -> Step:
    if task.state in ACTIVE:
        return Step(task, refused=_is(task))
    return Step(None, (Do.SETTLE,))


def _is_its(task: Situation, owner: str, attempt: int) -> bool:
    return task.state in ACTIVE and (task.owner, task.attempt) == (owner, attempt)


def _over(task: Situation, state: State, error: str | None, rev: str | None = None) -> Situation:
    return replace(task, state=state, rev=rev, error=error, stops=None)


def _is(task: Situation) -> str:
    return {"queued": "waits", "committing": "is done"}.get(task.state, f"is {_WORDS[task.state]}")


_WORDS: dict[State, str] = {state: state for state in STATES} | {"failed": "over: it failed"}

_HANDLERS: dict[type[object], Callable[..., Step]] = {
    Claimed: _claimed,
    Fenced: _fenced,
    Finished: _finished,
    Ended: _ended,
    HandedBack: _handed_back,
    OwnerLost: _owner_lost,
    Adopted: _adopted,
    ResultLost: _result_lost,
    StopAsked: _stop_asked,
    Retried: _retried,
    Changed: _changed,
    Removed: _removed,
}
