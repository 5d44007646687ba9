"""Take back what the last commands changed in the workspace, byte for byte.

Called again, it goes one step further back: over runs, applies, data checkouts and adds, and removals of experiments.
Experiments that were recorded stay. What was undone can be redone until another command changes the workspace.

Examples
--------
  nbexp undo                      one step back
  nbexp undo --list               the steps: when, what each puts back, how big
  nbexp undo -n 3                 three steps at once
  nbexp undo --to 3f2a91c         all steps down to that one
  nbexp undo --redo               forward again
  nbexp undo --force              even over files that were edited since; the edits are kept
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import at_least_1
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-l", "--list", action="store_true", help="show the steps, change nothing")
    which.add_argument("-n", "--num", type=at_least_1, metavar="N", help="N steps; default: one")
    which.add_argument("--to", metavar="ID", help="all steps down to that one of --list")
    parser.add_argument("--redo", action="store_true", help="do again what was undone")
    parser.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="even over files edited since; the edits are kept",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.list:
        return project.steps()
    return project.undo(args.num, to=args.to, redo=args.redo, force=args.force, emit=emit)
