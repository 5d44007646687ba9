"""What the requests of a queue are called: each is a batch, and the ref of its snapshot has the batch's name.

    refs/nbexp/queue/20261130-004519-221929949-37fb            of the project at the top of the main work tree
    refs/nbexp/queue/20261130-004519-221929949-37fb-9c0e4a11   of another work tree, or of a project further down

Work trees and projects of one repository share its refs, and each has a queue of its own: what waits in one must neither
come back in another, whose database is new or lost, nor be swept from there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from nbexp import hashing
from nbexp.experiments.place import undo_place
from nbexp.git import Git

SNAPSHOTS = "refs/nbexp/queue/"

_PARTS = 4


def mark(git: Git, root: Path) -> str:
    """What the batches of a project end with, to tell them from those of others in its repository; "" as a rule."""
    place = undo_place(git, root)
    return "" if place == ".:" else hashing.sha256(place.encode())[:8]


def new(of: str) -> str:
    """A name for a request in the project of that mark; later ones sort behind earlier ones."""
    now = time.time_ns()
    second = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 10**9))
    name = f"{second}-{now % 10**9:09d}-{os.urandom(2).hex()}"
    return f"{name}-{of}" if of else name


def own(git: Git, of: str) -> Mapping[str, str]:
    """The snapshots of the project of that mark: batch -> commit."""
    found = {ref.removeprefix(SNAPSHOTS): rev for ref, rev in git.refs(SNAPSHOTS).items()}
    return {batch: rev for batch, rev in found.items() if _mark_of(batch) == of}


def uid_of(batch: str, baseline: str, name: str) -> str:
    """Names a task; the same again where the queue is made anew from Git."""
    return hashing.sha256(f"{batch}:{baseline}:{name}".encode())[:12]


def _mark_of(batch: str) -> str:
    return "-".join(batch.split("-")[_PARTS:])
