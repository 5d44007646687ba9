"""Show the metrics of the workspace, of branches, tags or commits.

Examples
--------
  nbexp metrics show                 the workspace
  nbexp metrics show -a              every branch as well
  nbexp metrics show eval.json       this file alone, listed in dvc.yaml or not
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit, Notice

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets", nargs="*", metavar="FILE", help="metrics files or folders; default: all"
    )
    parser.add_argument("-a", "--all-branches", action="store_true", help="of every branch")
    parser.add_argument("-T", "--all-tags", action="store_true", help="of every tag")
    parser.add_argument("-A", "--all-commits", action="store_true", help="of every commit")
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="folders too, which are always looked into"
    )
    parser.add_argument(
        "--precision", type=int, metavar="N", help="digits after the point; default: 5"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON")
    shape.add_argument("--md", action="store_true", help="print Markdown")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    found = project.metrics.show(
        args.targets,
        all_branches=args.all_branches,
        all_tags=args.all_tags,
        all_commits=args.all_commits,
        precision=args.precision,
    )
    for line in found.unreadable:
        emit(Notice(f"Could not be read: {line}"))
    return found
