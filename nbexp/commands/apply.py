"""Bring an experiment back into the workspace: files, outputs, params and metrics.

Stops before anything changes when that would overwrite edits which no commit and no experiment holds, and
lists them. `nbexp undo` takes it back.

Examples
--------
  nbexp apply low-lr              as it was when it ran
  nbexp apply low-lr --force      edits in the way are kept as an undo point
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help="its name, or a commit")
    parser.add_argument(
        "-f", "--force", action="store_true", help="go on over edits, which `undo` brings back"
    )
    parser.add_argument("--no-force", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.apply(args.experiment, force=args.force, emit=emit)
