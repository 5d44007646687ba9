"""Change the order in which tasks run.

Examples
--------
  nbexp queue move calm-otter --first
  nbexp queue move calm-otter --last
  nbexp queue move calm-otter --before shy-lynx
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tasks", nargs="+", metavar="TASK", help="names or ids of tasks that wait")
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument("--first", action="store_true", help="before all others")
    to.add_argument("--last", action="store_true", help="behind all others")
    to.add_argument("--before", metavar="OTHER", help="before this one")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.queue.move(
        *args.tasks, first=args.first, last=args.last, before=args.before, emit=emit
    )
