"""Write a site of static pages: the table of the experiments, and a page for each.

The pages open from a disk, a mail or any server, and load nothing from elsewhere. The table sorts and filters;
an experiment's page has its params and metrics, what changed from its baseline, its plots, pictures and executed
notebook. A site that is there is replaced as one; a folder that holds anything else is left alone.

Examples
--------
  nbexp publish site                     all experiments
  nbexp publish site low-lr mauve-pike   these two
  nbexp publish site --title "Digits"    with a headline
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("site", metavar="DIR", help="where to write; made where it is missing")
    parser.add_argument(
        "experiments", nargs="*", default=[], metavar="EXPERIMENT", help="default: all"
    )
    parser.add_argument("--title", metavar="TEXT", help="the headline; default: the project's name")
    parser.add_argument(
        "--max-size",
        type=_megabytes,
        metavar="MB",
        help="leave pictures out beyond so many megabytes; default: 3 for 200 experiments",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.publish(
        args.site, *args.experiments, title=args.title, max_size_mb=args.max_size, emit=emit
    )


def _megabytes(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1e6:
        raise argparse.ArgumentTypeError(f"`{text}` is no number of megabytes above 0")
    return found
