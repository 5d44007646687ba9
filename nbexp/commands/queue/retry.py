"""Let tasks that failed or were stopped wait again, behind all others.

They start from the same code and values as the first time.

Examples
--------
  nbexp queue retry calm-otter
  nbexp queue retry --failed      all that failed
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
    parser.add_argument("--failed", action="store_true", help="all that failed")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.failed == bool(args.tasks):
        raise UsageError(
            "Which tasks is said by their names, or by `--failed`. Nothing was changed.",
            "`nbexp queue retry --failed`",
        )
    return project.queue.retry(*args.tasks, failed=args.failed, emit=emit)
