"""Say why a stage ran: which keys, files, cells or command were others.

It compares what the stage ran with in an experiment with the baseline's dvc.lock. It reads Git alone, so it works in a
fresh clone.

Examples
--------
  nbexp why train              in the newest experiment of the present commit
  nbexp why train low-lr       in that experiment
  nbexp why train main~3       in a commit
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stage", metavar="STAGE", help="a stage")
    parser.add_argument(
        "experiment",
        nargs="?",
        metavar="EXPERIMENT",
        help="an experiment or commit; default: the newest of the present commit",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.why(args.stage, args.experiment)
