"""Stop a run, wherever it is: queued, temporary, or in your folder from another terminal; or a sweep.

One that waits does not begin. One that runs is interrupted as by Ctrl-C; what it has made so far is kept
(`nbexp show --all-states`). Of a sweep no new trial begins, and those that run are stopped so.

Examples
--------
  nbexp stop calm-otter
  nbexp stop sweep-1
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", metavar="NAME", help="the experiment's name, the task's id, or a sweep"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.name in project.sweeps:
        return project.sweeps.stop(args.name)
    return project.queue.stop_run(args.name, emit=emit)
