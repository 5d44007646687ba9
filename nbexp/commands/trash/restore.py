"""Put removed experiments back into the list, under their names and on their baselines.

Their notes are there again as well. All of them come back, or none where one has a namesake; `nbexp undo` takes it back.

Examples
--------
  nbexp trash restore low-lr                 as it was
  nbexp trash restore low-lr high-lr         several
  nbexp trash restore 3f2a91c --name older   one of several that had the name, under another
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiments", nargs="+", metavar="REMOVED", help="names, or the starts of commits"
    )
    parser.add_argument("--name", metavar="NAME", help="another name for it")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.trash.restore(*args.experiments, name=args.name)
