"""Download data and outputs from remote storage and put them into the workspace.

The same as `fetch` and then `checkout`, which stops before it would overwrite edits that nothing holds.

Examples
--------
  nbexp data pull                 all that the workspace needs, from the default remote
  nbexp data pull data/images     a part of a directory
  nbexp data pull -d train        what the stage `train` made, and what it reads
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands.data._asked import add_arguments, keywords
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser)
    parser.add_argument("--glob", action="store_true", help="TARGET may hold wildcards")
    parser.add_argument(
        "-f", "--force", action="store_true", help="go on over edits, which `undo` brings back"
    )
    parser.add_argument(
        "--allow-missing", action="store_true", help="what the remote lacks is no error"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.data.pull(
        *args.targets,
        glob=args.glob,
        run_cache=args.run_cache,
        force=args.force,
        allow_missing=args.allow_missing,
        emit=emit,
        **keywords(args),
    )
