"""List the templates that plots are drawn by, or print one.

A template is a Vega-Lite chart with anchors such as `<DVC_METRIC_DATA>` in it. A project's own are files in
`.dvc/plots`; one of them is called `mine` if its file is `mine.json`.

Examples
--------
  nbexp plots templates                                     their names
  nbexp plots templates linear > .dvc/plots/mine.json       one of your own to begin with
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("template", nargs="?", metavar="TEMPLATE", help="print this one")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.template is None:
        return project.plots.templates()
    return project.plots.template(args.template)
