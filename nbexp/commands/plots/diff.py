"""Lay the plots of several revisions over each other; pictures stand side by side.

A revision is an experiment, branch, tag or commit, or `workspace`.

Examples
--------
  nbexp plots diff                              HEAD and the workspace
  nbexp plots diff main low-lr high-lr          a branch and two experiments
  nbexp plots diff low-lr --targets acc.csv     an experiment and the workspace, one plot
  nbexp plots diff -e low-lr                    an experiment and the commit that it starts from
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands.plots import _drawn as drawn
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--targets", nargs="*", default=[], metavar="PLOT", help="these plots or files alone"
    )
    parser.add_argument(
        "-e",
        "--experiment",
        action="store_true",
        help="one experiment against the commit that it starts from",
    )
    parser.add_argument(
        "revisions", nargs="*", metavar="REV", help="default: HEAD and the workspace"
    )
    drawn.add_properties(parser)
    drawn.add_output(parser)


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    drawn.check(args, "diff")
    found = project.plots.diff(
        *args.revisions,
        targets=args.targets,
        experiment=args.experiment,
        emit=emit,
        **drawn.properties(args),
    )
    return drawn.finished(project, args, found, emit)
