"""Show all of one run: command, params, what it read, what it made, and who holds it.

Examples
--------
  nbexp cache show 3f2a91c        the start of its key is enough
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="its key or the start of it")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.run_cache.show(args.key, emit=emit)
