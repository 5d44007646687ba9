"""Write the experiments of the present commit as a shell script that makes them again in a clean clone.

Each is its command as it was typed, or as derived from what it recorded, with what was edited by hand as a patch;
oldest first. DVC's line stands above each as a comment, or with --dvc in its place.

Examples
--------
  nbexp script > again.sh
  nbexp script low-lr high-lr > two.sh
  nbexp script --dvc > with-dvc.sh
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiments",
        nargs="*",
        metavar="EXPERIMENT",
        help="which; default: all of the present commit",
    )
    parser.add_argument(
        "--dvc", action="store_true", help="lines of `dvc exp`, where it can do the same"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.script(*args.experiments, as_dvc=args.dvc)
