"""Workers on this machine, which outlive whoever started them and take their tasks from the database themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbexp.errors import NotFound
from nbexp.frozen import frozen
from nbexp.queue import recovery, starting
from nbexp.queue import state as states
from nbexp.queue.executors import Capabilities
from nbexp.queue.rows import Happened
from nbexp.queue.site import Site
from nbexp.queue.state import State


@frozen(eq=False)
class Submitted:
    """A task that a worker takes, or has taken."""

    site: Site
    uid: str

    def poll(self) -> State:
        recovery.recover(self.site.store, lambda: self.site.git, self.site.folder)
        task = self.site.store.task(self.uid)
        if task is None:
            raise NotFound(
                f"There is no task {self.uid} any more.", "`nbexp queue` lists those there are."
            )
        return task.state

    def cancel(self) -> None:
        self.site.store.apply(self.uid, states.StopAsked(), durable=True)

    def events(self, since: int = 0) -> list[Happened]:
        return [one for one in self.site.store.events(since) if one.uid == self.uid]


class Executor:
    """As many workers as asked for; each is a process of its own session."""

    def __init__(self, site: Site, workers: int = 1) -> None:
        self._site = site
        self._workers = workers

    def submit(self, job: Mapping[str, object]) -> Submitted:
        self.ensure()
        return Submitted(self._site, str(job["uid"]))

    def recover(self, uids: Sequence[str]) -> None:
        found = recovery.recover(self._site.store, lambda: self._site.git, self._site.folder)
        if any(task.uid in uids and task.state == "queued" for task in found):
            self.ensure()

    def capabilities(self) -> Capabilities:
        return Capabilities(shared_fs=True, cancel_running=True, live_events=True, resources=True)

    def ensure(self, *, idle_s: float | None = None) -> int:
        """See to it that the workers are there; how many were started for it."""
        return starting.start(self._site, self._workers, idle_s=idle_s)
