"""Make a project of this directory, and a stage of a notebook.

Reads the cell tagged `parameters`, writes its values to params.yaml and a stage to dvc.yaml, makes the
Git repository if there is none, and commits these files alone. The notebook is not changed. In a project
that is there already, it says what it found and changes nothing.

Examples
--------
  nbexp init train.ipynb          track a notebook
  nbexp init                      only make the project; write dvc.yaml yourself
"""

from __future__ import annotations

import argparse

from nbexp.events import Emit

needs_project = False


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("notebook", nargs="?", help="the notebook to make a stage of")
    parser.add_argument(
        "--untagged",
        action="store_true",
        help="where no cell is tagged `parameters`, take the values of the first code cell",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: object, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp import project as projects

    return projects.init(args.notebook, path=args.folder, untagged=args.untagged, emit=emit)
