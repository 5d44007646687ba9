"""Draw a metric over its steps, one line for each experiment.

Reads the plots files of dvc.yaml, and what training code logged with `nbexp.live.log(step=…, acc=…)`.

Examples
--------
  nbexp plot acc                          every experiment of the present commit
  nbexp plot acc low-lr mauve-pike        these two
  nbexp plot acc --out acc.svg            as a picture (.svg, .png, .html or .json)
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("metric", metavar="NAME", help="what was logged: acc, train/loss")
    parser.add_argument(
        "experiments",
        nargs="*",
        default=[],  # without it argparse says that it is required
        metavar="EXPERIMENT",
        help="default: all of the present commit",
    )
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="write a picture: .svg, .png, .html or .json"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    curves = project.plot(args.metric, *args.experiments)
    if args.out:
        from nbexp.plots import render

        render.write(curves, os.path.join(args.folder, args.out))
    return curves
