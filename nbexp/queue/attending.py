"""Runs that somebody waits for, in a cell or a terminal, as rows of the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from nbexp.errors import NameTaken, NbexpError, QueueError
from nbexp.events import ignore
from nbexp.experiments.spec import Spec
from nbexp.queue import finding
from nbexp.queue import state as states
from nbexp.queue.rows import Kind, NewTask
from nbexp.queue.site import Site


@contextmanager
def attended(
    site: Site, kind: Kind, spec: Spec, uid: str, *, place: str | None = None
) -> Iterator[Callable[[str], None]]:
    """While inside, a run of this process is a row of the queue, and its name reserved."""
    owner = site.owner.id
    told = spec.to_json()
    new = NewTask(uid, "", spec.baseline, spec.name, "", told, kind=kind, max_attempts=1)
    revs: list[str] = []
    with suppress(QueueError):
        try:
            site.store.begin(new, owner, place=place)
        except NameTaken:
            finding.recover(site, ignore)  # maybe by a run that was killed, which holds no name
            site.store.begin(new, owner, place=place)
    event: states.Event
    try:
        yield revs.append
    except BaseException as error:
        if isinstance(error, NbexpError):
            event = states.Ended(owner, 1, "failed", error.message)
        elif isinstance(error, KeyboardInterrupt):
            event = states.Ended(owner, 1, "interrupted", "stopped by the user")
        else:
            event = states.Ended(owner, 1, "failed", f"{type(error).__name__}: {error}")
        with suppress(QueueError):
            site.store.apply(uid, event)
        raise
    else:
        if revs:
            with suppress(QueueError):
                site.store.apply(uid, states.Finished(owner, 1, revs[0]))
    finally:
        # A kernel lives on for days; while it owns nothing it is in nobody's way, `gc`'s for one.
        site.owner.close()
