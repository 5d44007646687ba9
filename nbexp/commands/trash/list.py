"""List the experiments that were removed or replaced, the last first.

They stay until `nbexp gc --trash --yes`. Failed and interrupted runs are kept apart. `nbexp trash` alone is this command.

Examples
--------
  nbexp trash list                name, commit, and when it was removed
  nbexp trash list --json
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.trash.list()
