"""Start workers that run what is queued, in the background.

They outlive the cell, the kernel and the shell, take one task after the other, and go when there is none left.
Those that are at work already count, so starting twice starts nothing. A queue that was paused goes on.

Examples
--------
  nbexp queue start          one worker
  nbexp queue start -j 4     four: as many experiments at once
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import at_least_1
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-j",
        "--jobs",
        type=at_least_1,
        default=1,
        metavar="N",
        help="how many workers are to be at work; default: 1",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.queue.start(args.jobs, emit=emit)
