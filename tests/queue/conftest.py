"""A project whose stages can be held up, and its queue."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbexp.queue import Queue
from nbexp.queue.site import Site


@pytest.fixture
def project(pipeline_project: Callable[..., Path]) -> Path:
    return pipeline_project()


@pytest.fixture
def queue_of() -> Iterator[Callable[[Path], Queue]]:
    """Gives the queue of a project; what it started is gone when the test ends."""
    sites: list[Site] = []

    def made(project: Path) -> Queue:
        sites.append(Site.at(project))
        return Queue(sites[-1])

    yield made
    for site in sites:
        end_workers(site.root)
        site.close()
        site.git.close()
        site.cache.close()


@pytest.fixture
def queue(project: Path, queue_of: Callable[[Path], Queue]) -> Queue:
    """The project's queue; what it started is gone when the test ends."""
    return queue_of(project)


def end_workers(project: Path) -> None:
    """Kill whatever the queue of a project has started."""
    root = os.fspath(project).encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = Path(entry.path, "cmdline").read_bytes()
            if b"nbexp.queue.worker" in words and root in words:
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue


def until(what: Callable[[], object], timeout_s: float = 60) -> object:
    """Wait for a condition; what it came to."""
    end = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < end, f"{timeout_s} s were not enough"
        time.sleep(0.02)
    return found
