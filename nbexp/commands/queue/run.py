"""Run a task that waits now, here, and wait for it.

It runs beside your files, as a worker would run it; what is before it in the queue stays there.

Examples
--------
  nbexp queue run calm-otter
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="name or id of a task that waits")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.queue.run(args.task, emit=emit)
