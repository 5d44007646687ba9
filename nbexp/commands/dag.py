"""Draw the pipelines: which stage needs which.

Examples
--------
  nbexp dag                       every stage, each below what it needs
  nbexp dag train                 one stage and what it needs
  nbexp dag --outs                outputs instead of stages
  nbexp dag --mermaid             for Markdown pages that draw Mermaid
  nbexp dag --dot                 for Graphviz
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", nargs="?", metavar="STAGE", help="a stage or output; default: all there are"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--dot", action="store_true", help="print Graphviz's language")
    shape.add_argument("--mermaid", action="store_true", help="print a Mermaid flowchart")
    shape.add_argument(
        "--md", action="store_true", help="print a Mermaid flowchart as a block of Markdown"
    )
    shape.add_argument("--json", action="store_true", help="print JSON")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--collapse-foreach-matrix",
        action="store_true",
        help="one box for all stages of a `foreach` or `matrix`",
    )
    what.add_argument("-o", "--outs", action="store_true", help="outputs instead of stages")
    parser.add_argument("--full", action="store_true", help="all that the target is connected to")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp.commands import Text

    found = project.dag(
        args.target, full=args.full, outs=args.outs, collapse=args.collapse_foreach_matrix
    )
    if args.dot:
        return Text(found.to_dot())
    return Text(found.to_mermaid()) if args.mermaid else found
