"""Say in dvc.yaml how the plot of a stage is drawn.

What an output of a stage has no property of is left as it is; an output that is none yet becomes a plot. A plot at
the top of dvc.yaml is changed in an editor. `undo` takes it back.

Examples
--------
  nbexp plots modify loss.csv -x step -y loss -t simple
  nbexp plots modify loss.csv --unset template
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands.plots import _drawn as drawn
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="FILE", help="an output of a stage")
    drawn.add_properties(parser)
    parser.add_argument("--unset", nargs="*", metavar="NAME", help="take these properties away")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.plots.modify(args.target, unset=args.unset, emit=emit, **drawn.properties(args))
