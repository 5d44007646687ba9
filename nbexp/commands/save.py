"""Record the workspace as it is as an experiment, without running anything.

Hashes outputs and data again, stores them, brings dvc.lock and .dvc files up to date, and commits the files as an
experiment on the present commit; branches and index stay as they are. Untracked files are left out and named.
It needs no pipeline: params, metrics and code of a plain repository are recorded as well.

Examples
--------
  nbexp save                      under a name of two words
  nbexp save -n by-hand           and a name of one's own
  nbexp save -n by-hand -f        in place of the experiment that has it
  nbexp save -I notes.txt -I figures/
  nbexp save train                hash only this stage's outputs again
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import _named
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=".dvc files and stages to hash; default: all"
    )
    _named.add_arguments(parser)
    parser.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="replace an experiment of that name, which goes to the trash",
    )
    parser.add_argument(
        "-I",
        "--include-untracked",
        action="append",
        default=[],
        metavar="PATH",
        help="an untracked file or folder to take in; may be repeated",
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="a TARGET may be a folder of stages"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.save(
        args.targets,
        name=args.name,
        message=args.message,
        force=args.force,
        include_untracked=args.include_untracked,
        recursive=args.recursive,
        emit=emit,
    )
