"""What changed between two experiments, commits, or the workspace.

Params and metrics first, with the difference and whether it is better; then code, outputs, and the cells
of executed notebooks whose outputs differ. Without names: HEAD against the workspace.

Examples
--------
  nbexp diff low-lr mauve-pike    two experiments
  nbexp diff low-lr               an experiment against the workspace
  nbexp diff main low-lr --md     Markdown, for a pull request
  nbexp diff main low-lr --notebook    executed notebooks, cell by cell
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.errors import UsageError
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", nargs="?", default="HEAD", metavar="A", help="default: HEAD")
    parser.add_argument(
        "new", nargs="?", default="workspace", metavar="B", help="default: the workspace"
    )
    parser.add_argument("--all", action="store_true", help="values that are equal as well")
    parser.add_argument(
        "--param-deps", action="store_true", help="of params, only those that stages read"
    )
    parser.add_argument("--no-path", action="store_true", help="with --md: no column of files")
    parser.add_argument(
        "--precision", type=int, metavar="N", help="significant digits of metrics; default: 5"
    )
    parser.add_argument(
        "--notebook",
        action="store_true",
        help="executed notebooks instead, cell by cell: source, text, pictures",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON, in DVC's form")
    shape.add_argument("--csv", action="store_true", help="print CSV")
    shape.add_argument("--md", action="store_true", help="print Markdown")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.notebook:
        if args.csv:
            raise UsageError(
                "`--csv` is a table of values, and `--notebook` shows cells.",
                "`nbexp diff A B --notebook --md`, or `--json`.",
            )
        return project.diff_notebooks(args.old, args.new)
    return project.diff(
        args.old,
        args.new,
        all_values=args.all,
        param_deps=args.param_deps,
        no_path=args.no_path,
        precision=args.precision,
    )
