"""Run an experiment again from scratch, and say of every output whether it came out the same.

It is run in a fresh clone of its commit with an empty cache, out of your way. An output is identical, close (but for
numbers within the tolerance), different (with the first row, key or notebook cell that is) or missing. The verdict is
kept in the experiment's note.

Examples
--------
  nbexp verify low-lr                 run it again, and compare
  nbexp verify low-lr --rtol 0.001    numbers may differ by a thousandth
  nbexp verify main -j 4 --json       a branch, four stages at once, for a program
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from nbexp.commands import at_least_1
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment", metavar="EXPERIMENT", help="its name; or a branch, tag or commit"
    )
    parser.add_argument(
        "--rtol",
        type=_tolerance,
        metavar="X",
        help="numbers may differ by X times the recorded one; default: 1e-5",
    )
    parser.add_argument(
        "--atol", type=_tolerance, metavar="X", help="and by X on top of that; default: 1e-8"
    )
    parser.add_argument(
        "-j", "--jobs", type=at_least_1, default=1, metavar="N", help="how many stages run at once"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.json:
        project.confirm = None  # what a program reads asks nobody
    return project.verify(
        args.experiment, rtol=args.rtol, atol=args.atol, jobs=args.jobs, emit=emit
    )


def _tolerance(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not math.isfinite(found) or found < 0:
        raise argparse.ArgumentTypeError(f"`{text}` is no number from 0 up")
    return found
