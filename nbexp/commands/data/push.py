"""Upload data and outputs to remote storage: only what it lacks moves.

What has arrived stays when it is stopped, and the next push moves the rest.

Examples
--------
  nbexp data push                 all that the workspace needs, to the default remote
  nbexp data push data/ train     a directory, and what a stage made
  nbexp data push -r archive -A   what any commit needs, to another remote
  nbexp data push --run-cache     the run cache too
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
    parser.add_argument("--glob", action="store_true", help="TARGET may hold wildcards")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.data.push(
        *args.targets, glob=args.glob, run_cache=args.run_cache, emit=emit, **keywords(args)
    )
