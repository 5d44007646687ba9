"""Show which params differ between two revisions.

A revision is a commit, branch, tag or experiment, or `workspace`.

Examples
--------
  nbexp params diff                    from HEAD to the workspace
  nbexp params diff main low-lr        from a branch to an experiment
  nbexp params diff --deps --md        what stages read, as Markdown
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit, Notice

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", nargs="?", metavar="A", help="the old revision; default: HEAD")
    parser.add_argument("new", nargs="?", metavar="B", help="the new one; default: workspace")
    parser.add_argument(
        "--targets", nargs="*", default=[], metavar="FILE", help="these params files alone"
    )
    parser.add_argument("--all", action="store_true", help="params that are equal as well")
    parser.add_argument("--deps", action="store_true", help="only params that stages read")
    parser.add_argument("--no-path", action="store_true", help="without the column of files")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON")
    shape.add_argument("--md", action="store_true", help="print Markdown")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    found = project.params.diff(
        args.old,
        args.new,
        targets=args.targets,
        deps=args.deps,
        all_values=args.all,
        no_path=args.no_path,
    )
    for line in found.unreadable:
        emit(Notice(f"Could not be read: {line}"))
    return found
