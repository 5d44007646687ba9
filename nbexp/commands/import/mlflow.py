"""Make experiments of the runs that MLflow kept in a folder.

Params, metrics with their series, tags and notes are taken, from the plain files of `mlruns`; MLflow itself is not
needed. What is there already is not imported again. Files that a run logged stay where they are.

Examples
--------
  nbexp import mlflow                       of ./mlruns
  nbexp import mlflow ../old/mlruns
  nbexp import mlflow mlruns/0              one of MLflow's experiments
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "store",
        nargs="?",
        default="mlruns",
        metavar="DIR",
        help="where the runs are; default: mlruns",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.import_mlflow(args.store, emit=emit)
