"""What changed between two experiments, commits, or the workspace.

Params and metrics first, with the difference and whether it is better; then code, outputs, and the cells
of executed notebooks whose outputs differ. Without names: HEAD against the workspace.

Examples
--------
  nbexp diff low-lr mauve-pike    two experiments
  nbexp diff low-lr               an experiment against the workspace
  nbexp diff main low-lr --md     Markdown, for a pull request
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", nargs="?", default="HEAD", metavar="A", help="default: HEAD")
    parser.add_argument(
        "new", nargs="?", default="workspace", metavar="B", help="default: the workspace"
    )
    parser.add_argument("--all", action="store_true", help="values that are equal as well")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON, in DVC's form")
    shape.add_argument("--csv", action="store_true", help="print CSV")
    shape.add_argument("--md", action="store_true", help="print Markdown")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.diff(args.old, args.new, all_values=args.all)
