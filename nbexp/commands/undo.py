"""Take back what the last run or apply changed in the workspace, byte for byte.

Called again, it goes back one step further. Recorded experiments stay.

Examples
--------
  nbexp undo                      one step back
  nbexp undo --force              even over files that were edited since; the edits are kept
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="even over files edited since; the edits are kept",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.undo(force=args.force, emit=emit)
