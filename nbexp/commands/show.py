"""Compare the experiments: metrics and params by row.

The workspace comes first, then each baseline with its experiments, newest first. `--json` is DVC's
`exp show --json`.

Examples
--------
  nbexp show                      the table
  nbexp show --all-states         failed and interrupted runs as well
  nbexp show --md                 Markdown, for a pull request
  nbexp show --csv > runs.csv     full precision
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit, Notice

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--all-states", action="store_true", help="failed and interrupted runs as well"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON, in DVC's form")
    shape.add_argument("--csv", action="store_true", help="print CSV")
    shape.add_argument("--md", action="store_true", help="print Markdown")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    table = project.show(all_states=args.all_states)
    for row in table:
        if row.error is not None:
            where = "" if row.kind == "workspace" else f"{row.name or row.rev[:7]}: "
            emit(Notice(f"{where}{row.error}"))
    return table
