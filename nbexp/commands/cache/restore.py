"""Bring the outputs of a run back into the workspace, and its entry into dvc.lock.

Stops before anything changes when that would overwrite edits that nothing holds, and lists them. `nbexp undo`
takes it back.

Examples
--------
  nbexp cache restore 3f2a91c             its outputs, as it left them
  nbexp cache restore 3f2a91c --force     edits in the way are kept as an undo point
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="the run's key or the start of it")
    parser.add_argument(
        "--stage", metavar="STAGE", help="which stage it is for, where several make these outputs"
    )
    parser.add_argument(
        "-f", "--force", action="store_true", help="go on over edits, which `undo` brings back"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.run_cache.restore(args.key, stage=args.stage, force=args.force, emit=emit)
