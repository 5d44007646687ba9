"""Show the plots of the workspace: curves, scatter plots, confusion matrices, pictures.

Plots are those of dvc.yaml, at its top and of its stages. In a notebook they are drawn in the cell; in a terminal
their numbers are printed, and a page with the drawings is written.

Examples
--------
  nbexp plots show                                every plot
  nbexp plots show acc.csv -x step -y acc         a file, listed in dvc.yaml or not
  nbexp plots show predictions.csv -t confusion -x actual -y predicted
  nbexp plots show -o report --open               as a page
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
        "targets", nargs="*", metavar="PLOT", help="names of plots, or files; default: all"
    )
    drawn.add_properties(parser)
    drawn.add_output(parser)


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    drawn.check(args, "show")
    found = project.plots.show(args.targets, emit=emit, **drawn.properties(args))
    return drawn.finished(project, args, found, emit)
