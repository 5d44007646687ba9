"""Download data and outputs from remote storage into the cache; the workspace stays as it is.

Every object is verified before it counts.

Examples
--------
  nbexp data fetch                all that the workspace needs, from the default remote
  nbexp data fetch -a             and what any branch needs
  nbexp data fetch --type metrics
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands.data._asked import add_arguments, keywords
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser)
    parser.add_argument(
        "--max-size", type=int, metavar="BYTES", help="files and directories below this size only"
    )
    parser.add_argument(
        "--type",
        dest="types",
        action="append",
        default=[],
        choices=["metrics", "plots"],
        help="only these; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.data.fetch(
        *args.targets,
        run_cache=args.run_cache,
        max_size=args.max_size,
        types=args.types,
        emit=emit,
        **keywords(args),
    )
