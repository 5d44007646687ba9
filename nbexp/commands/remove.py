"""Take experiments out of the list.

Their commits and outputs are kept in the trash.

Examples
--------
  nbexp remove low-lr             one
  nbexp rm low-lr 'lr-*'          several, by name and pattern
  nbexp remove --rev v1           those of a commit
  nbexp remove low-lr@4..         the checkpoints of one from the fourth on
  nbexp remove --keep low-lr      all others
  nbexp remove --queue            all that wait in the queue
  nbexp remove -g origin low-lr   from a Git remote
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import _selected
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="names or patterns")
    _selected.add_arguments(parser, branches=False)
    parser.add_argument("--queue", action="store_true", help="all that wait in the queue")
    parser.add_argument("--keep", action="store_true", help="remove all but these")
    parser.add_argument(
        "-g", "--git-remote", metavar="GIT_REMOTE", help="remove them there, and keep those here"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.remove(
        *args.experiments,
        git_remote=args.git_remote,
        revisions=_selected.revisions(args),
        keep=args.keep,
        queued=args.queue,
    )
