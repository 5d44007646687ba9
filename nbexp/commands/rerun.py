"""Run every stage of an experiment again, from exactly its files, and say what came out otherwise.

Your folder becomes what the experiment left, all its stages run, and the result is recorded beside it. It stops before
anything changes where that would overwrite edits which no commit and no experiment holds. One `nbexp undo` takes all
of it back. A cell that was recorded with `%%exp` runs in a fresh kernel beside your files, which stay as they are.

Examples
--------
  nbexp rerun low-lr
  nbexp rerun low-lr -n low-lr-again
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands.clone import add_common
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment", metavar="EXPERIMENT", help="its name, or the start of its rev"
    )
    add_common(parser)


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.rerun(
        args.experiment,
        name=args.name,
        message=args.message,
        force=args.force,
        jobs=args.jobs,
        emit=emit,
    )
