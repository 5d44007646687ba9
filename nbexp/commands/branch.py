"""Make Git branches of experiments, to keep them as ordinary history.

Two words are an experiment and the branch's name, unless both are experiments. What shares the branch, and opens a pull
request, is told.

Examples
--------
  nbexp branch low-lr             the branch low-lr-branch
  nbexp branch low-lr better-lr   a name of your own
  nbexp branch low-lr high-lr mid a branch of each
  nbexp branch 'lr-*'             of all that are called so
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help="its name, or a pattern")
    parser.add_argument(
        "branch",
        nargs="*",
        metavar="BRANCH",
        help="the branch's name, by default EXPERIMENT-branch; or more experiments",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp.experiments import naming

    words = [args.experiment, *args.branch]
    are_many = len(words) > 2 or any(map(naming.is_pattern, words))
    # A branch of that name would come before the experiment, which nobody could mean any more.
    if are_many or (args.branch and args.branch[0] in project.names):
        return project.branches(*words)
    return project.branch(*words)
