"""Let the workers go once their tasks are done.

Examples
--------
  nbexp queue stop           what runs is finished
  nbexp queue stop --kill    what runs is stopped
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kill", action="store_true", help="stop the tasks that run, too")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.queue.stop(kill=args.kill, emit=emit)
