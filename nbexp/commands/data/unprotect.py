"""Make linked files copies of their own, so that they may be edited in place.

Where `cache.type` is hardlink or symlink, data in your folder is the cache's: read-only, as a change would change the
cache. `nbexp data checkout --relink` makes links again.

Examples
--------
  nbexp data unprotect data/raw.csv
  nbexp data unprotect train      the outputs of a stage
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
        "targets", nargs="+", metavar="TARGET", help="data, .dvc files, stages, or paths in data"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.data.unprotect(*args.targets, emit=emit)
