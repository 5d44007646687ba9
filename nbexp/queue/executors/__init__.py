"""Where tasks run: one file each. The queue's database stays the truth, an executor only moves jobs.

An executor of another package is an entry point of the group `nbexp.queue.executors`: a module with a class
`Executor` like the one here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from nbexp.frozen import frozen
from nbexp.queue.rows import Happened
from nbexp.queue.state import State


@frozen
class Capabilities:
    """What an executor can do.

    Attributes
    ----------
    shared_fs
        Its processes see this machine's files.
    cancel_running
        A task that runs can be stopped.
    live_events
        What a task tells of itself comes while it runs.
    resources
        It looks that tasks at once do not use more than there is.
    """

    shared_fs: bool
    cancel_running: bool
    live_events: bool
    resources: bool


class Handle(Protocol):
    """A job that was submitted."""

    def poll(self) -> State:
        """In which state it is now; never waits."""

    def cancel(self) -> None:
        """Ask it to stop; that it has is seen by `poll`. What is being recorded already stands."""

    def events(self, since: int = 0) -> list[Happened]:
        """What it told since that line of the history."""


class Executor(Protocol):
    """What runs tasks; it must never give a result a name that the queue has not fenced (`state.Fenced`)."""

    def submit(self, job: Mapping[str, object]) -> Handle:
        """See to it that the job runs.

        Parameters
        ----------
        job
            Plain JSON: `uid`, `name`, `baseline`, `snapshot` (ref or rev), `spec`, `resources`, `timeout`. What
            the task is called by the queue is `uid`: submitting it again submits nothing.
        """

    def recover(self, uids: Sequence[str]) -> None:
        """After a crash of whoever submitted them: find out what became of these, and say it to the queue."""

    def capabilities(self) -> Capabilities:
        """What it can do."""
