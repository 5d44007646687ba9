"""Stop a run, wherever it is: queued, temporary, or in your folder from another terminal.

One that waits does not begin. One that runs is interrupted as by Ctrl-C; what it has made so far is kept
(`nbexp show --all-states`).

Examples
--------
  nbexp stop calm-otter
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the experiment's name, or the task's id")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.queue.stop_run(args.name, emit=emit)
