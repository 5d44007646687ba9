"""Make a Git branch of an experiment, to keep it as ordinary history.

Examples
--------
  nbexp branch low-lr             the branch low-lr-branch
  nbexp branch low-lr better-lr   a name of your own
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help="its name")
    parser.add_argument("branch", nargs="?", metavar="BRANCH", help="default: EXPERIMENT-branch")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.branch(args.experiment, args.branch)
