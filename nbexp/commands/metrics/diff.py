"""Show which metrics differ between two revisions.

A revision is a commit, branch, tag or experiment, or `workspace`.

Examples
--------
  nbexp metrics diff                   from HEAD to the workspace
  nbexp metrics diff main low-lr       from a branch to an experiment
  nbexp metrics diff --all --md        equal ones as well, as Markdown
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
        "--targets", nargs="*", default=[], metavar="FILE", help="these files or folders alone"
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="folders too, which are always looked into"
    )
    parser.add_argument("--all", action="store_true", help="metrics that are equal as well")
    parser.add_argument("--no-path", action="store_true", help="without the column of files")
    parser.add_argument(
        "--precision", type=int, metavar="N", help="digits after the point; default: 5"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON")
    shape.add_argument("--md", action="store_true", help="print Markdown")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    found = project.metrics.diff(
        args.old,
        args.new,
        targets=args.targets,
        all_values=args.all,
        no_path=args.no_path,
        precision=args.precision,
    )
    for line in found.unreadable:
        emit(Notice(f"Could not be read: {line}"))
    return found
