"""Execute a notebook with parameters: what the stages that `init` makes call.

Takes the values below KEY of params.yaml for the notebook's parameters, executes it through papermill in
a fresh kernel and writes it, with outputs and without times or machine paths, to OUT. The source is never
written. It needs no project, so `dvc repro` can call it as well.

Examples
--------
  nbexp notebook train.ipynb runs/train.ipynb --params train
  nbexp notebook train.ipynb runs/train.ipynb --params conf.json:train
  nbexp notebook train.ipynb runs/train.ipynb            with the notebook's own values
"""

from __future__ import annotations

import argparse

from nbexp.events import Emit
from nbexp.frozen import frozen
from nbexp.results import Result

needs_project = False


@frozen
class Executed(Result):
    """An executed notebook; `cells` is how many cells ran."""

    source: str
    output: str
    cells: int

    def to_json(self) -> dict[str, object]:
        """The same as JSON."""
        return {"source": self.source, "output": self.output, "cells": self.cells}

    def __str__(self) -> str:
        return f"{self.cells} {'cell' if self.cells == 1 else 'cells'} of {self.source} executed into {self.output}"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options."""
    parser.add_argument("source", metavar="IN", help="the notebook")
    parser.add_argument("output", metavar="OUT", help="where the executed one goes")
    parser.add_argument(
        "--params",
        action="append",
        default=[],
        metavar="[FILE:]KEY",
        help="the values to run with; default: those in the notebook",
    )
    parser.add_argument("-k", "--kernel", metavar="NAME", help="another kernel than the notebook's")
    parser.add_argument("--cwd", metavar="DIR", help="where its code runs; default: here")
    parser.add_argument(
        "--untagged",
        action="store_true",
        help="take the first code cell for the parameters where none is tagged",
    )


def run(project: object, args: argparse.Namespace, emit: Emit) -> object:
    """Execute it, and return what it came to."""
    from nbexp.pipeline.kinds.notebook import runner

    cells = runner.run_notebook(
        args.source,
        args.output,
        params=tuple(args.params),
        kernel=args.kernel,
        cwd=args.cwd,
        untagged=args.untagged,
    )
    return Executed(args.source, args.output, cells)
