"""Show the executed notebook of an experiment; the workspace is untouched.

Examples
--------
  nbexp open low-lr                       its executed notebook
  nbexp open low-lr runs/train.ipynb      another of its notebooks
  nbexp open low-lr --out run.ipynb       write it to a file
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="EXPERIMENT", help="its name; a failed run's too")
    parser.add_argument(
        "path", nargs="?", metavar="NOTEBOOK", help="default: the first that a stage wrote"
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="write it to a new file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp import filesystem
    from nbexp.errors import StoreError

    opened = project.open_notebook(args.experiment, args.path)
    if args.out:
        target = Path(args.folder) / args.out
        if target.exists():
            raise StoreError(
                f"{args.out} exists already. Nothing was written.", "choose another name."
            )
        filesystem.atomic_write(target, opened.data)
    return opened
