"""Tag experiments and star the best: labels that are stored in Git.

Without a tag and a star, it shows those there are. They belong to the commit of the experiment: they stay when
it is renamed, and go with it when it is pushed.

Examples
--------
  nbexp tag low-lr                  the tags it has
  nbexp tag low-lr paper baseline   two more
  nbexp tag low-lr --star           a star: `push` takes the starred ones
  nbexp tag low-lr paper --remove   one less
  nbexp tag low-lr --remove         none any more
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment", metavar="EXPERIMENT", help="its name; a branch, tag or commit of Git as well"
    )
    parser.add_argument("tags", nargs="*", metavar="TAG", help="default: show those there are")
    parser.add_argument(
        "--remove", action="store_true", help="take these tags away; without a tag, all of them"
    )
    stars = parser.add_mutually_exclusive_group()
    stars.add_argument(
        "--star", action="store_const", const=True, default=None, help="give it a star"
    )
    stars.add_argument(
        "--unstar", action="store_const", const=False, dest="star", help="take the star away"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.tag(args.experiment, *args.tags, remove=args.remove, star=args.star)
