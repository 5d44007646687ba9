"""What the engine narrates while it works; front ends draw it.

Events are frozen values without behaviour. A consumer is any callable that takes one and returns
quickly; one is told at a time, though not always by the same thread, and an exception in it stops the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nbexp.frozen import field, frozen


@frozen
class Event:
    """Something that happened in a run."""


@frozen
class Phase(Event):
    """A part of the work outside any stage has begun: "recording", "restoring 812 files", …"""

    text: str
    done: int | None = None
    total: int | None = None


@frozen
class Moving(Event):
    """Objects move to or from a remote: `done` of `total` so far, `size_bytes` at `bytes_per_s`; `text` says which way."""

    text: str
    done: int
    total: int
    size_bytes: int = 0
    bytes_per_s: float = 0.0


@frozen
class Notice(Event):
    """Something the user should know, which stops nothing; `hint` as in errors.

    `as_asked`: it says what begins now, and who asked for silence is not told.
    """

    message: str
    hint: str | None = None
    as_asked: bool = False


@frozen
class RunStarted(Event):
    """A run has its name; `stages` are the addresses of those it covers, in order."""

    name: str
    baseline: str
    stages: tuple[str, ...] = ()


@frozen
class Planned(Event):
    """Stages are about to be brought up to date: their addresses in order, and what each of them needs.

    With more than one of `jobs`, that many run at once and the events of several come mixed. `seconds` is how long each
    takes by past runs, of those that have run before.
    """

    stages: tuple[str, ...]
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    jobs: int = 1
    seconds: Mapping[str, float] = field(default_factory=dict)


@frozen
class StageSkipped(Event):
    """The stage did not change (DVC: "didn't change, skipping")."""

    stage: str
    frozen: bool = False
    is_data: bool = False
    """It is data that a `.dvc` file tracks."""


@frozen
class DataTaken(Event):
    """Tracked data had been edited; the cache and its `.dvc` file have what it holds now."""

    stage: str


@frozen
class StageRestored(Event):
    """The stage's outputs came back from the run cache instead of being made again."""

    stage: str


@frozen
class StageStarted(Event):
    """The stage runs now; `reason` says why, in words: "params.yaml:train.lr 0.1 -> 0.03"."""

    stage: str
    commands: tuple[str, ...]
    reasons: tuple[str, ...] = ()


@frozen
class CommandStarted(Event):
    """One command of the stage runs now (DVC prints it after `> `)."""

    stage: str
    command: str


@frozen
class OutputWritten(Event):
    """Bytes the stage wrote to stdout or stderr, as they came; not split into lines.

    `is_log`: read from the log of a run that somebody follows, whose name stands in place of the stage's.
    """

    stage: str
    data: bytes
    is_log: bool = False


@frozen
class CellStarted(Event):
    """A notebook stage entered a code cell: `cell` of `total`, counted from 1 as the user sees them."""

    stage: str
    cell: int
    total: int
    source: str = ""


@frozen
class CellFinished(Event):
    """A notebook stage left a code cell."""

    stage: str
    cell: int
    total: int
    seconds: float = 0.0


@frozen
class MetricLogged(Event):
    """Training code logged values for a step; `experiment` is the name under which the run will be recorded."""

    stage: str
    step: int | float | None
    values: Mapping[str, float | int | str] = field(default_factory=dict)
    experiment: str = ""


@frozen
class CheckpointMade(Event):
    """A step of the experiment is recorded while its stage runs: `name@step`."""

    stage: str
    step: int
    name: str
    rev: str


@frozen
class StageFinished(Event):
    """The stage ended well and its outputs are in the cache."""

    stage: str
    seconds: float
    cells: int | None = None


@frozen
class StageStopped(Event):
    """The stage failed; `left_out` are the stages that do not run because of it.

    With `goes_on`, stages that do not need it run on, and the error comes at the end.
    """

    stage: str
    message: str
    left_out: tuple[str, ...] = ()
    goes_on: bool = False


@frozen
class StageNotRun(Event):
    """The stage does not run: because of one that failed, or, with None, because all was stopped."""

    stage: str
    because: str | None = None


@frozen
class RunFinished(Event):
    """The experiment is recorded under this name (DVC: "Ran experiment(s): name")."""

    name: str
    rev: str


@frozen
class Alert(Event):
    """An alert of this name is due; `state` is `running` where a metric passed its bar before the end of the run."""

    name: str
    run: str
    state: str
    message: str


@frozen
class LockUpdated(Event):
    """dvc.lock was written (`created`: it was not there before); path relative to the current directory."""

    path: str
    created: bool = False


@frozen
class TaskQueued(Event):
    """An experiment waits in the queue under this name, with these overrides by params file."""

    name: str
    overrides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@frozen
class ScriptTraced(Event):
    """`init --detect` runs a script in a copy of the project now: `number` of `total`."""

    script: str
    number: int
    total: int


Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The consumer that draws nothing."""
