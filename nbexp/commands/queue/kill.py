"""Stop tasks that run; they are cancelled then.

Their commands are interrupted as by Ctrl-C and have ten seconds to end; everything they started ends with them.

Examples
--------
  nbexp queue kill calm-otter        as by Ctrl-C
  nbexp queue kill -f calm-otter     at once
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tasks", nargs="+", metavar="TASK", help="names or ids of tasks that run")
    parser.add_argument(
        "-f", "--force", action="store_true", help="without giving them time to end"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.queue.kill(*args.tasks, force=args.force, emit=emit)
