"""Give an experiment another name.

What is recorded about it stays, as its commit does.

Examples
--------
  nbexp rename dusty-crow low-lr              here
  nbexp rename dusty-crow low-lr -g origin    on a Git remote, and here if it is the same here
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help="its name")
    parser.add_argument("name", metavar="NAME", help="the new name")
    parser.add_argument("-g", "--git-remote", metavar="GIT_REMOTE", help="rename it there")
    parser.add_argument(
        "-f", "--force", action="store_true", help="replace an experiment that has the name"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.rename(args.experiment, args.name, force=args.force, git_remote=args.git_remote)
