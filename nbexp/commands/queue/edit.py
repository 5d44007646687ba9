"""Give a task that waits other values.

The values it has that are not named stay as they are.

Examples
--------
  nbexp queue edit calm-otter -S train.lr=0.02
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="name or id of a task that waits")
    parser.add_argument(
        "-S",
        "--set-param",
        action="append",
        required=True,
        metavar="[FILE:]KEY=VALUE",
        help="its new value; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.queue.edit(args.task, args.set_param, emit=emit)
