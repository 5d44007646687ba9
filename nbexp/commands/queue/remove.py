"""Take tasks out of the queue's list: those that wait do not run.

Experiments that are recorded stay; `nbexp remove` takes those out of the list.

Examples
--------
  nbexp queue remove calm-otter    one
  nbexp queue remove --queued      all that wait
  nbexp queue remove --failed      all that failed or were stopped
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.errors import UsageError
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="names or ids of tasks")
    parser.add_argument("--all", action="store_true", help="all but those that run")
    parser.add_argument("--queued", action="store_true", help="all that wait")
    parser.add_argument("--success", action="store_true", help="all that are done")
    parser.add_argument("--failed", action="store_true", help="all that failed or were stopped")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    by_state = args.all or args.queued or args.success or args.failed
    if by_state == bool(args.tasks):
        raise UsageError(
            "Which tasks is said by their names, or by one of `--all`, `--queued`, `--success` and `--failed`. "
            "Nothing was removed.",
            "`nbexp queue remove --queued`",
        )
    return project.queue.remove(
        *args.tasks,
        queued=args.queued,
        success=args.success,
        failed=args.failed,
        everything=args.all,
        emit=emit,
    )
