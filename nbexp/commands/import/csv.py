"""Make experiments of the rows of a table.

A column called `name`, `run` or `Experiment` has the names; every other is a param or a metric, which the files of
this project tell, else the column's own name. What `nbexp show --csv` wrote comes back with the same params and
metrics.

Examples
--------
  nbexp import csv results.csv
  nbexp import csv results.csv --metric acc --metric 'val_*'
  nbexp import csv results.csv --param 'opt.*'
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="comma, semicolon or tab between the cells")
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column of a metric, or a pattern; may be repeated",
    )
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column of a param, or a pattern; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.import_csv(args.file, params=args.param, metrics=args.metric, emit=emit)
