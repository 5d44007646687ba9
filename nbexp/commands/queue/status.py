"""What waits, what runs and what is over, and who works.

A task that is said to run does run: one whose worker has died waits again, or its finished result is taken over,
before anything is shown. What real dvc has queued is listed too.

With `-i` a notebook shows a panel that goes on with it, with stages, curves and logs, and stops, retries and removes tasks.

Examples
--------
  nbexp queue status       the table; `nbexp queue` is the same
  nbexp queue status -v    with the folder where each runs, and why it failed
  nbexp queue status -i    a panel that goes on with it; `%exp queue -i` is the same
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit
from nbexp.frozen import replace

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-i",
        "--interactive",
        action="store_true",
        help="in a notebook: a panel that goes on with it; elsewhere the table",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    found = project.queue.status(in_detail=args.verbose > 0, emit=emit)
    return replace(found, is_interactive=args.interactive)
